"""`millstream check` looks at audiences and syncs, too, once there are people."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.flows import steps
from millstream.flows.project import load_project
from millstream.state.checks import CheckResult
from tests.state.audience_world import AudienceWorld

PROJECT = """
name: shop
tracking_plan: {events: {Paid: {}}}
audiences:
  payers: {rule: {event: Pad}}
  buyers: {rule: {event: Order Completed}}
  planned: {rule: {event: Paid}}
  berlin: {rule: {trait: cty, equals: Berlin}}
"""
CONSENTS = """
name: shop
connections: {out: {system: files, url: out}}
destinations: {out: {connection: out}}
audiences:
  mailed: {rule: {consent: email}}
  misspelled: {rule: {all: [{consent: emial}, {trait: records, at_least: 1}]}}
syncs:
  right: {audience: mailed, destination: out, mode: mirror, consent: {channel: email}}
  wrong: {audience: mailed, destination: out, mode: mirror, consent: {channel: email, topic: marketting}}
"""
COLUMNS = """
name: shop
connections: {out: {system: files, url: out}}
destinations: {out: {connection: out}}
syncs:
  whole: {table: crm.wanted, destination: out, mode: mirror, into: x, consent: not_needed, fields: {name: first}}
  broken: {table: crm.wanted, destination: out, mode: mirror, into: x, consent: not_needed, fields: {name: frist}}
  later: {table: crm.not_loaded, destination: out, mode: mirror, into: x, consent: not_needed}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> steps.Workspace:
    path = tmp_path / "millstream.yaml"
    path.write_text(PROJECT)
    return steps.Workspace.open(load_project(path))


def audiences(workspace: steps.Workspace) -> list[CheckResult]:
    return [result for result in steps.check(workspace) if result.kind == "audience"]


def test_a_project_that_was_never_run_is_not_blamed(workspace: steps.Workspace) -> None:
    assert audiences(workspace) == []


def test_what_is_off_with_audiences_is_told(workspace: steps.Workspace) -> None:
    with workspace.store.transaction() as connection:
        world = AudienceWorld(connection)
        world.have_traits(city="TEXT")
        world.person("ana", city="Berlin")
    payers, berlin = audiences(workspace)
    assert (payers.name, payers.ok, payers.remedy) == ("payers", True, "did you mean 'Paid'?")
    assert (berlin.name, berlin.ok) == ("berlin", False)
    assert "did you mean 'city'?" in str(berlin.remedy)
    assert all(result.kind != "audience" for result in steps.check(workspace, []))


def test_a_consent_that_nobody_has_on_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "millstream.yaml"
    path.write_text(CONSENTS)
    workspace = steps.Workspace.open(load_project(path))
    with workspace.store.transaction() as connection:
        world = AudienceWorld(connection)
        world.person("ana")
        world.consents("ana", "email", "granted")
    told = [result for result in steps.check(workspace) if result.kind in ("audience", "sync")]
    assert [(one.kind, one.name, one.ok, one.remedy) for one in told] == [
        ("audience", "misspelled", True, "did you mean 'email'?"),
        ("sync", "wrong", True, "did you mean 'marketing'?"),
    ]
    assert told[1].detail == "Nobody has a consent for email, marketting on record, so nobody may be sent by it."


def test_a_sync_of_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "millstream.yaml"
    path.write_text(COLUMNS)
    workspace = steps.Workspace.open(load_project(path))
    with workspace.store.transaction() as connection:
        connection.execute("CREATE SCHEMA crm; CREATE TABLE crm.wanted AS SELECT 'ana' AS email, 'Ana' AS first")
    (told,) = [result for result in steps.check(workspace) if result.kind == "sync"]
    assert (told.name, told.ok, told.remedy) == ("broken", False, "did you mean 'first'?")
    assert told.detail == "Column 'frist', from which name is filled, is not there to be sent."
