"""How wide the columns of a table get where not all of it fits."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

_LONGEST_WORDS = (32, 18)
"""Words up to this length stay whole; where that takes too much room, those of a profile id's length."""
_GAPS = (2, 1)


def fitted(columns: Sequence[Sequence[str]], width: int) -> tuple[list[int], int] | None:
    """Widths that break long texts between words before they touch short ones.

    Args:
        columns: The cells of each column, its head among them; the first column is never broken.
        width: Of the whole table.

    Returns:
        The width of each column and of the gap between them; None where words would have to be broken.
    """
    whole = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    for longest in _LONGEST_WORDS:
        for gap in _GAPS:
            room = width - gap * (len(columns) - 1)
            least = [min(longest, max(map(cell_len, " ".join(column).split()), default=0)) for column in columns]
            least[0] = whole[0]
            if sum(least) <= room:
                return _levelled(whole, least, room), gap
    return None


def _levelled(whole: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widest columns give way first, until all fit."""
    level = max(whole)
    while True:
        widths = [max(low, min(high, level)) for high, low in zip(whole, least, strict=True)]
        if sum(widths) <= room:
            return widths
        level -= 1
