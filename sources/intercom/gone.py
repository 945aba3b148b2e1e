"""Rows of what the vendor no longer gives: they stay in the store, marked as deleted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.intercom.search import Window
    from millstream.sources.pull import Pull


class Expected:
    """Stored rows that count as there: what a reading of everything, by creation, should find."""

    def __init__(self, pull: Pull, stream: str) -> None:
        rows: list[dict[str, Any]] = []
        if pull.stored is not None:
            rows = pull.stored.rows(stream, columns=("id", "created_at"), unequal={"deleted": True}).to_pylist()
        self._rows = deque(sorted((row["created_at"], str(row["id"])) for row in rows))
        self.count = len(rows)

    def missing(self, window: Window, seen: set[str]) -> list[str]:
        """Ids of a window that was read whole and in which they were not seen; windows come in their order."""
        missing = []
        while self._rows and (window.end is None or self._rows[0][0] < window.end):
            at, row_id = self._rows.popleft()
            if row_id not in seen and (window.start is None or at >= window.start):
                missing.append(row_id)
        return missing


def marked(pull: Pull, stream: str, gone: Mapping[str, str | None]) -> Iterator[pa.Table]:
    """The stored rows that are gone, where that is news.

    Args:
        pull: The pull.
        stream: Where they are stored.
        gone: Their ids, and what each was merged into, if it was.
    """
    import pyarrow as pa

    if pull.stored is None or not gone:
        return
    for table in pull.stored.rows_of_keys(stream, pa.table({"id": pa.array(list(gone), pa.string())})):
        news = table.filter(pa.array([_is_news(row, gone) for row in table.to_pylist()], pa.bool_()))
        if not len(news):
            continue
        values = {"deleted": pa.array([True] * len(news), pa.bool_())}
        if "merged_into" in news.column_names:
            values["merged_into"] = pa.array([gone[one] for one in news["id"].to_pylist()], pa.string())
        for name, column in values.items():
            news = news.set_column(news.column_names.index(name), name, column)
        yield news


def _is_news(row: Mapping[str, Any], gone: Mapping[str, str | None]) -> bool:
    """Whether a row is not marked yet, or it was not known into what it was merged."""
    return not row["deleted"] or (gone[row["id"]] is not None and not row.get("merged_into"))
