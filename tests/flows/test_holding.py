"""Rejected rows and the suppression list, as people steer them."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest
from sqlalchemy.exc import OperationalError

from millstream.destinations.mailchimp import Mailchimp
from millstream.flows.project import load_project
from millstream.flows.steps import Workspace
from millstream.state.ledger.journal import now
from millstream.state.ledger.suppressions import value_hash
from tests.flows.calling import call as plain_call
from tests.flows.calling import call_json

PROJECT = """
name: shop
connections:
  here: {system: mailchimp, base_url: "http://127.0.0.1:9/3.0", api_key: {env: NO_KEY}}
destinations:
  mailchimp: {connection: here, list_id: a}
syncs:
  letters: {destination: mailchimp, table: crm.wanted, into: Letters, consent: not_needed}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "millstream.yaml").write_text(PROJECT)
    return tmp_path


def call(project: Path, *arguments: str, ok: bool = True) -> Any:
    return call_json(*arguments, "-p", str(project), ok=ok)


@pytest.fixture
def refused(project: Path) -> Path:
    rows = [
        {
            "sync": "letters",
            "match_hash": value_hash(f"p{number}@box.example"),
            "profile_id": f"p_{number}",
            "operation": "add",
            "payload_hash": "h",
            "status": "unknown" if number == 2 else "rejected",
            "code": "no_answer" if number == 2 else "bad",
            "reason": "Because.",
            "fault": "data",
            "attempts": 7,
            "first_at": now(),
            "last_at": now(),
            "next_try_at": None,
            "aged_out": "refused 7 times with the same values",
            "clear_text": {"match_value": "p0@box.example", "fields": {}} if number == 0 else None,
        }
        for number in range(3)
    ]
    workspace = Workspace.open(load_project(project))
    workspace.journal.replace_rejected("letters", [], rows)
    workspace.journal.close()
    return project


def test_they_are_counted_by_what_they_share(refused: Path) -> None:
    groups = call(refused, "rejected", "--by", "code")["groups"]
    assert [(one["group"], one["rows"], one["held"]) for one in groups] == [("bad", 2, 2), ("no_answer", 1, 1)]


def test_each_column_of_a_count_says_what_it_counts_by(refused: Path) -> None:
    heads = {}
    for by in ("sync", "code", "fault"):
        shown = plain_call("rejected", "--by", by, "-p", str(refused)).stdout
        heads[by] = next(line for line in shown.splitlines() if "rows" in line).split()[:2]
    assert heads == {"sync": ["sync", "rows"], "code": ["sync", "code"], "fault": ["sync", "fault"]}
    [group] = call(refused, "rejected", "--by", "sync")["groups"]
    assert (group["group"], group["sync"], group["rows"]) == ("letters", "letters", 3)


def test_retrying_leaves_rows_without_an_answer_alone_unless_asked(refused: Path) -> None:
    assert call(refused, "rejected", "--retry", "--code", "bad")["retried"] == 2
    rows = call(refused, "rejected")["rejected"]
    assert [row["next_try_at"] is None for row in sorted(rows, key=lambda row: row["profile_id"])] == [
        False, False, True,
    ]  # fmt: skip
    assert call(refused, "rejected", "--retry")["retried"] == 2
    assert call(refused, "rejected", "--retry", "--unknown")["retried"] == 3
    assert "--unknown needs --retry" in str(call(refused, "rejected", "--unknown", ok=False))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_they_are_exported(refused: Path, ending: str) -> None:
    path = refused / f"rejected.{ending}"
    call(refused, "rejected", "letters", "--export", str(path))
    if ending == "csv":
        rows = list(csv.DictReader(path.read_text().splitlines()))
    elif ending == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = pq.read_table(path).to_pylist()
    assert sorted(row["profile_id"] for row in rows) == ["p_0", "p_1", "p_2"]
    assert list(refused.glob(".*.part")) == []


def test_a_file_of_another_kind_is_refused(refused: Path) -> None:
    assert "rejected.xls" in str(call(refused, "rejected", "--export", str(refused / "rejected.xls"), ok=False))


def test_a_sync_that_is_wrong_takes_nobody_elses_report_along(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_KEY", "none-us1")
    file = project / "millstream.yaml"
    file.write_text(f"{PROJECT}  broken: {{destination: mailchimp, table: crm.nope, into: X, consent: not_needed}}\n")
    workspace = Workspace.open(load_project(project))
    with workspace.store.open() as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TABLE crm.wanted (email TEXT)")
    workspace.journal.close()
    told = call(project, "activate", "letters", "broken", ok=False)
    assert [(one["sync"], one["status"]) for one in told["activated"]] == [
        ("letters", "completed"),
        ("broken", "stopped"),
    ]
    assert "nope" in told["problems"][0]
    assert call(project, "activate", "broken", ok=False)["error"]["kind"] == "ConfigurationError"


def test_a_sync_that_is_wrong_takes_nobody_elses_plan_along(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_KEY", "none-us1")
    file = project / "millstream.yaml"
    broken = "{destination: mailchimp, table: crm.wanted, into: X, match: {email: emial}, consent: not_needed}"
    file.write_text(f"{PROJECT}  broken: {broken}\n")
    workspace = Workspace.open(load_project(project))
    with workspace.store.open() as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TABLE crm.wanted (email TEXT)")
    workspace.journal.close()
    told = call(project, "plan", ok=False)
    assert [one["sync"] for one in told["plans"]] == ["letters"]
    [problem] = told["problems"]
    assert problem.startswith("sync broken: Column 'emial', from which email is filled, is not there to be sent.")
    assert problem.endswith("did you mean 'email'?")
    assert "emial" in call(project, "plan", "broken", ok=False)["error"]["message"]
    monkeypatch.setattr(Mailchimp, "probe", lambda _: None)
    [checked] = [one for one in call(project, "check", ok=False)["checks"] if not one["ok"]]
    assert (checked["name"], checked["kind"], checked["remedy"]) == ("broken", "sync", "did you mean 'email'?")


def test_a_plan_is_sent_for_the_sync_and_in_the_project_that_it_was_made_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_KEY", "none-us1")
    workspace = Workspace.open(load_project(project))
    with workspace.store.open() as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TABLE crm.wanted (email TEXT)")
    workspace.journal.close()
    plan = project / "letters.plan"
    shown = plain_call("plan", "letters", "--out", str(plan), "-p", str(project))
    assert f"millstream activate --plan {plan}" in " ".join(shown.stderr.split())
    file = project / "millstream.yaml"
    file.write_text(PROJECT + PROJECT.splitlines()[-1].replace("letters", "others") + "\n")
    other = call(project, "activate", "others", "--plan", str(plan), ok=False)["error"]
    assert other["message"] == "The plan is for sync 'letters', not 'others'."
    file.write_text(PROJECT.replace("letters:", "others:").replace("name: shop", "name: stall"))
    stranger = call(project, "activate", "--plan", str(plan), ok=False)["error"]
    assert stranger["message"] == "The plan is for sync 'letters', which the project 'stall' does not have."


def test_status_tells_at_once_that_a_run_was_killed_and_when_it_was_last_alive(project: Path) -> None:
    code = """
import sys, time
from millstream.flows.project import load_project
from millstream.flows.steps import PipelineReport, Workspace, recorded_run

run = PipelineReport("r1")
with recorded_run(Workspace.open(load_project()), "r1", "activate", run):
    print("running", flush=True)
    time.sleep(600)
"""
    run = subprocess.Popen([sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"running\n"
    assert call(project, "status")["runs"][0]["status"] == "running"
    alive = datetime.now(UTC)
    run.kill()
    run.communicate()
    [found] = call(project, "status")["runs"]
    assert found["status"] == "killed"
    assert abs((datetime.fromisoformat(found["finished_at"]) - alive).total_seconds()) < 60
    shown = plain_call("status", "-p", str(project)).stdout
    assert re.search(r"killed, last alive \d+ (s|min) ago", " ".join(shown.split()))


def test_what_a_disk_refuses_is_said_as_that(project: Path, refused: Path) -> None:
    folder, kept = project / ".millstream", project / "kept"
    exported = call(refused, "rejected", "--export", "/proc/rejected.csv", ok=False)["error"]
    assert "No such file" in exported["message"]
    folder.rename(kept)
    folder.write_text("")
    in_the_way = call(project, "rejected", ok=False)["error"]
    assert "File exists" in in_the_way["message"]
    folder.unlink()
    (folder / "journal.sqlite").mkdir(parents=True)
    unreadable = call(project, "rejected", ok=False)["error"]
    assert "unable to open database file" in unreadable["message"]
    for said in (exported, in_the_way, unreadable):
        assert "Unexpected" not in said["message"]
        assert "disk is full" in said["remedy"]


def test_a_database_whose_disk_is_full_is_not_called_unexpected(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a statement is of the same kind to the driver, and stays unexpected."""
    for code, said in ((sqlite3.SQLITE_FULL, "A database cannot go on: database or disk is full."), (1, "Unexpected")):
        problem = sqlite3.OperationalError("database or disk is full")
        problem.sqlite_errorcode = code
        error = OperationalError("INSERT", {}, problem)
        monkeypatch.setattr("millstream.flows.steering.rejected.rejected", Mock(side_effect=error))
        monkeypatch.setattr("millstream.flows.steps.check", Mock(side_effect=error))
        assert said in call(project, "rejected", ok=False)["error"]["message"]


def test_a_channel_that_no_sync_could_ask_for_is_refused(project: Path) -> None:
    """Nobody would be kept back, and whoever typed it would believe otherwise."""
    said = call(project, "suppress", "p1@box.example", "--channel", "emial", ok=False)
    assert said["error"]["remedy"] == "did you mean 'email'?"
    said = call(project, "suppress", "p1@box.example", "--channel", "Email", ok=False)
    assert said["error"]["allowed"] == ["ads", "email", "phone", "post", "push", "sms"]
    assert call(project, "suppress")["suppressed"] == []


def test_a_channel_of_the_projects_own_is_one(project: Path) -> None:
    own = PROJECT.replace("consent: not_needed", "consent: {channel: carrier_pigeon}")
    (project / "millstream.yaml").write_text(own)
    assert call(project, "suppress", "p1@box.example", "--channel", "carrier_pigeon")["changed"] == 1


def test_nobody_is_released_by_a_blank(project: Path) -> None:
    call(project, "suppress", "p1@box.example")
    said = call(project, "suppress", "p1@box.example", " ", "--remove", ok=False)
    assert "A blank names nobody" in said["error"]["message"]
    assert [one["entries"] for one in call(project, "suppress")["suppressed"]] == [1]


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("", "A blank names nobody"),
        (" \t", "A blank names nobody"),
        ("ana@@box.example", "a*** (16 characters) is no e-mail address"),
        ("+49 30", "+*** (6 characters) is no phone number"),
        ("030 123456", "0*** (10 characters) is no phone number"),
        ("x" * 601, "longer than 600 characters"),
    ],
)
def test_what_would_keep_nobody_back_is_refused(project: Path, who: str, said: str) -> None:
    """Together with a good one: whoever typed both would believe that both are kept back."""
    assert said in call(project, "suppress", "p1@box.example", who, ok=False)["error"]["message"]
    assert call(project, "suppress")["suppressed"] == []


def test_a_list_of_nobody_is_refused(project: Path) -> None:
    (project / "list.csv").write_text("\n \n")
    said = call(project, "suppress", "--file", str(project / "list.csv"), ok=False)
    assert "names nobody" in said["error"]["message"]


def test_a_list_that_cannot_be_read_says_why(project: Path) -> None:
    path = project / "list.csv"
    for content, why in ((None, "No such file or directory"), (b"\xff\x00", "it is not UTF-8 text")):
        if content:
            path.write_bytes(content)
        said = call(project, "suppress", "--file", str(path), ok=False)
        assert said["error"]["message"] == f"{path} cannot be read: {why}."


def test_whatever_may_be_an_id_is_put_on_the_list(project: Path) -> None:
    assert call(project, "suppress", "crm-42", "@ana", "12345-678", "p_9f")["changed"] == 4


def test_people_are_suppressed_in_every_spelling_and_only_as_hashes(project: Path) -> None:
    (project / "list.csv").write_text("p2@box.example,Bob\n+49 30 123456,Cy\n")
    put = call(project, "suppress", "P1@Box.example", "--file", str(project / "list.csv"), "--reason", "asked")
    assert put["changed"] >= 3
    assert [(one["channel"], one["reason"]) for one in put["suppressed"]] == [("all", "asked")]
    journal = b"".join(path.read_bytes() for path in (project / ".millstream").glob("journal.sqlite*"))
    assert b"box.example" not in journal.lower()
    assert value_hash("p1@box.example").encode() in journal
    assert value_hash("+4930123456").encode() in journal
    call(project, "suppress", "p2@box.example", "--channel", "sms")
    assert call(project, "suppress", "P1@Box.example", "--remove")["changed"] >= 1
