"""``millstream delete``: what a source brought, or an identifier, goes; who it alone held together comes apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from millstream.flows.project import load_project
from millstream.flows.steps import Workspace
from millstream.state.ledger.journal import Journal
from millstream.state.ledger.suppressions import all_suppressions, value_hash
from tests.engines import Engine
from tests.flows.calling import call, call_json, documented_keys

PROJECT = """
name: cards
connections:
  disk: {system: files, url: in, settle_seconds: 0}
sources:
  shop:
    connection: disk
    streams:
      buyers:
        files: shop.csv
        primary_key: [no]
        people:
          identifiers: {mail: email}
          traits: {town: city}
          consents: {news: {channel: email, statuses: {"yes": granted, "no": denied}}}
  club:
    connection: disk
    streams:
      members:
        files: club.csv
        primary_key: [no]
        people:
          identifiers: {card: club_card}
  till:
    connection: disk
    streams:
      receipts:
        files: till.csv
        primary_key: [no]
        people:
          identifiers: {mail: email, card: club_card}
          consents: {news: {channel: email, statuses: {"no": denied}}}
          events: [{name: Order Completed, at: at}]
audiences:
  reached: {rule: {trait: city, equals: Bonn}}
"""
WITHOUT_TILL = PROJECT[: PROJECT.index("  till:")] + PROJECT[PROJECT.index("audiences:") :]
FILES = {
    "shop.csv": "no,mail,town,news\n1,ana@box.example,Bonn,yes\n2,bo@box.example,Bonn,yes\n3,cy@box.example,Ulm,yes\n",
    "club.csv": "no,card\n1,C-1\n2,C-2\n",
    "till.csv": "no,mail,card,at,news\n1,ana@box.example,C-1,2026-01-02T10:00:00Z,no\n"
    "2,dan@box.example,,2026-01-02T11:00:00Z,\n",
}
BRIDGE = "till.receipts:1"


@pytest.fixture
def project(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder of a project that was pulled, resolved and selected; the current folder."""
    (tmp_path / "in").mkdir()
    for name, text in FILES.items():
        (tmp_path / "in" / name).write_text(text)
    (tmp_path / "millstream.yaml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    with ExitStack() as server:
        if engine.name == "postgres":
            url = server.enter_context(request.getfixturevalue("postgres_server").database())
            monkeypatch.setenv("MILLSTREAM_STORE", url)
        for command in ("ingest", "resolve", "select"):
            result = call(command)
            assert result.exit_code == 0, result.stderr
        yield tmp_path


def rows(query: str, *values: object) -> list[tuple[Any, ...]]:
    with Workspace.open(load_project()).store.open() as connection:
        return connection.execute(query, list(values)).fetchall()


def listed() -> set[tuple[str, str]]:
    found = all_suppressions(Workspace.open(load_project()).journal)
    return {(one["channel"], one["value_hash"]) for one in found}


def people() -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for profile_id, record_id in rows("SELECT profile_id, record_id FROM customers.members"):
        found.setdefault(profile_id, set()).add(record_id)
    return {frozenset(records) for records in found.values()}


ANA = frozenset({"shop.buyers:1", "club.members:1", BRIDGE})


class TestSource:
    def test_who_it_alone_held_together_comes_apart_and_the_history_says_why(self, project: Path) -> None:
        before = people()
        assert ANA in before
        done = call_json("delete", "--source", "till", "--reason", "closed", "--yes")
        assert set(done) == documented_keys("delete")
        assert done["deletion"] == {"raw_rows": 2, "records": 2, "identifiers": 3, "events": 2}
        assert people() == {
            frozenset({"shop.buyers:1"}),
            frozenset({"club.members:1"}),
            *(one for one in before if not any(record.startswith("till.") for record in one)),
        }
        told = rows("SELECT change, record_id, reason FROM customers.profile_history WHERE change <> 'new' ORDER BY 1")
        assert told == [
            ("removed", None, "source till deleted"),
            ("split", BRIDGE, "source till deleted"),
        ]
        for table in ("records", "events", "modelled_streams"):
            assert rows(f"SELECT count(*) FROM customers.{table} WHERE source = 'till'") == [(0,)]
        assert rows("SELECT count(*) FROM information_schema.tables WHERE table_schema LIKE 'raw_till%'") == [(0,)]
        assert not (project / ".millstream" / "dlt" / "till").exists()
        run = call_json("status")["runs"][0]
        assert (run["kind"], run["status"]) == ("delete", "completed")
        assert (run["summary"]["name"], run["summary"]["reason"]) == ("till", "closed")

    def test_the_next_run_pulls_it_again_and_all_are_who_they_were(self, project: Path) -> None:
        members = set(rows("SELECT record_id, profile_id FROM customers.members WHERE record_id NOT LIKE 'till%'"))
        before = people()
        assert "the next run pulls it again" in call("delete", "--source", "till", "--yes").stderr
        assert call_json("ingest", "till")["ingested"][0]["rows"] == 2
        assert call("resolve").exit_code == 0
        assert people() == before
        after = set(rows("SELECT record_id, profile_id FROM customers.members WHERE record_id NOT LIKE 'till%'"))
        assert after == members, "the older id stays"

    def test_a_source_that_the_project_has_lost_can_be_deleted(self, project: Path) -> None:
        (project / "millstream.yaml").write_text(WITHOUT_TILL)
        done = call_json("delete", "--source", "till", "--yes")
        assert done["in_project"] is False
        assert ANA not in people()
        full = people()
        assert call("resolve", "--full").exit_code == 0
        assert people() == full

    def test_a_dry_run_tells_the_same_and_writes_nothing(self, project: Path) -> None:
        before = people()
        tried = call_json("delete", "--source", "shop", "--dry-run")
        assert people() == before
        assert rows("SELECT count(*) FROM raw_shop.buyers") == [(3,)]
        done = call_json("delete", "--source", "shop", "--yes")
        for key in ("deletion", "audiences", "refusals_kept"):
            assert tried[key] == done[key]
        assert tried["people"]["after"] == done["people"]["after"]
        (audience,) = done["audiences"]
        assert (audience["before"], audience["after"], audience["left"]) == (2, 0, 2)
        assert (tried["done"], done["done"]) == (False, True)

    def test_refusals_that_nothing_else_knows_of_are_kept(self, project: Path) -> None:
        tried = call("delete", "--source", "till", "--dry-run")
        assert "the suppression list would keep them out" in tried.stderr
        assert call_json("delete", "--source", "club", "--dry-run")["refusals_kept"] == 0, "the till still knows"
        assert listed() == set()
        assert call_json("delete", "--source", "till", "--yes")["refusals_kept"] == 1
        (ana,) = rows("SELECT profile_id FROM customers.members WHERE record_id = 'shop.buyers:1'")
        known = {("email", value_hash(name)) for name in ("ana@box.example", "disk:C-1", *ana)}
        assert known <= listed()
        assert {channel for channel, _ in listed()} == {"email"}

    def test_also_the_refusal_of_somebody_who_was_nowhere_else(self, project: Path) -> None:
        (project / "in" / "till.csv").write_text(FILES["till.csv"].replace("11:00:00Z,", "11:00:00Z,no"))
        assert call("ingest", "--full").exit_code == 0
        assert call("resolve").exit_code == 0
        assert call_json("delete", "--source", "till", "--yes")["refusals_kept"] == 2
        assert ("email", value_hash("dan@box.example")) in listed()

    def test_who_is_suppressed_stays_so_by_all_that_is_left(self, project: Path) -> None:
        assert call("suppress", "ana@box.example", "--reason", "erased").exit_code == 0
        (old,) = rows("SELECT profile_id FROM customers.members WHERE record_id = 'club.members:1'")
        assert call_json("delete", "--source", "till", "--yes")["refusals_kept"] == 1
        (new,) = rows("SELECT profile_id FROM customers.members WHERE record_id = 'club.members:1'")
        assert {("", value_hash("disk:C-1")), ("", value_hash(*new))} <= listed()
        assert ("", value_hash("cy@box.example")) not in listed()
        assert old == new or ("", value_hash(*new)) in listed()

    def test_what_only_looks_like_its_own_stays(self, project: Path) -> None:
        text = (project / "millstream.yaml").read_text()
        (project / "millstream.yaml").write_text(text.replace("  till:\n", "  shop_staging:\n"))
        for command in (["ingest", "shop_staging"], ["resolve"]):
            assert call(*command).exit_code == 0
        with Workspace.open(load_project()).store.open() as connection:
            connection.execute("CREATE SCHEMA raw_material")
            connection.execute("CREATE TABLE raw_material.stones (stone TEXT)")
        for asking in (["--yes"], []):
            refused = call("delete", "--source", "material", *asking)
            assert "Allowed: club, shop, shop_staging, till." in " ".join(refused.stderr.split())
        assert "Nobody is there to confirm it." in call("delete", "--source", "shop").stderr
        assert call("delete", "--source", "shop", "--yes").exit_code == 0
        assert rows("SELECT count(*) FROM raw_shop_staging.receipts") == [(2,)]
        assert call_json("delete", "--source", "shop_staging", "--yes")["deletion"]["raw_rows"] == 2

    def test_no_spelling_of_what_is_gone_is_kept(self, project: Path) -> None:
        spelled = "SELECT count(*) FROM customers.normalised WHERE value = ?"
        assert rows(spelled, "dan@box.example") == [(1,)]
        assert call("delete", "--source", "till", "--yes").exit_code == 0
        assert rows(spelled, "dan@box.example") == [(0,)]
        assert rows(spelled, "ana@box.example") == rows(spelled, "C-1") == [(1,)]

    def test_a_pull_that_runs_is_not_deleted_under(self, project: Path) -> None:
        before = people()
        journal = Journal(load_project().journal, root=project)
        with journal.lease("source till", "another run"):
            result = call("delete", "--source", "till", "--yes")
        assert result.exit_code == 1
        assert "A run pulls 'till' right now" in result.stderr
        assert people() == before

    def test_what_was_never_resolved_can_be_deleted(self, project: Path) -> None:
        with Workspace.open(load_project()).store.open() as connection:
            connection.execute("DROP SCHEMA customers CASCADE")
        done = call_json("delete", "--source", "till", "--yes")
        assert done["deletion"]["raw_rows"] == 2
        assert rows("SELECT count(*) FROM raw_shop.buyers") == [(3,)]

    def test_wrong_use_is_said_clearly(self, project: Path) -> None:
        expected = {
            ("--source", "tils"): "Allowed: club, shop, till. What to do: did you mean 'till'?",
            ("--source", "till", "--identifier", "x"): "One thing at a time",
            ("--source", ""): "--source is empty",
            ("--identifier", " "): "--identifier is empty",
            ("--restore",): "--restore needs --identifier. What to do: say which by --identifier",
            ("--kind", "email"): "--kind needs --identifier. What to do",
            ("--restore", "--identifier", "ana@box.example", "--dry-run"): "--restore cannot be tried",
            ("--identifier", "nobody@box.example"): "No record bears",
            ("--identifier", "ana@box.example", "--kind", "phone"): "of kind 'phone'",
            ("--identifier", "ana@box.example", "--restore"): "was deleted",
        }
        before = people()
        for arguments, said in expected.items():
            result = call("delete", *arguments, "--yes")
            assert result.exit_code == 2, arguments
            assert said in " ".join(result.stderr.split()), arguments
            assert "@" not in result.stderr.replace("@***", "")
        assert call("delete", "--source", "till").exit_code == 2, "nobody is there to confirm it"
        assert people() == before


class TestIdentifier:
    def test_who_it_alone_held_together_comes_apart_and_stays_so(self, project: Path) -> None:
        done = call_json("delete", "--identifier", "C-1", "--reason", "printed twice", "--by", "kim", "--yes")
        assert (done["what"], done["kind"], done["name"]) == ("identifier", "club_card", "disk:C-1")
        assert done["deletion"]["identifiers"] == 2
        apart = {frozenset({"club.members:1"}), frozenset({"shop.buyers:1", BRIDGE})}
        assert apart < people()
        assert rows("SELECT kind, value, reason FROM customers.profile_history WHERE change = 'split'") == [
            ("club_card", "disk:C-1", "identifier deleted")
        ]
        (project / "in" / "till.csv").write_text(FILES["till.csv"].replace("10:00", "10:05"))
        for command in (["ingest", "--full"], ["resolve"], ["resolve", "--full"]):
            assert call(*command).exit_code == 0
        assert apart < people(), "the till still says it"
        (listed,) = call_json("delete")["identifiers"]
        assert (listed["value"], listed["reason"], listed["made_by"]) == ("disk:C-1", "printed twice", "kim")
        assert "C-1" not in json.dumps(call_json("status")["runs"])

    def test_it_can_be_restored(self, project: Path) -> None:
        before = set(rows("SELECT record_id, profile_id FROM customers.members"))
        assert call("delete", "--identifier", "ana@box.example", "--yes").exit_code == 0
        assert ANA not in people()
        assert rows("SELECT count(*) FROM customers.profile_identifiers WHERE value = 'ana@box.example'") == [(0,)]
        restored = call("delete", "--restore", "--kind", "email", "--identifier", "ANA@box.example")
        assert restored.exit_code == 0
        assert "is back on 2 records" in restored.stdout
        for full in ((), ("--full",)):
            assert call("resolve", *full).exit_code == 0
            assert set(rows("SELECT record_id, profile_id FROM customers.members")) == before
        assert call_json("delete") == {"identifiers": []}

    def test_it_comes_back_also_on_records_of_a_source_that_the_project_has_lost(self, project: Path) -> None:
        before = people()
        assert call("delete", "--identifier", "C-1", "--yes").exit_code == 0
        (project / "in" / "till.csv").write_text(FILES["till.csv"] + "3,eve@box.example,C-1,2026-01-02T12:00:00Z,\n")
        for command in (["ingest", "--full"], ["resolve"]):
            assert call(*command).exit_code == 0
        (project / "millstream.yaml").write_text(WITHOUT_TILL)
        restored = call_json("delete", "--restore", "--identifier", "C-1")
        assert (set(restored), restored["records"]) == (documented_keys("delete --restore"), 3)
        assert call("resolve").exit_code == 0
        assert people() == {one | {"till.receipts:3"} if one == ANA else one for one in before}

    def test_what_was_said_but_is_not_any_more_does_not_come_back(self, project: Path) -> None:
        assert call("delete", "--identifier", "C-1", "--yes").exit_code == 0
        (project / "in" / "till.csv").write_text(FILES["till.csv"].replace("C-1", "C-3"))
        assert call("ingest", "--full").exit_code == 0
        assert call("resolve").exit_code == 0
        assert call("delete", "--source", "club", "--yes").exit_code == 0
        assert "counts again, once a record says it" in call("delete", "--restore", "--identifier", "C-1").stdout

    def test_who_restored_it_and_why_is_kept(self, project: Path) -> None:
        assert call("delete", "--identifier", "C-1", "--yes").exit_code == 0
        restored = call("delete", "--restore", "--identifier", "C-1", "--by", "kim", "--reason", "was right")
        assert restored.exit_code == 0, "it is found as sources write it"
        run = call_json("status")["runs"][0]
        assert (run["kind"], run["status"]) == ("restore", "completed")
        assert run["summary"] == {
            "what": "identifier",
            "name": "club_card",
            "reason": "was right",
            "made_by": "kim",
            "records": 2,
        }

    def test_what_a_version_of_before_deleted_comes_back_where_the_project_still_has_the_source(
        self, project: Path
    ) -> None:
        before = people()
        assert call("delete", "--identifier", "C-1", "--yes").exit_code == 0
        with Workspace.open(load_project()).store.open() as connection:
            connection.execute("DROP TABLE customers.unheard_identifiers")
        assert call("delete", "--restore", "--identifier", "C-1").exit_code == 0
        assert call("resolve").exit_code == 0
        assert people() == before

    def test_it_stays_away_when_it_is_spelled_in_another_way(self, project: Path) -> None:
        (project / "in" / "shop.csv").write_text(FILES["shop.csv"].replace("bo@box.example", "bo.b@gmail.com"))
        for command in (["ingest", "--full"], ["resolve"]):
            assert call(*command).exit_code == 0
        assert call_json("delete", "--identifier", "bo.b@gmail.com", "--yes")["name"] == "bob@gmail.com"
        unfolded = "name: cards\nidentity: {email_providers: false}\n"
        (project / "millstream.yaml").write_text(PROJECT.replace("name: cards\n", unfolded))
        assert call("resolve").exit_code == 0
        assert rows("SELECT value FROM customers.identifiers WHERE value LIKE '%gmail%'") == []
        assert call("delete", "--restore", "--identifier", "bo.b@gmail.com").exit_code == 0
        assert call("resolve").exit_code == 0
        assert rows("SELECT value FROM customers.identifiers WHERE value LIKE '%gmail%'") == [("bo.b@gmail.com",)]
