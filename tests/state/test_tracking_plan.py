"""The tracking plan: events take its names and are held against it; what breaks it is marked and never dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from millstream.state.model.standard_events import STANDARD_EVENTS, whole_plan
from millstream.state.model.tracking_plan import PlannedEvent, TrackingPlan, fold
from millstream.state.profiles.tables import create_profile_tables
from millstream.state.store import count_rows
from tests.engines import DuckDBEngine, Engine
from tests.state.event_world import START, EventWorld


@pytest.fixture
def world(engine: Engine) -> Iterator[EventWorld]:
    made = EventWorld(engine.connection())
    yield made
    made.connection.close()


# What a plan says

FITS: dict[str, list[Any]] = {
    "text": ["a", "1", 1, 1.5, True, "{", "[x"],
    "number": [0, -1, 1.5, 1e30, "12", " 12.50 ", "-.5", "1e3"],
    "boolean": [True, False, "true", "FALSE"],
    "timestamp": ["2026-03-01T12:00:00Z", "2026-03-01 12:00:00+02:00", "2026-03-01T12:00:00.123Z", "2026-03-01T12:00"],
    "date": ["2026-03-01", "2024-02-29"],
    "list": [[], [1, {"a": None}]],
    "object": [{}, {"a": [1]}],
}
MISFITS: dict[str, list[Any]] = {
    "text": [{}, [], {"a": 1}],
    "number": ["12,50", "1_000", "NaN", "inf", "abc", True, [1], {"a": 1}, "1.2.3", "€5", "٣"],
    "boolean": [1, 0, "yes", "1", [True]],
    "timestamp": ["2026-03-01", "01.03.2026 12:00", 1772366400, "2026-13-01T12:00:00Z", "soon", {}],
    "date": ["2026-03-01T12:00:00Z", "01/03/2026", "2026-02-30", 20260301, "2026-3-1"],
    "list": ["a", {}, 1, "[1]"],
    "object": [[], "x", 1, '{"a": 1}'],
}


def test_a_property_fits_its_type_where_it_reads_as_one(world: EventWorld) -> None:
    world.planned({kind: {"properties": {"it's": kind}} for kind in FITS})
    cases: list[tuple[str, Any, list[str] | None]]
    cases = [(kind, value, None) for kind, values in FITS.items() for value in values]
    cases += [(kind, value, ["type it's"]) for kind, values in MISFITS.items() for value in values]
    world.tell_all([{"name": kind, "who": "u", "properties": json.dumps({"it's": value})} for kind, value, _ in cases])
    found = [violations for _, _, violations in world.stored()]
    wrong = [(*case, seen) for case, seen in zip(cases, found, strict=True) if case[2] != seen]
    assert not wrong


@pytest.mark.parametrize("nothing", [{}, {"p": None}, {"p": ""}, {"p": "  "}])
def test_what_has_no_value_is_missing_and_of_no_type(world: EventWorld, nothing: dict[str, Any]) -> None:
    world.planned({"A": {"required": ["p"], "properties": {"p": {"type": "number", "allowed": [1]}}}})
    report = world.tell("a", nothing)
    assert world.stored() == [("A", "violating", ["missing p"])]
    assert (report.incomplete_events, report.invalid_events) == (1, 0)
    world.planned({"A": {"properties": {"p": {"type": "number", "allowed": [1]}}}})
    world.model()
    assert world.stored() == [("A", "planned", None)]


ALLOWED: list[tuple[list[Any], Any, bool]] = [
    (["free", "pro"], "pro", True),
    (["free", "pro"], "Pro", False),
    ([1, 2.5], 2.5, True),
    ([1, 2.5], "1.0", True),
    ([1, 2.5], "one", False),
    ([True], True, True),
    ([True], "false", False),
    (["it's"], "it's", True),
    (["a", 1], 1, True),
    (["a"], {"a": 1}, False),
]


def test_a_property_may_have_only_the_values_allowed(world: EventWorld) -> None:
    names = [f"E{chr(97 + number)}" for number in range(len(ALLOWED))]
    world.planned(
        {name: {"properties": {"p": {"allowed": case[0]}}} for name, case in zip(names, ALLOWED, strict=True)}
    )
    report = world.tell_all(
        [
            {"name": name, "who": "u", "properties": json.dumps({"p": case[1]})}
            for name, case in zip(names, ALLOWED, strict=True)
        ]
    )
    found = {name: violations for name, _, violations in world.stored()}
    assert found == {name: None if fits else ["value p"] for name, (_, _, fits) in zip(names, ALLOWED, strict=True)}
    assert report.invalid_events == sum(not fits for *_, fits in ALLOWED)


def test_what_is_of_the_wrong_type_is_not_held_against_the_values_too(world: EventWorld) -> None:
    world.planned({"A": {"properties": {"p": {"type": "number", "allowed": [1]}}}})
    world.tell("A", {"p": "x"})
    assert world.stored() == [("A", "violating", ["type p"])]


def test_an_events_own_fields_may_be_required(world: EventWorld) -> None:
    world.planned({"A": {"required": ["value", "currency", "channel", "campaign"]}})
    world.tell("A", value=1.0)
    world.tell("A", {"campaign": "spring", "currency": "EUR", "value": 2})
    assert [violations for *_, violations in world.stored()] == [["missing currency", "missing campaign"], None]


ODD_NAMES = [
    "it's",
    'say "hi"',
    "a.b",
    "$x",
    "[0]",
    "a*",
    "ünï",
    "名前",
    "back\\slash",
    "a b",
    "-- x",
    "; DROP",
    "🙂",
    "%s",
]


def test_properties_of_any_name_are_found(world: EventWorld) -> None:
    world.planned({"A": {"required": ODD_NAMES, "properties": dict.fromkeys(ODD_NAMES, "number")}})
    world.tell("A", dict.fromkeys(ODD_NAMES, 1))
    world.tell("A", dict.fromkeys(ODD_NAMES, "x"))
    world.tell("A", {"a": {"b": 1}})
    whole, wrong, empty = (violations for *_, violations in world.stored())
    assert whole is None
    assert wrong == [f"type {name}" for name in ODD_NAMES]
    assert empty == [f"missing {name}" for name in ODD_NAMES]


@pytest.mark.parametrize("name", ["", "*", "a\x1fb", "a\nb"])
def test_a_property_that_could_not_be_found_by_its_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name of a property"):
        TrackingPlan.model_validate({"events": {"A": {"required": [name]}}})


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6).filter(lambda name: name != "*")
SCALARS = st.none() | st.booleans() | st.integers(-999, 999) | st.sampled_from(["", "x", "7", "true", "{}"])
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(NAMES, SCALARS, max_size=2)


def expected(properties: dict[str, Any], planned: dict[str, str]) -> list[str] | None:
    """What is wrong with properties of which all are required to be numbers or booleans, told without SQL."""
    found = []
    for name in planned:
        if properties.get(name) is None or str(properties[name]).strip() == "":
            found.append(f"missing {name}")
    for name, kind in planned.items():
        value = properties.get(name)
        if value is None or str(value).strip() == "":
            continue
        is_boolean = isinstance(value, bool) or value == "true"
        is_number = (isinstance(value, int) and not isinstance(value, bool)) or value == "7"
        if not (is_boolean if kind == "boolean" else is_number):
            found.append(f"type {name}")
    return found or None


@given(
    events=st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=6),
    planned=st.dictionaries(NAMES, st.sampled_from(["number", "boolean"]), min_size=1, max_size=4),
)
@settings(max_examples=20, deadline=None)
def test_judgement_is_what_is_told_without_sql(
    events: list[dict[str, Any]], planned: dict[str, str], new_world: list[EventWorld]
) -> None:
    (world,) = new_world
    if world.told:
        world.connection.execute("DELETE FROM customers.events; DELETE FROM customers.modelled_streams")
    world.told = 0
    # The names that are planned should also occur.
    names = list(planned)
    events = [{**event, names[0]: next(iter(event.values()), None)} for event in events]
    world.planned({"A": {"required": names, "properties": planned}})
    world.tell_all([{"name": "A", "who": "u", "properties": json.dumps(event)} for event in events])
    assert [violations for *_, violations in world.stored()] == [expected(event, planned) for event in events]


@pytest.fixture(scope="module")
def new_world() -> Iterator[list[EventWorld]]:
    world = EventWorld(DuckDBEngine().connection())
    yield [world]
    world.connection.close()


# Names


@pytest.mark.parametrize(
    "name", ["signed_up", "SignedUp", "Signed Up", "SIGNED-UP", "signed  up!", "\uff33igned\u3000Up"]
)
def test_case_separators_and_width_never_matter(name: str) -> None:
    assert fold(name) == "signedup"


def test_a_name_of_no_letters_is_only_itself(world: EventWorld) -> None:
    world.planned({"!!!": {}})
    world.tell("!!!")
    world.tell("???")
    assert [(name, status) for name, status, _ in world.stored()] == [("!!!", "planned"), ("???", "unplanned")]


def test_nothing_is_dropped(world: EventWorld) -> None:
    world.planned({"A": {"required": ["p"]}})
    for name in ("A", "a", "B", "", " "):
        world.tell(name)
    assert len(world.stored()) == 5


def test_names_that_stand_for_two_events_are_told() -> None:
    plan = TrackingPlan(events={"Signed Up": PlannedEvent(aliases=("joined",)), "Joined": PlannedEvent()})
    assert plan.ambiguous() == [("Joined", "Joined", "Signed Up")]
    assert not TrackingPlan(events={"A": PlannedEvent(aliases=("a", "A "))}).ambiguous()


# Standard events


def test_standard_events_are_planned_under_the_names_that_systems_agree_on(world: EventWorld) -> None:
    for name in ("purchase", "Order Completed", "page_view", "add_to_cart", "something_else"):
        world.tell(name, {"order_id": 7, "total": "many", "products": []})
    assert [(name, status) for name, status, _ in world.stored()] == [
        ("Order Completed", "violating"),
        ("Order Completed", "violating"),
        ("Page Viewed", "planned"),
        ("Product Added", "planned"),
        ("something_else", "unplanned"),
    ]


def test_standard_events_have_each_name_once_and_require_nothing() -> None:
    assert TrackingPlan(events=dict(STANDARD_EVENTS)).ambiguous() == []
    assert not any(event.required for event in STANDARD_EVENTS.values())


def test_a_project_extends_a_standard_event() -> None:
    own = {"Order Completed": {"required": ["order_id"], "aliases": ["bought"], "properties": {"total": "text"}}}
    event = whole_plan(TrackingPlan.model_validate({"events": own})).events["Order Completed"]
    assert event.required == ("order_id",)
    assert {"bought", "purchase"} <= set(event.aliases)
    assert (event.properties["total"], event.properties["revenue"]) == ("text", "number")


def test_a_name_that_a_project_gives_away_is_not_the_standard_events_any_more() -> None:
    own = {"Bought": {"aliases": ["Order Completed"]}, "Signed Up For News": {"aliases": ["sign_up"]}}
    plan = whole_plan(TrackingPlan.model_validate({"events": own}))
    names = plan.names()
    assert (names["ordercompleted"], names["purchase"], names["signup"]) == ("Bought", "Bought", "Signed Up For News")
    assert "Order Completed" not in plan.events
    assert plan.ambiguous() == []
    assert names["signedup"] == "Signed Up"


def test_standard_events_can_be_left_out(world: EventWorld) -> None:
    world.planned({})
    world.tell("purchase")
    assert world.stored() == [("purchase", "unplanned", None)]


# Another plan

PLANS: list[dict[str, Any]] = [
    {"Bought": {"aliases": ["purchase"], "required": ["a"]}},
    {"Bought": {"required": ["b"], "properties": {"a": "number"}}, "purchase": {}},
    {"Paid": {"aliases": ["BOUGHT", "purchase"], "properties": {"a": {"type": "text", "allowed": ["x"]}}}},
    {},
]


def test_stored_events_are_held_against_a_new_plan_without_their_rows(world: EventWorld, engine: Engine) -> None:
    rows = [
        {"name": name, "who": "u", "properties": json.dumps(properties)}
        for name in ("purchase", "bought", "Bought!", "other")
        for properties in ({}, {"a": 1}, {"a": "x", "b": None})
    ]
    anew = {}
    for number, plan in enumerate(PLANS):
        fresh = EventWorld(DuckDBEngine().connection())
        fresh.planned(plan)
        fresh.tell_all(rows)
        anew[number] = fresh.stored()
        fresh.connection.close()
    world.planned({})
    world.tell_all(rows)
    world.connection.execute("DROP TABLE raw_app.events")
    for number in (0, 1, 2, 0, 3):
        world.planned(PLANS[number])
        assert world.model().rows == 0
        assert world.stored() == anew[number], (number, engine.name)


def test_a_plan_that_is_the_same_changes_nothing(world: EventWorld) -> None:
    world.planned({"A": {"required": ["p"]}})
    world.tell("A")
    world.connection.execute("UPDATE customers.events SET plan_status = 'kept'")
    world.tell("B", at=START + timedelta(days=1))
    assert [status for _, status, _ in world.stored()] == ["kept", "unplanned"]


def test_a_store_of_the_version_before_is_judged_anew(world: EventWorld) -> None:
    world.planned({"A": {"required": ["p"]}})
    world.tell("A", value=5)
    for sql in (
        "ALTER TABLE customers.events DROP COLUMN value_base",
        "ALTER TABLE customers.events DROP COLUMN violations",
        "ALTER TABLE customers.identifiers DROP COLUMN record_hash",
        "ALTER TABLE customers.identifiers DROP COLUMN value_hash",
        "DROP TABLE customers.hashed_by",
        "DROP TABLE customers.judged_by",
        "DROP TABLE customers.converted_by",
        "UPDATE customers.events SET plan_status = 'missing: p'",
        "UPDATE customers.model_version SET version = 2",
    ):
        world.connection.execute(sql)
    create_profile_tables(world.connection)
    world.model()
    assert world.stored() == [("A", "violating", ["missing p"])]
    assert world.sql("SELECT value_base FROM customers.events") == [(5.0,)]
    assert count_rows(world.connection, "customers.events") == 1
