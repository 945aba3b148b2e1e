"""What a reader of a format yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

ROWS_A_BATCH = 10_000


@dataclass(frozen=True)
class BrokenRow:
    """A row that cannot be used.

    Attributes:
        line: Line (or row, or sheet row) on which it begins, counted from 1.
        reason: What is wrong, without its values.
        text: The row as it was read.
    """

    line: int
    reason: str
    text: str


@dataclass
class Batch:
    """Some rows of a file.

    Attributes:
        lines: Line of each row.
        columns: Values by column name, or a table where the format has types of its own.
        broken: Rows that could not even be taken apart.
        last_line: Where the file was read to.
        fixed: The format names its columns once for all rows, so that one that is not there is missing.
    """

    lines: list[int]
    columns: dict[str, list[Any]] | pa.Table
    last_line: int
    broken: list[BrokenRow] = field(default_factory=list)
    fixed: bool = True


def batches_of_rows(found: Iterable[tuple[int, dict[str, Any] | BrokenRow]]) -> Iterator[Batch]:
    """Batches of rows that each bring their own columns; a column seen once stays in all later batches."""
    names: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    broken: list[BrokenRow] = []
    line = 0

    def batch() -> Batch:
        columns = {name: [row.get(name) for row in rows] for name in names}
        return Batch(lines, columns, line, broken, fixed=False)

    for line, row in found:
        if isinstance(row, BrokenRow):
            broken.append(row)
        else:
            lines.append(line)
            rows.append(row)
            names.update(dict.fromkeys(row))
        if len(rows) + len(broken) >= ROWS_A_BATCH:
            yield batch()
            rows, lines, broken = [], [], []
    if rows or broken:
        yield batch()
