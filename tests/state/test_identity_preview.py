"""A preview tells what a run changes: it is compared with what the run then did."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream.state.identity import IdentityRules, KindRule, decisions
from millstream.state.identity.changes import Preview
from millstream.state.identity.preview import compare, take_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.state.conftest import Customers

EMAIL, WORK = ("email", "ana@box.example"), ("email", "ana@work.example")


def previewed(customers: Customers) -> Preview:
    """The next run of these customers, seen from before it."""
    picture = take_picture(customers.connection)
    customers.resolve(run_id="next")
    return compare(customers.connection, picture, run_id="next")


def test_a_run_that_changes_nothing_previews_as_nothing(customers: Customers) -> None:
    customers.record("crm.contacts:1", EMAIL)
    customers.resolve()
    preview = previewed(customers)
    assert preview.nothing
    assert preview.before == preview.after
    assert (preview.merges, preview.splits, preview.values) == ((), (), ())


def test_a_merge_is_named_with_the_value_that_causes_it(customers: Customers) -> None:
    for number in (1, 2, 3):
        customers.record(f"crm.contacts:{number}", EMAIL)
    customers.record("shop.orders:1", WORK)
    customers.resolve()
    survivor = customers.profile("crm.contacts:1")
    customers.record("shop.orders:2", EMAIL, WORK)

    preview = previewed(customers)

    assert (preview.merged, preview.split, preview.appeared, preview.vanished) == (1, 0, 0, 0)
    (merge,) = preview.merges
    assert (merge.profile_id, merge.profiles, merge.records) == (survivor, 2, 5)
    assert [(cause.kind, cause.value) for cause in merge.causes] == [WORK]
    assert preview.largest[0].records_before == 3
    assert preview.largest[0].profiles_before == 2


def test_a_split_is_named_with_the_value_that_lets_go(customers: Customers) -> None:
    for number in (1, 2, 3):
        customers.record(f"crm.contacts:{number}", EMAIL, ("user_id", "u1"))
    customers.record("shop.orders:1", EMAIL)
    customers.resolve()
    whole = customers.profile("shop.orders:1")
    customers.rules = IdentityRules(kinds={"email": KindRule(merges=False)})

    preview = previewed(customers)

    assert (preview.merged, preview.split, preview.appeared) == (0, 1, 1)
    (split,) = preview.splits
    assert (split.profile_id, split.parts, split.records, split.kept) == (whole, 2, 4, 3)
    assert [(cause.kind, cause.value, cause.reason) for cause in split.causes] == [(*EMAIL, "rules changed")]


def test_a_value_that_joined_nothing_before_is_not_told_as_what_lets_go(customers: Customers) -> None:
    for number in (1, 2):
        customers.record(f"crm.contacts:{number}", ("email", "info@box.example"), ("user_id", "u1"))
    customers.resolve()
    customers.rules = IdentityRules(kinds={"user_id": KindRule(merges=False)})
    (split,) = previewed(customers).splits
    assert [(cause.kind, cause.value) for cause in split.causes] == [("user_id", "u1")]


def test_values_that_become_and_cease_to_be_blocked_are_named(customers: Customers) -> None:
    for number in range(3):
        customers.record(f"crm.contacts:{number}", EMAIL)
    customers.resolve()
    joining, customers.rules = customers.rules, IdentityRules(kinds={"email": KindRule(max_records=2)})
    (value,) = previewed(customers).values
    assert (value.kind, value.value, value.records) == (*EMAIL, 3)
    assert (value.was, value.becomes) == (None, "blocked: more than 2 records")
    customers.rules = joining
    preview = previewed(customers)
    assert preview.turned == 1
    assert (preview.values[0].was, preview.values[0].becomes) == ("blocked: more than 2 records", None)


def test_a_value_that_several_people_share_is_named_with_the_trait_that_tells_them_apart(customers: Customers) -> None:
    phone = ("phone", "+491510000001")
    customers.rules = IdentityRules(kinds={"phone": KindRule(agree_on=None)})
    for name in ("Ana", "Ben"):
        customers.trait(customers.record(f"crm.contacts:{name}", phone), "first_name", name)
    customers.resolve()
    customers.rules = IdentityRules()
    preview = previewed(customers)
    (value,) = preview.values
    assert (value.was, value.becomes) == (None, "shared by 2, by first_name")
    assert (preview.split, preview.before["shared_values"], preview.after["shared_values"]) == (1, 0, 1)


def test_people_who_come_and_go_are_counted_apart_from_merges(customers: Customers) -> None:
    gone = customers.record("crm.contacts:1", EMAIL)
    customers.resolve()
    customers.delete(gone)
    customers.record("crm.contacts:2", WORK)
    preview = previewed(customers)
    assert (preview.merged, preview.split, preview.appeared, preview.vanished) == (0, 0, 1, 1)


def test_an_unmerge_is_a_split_with_its_decision(customers: Customers) -> None:
    customers.record("crm.contacts:1", EMAIL)
    customers.record("crm.contacts:2", WORK)
    customers.resolve()
    one, other = customers.profile("crm.contacts:1"), customers.profile("crm.contacts:2")
    assert one
    assert other
    how = {"reason": "", "made_by": "test"}
    decisions.merge(customers.connection, [one, other], **how, now=customers.tick())
    assert previewed(customers).merged == 1
    alias = other if customers.profile("crm.contacts:2") == one else one
    decision = decisions.unmerge(customers.connection, alias, **how, now=customers.tick())
    preview = previewed(customers)
    assert (preview.split, preview.appeared) == (1, 1)
    assert [cause.value for cause in preview.splits[0].causes] == [decision]


identifiers = st.lists(st.tuples(st.sampled_from(["email", "user_id"]), st.sampled_from("abcd")), max_size=3)
worlds = st.dictionaries(st.integers(0, 7), identifiers, min_size=1, max_size=8)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=worlds, after=worlds, most=st.integers(1, 3))
def test_the_counts_add_up_and_are_those_of_the_run(
    new_customers: Callable[[], Customers], before: dict[int, list], after: dict[int, list], most: int
) -> None:
    customers = new_customers()
    try:
        for number, known in before.items():
            customers.record(f"crm.contacts:{number}", *known)
        customers.resolve()
        was = customers.partition()
        for number in before.keys() - after.keys():
            customers.delete(f"crm.contacts:{number}")
        for number, known in after.items():
            customers.record(f"crm.contacts:{number}", *known)
        customers.rules = IdentityRules(kinds={"email": KindRule(max_records=most)})
        picture = take_picture(customers.connection)
        report = customers.resolve(run_id="next")
        preview = compare(customers.connection, picture, run_id="next")

        now = customers.partition()
        assert (preview.before["profiles"], preview.after["profiles"]) == (len(was), len(now))
        assert len(now) == len(was) + preview.appeared - preview.merged - preview.vanished
        assert preview.after["profiles"] == report.profiles
        assert (preview.merged, preview.vanished) == (report.merged, report.removed)
        assert preview.split == sum(len([part for part in now if part & old]) > 1 for old in was)
        assert preview.after["blocked_values"] == report.blocked_values
        assert max(len(part) for part in now) == preview.largest[0].records if now else not preview.largest
        assert dataclasses.asdict(preview) == preview.as_json()
        left = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'preview%'"
        assert customers.rows(left) == []
    finally:
        customers.connection.close()
