"""A stream's first load: rows go straight into its table, where a merge would write and sort each of them twice.

A merge also keeps one row a key. Here that is made good after the load of each part, where keys came twice: because the
vendor gave them so, or because a run died between the load of a file and the note that it was loaded. A file beside
dlt's own says of which streams this may be so, from before the first row is there until all is well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from millstream.sources.contract import Stream
from millstream.sources.pages import PULLED_AT
from millstream.state.sql import identifier, quoted
from millstream.state.store import DuckDBStore, Store, column_types

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class FirstLoads:
    """Which streams of a source are loaded for the first time.

    Args:
        store: Where rows go; only a DuckDB file is loaded so.
        source: Name of the source in the project.
        folder: For the note.
    """

    def __init__(self, store: Store, source: str, folder: Path) -> None:
        self._store = store
        self._schema = f"raw_{source}"
        self._note = folder / "first_loads.json"
        self._first: frozenset[str] | None = None

    def begin(self, streams: Iterable[Stream]) -> frozenset[str]:
        """The streams that had no table before this pull, whose rows may be appended until ``end``; for each part."""
        if self._first is None:
            self._first = self._without_table(streams)
        if self._first:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_bytes(orjson.dumps(sorted({*self._first, *self._noted()})))
        return self._first

    def end(self, streams: Iterable[Stream], *, since: datetime, twice: Collection[str]) -> None:
        """Keep the row that came last of each key; then a part that was appended is as good as merged.

        Args:
            streams: The source's streams.
            since: When the part's rows begin to be pulled.
            twice: Streams of which a key came more than once in this part.
        """
        noted = self._noted()
        for stream in streams:
            if stream.name in noted:
                self._drop_replaced(stream, since)
                if stream.name in twice:
                    self._keep_last(stream, since)
        self._note.unlink(missing_ok=True)

    def mend(self, streams: Iterable[Stream]) -> None:
        """The same for a run that died, of which nobody knows what came twice."""
        noted = self._noted()
        for stream in streams:
            if stream.name in noted:
                self._keep_last(stream, _EVER)
        self._note.unlink(missing_ok=True)

    def _without_table(self, streams: Iterable[Stream]) -> frozenset[str]:
        if not isinstance(self._store, DuckDBStore):
            return frozenset()
        merged = [stream.name for stream in streams if stream.disposition == "merge" and stream.primary_key]
        with self._store.open() as connection:
            return frozenset(name for name in merged if not column_types(connection, self._schema, name))

    def _noted(self) -> list[str]:
        return list(orjson.loads(self._note.read_bytes())) if self._note.is_file() else []

    def _drop_replaced(self, stream: Stream, since: datetime) -> None:
        """Delete the rows of earlier parts whose keys came again."""
        table, keys = self._table(stream), _keys(stream)
        again = f"({keys}) IN (SELECT ({keys}) FROM {table} WHERE {PULLED_AT} >= $since)"
        self._delete(stream, f"{PULLED_AT} < $since AND {again}", since)

    def _keep_last(self, stream: Stream, since: datetime) -> None:
        """Of the rows that came since, delete those whose keys came again later."""
        last = f"SELECT arg_max(rowid, {{pulled: {PULLED_AT}, place: rowid}}) FROM {self._table(stream)}"
        kept = f"{last} WHERE {PULLED_AT} >= $since GROUP BY {_keys(stream)}"
        self._delete(stream, f"{PULLED_AT} >= $since AND rowid NOT IN ({kept})", since)

    def _delete(self, stream: Stream, test: str, since: datetime) -> None:
        with self._store.open() as connection:
            if column_types(connection, self._schema, stream.name):
                connection.execute(f"DELETE FROM {self._table(stream)} WHERE {test}", {"since": since})

    def _table(self, stream: Stream) -> str:
        return identifier(f"{self._schema}.{stream.name}")


def _keys(stream: Stream) -> str:
    return ", ".join(quoted(name) for name in stream.primary_key)
