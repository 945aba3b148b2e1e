"""Reconciling by the command, against the sandbox's HubSpot and Mailchimp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from millstream.flows.project import load_project
from millstream.flows.steps import Workspace
from millstream.flows.steps.reconciling import beside
from millstream.sandbox import Sandbox
from tests.flows.calling import call as called
from tests.flows.calling import call_json

PROJECT = """
name: shop
connections:
  mail:
    {{system: mailchimp, base_url: "{url}/mailchimp/3.0", api_key: {{env: MAILCHIMP_API_KEY}}, list_id: a1b2c3d4e5}}
  crm: {{system: hubspot, base_url: "{url}/hubspot", access_token: {{env: HUBSPOT_ACCESS_TOKEN}}}}
destinations:
  mailchimp: {{connection: mail}}
  hubspot: {{connection: crm}}
syncs:
  letters: {{destination: mailchimp, table: crm.wanted, into: Letters, consent: not_needed}}
  more_letters: {{destination: mailchimp, table: crm.wanted, into: letters, consent: not_needed, enabled: false}}
  list: {{destination: hubspot, table: crm.wanted, into: Everyone, consent: not_needed}}
  fields:
    {{destination: hubspot, table: crm.wanted, mode: upsert, fields: {{firstname: email}}, consent: not_needed}}
"""
PEOPLE = [f"reconciled-{number}@box.example" for number in range(5)]
CALM = 30


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Sandbox]]:
    monkeypatch.setenv("MAILCHIMP_API_KEY", "sandbox-mailchimp-us1")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-sandbox-hubspot")
    with Sandbox(people=20, limits=False) as sandbox:
        (tmp_path / "millstream.yaml").write_text(PROJECT.format(url=sandbox.url))
        want(tmp_path, PEOPLE)
        yield tmp_path, sandbox


def want(folder: Path, people: list[str]) -> None:
    workspace = Workspace.open(load_project(folder))
    with workspace.store.open() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
        connection.execute("CREATE OR REPLACE TABLE crm.wanted (email TEXT)")
        connection.executemany("INSERT INTO crm.wanted VALUES (?)", [(one,) for one in people])
    workspace.journal.close()


def call(folder: Path, *arguments: str, ok: bool = True) -> Any:
    found = call_json(*arguments, "-p", str(folder), ok=ok)
    assert "@box.example" not in json.dumps(found), "counts only"
    return found


def counts(found: Any) -> dict[str, tuple[str, int, int, int]]:
    return {one["sync"]: (one["status"], one["missing"], one["extra"], one["repaired"]) for one in found["reconciled"]}


def tagged(sandbox: Sandbox) -> set[str]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/mailchimp", timeout=CALM).json()
    return {member["email_address"].lower() for member in state["members"] if "Letters" in member["tags"]}


def untag(sandbox: Sandbox, **change: list[str]) -> None:
    """What a person does by hand at the vendor."""
    root, key = f"{sandbox.url}/mailchimp/3.0/lists/a1b2c3d4e5", ("any", "sandbox-mailchimp-us1")
    found = requests.get(f"{root}/tag-search", params={"name": "Letters"}, auth=key, timeout=CALM).json()
    (tag,) = found["tags"]
    requests.post(f"{root}/segments/{tag['id']}", json=change, auth=key, timeout=CALM).raise_for_status()


def test_what_was_changed_by_hand_is_found_and_put_right(shop: tuple[Path, Sandbox]) -> None:
    folder, sandbox = shop
    call(folder, "activate", "letters", "list", "fields")
    want(folder, PEOPLE[:4])
    call(folder, "activate", "letters", "list", "fields")
    found = call(folder, "reconcile")
    assert counts(found) == {
        "letters": ("in_step", 0, 0, 0),
        "list": ("in_step", 0, 0, 0),
        "fields": ("unsupported", 0, 0, 0),
    }
    untag(sandbox, members_to_remove=PEOPLE[:1], members_to_add=PEOPLE[4:])
    assert counts(call(folder, "reconcile", "letters", ok=False)) == {"letters": ("drifted", 1, 1, 0)}
    assert counts(call(folder, "reconcile", "letters", "--repair")) == {"letters": ("repaired", 1, 1, 2)}
    call(folder, "activate", "letters")
    assert tagged(sandbox) == set(PEOPLE[:4])
    assert counts(call(folder, "reconcile", "letters")) == {"letters": ("in_step", 0, 0, 0)}
    runs = call(folder, "status")["runs"]
    assert [run["kind"] for run in runs[:2]] == ["reconcile", "activate"]
    shown = " ".join(called("reconcile", "letters", "-p", str(folder)).stdout.split())
    assert "sync status acknowledged there missing there again strangers letters in step" in shown


def test_looking_at_an_audience_that_is_not_there_does_not_make_it(shop: tuple[Path, Sandbox]) -> None:
    folder, sandbox = shop
    assert counts(call(folder, "reconcile", "list")) == {"list": ("in_step", 0, 0, 0)}
    lists = requests.get(f"{sandbox.url}/_sandbox/state/hubspot", timeout=CALM).json()["lists"]
    assert "Everyone" not in [one["name"] for one in lists]


def test_syncs_into_the_same_audience_are_known(shop: tuple[Path, Sandbox]) -> None:
    project = load_project(shop[0])
    assert [beside(project, name) for name in ("letters", "list")] == [["more_letters"], []]
