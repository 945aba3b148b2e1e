"""Rows of a source that are in the store already: what readers compare with, to tell what has been deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from millstream.state.sql import identifier, quoted
from millstream.state.store import Store, column_types, read_arrow

KEYS_A_QUERY = 500


class StoredRows:
    """The raw tables of one source. The store is opened for each question, and closed before the answer is given.

    Args:
        store: Where the rows are.
        source: Name of the source in the project.
    """

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._schema = f"raw_{source}"

    def columns(self, stream: str) -> tuple[str, ...]:
        """Names of a stream's columns, without those of the engine; none if it was never loaded."""
        with self._store.open() as connection:
            known = column_types(connection, self._schema, stream)
        return tuple(name for name in known if name != "_pulled_at" and not name.startswith("_dlt_"))

    def rows(
        self,
        stream: str,
        *,
        columns: Sequence[str] | None = None,
        equal: Mapping[str, object] | None = None,
        unequal: Mapping[str, object] | None = None,
        begins: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """Rows of a stream.

        Args:
            stream: Its name.
            columns: Which columns; all when left out.
            equal: Columns and the value they must have.
            unequal: Columns and the value they must not have; a missing value is not equal to any.
            begins: Columns and what their text begins with.
        """
        known = self.columns(stream)
        equal, unequal, begins = equal or {}, unequal or {}, begins or {}
        if not known or not {*(columns or ()), *equal, *unequal, *begins} <= set(known):
            return pa.table({})
        tests = [f"{quoted(name)} = ?" for name in equal]
        tests += [f"({quoted(name)} <> ? OR {quoted(name)} IS NULL)" for name in unequal]
        tests += [f"starts_with({quoted(name)}, ?)" for name in begins]
        values = [*equal.values(), *unequal.values(), *begins.values()]
        return self._select(stream, columns or known, " AND ".join(tests), values)

    def rows_of_keys(self, stream: str, keys: pa.Table) -> Iterator[pa.Table]:
        """The whole rows that have these keys, some hundred a table."""
        known = self.columns(stream)
        names = keys.column_names
        one = "(" + " AND ".join(f"{quoted(name)} = ?" for name in names) + ")"
        for start in range(0, len(keys) if known else 0, KEYS_A_QUERY):
            some = keys.slice(start, KEYS_A_QUERY).to_pylist()
            values = [row[name] for row in some for name in names]
            test = f"{quoted(names[0])} IN ({', '.join('?' * len(some))})" if len(names) == 1 else ""
            yield self._select(stream, known, test or " OR ".join([one] * len(some)), values)

    def _select(self, stream: str, columns: Sequence[str], test: str, values: Sequence[object]) -> pa.Table:
        names = ", ".join(quoted(name) for name in columns)
        table = identifier(f"{self._schema}.{stream}")
        with self._store.open() as connection:
            return read_arrow(connection, f"SELECT {names} FROM {table} WHERE {test or 'true'}", list(values))
