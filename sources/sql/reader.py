"""Reads one table: only what has changed since the last pull, and on where a run before was killed.

Notes, kept with the loaded rows:

- ``cursor``: the highest value of the cursor column that was read
- ``by``: the column that the rows are ordered by; another one in the project file makes the notes worthless
- ``resume``: how far a read that has not ended yet has come, in that column

Rows are read in the order of the cursor column, or of the first key column where there is none. A run that goes on
reads the rows with the last value once more: they may have been cut in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from millstream.sources.from_project import DELETED
from millstream.sources.sql.chunks import Chunks, key_texts
from millstream.sources.sql.database import Database
from millstream.sources.sql.settings import SqlSettings, TableStream
from millstream.state.errors import IncompleteError

if TYPE_CHECKING:
    from sqlalchemy.sql import Select

    from millstream.sources.pull import Pull

_READ_AGAIN = timedelta(seconds=1)
"""SQLite compares times as text, in which 12:00:00 stands before 12:00:00.000000: going on starts a second earlier."""

_KINDS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
}


@dataclass(frozen=True, kw_only=True)
class TableReader:
    """The reader of one stream.

    Attributes:
        name: Name of the stream.
        how: Which table, and what is declared of it.
        settings: Of the source.
        database: Where the table is.
    """

    name: str
    how: TableStream
    settings: SqlSettings
    database: Database

    def __call__(self, pull: Pull) -> Iterator[pa.Table]:
        """Tables of the rows that are new or have changed."""
        chunks = Chunks(self.database, self.how, ZoneInfo(self.settings.timezone), self.settings.chunk_rows)
        if self.how.compare_keys and pull.stored is not None and not pull.is_backfill:
            yield from self._deletions(pull, chunks)
        if self.how.cursor:
            yield from self._without_cursor(pull, chunks)
        yield from self._in_order(pull, chunks)
        if chunks.left_out:
            pull.warn(f"columns that hold bytes are not stored: {', '.join(sorted(chunks.left_out))} (leave_out).")

    def _in_order(self, pull: Pull, chunks: Chunks) -> Iterator[pa.Table]:
        lead = self.how.cursor or self.how.primary_key[0]
        if pull.state.get("by") != lead:
            pull.state.clear()
            pull.state["by"] = lead
        column, start, end = chunks.column(lead), self._start(pull, chunks), self._end(pull, chunks)

        def ordered(query: Select[Any]) -> Select[Any]:
            if self.how.cursor:
                query = query.where(column.is_not(None))
            query = query if start is None else query.where(column >= start)
            query = query if end is None else query.where(column < end)
            return query.order_by(column)

        for given, table in chunks.read(ordered):
            if len(given):
                pull.state["resume"] = _noted(given[lead][-1].as_py())
            yield table
        self._finish(pull)

    def _without_cursor(self, pull: Pull, chunks: Chunks) -> Iterator[pa.Table]:
        """Rows whose cursor is empty: nothing says when they change, so that they are read each time."""
        assert self.how.cursor is not None
        column, rows = chunks.column(self.how.cursor), 0
        for _, table in chunks.read(lambda query: query.where(column.is_(None))):
            rows += len(table)
            yield table
        if rows:
            pull.warn(f"{rows} rows have no {self.how.cursor}: they are read each time.")

    # -- places ------------------------------------------------------------------------------------------------

    def _start(self, pull: Pull, chunks: Chunks) -> Any:
        """The lowest value of the leading column to read; None for all."""
        cursor = self.how.cursor
        if pull.is_backfill and pull.since is not None:
            return self._moment(pull.since, chunks) if cursor else None
        if "resume" in pull.state:
            resumed = _value(pull.state["resume"])
            return resumed - _READ_AGAIN if isinstance(resumed, datetime) else resumed
        if cursor is None or "cursor" not in pull.state:
            return None
        kept = _value(pull.state["cursor"])
        if isinstance(kept, datetime):
            start = kept - timedelta(minutes=self.how.lookback_minutes)
            pull.since = self._aware(start)
            return start
        if isinstance(kept, date):
            return kept - timedelta(days=1)
        return kept if isinstance(kept, str) else kept - self.how.lookback_count

    def _end(self, pull: Pull, chunks: Chunks) -> Any:
        return self._moment(pull.until, chunks) if pull.until and self.how.cursor else None

    def _moment(self, moment: datetime, chunks: Chunks) -> datetime | date | None:
        """A moment as the cursor column writes it; None where it holds no times."""
        assert self.how.cursor is not None
        kind = chunks.data_type(self.how.cursor)
        local = moment.astimezone(ZoneInfo(self.settings.timezone))
        if kind == "date":
            return local.date()
        if kind != "timestamp":
            return None
        has_zone = bool(getattr(chunks.column(self.how.cursor).type, "timezone", False))
        return moment if has_zone else local.replace(tzinfo=None)

    def _aware(self, moment: datetime) -> datetime:
        zone = ZoneInfo(self.settings.timezone)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)

    def _finish(self, pull: Pull) -> None:
        """All was read: the next pull starts at the highest value, but never after this one began."""
        noted = pull.state.pop("resume", None)
        if self.how.cursor is None or noted is None:
            return
        found = [_value(noted)] + ([_value(pull.state["cursor"])] if "cursor" in pull.state else [])
        highest = max(found)
        if isinstance(highest, datetime):
            began = pull.pulled_at.astimezone(highest.tzinfo or ZoneInfo(self.settings.timezone))
            highest = min(highest, began if highest.tzinfo else began.replace(tzinfo=None))
        pull.state["cursor"] = _noted(highest)
        pull.place = str(highest)

    # -- deleted rows --------------------------------------------------------------------------------------------

    def _deletions(self, pull: Pull, chunks: Chunks) -> Iterator[pa.Table]:
        """Stored rows whose key is gone, marked as deleted; and those that have come back.

        Raises:
            IncompleteError: The table is empty, and was not.
        """
        import pyarrow.compute as pc

        names = list(self.how.primary_key)
        assert pull.stored is not None
        known = pull.stored.rows(self.name, columns=[*names, DELETED])
        if not len(known):
            return
        present = chunks.keys()
        if not len(present) and not pull.accept_empty:
            raise IncompleteError(
                f"The table is empty, and {len(known)} rows of it are stored; they were kept.",
                remedy="if it really is empty now, run `millstream ingest --accept-empty`.",
            )
        like = {name: known.schema.field(name).type for name in names}
        there = key_texts(present, names, like) if len(present) else pa.array([], pa.string())
        is_there = pc.is_in(key_texts(known, names, like), there)
        was_deleted = pc.fill_null(known[DELETED].combine_chunks(), False)
        yield from self._marked(pull, known.filter(pc.and_not(pc.invert(is_there), was_deleted)), deleted=True)
        if self.how.deleted is None:
            yield from self._marked(pull, known.filter(pc.and_(is_there, was_deleted)), deleted=False)

    def _marked(self, pull: Pull, keys: pa.Table, *, deleted: bool) -> Iterator[pa.Table]:
        assert pull.stored is not None
        for rows in pull.stored.rows_of_keys(self.name, keys.select(list(self.how.primary_key))):
            marks = pa.array([deleted] * len(rows), pa.bool_())
            yield rows.set_column(rows.column_names.index(DELETED), DELETED, marks)


def _noted(value: Any) -> list[str]:
    """A place as text that the state can hold."""
    text = value.isoformat() if isinstance(value, (datetime, date)) else str(value)
    return [type(value).__name__, text]


def _value(noted: list[str]) -> Any:
    kind, text = noted
    return _KINDS[kind](text)
