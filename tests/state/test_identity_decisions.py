"""Decisions by hand: they are kept as rules, bring ids back, and can be revoked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from millstream.state.errors import ConfigurationError
from millstream.state.identity import decisions, explain_profile

if TYPE_CHECKING:
    from tests.state.conftest import Customers

ANA, BOB, CLEO = ("email", "ana@box.example"), ("email", "bob@box.example"), ("email", "cleo@box.example")


def merge(customers: Customers, *record_ids: str) -> str:
    profiles = [str(customers.profile(record_id)) for record_id in record_ids]
    return decisions.merge(
        customers.connection, profiles, reason="same signature", made_by="dana", now=customers.tick()
    )


def unmerge(
    customers: Customers, profile: str | None, *, other: str | None = None, records: Sequence[str] | None = None
) -> str:
    return decisions.unmerge(
        customers.connection,
        str(profile),
        from_profile=other,
        records=records,
        reason="father and son",
        made_by="dana",
        now=customers.tick(),
    )


def two_people(customers: Customers) -> tuple[str, str]:
    """Ana, who is older here, and Bob, who has more records."""
    customers.record("a.contacts:1", ANA)
    customers.resolve()
    customers.record("b.contacts:1", BOB)
    customers.record("b.contacts:2", BOB)
    customers.resolve()
    return str(customers.profile("a.contacts:1")), str(customers.profile("b.contacts:1"))


def last_change(customers: Customers) -> tuple[object, ...]:
    return customers.rows(
        "SELECT change, profile_id, other_id, kind, reason FROM customers.profile_history "
        "WHERE run_id = ? AND change <> 'new'",
        f"run-{customers.runs}",
    )[0]


def test_profiles_merged_by_hand_are_one(customers: Customers) -> None:
    ana, bob = two_people(customers)
    made = merge(customers, "a.contacts:1", "b.contacts:1")
    assert customers.profile("b.contacts:1") == bob, "the next run obeys"

    report = customers.resolve()

    assert (report.profiles, report.merged) == (1, 1)
    assert last_change(customers) == ("merge", ana, bob, "merge", "merged by hand")
    assert customers.rows("SELECT value FROM customers.profile_history WHERE kind = 'merge'") == [(made,)]
    assert customers.resolve(full=True).profiles == 1


def test_a_merge_that_is_revoked_gives_the_id_back(customers: Customers) -> None:
    ana, bob = two_people(customers)
    made = merge(customers, "a.contacts:1", "b.contacts:1")
    customers.resolve()
    decisions.revoke(customers.connection, made, now=customers.tick())
    report = customers.resolve()
    assert (report.profiles, report.split, report.new) == (2, 1, 0)
    assert (customers.profile("a.contacts:1"), customers.profile("b.contacts:1")) == (ana, bob)
    assert last_change(customers) == ("unmerge", ana, bob, "merge", "decision revoked")


def test_an_unmerge_gives_both_their_ids_back_whichever_is_larger(customers: Customers) -> None:
    ana, bob = two_people(customers)
    customers.record("c.orders:1", ANA, BOB)
    customers.resolve()
    assert customers.profile("b.contacts:1") == ana

    made = unmerge(customers, bob)
    report = customers.resolve()

    assert (report.profiles, report.split, report.new) == (2, 1, 0)
    assert (customers.profile("a.contacts:1"), customers.profile("b.contacts:1")) == (ana, bob)
    assert last_change(customers) == ("unmerge", ana, bob, "unmerge", "unmerged by hand")
    assert customers.rows("SELECT reason FROM customers.refused_joins") == [("unmerged by hand",)]
    assert customers.rows("SELECT * FROM customers.profile_aliases") == []

    decisions.revoke(customers.connection, made, now=customers.tick())
    assert customers.resolve().profiles == 1
    assert customers.profile("b.contacts:1") == ana
    assert customers.rows("SELECT * FROM customers.contested") == []


def test_an_unmerge_holds_against_what_comes_later(customers: Customers) -> None:
    _, bob = two_people(customers)
    customers.record("c.orders:1", ANA, BOB)
    customers.resolve()
    unmerge(customers, bob)
    customers.resolve()
    customers.record("d.orders:1", ANA, BOB)
    assert customers.resolve().profiles == 2
    assert customers.resolve(full=True).profiles == 2


def test_what_both_sides_of_an_unmerge_share_holds_each_of_them_together(customers: Customers) -> None:
    for number in range(5):
        customers.record(f"a.contacts:{number}", ANA)
    customers.resolve()
    whole = customers.profile("a.contacts:0")
    unmerge(customers, whole, records=["a.contacts:1", "a.contacts:3"])
    customers.resolve()
    sides = {frozenset({f"a.contacts:{number}" for number in part}) for part in ((0, 2, 4), (1, 3))}
    assert customers.partition() == sides
    explained = explain_profile(customers.connection, str(customers.profile("a.contacts:1")))
    assert [(join.kind, join.value) for join in explained.joins] == [ANA]
    customers.resolve(full=True)
    assert customers.partition() == sides


def test_an_unmerge_of_a_merge_by_hand_revokes_it(customers: Customers) -> None:
    _, bob = two_people(customers)
    made = merge(customers, "a.contacts:1", "b.contacts:1")
    customers.resolve()
    unmerge(customers, customers.profile("a.contacts:1"), other=bob)
    report = customers.resolve()
    assert (report.profiles, report.refused) == (2, 0)
    revoked = {each.decision_id: each.revoked_at is not None for each in decisions.decisions(customers.connection)}
    assert revoked[made]
    assert sorted(revoked.values()) == [False, True]


def test_of_a_merge_of_three_the_other_two_stay_one(customers: Customers) -> None:
    ana, _ = two_people(customers)
    customers.record("c.contacts:1", CLEO)
    customers.resolve()
    cleo = customers.profile("c.contacts:1")
    merge(customers, "a.contacts:1", "b.contacts:1", "c.contacts:1")
    customers.resolve()
    unmerge(customers, cleo)
    customers.resolve()
    assert customers.profile("a.contacts:1") == customers.profile("b.contacts:1") == ana
    assert customers.profile("c.contacts:1") == cleo


@pytest.mark.parametrize("by", ["hand", "a record of both", "a link"])
def test_what_came_after_a_merge_goes_where_it_belongs(customers: Customers, by: str) -> None:
    """However much of it there is, both get their ids back, and nobody new comes about."""
    ana, bob = two_people(customers)
    merge_in_some_way(customers, by)
    customers.resolve()
    later = {"e.orders:1": BOB, "e.orders:2": BOB, "e.orders:3": BOB, "f.orders:1": ANA, "f.orders:2": ANA}
    for record_id, value in later.items():
        customers.record(record_id, value)
        customers.resolve()
    assert {customers.profile(record_id) for record_id in later} == {ana}

    unmerge(customers, bob)
    report = customers.resolve()

    assert (report.profiles, report.new) == (2, 0)
    assert {record_id: customers.profile(record_id) for record_id in later} == {
        record_id: bob if value is BOB else ana for record_id, value in later.items()
    }
    assert (customers.profile("a.contacts:1"), customers.profile("b.contacts:1")) == (ana, bob)
    assert customers.rows("SELECT * FROM customers.profile_aliases") == []


def merge_in_some_way(customers: Customers, by: str) -> None:
    if by == "hand":
        merge(customers, "a.contacts:1", "b.contacts:1")
    elif by == "a link":
        customers.connection.execute(
            "INSERT INTO customers.links VALUES "
            "('l1', 'a.contacts:1', 'b.contacts:1', 0.97, 5, '{}', 'merged', NULL, 'r', ?)",
            [customers.tick()],
        )
        customers.connection.execute("INSERT INTO customers.rejoin VALUES ('a.contacts:1'), ('b.contacts:1')")
    else:
        customers.record("c.orders:1", ANA, BOB)


def test_a_merge_that_is_revoked_after_more_came_gives_the_id_back(customers: Customers) -> None:
    ana, bob = two_people(customers)
    made = merge(customers, "a.contacts:1", "b.contacts:1")
    customers.resolve()
    for number in range(4):
        customers.record(f"e.orders:{number}", BOB)
    customers.resolve()
    decisions.revoke(customers.connection, made, now=customers.tick())
    assert customers.resolve().new == 0
    assert (customers.profile("a.contacts:1"), customers.profile("e.orders:3")) == (ana, bob)


def test_who_was_merged_by_hand_later_stays_with_the_survivor(customers: Customers) -> None:
    ana, bob = two_people(customers)
    merge(customers, "a.contacts:1", "b.contacts:1")
    customers.record("c.contacts:1", CLEO)
    customers.resolve()
    customers.record("e.orders:1", BOB)
    customers.resolve()
    merge(customers, "a.contacts:1", "c.contacts:1")
    customers.resolve()
    unmerge(customers, bob)
    customers.resolve()
    assert customers.profile("c.contacts:1") == customers.profile("a.contacts:1") == ana
    assert customers.profile("e.orders:1") == customers.profile("b.contacts:1") == bob


def test_who_stayed_when_a_later_id_came_back_still_came_later(customers: Customers) -> None:
    ana, bob = two_people(customers)
    merge(customers, "a.contacts:1", "b.contacts:1")
    customers.resolve()
    for number in (1, 2):
        customers.record(f"c.contacts:{number}", CLEO)
    customers.resolve()
    cleo = customers.profile("c.contacts:1")
    merge(customers, "a.contacts:1", "c.contacts:1")
    customers.resolve()
    unmerge(customers, ana, records=["c.contacts:1"])
    customers.resolve()
    assert customers.profile("c.contacts:1") == cleo

    made = unmerge(customers, bob)
    customers.resolve()

    named = next(each.records for each in decisions.decisions(customers.connection) if each.decision_id == made)
    assert named == (("a.contacts:1", "a"), ("b.contacts:1", "b"), ("b.contacts:2", "b"))
    assert customers.profile("c.contacts:2") == ana, "somebody brought it there by hand"
    assert customers.profile("c.contacts:1") == cleo
    assert customers.profile("b.contacts:2") == bob


def test_who_was_merged_later_goes_with_whom_they_were_merged(customers: Customers) -> None:
    ana, bob = two_people(customers)
    merge(customers, "a.contacts:1", "b.contacts:1")
    customers.resolve()
    customers.record("c.contacts:1", CLEO)
    customers.resolve()
    customers.record("e.orders:1", BOB, CLEO)
    customers.resolve()
    unmerge(customers, bob)
    assert customers.resolve().new == 0
    assert customers.profile("a.contacts:1") == ana
    assert customers.profile("c.contacts:1") == customers.profile("e.orders:1") == customers.profile("b.contacts:1")
    assert customers.profile("b.contacts:1") == bob


def test_where_nothing_is_left_of_the_survivor_all_others_are_the_other_side(customers: Customers) -> None:
    ana, bob = two_people(customers)
    merge(customers, "a.contacts:1", "b.contacts:1")
    customers.resolve()
    customers.record("e.orders:1", BOB)
    customers.resolve()
    customers.erase("a.contacts:1")
    customers.resolve()
    unmerge(customers, bob)
    assert customers.resolve().profiles == 2
    assert customers.profile("b.contacts:1") == bob
    assert customers.profile("e.orders:1") == ana


def test_listed_records_part_from_the_others(customers: Customers) -> None:
    for number in range(3):
        customers.record(f"a.contacts:{number}", ANA)
    customers.resolve()
    whole = customers.profile("a.contacts:0")
    unmerge(customers, whole, records=["a.contacts:1"])
    report = customers.resolve()
    assert (report.profiles, report.new, report.refused) == (2, 1, 1)
    assert customers.profile("a.contacts:0") == customers.profile("a.contacts:2") == whole
    assert last_change(customers)[:3] == ("unmerge", whole, customers.profile("a.contacts:1"))


def test_decisions_are_told_with_who_and_why(customers: Customers) -> None:
    two_people(customers)
    made = merge(customers, "a.contacts:1", "b.contacts:1")
    (told,) = decisions.decisions(customers.connection)
    assert (told.decision_id, told.decision, told.reason, told.made_by) == (made, "merge", "same signature", "dana")
    assert told.records == (("a.contacts:1", "a"), ("b.contacts:1", "b"), ("b.contacts:2", "b"))
    assert told.revoked_at is None


def test_a_probable_link_joins_while_it_holds(customers: Customers) -> None:
    ana, bob = two_people(customers)

    def link(status: str) -> int:
        customers.connection.execute("DELETE FROM customers.links")
        customers.connection.execute(
            "INSERT INTO customers.links VALUES ('l1', 'a.contacts:1', 'b.contacts:1', 0.97, 5, '{}', ?, NULL, 'r', ?)",
            [status, customers.tick()],
        )
        customers.connection.execute("INSERT INTO customers.rejoin VALUES ('a.contacts:1'), ('b.contacts:1')")
        return customers.resolve().profiles

    assert link("suggested") == 2
    assert link("merged") == 1
    assert last_change(customers) == ("merge", ana, bob, "linkage", "linkage")
    assert link("withdrawn") == 2
    assert last_change(customers)[-2:] == ("linkage", "link withdrawn")
    assert link("accepted") == 1
    assert customers.rows("SELECT * FROM customers.rejoin") == []


# What cannot be decided


def test_unknown_ids_are_refused(customers: Customers) -> None:
    two_people(customers)
    with pytest.raises(ConfigurationError, match="p_nobody"):
        decisions.merge(customers.connection, ["p_nobody"], reason="", made_by="", now=customers.now)
    with pytest.raises(ConfigurationError, match="p_nobody"):
        unmerge(customers, "p_nobody")
    with pytest.raises(ConfigurationError, match="d_none"):
        decisions.revoke(customers.connection, "d_none", now=customers.now)
    with pytest.raises(ConfigurationError, match=r"b\.contacts:1"):
        unmerge(customers, customers.profile("a.contacts:1"), records=["b.contacts:1"])


def test_there_must_be_something_to_do(customers: Customers) -> None:
    ana, bob = two_people(customers)
    with pytest.raises(ConfigurationError, match="nothing to merge"):
        merge(customers, "b.contacts:1", "b.contacts:2")
    with pytest.raises(ConfigurationError, match="What is to part"):
        unmerge(customers, ana)
    with pytest.raises(ConfigurationError, match="nothing to undo"):
        unmerge(customers, ana, other=bob)
    with pytest.raises(ConfigurationError, match="nothing to undo"):
        unmerge(customers, bob, records=["b.contacts:1", "b.contacts:2"])
    made = merge(customers, "a.contacts:1", "b.contacts:1")
    decisions.revoke(customers.connection, made, now=customers.now)
    with pytest.raises(ConfigurationError, match="was revoked"):
        decisions.revoke(customers.connection, made, now=customers.now)


def test_a_limit_forbids_a_merge(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"))
    customers.record("b.contacts:1", ("user_id", "u2"))
    customers.resolve()
    with pytest.raises(ConfigurationError, match="more than 1 user_id"):
        merge(customers, "a.contacts:1", "b.contacts:1")
    assert decisions.decisions(customers.connection) == []


def test_an_unmerge_forbids_a_merge(customers: Customers) -> None:
    _, bob = two_people(customers)
    customers.record("c.orders:1", ANA, BOB)
    customers.resolve()
    made = unmerge(customers, bob)
    customers.resolve()
    with pytest.raises(ConfigurationError, match=made):
        merge(customers, "a.contacts:1", "b.contacts:1")
