"""What `millstream check` tells of audiences before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millstream.state.audiences import Audience
from millstream.state.audiences.checking import check_audiences
from millstream.state.traits.tables import create_trait_tables
from tests.state.audience_world import AudienceWorld, Did, ago

if TYPE_CHECKING:
    from tests.state.conftest import Customers

PLANNED = ("Order Completed", "Signed Up")


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    return AudienceWorld(customers.connection)


def told(world: AudienceWorld, **audiences: dict[str, object]) -> list[tuple[str, bool, str, str | None]]:
    defined = {name: Audience.model_validate(said) for name, said in audiences.items()}
    found = check_audiences(world.connection, defined, planned=PLANNED)
    assert {result.kind for result in found} <= {"audience"}
    return [(result.name, result.ok, result.detail, result.remedy) for result in found]


def test_of_a_store_without_people_nothing_is_told(world: AudienceWorld) -> None:
    assert told(world, a={"rule": {"trait": "vists", "at_least": 1}}) == []


def test_what_is_right_is_not_told(world: AudienceWorld) -> None:
    world.person("ana", Did("Own Event", ago(days=1)))
    rule = {"all": [{"event": ["Order Completed", "Own Event"]}, {"not_audience": "b"}]}
    assert told(world, a={"rule": rule}, b={"rule": {"trait": "email", "is_set": True}}) == []


def test_an_audience_that_cannot_be_computed_is_told_and_hides_no_other(world: AudienceWorld) -> None:
    world.person("ana")
    found = told(
        world,
        a={"rule": {"trait": "emial", "is_set": True}},
        b={"rule": {"trait": "email", "at_least": 3, "top_percent": 5}},
        c={"ready_made": "promoters"},
    )
    assert [(name, ok) for name, ok, _, _ in found] == [("a", False), ("b", False), ("c", False)]
    assert "did you mean 'email'?" in str(found[0][3])
    assert "millstream describe" in str(found[2][3])


def test_an_event_that_nobody_knows_is_told_and_no_fault(world: AudienceWorld) -> None:
    world.person("ana")
    steps = [{"event": "Signed Up"}, {"event": "Never Heard Of"}]
    found = told(world, a={"rule": {"event": "Order Complete"}}, b={"rule": {"sequence": steps}})
    assert found == [
        (
            "a",
            True,
            "No event is called 'Order Complete', neither in the tracking plan nor among those that happened.",
            "did you mean 'Order Completed'?",
        ),
        (
            "b",
            True,
            "No event is called 'Never Heard Of', neither in the tracking plan nor among those that happened.",
            "add it to the tracking plan, if it will come.",
        ),
    ]


def test_a_trait_without_values_is_told_with_the_reason(world: AudienceWorld) -> None:
    create_trait_tables(world.connection)
    world.have_traits(churn_risk="DOUBLE", survey_sentiment="DOUBLE", orders="DOUBLE")
    world.person("ana")
    for trait, trait_set, status, message, people in (
        ("churn_risk", "churn", "nothing to learn", "Too few people bought.", 0),
        ("survey_sentiment", "sentiment", "unavailable", "It needs vader: pip install 'millstream[sentiment]'", 0),
        ("orders", "purchases", "unavailable", "It needs something, and kept what it had.", 1),
    ):
        world.connection.execute(
            "INSERT INTO customers.computed_traits VALUES (?, ?, 'number', '', '')", [trait, trait_set]
        )
        world.connection.execute(
            "INSERT INTO customers.trait_sets (name, seconds, people, status, message) VALUES (?, 0, ?, ?, ?)",
            [trait_set, people, status, message],
        )
    at_risk = {"all": [{"trait": "churn_risk", "at_least": 0.5}, {"trait": "orders", "is_set": True}]}
    found = told(world, a={"rule": at_risk}, b={"rule": {"trait": "survey_sentiment", "less_than": 0}})
    assert found == [
        ("a", True, "Nobody has the trait 'churn_risk': Too few people bought.", None),
        (
            "b",
            False,
            "Nobody has the trait 'survey_sentiment': It needs vader: pip install 'millstream[sentiment]'",
            "then run `millstream describe`.",
        ),
    ]
