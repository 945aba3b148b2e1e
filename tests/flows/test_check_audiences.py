"""`millstream check` looks at audiences, too, once there are people."""

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
