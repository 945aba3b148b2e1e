"""How far a stream has been read, and what a pull reads: everything by creation, or what has changed since.

The stream's notes hold ``since``, the last change that was read, and while everything is being read ``load`` with the
moment it ``began`` and how far it has come (``to``). A pull that was ended goes on there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.intercom.search import Found, Searched, Window, changed, created, moment

if TYPE_CHECKING:
    from millstream.sources.intercom.settings import IntercomSettings
    from millstream.sources.pull import Pull

ROWS_AT_ONCE = 7_500
"""Rows of one window of creation that are read by one thread, into memory; a window with more is cut into parts."""

ROWS_WITH_DETAILS = 500
"""The same, where each row costs a request of its own."""

ROWS_A_PART = 20_000
"""Rows after which what was read is stored."""


@dataclass
class Batch:
    """Some rows.

    Attributes:
        rows: Vendor rows.
        created: The window of creation that ends with these rows, where everything is read.
        notes: What the stream's notes hold once the rows are read.
    """

    rows: Found
    created: Window | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def keep_place(self, pull: Pull) -> None:
        """Bring the notes in step, before the rows are given to the engine."""
        pull.state.update(self.notes)
        if not pull.is_backfill:
            pull.place = pull.state.get("since") or pull.state.get("load", {}).get("to")


class Walk:
    """Decides what a pull reads of one search.

    Args:
        pull: The pull.
        settings: The connection's settings.
        first: Where the very first pull begins: by creation; None: at the beginning.
        sweeps: Whether everything is read again now and then.
        always: Whether everything is read each time.
        with_details: Whether each row costs a request of its own.
    """

    def __init__(
        self,
        pull: Pull,
        settings: IntercomSettings,
        *,
        first: datetime | None = None,
        sweeps: bool = False,
        always: bool = False,
        with_details: bool = False,
    ) -> None:
        self._pull = pull
        self._settings = settings
        self._first = first
        self._sweeps = sweeps
        self._always = always
        self._most = ROWS_WITH_DETAILS if with_details else ROWS_AT_ONCE

    @property
    def begins(self) -> bool:
        """Whether this is the very first pull of the stream, and its beginning."""
        return not self._pull.is_backfill and not {"since", "load"} & self._pull.state.keys()

    @property
    def reads_everything(self) -> bool:
        """Whether this pull reads every row, or goes on with that."""
        state = self._pull.state
        if self._pull.is_backfill:
            return False
        return self._always or "since" not in state or "load" in state or self._sweep_is_due()

    def batches(self, what: Searched) -> Iterator[Batch]:
        """The rows to read."""
        pull = self._pull
        if self.reads_everything:
            yield from self._everything(what)
        elif pull.is_backfill:
            assert pull.since is not None
            for rows in changed(pull, what, pull.since, pull.until):
                yield Batch(rows)
        else:
            yield from self._changed(what)

    def _changed(self, what: Searched) -> Iterator[Batch]:
        pull = self._pull
        since = datetime.fromisoformat(pull.state["since"])
        pull.since = newest = since
        last = since - timedelta(minutes=self._settings.lookback_minutes)
        is_ordered = True
        for rows in changed(pull, what, last):
            moments = [moment(row, "updated_at") for row in rows]
            is_ordered = is_ordered and moments == sorted(moments) and (not moments or moments[0] >= last)
            newest = min(max([newest, *moments]), pull.pulled_at)
            last = moments[-1] if moments else last
            yield Batch(rows, notes={"since": newest.isoformat()} if is_ordered else {})
        pull.state["since"] = pull.place = newest.isoformat()

    def _everything(self, what: Searched) -> Iterator[Batch]:
        pull = self._pull
        load = pull.state.get("load") or {"began": pull.pulled_at.isoformat()}
        start = datetime.fromisoformat(load["to"]) if "to" in load else self._first
        if "to" in load:
            pull.since = start
        window = Window(start, None)
        for rows, part in created(pull, what, window, most=self._most, at_once=self._settings.requests_at_once):
            notes: dict[str, Any] = {}
            if part is not None and part.end is not None:
                notes = {"load": {**load, "to": part.end.isoformat()}}
            yield Batch(rows, part, notes)
        pull.state.pop("load", None)
        # Not the newest change: a row may have changed after its part was read.
        pull.state.update(since=load["began"], swept=load["began"])
        pull.place = load["began"]

    def _sweep_is_due(self) -> bool:
        days = self._settings.sweep_days
        if not self._sweeps or days is None or self._pull.stored is None:
            return False
        swept = moment_noted(self._pull, "swept")
        return swept is None or self._pull.pulled_at - swept >= timedelta(days=days)


def moment_noted(pull: Pull, name: str) -> datetime | None:
    """A moment in a stream's notes."""
    noted = pull.state.get(name)
    return datetime.fromisoformat(noted) if noted else None


def start_of(settings: IntercomSettings) -> datetime | None:
    """The start date of the settings, as a moment."""
    return datetime.combine(settings.start_date, time.min, UTC) if settings.start_date else None
