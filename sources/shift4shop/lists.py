"""Lists: how many rows there are, their pages, and what changed since a day.

The API says neither where a page ends nor in which order rows come, and its filter by last change has the precision of
a day in one document and of a second in another. So what changed is read in stretches of whole days, each of which
begins with the day on which the one before ended, and is counted before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from millstream.sources.contract import Page
from millstream.state.errors import IncompleteError, MalformedAnswerError, NotFoundError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.shift4shop.settings import Shift4ShopSettings

FIRST_DAY = date(1997, 1, 1)
"""No shop of the vendor's is older."""

ROWS_A_STRETCH = 10_000
"""Rows that are read in one go and stored before the next ones: at the vendor's pace, half a minute."""

_BLIND_DAYS = 30
_TIMES_READ = 3
_NEVER = 1990
"""The year before which a time stands for none."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list: its path, and where the id stands that tells its rows apart."""

    path: str
    key: str

    def key_of(self, row: Mapping[str, Any]) -> str | None:
        """The id of a row; None where it has none."""
        found: Any = row
        for part in self.key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return None if found is None else str(found)


@dataclass(frozen=True)
class Stretch:
    """Days of last changes, both included.

    Attributes:
        first: None means from the beginning, rows without a last change, too.
        last: None means up to now.
        rows: How many rows there are, where the vendor says so.
    """

    first: date | None
    last: date | None
    rows: int | None

    @property
    def params(self) -> dict[str, str]:
        """As query parameters."""
        days = {"lastupdatestart": self.first, "lastupdateend": self.last}
        return {name: f"{day:%m/%d/%Y}" for name, day in days.items() if day}


def count(pull: Pull, listing: Listing, params: Mapping[str, str]) -> int | None:
    """How many rows there are; None where the vendor answers something else."""
    try:
        body = pull.get(listing.path, {**params, "countonly": 1})
    except NotFoundError:
        return 0
    first = body[0] if isinstance(body, list) and body else body
    found = first.get("TotalCount") if isinstance(first, dict) else None
    return found if isinstance(found, int) else None


def pages(
    pull: Pull, listing: Listing, params: Mapping[str, str], *, size: int, total: int | None, seen: set[str | None]
) -> Iterator[Page]:
    """Pages of a list; each row's key is added to ``seen``.

    The next page is asked for by the number of rows seen: where the vendor counts offsets from 1, its first row is the
    one that ended this page, so that none is missed either way.
    """
    read: set[str | None] = set()
    while total is None or len(read) < total:
        rows = page(pull, listing.path, {**params, "limit": size, **({"offset": len(read)} if read else {})})
        new = {listing.key_of(row) for row in rows} - read
        read |= new
        seen |= new
        yield rows
        if not new or (total is None and len(rows) < size):
            return


def page(pull: Pull, path: str, params: Mapping[str, Any]) -> Page:
    """One page; the vendor answers 404 where nothing is found.

    Raises:
        MalformedAnswerError: The answer is no list of objects.
    """
    try:
        body = pull.get(path, params)
    except NotFoundError:
        return []
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise MalformedAnswerError(
            f"GET {path} answered without a list of objects.",
            remedy="the API may have changed: update the connector, or check the base_url.",
        )
    return body


def read_changed(
    pull: Pull, listing: Listing, settings: Shift4ShopSettings, *, everything: bool = False, seen: set[str | None]
) -> Iterator[Page]:
    """Pages of what changed since the kept place, or in the window; moves the place in the notes.

    Args:
        pull: The stream's.
        listing: What to read.
        settings: Clock, page size, overlap.
        everything: Begin anew, whatever the place.
        seen: Takes the keys of all rows.

    Raises:
        IncompleteError: Rows that were counted do not come.
    """
    first = None if everything else _first_day(pull, settings)
    whole = _whole(pull, listing, settings, first)
    if whole.rows and not pull.is_backfill:
        pull.expect(whole.rows)
    stored, latest = 0, pull.state.get("reached", "")
    for stretch in _stretches(pull, listing, whole):
        for rows in _read_stretch(pull, listing, stretch, settings, seen):
            stored += len(rows)
            latest = max(latest, _latest(rows, pull, settings.zone))
            yield rows
        _move_place(pull, stretch, latest, settings.zone)
        if stored >= ROWS_A_STRETCH and stretch.last:
            stored = 0
            yield pull.until_loaded()
    if whole.rows and not pull.is_backfill:
        _expect_less_if_deleted(pull, listing, whole, len(seen))


def _whole(pull: Pull, listing: Listing, settings: Shift4ShopSettings, first: date | None) -> Stretch:
    """All that is to be read, and how many rows that is."""
    last = local_day(pull.until, settings.zone) if pull.until else None
    found = Stretch(first or settings.start_date or FIRST_DAY, last, None)
    rows = count(pull, listing, found.params)
    if first is None and settings.start_date is None and rows is not None:
        everything = count(pull, listing, {})
        if everything is not None and everything > rows:
            # Some have no last change, so that no filter by it finds them.
            return Stretch(None, None, everything)
    return Stretch(found.first, last, rows)


def _first_day(pull: Pull, settings: Shift4ShopSettings) -> date | None:
    if pull.is_backfill:
        return local_day(pull.since, settings.zone) if pull.since else None
    if "reached" not in pull.state:
        return None
    reached = datetime.fromisoformat(pull.state["reached"])
    pull.since = reached - timedelta(hours=settings.overlap_hours)
    return local_day(pull.since, settings.zone)


def _stretches(pull: Pull, listing: Listing, whole: Stretch) -> Iterator[Stretch]:
    """The days cut so that no stretch has too many rows; without counts, so many days each."""
    if whole.first is None or whole.rows == 0:
        yield whole
        return
    today = pull.pulled_at.date() + timedelta(days=1)
    last = whole.last or today
    days = (last - whole.first).days
    if whole.rows is None:
        for start in range(0, days, _BLIND_DAYS):
            first = whole.first + timedelta(days=start)
            end = first + timedelta(days=_BLIND_DAYS)
            yield Stretch(first, end if end < last else whole.last, None)
        return
    if whole.rows <= ROWS_A_STRETCH or days <= 1:
        yield whole
        return
    middle = whole.first + timedelta(days=days // 2)
    for half in (Stretch(whole.first, middle, None), Stretch(middle, whole.last, None)):
        yield from _stretches(pull, listing, Stretch(half.first, half.last, count(pull, listing, half.params)))


def _read_stretch(
    pull: Pull, listing: Listing, stretch: Stretch, settings: Shift4ShopSettings, seen: set[str | None]
) -> Iterator[Page]:
    """Pages of a stretch; they are read again where a row was missing, as rows had moved from page to page."""
    total = stretch.rows
    for _ in range(_TIMES_READ):
        found: set[str | None] = set()
        yield from pages(pull, listing, stretch.params, size=settings.page_size, total=total, seen=found)
        seen |= found
        if total is None or len(found) >= total:
            return
        total = count(pull, listing, stretch.params)
    raise IncompleteError(
        f"Shift4Shop counts {total} rows at {listing.path} and gives {len(found)}.",
        remedy="run again; the stream's place was not moved past them, so that nothing is missed.",
    )


def _latest(rows: Page, pull: Pull, zone: ZoneInfo) -> str:
    """The last change among rows; the time of the pull where they do not say."""
    moments = [in_utc(row.get("LastUpdate"), zone) for row in rows]
    known = [moment for moment in moments if isinstance(moment, datetime)]
    return min(max(known), pull.pulled_at).isoformat() if known else pull.pulled_at.isoformat() if rows else ""


def _move_place(pull: Pull, stretch: Stretch, latest: str, zone: ZoneInfo) -> None:
    """Everything up to the end of a stretch was read; what changed on its last day is read again."""
    if stretch.last:
        end = datetime.combine(stretch.last, time.min, zone).astimezone(UTC)
        latest = max(pull.state.get("reached", ""), min(end, pull.pulled_at).isoformat())
    if latest:
        pull.state["reached"] = latest
    if not pull.is_backfill:
        pull.place = latest or None


def _expect_less_if_deleted(pull: Pull, listing: Listing, whole: Stretch, seen: int) -> None:
    announced = whole.rows or 0
    if seen < announced:
        left = count(pull, listing, whole.params) or 0
        pull.expect(min(left, announced) - announced)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The day on the store's clock."""
    return moment.astimezone(zone).date()


def in_utc(value: Any, zone: ZoneInfo) -> datetime | Any:
    """A time of the store's clock in UTC; the earlier one where a clock showed it twice; None where it means never."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value  # left to the column, which says what is wrong with it
    if moment.year < _NEVER:
        return None
    return moment.replace(tzinfo=moment.tzinfo or zone).astimezone(UTC)


def in_window(pull: Pull, moment: Any) -> bool:
    """Whether a change belongs to a backfill; one without a time does."""
    if pull.until is None or not isinstance(moment, datetime):
        return True
    return (pull.since is None or moment >= pull.since) and moment < pull.until
