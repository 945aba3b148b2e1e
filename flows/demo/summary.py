"""The demo's last words: what the run did, read from the artifacts that it left in Prefect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

Row = Mapping[str, object]


def print_summary(console: Console, run: FlowRun, *, page: str) -> bool:
    """Print the tables of a run.

    Returns:
        Whether the run completed.
    """
    tables = _tables(run)
    worked = bool(run.state and run.state.is_completed())
    console.print()
    for table in (_pulled(tables), _people(tables), _audiences(tables), _sent(tables)):
        if table.row_count:
            console.print(table)
    if worked:
        console.print("\n[green]Everything is in step.[/]")
    else:
        console.print(f"\n[red]The run did not complete:[/] {run.state.message if run.state else ''}", soft_wrap=True)
    console.print(f"See it in Prefect: {page}", soft_wrap=True)
    return worked


def _tables(run: FlowRun) -> list[Row]:
    """The rows of all table artifacts of a run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType

    ours = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]), type=ArtifactFilterType(any_=["table"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ours)
    in_order = sorted(found, key=lambda artifact: str(artifact.key))
    return [row for artifact in in_order for row in json.loads(str(artifact.data))]


def _pulled(rows: Sequence[Row]) -> Table:
    table = _table("Rows pulled", "source", "streams", "rows")
    streams: dict[str, list[int]] = {}
    for row in rows:
        if "stream" in row:
            streams.setdefault(str(row["source"]), []).append(int(str(row["rows"])))
    for source, counts in sorted(streams.items()):
        table.add_row(source, str(len(counts)), _number(sum(counts)))
    table.add_section()
    table.add_row("all", "", _number(sum(sum(counts) for counts in streams.values())))
    return table


def _people(rows: Sequence[Row]) -> Table:
    table = _table("People found", "records in", "people out")
    table.caption = "with visitors of the website who are known by their device only"
    table.caption_justify = "left"
    for row in rows:
        if "records" in row:
            table.add_row(_number(row["records"]), _number(row["people"]))
    return table


def _audiences(rows: Sequence[Row]) -> Table:
    table = _table("Audiences", "audience", "members")
    for row in rows:
        if "audience" in row:
            table.add_row(str(row["audience"]), _number(row["members"]))
    return table


def _sent(rows: Sequence[Row]) -> Table:
    table = _table("Rows sent", "sync", "accepted", "rejected", "suppressed", "status")
    for row in rows:
        if "sync" in row:
            counts = [_number(row[key]) for key in ("accepted", "rejected", "suppressed")]
            table.add_row(str(row["sync"]), *counts, str(row["status"]))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        words = column in {"source", "audience", "sync", "status"}
        table.add_column(column, justify="left" if words else "right", overflow="fold")
    return table


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
