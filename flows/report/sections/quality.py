"""Quality: how much of the data passes its checks, how that changes, and days with odd counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Section, Table
from millstream.flows.report.facts.quality import Checked, QualityFacts, Subject
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    FEW,
    NOTHING,
    day,
    is_few,
    moment,
    people_count,
    percent,
    rough,
    whole,
    words,
)

_PEOPLE = "people"
"""What is checked of people as a whole, whatever source said it."""
_OF_PEOPLE = ("completeness", "freshness")
"""Where people as a whole are checked one by one: else it is their records and values."""
_MEANING = {
    "completeness": "a value is there",
    "validity": "it can be what it says it is",
    "uniqueness": "it is there once",
    "freshness": "it was confirmed lately",
    "consistency": "sources agree",
    "conformance": "events keep to the tracking plan",
    "integrity": "what it refers to is there",
}


def quality_section(data: ReportData) -> Section:
    """How good the data are."""
    quality, title = data.quality, "Quality of the data"
    if quality is None:
        missing = Missing(
            "Here stands how complete, valid, fresh and consistent the data are, by source and over time, once they "
            "were audited.",
            "millstream audit",
        )
        return Section("quality", title, "", (missing,))
    checked, failed = (sum(getattr(one, what) for one in quality.checked) for what in ("checked", "failed"))
    lead = f"{whole(checked)} checks on {moment(quality.as_of)}, of which {whole(failed)} failed."
    return Section("quality", title, lead, tuple(_blocks(quality)))


def _blocks(quality: QualityFacts) -> Iterator[Block]:
    if quality.checked:
        yield _by_source(quality)
    if len({when for when, _, _ in quality.history}) > 1:
        yield _history(quality)
    else:
        yield Missing(
            "Quality over time is drawn from the second day on which the data are audited.", "millstream audit"
        )
    if quality.worst:
        yield Table(
            "Where most is amiss",
            ("what", "source", "kind of check", "failed", "checked", "passed"),
            tuple(
                (words(one.subject), one.source or _PEOPLE, one.dimension, *_told(one))
                for one in quality.worst
            ),
            frozenset({3, 4, 5}),
        )  # fmt: skip
    if len({when for when, _, _ in quality.counts}) > 1:
        yield _counts(quality)
    if quality.anomalies:
        yield Table(
            "Days with far more or fewer rows than usual",
            ("day", "source", "what", "rows", "expected"),
            tuple(
                (day(one.day), one.source, one.name, whole(one.rows),
                 NOTHING if one.expected is None else whole(one.expected))
                for one in quality.anomalies
            ),
            frozenset({3, 4}),
        )  # fmt: skip


def _told(one: Subject) -> tuple[str, str, str]:
    """Failed, checked and passed; of people neither how few fail nor how few pass."""
    of_people = one.dimension == "consistency" or (not one.source and one.dimension in _OF_PEOPLE)
    if of_people and (is_few(one.failed) or is_few(one.checked - one.failed)):
        failed = FEW if is_few(one.failed) else NOTHING
        return failed, people_count(one.checked), NOTHING
    return whole(one.failed), whole(one.checked), percent(one.score)


def _each_source(checked: Sequence[Checked]) -> list[Checked]:
    """What two sources say of the same people counts for either: there are far more pairs than sources."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for one in checked:
        for source in one.source.split(" / "):
            known, bad = sums.get((one.dimension, source), (0, 0))
            sums[one.dimension, source] = (known + one.checked, bad + one.failed)
    return [
        Checked(dimension, source, known, bad, 1 - bad / known) for (dimension, source), (known, bad) in sums.items()
    ]


def _by_source(quality: QualityFacts) -> Chart:
    """Failures are what has to be seen: the deeper a cell, the more fails."""
    checked = _each_source(quality.checked)
    sources = sorted({one.source for one in checked})
    dimensions = [name for name in _MEANING if any(one.dimension == name for one in checked)]
    found = {(one.dimension, one.source): one for one in checked}
    cells, rows = [], []
    for dimension in dimensions:
        told = []
        for source in sources:
            one = found.get((dimension, source))
            told.append(percent(one.score) if one else NOTHING)
            if one:
                hint = f"{percent(one.score)} {_MEANING[dimension]}; {whole(one.failed)} of {whole(one.checked)} failed"
                cells.append(charts.Cell(dimension, source or _PEOPLE, 1 - one.score, rough(one.score), hint))
        rows.append((f"{dimension}: {_MEANING[dimension]}", *told))
    lowest = min(checked, key=lambda one: one.score)
    return Chart(
        title="Passed, by kind of check and source; the deeper, the more fails",
        description=f"A table of scores. The lowest is {lowest.dimension} of {lowest.source or _PEOPLE} with "
        f"{percent(lowest.score)}.",
        specification=charts.heat(cells, most=0.5),
        table=Table(
            "Passed", ("kind of check", *(source or _PEOPLE for source in sources)), tuple(rows),
            frozenset(range(1, len(sources) + 1)),
        ),
        least_width=110 + 78 * len(sources),
        wide=len(sources) > 5,
    )  # fmt: skip


def _history(quality: QualityFacts) -> Chart:
    names = [name for name in _MEANING if any(one == name for _, one, _ in quality.history)]
    lowest = min(score for _, _, score in quality.history)
    shown = sorted(names, key=lambda name: min(score for _, one, score in quality.history if one == name))
    days = sorted({when for when, _, _ in quality.history})
    found = {(when, name): score for when, name, score in quality.history}
    return Chart(
        title="Failed over time",
        description=f"Lines of the share that failed from {day(days[0])} to {day(days[-1])}; the most was "
        f"{percent(1 - lowest)}.",
        specification=charts.lines(
            [
                charts.Point(name, when, 1 - found[when, name], f"{percent(1 - found[when, name])} failed")
                for name in shown
                for when in days
                if (when, name) in found
            ],
            axis_format=".0%" if lowest < 0.9 else ".1%",
        ),
        table=Table(
            "Passed over time",
            ("day", *names),
            tuple((day(when), *(percent(found.get((when, name))) for name in names)) for when in reversed(days)),
            frozenset(range(1, len(names) + 1)),
        ),
    )


def _counts(quality: QualityFacts) -> Chart:
    totals: dict[str, int] = {}
    for _, source, rows in quality.counts:
        totals[source] = totals.get(source, 0) + rows
    shown = sorted(totals, key=lambda source: -totals[source])[: charts.MOST_SERIES]
    odd = {(one.day, one.source) for one in quality.anomalies}
    days = sorted({when for when, _, _ in quality.counts})
    found = {(when, source): rows for when, source, rows in quality.counts}
    return Chart(
        title="Events by day and source; odd days have a ring",
        description=f"Lines of daily events of {len(shown):,} sources from {day(days[0])} to {day(days[-1])}; "
        f"{len(odd):,} days are out of the ordinary.",
        specification=charts.lines(
            [
                charts.Point(
                    source, when, found[when, source], whole(found[when, source]), marked=(when, source) in odd
                )
                for source in shown
                for when in days
                if (when, source) in found
            ]
        ),
        table=Table(
            "Events by day",
            ("day", *shown),
            tuple((day(when), *(whole(found.get((when, source), 0)) for source in shown)) for when in reversed(days)),
            frozenset(range(1, len(shown) + 1)),
        ),
        wide=True,
    )
