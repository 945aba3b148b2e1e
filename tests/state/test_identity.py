"""Resolution, one behaviour at a time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from millstream.state.errors import NotFoundError
from millstream.state.identity import IdentityRules, KindRule, explain_profile, find_profiles, graph

if TYPE_CHECKING:
    from tests.state.conftest import Customers

ANA = ("email", "ana@box.example")
ANA_WORK = ("email", "ana@work.example")
ANA_PHONE = ("phone", "+491510000001")
BOB = ("email", "bob@box.example")


def test_equal_identifiers_of_one_kind_make_one_profile(customers: Customers) -> None:
    customers.record("crm.contacts:1", ANA)
    customers.record("shop.orders:1", ANA)
    customers.record("shop.orders:2", ("user_id", ANA[1]))

    report = customers.resolve()

    assert customers.partition() == {
        frozenset({"crm.contacts:1", "shop.orders:1"}),
        frozenset({"shop.orders:2"}),
    }
    assert (report.records, report.profiles, report.new, report.changed_profiles) == (3, 2, 2, 2)


def test_long_chains_of_records_are_one_profile(customers: Customers) -> None:
    for number in range(60):
        customers.record(f"crm.contacts:{number}", ("card", f"c{number}"), ("card", f"c{number + 1}"))
    assert customers.resolve().profiles == 1


@pytest.mark.parametrize("way", ["plain", "scipy", "sql"])
def test_components_are_the_same_whichever_way(
    customers: Customers, way: graph.Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "_quickest", lambda _: way)
    customers.record("alone", ("card", "1"), ANA_PHONE)
    for number in range(40):
        customers.record(f"crm.contacts:{number}", ("card", f"{number % 7}"), ("card", f"{number % 3 + 7}"))
    customers.record("shop.orders:1", ("card", "99"))
    customers.resolve()
    assert {len(profile) for profile in customers.partition()} == {41, 1}
    assert customers.profile("crm.contacts:0") == customers.profile("alone")


def test_nothing_is_left_of_a_run_but_its_result(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("b.contacts:1", ANA, ANA_PHONE)
    customers.resolve()
    customers.record("c.contacts:1", ANA_PHONE)
    customers.resolve()
    left = """
        SELECT table_name FROM information_schema.tables
        WHERE table_schema <> 'customers' AND (table_name LIKE 'resolve%' OR table_name LIKE 'household%')
    """
    assert customers.rows(left) == []


def test_a_run_without_changes_does_nothing(customers: Customers) -> None:
    customers.record("crm.contacts:1", ANA)
    first = customers.resolve()
    again = customers.resolve()
    assert (again.records, again.profiles, again.blocked_values) == (first.records, first.profiles, 0)
    assert (again.new, again.merged, again.split, again.changed_profiles) == (0, 0, 0, 0)


def test_the_older_id_survives_a_merge_and_the_other_becomes_an_alias(customers: Customers) -> None:
    old = customers.record("zeta.contacts:1", ANA)
    customers.resolve()
    young = [customers.record("crm.contacts:2", ANA_WORK), customers.record("crm.contacts:3", ANA_WORK)]
    customers.resolve()
    survivor, loser = customers.profile(old), customers.profile(young[0])

    customers.record("survey.answers:1", ANA, ANA_WORK)
    report = customers.resolve()

    assert (report.merged, report.new, report.profiles) == (1, 0, 1)
    assert customers.profile(young[0]) == survivor
    assert customers.rows("SELECT alias_id, profile_id FROM customers.profile_aliases") == [(loser, survivor)]
    assert customers.rows(
        "SELECT profile_id, other_id, kind, value FROM customers.profile_history WHERE change = 'merge'"
    ) == [(survivor, loser, "email", ANA_WORK[1])]


def test_a_merge_is_told_by_what_joins_the_two_not_by_what_one_of_them_had_anyway(customers: Customers) -> None:
    customers.record("crm.contacts:1", ("card", "old"))
    customers.resolve()
    customers.record("shop.orders:1", ("user_id", "7"), ("card", "young"))
    customers.record("shop.orders:2", ("user_id", "7"))
    customers.resolve()
    customers.record("web.visits:1", ("card", "old"), ("card", "young"))
    assert customers.resolve().merged == 1
    assert customers.rows("SELECT kind, value FROM customers.profile_history WHERE change = 'merge'") == [
        ("card", "young")
    ]


def test_aliases_of_aliases_name_the_living_profile(customers: Customers) -> None:
    ids = []
    for number in range(3):
        ids.append(customers.record(f"crm.contacts:{number}", ("card", f"u{number}")))
        customers.resolve()
    first, second, third = (customers.profile(record_id) for record_id in ids)
    customers.record("crm.contacts:2", ("card", "u2"), ("card", "u1"))
    customers.resolve()
    customers.record("crm.contacts:1", ("card", "u1"), ("card", "u0"))
    customers.resolve()
    assert set(customers.rows("SELECT alias_id, profile_id FROM customers.profile_aliases")) == {
        (second, first),
        (third, first),
    }


def test_after_a_split_the_part_with_most_old_members_keeps_the_id(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    for number in (2, 3):
        customers.record(f"b.contacts:{number}", ANA_WORK)
    bridge = customers.record("c.contacts:9", ANA, ANA_WORK)
    customers.resolve()
    whole = customers.profile("a.contacts:1")

    customers.delete(bridge)
    report = customers.resolve()

    assert (report.split, report.new, report.profiles) == (1, 1, 2)
    assert customers.profile("b.contacts:2") == customers.profile("b.contacts:3") == whole
    apart = customers.profile("a.contacts:1")
    assert apart not in (whole, None)
    assert customers.profile(bridge) is None
    assert customers.rows(
        "SELECT profile_id, other_id, record_id, reason FROM customers.profile_history WHERE change = 'split'"
    ) == [(whole, apart, bridge, "record deleted")]


def test_a_value_that_becomes_hot_lets_go_what_it_joined_and_joins_again_when_it_cools(customers: Customers) -> None:
    customers.rules = IdentityRules(kinds={"email": KindRule(max_records=2)})
    shared = ("email", "room-7@hotel.example")
    first = customers.record("a.contacts:1", shared)
    customers.record("a.contacts:2", shared)
    assert customers.resolve().profiles == 1
    whole = customers.profile(first)

    customers.record("a.contacts:3", shared)
    report = customers.resolve()
    assert (report.profiles, report.split, report.blocked_values) == (3, 1, 1)
    assert customers.rows("SELECT * FROM customers.blocked_values") == [(*shared, 3, "more than 2 records")]
    assert customers.rows(
        "SELECT kind, value, reason FROM customers.profile_history WHERE change = 'split' AND profile_id = ?", whole
    ) == [(*shared, "identifier blocked")]

    customers.erase("a.contacts:3")
    report = customers.resolve()
    assert (report.profiles, report.merged, report.removed, report.blocked_values) == (1, 1, 1, 0)
    assert customers.profile(first) == whole


def test_new_bearers_of_what_joins_nothing_are_counted(customers: Customers) -> None:
    customers.rules = IdentityRules(kinds={"email": KindRule(max_records=2)})
    till, office = ("email", "till-7@shop.example"), ("email", "info@acme.example")
    for number in range(3):
        customers.record(f"a.contacts:{number}", till)
    for number in range(3, 5):
        customers.record(f"a.contacts:{number}", office)
    customers.resolve()
    customers.record("b.contacts:1", till, till, office)
    customers.record("b.contacts:2", till, deleted=True)
    assert customers.resolve().blocked_values == 2
    counted = set(customers.rows("SELECT value, records, reason FROM customers.blocked_values"))
    assert counted == {(till[1], 4, "more than 2 records"), (office[1], 3, "more than 2 records")}
    customers.resolve(full=True)
    assert set(customers.rows("SELECT value, records, reason FROM customers.blocked_values")) == counted


@pytest.mark.parametrize(
    ("kind", "value"),
    [("email", "info@acme.example"), ("email", "no-reply@x.example"), ("phone", "+4900000000"), ("user_id", "NULL")],
)
def test_values_that_name_nobody_join_nothing(customers: Customers, kind: str, value: str) -> None:
    customers.record("a.contacts:1", (kind, value))
    customers.record("a.contacts:2", (kind, value))
    customers.resolve()
    assert customers.profile("a.contacts:1") != customers.profile("a.contacts:2")
    assert customers.rows("SELECT reason FROM customers.blocked_values") == [("pattern",)]


def test_patterns_are_no_regular_expressions(customers: Customers) -> None:
    customers.rules = IdentityRules(kinds={"email": KindRule(blocked=("a.b+?@*",))})
    for number, value in enumerate(["axb@x.example", "axb@x.example", "a.b+1@x.example", "a.b+1@x.example"]):
        customers.record(f"a.contacts:{number}", ("email", value))
    customers.resolve()
    assert customers.rows("SELECT value FROM customers.blocked_values") == [("a.b+1@x.example",)]


def test_a_rule_change_looks_at_everything(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("a.contacts:2", ANA)
    customers.resolve()
    customers.rules = IdentityRules(kinds={"email": KindRule(merges=False)})
    assert customers.resolve().profiles == 2
    assert customers.rows("SELECT reason FROM customers.profile_history WHERE change = 'split'") == [("rules changed",)]


def test_a_full_run_changes_no_id(customers: Customers) -> None:
    for number in range(10):
        customers.record(f"a.contacts:{number}", ("user_id", f"u{number // 3}"))
    customers.resolve()
    before = customers.rows("SELECT * FROM customers.members ORDER BY record_id")
    report = customers.resolve(full=True)
    assert customers.rows("SELECT * FROM customers.members ORDER BY record_id") == before
    assert (report.new, report.changed_profiles) == (0, 0)


def test_an_id_that_was_merged_away_comes_back_when_its_records_part_again(customers: Customers) -> None:
    for number in range(3):
        customers.record(f"a.contacts:{number}", ANA)
    customers.resolve()
    customers.record("b.contacts:1", BOB)
    customers.resolve()
    ana, bob = customers.profile("a.contacts:1"), customers.profile("b.contacts:1")
    customers.record("c.orders:1", ANA, BOB)
    customers.resolve()
    assert customers.profile("b.contacts:1") == ana

    customers.record("c.orders:1", ANA)
    report = customers.resolve()

    assert (report.split, report.new, report.profiles) == (1, 0, 2)
    assert (customers.profile("a.contacts:1"), customers.profile("b.contacts:1")) == (ana, bob)
    assert customers.rows("SELECT * FROM customers.profile_aliases") == []
    assert customers.rows("SELECT * FROM customers.merged_members") == []
    assert customers.rows(
        "SELECT change, profile_id, other_id, reason FROM customers.profile_history WHERE change = 'split'"
    ) == [("split", ana, bob, "record changed")]


@pytest.mark.parametrize("older", ["a", "z"])
def test_of_two_records_that_part_again_each_has_its_own_id_back(customers: Customers, older: str) -> None:
    newer = "z" if older == "a" else "a"
    for name in (older, newer):
        customers.record(f"{name}.contacts:1", ("card", name))
        customers.resolve()
    ids = {name: customers.profile(f"{name}.contacts:1") for name in "az"}
    customers.record(f"{newer}.contacts:1", ("card", newer), ("card", older))
    assert customers.resolve().merged == 1
    customers.record(f"{newer}.contacts:1", ("card", newer))
    assert customers.resolve().split == 1
    assert {name: customers.profile(f"{name}.contacts:1") for name in "az"} == ids


def test_an_alias_follows_the_records_that_it_brought(customers: Customers) -> None:
    """Where its records part along with more others, the id stays away but stands for the part they are in."""
    first = customers.record("a.contacts:1", ANA)
    customers.resolve()
    customers.record("b.contacts:1", BOB)
    customers.resolve()
    bob = customers.profile("b.contacts:1")
    for number in range(2):
        customers.record(f"a.contacts:{number + 2}", ANA)
        customers.record(f"d.contacts:{number}", BOB)
    customers.record("c.orders:1", ANA, BOB)
    customers.resolve()
    for number in range(2, 4):
        customers.record(f"d.contacts:{number}", BOB)
    customers.resolve()
    whole = customers.profile(first)

    customers.erase("c.orders:1")
    customers.resolve()

    part = customers.profile("b.contacts:1")
    assert part == whole
    assert part != customers.profile(first)
    assert customers.rows("SELECT alias_id, profile_id FROM customers.profile_aliases") == [(bob, part)]


def test_what_joins_a_record_that_vanished_is_seen_without_a_time_stamp(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("b.contacts:1", BOB)
    customers.record("c.contacts:1", ANA, BOB)
    assert customers.resolve().profiles == 1
    customers.erase("c.contacts:1")
    customers.record("d.contacts:1", ("card", "1"))
    assert customers.resolve().profiles == 3


def test_a_run_id_used_again_makes_no_id_twice(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("b.contacts:1", ANA)
    customers.record("b.contacts:2", ANA)
    customers.resolve(run_id="same")
    whole = customers.profile("a.contacts:1")
    customers.record("a.contacts:1", BOB)
    customers.resolve(run_id="same")
    assert customers.profile("b.contacts:1") == whole
    assert customers.profile("a.contacts:1") != whole


def test_a_record_written_under_the_last_time_stamp_is_still_seen(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.resolve()
    customers.record("a.contacts:2", ANA)
    customers.connection.execute(
        "UPDATE customers.records SET modelled_at = (SELECT min(modelled_at) FROM customers.records)"
    )
    assert customers.resolve().records == 2


def test_a_record_written_by_a_slow_clock_is_still_seen(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.resolve()
    customers.record("a.contacts:2", ANA)
    customers.connection.execute(_OF_LAST_YEAR, ["a.contacts:2"])
    customers.record("b.contacts:1", BOB)
    report = customers.resolve()
    assert (report.records, report.profiles) == (3, 2)


@pytest.mark.parametrize("others_changed", [False, True])
def test_a_record_that_vanished_is_seen_beside_one_that_a_slow_clock_wrote(
    customers: Customers, others_changed: bool
) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("c.contacts:1", ANA, BOB)
    customers.record("b.contacts:1", BOB)
    assert customers.resolve().profiles == 1
    customers.erase("c.contacts:1")
    customers.record("d.contacts:1", ("card", "1"))
    customers.connection.execute(_OF_LAST_YEAR, ["d.contacts:1"])
    if others_changed:
        customers.touch("b.contacts:1")
    report = customers.resolve()
    assert (report.records, report.profiles) == (3, 3)
    assert customers.partition() == {frozenset({f"{source}.contacts:1"}) for source in "abd"}


def test_a_record_deleted_by_a_slow_clock_is_seen(customers: Customers) -> None:
    for source, *known in (("a", ANA), ("c", ANA, BOB), ("b", BOB)):
        customers.record(f"{source}.contacts:1", *known)
    customers.resolve()
    customers.connection.execute("UPDATE customers.records SET deleted = TRUE WHERE record_id = 'c.contacts:1'")
    assert customers.resolve().profiles == 2
    assert customers.profile("c.contacts:1") is None


_OF_LAST_YEAR = "UPDATE customers.records SET modelled_at = TIMESTAMPTZ '2025-01-01 00:00:00+00' WHERE record_id = ?"


def test_changed_profiles_wait_until_they_are_described(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("b.contacts:1", BOB)
    customers.resolve()
    customers.connection.execute("DELETE FROM customers.changed_profiles")
    customers.touch("a.contacts:1")
    customers.resolve()
    customers.touch("a.contacts:1")
    customers.resolve()
    assert customers.rows("SELECT profile_id FROM customers.changed_profiles") == [(customers.profile("a.contacts:1"),)]


def test_people_are_found_by_whatever_is_known_of_them(customers: Customers) -> None:
    record_id = customers.record("crm.contacts:1", ANA, ANA_PHONE, ("crm_id", "77"))
    customers.resolve()
    profile_id = customers.profile(record_id)
    assert profile_id is not None
    for who in (profile_id, record_id, " Ana@Box.example", "+49 151 0000001", "77"):
        assert find_profiles(customers.connection, who) == [profile_id], who
    assert find_profiles(customers.connection, "0151 0000001", default_country="Germany") == [profile_id]
    assert find_profiles(customers.connection, "nobody@box.example") == []


def test_an_explanation_names_the_strongest_joins_and_what_was_left_aside(customers: Customers) -> None:
    office = ("email", "info@box.example")
    customers.record("a.contacts:1", ANA, ANA_PHONE, office)
    customers.record("b.contacts:2", ANA, ANA_PHONE)
    customers.record("c.contacts:3", ANA_PHONE, office)
    customers.resolve()

    told = explain_profile(customers.connection, str(customers.profile("a.contacts:1")))

    assert [record.record_id for record in told.records] == ["a.contacts:1", "b.contacts:2", "c.contacts:3"]
    assert [(join.record_id, join.other_id, join.kind) for join in told.joins] == [
        ("b.contacts:2", "a.contacts:1", "email"),
        ("c.contacts:3", "a.contacts:1", "phone"),
    ]
    assert [(value.value, value.records, value.reason) for value in told.blocked] == [
        ("info@box.example", 2, "pattern")
    ]
    assert [change.change for change in told.history] == ["new"]


def test_an_alias_is_explained_as_the_profile_that_stands_for_it(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.resolve()
    customers.record("b.contacts:1", BOB)
    customers.resolve()
    loser = str(customers.profile("b.contacts:1"))
    customers.record("b.contacts:1", BOB, ANA)
    customers.resolve()
    told = explain_profile(customers.connection, loser)
    assert told.profile_id == customers.profile("a.contacts:1")
    assert told.aliases == (loser,)
    assert [change.change for change in told.history] == ["new", "new", "merge"]


def test_an_unknown_profile_cannot_be_explained(customers: Customers) -> None:
    with pytest.raises(NotFoundError, match="p_0"):
        explain_profile(customers.connection, "p_0")


def test_naming_a_kind_keeps_what_is_not_said_about_it() -> None:
    rules = IdentityRules.model_validate({"kinds": {"email": {"max_records": 5}, "loyalty_card": {"priority": 5}}})
    assert rules.rule("email").max_records == 5
    assert "info@*" in rules.rule("email").blocked
    assert rules.rule("phone").max_records == 10
    assert rules.rule("loyalty_card").priority == 5
    assert IdentityRules.model_validate_json(rules.model_dump_json()) == rules


def test_a_pattern_with_a_character_class_is_refused() -> None:
    with pytest.raises(ValidationError, match="knows only"):
        KindRule(blocked=("[ab]@*",))


def test_the_models_are_light_to_import() -> None:
    code = (
        "import sys, millstream.state.identity, millstream.state.profiles, millstream.state.audiences, "
        "millstream.state.consent; print(sorted({'duckdb', 'sqlglot', 'phonenumbers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
