"""Members that changed: windows of time, read side by side, each from one last change to the next.

Offsets shift when somebody changes while a list is read. So a page starts at the last change that the page before it
ended with; an offset is used only among rows of one second, which an import makes by the thousand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Page
from millstream.sources.mailchimp.paging import Listed, listed, moment_of, written
from millstream.sources.parallel import in_order
from millstream.state.errors import IncompleteError

if TYPE_CHECKING:
    from millstream.sources.mailchimp.settings import MailchimpSettings
    from millstream.sources.pull import Pull

ROWS_A_WINDOW = 10_000
"""Members that are read in one go and stored before the next ones."""

FIRST_MOMENT = datetime(2001, 1, 1, tzinfo=UTC)
"""No account is older."""

_SECOND = timedelta(seconds=1)
_SHORTEST = timedelta(minutes=1)
_TIMES_READ = 3


@dataclass(frozen=True, kw_only=True)
class Window:
    """Members of a list whose last change lies in a stretch of time.

    Attributes:
        list_id: The list.
        status: Only those with this status; None leaves it to the vendor, who leaves out the archived.
        since: Its first second; None means from the beginning.
        before: Its end; None means up to now.
        rows: How many there are.
    """

    list_id: str
    status: str | None
    since: datetime | None
    before: datetime | None
    rows: int = 0

    @property
    def path(self) -> str:
        """The list's members."""
        return f"lists/{self.list_id}/members"

    @property
    def params(self) -> dict[str, str]:
        """As query parameters; whether the vendor's bounds belong to the window is not known, so it gets a second."""
        found = {"status": self.status} if self.status else {}
        if self.since:
            found["since_last_changed"] = written(self.since - _SECOND)
        if self.before:
            found["before_last_changed"] = written(self.before)
        return found


def counted(pull: Pull, window: Window) -> Window:
    """The window with its number of rows."""
    page = listed(pull, window.path, "members", {**window.params, "count": 1, "fields": "members.id,total_items"})
    return replace(window, rows=page.total)


def windows(pull: Pull, whole: Window) -> Iterator[Window]:
    """A window cut until no part has too many rows."""
    since, before = whole.since or FIRST_MOMENT, whole.before or pull.pulled_at
    if whole.rows <= ROWS_A_WINDOW or before - since <= _SHORTEST:
        yield whole
        return
    middle = (since + (before - since) / 2).replace(microsecond=0)
    for half in (replace(whole, before=middle), replace(whole, since=middle)):
        yield from windows(pull, counted(pull, half))


def changed(pull: Pull, whole: Window, settings: MailchimpSettings) -> Iterator[tuple[Window, Page]]:
    """Each window with its members, several of them read at once."""

    def read(window: Window) -> Page:
        return whole_window(pull, window, size=settings.page_size)

    yield from in_order(read, windows(pull, whole), at_once=settings.connections)


def whole_window(pull: Pull, window: Window, *, size: int) -> Page:
    """All members of a window; read again where one is missing, unless it has changed meanwhile and left.

    Raises:
        IncompleteError: Members that are counted do not come.
    """
    found: Page = []
    for _ in range(_TIMES_READ):
        if not window.rows:
            return []
        found = members_of(pull, window, size=size)
        if len(found) < window.rows:
            window = counted(pull, window)
        if len(found) >= window.rows:
            return found
    raise IncompleteError(
        f"Mailchimp counts {window.rows} members of list {window.list_id} in a window and gives {len(found)}.",
        remedy="run again; the list's place was not moved past them, so that nothing is missed.",
    )


def members_of(pull: Pull, window: Window, *, size: int) -> Page:
    """All members of a window, each once as it was found last."""
    found: dict[str, dict[str, Any]] = {}
    since, offset = window.since, 0
    while True:
        page = _page(pull, replace(window, since=since), size=size, offset=offset)
        for row in page.rows:
            found[str(row.get("id"))] = row
        moments = [moment_of(row, "last_changed") for row in page.rows]
        offset += len(page.rows)
        if not page.rows or offset >= page.total:
            return list(found.values())
        if moments == sorted(moments) and (since is None or moments[-1] > since):
            since, offset = moments[-1], 0


def _page(pull: Pull, window: Window, *, size: int, offset: int) -> Listed:
    order = {"sort_field": "last_changed", "sort_dir": "ASC"}
    return listed(pull, window.path, "members", {**window.params, **order, "count": size, "offset": offset})
