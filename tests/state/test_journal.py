"""The journal survives its process, and migrations give what the code expects."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from millstream.state.errors import ConfigurationError, UnreachableError
from millstream.state.ledger import migrations
from millstream.state.ledger.deliveries import lease_of
from millstream.state.ledger.journal import HEAD, LEASE, Journal, now
from millstream.state.ledger.outcomes import Outcomes
from millstream.state.ledger.tables import metadata
from tests.postgres import Server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield "sqlite:///journal.sqlite"
        return
    server: Server = request.getfixturevalue("postgres_server")
    with server.database() as made:
        yield made


@pytest.fixture
def journal(url: str, tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(url, root=tmp_path)
    yield journal
    journal.close()


def test_migrations_give_the_tables_that_the_code_uses(journal: Journal) -> None:
    with journal.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == HEAD


def test_opening_an_up_to_date_journal_does_not_import_alembic(journal: Journal, url: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from millstream.state.ledger.journal import Journal;"
        f"Journal({url!r}, root=Path({str(tmp_path)!r})).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rejected_rows_are_found_by_sync_and_by_person(journal: Journal) -> None:
    facts = {"operation": "add", "payload_hash": "h", "status": "rejected", "attempts": 1}
    facts |= {"first_at": now(), "last_at": now()}
    for sync in ("mail", "ads"):
        rows = [{**facts, "sync": sync, "match_hash": who, "profile_id": who} for who in ("ann", "bob", "cem")]
        journal.replace_rejected(sync, [], rows)
    found = [(row["sync"], row["profile_id"]) for row in journal.rejected_rows(profile_ids=["bob", "nobody"])]
    assert found == [("ads", "bob"), ("mail", "bob")]
    assert [row["profile_id"] for row in journal.rejected_rows("ads", profile_ids=["cem"])] == ["cem"]
    assert journal.rejected_rows(profile_ids=[]) == []
    assert len(journal.rejected_rows()) == 6


@pytest.fixture
def plan(journal: Journal, tmp_path: Path) -> Iterator[str]:
    """A plan that is being sent, by a run that holds its sync."""
    with journal.lease(lease_of("sync"), "run"):
        facts = {"sync": "sync", "run_id": "run", "path": tmp_path / "plan.parquet", "counts": {"add": 2}}
        assert journal.add_plan("plan", **facts)
        assert journal.plan_sending("plan", None)
        yield "plan"


def test_batches_come_back_in_order_with_their_outcomes(journal: Journal, plan: str) -> None:
    first = journal.start_batch(plan, "add", [0, 1])
    assert first is not None
    journal.start_batch(plan, "add", [2])
    outcomes = Outcomes([0, 1], ["accepted", "rejected"], ["x-1", None], {1: ("bad", "A bad row.", "data")})
    journal.finish_batch(first, outcomes)
    batches = journal.batches_of(plan)
    assert [(batch.numbers, batch.outcomes) for batch in batches] == [([0, 1], outcomes), ([2], None)]


def test_nothing_of_a_plan_is_begun_once_it_is_closed(journal: Journal, plan: str) -> None:
    assert journal.close_plan(plan, own=True)
    assert journal.start_batch(plan, "add", [0, 1]) is None
    assert not journal.plan_sending(plan, None)
    assert list(journal.batches_of(plan)) == []


def test_a_plan_is_closed_by_its_run_or_by_the_next_one_and_settled_once(journal: Journal, plan: str) -> None:
    assert journal.close_plan(plan, own=False)
    assert not journal.close_plan(plan, own=True), "another run has it"
    assert journal.close_plan(plan, own=False), "that one may die, too"
    assert not journal.is_settled(plan)
    journal.plan_settled(plan)
    assert journal.is_settled(plan)
    assert not journal.close_plan(plan, own=False)


def test_a_plan_is_kept_only_of_a_run_that_holds_its_sync(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "plan.parquet"
    with journal.lease(lease_of("sync"), "another"):
        assert not journal.add_plan("plan", sync="sync", run_id="run", path=path, counts={})
        assert not journal.holds("sync", "run")
        assert journal.holds("sync", "another")
    assert not journal.add_plan("plan", sync="sync", run_id="another", path=path, counts={})
    assert journal.unsettled_plans("sync") == []


def test_times_come_back_aware(journal: Journal) -> None:
    journal.start_run("run", "pipeline")
    (run,) = journal.last_runs()
    assert run["started_at"].tzinfo is not None
    assert run["status"] == "running"


def test_processes_that_open_a_new_journal_at_once_make_it_once(url: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from millstream.state.ledger.journal import Journal;"
        f"Journal({url!r}, root=Path({str(tmp_path)!r})).close()"
    )
    opening = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [one.wait() for one in opening] == [0, 0, 0]


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """SQLite does not wait for the lock when the journal mode of a new file is set."""
    for number in range(20):
        url = f"sqlite:///journal-{number}.sqlite"
        with ThreadPoolExecutor(6) as pool:
            for journal in pool.map(lambda _, url=url: Journal(url, root=tmp_path), range(6)):
                journal.close()


def test_a_lease_is_held_by_one_and_given_back(journal: Journal) -> None:
    with journal.lease("sync a", "one") as one, journal.lease("sync a", "two") as two:
        assert (one, two) == (True, False)
    with journal.lease("sync a", "two") as two:
        assert two


def test_a_lease_of_a_process_that_is_gone_is_free(journal: Journal) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with journal.lease("sync a", "one") as taken, journal.engine.begin() as connection:
        assert taken
        holder = connection.execute(sa.text("SELECT holder FROM leases")).scalar_one()
        assert f"/{os.getpid()}@" in holder
        dead = holder.replace(f"/{os.getpid()}@", f"/{gone.pid}@")
        connection.execute(sa.text("UPDATE leases SET holder = :dead"), {"dead": dead})
    with journal.lease("sync a", "two") as taken:
        assert taken


def test_a_lease_of_another_machine_ends_with_its_time(journal: Journal) -> None:
    with journal.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO leases VALUES ('sync a', 'elsewhere/1/run', 9e12)"))
    with journal.lease("sync a", "mine") as taken:
        assert not taken
    with journal.engine.begin() as connection:
        connection.execute(sa.text("UPDATE leases SET expires = 0"))
    with journal.lease("sync a", "mine") as taken:
        assert taken


def test_a_run_of_another_machine_that_is_silent_for_too_long_was_killed_when_it_was_last_heard(
    journal: Journal,
) -> None:
    for run in ("silent", "alive"):
        journal.start_run(run, "pipeline")
    silent_since = time.time() - LEASE - 60
    with journal.signs_of_life("alive"), journal.engine.begin() as connection:
        connection.execute(sa.text("UPDATE runs SET holder = 'elsewhere/1@2/' || run_id"))
        connection.execute(sa.text("UPDATE leases SET holder = 'elsewhere/1@2/alive'"))
        expired = {"at": silent_since + LEASE}
        connection.execute(sa.text("INSERT INTO leases VALUES ('run silent', 'elsewhere/1@2/silent', :at)"), expired)
    journal.note_killed()
    runs = {run["run_id"]: run for run in journal.last_runs()}
    assert (runs["alive"]["status"], runs["silent"]["status"]) == ("running", "killed")
    assert runs["silent"]["finished_at"].timestamp() == pytest.approx(silent_since, abs=1)
    with journal.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT name FROM leases")).scalars().all() == ["run alive"]
    # Who was only asleep comes to an end all the same.
    journal.finish_run("silent", ok=True, summary={})
    assert {run["run_id"]: run["status"] for run in journal.last_runs()}["silent"] == "completed"


def test_a_run_of_this_machine_that_slept_for_too_long_goes_on_and_one_that_is_gone_was_killed(
    journal: Journal,
) -> None:
    for run in ("asleep", "gone"):
        journal.start_run(run, "pipeline")
    with journal.signs_of_life("asleep"), journal.signs_of_life("gone"):
        with journal.engine.begin() as connection:
            connection.execute(sa.text("UPDATE leases SET expires = :past"), {"past": time.time() - 60})
            holder = connection.execute(sa.text("SELECT holder FROM runs WHERE run_id = 'gone'")).scalar_one()
            # A process that started at another time and had our number.
            dead = {"dead": f"{holder.partition('@')[0]}@1/gone"}
            connection.execute(sa.text("UPDATE runs SET holder = :dead WHERE run_id = 'gone'"), dead)
        journal.note_killed()
        runs = {run["run_id"]: run for run in journal.last_runs()}
        assert (runs["asleep"]["status"], runs["asleep"]["finished_at"]) == ("running", None)
        assert runs["gone"]["status"] == "killed"
        with journal.engine.connect() as connection:
            assert connection.execute(sa.text("SELECT name FROM leases")).scalars().all() == ["run asleep"]


def test_a_url_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="journal: The journal's URL"):
        Journal("no url", root=tmp_path)


def test_a_file_of_another_kind_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database, but long enough to be looked at as one\n" * 100)
    with pytest.raises(UnreachableError, match=r"notes.txt cannot be used: .*What to do: name another file"):
        Journal("sqlite:///notes.txt", root=tmp_path)
    assert (tmp_path / "notes.txt").read_text().startswith("no database")


def test_a_server_that_does_not_answer_is_named_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as raised:
        Journal("postgresql://ana:secret@127.0.0.1:9/shop", root=tmp_path)
    assert "127.0.0.1:9/shop" in str(raised.value)
    assert "secret" not in str(raised.value)
