"""The report as Prefect artifacts: one page of Markdown, and each table by itself, with the page's own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from millstream.flows.report.blocks import Block, Chart, Missing, Note, Section, Table, Tiles
from millstream.flows.report.numbers import moment

if TYPE_CHECKING:
    from millstream.flows.report.writing import ReportRun

_LONGEST = 40
"""Rows of a table that stand in Markdown; the page has all of them."""
_MARKS = re.compile(r"([\\`*_\[\]#|])")


def publish_report(project: str, report: ReportRun) -> None:
    """Leave the report in Prefect's UI, under keys that each run of it uses again."""
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    from millstream.flows.artifacts.writing import artifact_key

    key = artifact_key(project, "report")
    create_markdown_artifact(
        markdown(project, report), key=key, description=f"What is known of customers, as of {moment(report.as_of)} UTC"
    )
    for section in report.sections:
        for table in standing_tables(section):
            rows = [dict(zip(table.heads, row, strict=True)) for row in table.rows]
            create_table_artifact(rows, key=artifact_key(key, table.caption), description=plain(table.caption))


def markdown(project: str, report: ReportRun) -> str:
    """The whole report as Markdown; charts as the tables behind them."""
    parts = [f"# {plain(project)}: customers", f"As of {moment(report.as_of)} UTC. The page: `{report.path}`"]
    for section in report.sections:
        parts += [f"## {plain(section.title)}", plain(section.lead)]
        parts += [part for block in section.blocks for part in _parts(block)]
    return "\n\n".join(part for part in parts if part)


def standing_tables(section: Section) -> Sequence[Table]:
    """The headline figures as a table, and the tables that do not stand behind a chart."""
    tiles = section.tiles()
    headline = Table(
        section.title, ("figure", "value", "note"), tuple((one.label, one.value, one.note) for one in tiles)
    )
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return [headline, *tables] if tiles else tables


def plain(text: str) -> str:
    """Text in which neither HTML nor Markdown means anything; it may come from anybody."""
    return _MARKS.sub(r"\\\1", escape(text, quote=False)).replace("\n", " ")


def _parts(block: Block) -> Iterator[str]:
    match block:
        case Tiles(tiles):
            heads = ("figure", "value", "note")
            yield _table(Table("", heads, tuple((one.label, one.value, one.note) for one in tiles), frozenset({1})))
        case Chart(title=title, table=table):
            yield f"### {plain(title)}"
            yield _table(table)
        case Table(caption=caption):
            yield f"### {plain(caption)}"
            yield _table(block)
        case Note(text):
            yield plain(text)
        case Missing(what, command):
            yield f"{plain(what)} Run `{command}`."


def _table(table: Table) -> str:
    sides = ["---:" if column in table.numbers else "---" for column in range(len(table.heads))]
    rows = [[plain(cell) for cell in row] for row in table.rows[:_LONGEST]]
    lines = ["| " + " | ".join(line) + " |" for line in ([plain(head) for head in table.heads], sides, *rows)]
    left = len(table.rows) - _LONGEST
    return "\n".join(lines) + (f"\n\n{left:,} more rows are on the page." if left > 0 else "")
