"""Which value survives, where it comes from, and when it was last confirmed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.state.audiences.compile import compile_audience
from millstream.state.audiences.rules import Audience
from millstream.state.identity.decisions import unmerge
from millstream.state.profiles import SurvivorshipRules, TraitRule, build_profiles, existing_columns
from tests.state.describing import by, contents, describe, origin, pairs, row

if TYPE_CHECKING:
    from tests.state.conftest import Customers

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANA = ("email", "ana@box.example")


def days(number: int) -> datetime:
    return LONG_AGO + timedelta(days=number)


def say(customers: Customers, name: str, *values: object, type_: str = "text") -> None:
    """One record of Ana for each value, a day apart: ``s0.t:0``, ``s1.t:1``, ..."""
    for number, value in enumerate(values):
        record_id = customers.record(f"s{number}.t:{number}", ANA, observed_at=days(number))
        customers.trait(record_id, name, value, type_, observed_at=days(number))


@pytest.mark.parametrize(
    ("strategy", "type_", "said", "expected"),
    [
        ("longest", "text", ["Ana", "Ana Maria", "A."], "Ana Maria"),
        ("longest", "text", ["Anna", "Anne"], "Anne"),
        ("highest", "number", ["9", "10", "2.5"], 10.0),
        ("lowest", "number", ["9", "10", "2.5", "many"], 2.5),
        ("highest", "date", ["1990-12-03", "1991-02-03", "1989-01-01"], datetime(1991, 2, 3).date()),
        ("lowest", "timestamp", ["2020-01-01T10:00:00Z", "2020-01-01T10:00:00+02:00"], LONG_AGO + timedelta(hours=8)),
        ("highest", "boolean", ["true", "false"], True),
        ("most_frequent", "text", ["Oslo", "Rome", "OSLO", "Bern"], "OSLO"),
        ("first", "text", ["Oslo", "Rome"], "Oslo"),
        ("most_recent", "text", ["Oslo", "Rome"], "Rome"),
    ],
)
def test_each_strategy_has_its_winner(
    customers: Customers, strategy: str, type_: str, said: list[str], expected: object
) -> None:
    say(customers, "it", *said, type_=type_)
    describe(customers, by(it=TraitRule.model_validate({"strategy": strategy})))
    assert row(customers, "s0.t:0")["it"] == expected


def test_one_opt_out_outweighs_all_that_is_newer(customers: Customers) -> None:
    say(customers, "unsubscribed", "false", "true", "false", type_="boolean")
    say(customers, "email_opt_in", "yes", "No", "yes")
    describe(customers)
    assert row(customers, "s0.t:0")["unsubscribed"] is True
    assert row(customers, "s0.t:0")["email_opt_in"] == "No"
    assert origin(customers, "unsubscribed")[0] == "s1.t:1"


def test_a_rule_names_what_permits_least(customers: Customers) -> None:
    say(customers, "tier", "open", "CLOSED", "blocked", "open")
    restrictive = TraitRule(strategy="most_restrictive", restrictive=("closed", "blocked"))
    describe(customers, by(tier=restrictive))
    assert row(customers, "s0.t:0")["tier"] == "CLOSED"
    describe(customers, by(unsubscribed=TraitRule(lifetime_days=9), tier=TraitRule(strategy="most_recent")))
    assert row(customers, "s0.t:0")["tier"] == "open"


def test_a_list_holds_every_value_once_each_with_its_origin(customers: Customers) -> None:
    say(customers, "interests", "wine", "bread", "Wine", "cheese")
    rules = by(interests=TraitRule(strategy="list"))
    describe(customers, rules)
    assert row(customers, "s0.t:0")["interests"] == ["Wine", "bread", "cheese"]
    assert customers.rows(
        "SELECT value, record_id, support FROM customers.profile_traits WHERE name = 'interests' ORDER BY value"
    ) == [("Wine", "s2.t:2", 2), ("bread", "s1.t:1", 1), ("cheese", "s3.t:3", 1)]
    audience = Audience.model_validate({"rule": {"trait": "interests", "contains": "bread"}})
    compiled = compile_audience(audience, name="a", traits=existing_columns(customers.connection), as_of=customers.now)
    assert customers.rows(compiled.sql, *compiled.values) == [(customers.profile("s0.t:0"),)]
    assert not describe(customers, rules).full


def test_a_declared_list_has_its_column_before_any_record(customers: Customers) -> None:
    rules = by(interests=TraitRule(strategy="list"))
    build_profiles(customers.connection, rules, now=customers.now, declared=[("Interests", "text")])
    assert existing_columns(customers.connection)["interests"] == "TEXT[]"
    say(customers, "Interests", "wine")
    assert not describe(customers, rules).full
    assert row(customers, "s0.t:0")["interests"] == ["wine"]


def test_ties_end_by_the_most_trusted_source_then_the_record(customers: Customers) -> None:
    for record_id, city in (("a.s:1", "Oslo"), ("b.s:2", "Rome"), ("c.s:3", "Bern")):
        customers.record(record_id, ANA)
        customers.trait(record_id, "city", city, observed_at=LONG_AGO)
    describe(customers)
    assert row(customers, "a.s:1")["city"] == "Oslo"
    describe(customers, by(["c"]))
    assert row(customers, "a.s:1")["city"] == "Bern"
    describe(customers, by(["c"], city=TraitRule(sources=("b.s",))))
    assert row(customers, "a.s:1")["city"] == "Rome"


def test_a_value_names_its_origin_and_who_agrees(customers: Customers) -> None:
    say(customers, "city", "Rome", "Oslo", "rome")
    describe(customers, by(["s0"], city=TraitRule(strategy="source_priority")))
    assert origin(customers, "city") == ("s0.t:0", days(0), days(2), 2)


def test_addresses_have_origins_and_rules_as_traits_have(customers: Customers) -> None:
    customers.record("crm.c:1", ("user_id", "1"), ("email", "old@box.example"), observed_at=days(0))
    customers.record("shop.c:1", ("user_id", "1"), ("email", "new@box.example"), observed_at=days(1))
    customers.record("shop.c:2", ("user_id", "1"), ("phone", "+491510000001"), observed_at=days(2))
    customers.trait("shop.c:1", "email", "typed@box.example", observed_at=days(3))
    describe(customers)
    assert origin(customers, "email") == ("shop.c:1", days(1), days(1), 1)
    assert origin(customers, "phone") == ("shop.c:2", days(2), days(2), 1)
    assert origin(customers, "trait_email") == ("shop.c:1", days(3), days(3), 1)
    describe(customers, by(["crm"], email=TraitRule(strategy="source_priority")))
    assert row(customers, "crm.c:1")["email"] == "old@box.example"


def test_the_address_to_write_to_is_as_its_owner_spells_it(customers: Customers) -> None:
    customers.record("crm.c:1", ("email", "anamaria@gmail.com"))
    customers.connection.execute("UPDATE customers.identifiers SET contact = 'ana.maria+shop@gmail.com'")
    describe(customers)
    assert row(customers, "crm.c:1")["email"] == "ana.maria+shop@gmail.com"


def test_parting_gives_each_person_their_traits_back(customers: Customers) -> None:
    customers.record("a.s:1", ("user_id", "1"), ("email", "ana@box.example"))
    customers.record("b.s:2", ("phone", "+491510000002"))
    customers.trait("a.s:1", "city", "Oslo", observed_at=days(0))
    customers.trait("b.s:2", "city", "Rome", observed_at=days(1))
    customers.consent("a.s:1", "email", "granted")
    customers.consent("b.s:2", "email", "denied")
    describe(customers)
    apart = contents(customers)
    customers.record("b.s:2", ("phone", "+491510000002"), ("user_id", "1"))
    describe(customers)
    [(merged_away,)] = customers.rows("SELECT alias_id FROM customers.profile_aliases")
    assert row(customers, "a.s:1")["city"] == "Rome"
    assert customers.rows("SELECT status FROM customers.profile_consents") == [("denied",)]
    unmerge(customers.connection, str(merged_away), reason="two people", made_by="tests", now=customers.tick())
    describe(customers)
    assert (row(customers, "a.s:1")["city"], row(customers, "b.s:2")["city"]) == ("Oslo", "Rome")
    assert [table[2:] for table in contents(customers)[2:4]] == [table[2:] for table in apart[2:4]]
    assert sorted(customers.rows("SELECT status FROM customers.profile_consents")) == [("denied",), ("granted",)]


class TestFreshness:
    def test_values_go_stale_sooner_or_later_or_never(self, customers: Customers) -> None:
        customers.record("a.s:1", ("email", "ana@work.example"), observed_at=days(0))
        for name in ("job_title", "first_name", "birth_date", "favourite"):
            customers.trait("a.s:1", name, "x", observed_at=days(0))
        describe(customers)
        stale = pairs(customers, "SELECT name, stale_at FROM customers.profile_traits")
        assert stale["email"] == stale["job_title"] == days(365)
        assert stale["first_name"] == days(3650)
        assert (stale["birth_date"], stale["favourite"]) == (None, None)
        seen = customers.rows("SELECT name FROM customers.profile_traits WHERE stale ORDER BY name")
        assert seen == [("email",), ("job_title",)]

    def test_what_is_said_again_stays_fresh_though_another_record_is_its_origin(self, customers: Customers) -> None:
        say(customers, "job_title", "Baker", "baker")
        describe(customers, by(job_title=TraitRule(strategy="first", lifetime_days=10)))
        assert origin(customers, "job_title")[:2] == ("s0.t:0", days(0))
        assert customers.rows("SELECT stale_at FROM customers.profile_traits WHERE name = 'job_title'") == [(days(11),)]

    def test_lifetimes_come_from_the_trait_then_the_kind_then_as_shipped(self) -> None:
        rules = SurvivorshipRules(
            lifetime_days=5, traits={"phone": TraitRule(lifetime_days="never"), "City": TraitRule(lifetime_days=7)}
        )
        kinds = {"email": 30, "phone": 40}
        assert [rules.lifetime(name, kinds) for name in ("email", "phone", "city", "company", "colour")] == [
            30, None, 7, 365, 5,
        ]  # fmt: skip

    def test_each_run_keeps_the_share_that_is_fresh(self, customers: Customers) -> None:
        for number in range(4):
            record_id = customers.record(f"a.s:{number}", ("user_id", f"u{number}"))
            customers.trait(record_id, "city", "Oslo", observed_at=days(number))
        customers.trait("a.s:0", "born", "1990", observed_at=days(0))
        customers.resolve()
        rules = by(city=TraitRule(lifetime_days=10))
        reports = [build_profiles(customers.connection, rules, now=days(now)) for now in (9, 12)]
        shares = [{each.trait: each.share for each in report.freshness} for report in reports]
        assert shares == [{"born": 1.0, "city": 1.0}, {"born": 1.0, "city": 0.25}]
        assert customers.rows(
            "SELECT as_of, lifetime_days, profiles, fresh, share FROM customers.trait_freshness "
            "WHERE trait = 'city' ORDER BY as_of"
        ) == [(days(9), 10, 4, 4, 1.0), (days(12), 10, 4, 1, 0.25)]

    def test_a_list_is_fresh_when_one_of_its_values_is(self, customers: Customers) -> None:
        say(customers, "interests", "wine", "bread")
        rules = by(interests=TraitRule(strategy="list", lifetime_days=10))
        customers.resolve()
        report = build_profiles(customers.connection, rules, now=days(10) + timedelta(hours=1))
        [found] = [each for each in report.freshness if each.trait == "interests"]
        assert (found.profiles, found.fresh) == (1, 1)

    def test_another_lifetime_describes_nobody_anew(self, customers: Customers) -> None:
        say(customers, "city", "Oslo")
        describe(customers)
        assert not describe(customers, by(city=TraitRule(lifetime_days=1))).full
        assert customers.rows("SELECT stale_at FROM customers.profile_traits WHERE name = 'city'") == [(days(1),)]


def test_tables_of_an_older_version_are_made_anew(customers: Customers) -> None:
    say(customers, "city", "Oslo")
    customers.consent("s0.t:0", "email", "granted")
    describe(customers)
    expected = contents(customers)
    for statement in (
        "DROP VIEW customers.profile_traits",
        "DROP TABLE customers.profile_traits_origin",
        "DROP TABLE customers.profile_consents",
        "CREATE TABLE customers.profile_traits_origin (profile_id TEXT, name TEXT, record_id TEXT)",
        "CREATE VIEW customers.profile_consents AS SELECT record_id AS profile_id FROM customers.consents",
    ):
        customers.connection.execute(statement)
    assert describe(customers).full
    assert contents(customers) == expected


NAMES = {"city": "text", "visits": "number", "vip": "boolean", "seen": "date"}
VALUES = {
    "city": ["Oslo", "oslo", "Rome", ""],
    "visits": ["1", "1.0", "10", "many"],
    "vip": ["true", "False", "1"],
    "seen": ["2020-01-01", "2021-01-01", "soon"],
}
changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("trait"),
            st.integers(0, 6),
            st.sampled_from(sorted(NAMES)).flatmap(
                lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]))
            ),
            st.integers(0, 2),
        ),
        st.tuples(st.just("join"), st.integers(0, 6), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("delete"), st.integers(0, 6), st.none(), st.none()),
        st.tuples(st.just("consent"), st.integers(0, 6), st.sampled_from(["granted", "denied"]), st.integers(0, 1)),
    ),
    max_size=8,
)
STRATEGIES = ["most_recent", "first", "most_frequent", "source_priority"]
choices = st.fixed_dictionaries(
    {
        "city": st.sampled_from([*STRATEGIES, "longest", "list", "most_restrictive"]),
        "visits": st.sampled_from([*STRATEGIES, "highest", "lowest"]),
        "vip": st.sampled_from([*STRATEGIES, "most_restrictive"]),
        "seen": st.sampled_from([*STRATEGIES, "highest", "lowest", "list"]),
        "email": st.sampled_from([*STRATEGIES, "longest"]),
    }
)


@settings(max_examples=10, deadline=None)
@given(batches=st.lists(changes, min_size=1, max_size=4), chosen=choices, ranked=st.booleans())
def test_in_steps_equals_at_once_for_every_strategy(
    new_customers: Callable[[], Customers],
    batches: list[list[tuple[str, int, object, int]]],
    chosen: dict[str, str],
    ranked: bool,
) -> None:
    customers = new_customers()
    restrictive = {"restrictive": [True, "oslo"]}
    rules = SurvivorshipRules.model_validate(
        {
            "sources": ["b", "a.s"] if ranked else [],
            "traits": {
                name: {"strategy": strategy, **(restrictive if strategy == "most_restrictive" else {})}
                for name, strategy in chosen.items()
            },
        }
    )
    for number in range(7):
        customers.record(_record(number), ("email", f"{number // 2}@box.example"))
    # A column that nobody fills any more stays until the next full run, unless it is declared.
    declared = list(NAMES.items())
    for batch in batches:
        for what, number, detail, later in batch:
            _change(customers, what, number, detail, later)
        customers.resolve()
        build_profiles(customers.connection, rules, now=customers.now, declared=declared)
    stepwise = contents(customers)
    build_profiles(customers.connection, rules, now=customers.now, full=True, declared=declared)
    assert contents(customers) == stepwise
    customers.connection.close()


def _record(number: int) -> str:
    return f"{'abc'[number % 3]}.s:{number}"


def _change(customers: Customers, what: str, number: int, detail: object, later: int) -> None:
    record_id = _record(number)
    if what == "trait":
        assert isinstance(detail, tuple)
        name, value = detail
        customers.trait(record_id, name, value, NAMES[name], observed_at=days(later))
    elif what == "join":
        customers.record(record_id, ("email", f"{detail}@box.example"), ("phone", f"+4915100000{later}"))
    elif what == "delete":
        customers.delete(record_id)
    else:
        customers.consent(record_id, ("email", "sms")[later], str(detail))
