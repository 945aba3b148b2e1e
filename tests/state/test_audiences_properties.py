"""Random rules over random people: the SQL agrees with a plain reading of the rule, and so does ``why``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.state.audiences import Audience, select_audiences, why
from millstream.state.profiles import SurvivorshipRules, build_profiles

if TYPE_CHECKING:
    from tests.state.conftest import Customers

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
STAGES, CHANNELS, COLOURS = ["lead", "customer", "leader"], ["email", "sms"], ["red", "blue"]

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


def with_key(key: str, name: str, comparisons: st.SearchStrategy[dict[str, object]]) -> st.SearchStrategy[dict]:
    return comparisons.map(lambda given_: {key: name, **given_})


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
    with_key("trait", "vip", st.booleans().map(lambda vip: {"equals": vip})),
    with_key(
        "event",
        "Order",
        st.fixed_dictionaries(
            {},
            optional={
                "did": st.booleans(),
                "count": bounds,
                "value": bounds,
                "within": st.sampled_from(["1d", "48h", "3w"]),
                "where": st.just({"colour": "red"}),
            },
        ),
    ),
    st.sampled_from(CHANNELS).map(lambda channel: {"consent": channel}),
    st.just({"identifier": "email"}),
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

COMPARE = {
    "equals": lambda seen, wanted: seen == wanted,
    "at_least": lambda seen, wanted: seen >= wanted,
    "at_most": lambda seen, wanted: seen <= wanted,
    "more_than": lambda seen, wanted: seen > wanted,
    "less_than": lambda seen, wanted: seen < wanted,
    "in": lambda seen, wanted: seen in wanted,
    "contains": lambda seen, wanted: wanted in seen,
}
SPANS = {"1d": timedelta(days=1), "48h": timedelta(days=2), "3w": timedelta(days=21)}


def holds(rule: dict, one: dict) -> bool:
    """The plain reading of a rule."""
    if "all" in rule:
        return all(holds(part, one) for part in rule["all"])
    if "any" in rule:
        return any(holds(part, one) for part in rule["any"])
    if "none" in rule:
        return not any(holds(part, one) for part in rule["none"])
    if "consent" in rule:
        return one["consent"].get(rule["consent"]) == "granted"
    if "identifier" in rule:
        return one["email"]
    return trait_holds(rule, one) if "trait" in rule else event_holds(rule, one)


def trait_holds(rule: dict, one: dict) -> bool:
    seen = one[rule["trait"]]
    for comparison, wanted in rule.items():
        if comparison == "trait":
            continue
        if comparison == "is_set":
            true = (seen is not None) == wanted
        elif comparison.startswith("not_"):
            true = seen is None or not COMPARE[comparison.removeprefix("not_")](seen, wanted)
        else:
            true = seen is not None and COMPARE[comparison](seen, wanted)
        if not true:
            return False
    return True


def event_holds(rule: dict, one: dict) -> bool:
    span = SPANS.get(rule.get("within", ""), timedelta(days=9999))
    values = [
        value or 0
        for name, days, value, colour in one["events"]
        if name == "Order" and days >= 0 and timedelta(days=days) < span and (not rule.get("where") or colour == "red")
    ]
    did = bool(values)
    for measure, seen in (("count", len(values)), ("value", sum(values))):
        did = did and all(COMPARE[name](seen, wanted) for name, wanted in rule.get(measure, {}).items())
    return did == rule.get("did", True)


def settle(customers: Customers, people: list[dict]) -> dict[str, dict]:
    """Write the people down; the profile id of each."""
    for number, one in enumerate(people):
        identifiers = [("user_id", f"u{number}"), *([("email", f"p{number}@example.com")] if one["email"] else [])]
        record_id = customers.record(f"crm.contacts:{number}", *identifiers)
        for name, type_ in (("stage", "text"), ("visits", "number"), ("vip", "boolean")):
            if one[name] is not None:
                customers.trait(record_id, name, one[name], type_)
        for name, days, value, colour in one["events"]:
            properties = {} if colour is None else {"colour": colour}
            customers.event(record_id, name, AS_OF - timedelta(days=days), value=value, **properties)
        for channel, status in one["consent"].items():
            customers.consent(record_id, channel, status)
    # A trait that nobody bears is an error; somebody bears each of these.
    everything = customers.record("crm.contacts:all", ("user_id", "all"))
    for name, value, type_ in (("stage", "other", "text"), ("visits", 99, "number"), ("vip", True, "boolean")):
        customers.trait(everything, name, value, type_)
    customers.resolve()
    build_profiles(customers.connection, SurvivorshipRules(), now=customers.tick())
    return {str(customers.profile(f"crm.contacts:{number}")): one for number, one in enumerate(people)}


@settings(max_examples=20, deadline=None)
@given(people=st.lists(person, min_size=1, max_size=5), tried=st.lists(rules, min_size=1, max_size=6))
def test_compiled_rules_agree_with_their_plain_reading(
    new_customers: Callable[[], Customers], people: list[dict], tried: list[dict]
) -> None:
    customers = new_customers()
    profiles = settle(customers, people)
    audiences = {f"a{number}": Audience.model_validate({"rule": rule}) for number, rule in enumerate(tried)}
    select_audiences(customers.connection, audiences, run_id="run", as_of=AS_OF)
    for (name, audience), rule in zip(audiences.items(), tried, strict=True):
        rows = customers.rows(
            "SELECT profile_id FROM customers.memberships WHERE audience = ? AND left_at IS NULL", name
        )
        members = {profile_id for (profile_id,) in rows}
        expected = {profile_id for profile_id, one in profiles.items() if holds(rule, one)}
        assert members & set(profiles) == expected, rule
        for profile_id in profiles:
            told = why(customers.connection, audience, profile_id, as_of=AS_OF)
            assert told.holds == (profile_id in expected), rule
    customers.connection.close()
