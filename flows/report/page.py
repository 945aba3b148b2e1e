"""The page: one HTML file with everything in it, which asks nothing of any network.

What comes from the project is text, and is escaped wherever it stands. Were an escape missing, the page's own policy
would still forbid it to run: only the scripts whose hashes it names do, and nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import vl_convert

from millstream.flows.report.blocks import Chart, Missing, Note, Section, Specification, Table, Tile, Tiles
from millstream.flows.report.numbers import SMALLEST_GROUP, moment

_LONG = 15
"""Tables with more rows are folded up."""
_HALF, _SENTENCE = 70, 32
"""Letters that fit into half of the page, and that stand on one line."""
_CODE = re.compile(r"`([^`]+)`")


def page_html(project: str, as_of: datetime, sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        project: The project's name.
        as_of: The time of the report, aware.
        sections: What it holds.
    """
    charts = [block for section in sections for block in section.blocks if isinstance(block, Chart)]
    numbers = {id(chart): number for number, chart in enumerate(charts)}
    script = _script() if charts else ""
    title = escape(f"{project}: customers")
    moment_of = f'<time datetime="{as_of.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}">{moment(as_of)}</time>'
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{title}</title>",
            f"<style>{_asset('page.css')}</style>",
            "</head>",
            "<body>",
            '<a class="skip" href="#main">Skip to the figures</a>',
            f"<header><h1>{title}</h1><p>As of {moment_of} UTC</p></header>",
            _navigation(sections),
            '<main id="main">',
            *(_section(section, numbers) for section in sections),
            "</main>",
            _footer(),
            *_scripts(script, [compiled(chart.specification) for chart in charts]),
            "</body>",
            "</html>",
            "",
        ]
    )


def compiled(specification: Specification) -> dict[str, Any]:
    """A chart as Vega, so that the page needs not work it out when it is opened."""
    made: dict[str, Any] = vl_convert.vegalite_to_vega(dict(specification))
    made.pop("$schema", None)
    return made


def embedded(value: object) -> str:
    """JSON that can stand in a script element: nothing in it can end the element, or open a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _script() -> str:
    """Vega and what draws the charts, in one; it takes a second or two to make."""
    made: str = vl_convert.javascript_bundle(_asset("page.js"))
    return made.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _scripts(script: str, charts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not script:
        return
    yield "<noscript><p>The charts need JavaScript; their numbers stand in the tables below them.</p></noscript>"
    yield f'<script type="application/json" id="charts">{embedded(charts)}</script>'
    yield f'<script type="module">{script}</script>'


@cache
def _asset(name: str) -> str:
    return files("millstream.flows.report").joinpath(name).read_text(encoding="utf-8")


def _navigation(sections: Sequence[Section]) -> str:
    links = "".join(f'<li><a href="#{escape(one.id)}">{escape(one.title)}</a></li>' for one in sections)
    return f'<nav aria-label="Parts of the report"><ol>{links}</ol></nav>'


def _section(section: Section, numbers: Mapping[int, int]) -> str:
    name, kind = escape(section.id), ' class="headline"' if section.id == "headline" else ""
    lead = f'<p class="lead">{_words(section.lead)}</p>' if section.lead else ""
    blocks = "\n".join(_block(block, numbers) for block in section.blocks)
    return (
        f'<section id="{name}"{kind} aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{escape(section.title)}</h2>'
        f'{lead}\n<div class="blocks">\n{blocks}\n</div>\n</section>'
    )


def _block(block: Tiles | Chart | Table | Note | Missing, numbers: Mapping[int, int]) -> str:
    match block:
        case Tiles(tiles):
            return f'<dl class="tiles">{"".join(map(_tile, tiles))}</dl>'
        case Chart():
            return _chart(block, numbers[id(block)])
        case Table(caption=caption, rows=rows):
            if len(rows) > _LONG:
                summary = f"<summary>{_words(caption)} ({len(rows):,} rows)</summary>"
                return f'<details class="wide">{summary}{_table(block)}</details>'
            wide = ' class="wide"' if _is_wide(block) else ""
            return f"<div{wide}>{_table(block)}</div>"
        case Note(text):
            return f'<p class="said wide">{_words(text)}</p>'
        case Missing(what, command):
            return f'<p class="missing wide">{_words(what)} Run <code>{escape(command)}</code>.</p>'


def _tile(tile: Tile) -> str:
    note = f'<dd class="note">{escape(tile.note)}</dd>' if tile.note else ""
    return (
        f'<div class="tile"><dt>{escape(tile.label)}</dt><dd class="value">{escape(tile.value)}</dd>{note}'
        f"{_trend(tile.trend)}</div>"
    )


def _trend(values: Sequence[float]) -> str:
    """A line without axes, from zero where the values are not below it; its numbers stand beside it."""
    if len(values) < 3:
        return ""
    low, high = min(0.0, *values), max(values)
    tall = (high - low) or 1.0
    step = 100 / (len(values) - 1)
    path = " L".join(f"{place * step:.1f} {30 - 28 * (value - low) / tall:.1f}" for place, value in enumerate(values))
    return (
        '<dd aria-hidden="true"><svg class="trend" viewBox="0 0 100 32" preserveAspectRatio="none">'
        f'<path d="M{path}"/></svg></dd>'
    )


def _chart(chart: Chart, number: int) -> str:
    wide = ' class="wide"' if chart.wide else ""
    height = chart.specification.get("height", 200)
    least = f" min-width: {chart.least_width}px;" if chart.least_width else ""
    # Vega writes a role and a label of its own on the element that it draws into.
    plot = (
        f'<div class="plot" role="img" aria-label="{escape(chart.description)}" style="min-height: {height}px;{least}">'
        f'<div data-chart="{number}"></div></div>'
    )
    if chart.least_width:
        plot = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(chart.title)}">{plot}</div>'
    return (
        f"<figure{wide}><figcaption><h3>{_words(chart.title)}</h3></figcaption>{plot}"
        f"<details><summary>The numbers</summary>{_table(chart.table)}</details></figure>"
    )


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"{_side(column, table)}>{escape(head)}</th>' for column, head in enumerate(table.heads)
    )
    rows = "".join(f"<tr>{_cells(row, table)}</tr>" for row in table.rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.caption.replace("`", ""))}"><table>'
        f"<caption>{_words(table.caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _is_wide(table: Table) -> bool:
    """Whether it needs more than half of the page."""
    longest = [max(map(len, column)) for column in zip(table.heads, *table.rows, strict=True)]
    return sum(longest) + 3 * len(longest) > _HALF


def _cells(row: Sequence[str], table: Table) -> str:
    first, *others = row
    cells = "".join(
        f"<td{_side(column, table, cell)}>{escape(cell)}</td>" for column, cell in enumerate(others, start=1)
    )
    return f'<th scope="row">{escape(first)}</th>{cells}'


def _side(column: int, table: Table, cell: str = "") -> str:
    """Numbers stand to the right; long texts may be broken."""
    if column in table.numbers:
        return ' class="number"'
    return ' class="text"' if len(cell) > _SENTENCE else ""


def _words(text: str) -> str:
    """Escaped text, in which what stands between backticks is a command or a name."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _footer() -> str:
    import millstream

    return (
        f"<footer><p>Made by Millstream {escape(millstream.__version__)} from counts only: nobody is named here, and "
        f"groups of fewer than {SMALLEST_GROUP} people are not told. Records, rows and checks are counted as they are. "
        "Times are in UTC.</p></footer>"
    )
