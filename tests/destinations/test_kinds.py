"""Delivery to vendors of other kinds: wherever runs die, they end with exactly the people who are wanted."""

from __future__ import annotations

from hashlib import sha256

import pytest

from millstream.destinations.modes import SyncMode
from millstream.state.errors import ConfigurationError, RefusedError, UnavailableError, UnknownOutcomeError
from tests.destinations.bench import PEOPLE, Bench, MakeBench
from tests.destinations.memory_kinds import (
    MemoryOfBytes,
    MemoryOfMembers,
    MemoryReplaced,
    MemoryTogether,
    MemoryWithSchema,
)


@pytest.mark.parametrize("call", [1, 2, 4])
@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize("kind", [MemoryTogether, MemoryOfMembers, MemoryReplaced])
def test_the_destination_ends_as_desired_wherever_a_run_dies(
    a_bench: MakeBench, kind: type[MemoryTogether], call: int, after_work: bool
) -> None:
    mode = SyncMode.REPLACE if kind is MemoryReplaced else SyncMode.MIRROR
    with a_bench(mode=mode) as bench:
        bench.connector = kind
        bench.want(dict.fromkeys(PEOPLE[:8], "Ann"))
        bench.killed(call, after_work=after_work)
        bench.want({**dict.fromkeys(PEOPLE[3:10], "Ann"), PEOPLE[4]: "Bea"})
        bench.killed(call, after_work=after_work)
        bench.run()
        assert bench.memory.members == set(PEOPLE[3:10])
        calls = bench.memory.calls
        assert bench.run().status == "completed"
        assert bench.memory.calls == calls


# Fields and membership together


def test_one_request_does_for_fields_and_membership(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = MemoryTogether
        bench.want(dict.fromkeys(PEOPLE[:8], "Ann"))
        bench.run()
        assert (bench.memory.calls, bench.memory.members) == (2, set(PEOPLE[:8]))
        bench.want(dict.fromkeys(PEOPLE[:8], "Bea"))
        bench.run()
        assert bench.memory.calls == 4


# Members only


def test_members_are_sent_with_all_their_fields_hashed(a_bench: MakeBench) -> None:
    with a_bench(fields={"NAME": "name", "EMAIL": "email"}) as bench:
        bench.connector = MemoryOfMembers
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.want({PEOPLE[0]: "BEA"})
        bench.run()
        email = sha256(PEOPLE[0].encode()).hexdigest()
        sent = [{"NAME": sha256(name.encode()).hexdigest(), "EMAIL": email} for name in (b"ann".decode(), "bea")]
        assert bench.memory.sent == [(PEOPLE[0], fields) for fields in sent]


def test_a_value_that_is_none_of_its_kind_is_left_out_or_rejected(a_bench: MakeBench) -> None:
    with a_bench(fields={"EMAIL": "name"}) as bench:
        bench.connector = MemoryOfMembers
        bench.want({PEOPLE[0]: "no address"})
        bench.run()
        assert bench.memory.sent == [(PEOPLE[0], {})]
    with a_bench(fields={"EMAIL": {"column": "name", "required": True}}) as bench:
        bench.connector = MemoryOfMembers
        bench.want({PEOPLE[0]: "no address"})
        bench.run(override_guards=True)
        [listed] = bench.journal.rejected_rows("sync")
        assert (listed["code"], bench.memory.sent) == ("not_of_its_kind", [])


# Replacements


def _of(bench: Bench) -> dict[str, object]:
    return {email: fields["NAME"] for email, fields in bench.memory.people.items()}


def test_everybody_is_handed_over_each_time_something_changed(a_bench: MakeBench) -> None:
    with a_bench(mode=SyncMode.REPLACE) as bench:
        bench.connector = MemoryReplaced
        bench.want(dict.fromkeys(PEOPLE[:8], "Ann"))
        assert bench.run().accepted == 8
        bench.want({**dict.fromkeys(PEOPLE[1:8], "Ann"), PEOPLE[9]: "Bea"})
        plan = bench.planned()
        assert (plan.adds, plan.updates, plan.removes, plan.unchanged) == (1, 0, 1, 7)
        assert _of(bench) == {**dict.fromkeys(PEOPLE[1:8], "Ann"), PEOPLE[9]: "Bea"}
        assert bench.memory.calls == 2
        assert bench.planned().operations == 0
        assert bench.memory.calls == 2


def test_who_withdraws_consent_is_not_handed_over(a_bench: MakeBench) -> None:
    with a_bench(mode=SyncMode.REPLACE, consent={"channel": "email", "topic": "marketing"}) as bench:
        bench.connector = MemoryReplaced
        bench.want(dict.fromkeys(PEOPLE[:4], "Ann"))
        bench.grant(*PEOPLE[:4])
        bench.run()
        bench.grant(*PEOPLE[1:4])
        bench.run()
        assert bench.memory.members == set(PEOPLE[1:4])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnavailableError("Down."), "retry_later"),
        (UnknownOutcomeError("No answer."), "retry_later"),
        (RefusedError("Too large.", status=413), "rejected"),
    ],
)
def test_a_replacement_that_fails_is_made_again(
    a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    with a_bench(mode=SyncMode.REPLACE) as bench:
        bench.connector = MemoryReplaced
        bench.want(dict.fromkeys(PEOPLE[:6], "Ann"))
        bench.run()
        bench.want(dict.fromkeys(PEOPLE[2:8], "Ann"))

        def fails(*_: object, **__: object) -> object:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(MemoryReplaced, "replace_members", fails)
            bench.run()
        assert bench.memory.members == set(PEOPLE[:6])
        query = f"SELECT count(*) FROM delivery.outcomes WHERE status = '{status}'"
        assert bench.ask(query) == [(8,)]
        with bench.journal.engine.begin() as journal:
            journal.exec_driver_sql("UPDATE rejected SET next_try_at = '2020-01-01 00:00:00'")
        bench.run()
        assert bench.memory.members == set(PEOPLE[2:8])


# Sizes


def test_batches_are_as_full_as_bytes_allow_and_too_large_rows_stay_behind(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = MemoryOfBytes
        MemoryOfBytes.batches.clear()
        bench.want({**dict.fromkeys(PEOPLE[:10], "x" * 150), PEOPLE[10]: "y" * 199, PEOPLE[11]: "z"})
        bench.run()
        assert MemoryOfBytes.batches == [950, 750]
        bench.want({**dict.fromkeys(PEOPLE[:10], "x" * 150), PEOPLE[10]: "y" * 199, PEOPLE[11]: "z" * 401})
        bench.run()
        assert {row["code"] for row in bench.journal.rejected_rows("sync")} == {"too_large"}


# Fields that have to be there


def test_a_missing_field_stops_the_sync_unless_it_may_be_made(a_bench: MakeBench) -> None:
    MemoryWithSchema.known.clear()
    with a_bench() as bench:
        bench.connector = MemoryWithSchema
        bench.want({PEOPLE[0]: "Ann"})
        report = bench.run()
        assert isinstance(report.error, ConfigurationError)
        assert "create_fields: true" in str(report.error)
        assert bench.memory.calls == 0
    with a_bench(create_fields=True) as bench:
        bench.connector = MemoryWithSchema
        bench.want({PEOPLE[0]: "Ann"})
        assert bench.run().accepted == 1
        assert MemoryWithSchema.known == {"NAME": "text"}
