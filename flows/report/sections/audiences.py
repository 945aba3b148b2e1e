"""Audiences: sizes, changes, history and overlap."""

from __future__ import annotations

from collections.abc import Iterator

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Section, Table
from millstream.flows.report.facts.audiences import AudiencesFacts
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    NOTHING,
    SMALLEST_GROUP,
    change,
    day,
    drawn,
    is_few,
    people_count,
    rough,
    words,
)


def audiences_section(data: ReportData) -> Section:
    """Who may be addressed about what."""
    audiences, title = data.audiences, "Audiences"
    if audiences is None:
        missing = Missing(
            "Here stand the audiences of the project file with their sizes, once they were computed.",
            "millstream select",
        )
        return Section("audiences", title, "", (missing,))
    lead = (
        f"{people_count(audiences.anybody)} people are in at least one of {len(audiences.audiences):,} audiences. "
        "Changes are those of the last seven days."
    )
    return Section("audiences", title, lead, tuple(_blocks(audiences)))


def _blocks(audiences: AudiencesFacts) -> Iterator[Block]:
    yield Table(
        "Audiences, the largest first",
        ("audience", "members", "change", "entered", "left", "rule since", "who is in it"),
        tuple(
            (words(one.name), people_count(one.size), change(one.size, one.before), people_count(one.entered),
             people_count(one.left), day(one.rule_since), one.description)
            for one in audiences.audiences
        ),
        frozenset({1, 2, 3, 4}),
    )  # fmt: skip
    yield _sizes(audiences)
    large = {one.name for one in audiences.audiences if one.size >= SMALLEST_GROUP}
    if len({when for name, when, _ in audiences.sizes if name in large}) > 1:
        yield _history(audiences)
    else:
        yield Missing(
            "Sizes over time are drawn from the second day on which audiences are computed.", "millstream run"
        )
    if len(audiences.overlap.audiences) > 1:
        yield _overlap(audiences)


def _sizes(audiences: AudiencesFacts) -> Chart:
    told = [(words(one.name), one.size) for one in audiences.audiences]
    largest = told[0] if told else ("none", 0)
    return Chart(
        title="Members now",
        description=f"Bars of members; the largest audience is {largest[0]} with {people_count(largest[1])}.",
        specification=charts.bars([charts.Bar(name, drawn(size), people_count(size)) for name, size in told]),
        table=Table(
            "Members now",
            ("audience", "members"),
            tuple((name, people_count(size)) for name, size in told),
            frozenset({1}),
        ),
    )


def _history(audiences: AudiencesFacts) -> Chart:
    shown = [one.name for one in audiences.audiences if one.size >= SMALLEST_GROUP][: charts.MOST_SERIES]
    by_name = {name: {when: size for one, when, size in audiences.sizes if one == name} for name in shown}
    points = [
        charts.Point(words(name), when, drawn(size), people_count(size))
        for name in shown
        for when, size in by_name[name].items()
    ]
    days = sorted({when for _, when, _ in audiences.sizes})
    rows = tuple(
        (day(when), *(people_count(by_name[name][when]) if when in by_name[name] else NOTHING for name in shown))
        for when in reversed(days)
    )
    first = " of the largest" if len(audiences.audiences) > len(shown) else ""
    return Chart(
        title="Members over time",
        description=f"Lines of the members{first} of {len(shown)} audiences from {day(days[0])} to {day(days[-1])}.",
        specification=charts.lines(points),
        table=Table("Members over time", ("day", *map(words, shown)), rows, frozenset(range(1, len(shown) + 1))),
    )


def _overlap(audiences: AudiencesFacts) -> Chart:
    matrix = audiences.overlap
    cells, rows = [], []
    for down, one in enumerate(matrix.audiences):
        size = matrix.both[down][down]
        told = []
        for across, other in enumerate(matrix.audiences):
            both = matrix.both[down][across]
            hidden = is_few(both) or is_few(size) or is_few(size - both)
            part = both / size if size and not hidden else None
            told.append(people_count(both))
            hint = f"{people_count(both)} of {words(one)} are in {words(other)}"
            text = NOTHING if part is None else rough(part)
            if one == other:
                part, text, hint = None, "", f"{people_count(size)} are in {words(one)}"
            cells.append(charts.Cell(words(one), words(other), part, text, hint))
        rows.append((words(one), *told))
    pairs = [pair for pair in matrix.pairs() if not is_few(pair.both) and pair.both]
    most = (
        f"The closest are {words(pairs[0].first)} and {words(pairs[0].second)}, with "
        f"{people_count(pairs[0].both)} people in both."
        if pairs
        else "No two of them share people."
    )
    return Chart(
        title="Overlap: who of the row is in the column as well",
        description=f"A table of shares, the deeper the larger. {most}",
        specification=charts.heat(cells),
        table=Table(
            "People in both", ("audience", *map(words, matrix.audiences)), tuple(rows),
            frozenset(range(1, len(rows) + 1)),
        ),
        wide=True,
        least_width=120 + 62 * len(rows),
    )  # fmt: skip
