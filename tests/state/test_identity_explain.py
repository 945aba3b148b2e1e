"""What an explanation tells: what joined, what did not and why, who decided, who lives together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from millstream.state.errors import ConfigurationError
from millstream.state.identity import IdentityRules, KindRule, decisions, explain_profile, households
from millstream.state.identity.circumstances import WAITING, refused_joins
from millstream.state.identity.find import find_matches, find_one, suggestion

if TYPE_CHECKING:
    from tests.state.conftest import Customers

ANA, BEN = ("email", "ana@box.example"), ("email", "ben@box.example")
PHONE = ("phone", "+491510000001")
HOW = {"reason": "she said so", "made_by": "kim"}


def two_people(customers: Customers) -> tuple[str, str]:
    """Two profiles of one record each."""
    customers.record("crm.contacts:1", ANA)
    customers.record("crm.contacts:2", BEN)
    customers.resolve()
    one, other = customers.profile("crm.contacts:1"), customers.profile("crm.contacts:2")
    assert one
    assert other
    return one, other


def with_link(customers: Customers, status: str) -> None:
    customers.connection.execute(
        "INSERT INTO customers.links VALUES ('l_1', 'crm.contacts:1', 'crm.contacts:2', 0.93, 3.7, ?, ?, NULL, ?, ?)",
        [json.dumps({"first_name": "exact", "city": "close"}), status, "run", customers.tick()],
    )
    customers.connection.execute("INSERT INTO customers.rejoin VALUES ('crm.contacts:1'), ('crm.contacts:2')")


class TestFinding:
    def test_it_tells_by_what_somebody_was_found(self, customers: Customers) -> None:
        one, other = two_people(customers)
        decisions.merge(customers.connection, [one, other], **HOW, now=customers.tick())
        customers.resolve()
        survivor = customers.profile("crm.contacts:1")
        alias = other if survivor == one else one
        asked = {survivor: "profile", alias: "alias", "crm.contacts:2": "record", "ANA@box.example ": "email"}
        for who, by in asked.items():
            (match,) = find_matches(customers.connection, str(who))
            assert (match.profile_id, match.by) == (survivor, by)
            assert match.alias == (alias if by == "alias" else None)

    def test_a_value_is_found_as_the_vendor_has_it_and_as_it_is_compared(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ana.b@gmail.example"), ("crm_id", "crm:17"))
        customers.connection.execute("UPDATE customers.identifiers SET original = '17' WHERE kind = 'crm_id'")
        customers.resolve()
        assert [match.by for match in find_matches(customers.connection, "17")] == ["crm_id"]
        assert [match.by for match in find_matches(customers.connection, "crm:17")] == ["crm_id"]

    def test_several_people_have_to_be_told_apart(self, customers: Customers) -> None:
        for name in ("Ana", "Ben"):
            customers.trait(customers.record(f"crm.contacts:{name}", PHONE), "first_name", name)
        customers.resolve()
        with pytest.raises(ConfigurationError, match="2 people go by") as caught:
            find_one(customers.connection, PHONE[1])
        assert len(caught.value.allowed) == 2
        assert PHONE[1] not in str(caught.value)

    def test_somebody_unknown_is_likened_to_somebody_known_without_telling_the_address(
        self, customers: Customers
    ) -> None:
        one, _ = two_people(customers)
        said = suggestion(customers.connection, "anna@box.example")
        assert said.startswith(f"did you mean {one} (email a***@***")
        assert suggestion(customers.connection, one[:8]) == f"did you mean {one}?"
        assert "did you mean" not in suggestion(customers.connection, "nobody@nowhere.example")
        with pytest.raises(ConfigurationError, match="did you mean"):
            find_one(customers.connection, "anna@box.example")


class TestDecisions:
    def test_a_merge_by_hand_is_told_with_who_why_and_when(self, customers: Customers) -> None:
        one, other = two_people(customers)
        made_at = customers.tick()
        decision_id = decisions.merge(customers.connection, [one, other], **HOW, now=made_at)
        customers.resolve(run_id="merging")
        survivor = customers.profile("crm.contacts:1")
        told = explain_profile(customers.connection, other)
        assert told.profile_id == survivor
        (decision,) = told.decisions
        assert (decision.decision_id, decision.decision) == (decision_id, "merge")
        assert (decision.reason, decision.made_by, decision.made_at) == ("she said so", "kim", made_at)
        assert dict(decision.records) == dict.fromkeys(["crm.contacts:1", "crm.contacts:2"], survivor)
        assert [(join.kind, join.value) for join in told.joins] == [("merge", decision_id)]
        (merge,) = [change for change in told.history if change.change == "merge"]
        assert (merge.run_id, merge.kind, merge.value, merge.reason) == (
            "merging", "merge", decision_id, "merged by hand",
        )  # fmt: skip

    def test_a_decision_is_named_only_where_no_identifier_joins(self, customers: Customers) -> None:
        one, other = two_people(customers)
        decisions.merge(customers.connection, [one, other], **HOW, now=customers.tick())
        customers.record("crm.contacts:1", ANA, BEN)
        customers.resolve()
        told = explain_profile(customers.connection, one)
        assert [join.kind for join in told.joins] == ["email"]

    def test_an_unmerge_is_told_on_both_sides_and_refuses_what_would_join_them(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ANA)
        customers.record("crm.contacts:2", ANA)
        customers.resolve()
        whole = customers.profile("crm.contacts:1")
        assert whole
        decision_id = decisions.unmerge(
            customers.connection, whole, records=["crm.contacts:2"], **HOW, now=customers.tick()
        )
        customers.resolve(run_id="parting")
        one, other = customers.profile("crm.contacts:1"), customers.profile("crm.contacts:2")
        assert one
        assert other
        assert one != other
        for profile, mate in ((one, other), (other, one)):
            told = explain_profile(customers.connection, profile)
            (decision,) = told.decisions
            assert (decision.decision_id, dict(decision.records)) == (
                decision_id, {"crm.contacts:1": one, "crm.contacts:2": other},
            )  # fmt: skip
            (refused,) = told.refused
            assert (refused.kind, refused.value, refused.reason) == (*ANA, "unmerged by hand")
            assert {refused.profile_id, *refused.others} == {profile, mate}
            assert any(change.change == "unmerge" and change.value == decision_id for change in told.history)
            assert told.joins == ()
        assert refused_joins(customers.connection) == told.refused


class TestLimits:
    def test_a_refused_join_is_told_with_the_record_the_value_and_the_reason(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("user_id", "u1"), ANA)
        customers.record("crm.contacts:2", ("user_id", "u2"), ANA)
        customers.resolve(run_id="first")
        one, other = customers.profile("crm.contacts:1"), customers.profile("crm.contacts:2")
        assert one
        assert one != other
        told = explain_profile(customers.connection, one)
        (refused,) = told.refused
        assert (refused.kind, refused.value, refused.reason) == (*ANA, "more than 1 user_id")
        assert {refused.profile_id, *refused.others} == {one, other}
        assert refused.profile_id not in refused.others
        assert refused.run_id == "first"
        assert told.joins == ()

    def test_a_value_that_was_refused_is_not_told_as_a_join_of_those_it_was_refused(self, customers: Customers) -> None:
        customers.rules = IdentityRules(kinds={"member_no": KindRule(priority=95, max_values=1)})
        for record, number in (("crm.contacts:0", "1"), ("crm.contacts:1", "2"), ("crm.contacts:2", "2")):
            customers.record(record, ANA, ("member_no", number))
        customers.resolve()
        told = explain_profile(customers.connection, str(customers.profile("crm.contacts:1")))
        assert [record.record_id for record in told.records] == ["crm.contacts:1", "crm.contacts:2"]
        assert [(join.kind, join.value) for join in told.joins] == [("member_no", "2")]
        assert [refused.reason for refused in told.refused] == ["more than 1 member_no"] * 2


class TestShared:
    def test_a_shared_number_is_told_with_what_tells_its_people_apart(self, customers: Customers) -> None:
        for number, name in enumerate(("Ana", "Ana", "Ben", "A.")):
            customers.trait(customers.record(f"crm.contacts:{number}", PHONE), "first_name", name)
        customers.resolve()
        households.bring_up_to_date(customers.connection, IdentityRules(), run_id="run", now=customers.tick())
        ana, ben = customers.profile("crm.contacts:0"), customers.profile("crm.contacts:2")
        assert ana
        assert ben
        told = explain_profile(customers.connection, ana)
        (shared,) = told.shared
        assert (shared.kind, shared.value, shared.trait, shared.records, shared.groups) == (*PHONE, "first_name", 4, 2)
        assert {join.record_id for join in told.joins} | {join.other_id for join in told.joins} == {
            "crm.contacts:0", "crm.contacts:1", "crm.contacts:3",
        }  # fmt: skip
        (identifier,) = told.records[0].identifiers
        assert (identifier.blocked, identifier.shared) == (None, "first_name")
        assert told.household
        (mate,) = told.household.others
        assert (mate.profile_id, mate.in_common) == (ben, (PHONE,))
        assert explain_profile(customers.connection, ben).household.household_id == told.household.household_id

    def test_who_lives_alone_has_no_household(self, customers: Customers) -> None:
        one, _ = two_people(customers)
        assert explain_profile(customers.connection, one).household is None


class TestLinks:
    def test_a_suggestion_is_told_on_both_sides_with_its_evidence(self, customers: Customers) -> None:
        one, other = two_people(customers)
        with_link(customers, "suggested")
        customers.resolve()
        for profile, mate in ((one, other), (other, one)):
            (link,) = explain_profile(customers.connection, profile).links
            assert (link.link_id, link.other_profile, link.status) == ("l_1", mate, "suggested")
            assert (link.probability, link.match_weight) == (0.93, 3.7)
            assert link.levels == {"first_name": "exact", "city": "close"}
        assert customers.rows(WAITING) == [("l_1",)]
        customers.record("crm.contacts:2", ANA, BEN)
        customers.resolve()
        assert customers.rows(WAITING) == [], "they are one person for another reason"

    def test_a_link_that_joins_is_told_once_and_among_the_joins(self, customers: Customers) -> None:
        two_people(customers)
        with_link(customers, "merged")
        customers.resolve()
        told = explain_profile(customers.connection, str(customers.profile("crm.contacts:1")))
        assert len(told.records) == 2
        assert [(link.record_id, link.other_id) for link in told.links] == [("crm.contacts:1", "crm.contacts:2")]
        assert [(join.kind, join.value) for join in told.joins] == [("linkage", "l_1")]
