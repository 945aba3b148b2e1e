"""What predictions know of people at a moment: all that happened before it, and nothing of what came after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import numpy as np
import pytest

from millstream.state.traits.contract import Context
from millstream.state.traits.prediction import history
from millstream.state.traits.prediction.features import FEATURES, INPUTS, Feature, event_features
from millstream.state.traits.rules import TraitRules
from tests.engines import Engine
from tests.state.prediction_world import DAY, NOW, Past, known

ALL = (*event_features("Page Viewed"), *FEATURES)
MOMENT = NOW - 30 * DAY


@contextmanager
def context_of(engine: Engine, past: Past, as_of: datetime = NOW) -> Iterator[Context]:
    connection = engine.connection()
    with known(connection, past, INPUTS, TraitRules(), as_of) as context:
        yield context
    connection.close()


def told(people: history.People, profile_id: str, features: tuple[Feature, ...] = ALL) -> dict[str, float]:
    values = people.features[people.profile_ids.index(profile_id)]
    return {feature.name: float(value) for feature, value in zip(features, values, strict=True)}


def at_moment(engine: Engine, past: Past, population: str = "events") -> history.People:
    with context_of(engine, past) as context, history.sampled(context, population):
        return history.people_at(context, ALL, population, MOMENT)


def eventful() -> Past:
    """One person with something of everything before the moment, and one who comes after it."""
    past = Past()
    past.bought("ann", 100, 30.0, order_id="a1")
    past.bought("ann", 60, 50.0, order_id="a2")
    past.bought("ann", 40, 10.0, order_id="a3")
    past.did("ann", "Page Viewed", 33)
    past.did("ann", "Page Viewed", 45)
    past.did("ann", "Page Viewed", 110)
    past.did("ann", "Email Sent", 36)
    past.did("ann", "Email Opened", 35)
    past.did("ann", "Email Link Clicked", 150)
    past.did("ann", "Unsubscribed", 50)
    past.did("ann", "Ticket Opened", 55, ticket_id="t1")
    past.did("ann", "Ticket Solved", 54, ticket_id="t1")
    past.did("ann", "Survey Responded", 70, nps_score=9)
    past.did("ann", "Survey Responded", 65, nps_score=6)
    past.did("new", "Page Viewed", 10)
    return past


def test_features_are_what_was_known_at_the_moment(engine: Engine) -> None:
    people = at_moment(engine, eventful())

    assert people.profile_ids == ["ann"]
    features = told(people, "ann")
    expected = {
        "orders": 3, "revenue": 90, "average_order": 30, "days_since_order": 10, "days_since_first_order": 70,
        "days_between_orders": 30, "overdue": 10 / 30, "orders_30": 1, "orders_90": 3, "orders_365": 3,
        "days_known": 120, "days_since_action": 3, "actions_7": 2, "received_30": 1, "reactions_7": 1,
        "reactions_30": 1, "reactions_365": 2, "days_since_reaction": 5, "unsubscribed": 1, "tickets": 1,
        "tickets_90": 1, "nps": 7.5, "of_it": 3, "of_it_7": 1, "of_it_30": 2, "days_since_it": 3,
    }  # fmt: skip
    assert {name: pytest.approx(features[name], abs=1e-5) for name in expected} == expected
    assert np.isnan(features["satisfaction"])


def test_nothing_of_what_comes_after_the_moment_is_known(engine: Engine) -> None:
    """Orders that are cancelled or told again later, refunds, actions: whatever the future is, the past is the same."""
    calm, stormy = eventful(), eventful()
    stormy.did("ann", "Order Cancelled", 29, order_id="a2")
    stormy.bought("ann", 28, 99.0, order_id="a3")
    stormy.did("ann", "Ticket Reopened", 20, ticket_id="t1")
    for days in (1, 5, 29):
        for name in ("Page Viewed", "Email Opened", "Email Sent", "Unsubscribed", "Order Completed"):
            stormy.did("ann", name, days, value=5.0)
    stormy.did("ann", "Survey Responded", 3, nps_score=0)

    assert told(at_moment(engine, calm), "ann") == pytest.approx(told(at_moment(engine, stormy), "ann"), nan_ok=True)


def test_shuffling_the_future_changes_no_feature() -> None:
    from tests.engines import DuckDBEngine

    chance = random.Random(3)
    past = Past()
    for number in range(60):
        for _ in range(12):
            past.did(
                f"p{number % 20}",
                chance.choice(["Order Completed", "Page Viewed", "Email Opened", "Order Cancelled", "Ticket Opened"]),
                chance.uniform(0, 200),
                value=chance.choice([None, 5.0, 10.0]),
                order_id=f"o{chance.randrange(200)}",
            )
    shuffled = Past([dict(row) for row in past.rows])
    future = [row for row in shuffled.rows if row["happened_at"] > MOMENT]  # type: ignore[operator]
    others = [row["record_id"] for row in future]
    chance.shuffle(others)
    for row, record in zip(future, others, strict=True):
        row["record_id"] = record

    before, after = (at_moment(DuckDBEngine(), each) for each in (past, shuffled))

    assert len(future) > 50
    assert before.profile_ids == after.profile_ids
    np.testing.assert_array_equal(before.features, after.features)


def test_now_is_told_by_the_same_code_as_the_past(engine: Engine) -> None:
    with context_of(engine, eventful()) as context:
        now = next(history.everybody_now(context, ALL, "events"))
        with history.sampled(context, "events"):
            past = history.people_at(context, ALL, "events", NOW)

    assert now.profile_ids == past.profile_ids == ["ann", "new"]
    np.testing.assert_array_equal(now.features, past.features)


def test_an_order_that_is_told_again_is_not_bought_again(engine: Engine) -> None:
    past = Past()
    past.bought("ann", 40, order_id="a1")
    past.bought("ann", 20, order_id="a1")
    past.bought("bob", 40, order_id="b1")
    past.bought("bob", 20, order_id="b2")
    past.bought("cat", 20, order_id="c1")
    past.did("cat", "Order Cancelled", 10, order_id="c1")
    with context_of(engine, past) as context, history.sampled(context, "events"):
        assert history.bought_between(context, MOMENT, NOW) == {"bob"}


def test_outcomes_are_later_than_the_moment_and_not_later_than_the_end(engine: Engine) -> None:
    past = Past()
    for name, days in (("at", 30.0), ("within", 29.0), ("end", 10.0), ("after", 9.0)):
        past.did(name, "Signed Up", days)
    with context_of(engine, past) as context, history.sampled(context, "events"):
        assert history.did_between(context, "Signed Up", MOMENT, NOW - 10 * DAY) == {"within", "end"}


def test_a_sample_is_the_same_people_each_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_PEOPLE", 5)
    past = Past()
    for number in range(20):
        past.did(f"p{number}", "Page Viewed", 40)

    first, second = (at_moment(engine, past) for _ in range(2))

    assert len(first.profile_ids) == 5
    assert first.profile_ids == second.profile_ids
