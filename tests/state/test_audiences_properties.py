"""Random rules over random people: the SQL agrees with a plain reading of the rule, and so does ``why``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.state.audience_world import AS_OF, AudienceWorld, Did

if TYPE_CHECKING:
    from tests.state.conftest import Customers

pytestmark = pytest.mark.slow

STAGES, CHANNELS, COLOURS = ["lead", "customer", "leader"], ["email", "sms"], ["red", "blue"]
MIDNIGHT = AS_OF - timedelta(days=10)
Person = dict[str, Any]
Rule = dict[str, Any]


@pytest.fixture(scope="module")
def world(new_customers: Callable[[], Customers]) -> Iterator[AudienceWorld]:
    customers = new_customers()
    world = AudienceWorld(customers.connection)
    world.have_traits(stage="TEXT", visits="DOUBLE", vip="BOOLEAN")
    yield world
    customers.connection.close()


numbers = st.integers(0, 4)
bounds = st.dictionaries(
    st.sampled_from(["equals", "at_least", "at_most", "more_than", "less_than"]), numbers, min_size=1, max_size=2
)
person = st.fixed_dictionaries(
    {
        "stage": st.none() | st.sampled_from(STAGES),
        "visits": st.none() | numbers,
        "vip": st.none() | st.booleans(),
        "email": st.booleans(),
        "consent": st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from(["granted", "denied", "unknown"])),
        "events": st.lists(
            st.tuples(
                st.sampled_from(["Order", "Visit"]),
                st.integers(-2, 40),
                st.none() | numbers,
                st.none() | st.sampled_from(COLOURS),
            ),
            max_size=4,
        ),
    }
)


def with_key(key: str, name: object, more: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    return more.map(lambda given_: {key: name, **given_})


event_bounds = st.fixed_dictionaries(
    {},
    optional={
        "did": st.booleans(),
        "count": bounds,
        "value": bounds,
        "within": st.sampled_from(["1d", "48h", "3w"]),
        "before": st.sampled_from(["1d", "2w", MIDNIGHT.date(), MIDNIGHT.isoformat()]),
        "after": st.sampled_from(["3w", "30d", MIDNIGHT.date(), MIDNIGHT.isoformat()]),
        "where": st.just({"colour": "red"}),
    },
)
leaf = st.one_of(
    with_key(
        "trait",
        "stage",
        st.one_of(
            st.sampled_from(STAGES).map(lambda stage: {"equals": stage}),
            st.sampled_from(STAGES).map(lambda stage: {"not_equals": stage}),
            st.lists(st.sampled_from(STAGES), min_size=1).map(lambda stages: {"in": stages}),
            st.lists(st.sampled_from(STAGES), min_size=1).map(lambda stages: {"not_in": stages}),
            st.just({"contains": "lead"}),
            st.booleans().map(lambda is_set: {"is_set": is_set}),
        ),
    ),
    with_key("trait", "visits", bounds),
    with_key(
        "trait",
        "visits",
        st.dictionaries(
            st.sampled_from(["top_percent", "bottom_percent"]), st.sampled_from([1, 25, 33.4, 50, 100]), min_size=1
        ),
    ),
    with_key("trait", "vip", st.booleans().map(lambda vip: {"equals": vip})),
    with_key("event", "Order", event_bounds),
    with_key("event", ["Order", "Visit"], event_bounds),
    st.sampled_from(CHANNELS).map(lambda channel: {"consent": channel}),
    st.just({"identifier": "email"}),
    st.builds(lambda key, number: {key: number}, st.sampled_from(["audience", "not_audience"]), st.integers(0, 9)),
)
rules = st.recursive(
    leaf,
    lambda inner: st.builds(
        lambda key, parts: {key: parts},
        st.sampled_from(["all", "any", "none"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda seen, wanted: seen == wanted,
    "at_least": lambda seen, wanted: seen >= wanted,
    "at_most": lambda seen, wanted: seen <= wanted,
    "more_than": lambda seen, wanted: seen > wanted,
    "less_than": lambda seen, wanted: seen < wanted,
    "in": lambda seen, wanted: seen in wanted,
    "contains": lambda seen, wanted: wanted in seen,
}
DAYS = {"1d": 1, "48h": 2, "2w": 14, "3w": 21, "30d": 30}


def linked(tried: list[Rule]) -> dict[str, Rule]:
    """Rules as audiences, of which each may build on those that stand before it."""

    def link(rule: Rule, earlier: int) -> Rule:
        for key in ("all", "any", "none"):
            if key in rule:
                return {key: [link(part, earlier) for part in rule[key]]}
        for key in ("audience", "not_audience"):
            if key in rule:
                return {key: f"a{rule[key] % earlier}"} if earlier else {"identifier": "email"}
        return rule

    return {f"a{number}": link(rule, number) for number, rule in enumerate(tried)}


class Reading:
    """The plain reading of rules."""

    def __init__(self, people: dict[str, Person], rules: dict[str, Rule]) -> None:
        self.people = people
        self.rules = rules

    def holds(self, rule: Rule, one: Person) -> bool:
        if "all" in rule:
            return all(self.holds(part, one) for part in rule["all"])
        if "any" in rule:
            return any(self.holds(part, one) for part in rule["any"])
        if "none" in rule:
            return not any(self.holds(part, one) for part in rule["none"])
        if "audience" in rule:
            return self.holds(self.rules[rule["audience"]], one)
        if "not_audience" in rule:
            return not self.holds(self.rules[rule["not_audience"]], one)
        if "consent" in rule:
            return one["consent"].get(rule["consent"]) == "granted"
        if "identifier" in rule:
            return one["email"]
        if "trait" in rule:
            return all(self.trait_holds(rule["trait"], *said, one) for said in rule.items() if said[0] != "trait")
        return event_holds(rule, one)

    def trait_holds(self, trait: str, comparison: str, wanted: Any, one: Person) -> bool:
        seen = one[trait]
        if comparison == "is_set":
            return (seen is not None) == wanted
        if comparison.startswith("not_"):
            return seen is None or not COMPARE[comparison.removeprefix("not_")](seen, wanted)
        if seen is None:
            return False
        if comparison.endswith("_percent"):
            had = [other[trait] for other in self.people.values() if other[trait] is not None]
            had.sort(reverse=comparison == "top_percent")
            edge = had[-(-round(len(had) * wanted * 10) // 1000) - 1]
            return seen >= edge if comparison == "top_percent" else seen <= edge
        return COMPARE[comparison](seen, wanted)


def event_holds(rule: Rule, one: Person) -> bool:
    names = rule["event"]
    values = [
        value or 0
        for name, days, value, colour in one["events"]
        if name in names and counts(rule, days) and (not rule.get("where") or colour == "red")
    ]
    did = bool(values)
    for measure, seen in (("count", len(values)), ("value", sum(values))):
        did = did and all(COMPARE[name](seen, wanted) for name, wanted in rule.get(measure, {}).items())
    return did == rule.get("did", True)


def counts(rule: Rule, days: int) -> bool:
    """Whether what happened so many days ago counts; days and moments are all the 22nd of May, ten days ago."""
    if days < 0 or ("within" in rule and days >= DAYS[rule["within"]]):
        return False
    after, before = rule.get("after"), rule.get("before")
    if after is not None and not (days < DAYS[after] if after in DAYS else days <= 10):
        return False
    return before is None or (days >= DAYS[before] if before in DAYS else days > 10)


def settle(world: AudienceWorld, people: list[Person]) -> dict[str, Person]:
    """Write the people down, by their profile ids."""
    world.forget()
    settled = {f"p{number}": one for number, one in enumerate(people)}
    for profile_id, one in settled.items():
        did = [
            Did(
                name, AS_OF - timedelta(days=days), value=value, properties={} if colour is None else {"colour": colour}
            )
            for name, days, value, colour in one["events"]
        ]
        world.person(profile_id, *did, stage=one["stage"], visits=one["visits"], vip=one["vip"])
        if one["email"]:
            world.known_by(profile_id, "email")
        for channel, status in one["consent"].items():
            world.consents(profile_id, channel, status)
    return settled


@settings(max_examples=30, deadline=None)
@given(people=st.lists(person, min_size=1, max_size=6), tried=st.lists(rules, min_size=1, max_size=6))
def test_compiled_rules_agree_with_their_plain_reading(
    world: AudienceWorld, people: list[Person], tried: list[Rule]
) -> None:
    settled, audiences = settle(world, people), linked(tried)
    reading = Reading(settled, audiences)
    expected = {
        name: {profile_id for profile_id, one in settled.items() if reading.holds(rule, one)}
        for name, rule in audiences.items()
    }
    assert world.members(audiences) == expected, audiences
    world.keep(expected)
    for name, rule in audiences.items():
        for profile_id in list(settled)[:2]:
            assert world.explains(rule, profile_id) == (profile_id in expected[name]), rule
