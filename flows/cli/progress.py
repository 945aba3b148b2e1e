"""Progress bars on standard error, while a person watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from millstream.flows.steps import Progress


@contextmanager
def shown_progress() -> Iterator[Progress | None]:
    """Bars for pulls and syncs that draw themselves; nothing where standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    from millstream.flows.cli.output import error_console
    from millstream.flows.steps import Progress

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=error_console(), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(description: str, done: int, total: int | None) -> None:
            if description not in tasks:
                tasks[description] = bars.add_task(description, total=total)
            bars.update(tasks[description], completed=done, total=total)

        yield Progress(
            pulled=lambda source, stream, rows: show(f"{source}.{stream}", rows, None),
            sent=show,
            foretold=lambda source, stream, left: show(f"{source}.{stream}", left.rows, left.expected),
        )
