"""Who is kept back from a sync: the suppression list, consent while sending, holdouts, priority lists."""

from __future__ import annotations

import pytest

from millstream.destinations.sending import withdrawals
from millstream.state.errors import ConfigurationError
from millstream.state.ledger.suppressions import release, salt, suppress
from tests.destinations.bench import PEOPLE, MakeBench

MANY = {f"p{number}@box.example": "Ann" for number in range(400)}
HELD = "SELECT match_value, reason FROM delivery.suppressed ORDER BY match_value"
LOGGED = "SELECT match_value, status, reason FROM delivery.outcomes WHERE operation = 'hold' ORDER BY match_value"


def test_the_suppression_list_keeps_people_out_and_takes_them_out(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob", PEOPLE[2]: "Cy"})
        bench.run()
        assert suppress(bench.journal, [PEOPLE[0], f"profile-{PEOPLE[1]}"], reason="asked by post") == 2
        report = bench.run()
        assert (report.planned.held, bench.memory.members) == ({"suppression list": 2}, {PEOPLE[2]})
        reason = "suppression list: asked by post"
        assert bench.ask(HELD) == [(PEOPLE[0], reason), (PEOPLE[1], reason)]
        assert bench.ask(LOGGED) == [(one, "suppressed", reason) for one in PEOPLE[:2]]
        bench.run()
        assert len(bench.ask(LOGGED)) == 2
        assert release(bench.journal, [PEOPLE[0]]) == 1
        bench.run()
        assert bench.memory.members == {PEOPLE[0], PEOPLE[2]}


def test_any_number_of_people_comes_off_the_list(on_duckdb: MakeBench) -> None:
    """Databases take only so many values in one statement."""
    many = [f"p{number}@box.example" for number in range(270_000)]
    with on_duckdb() as bench:
        assert suppress(bench.journal, [many[0], many[-1], "p@box.example"], reason="asked") == 3
        assert release(bench.journal, many) == 2


def test_nobody_is_kept_back_from_being_taken_out(a_bench: MakeBench) -> None:
    """Who is on the suppression list, and who never consented, is who has to be taken out."""
    facts = {"mode": "remove", "consent": {"channel": "email"}, "rules": {"holdout": 0.9}}
    with a_bench(**facts) as bench:
        bench.memory.members = set(PEOPLE[:3])
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.grant()
        suppress(bench.journal, [PEOPLE[0]], reason="asked by post")
        report = bench.run()
        assert (report.accepted, report.suppressed) == (2, 0)
        assert bench.memory.members == {PEOPLE[2]}


def test_the_suppression_list_knows_people_by_any_of_their_identifiers(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.execute(
            "CREATE SCHEMA IF NOT EXISTS customers",
            "CREATE TABLE customers.members (record_id TEXT, profile_id TEXT)",
            "CREATE TABLE customers.identifiers (record_id TEXT, kind TEXT, value TEXT)",
            f"INSERT INTO customers.members VALUES ('shop:1', 'profile-{PEOPLE[0]}')",
            "INSERT INTO customers.identifiers VALUES ('shop:1', 'phone', '+4930123456')",
        )
        suppress(bench.journal, ["+4930123456"], reason="phoned us")
        assert bench.run().suppressed == 1
        assert bench.memory.members == {PEOPLE[1]}


def test_the_suppression_list_holds_for_whom_a_person_was_merged_into(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        suppress(bench.journal, ["profile-of-before"], reason="asked")
        assert bench.run().accepted == 2
        bench.execute(
            "CREATE SCHEMA IF NOT EXISTS customers",
            "CREATE TABLE customers.profile_aliases (alias_id TEXT, profile_id TEXT)",
            f"INSERT INTO customers.profile_aliases VALUES ('profile-of-before', 'profile-{PEOPLE[0]}')",
        )
        assert bench.run().suppressed == 1
        assert bench.memory.members == {PEOPLE[1]}


def test_a_suppression_for_a_channel_leaves_others_alone(a_bench: MakeBench) -> None:
    for channel, held in (("email", 1), ("sms", 0)):
        with a_bench(consent={"channel": "email"}) as bench:
            bench.want({PEOPLE[0]: "Ann"})
            bench.grant(PEOPLE[0])
            suppress(bench.journal, [PEOPLE[0]], reason="asked", channel=channel)
            assert bench.run().suppressed == held


@pytest.mark.parametrize("by", ["consent", "suppression list"])
def test_who_may_not_be_addressed_any_more_is_not_sent_although_planned(
    a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(withdrawals, "FRESH_FOR", 0.0)
    monkeypatch.setattr(withdrawals, "FRESH_FOR_LOOKS", 0.0)
    with a_bench(consent={"channel": "email"}) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.grant(*PEOPLE)
        last = sorted(PEOPLE)[-1]

        def withdraw() -> None:
            if by == "consent":
                bench.execute(f"DELETE FROM customers.profile_consents WHERE profile_id = 'profile-{last}'")
            else:
                suppress(bench.journal, [last], reason="asked")

        bench.memory.before_upsert = withdraw
        report = bench.run()
        assert (report.accepted, report.suppressed) == (len(PEOPLE) - 1, 1)
        assert last not in bench.memory.people
        ((status, reason),) = bench.ask(f"SELECT status, reason FROM delivery.outcomes WHERE match_value = '{last}'")
        assert (status, reason.split(":")[0]) == ("suppressed", by)
        assert bench.journal.rejected_rows("sync") == []


def test_a_holdout_is_sticky_and_of_its_size(a_bench: MakeBench) -> None:
    with a_bench(rules={"holdout": 0.25}, consent={"channel": "email"}) as bench:
        bench.want(MANY)
        bench.grant(*MANY)
        report = bench.run()
        held = {match_value for match_value, _ in bench.ask(HELD)}
        assert report.planned.held == {"holdout": len(held)}
        assert 60 <= len(held) <= 140
        assert bench.memory.members == set(MANY) - held
        bench.want({**MANY, "new@box.example": "Ann"})
        bench.grant(*MANY, "new@box.example")
        bench.run()
        assert {match_value for match_value, _ in bench.ask(HELD)} - {"new@box.example"} == held
        assert salt(bench.journal, "global") == salt(bench.journal, "global")


def test_a_holdout_needs_to_know_who_the_rows_are_of(a_bench: MakeBench) -> None:
    with a_bench(rules={"holdout": 0.1}, holdout=True, sql="SELECT email, name FROM crm.wanted", table=None) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        with pytest.raises(ConfigurationError, match="profile_id"):
            bench.run()


def test_a_sync_without_consent_has_no_holdout_unless_it_says_so(a_bench: MakeBench) -> None:
    for holdout, held in ((None, False), (True, True)):
        with a_bench(rules={"holdout": 0.5}, holdout=holdout) as bench:
            bench.want(MANY)
            assert bool(bench.run().suppressed) is held


def test_who_is_in_an_earlier_audience_of_a_priority_list_is_sent_with_that_one(a_bench: MakeBench) -> None:
    rules = {"priorities": {"offers": ["vip", "everyone"]}}
    with a_bench(rules=rules, holdout=True, table=None, audience="everyone") as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.execute(
            "CREATE SCHEMA IF NOT EXISTS customers",
            "CREATE TABLE customers.profiles AS SELECT profile_id, email, name FROM crm.wanted",
            "CREATE TABLE customers.memberships (audience TEXT, profile_id TEXT, left_at TIMESTAMPTZ)",
            "CREATE TABLE customers.profile_aliases (alias_id TEXT, profile_id TEXT)",
            "INSERT INTO customers.memberships SELECT 'everyone', profile_id, NULL FROM crm.wanted",
            f"INSERT INTO customers.memberships VALUES ('vip', 'profile-{PEOPLE[0]}', NULL)",
        )
        report = bench.run()
        assert (report.planned.held, bench.memory.members) == ({"priority": 1}, {PEOPLE[1]})
        assert bench.ask(HELD) == [(PEOPLE[0], "priority: vip")]
