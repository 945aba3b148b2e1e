"""The figures at the top: people, how many can be reached, audiences, and the figure that counts most."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from millstream.flows.report.blocks import Block, Missing, Section, Tile, Tiles
from millstream.flows.report.facts.results import Figure
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    SMALLEST_GROUP,
    change,
    compact,
    day,
    figure_value,
    is_few,
    people_count,
    people_share,
    percent,
    points,
    titled,
    words,
)

_TREND_DAYS, _MONTH = 90, timedelta(days=30)
_CHANNELS = 3


def headline(data: ReportData) -> Section:
    """What somebody who has ten seconds should see."""
    tiles = tuple(_tiles(data))
    blocks: list[Block] = [Tiles(tiles)] if tiles else []
    if not data.people:
        blocks.append(Missing("Nobody is known yet: pull the sources and work out who is who.", "millstream run"))
    if data.results and not data.results.north_star:
        blocks.append(
            Missing(
                "The figure that counts most stands here once the project file names it under "
                "`measurement: north_star`.",
                "millstream measure",
            )
        )
    return Section("headline", "At a glance", "", tuple(blocks))


def _tiles(data: ReportData) -> Iterator[Tile]:
    star = data.results.north_star if data.results else None
    if star:
        yield _of_figure(star, data.currency)
    people = data.people
    if people:
        counts: list[float] = []
        for _, new in people.known_by:
            counts.append(new + (counts[-1] if counts else 0))
        merged = people_share(people.merged, people.people)
        yield Tile(
            "People", compact(people.people) if not is_few(people.people) else people_count(people.people),
            f"{merged} of them from several records", tuple(counts[-24:]),
        )  # fmt: skip
        for reach in [one for one in people.reach if one.reachable >= SMALLEST_GROUP][:_CHANNELS]:
            yield Tile(
                f"Reachable by {words(reach.channel)}",
                people_count(reach.reachable),
                f"{people_share(reach.reachable, people.people)} of people, for {words(reach.topic)}",
            )
    if data.audiences:
        yield Tile(
            "In an audience",
            people_count(data.audiences.anybody),
            f"of {len(data.audiences.audiences):,} audiences"
            + (f", {people_share(data.audiences.anybody, people.people)} of people" if people else ""),
        )


def _of_figure(figure: Figure, currency: str | None) -> Tile:
    """The north star with its change in a month. Means and shares of small groups are not told."""
    known = [one for one in figure.days if one.value is not None and not (one.of is not None and is_few(one.of))]
    if not known:
        return Tile(titled(figure.name), "not yet", "no day has a value so far")
    latest = known[-1]
    earlier = [one for one in known if one.day <= latest.day - _MONTH]
    assert latest.value is not None
    note = f"on {day(latest.day)}"
    if earlier and earlier[-1].value is not None:
        note = f"{_changed(latest.value, earlier[-1].value, figure)} in 30 days, {note}"
    shown = figure_value(latest.value, figure.unit, currency)
    if figure.of_people and is_few(latest.value):
        shown = people_count(int(latest.value))
    trend = tuple(_drawn(float(one.value), figure) for one in known[-_TREND_DAYS:] if one.value is not None)
    return Tile(titled(figure.name), shown, note, trend)


def _drawn(value: float, figure: Figure) -> float:
    return 0.0 if figure.of_people and is_few(value) else value


def _changed(now: float, before: float, figure: Figure) -> str:
    if figure.unit == "share":
        return f"{points(now - before)} points"
    if figure.of_people and (abs(now - before) < SMALLEST_GROUP or is_few(before) or is_few(now)):
        return change(int(now), int(before))
    if figure.unit == "score" or not before:
        return f"{now - before:+,.1f}"
    return ("+" if now >= before else "") + percent((now - before) / before)
