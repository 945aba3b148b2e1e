"""People and sources: where records come from, how they become people, and how far people come."""

from __future__ import annotations

from collections.abc import Iterator

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Section, Table
from millstream.flows.report.facts.people import MOST_RECORDS, PeopleFacts, Step
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import day, drawn, people_count, people_share, share, whole, words


def people_section(data: ReportData) -> Section:
    """Who is known."""
    people = data.people
    if people is None:
        missing = Missing("Here stands who is known, by source, once records were pulled and joined.", "millstream run")
        return Section("people", "People and sources", "", (missing,))
    lead = (
        f"{whole(people.records)} records of {len(people.sources):,} sources are {people_count(people.people)} people. "
        f"{people_count(people.merged)} of them were known under more than one record."
    )
    return Section("people", "People and sources", lead, tuple(_blocks(people)))


def _blocks(people: PeopleFacts) -> Iterator[Block]:
    yield _funnel(people)
    yield _spread(people)
    if len(people.known_by) > 1:
        yield _growth(people)
    yield Table(
        "Records by source",
        ("source", "records", "people", "known by it alone", "latest record"),
        tuple(
            (one.source, whole(one.records), people_count(one.people), people_count(one.alone), day(one.newest))
            for one in people.sources
        ),
        frozenset({1, 2, 3}),
    )
    if people.reach:
        yield Table(
            "Consent by channel",
            ("channel", "for", "said yes", "of them reachable", "said no"),
            tuple(
                (words(one.channel), words(one.topic), people_count(one.granted), people_count(one.reachable),
                 people_count(one.denied))
                for one in people.reach
            ),
            frozenset({2, 3, 4}),
        )  # fmt: skip
    else:
        yield Missing(
            "No source says who may be addressed: nobody is sent anything that needs consent.", "millstream ingest"
        )


def _funnel(people: PeopleFacts) -> Chart:
    steps = people.funnel
    values = [charts.Bar(one.name, drawn(one.count) if one.of_people else one.count, _told(one)) for one in steps]
    rows = []
    for number, one in enumerate(steps):
        before = steps[number - 1] if number else None
        # Records become people at the third step: that is no share of one in the other.
        kept = before is not None and before.of_people == one.of_people
        part = share(one.count, before.count) if kept and before and not one.of_people else ""
        if kept and before and one.of_people:
            part = people_share(one.count, before.count)
        rows.append((one.name, _told(one), part))
    last = steps[-1]
    return Chart(
        title="From records to delivery",
        description=f"Bars, each a part of the one before among people: from {whole(people.records)} records over "
        f"{people_count(people.people)} people to {_told(last)} whom a destination holds.",
        specification=charts.bars(values),
        table=Table(
            "From records to delivery", ("step", "count", "of the step before"), tuple(rows), frozenset({1, 2})
        ),
    )


def _told(step: Step) -> str:
    return people_count(step.count) if step.of_people else whole(step.count)


def _spread(people: PeopleFacts) -> Chart:
    def name(records: int) -> str:
        if records >= MOST_RECORDS:
            return f"{MOST_RECORDS} or more"
        return "1 record" if records == 1 else f"{records} records"

    told = [(name(records), count) for records, count in people.spread]
    return Chart(
        title="Records a person is made of",
        description=f"Bars of people by how many records they have; {people_count(people.merged)} have several.",
        specification=charts.bars([charts.Bar(label, drawn(count), people_count(count)) for label, count in told]),
        table=Table(
            "Records a person is made of",
            ("records", "people", "share"),
            tuple((label, people_count(count), people_share(count, people.people)) for label, count in told),
            frozenset({1, 2}),
        ),
    )


def _growth(people: PeopleFacts) -> Chart:
    months = [(month, new) for month, new in people.known_by][-36:]
    known = sum(new for _, new in people.known_by[: -len(months)])
    points, rows = [], []
    for month, new in months:
        known += new
        points.append(charts.Point("people", month, drawn(known), people_count(known)))
        rows.append((f"{month:%b %Y}", people_count(new), people_count(known)))
    return Chart(
        title="People known, by the month of their first sign",
        description=f"A line that rises to {people_count(known)} people in {months[-1][0]:%B %Y}.",
        specification=charts.lines(points),
        table=Table("People known", ("month", "new", "known by then"), tuple(rows), frozenset({1, 2})),
        wide=True,
    )
