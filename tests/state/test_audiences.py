"""Rules over profiles, and the history of who was in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from millstream.state.audiences import Audience, AudienceReport, Why, select_audiences, why
from millstream.state.errors import ConfigurationError, NotFoundError
from millstream.state.profiles import SurvivorshipRules, build_profiles

if TYPE_CHECKING:
    from tests.state.conftest import Customers

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)


def audience(rule: object = None, **more: object) -> Audience:
    return Audience.model_validate({"rule": rule, **more})


def describe(customers: Customers) -> None:
    customers.resolve()
    build_profiles(customers.connection, SurvivorshipRules(), now=customers.tick())


def select(customers: Customers, run_id: str = "run", **audiences: Audience) -> dict[str, AudienceReport]:
    reports = select_audiences(customers.connection, audiences, run_id=run_id, as_of=AS_OF)
    return {report.name: report for report in reports}


def members(customers: Customers, rule: object) -> set[str]:
    """The users (see ``people``) for whom a rule is true."""
    select(customers, tried=audience(rule))
    rows = customers.rows(
        "SELECT member.record_id FROM customers.memberships AS stay JOIN customers.members AS member "
        "ON member.profile_id = stay.profile_id WHERE stay.audience = 'tried' AND stay.left_at IS NULL"
    )
    return {str(record_id).partition(":")[2] for (record_id,) in rows}


@pytest.fixture
def people(customers: Customers) -> Customers:
    """Ana, an active lead in Oslo; Bo, a customer of whom little is known; Cy, of whom nothing is."""
    ana = customers.record("crm.contacts:ana", ("email", "ana@box.example"))
    bo = customers.record("crm.contacts:bo", ("phone", "+491510000001"))
    customers.record("crm.contacts:cy", ("user_id", "cy"))
    customers.trait(ana, "lifecycle_stage", "lead")
    customers.trait(bo, "lifecycle_stage", "customer")
    customers.trait(ana, "visits", 12, "number")
    customers.trait(bo, "visits", 3, "number")
    customers.trait(ana, "vip", False, "boolean")
    customers.trait(ana, "born", "1990-05-05", "date")
    for days, value, colour in ((1, 40.0, "red"), (20, 60.0, "blue"), (400, 500.0, "red")):
        customers.event(
            ana, "Order Completed", AS_OF - timedelta(days=days), value=value, colour=colour, size=days, channel="web"
        )
    customers.event(bo, "Order Completed", AS_OF + timedelta(days=1), value=9.0)
    customers.event(bo, "Signed Up", AS_OF - timedelta(days=90), gift=True, campaign="spring")
    customers.consent(ana, "email", "granted")
    customers.consent(bo, "email", "denied")
    describe(customers)
    return customers


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"trait": "lifecycle_stage", "equals": "lead"}, {"ana"}),
        ({"trait": "Lifecycle_Stage", "not_equals": "lead"}, {"bo", "cy"}),
        ({"trait": "lifecycle_stage", "in": ["lead", "customer"]}, {"ana", "bo"}),
        ({"trait": "lifecycle_stage", "not_in": ["lead", "x"]}, {"bo", "cy"}),
        ({"trait": "lifecycle_stage", "contains": "stom"}, {"bo"}),
        ({"trait": "lifecycle_stage", "is_set": False}, {"cy"}),
        ({"trait": "visits", "at_least": 3, "less_than": 12}, {"bo"}),
        ({"trait": "visits", "more_than": 3}, {"ana"}),
        ({"trait": "visits", "at_most": 3}, {"bo"}),
        ({"trait": "vip", "equals": False}, {"ana"}),
        ({"trait": "vip", "not_equals": False}, {"bo", "cy"}),
        ({"trait": "born", "at_least": "1990-05-05"}, {"ana"}),
        ({"trait": "first_seen", "less_than": "2025-01-01"}, set()),
        ({"trait": "sources", "contains": "crm"}, {"ana", "bo", "cy"}),
        ({"trait": "records", "equals": 1}, {"ana", "bo", "cy"}),
        ({"event": "Order Completed"}, {"ana"}),
        ({"event": "Order Completed", "did": False}, {"bo", "cy"}),
        ({"event": "Order Completed", "count": {"at_least": 3}}, {"ana"}),
        ({"event": "Order Completed", "count": {"at_least": 3}, "within": "30d"}, set()),
        ({"event": "Order Completed", "count": {"at_least": 2}, "within": "30d"}, {"ana"}),
        ({"event": "Order Completed", "count": {"at_least": 3}, "within": "30d", "did": False}, {"ana", "bo", "cy"}),
        ({"event": "Order Completed", "value": {"at_least": 600}}, {"ana"}),
        ({"event": "Order Completed", "value": {"more_than": 600}}, set()),
        ({"event": "Order Completed", "where": {"colour": "blue"}}, {"ana"}),
        ({"event": "Order Completed", "where": {"colour": ["blue", "red"], "size": 1}}, {"ana"}),
        ({"event": "Order Completed", "where": {"colour": "blue", "size": 1}}, set()),
        ({"event": "Order Completed", "channel": "web"}, {"ana"}),
        ({"event": "Signed Up", "where": {"gift": True}, "campaign": "spring"}, {"bo"}),
        ({"consent": "email"}, {"ana"}),
        ({"none": [{"consent": "email"}]}, {"bo", "cy"}),
        ({"identifier": "phone"}, {"bo"}),
        ({"any": [{"identifier": "phone"}, {"identifier": "email"}]}, {"ana", "bo"}),
        ({"all": [{"identifier": "email"}, {"trait": "visits", "is_set": True}]}, {"ana"}),
        ({"none": [{"identifier": "email"}, {"identifier": "phone"}]}, {"cy"}),
    ],
)
def test_rules(people: Customers, rule: dict[str, object], expected: set[str]) -> None:
    assert members(people, rule) == expected


def test_odd_names_and_values_are_only_data(people: Customers) -> None:
    odd = """'"; DROP TABLE customers.profiles; --"""
    people.trait("crm.contacts:cy", odd, odd)
    people.event("crm.contacts:cy", odd, AS_OF, **{odd: odd, 'a.b\\"c': 1})
    describe(people)
    assert members(people, {"trait": odd, "equals": odd}) == {"cy"}
    assert members(people, {"event": odd, "where": {odd: odd, 'a.b\\"c': 1}}) == {"cy"}
    assert members(people, {"event": odd, "where": {odd: "x"}}) == set()


def test_audiences_build_on_each_other_in_whatever_order_they_stand(people: Customers) -> None:
    reports = select(
        people,
        rest=audience({"not_audience": "buyers"}),
        loyal=audience({"all": [{"audience": "buyers"}, {"consent": "email"}]}),
        buyers=audience({"event": "Order Completed"}),
    )
    assert {name: report.size for name, report in reports.items()} == {"rest": 2, "loyal": 1, "buyers": 1}
    assert list(reports) == ["rest", "loyal", "buyers"]


def test_a_select_gives_members_that_have_profiles(people: Customers) -> None:
    sql = "SELECT profile_id FROM customers.profiles WHERE visits > 3 UNION ALL SELECT 'p_unknown'"
    assert select(people, heavy=Audience(sql=sql))["heavy"].size == 1


def test_a_circle_is_named(people: Customers) -> None:
    with pytest.raises(ConfigurationError, match=r"in a circle: (a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)"):
        select(
            people,
            a=audience({"audience": "b"}),
            b=audience({"not_audience": "c"}),
            c=audience({"any": [{"audience": "a"}]}),
        )


def test_an_unknown_audience_and_an_unknown_trait_are_named_with_the_known_ones(people: Customers) -> None:
    with pytest.raises(ConfigurationError, match=r"audiences\.a: There is no audience 'b'\. Allowed: a\."):
        select(people, a=audience({"audience": "b"}))
    with pytest.raises(ConfigurationError, match=r"audiences\.a: .*'vists'.* Allowed: born, email, .*visits"):
        select(people, a=audience({"trait": "vists", "at_least": 1}))
    assert people.rows("SELECT * FROM customers.memberships") == []


@pytest.mark.parametrize(
    "rule",
    [
        {"trait": "visits", "equals": "many"},
        {"trait": "visits", "contains": "1"},
        {"trait": "vip", "at_least": True},
        {"trait": "born", "at_least": "soon"},
        {"trait": "sources", "equals": "crm"},
    ],
)
def test_a_value_that_does_not_go_with_the_trait_is_refused(people: Customers, rule: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=f"The trait '{rule['trait']}' is"):
        members(people, rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"trait": "x"}, "say how to compare"),
        ({"trait": "x", "equal": 1}, "Extra inputs"),
        ({"trait": "x", "event": "y", "equals": 1}, "exactly one of the keys all, any"),
        ({"every": []}, "exactly one of the keys all, any"),
        ({"all": []}, "at least 1 item"),
        ({"event": "x", "within": "2 months"}, "no span of time"),
        ({"event": "x", "count": {}}, "say one of equals"),
        ("x", "exactly one of the keys all, any"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        audience({"all": [{"any": [rule]}]})


def test_an_audience_is_a_rule_or_sql_or_a_ready_made_one() -> None:
    for fields in (
        {},
        {"rule": {"consent": "email"}, "sql": "SELECT 1"},
        {"rule": {"consent": "email"}, "ready_made": "promoters"},
    ):
        with pytest.raises(ValidationError, match="either a rule or sql or ready_made"):
            Audience.model_validate(fields)


def stays(customers: Customers) -> list[tuple[object, ...]]:
    return customers.rows(
        "SELECT profile_id, entered_run, left_run, reason FROM customers.memberships ORDER BY entered_at, entered_run, "
        "left_run NULLS LAST, reason"
    )


def test_entering_and_leaving_is_kept_with_when_and_why(people: Customers) -> None:
    leads = audience({"trait": "lifecycle_stage", "equals": "lead"})
    ana, bo = (people.profile(f"crm.contacts:{user}") for user in ("ana", "bo"))
    assert select(people, "one", leads=leads)["leads"] == AudienceReport("leads", 1, entered=1, left=0)
    assert select(people, "two", leads=leads)["leads"] == AudienceReport("leads", 1, entered=0, left=0)
    people.trait("crm.contacts:ana", "lifecycle_stage", "customer")
    people.trait("crm.contacts:bo", "lifecycle_stage", "lead")
    describe(people)
    assert select(people, "three", leads=leads)["leads"] == AudienceReport("leads", 1, entered=1, left=1)
    both = audience({"trait": "lifecycle_stage", "is_set": True})
    assert select(people, "four", leads=both)["leads"] == AudienceReport("leads", 2, entered=1, left=0)
    assert select(people, "five", leads=leads)["leads"] == AudienceReport("leads", 1, entered=0, left=1)
    assert stays(people) == [
        (ana, "four", "five", "rule changed"),
        (ana, "one", "three", "no longer meets the rule"),
        (bo, "three", None, "meets the rule"),
    ]


def test_the_survivor_of_a_merge_carries_on(people: Customers) -> None:
    known = audience({"trait": "visits", "at_least": 12})
    cy, ana = people.profile("crm.contacts:cy"), people.profile("crm.contacts:ana")
    people.connection.execute(
        "UPDATE customers.profile_history SET changed_at = changed_at - INTERVAL 1 DAY WHERE profile_id = ?", [cy]
    )
    select(people, "one", known=known)
    people.record("crm.contacts:cy", ("user_id", "cy"), ("email", "ana@box.example"))
    describe(people)
    assert people.profile("crm.contacts:ana") == cy
    report = select(people, "two", known=known)["known"]
    assert report == AudienceReport("known", 1, entered=0, left=0, merged=1, carried=1)
    assert stays(people) == [
        (ana, "one", "two", f"merged into {cy}"),
        (cy, "one", None, f"merged from {ana}"),
    ]


def test_a_removed_profile_leaves(people: Customers) -> None:
    everybody = audience({"trait": "records", "at_least": 1})
    select(people, "one", everybody=everybody)
    people.delete("crm.contacts:cy")
    describe(people)
    assert select(people, "two", everybody=everybody)["everybody"].left == 1
    assert people.rows("SELECT reason FROM customers.memberships WHERE left_run = 'two'") == [("profile removed",)]


def test_why_tells_each_node_and_what_was_seen(people: Customers) -> None:
    select(people, buyers=audience({"event": "Order Completed"}))
    rule = audience(
        {
            "all": [
                {"trait": "visits", "at_least": 10},
                {"event": "Order Completed", "within": "30d", "value": {"at_least": 500}},
                {"any": [{"consent": "email"}, {"identifier": "phone"}]},
                {"none": [{"audience": "buyers"}]},
                {"trait": "lifecycle_stage", "in": ["customer"]},
            ]
        }
    )
    told = why(people.connection, rule, str(people.profile("crm.contacts:ana")), as_of=AS_OF)
    assert (told.condition, told.holds) == ("all", False)
    visits, orders, any_, none, stage = told.parts
    assert visits == Why("trait: visits, at_least: 10", holds=True, seen="12")
    assert (orders.holds, orders.seen) == (False, "2 times, last 2026-05-31 00:00:00+00:00, sum 100")
    assert [(part.holds, part.seen) for part in any_.parts] == [(True, "granted"), (False, "0 known")]
    assert any_.holds
    assert not none.holds
    assert none.parts[0].seen.startswith("member since 2026-06-01")
    assert stage == Why("trait: lifecycle_stage, in: [customer]", holds=False, seen="lead")


def test_why_answers_for_sql_and_refuses_unknown_profiles(people: Customers) -> None:
    heavy = Audience(sql="SELECT profile_id FROM customers.profiles WHERE visits > 3")
    ana, bo = (str(people.profile(f"crm.contacts:{user}")) for user in ("ana", "bo"))
    assert why(people.connection, heavy, ana, as_of=AS_OF).holds
    assert not why(people.connection, heavy, bo, as_of=AS_OF).holds
    with pytest.raises(NotFoundError, match="p_0"):
        why(people.connection, heavy, "p_0", as_of=AS_OF)
