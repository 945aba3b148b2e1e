"""What commands print: tables for people, JSON for programs, messages on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from millstream.flows.cli.columns import fitted
from millstream.flows.showing.cells import Cell

PIPED_WIDTH = 160
"""Columns of a table that is not shown on a terminal: wide enough that nothing is cut."""


def console() -> Console:
    """Standard output; made when asked for, since tests and callers may replace it."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def error_console() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def print_error(message: str) -> None:
    """An error for people, one problem a line."""
    for line in message.splitlines():
        error_console().print(Text.assemble(("error: ", "bold red"), line))


def print_note(message: str) -> None:
    """A remark on standard error, so that it is not part of a result."""
    error_console().print(message, markup=False)


def print_line(message: str = "") -> None:
    """A line of a result."""
    console().print(message, markup=False, soft_wrap=True)


def print_table(
    title: str,
    rows: Iterable[Mapping[str, Cell]],
    *,
    empty: str = "None.",
    rare: Collection[str] = (),
) -> None:
    """Rows as a table, numbers to the right; the keys of the first row are the heads.

    On a terminal that would break words or ids, each row is shown as lines of its own.

    Args:
        title: Stands above.
        rows: All with the same keys.
        empty: What to say when there are no rows.
        rare: Columns that are shown only where one of the rows has something in them.
    """
    rows = list(rows)
    out = console()
    out.print(f"\n[bold]{escape(title)}[/bold]")
    if not rows:
        out.print(f"  {empty}", markup=False)
        return
    heads = [head for head in rows[0] if head not in rare or any(row[head] for row in rows)]
    cells = [[_shown(row[head]) for row in rows] for head in heads]
    fit = fitted(
        [[head, *(cell.plain for cell in column)] for head, column in zip(heads, cells, strict=True)], out.width
    )
    if fit is None:
        _print_one_by_one(out, heads, cells)
        return
    widths, gap = fit
    table = Table(show_edge=False, pad_edge=False, box=None, padding=(0, gap, 0, 0), header_style="dim")
    for number, head in enumerate(heads):
        numbers = all(isinstance(row[head], (int, float)) and not isinstance(row[head], bool) for row in rows)
        table.add_column(
            head, justify="right" if numbers else "left", overflow="fold", no_wrap=number == 0, width=widths[number]
        )
    for line in zip(*cells, strict=True):
        table.add_row(*line)
    out.print(table)


def _print_one_by_one(out: Console, heads: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
    """Each row as lines of its own, for a terminal too narrow for the table."""
    for number, line in enumerate(zip(*cells, strict=True)):
        block = Table(show_edge=False, show_header=False, pad_edge=False, box=None, padding=(0, 2, 0, 0))
        block.add_column(style="dim", no_wrap=True)
        block.add_column(overflow="fold")
        for head, cell in zip(heads, line, strict=True):
            if cell.plain:
                block.add_row(head, cell)
        if number:
            out.print()
        out.print(block)


def _shown(value: Cell) -> Text:
    if isinstance(value, bool):
        return Text("yes", style="green") if value else Text("no", style="red")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, float):
        return Text(f"{value:,.1f}")
    return Text("" if value is None else value)


def utc(moment: datetime | None) -> datetime | None:
    """The time, aware; databases without zones give UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def day(moment: datetime | None) -> str:
    """``2026-11-22 10:15``, in UTC."""
    moment = utc(moment)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "at an unknown time"


def age(moment: datetime | None) -> str:
    """``3 h ago``, ``in 5 min``; empty for None."""
    moment = utc(moment)
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    amount = _rounded(abs(seconds))
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"


def _rounded(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def joined(values: Sequence[object]) -> str:
    """``a, b, c``."""
    return ", ".join(str(value) for value in values)
