"""People who stay although one of their names leaves: nobody who is wanted is taken out with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected, suppressed
from millstream.destinations.kept_identifiers import current_in, identifiers_in, kept
from millstream.destinations.modes import Leaving
from millstream.state.errors import UnavailableError
from millstream.state.http import RateLimit
from tests.destinations.bench import Bench, MakeBench
from tests.destinations.memory import MemoryDestination, MemoryWithJobs
from tests.destinations.memory_kinds import Hashes, Keeping

ANA, ANNA, BEN, CY = (f"{name}@box.example" for name in ("ana", "anna", "ben", "cy"))


class Ids(MemoryDestination):
    """Knows people by ids, whatever address they are sent with, as a vendor at whom somebody changed theirs."""

    ids: ClassVar[dict[str, str]] = {ANA: "1", ANNA: "1", BEN: "2", CY: "3"}

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.step(lambda: None)
        return [accepted(self.ids[row.match_value]) for row in rows]

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.step(lambda: self.memory.members.update(str(row.external_id) for row in rows))
        return [accepted() for _ in rows]

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.step(lambda: self.memory.members.difference_update(str(row.external_id) for row in rows))
        return [accepted() for _ in rows]

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.step(lambda: self.memory.archived.update(str(row.external_id) for row in rows))
        return [accepted() for _ in rows]


class IdsSideBySide(Ids):
    """Several batches at once."""

    rate_limit = RateLimit(requests=1_000_000, seconds=1, concurrency=8)
    batch_size = membership_batch_size = 1


class IdsByJobs(MemoryWithJobs, Ids):
    """Takes two or more who are new as a job."""

    job_from = 2


class IdsDownForNewPeople(Ids):
    """Cannot answer whoever puts somebody in, while that is so."""

    is_down: ClassVar[bool] = False

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        if self.is_down:
            raise UnavailableError("Not now.")
        return super().upsert(rows, match_key=match_key)


@pytest.mark.parametrize("connector", [Ids, IdsSideBySide])
def test_who_has_a_new_address_and_the_same_id_stays(a_bench: MakeBench, connector: type[Ids]) -> None:
    with a_bench() as bench:
        bench.connector = connector
        bench.want({ANA: "Ana", BEN: "Ben", CY: "Cy"})
        bench.run()
        bench.want({ANNA: "Ana", BEN: "Ben"})
        report = bench.run()
        assert report.planned is not None
        assert (report.planned.adds, report.planned.removes, report.accepted) == (1, 2, 3)
        assert bench.memory.members == {"1", "2"}
        assert bench.ask("SELECT match_value FROM delivery.acknowledged ORDER BY 1") == [(ANNA,), (BEN,)]
        assert bench.ask("SELECT match_value FROM delivery.outcomes WHERE reason LIKE '%stays%'") == [(ANA,)]
        assert bench.planned().operations == 0


def test_of_two_addresses_of_one_person_either_may_leave(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Ids
        bench.want({ANA: "Ana", ANNA: "Ana", BEN: "Ben"})
        bench.run()
        bench.want({ANA: "Ana", BEN: "Ben"})
        bench.run()
        assert bench.memory.members == {"1", "2"}
        bench.want({BEN: "Ben"})
        bench.run()
        assert bench.memory.members == {"2"}


def test_nobody_is_archived_who_has_a_new_address(a_bench: MakeBench) -> None:
    with a_bench(on_leave=Leaving.ARCHIVE) as bench:
        bench.connector = Ids
        bench.want({ANA: "Ana", BEN: "Ben"})
        bench.run()
        bench.want({ANNA: "Ana"})
        bench.run()
        assert bench.memory.archived == {"2"}


def test_a_name_that_somebody_who_stays_has_is_not_taken_out(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Hashes
        bench.want({ANA: "Kim", BEN: "Kim", CY: "Lee"})
        bench.run()
        bench.want({ANA: "Kim"})
        bench.run()
        assert bench.memory.members == {ANA, "Kim"}, "of somebody who was there before"
        bench.want({ANNA: "Kim"})
        bench.run()
        assert bench.memory.members == {ANNA, "Kim"}, "of somebody who came in the same run"
        bench.want({})
        bench.run()
        assert bench.memory.members == set()


def test_nobody_is_kept_in_by_a_name_that_somebody_who_stays_had_once(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Keeping
        bench.want({ANA: "Kim"})
        bench.run()
        bench.want({ANA: "Kay", BEN: "Kim", CY: "Kay"})
        bench.run()
        bench.want({ANA: "Kay"})
        bench.run()
        assert bench.memory.members == {ANA, "Kay"}


def test_nobody_is_kept_in_by_a_name_that_somebody_who_stays_loses_in_the_same_run(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Keeping
        bench.want({ANA: "Kim", BEN: "Kim", CY: "Lee"})
        bench.run()
        bench.want({ANA: "Kay"})
        bench.run()
        assert bench.memory.members == {ANA, "Kay"}
        assert bench.planned().operations == 0


class Asking(Keeping):
    """Takes nobody who says no."""

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        willing = [row for row in rows if row.fields["NAME"] != "no"]
        taken = iter(super().add_members(audience_id, willing, match_key=match_key))
        return [next(taken) if row in willing else suppressed("no", "The person said no.") for row in rows]


class AskingSideBySide(Asking):
    """Several batches at once."""

    rate_limit = RateLimit(requests=1_000_000, seconds=1, concurrency=8)
    batch_size = membership_batch_size = 1


@pytest.mark.parametrize("connector", [Asking, AskingSideBySide])
@pytest.mark.parametrize("dies_at", [None, 1, 2])
def test_who_says_no_is_taken_out_but_for_what_anybody_has_who_stays(
    on_duckdb: MakeBench, connector: type[Asking], dies_at: int | None
) -> None:
    """Whoever stays is in another batch, or in none."""
    with on_duckdb() as bench:
        bench.connector = connector
        bench.want({ANA: "Kim", BEN: "Kim", CY: "Lee"})
        bench.run()
        bench.want({ANA: "no", BEN: "Kim", CY: "no", ANNA: "Lee"})
        if dies_at:
            bench.killed(dies_at, after_work=False)
        assert bench.run().codes == {"no": 2}
        assert bench.memory.members == {BEN, "Kim", ANNA, "Lee"}
        bench.want({ANA: "no", BEN: "no", CY: "no", ANNA: "Lou"})
        bench.run()
        assert bench.memory.members == {ANNA, "Lee", "Lou"}
        assert bench.ask("SELECT match_value FROM delivery.acknowledged") == [(ANNA,)]
        bench.want({ANA: "Kim", ANNA: "Lou"})
        bench.run()
        assert bench.memory.members == {ANNA, "Lee", "Lou", ANA, "Kim"}


def test_nobody_who_says_no_keeps_anybody_in(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Asking
        bench.want({ANA: "Kim", BEN: "Kim", CY: "Lee"})
        bench.run()
        bench.want({ANA: "no", CY: "Lee"})
        bench.run()
        assert bench.memory.members == {CY, "Lee"}
        assert bench.ask("SELECT match_value FROM delivery.acknowledged") == [(CY,)]


def test_of_what_an_older_version_kept_the_first_of_each_kind_is_what_somebody_has() -> None:
    old = '[["PHONE","1"],["FN","Ana"],["PHONE","2"]]'
    assert identifiers_in(old) == [("PHONE", "1"), ("FN", "Ana"), ("PHONE", "2")]
    assert current_in(old) == [("PHONE", "1"), ("FN", "Ana")]
    anew = kept([("FN", "Ana")], old, lasting=["PHONE"])
    assert current_in(anew) == [("FN", "Ana")]
    assert identifiers_in(anew) == [("FN", "Ana"), ("PHONE", "1"), ("PHONE", "2")]


def test_nobody_is_taken_out_before_all_are_in_who_come_without_a_job(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = IdsSideBySide
        bench.want({ANA: "Ana"})
        bench.run()
        calls: list[str] = []
        upsert, remove = IdsSideBySide.upsert, IdsSideBySide.remove_members

        class Told(IdsSideBySide):
            def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
                outcomes = upsert(self, rows, match_key=match_key)
                calls.append("in")
                return outcomes

            def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
                calls.append("out")
                return remove(self, audience_id, rows, match_key=match_key)

        bench.connector = Told
        bench.want({BEN: "Ben", CY: "Cy"})
        bench.run()
        assert calls == ["in", "in", "out"]


def test_jobs_wait_for_those_who_are_taken_out(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = MemoryWithJobs
        bench.want({ANA: "Ana", BEN: "Ben"})
        bench.run()
        bench.want({CY: "Cy"})
        assert bench.run().status == "completed"
        assert bench.memory.members == {CY}


def rename(bench: Bench) -> None:
    """Have Ana under another address, and Ben new."""
    bench.want({ANNA: "Ana", BEN: "Ben"})
    bench.execute(f"UPDATE crm.wanted SET profile_id = 'profile-{ANA}' WHERE email = '{ANNA}'")


def test_nobody_is_archived_whose_new_address_waits_for_a_job(a_bench: MakeBench) -> None:
    with a_bench(on_leave=Leaving.ARCHIVE) as bench:
        bench.connector = IdsByJobs
        bench.want({ANA: "Ana"})
        bench.run()
        rename(bench)
        assert bench.run().codes == {"put_off": 1}
        assert bench.run().status == "completed"
        assert bench.memory.archived == set()
        assert bench.ask("SELECT match_value FROM delivery.acknowledged ORDER BY 1") == [(ANNA,), (BEN,)]


def test_nobody_is_archived_by_the_old_address_while_the_new_one_waits_for_a_job(a_bench: MakeBench) -> None:
    """Where no ids are known, the vendor finds the person by the old address until the job has given the new one."""

    class WithoutIds(MemoryWithJobs):
        job_from = 2

    with a_bench(on_leave=Leaving.ARCHIVE) as bench:
        bench.connector = WithoutIds
        bench.want({ANA: "Ana", CY: "Cy"})
        bench.run()
        bench.execute("UPDATE delivery.acknowledged SET external_id = NULL")
        rename(bench)
        assert bench.run().codes == {"put_off": 1}
        assert bench.memory.archived == {CY}
        bench.run()
        assert bench.memory.archived == {ANA, CY}, "the vendor knows by now whether that is anybody"


def test_nobody_is_archived_whose_new_address_got_no_answer(
    a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_bench(on_leave=Leaving.ARCHIVE) as bench:
        bench.connector = IdsDownForNewPeople
        bench.want({ANA: "Ana", CY: "Cy"})
        bench.run()
        rename(bench)
        with monkeypatch.context() as patched:
            patched.setattr(IdsDownForNewPeople, "is_down", True)
            bench.run()
        assert bench.memory.archived == {"3"}, "of Cy it is known who is meant"
        bench.run()
        assert bench.run().status == "completed"
        assert bench.memory.archived == {"3"}
        assert bench.ask("SELECT match_value FROM delivery.acknowledged ORDER BY 1") == [(ANNA,), (BEN,)]


def test_whose_new_address_is_refused_does_not_stay_under_the_old_one(a_bench: MakeBench) -> None:
    class Refusing(Ids):
        def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
            taken = [row for row in rows if row.match_value != ANNA]
            super().add_members(audience_id, taken, match_key=match_key)
            return [accepted() if row in taken else rejected("full", "No more.") for row in rows]

    with a_bench() as bench:
        bench.connector = Refusing
        bench.want({ANA: "Ana", BEN: "Ben"})
        bench.run()
        bench.want({ANNA: "Ana", BEN: "Ben"})
        bench.run()
        assert bench.memory.members == {"2"}, "else nobody would know that she is to be taken out one day"
        assert bench.ask("SELECT match_value FROM delivery.acknowledged") == [(BEN,)]
