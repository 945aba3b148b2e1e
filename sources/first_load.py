"""A stream's first load: rows go straight into its table, where a merge would write and sort each of them twice.

A merge also keeps one row a key. Here that is made good after the load, where keys came twice: because the vendor gave
them so, or because a run died between the load of a file and the note that it was loaded. A file beside dlt's own says
of which streams this may be so, from before the first row is there until all is well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import orjson

from millstream.sources.contract import Stream
from millstream.sources.pages import PULLED_AT
from millstream.state.sql import identifier, quoted
from millstream.state.store import DuckDBStore, Store, column_types


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

    def begin(self, streams: Iterable[Stream]) -> frozenset[str]:
        """The streams that have no table yet, whose rows may be appended from now on."""
        if not isinstance(self._store, DuckDBStore):
            return frozenset()
        merged = [stream.name for stream in streams if stream.disposition == "merge" and stream.primary_key]
        with self._store.open() as connection:
            first = frozenset(name for name in merged if not column_types(connection, self._schema, name))
        if first:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_bytes(orjson.dumps(sorted({*first, *self._noted()})))
        return first

    def end(self, streams: Iterable[Stream], *, twice: Collection[str] | None = None) -> None:
        """Keep the row that came last of each key; then a first load is as good as a merge.

        Args:
            streams: The source's streams.
            twice: Those whose keys came more than once; None: nobody knows, since a run died.
        """
        noted = self._noted()
        for stream in streams:
            if stream.name in noted and (twice is None or stream.name in twice):
                self._keep_last(stream)
        self._note.unlink(missing_ok=True)

    def _noted(self) -> list[str]:
        return list(orjson.loads(self._note.read_bytes())) if self._note.is_file() else []

    def _keep_last(self, stream: Stream) -> None:
        table = identifier(f"{self._schema}.{stream.name}")
        keys = ", ".join(quoted(name) for name in stream.primary_key)
        with self._store.open() as connection:
            if column_types(connection, self._schema, stream.name):
                connection.execute(
                    f"DELETE FROM {table} WHERE rowid NOT IN "
                    f"(SELECT arg_max(rowid, {{pulled: {PULLED_AT}, place: rowid}}) FROM {table} GROUP BY {keys})"
                )
