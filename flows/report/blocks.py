"""What a report is made of, whatever it is shown as: sections of headline figures, charts, tables and sentences.

The page, the artifacts and the JSON are made from the same blocks, so that they tell the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Specification = Mapping[str, Any]
"""A chart in Vega-Lite."""


@dataclass(frozen=True)
class Tile:
    """A headline figure.

    Attributes:
        label: What it is.
        value: As it is read.
        note: What helps to judge it, as the change.
        trend: Its course, oldest first; drawn as a line without axes, beside the numbers that say the same.
    """

    label: str
    value: str
    note: str = ""
    trend: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tiles:
    """Headline figures side by side."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Table:
    """Numbers to read.

    Attributes:
        caption: What they are.
        heads: A head for each column.
        rows: Cells as they are read.
        numbers: Columns, counted from 0, that stand to the right.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Chart:
    """A picture of numbers that stand in a table behind it.

    Attributes:
        title: What is shown.
        description: The same for those who cannot see it: what is drawn, and what it comes to.
        specification: The chart.
        table: The numbers behind it.
        wide: Whether it takes the page's whole width.
        least_width: Below so many pixels it is scrolled instead of squeezed.
    """

    title: str
    description: str
    specification: Specification
    table: Table
    wide: bool = False
    least_width: int = 0


@dataclass(frozen=True)
class Note:
    """A sentence or two."""

    text: str


@dataclass(frozen=True)
class Missing:
    """In place of what is not there yet: what it would be, and the command that fills it."""

    what: str
    command: str


Block = Tiles | Chart | Table | Note | Missing


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        id: For links to it.
        title: Its heading.
        lead: What it comes to, in a sentence or two; empty where there is nothing yet.
        blocks: What it holds.
    """

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...]

    def as_json(self) -> dict[str, Any]:
        """Its words and numbers, for programs; charts as the tables behind them."""
        return {
            "id": self.id,
            "title": self.title,
            "lead": self.lead,
            "notes": [note.text for note in self.blocks if isinstance(note, Note)],
            "missing": [{"what": one.what, "command": one.command} for one in self.blocks if isinstance(one, Missing)],
            "figures": {tile.label: tile.value for tile in self.tiles()},
            "tables": [
                {"caption": table.caption, "rows": [dict(zip(table.heads, row, strict=True)) for row in table.rows]}
                for table in self.tables()
            ],
        }

    def tiles(self) -> Sequence[Tile]:
        """All headline figures."""
        return [tile for block in self.blocks if isinstance(block, Tiles) for tile in block.tiles]

    def tables(self) -> Sequence[Table]:
        """All tables, those behind charts too."""
        found = (block.table if isinstance(block, Chart) else block for block in self.blocks)
        return [block for block in found if isinstance(block, Table)]
