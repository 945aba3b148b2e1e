"""Rows as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.flows.showing.cells import Cell, Row


def markdown_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; a word when there are none."""
    if not rows:
        return "None."
    lines = [list(rows[0]), ["---" for _ in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Cell) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
    return text.replace("|", "\\|").replace("\n", " ")
