"""Steering identity on the command line: dry runs, merges, unmerges, decisions, review; against the sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.demo.project import CREDENTIALS, SANDBOX_URL
from millstream.flows.project.template import project_text
from millstream.sandbox import Sandbox
from millstream.state.identity import IdentityRules
from tests.flows.calling import call, call_json, documented_keys

DOCS = Path(__file__).parents[2] / "docs"
STRICTER = "identity:\n  kinds:\n    email: {max_records: 3}\n    phone: {agree_on: null}\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a project that ran once."""
    folder = tmp_path_factory.mktemp("ran")
    with Sandbox(people=250, limits=False) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        (folder / "millstream.yaml").write_text(project_text(sandbox=True).replace(SANDBOX_URL, sandbox.url))
        assert call("run", "-p", str(folder)).exit_code == 0
        yield folder


@pytest.fixture
def project(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a person at the terminal who answers so."""

    def say(answer: str) -> None:
        monkeypatch.setattr("millstream.flows.cli.asking.someone_is_there", lambda: True)
        monkeypatch.setattr("typer.confirm", lambda *_, **__: answer == "y")

    return say


@contextmanager
def opened(project: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(project / ".millstream" / "store.duckdb"), read_only=True) as store:
        store.execute("SET TimeZone = 'UTC'")
        yield store


def rows(project: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with opened(project) as store:
        return store.execute(query, list(values)).fetchall()


def everything(project: Path) -> dict[str, object]:
    """A fingerprint of each table of the store."""
    with opened(project) as store:
        tables = store.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema IN ('customers', 'delivery') ORDER BY ALL"
        ).fetchall()
        marks = {name: f"SELECT count(*), bit_xor(hash(t)) FROM {name} AS t" for (name,) in tables}
        return {name: store.execute(mark).fetchone() for name, mark in marks.items()}


def members(project: Path) -> set[tuple[str, str]]:
    return set(rows(project, "SELECT record_id, profile_id FROM customers.members"))


@pytest.fixture
def two(project: Path) -> tuple[str, str]:
    """Two people who may be merged: neither bears anything of which a person has only one; the second is a customer."""
    free = """
        SELECT profile.profile_id FROM customers.profiles AS profile
        WHERE profile.email IS NOT NULL AND records BETWEEN 2 AND 5 AND NOT EXISTS (
            SELECT 1 FROM customers.profile_identifiers AS known
            WHERE known.profile_id = profile.profile_id AND known.kind = 'user_id')
        AND {} (SELECT 1 FROM customers.memberships AS stay
                WHERE stay.profile_id = profile.profile_id AND stay.audience = 'customers')
        ORDER BY profile.profile_id LIMIT 1
    """
    ((one,),) = rows(project, free.format("NOT EXISTS"))
    ((other,),) = rows(project, free.format("EXISTS"))
    return one, other


class TestMerge:
    def test_two_people_are_one_in_one_go_audiences_and_history_included(
        self, project: Path, two: tuple[str, str]
    ) -> None:
        document = call_json("merge", *two, "--reason", "met them", "--by", "kim", "--yes")
        assert set(document) == documented_keys("merge")
        assert (document["done"], document["decision"], document["others"]) == (True, "merge", 0)
        (after,) = document["after"]
        survivor = after["profile_id"]
        (loser,) = set(two) - {survivor}
        assert after["records"] == sum(side["records"] for side in document["before"])
        assert rows(project, "SELECT count(*) FROM customers.profiles WHERE profile_id = ?", loser) == [(0,)]
        assert rows(project, "SELECT DISTINCT reason, made_by FROM customers.identity_decisions") == [
            ("met them", "kim")
        ]
        stays = rows(
            project, "SELECT audience FROM customers.memberships WHERE profile_id = ? AND left_at IS NULL", survivor
        )
        assert sorted(name for (name,) in stays) == after["audiences"]
        run = call_json("status")["runs"][0]
        assert (run["kind"], run["status"]) == ("merge", "completed")
        assert run["summary"]["decision_id"] == document["decision_id"]
        assert "@" not in json.dumps(run["summary"])

    def test_it_outlives_full_runs_and_new_data(self, project: Path, two: tuple[str, str]) -> None:
        call_json("merge", *two, "--yes")
        merged = members(project)
        assert call("resolve", "--full").exit_code == 0
        assert members(project) == merged

    def test_a_person_is_shown_both_sides_and_asked(
        self, project: Path, two: tuple[str, str], answers: Callable[[str], None]
    ) -> None:
        before = everything(project)
        answers("n")
        refused = call("merge", *two)
        assert refused.exit_code == 1
        assert "2 people would be one person" in refused.stdout
        assert all(profile_id in refused.stdout for profile_id in two)
        assert "customers" in refused.stdout
        assert everything(project) == before
        answers("y")
        done = call("merge", *two)
        assert done.exit_code == 0
        assert re.search(r"Done, as d_\w+\. To take it back: millstream decisions --revoke d_\w+", done.stdout)
        assert rows(project, "SELECT count(*) FROM customers.profile_aliases") == [(1,)]

    def test_nobody_to_ask_is_said_and_nothing_is_done(self, project: Path, two: tuple[str, str]) -> None:
        before = everything(project)
        for arguments in ([], ["--json"]):
            result = call("merge", *two, *arguments)
            assert result.exit_code == 2
            assert "add --yes" in result.stderr
        assert everything(project) == before

    def test_a_dry_run_tells_the_same_and_writes_nothing(self, project: Path, two: tuple[str, str]) -> None:
        before = everything(project)
        tried = call_json("merge", *two, "--dry-run")
        assert everything(project) == before
        done = call_json("merge", *two, "--yes")
        assert (tried["done"], done["done"]) == (False, True)
        for key in ("before", "after"):
            assert tried[key] == done[key]

    @pytest.mark.parametrize(
        "step", ["state.profiles.golden.build_profiles", "state.audiences.select.select_audiences"]
    )
    def test_a_decision_that_cannot_be_carried_out_is_not_kept(
        self, project: Path, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        before = everything(project)

        def breaks(*_: object, **__: object) -> None:
            raise ValueError("no")

        monkeypatch.setattr(f"millstream.{step}", breaks)
        assert call("merge", *two, "--yes").exit_code == 1
        assert everything(project) == before

    def test_a_changed_project_file_changes_nothing_else_by_the_way(self, project: Path, two: tuple[str, str]) -> None:
        with (project / "millstream.yaml").open("a") as file:
            file.write(STRICTER)
        before = members(project)
        call_json("merge", *two, "--yes")
        assert {record for record, _ in members(project) ^ before} <= {
            record for record, profile_id in before if profile_id in two
        }

    def test_what_cannot_be_merged_is_said_clearly(self, project: Path, two: tuple[str, str]) -> None:
        one, other = two
        email, record = rows(
            project,
            "SELECT email, (SELECT min(record_id) FROM customers.members WHERE profile_id = ?) "
            "FROM customers.profiles WHERE profile_id = ?",
            one,
            one,
        )[0]
        limited = rows(
            project,
            "SELECT min(profile_id), max(profile_id) FROM customers.profile_identifiers WHERE kind = 'user_id'",
        )[0]
        expected = {
            (one,): "One person cannot be merged",
            (one, record): f"are one person already, {one}",
            (one, other, one): f"'{one}' is named twice",
            (one, "p_nobody"): "Nobody is known by 'p_nobody'",
            (one, f"x{email}"): f"did you mean {one} (email ",
            (one, other[:9]): f"did you mean {other}?",
            limited: "more than 1 user_id",
        }
        before = everything(project)
        for people, said in expected.items():
            result = call("merge", *people, "--yes")
            assert result.exit_code == 2, people
            assert said in result.stderr, people
            assert str(email) not in result.stderr
        assert everything(project) == before
        assert call_json("status")["runs"][0]["kind"] == "pipeline", "what was refused is no run"


class TestUnmerge:
    def test_the_id_comes_back_and_both_stay_apart(self, project: Path, two: tuple[str, str]) -> None:
        before = members(project)
        merged = call_json("merge", *two, "--yes")
        survivor = merged["after"][0]["profile_id"]
        (loser,) = set(two) - {survivor}
        told = call("explain", loser)
        assert f"{loser} was merged into {survivor}, which stands for it." in told.stdout
        document = call_json("unmerge", loser, "--yes")
        assert set(document) == documented_keys("unmerge")
        assert {side["profile_id"] for side in document["after"]} == set(two)
        assert members(project) == before
        assert "taken apart by hand" in call("merge", *two, "--yes").stderr

    def test_what_was_sent_of_both_is_told_of_the_one(self, project: Path, two: tuple[str, str]) -> None:
        survivor = call_json("merge", *two, "--yes")["after"][0]["profile_id"]
        (person,) = call_json("explain", two[1])["people"]
        (sync,) = [sync for sync in person["syncs"] if sync["sync"] == "customers_to_hubspot"]
        assert person["identity"]["profile_id"] == survivor
        assert person["found_as"] == sync["known_as"] == (None if survivor == two[1] else two[1])
        assert sync["acknowledged"] is True
        assert {outcome["profile_id"] for outcome in sync["outcomes"]} == {two[1]}

    def test_without_a_name_the_one_that_was_merged_comes_out(self, project: Path, two: tuple[str, str]) -> None:
        before = members(project)
        survivor = call_json("merge", *two, "--yes")["after"][0]["profile_id"]
        assert call("unmerge", survivor, "--yes").exit_code == 0
        assert members(project) == before

    def test_of_several_that_were_merged_the_one_that_is_named_comes_out(
        self, project: Path, two: tuple[str, str]
    ) -> None:
        lone = """
            SELECT profile.profile_id, email FROM customers.profiles AS profile
            WHERE email IS NOT NULL AND profile_id NOT IN (?, ?) AND profile_id NOT IN (
                SELECT profile_id FROM customers.profile_identifiers WHERE kind = 'user_id')
            ORDER BY records, profile_id LIMIT 1
        """
        ((third, email),) = rows(project, lone, *two)
        before = members(project)
        survivor = call_json("merge", *two, third, "--yes")["after"][0]["profile_id"]
        parts = sorted({*two, third} - {survivor})
        unclear = call("unmerge", survivor, "--yes")
        assert unclear.exit_code == 2
        assert f"2 ids were merged into {survivor}. Allowed: {', '.join(parts)}." in unclear.stderr
        assert third in parts, "the smallest is never the survivor"
        assert call("unmerge", email, "--yes").exit_code == 0
        assert {record for record, profile_id in members(project) if profile_id == third} == {
            record for record, profile_id in before if profile_id == third
        }

    @pytest.mark.parametrize("turned", [True, False])
    def test_either_id_may_be_named_first(self, project: Path, two: tuple[str, str], turned: bool) -> None:
        before = members(project)
        survivor = call_json("merge", *two, "--yes")["after"][0]["profile_id"]
        (loser,) = set(two) - {survivor}
        named = (loser, "--from", survivor) if turned else (survivor, "--from", loser)
        assert call("unmerge", *named, "--yes").exit_code == 0
        assert members(project) == before

    def test_records_can_be_named(self, project: Path, two: tuple[str, str]) -> None:
        records = sorted(record for record, profile_id in members(project) if profile_id == two[0])
        document = call_json("unmerge", two[0], "--record", records[0], "--reason", "a colleague's", "--yes")
        assert sum(side["records"] for side in document["after"]) == len(records)
        parted = {profile_id for record, profile_id in members(project) if record == records[0]}
        assert [side["records"] for side in document["after"] if side["profile_id"] in parted] == [1]
        assert call("resolve", "--full").exit_code == 0
        assert {profile_id for record, profile_id in members(project) if record == records[0]} == parted

    def test_what_cannot_be_taken_apart_is_said_clearly(self, project: Path, two: tuple[str, str]) -> None:
        expected = {
            (two[0],): f"Nothing was merged into {two[0]}",
            ("p_nobody",): "Nobody is known by",
            (two[0], "--from", "p_nobody"): "p_nobody",
            (two[0], "--from", two[1]): "nothing to undo",
            (two[0], "--record", "crm.contacts:0"): "is not of the profile",
            (two[0], "--record", "x", "--from", "y"): "--from and --record",
        }
        before = everything(project)
        for arguments, said in expected.items():
            result = call("unmerge", *arguments, "--yes")
            assert result.exit_code == 2, arguments
            assert said in result.stderr, arguments
        assert everything(project) == before


class TestDecisions:
    def test_they_are_listed_and_can_be_revoked(self, project: Path, two: tuple[str, str]) -> None:
        assert call_json("decisions") == {"decisions": []}
        assert "None." in call("decisions").stdout
        before = members(project)
        made = call_json("merge", *two, "--reason", "met them", "--yes")["decision_id"]
        document = call_json("decisions")
        assert set(document) == documented_keys("decisions")
        assert [one["decision_id"] for one in document["decisions"]] == [made]
        shown = call("decisions").stdout
        assert made in shown
        assert "met them" in shown
        revoked = call_json("decisions", "--revoke", made, "--yes")
        assert revoked["decision"] == "revoke"
        assert members(project) == before
        assert call_json("decisions")["decisions"][0]["revoked_at"]
        assert "was revoked" in call("decisions", "--revoke", made, "--yes").stderr
        assert "no decision 'd_x'" in call("decisions", "--revoke", "d_x", "--yes").stderr


class TestReview:
    @pytest.fixture
    def link(self, project: Path, two: tuple[str, str]) -> tuple[str, str]:
        """A suggestion between two records of the two people."""
        records = [min(record for record, profile_id in members(project) if profile_id == one) for one in two]
        with duckdb.connect(str(project / ".millstream" / "store.duckdb")) as store:
            store.execute(
                "INSERT INTO customers.links VALUES ('l_1', ?, ?, 0.8, 2.0, ?, 'suggested', NULL, 'run', now())",
                [*records, json.dumps({"first name": {"level": "same", "weight": 5.25}})],
            )
        return records[0], records[1]

    def test_what_waits_is_listed_with_what_speaks_for_it(self, project: Path, link: tuple[str, str]) -> None:
        document = call_json("review")
        assert set(document) == documented_keys("review")
        (found,) = document["suggestions"]
        assert (found["link_id"], found["record_a"], found["record_b"]) == ("l_1", *link)
        assert document["refused"] == []
        shown = call("review").stdout
        assert "first name: same (+5.2)" in shown
        assert "0.800" in shown
        assert "None was refused." in shown

    def test_an_accepted_suggestion_is_one_person_from_then_on(
        self, project: Path, two: tuple[str, str], link: tuple[str, str]
    ) -> None:
        before = everything(project)
        tried = call_json("review", "--accept", "l_1", "--dry-run")
        assert everything(project) == before
        assert [side["profile_id"] for side in tried["before"]] == sorted(two)
        assert len(tried["after"]) == 1
        done = call_json("review", "--accept", "l_1", "--reason", "asked her", "--by", "kim", "--yes")
        assert done["after"] == tried["after"]
        assert call_json("review")["suggestions"] == []
        assert call("resolve", "--full").exit_code == 0
        (person,) = call_json("explain", link[0])["people"]
        (told,) = person["identity"]["links"]
        assert (told["status"], told["reason"]) == ("accepted", "kim: asked her")
        assert ("linkage", "l_1") in {(join["kind"], join["value"]) for join in person["identity"]["joins"]}

    def test_a_refused_suggestion_is_not_made_again(self, project: Path, link: tuple[str, str]) -> None:
        before = members(project)
        done = call_json("review", "--refuse", "l_1", "--yes")
        assert done["decision"] == "refuse"
        assert done["before"] == sorted(done["after"], key=lambda side: str(side["profile_id"]))
        assert members(project) == before
        assert call_json("review")["suggestions"] == []

    def test_what_linkage_joined_by_itself_comes_apart_when_it_is_off(
        self, project: Path, link: tuple[str, str]
    ) -> None:
        before = members(project)
        with duckdb.connect(str(project / ".millstream" / "store.duckdb")) as store:
            store.execute("UPDATE customers.links SET status = 'merged'")
            store.execute("INSERT INTO customers.rejoin VALUES (?)", [link[0]])
        assert call("merge", *link, "--yes").exit_code == 0, "they are not one yet"
        decision = call_json("decisions")["decisions"][0]["decision_id"]
        assert call("decisions", "--revoke", decision, "--yes").exit_code == 0
        assert members(project) != before, "the link joins them"
        assert call_json("resolve")["resolved"]["split"] == 1
        assert members(project) == before
        assert rows(project, "SELECT status, reason FROM customers.links") == [("withdrawn", "linkage is off")]

    def test_a_link_that_a_decision_holds_back_is_not_told_as_joining(
        self, project: Path, link: tuple[str, str]
    ) -> None:
        assert call("review", "--accept", "l_1", "--yes").exit_code == 0
        assert "joined, accepted by hand" in call("explain", link[0]).stdout
        assert call("unmerge", link[0], "--record", link[0], "--yes").exit_code == 0
        shown = call("explain", link[0]).stdout
        assert "by link l_1: unmerged by hand" in " ".join(shown.split())
        assert "but not joined: see above" in shown
        assert "joined, accepted by hand" not in shown

    def test_wrong_use_is_said_clearly(self, project: Path, link: tuple[str, str]) -> None:
        for arguments, said in (
            (("--accept", "l_2"), "no link 'l_2'"),
            (("--refuse", "l_2"), "no link 'l_2'"),
            (("--accept", "l_1", "--refuse", "l_1"), "One suggestion at a time"),
        ):
            result = call("review", *arguments, "--yes")
            assert result.exit_code == 2
            assert said in result.stderr


class TestDryRun:
    def test_nothing_is_written(self, project: Path) -> None:
        before = everything(project)
        document = call_json("resolve", "--dry-run")
        assert set(document) == documented_keys("resolve --dry-run")
        assert (document["ok"], document["rules_changed"], document["new_rows"]) == (True, False, 0)
        assert all(document["people"][what] == 0 for what in ("merged", "split", "appeared", "vanished", "turned"))
        assert all((move["entered"], move["left"]) == (0, 0) for move in document["audiences"])
        assert call("resolve", "--dry-run", "--full").exit_code == 0
        assert everything(project) == before
        assert call_json("status")["runs"][0]["kind"] == "pipeline", "a dry run is no run"

    def test_it_tells_what_the_changed_rules_then_do(self, project: Path) -> None:
        changed = project / "changed.yaml"
        changed.write_text((project / "millstream.yaml").read_text() + STRICTER)
        before = everything(project)
        told = call_json("resolve", "--dry-run", "-p", str(changed))
        assert told["rules_changed"] is True
        assert everything(project) == before
        people = told["people"]
        assert people["split"] > 10
        assert people["splits"][0]["causes"][0]["kind"] == "email"
        assert people["values"][0]["becomes"] == "blocked: more than 3 records"
        done = call_json("resolve", "-p", str(changed))["resolved"]
        assert people["after"]["profiles"] == done["profiles"]
        assert (people["merged"], people["split"]) == (done["merged"], done["split"])
        assert people["after"]["blocked_values"] == done["blocked"]
        selected = call_json("select", "-p", str(changed))["selected"]
        moves = {move["audience"]: (move["after"], move["entered"], move["left"]) for move in told["audiences"]}
        assert moves == {one["name"]: (one["size"], one["entered"], one["left"]) for one in selected}
        assert sum(left for _, _, left in moves.values()) > 0

    def test_rows_that_are_new_are_not_counted_as_the_rules_doing(self, project: Path) -> None:
        store = project / ".millstream" / "store.duckdb"
        with duckdb.connect(str(store)) as connection:
            connection.execute("UPDATE raw_hubspot.contacts SET email = NULL, _pulled_at = now()")
        text = (project / "millstream.yaml").read_text()
        (project / "changed.yaml").write_text(text + "identity:\n  kinds:\n    device_id: {max_records: 199}\n")
        told = call_json("resolve", "--dry-run", "-p", "changed.yaml")
        assert told["new_rows"] > 100
        assert (told["people"]["merged"], told["people"]["split"]) == (0, 0)
        told = call_json("resolve", "--dry-run")
        assert told["rules_changed"] is False
        assert told["people"]["split"] > 10

    def test_tables_show_it(self, project: Path) -> None:
        (project / "changed.yaml").write_text((project / "millstream.yaml").read_text() + STRICTER)
        shown = call("resolve", "--dry-run", "-p", "changed.yaml").stdout
        for part in ("Compared with the identity rules of the last run", "Nothing is written", "Largest splits",
                     "Values that change", "Largest people then", "Audiences", "identifier blocked"):  # fmt: skip
            assert part in shown

    def test_an_empty_store_is_an_error_with_its_remedy(self, project: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        shutil.copy(project / "millstream.yaml", elsewhere)
        result = call("resolve", "--dry-run", "-p", str(elsewhere))
        assert result.exit_code == 2
        assert "full path of the store" in result.stderr


class TestDocs:
    TEXT = (DOCS / "identity.md").read_text(encoding="utf-8")

    def test_the_kinds_are_listed_as_they_are_shipped(self) -> None:
        rules = IdentityRules()
        listed = re.findall(r"^\| (?:`(\w+)`|any other) \| (\d+) \| (\d+) \|([^|]*)\|(.*)\|$", self.TEXT, re.M)
        assert [kind for kind, *_ in listed] == [*rules.kinds, ""]
        for kind, priority, records, values, _ in listed:
            rule = rules.kinds.get(kind, rules.other)
            window = f" in {rule.window_days} days" if rule.window_days else ""
            assert (int(priority), int(records)) == (rule.priority, rule.max_records), kind
            assert values.strip() == (f"{rule.max_values}{window}" if rule.max_values else ""), kind
        besides = {kind: text for kind, *_, text in listed}
        assert {kind for kind, text in besides.items() if "households" in text} == {
            kind for kind, rule in rules.kinds.items() if rule.household
        }
        assert f"`{rules.kinds['phone'].agree_on}`" in besides["phone"]
        assert ("joins nobody" in besides["address"]) is not rules.kinds["address"].merges
        assert rules.other.scope == "source"

    def test_its_rules_are_valid(self) -> None:
        blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", self.TEXT, re.S)]
        assert len(blocks) > 1
        for block in blocks:
            IdentityRules.model_validate(block["identity"])

    def test_its_commands_have_the_options_that_it_uses(self) -> None:
        lines = re.findall(r"^    millstream (\w+)(.*)$", self.TEXT, re.M)
        assert {command for command, _ in lines} >= {"explain", "merge", "unmerge", "decisions", "review", "resolve"}
        for command, rest in lines:
            known = call(command, "--help").stdout
            for option in re.findall(r"--[a-z-]+", rest.partition("#")[0]):
                assert option in known, (command, option)

    def test_its_tables_are_in_the_store(self, project: Path) -> None:
        there = {name for (name,) in rows(project, "SELECT table_name FROM information_schema.tables")}
        assert set(re.findall(r"`customers\.(\w+)`", self.TEXT)) <= there


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_dry_run_through_prefect_leaves_a_page_without_personal_data(
    prefect_server: LocalPrefect, project: Path
) -> None:
    (project / "millstream.yaml").write_text((project / "millstream.yaml").read_text() + STRICTER)
    before = everything(project)
    done = subprocess.run(
        [sys.executable, "-c", "from millstream.flows.cli import main; main()", "resolve", "--dry-run", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **prefect_server.settings},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["people"]["split"] > 10
    assert everything(project) == before
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        (page,) = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["demo-dry-run"])))
    assert "Largest splits" in str(page.data)
    assert "identifier blocked" in str(page.data)
    assert "@" not in str(page.data)
