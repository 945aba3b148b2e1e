"""Key figures by day, against the same computed by pandas from the same events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from millstream.state.errors import ConfigurationError, QueryError
from millstream.state.measurement.own_figures import checked_figure_sql
from millstream.state.measurement.reading import MeasuredNow, read_measured
from millstream.state.measurement.rules import MeasurementRules, OwnFigure
from millstream.state.profiles.people_view import create_people_view
from millstream.state.traits.rules import TraitRules
from tests.engines import Engine
from tests.state.measured_world import AS_OF, ZONE, Event, World, frame, shop

NOT_DONE = ("Email Sent", "Order Cancelled")
TODAY = AS_OF.date()
SEEN, TOLD = shop()
EVENTS = frame(TOLD)
Days = dict[date, float | None]


@pytest.fixture
def world(engine: Engine) -> Iterator[World]:
    made = World(engine.connection())
    yield made
    made.connection.close()


@pytest.fixture
def measured(world: World) -> World:
    world.people(SEEN)
    world.events(TOLD)
    world.rules = MeasurementRules.model_validate(
        {
            "north_star": "viewers",
            "figures": {
                "viewers": {"event": "Product Viewed", "count": "people", "window_days": 14},
                "views": {"event": "Product Viewed"},
                "paid": {"event": "Order Completed", "count": "value", "window_days": 3, "unit": "EUR"},
                "by_sql": {"sql": "SELECT CAST(happened_at AS DATE) AS day, count(*) AS value FROM events GROUP BY 1"},
            },
        }
    )
    world.measure()
    return world


def purchases() -> pd.DataFrame:
    """One row an order: its latest event, without those cancelled."""
    orders = EVENTS[EVENTS["name"] == "Order Completed"].copy()
    orders["order"] = [one["order_id"] for one in orders["properties"]]
    gone = EVENTS[EVENTS["name"] == "Order Cancelled"]
    cancelled = {(who, one["order_id"]) for who, one in zip(gone["who"], gone["properties"], strict=True)}
    latest = orders.sort_values(["at", "number"]).groupby(["who", "order"]).tail(1)
    return latest[[(who, order) not in cancelled for who, order in zip(latest["who"], latest["order"], strict=True)]]


def days_from(first: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((TODAY - first).days + 1)]


def within(rows: pd.DataFrame, day: date, days: int) -> pd.DataFrame:
    return rows[(rows["day"] <= day) & (rows["day"] > day - timedelta(days=days))]


@cache
def expected(name: str) -> dict[date, float | None]:
    """A figure by day, from the first on which there is something to tell."""
    done, bought = EVENTS[~EVENTS["name"].isin(NOT_DONE)], purchases()
    answers = EVENTS[EVENTS["name"] == "Survey Responded"].copy()
    answers["score"] = [one.get("nps_score") for one in answers["properties"]]
    born = pd.DataFrame({"day": [at.astimezone(ZoneInfo(ZONE)).date() for at in SEEN.values()]})

    def of(day: date) -> tuple[float, float | None]:
        if name == "people":
            return float((born["day"] <= day).sum()), None
        if name == "new_people":
            return float((born["day"] == day).sum()), None
        if name.startswith("active_people_"):
            window = {"daily": 1, "weekly": 7, "monthly": 30}[name.rpartition("_")[2]]
            return float(within(done, day, window)["who"].nunique()), None
        if name == "buyers":
            return float(within(bought, day, 1)["who"].nunique()), None
        if name == "orders":
            return float(len(within(bought, day, 1))), None
        if name == "revenue":
            return float(within(bought, day, 1)["value"].sum()), None
        if name == "average_order":
            paid = within(bought, day, 1)["value"].dropna()
            return float(paid.sum()), float(len(paid))
        if name == "conversion_rate":
            return float(within(bought, day, 30)["who"].nunique()), float(within(done, day, 30)["who"].nunique())
        if name == "lifetime_value":
            until = bought[bought["day"] <= day]
            return float(until["value"].sum()), float(until["who"].nunique())
        if name == "churn_rate":
            lasts = bought[bought["day"] < day].groupby("who")["day"].max()
            customers = lasts[lasts >= day - timedelta(days=40)]
            again = set(bought[bought["day"] == day]["who"])
            gone = [who for who in customers.index if customers[who] == day - timedelta(days=40) and who not in again]
            return float(len(gone)), float(len(customers))
        if name == "engagement_rate":
            recent = within(EVENTS, day, 30)["name"]
            return float((recent == "Email Opened").sum()), float((recent == "Email Sent").sum())
        scores = within(answers, day, 30)["score"]
        return float(100 * ((scores >= 9).sum() - (scores <= 6).sum())), float(len(scores))

    told, begun = {}, False
    for day in days_from(min(*EVENTS["day"], *born["day"])):
        above, below = of(day)
        begun = begun or bool(above if below is None else below)
        if begun:
            told[day] = above if below is None else (above / below if below else None)
    return told


FIGURES = (
    "people", "new_people", "active_people_daily", "active_people_weekly", "active_people_monthly", "buyers", "orders",
    "revenue", "average_order", "conversion_rate", "lifetime_value", "churn_rate", "engagement_rate",
    "net_promoter_score",
)  # fmt: skip


def near(told: Days) -> Any:
    return {day: None if value is None else pytest.approx(value, abs=1e-9) for day, value in told.items()}


def test_every_figure_is_what_pandas_computes_for_each_day(measured: World) -> None:
    for name in FIGURES:
        assert measured.figure(name) == near(expected(name)), name
    assert {name for (name,) in measured.rows("SELECT DISTINCT figure FROM customers.figures")} == {
        *FIGURES, "viewers", "views", "paid", "by_sql",
    }  # fmt: skip


def test_figures_of_the_project_are_what_pandas_computes(measured: World) -> None:
    viewed, paid = EVENTS[EVENTS["name"] == "Product Viewed"], EVENTS[EVENTS["name"] == "Order Completed"]
    days = days_from(min(EVENTS["day"]))
    viewers = {day: float(within(viewed, day, 14)["who"].nunique()) for day in days}
    views = {day: float(len(within(viewed, day, 1))) for day in days}
    worth = {day: float(within(paid, day, 3)["value"].sum()) for day in days}
    for name, told in (("viewers", viewers), ("views", views), ("paid", worth)):
        begun = min(day for day in told if told[day])
        assert measured.figure(name) == near({day: value for day, value in told.items() if day >= begun}), name
    by_utc_day = EVENTS.groupby(EVENTS["at"].dt.date).size()
    assert measured.figure("by_sql") == near({day: float(count) for day, count in by_utc_day.items()})
    [(unit, description, star)] = measured.rows(
        "SELECT unit, description, north_star FROM customers.figure_definitions WHERE figure = 'viewers'"
    )
    assert (unit, description, star) == ("people", "Product Viewed: people in the 14 days up to the day.", True)


def test_conditions_choose_the_events_of_a_figure(world: World) -> None:
    world.people({"a": AS_OF, "b": AS_OF})
    yesterday = AS_OF - timedelta(days=1)
    world.events(
        [
            Event("a", "Signed Up", yesterday, channel="web", properties={"plan": "pro", "seats": 3}),
            Event("b", "Signed Up", yesterday, channel="web", properties={"plan": "free", "seats": 3.0}),
            Event("b", "Trial Started", yesterday, channel="app", properties={"plan": "pro"}),
        ]
    )
    choices = {
        "pro": {"event": "Signed Up", "where": {"plan": "pro"}},
        "three": {"event": "Signed Up", "where": {"seats": 3}},
        "either": ["Signed Up", "Trial Started"],
        "web": {"event": ["Signed Up", "Trial Started"], "channel": "web"},
    }
    world.rules = MeasurementRules(
        figures={name: OwnFigure.model_validate({"event": choice}) for name, choice in choices.items()}
    )
    world.measure()
    assert {name: world.figure(name)[yesterday.date()] for name in choices} == {
        "pro": 1, "three": 2, "either": 3, "web": 2,
    }  # fmt: skip


def test_the_first_run_goes_back_as_far_as_it_may(world: World) -> None:
    world.people({"a": AS_OF - timedelta(days=900)})
    world.events([Event("a", "Page Viewed", AS_OF - timedelta(days=days)) for days in (900, 20, 3)])
    world.events([Event("a", "Order Completed", AS_OF - timedelta(days=800), value=10.0)])
    world.rules = MeasurementRules(history_days=10)
    world.measure()
    assert world.rows("SELECT min(day), max(day) FROM customers.figures") == [(TODAY - timedelta(days=9), TODAY)]
    assert world.figure("active_people_monthly") == dict.fromkeys(days_from(TODAY - timedelta(days=9)), 1.0)
    assert set(world.figure("lifetime_value").values()) == {10.0}  # what was long ago counts all the same


def test_late_events_change_the_last_days_and_no_others(world: World) -> None:
    world.people({"a": AS_OF - timedelta(days=60)})
    seen = [Event("a", "Page Viewed", AS_OF - timedelta(days=days)) for days in (60, 30, 5)]
    world.events(seen)
    world.rules = MeasurementRules(late_days=7)
    world.measure()
    late = [Event("a", "Page Viewed", AS_OF - timedelta(days=days)) for days in (40, 8, 7, 2)]
    world.events(late)
    world.measure(as_of=AS_OF + timedelta(hours=1))
    told = {TODAY - day: value for day, value in world.figure("active_people_daily").items() if value}
    assert sorted(gap.days for gap in told) == [2, 5, 7, 30, 60]
    # After a pause, the days before the last one that was told are still open to late events.
    world.events([Event("a", "Page Viewed", AS_OF - timedelta(days=6))])
    world.measure(as_of=AS_OF + timedelta(days=20))
    told = {TODAY - day: value for day, value in world.figure("active_people_daily").items() if value}
    assert sorted(gap.days for gap in told) == [2, 5, 6, 7, 30, 60]
    assert max(world.figure("active_people_daily")) == TODAY + timedelta(days=20)
    world.measure(as_of=AS_OF + timedelta(days=20), full=True)
    told = {TODAY - day: value for day, value in world.figure("active_people_daily").items() if value}
    assert sorted(gap.days for gap in told) == [2, 5, 6, 7, 8, 30, 40, 60]


def test_a_day_is_told_once_however_often_it_is_measured(measured: World) -> None:
    before = measured.rows("SELECT day, figure, value FROM customers.figures ORDER BY figure, day")
    cohorts = measured.rows("SELECT retention, cohort, period, people, active FROM customers.retention ORDER BY ALL")
    measured.measure(as_of=AS_OF + timedelta(minutes=5))
    assert measured.rows("SELECT day, figure, value FROM customers.figures ORDER BY figure, day") == before
    again = measured.rows("SELECT retention, cohort, period, people, active FROM customers.retention ORDER BY ALL")
    assert again == cohorts


def test_what_a_clock_that_was_ahead_told_is_taken_back(world: World) -> None:
    world.people({"ann": AS_OF - timedelta(days=3)})
    world.events([Event("ann", "Page Viewed", AS_OF - timedelta(days=1))])
    world.measure(as_of=AS_OF + timedelta(days=100))
    assert max(world.figure("active_people_daily")) == TODAY + timedelta(days=100)
    world.events([Event("ann", "Page Viewed", AS_OF - timedelta(hours=1))])
    world.measure()
    told = world.figure("active_people_daily")
    assert (max(told), told[TODAY]) == (TODAY, 1)
    assert {one.cohort for one in read_measured(world.connection, since=TODAY).retention} == {date(2026, 6, 1)}


def test_a_figure_that_means_something_else_now_is_told_anew(world: World) -> None:
    world.people({"a": AS_OF - timedelta(days=60)})
    world.events([Event("a", "Page Viewed", AS_OF - timedelta(days=days)) for days in (60, 30)])
    world.rules = MeasurementRules(figures={"views": OwnFigure.model_validate({"event": "Page Viewed"})})
    world.measure()
    assert sum(value or 0 for value in world.figure("views").values()) == 2
    wider = {"event": "Page Viewed", "window_days": 10}
    world.rules = MeasurementRules(figures={"views": OwnFigure.model_validate(wider)})
    world.measure()
    assert sum(value or 0 for value in world.figure("views").values()) == 20


def test_days_begin_at_midnight_of_the_time_zone(world: World) -> None:
    world.people({"a": AS_OF})
    world.events([Event("a", "Page Viewed", datetime(2026, 6, 5, 3, tzinfo=UTC))])
    world.measure()
    assert [day for day, value in world.figure("active_people_daily").items() if value] == [date(2026, 6, 4)]
    world.traits = TraitRules(timezone="Asia/Tokyo")
    world.measure(as_of=datetime(2026, 6, 10, 16, tzinfo=UTC))
    assert [day for day, value in world.figure("active_people_daily").items() if value] == [date(2026, 6, 5)]
    assert max(world.figure("active_people_daily")) == date(2026, 6, 11)


def test_who_buys_on_the_day_on_which_the_time_runs_out_has_not_churned(world: World) -> None:
    world.people(dict.fromkeys("abc", AS_OF - timedelta(days=90)))
    for who, days in (("a", (60, 20)), ("b", (60, 21)), ("c", (60, 19))):
        world.events([Event(who, "Order Completed", AS_OF - timedelta(days=day), value=1.0) for day in days])
    world.measure()  # lapsed_days is 40
    lapsed = world.rows("SELECT day, numerator, denominator FROM customers.figures WHERE figure = 'churn_rate'")
    assert [row for row in lapsed if row[1]] == [(TODAY - timedelta(days=20), 1.0, 3.0)]


def test_nothing_later_than_the_run_is_known(world: World) -> None:
    world.people({"a": AS_OF - timedelta(days=3)})
    world.events([Event("a", "Page Viewed", AS_OF + timedelta(hours=hours)) for hours in (-1, 1, 30)])
    world.measure()
    assert world.figure("active_people_daily") == {TODAY: 1.0}


def test_consent_and_reach_are_told_from_day_to_day(world: World) -> None:
    ids = dict.fromkeys("abcd", AS_OF)
    world.people(ids, email=["a@x.org", None, "c@x.org", "d@x.org"], phone=[None, "+491", None, None])
    consents = [("a", "email", "granted"), ("b", "email", "granted"), ("c", "email", "denied"), ("b", "sms", "granted")]
    for who, channel, status in consents:
        world.connection.execute(
            "INSERT INTO customers.profile_consents VALUES (?, ?, 'marketing', ?)", [who, channel, status]
        )
    world.measure()
    world.connection.execute("DELETE FROM customers.profile_consents WHERE profile_id = 'a'")
    world.measure(as_of=AS_OF + timedelta(days=1), full=True)
    tomorrow = TODAY + timedelta(days=1)
    assert world.figure("consent_share") == {TODAY: 0.5, tomorrow: 0.25}
    assert world.figure("consent_share_email") == {TODAY: 0.5, tomorrow: 0.25}
    assert world.figure("reachable_email") == {TODAY: 1.0, tomorrow: 0.0}  # b has no address
    assert world.figure("reachable_sms") == {TODAY: 1.0, tomorrow: 1.0}
    assert world.figure("people") == {TODAY: 4.0, tomorrow: 4.0}


def test_the_predicted_value_is_the_mean_of_those_who_have_one(world: World) -> None:
    world.people(dict.fromkeys("abc", AS_OF))
    world.measure()
    assert world.figure("predicted_lifetime_value") == {}
    world.connection.execute(
        "CREATE TABLE customers.computed AS SELECT profile_id, "
        "CASE WHEN profile_id <> 'c' THEN 12.5 END AS predicted_value FROM customers.profiles"
    )
    create_people_view(world.connection)
    world.measure()
    assert world.rows(
        "SELECT day, value, numerator, denominator FROM customers.figures WHERE figure = 'predicted_lifetime_value'"
    ) == [(TODAY, 12.5, 25.0, 2.0)]


def test_an_empty_store_has_nothing_to_tell(world: World) -> None:
    assert world.measure().days is None
    assert world.rows("SELECT count(*) FROM customers.figures") == [(0,)]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM customers.events", "not a SELECT"),
        ("SELECT day FROM customers.figures", "gives the columns day"),
        ("SELECT day, value FROM customers.figures WHERE day > $as_of", "values to bind"),
    ],
)
def test_sql_of_a_figure_may_not_be_anything(sql: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        checked_figure_sql(sql, where="measurement.figures.own.sql")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT CAST(happened_at AS DATE) AS day, 1 AS value FROM events", "twice"),
        ("SELECT day, value FROM customers.nowhere", "nowhere"),
        ("SELECT CAST(happened_at AS DATE) AS day, 'much' AS value FROM events", "measurement.figures.own"),
    ],
)
def test_sql_of_a_figure_that_fails_is_named(world: World, sql: str, told: str) -> None:
    world.people({"a": AS_OF - timedelta(days=30)})
    world.events([Event("a", "Page Viewed", AS_OF - timedelta(days=3, hours=hours)) for hours in (1, 2)])
    world.rules = MeasurementRules(figures={"own": OwnFigure(sql=sql)})
    with pytest.raises((ConfigurationError, QueryError), match=told):
        world.measure()


def test_what_was_measured_is_read_back(measured: World) -> None:
    since = TODAY - timedelta(days=4)
    shown = read_measured(measured.connection, since=since)
    figures = {one.figure: one for one in shown.figures}
    assert set(figures) == {*FIGURES, "viewers", "views", "paid", "by_sql"}
    assert [name for name, one in figures.items() if one.north_star] == ["viewers"]
    days = {day: value for day, value in measured.figure("conversion_rate").items() if day >= since}
    assert {one.day: one.value for one in figures["conversion_rate"].days} == days
    assert figures["conversion_rate"].unit == "share"
    assert [one.step for one in shown.funnels] == [1, 2, 3, 4]
    assert [one.people for one in shown.journeys] == sorted((one.people for one in shown.journeys), reverse=True)
    assert {one.retention for one in shown.retention} == {"activity", "purchases"}
    assert shown.lifts == ()


def test_a_store_that_was_never_measured_is_read_as_empty(engine: Engine) -> None:
    connection = engine.connection()
    assert read_measured(connection, since=TODAY) == MeasuredNow()
    connection.close()
