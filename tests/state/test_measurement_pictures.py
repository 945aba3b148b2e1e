"""Cohorts, funnels and journeys, against the same worked out person by person."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from millstream.state.measurement.reading import read_measured
from millstream.state.measurement.rules import Funnel, Journey, MeasurementRules, Retention
from tests.engines import Engine
from tests.state.measured_world import AS_OF, ZONE, Event, World, shop

SEEN, TOLD = shop(seed=11, people=80, events=3_000)
NOT_DONE = ("Email Sent", "Order Cancelled")


@pytest.fixture
def world(engine: Engine) -> Iterator[World]:
    made = World(engine.connection())
    yield made
    made.connection.close()


def in_zone(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(ZONE)).date()


def begin_of(day: date, by: str) -> date:
    return day.replace(day=1) if by == "month" else day - timedelta(days=day.weekday())


def following(first: date, by: str, periods: int) -> date:
    if by == "week":
        return first + timedelta(weeks=periods)
    months = first.year * 12 + first.month - 1 + periods
    return date(months // 12, months % 12 + 1, 1)


def orders() -> dict[str, set[date]]:
    """The days on which each person bought something that was not cancelled."""
    latest: dict[tuple[str, str], Event] = {}
    for event in sorted(TOLD, key=lambda one: one.at):
        if event.name == "Order Completed":
            latest[event.who, event.properties["order_id"]] = event
    cancelled = {(one.who, one.properties["order_id"]) for one in TOLD if one.name == "Order Cancelled"}
    days: dict[str, set[date]] = {}
    for key, event in latest.items():
        if key not in cancelled:
            days.setdefault(event.who, set()).add(in_zone(event.at))
    return days


def cohorts(retention: Retention, first: date) -> set[tuple[date, int, int, int, bool]]:
    """Cohort, period, people, how many came back, and whether the period is over."""
    bought = orders()
    active: dict[str, set[date]] = {who: set(days) for who, days in bought.items()}
    for event in TOLD:
        if event.name not in NOT_DONE:
            active.setdefault(event.who, set()).add(in_zone(event.at))
    seen = active if retention.returns == "active" else bought
    starts = {who: in_zone(at) for who, at in SEEN.items()}
    if retention.start == "first_purchase":
        starts = {who: min(days) for who, days in bought.items()}
    people: dict[date, list[str]] = {}
    for who, day in starts.items():
        people.setdefault(begin_of(day, retention.by), []).append(who)
    today, told = in_zone(AS_OF), set()
    for cohort, members in people.items():
        for period in range(retention.periods + 1):
            begins, ends = (following(cohort, retention.by, number) for number in (period, period + 1))
            if cohort >= first and begins <= today:
                back = sum(any(begins <= day < ends for day in seen.get(who, ())) for who in members)
                told.add((cohort, period, len(members), back, ends <= today))
    return told


def test_cohorts_are_what_comes_of_counting_person_by_person(world: World) -> None:
    world.people(SEEN)
    world.events(TOLD)
    kinds = {
        f"{start}_{returns}_{by}": Retention(start=start, returns=returns, by=by, periods=periods)
        for start in ("first_seen", "first_purchase")
        for returns in ("active", "purchase")
        for by, periods in (("week", 9), ("month", 3))
    }
    world.rules = MeasurementRules(retention=kinds, history_days=100)
    world.measure()
    first = in_zone(AS_OF) - timedelta(days=99)
    for name, retention in kinds.items():
        found = world.rows(
            "SELECT cohort, period, people, active, complete FROM customers.retention WHERE retention = ?", name
        )
        assert len(found) >= 5
        assert set(found) == cohorts(retention, first), name


def reached(funnel: Funnel, since: datetime, within: timedelta) -> list[int]:
    """People who came to each step, by trying every first step."""
    mine: dict[str, list[Event]] = {}
    for event in TOLD:
        if event.at > since:
            mine.setdefault(event.who, []).append(event)
    furthest: Counter[str] = Counter()
    for who, events in mine.items():
        events.sort(key=lambda one: one.at)
        for start in events:
            if start.name not in funnel.steps[0].names():
                continue
            steps, now = 1, start.at
            for event in events:
                is_next = steps < len(funnel.steps) and event.name in funnel.steps[steps].names()
                if is_next and now < event.at <= start.at + within:
                    steps, now = steps + 1, event.at
            furthest[who] = max(furthest[who], steps)
    return [sum(steps >= number for steps in furthest.values()) for number in range(1, len(funnel.steps) + 1)]


@pytest.mark.parametrize("within", ["12h", "3d", "4w"])
def test_funnels_are_what_comes_of_trying_every_start(world: World, within: str) -> None:
    world.people(SEEN)
    world.events(TOLD)
    steps = ("Product Viewed", "Product Viewed", ["Product Added", "Checkout Started"], "Order Completed")
    funnel = Funnel.model_validate({"steps": steps, "within": within, "days": 60})
    world.rules = MeasurementRules(funnels={"buy": funnel})
    world.measure()
    span = {"12h": timedelta(hours=12), "3d": timedelta(days=3), "4w": timedelta(weeks=4)}[within]
    found = world.rows("SELECT step, event, people FROM customers.funnels ORDER BY step")
    assert [row[0] for row in found] == [1, 2, 3, 4]
    assert found[2][1] == "Product Added or Checkout Started"
    people = [row[2] for row in found]
    assert people == reached(funnel, AS_OF - timedelta(days=60), span)
    assert people == sorted(people, reverse=True)


def tell(world: World, *events: tuple[str, str, float]) -> None:
    """Who did what, so many hours before the run."""
    world.people(dict.fromkeys({who for who, _, _ in events}, AS_OF - timedelta(days=100)))
    world.events([Event(who, name, AS_OF - timedelta(hours=hours)) for who, name, hours in events])


def test_steps_at_the_same_moment_are_in_no_order(world: World) -> None:
    seen, added = "Product Viewed", "Product Added"
    tell(world, ("a", seen, 5), ("a", added, 5), ("b", seen, 5), ("b", added, 4), ("c", added, 5), ("c", seen, 5))
    world.rules = MeasurementRules(funnels={"add": Funnel.model_validate({"steps": [seen, added]})})
    world.measure()
    assert world.rows("SELECT people FROM customers.funnels ORDER BY step") == [(3,), (1,)]


def test_the_last_moment_of_the_time_counts(world: World) -> None:
    seen, added = "Product Viewed", "Product Added"
    tell(world, ("a", seen, 50), ("a", added, 26), ("b", seen, 50), ("b", added, 25))
    world.rules = MeasurementRules(funnels={"add": Funnel.model_validate({"steps": [seen, added], "within": "24h"})})
    world.measure()
    assert world.rows("SELECT people FROM customers.funnels ORDER BY step") == [(2,), (1,)]


def test_a_shop_has_a_funnel_and_journeys_without_being_asked(world: World) -> None:
    tell(world, ("a", "Product Viewed", 9), ("a", "Order Completed", 8), ("b", "Product Viewed", 9))
    world.measure()
    assert world.rows("SELECT funnel, event, people FROM customers.funnels ORDER BY step") == [
        ("shop", "Product Viewed", 2), ("shop", "Order Completed", 1),
    ]  # fmt: skip
    assert world.rows("SELECT journey, path, people FROM customers.journeys") == [
        ("to_purchase", "Product Viewed > Order Completed", 1)
    ]


def test_where_nobody_buys_there_is_no_funnel_of_a_shop(world: World) -> None:
    tell(world, ("a", "Product Viewed", 9), ("a", "Signed Up", 8))
    world.measure()
    assert world.rows("SELECT count(*) FROM customers.funnels") == [(0,)]
    assert world.rows("SELECT count(*) FROM customers.journeys") == [(0,)]


def ways(journey: Journey) -> Counter[str]:
    """Each person's way to their last goal, told step by step."""
    counted: Counter[str] = Counter()
    for who in SEEN:
        mine = sorted(
            ((one.at, number, one.name) for number, one in enumerate(TOLD) if one.who == who), key=lambda one: one[:2]
        )
        goals = sorted({at for at, _, name in mine if name in journey.goal.names()})
        if not goals or goals[-1] <= AS_OF - timedelta(days=journey.days):
            continue
        since = max([goals[-1] - timedelta(days=10), *goals[-2:-1]])
        way: list[str] = []
        for at, _, name in mine:
            if since < at < goals[-1] and name not in NOT_DONE and name not in journey.leave_out:
                way += [] if way and way[-1] == name else [name]
        counted[" > ".join([*way[-journey.events :], "Order Completed"])] += 1
    return counted


@pytest.mark.parametrize("leave_out", [(), ("Page Viewed", "Email Opened")])
def test_journeys_are_what_comes_of_following_each_person(world: World, leave_out: Sequence[str]) -> None:
    world.people(SEEN)
    world.events(TOLD)
    journey = Journey.model_validate(
        {"goal": "Order Completed", "events": 2, "within": "10d", "days": 60, "leave_out": leave_out, "top": 200}
    )
    world.rules = MeasurementRules(journeys={"buy": journey, "few": journey.model_copy(update={"top": 3})})
    world.measure()
    expected = ways(journey)
    assert len(expected) > 5
    assert dict(world.rows("SELECT path, people FROM customers.journeys WHERE journey = 'buy'")) == expected
    few = world.rows("SELECT path, people FROM customers.journeys WHERE journey = 'few' ORDER BY people DESC, path")
    assert few == sorted(expected.items(), key=lambda one: (-one[1], one[0]))[:3]


def test_one_picture_a_day_is_kept(world: World) -> None:
    tell(world, ("a", "Product Viewed", 9), ("a", "Order Completed", 8))
    for moment in (AS_OF, AS_OF + timedelta(hours=2), AS_OF + timedelta(days=1)):
        world.measure(as_of=moment)
    assert world.rows("SELECT DISTINCT as_of FROM customers.funnels ORDER BY 1") == [
        (AS_OF + timedelta(hours=2),), (AS_OF + timedelta(days=1),),
    ]  # fmt: skip


def test_what_the_project_no_longer_has_is_not_read_back(world: World) -> None:
    world.people(SEEN)
    world.events(TOLD)
    world.rules = MeasurementRules.model_validate(
        {"funnels": {"shop": {"steps": ["Product Viewed", "Order Completed"]}}, "journeys": {}}
    )
    world.measure(as_of=AS_OF - timedelta(days=1))
    assert {one.funnel for one in read_measured(world.connection, since=AS_OF.date()).funnels} == {"shop"}
    world.rules = MeasurementRules.model_validate({"funnels": {}, "retention": {}, "journeys": {}})
    world.measure()
    now = read_measured(world.connection, since=AS_OF.date())
    assert (now.funnels, now.retention) == ((), ())
    assert world.rows("SELECT count(*) > 0 FROM customers.funnels") == [(True,)], "history stays"


def test_cohorts_begin_on_mondays_and_firsts(world: World) -> None:
    """Nobody is told of a week or month of which only a part is looked at."""
    draw = random.Random(5)
    begin = datetime(2025, 12, 20, tzinfo=UTC)
    world.people({f"p{number}": begin + timedelta(hours=draw.randrange(4_000)) for number in range(60)})
    kinds = {"weeks": Retention(by="week"), "months": Retention(by="month")}
    world.rules = MeasurementRules(retention=kinds, history_days=90)
    world.measure()
    weeks = [day for (day,) in world.rows("SELECT DISTINCT cohort FROM customers.retention WHERE retention = 'weeks'")]
    assert min(weeks) == date(2026, 3, 16)
    world.rules = MeasurementRules(retention=kinds, history_days=87)  # begins on that Monday
    world.measure()
    assert world.rows("SELECT min(cohort) FROM customers.retention WHERE retention = 'weeks'") == [(min(weeks),)]
    assert all(day.weekday() == 0 for day in weeks)
    months = world.rows("SELECT DISTINCT cohort FROM customers.retention WHERE retention = 'months' ORDER BY 1")
    assert months == [(date(2026, 4, 1),), (date(2026, 5, 1),), (date(2026, 6, 1),)]


def test_a_period_is_over_with_its_last_day(world: World) -> None:
    world.people({"a": datetime(2026, 5, 20, tzinfo=UTC)})
    world.rules = MeasurementRules(retention={"months": Retention()}, history_days=90)
    told = "SELECT period, complete FROM customers.retention WHERE as_of = CAST(? AS TIMESTAMPTZ) ORDER BY period"
    last, first = datetime(2026, 6, 1, 3, tzinfo=UTC), datetime(2026, 6, 1, 5, tzinfo=UTC)
    world.measure(as_of=last)  # of May, in New York
    assert world.rows(told, last) == [(0, False)]
    world.measure(as_of=first)
    assert world.rows(told, first) == [(0, True), (1, False)]
