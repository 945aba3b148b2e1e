"""The flows that look after delivery, on a real server: reconcile and watch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream.destinations.contract import DeliveryRow
from millstream.flows import steps
from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.project import load_project
from millstream.flows.steps import Workspace
from millstream.sandbox import Sandbox
from tests.flows.test_audience_commands import change, make_shop
from tests.report_world import fill

PROJECT = """
name: outlet
connections:
  crm: {{system: hubspot, base_url: "{url}/hubspot", access_token: {{env: HUBSPOT_ACCESS_TOKEN}}}}
destinations:
  hubspot: {{connection: crm}}
syncs:
  list: {{destination: hubspot, table: crm.wanted, into: Everyone, consent: not_needed}}
alerts:
  owner: data team
"""


@pytest.fixture
def shop(prefect_server: LocalPrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-sandbox-hubspot")
    monkeypatch.setenv("MILLSTREAM_PROJECT", str(tmp_path))
    with Sandbox(people=20, limits=False) as sandbox:
        (tmp_path / "millstream.yaml").write_text(PROJECT.format(url=sandbox.url))
        workspace = Workspace.open(load_project(tmp_path))
        with workspace.store.open() as connection:
            connection.execute("CREATE SCHEMA crm")
            connection.execute("CREATE TABLE crm.wanted AS SELECT 'reconciled@box.example' AS email")
        yield workspace
        workspace.journal.close()


FLOWS = """
from millstream.flows.steps.failure import RunFailedError
from millstream.flows.reconcile_sync import reconcile
from millstream.flows.watch_project import watch

try:
    reconcile(syncs=["list"])
except RunFailedError as error:
    print(error)
for alert in watch().firing:
    print(alert.name)
"""


def read_from_server(path: str, body: dict[str, Any]) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client._client.post(path, json=body).json()


def events_of(project: str) -> list[tuple[str, str]]:
    """The project's alerts that the server has; they arrive a moment after they were emitted."""
    wanted = {"filter": {"event": {"prefix": ["millstream.alert."]}}}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        events = read_from_server("/events/filter", wanted)["events"]
        if found := [one for one in events if one["resource"]["millstream.project"] == project]:
            return [(one["event"], one["resource"]["prefect.resource.name"]) for one in found]
        time.sleep(0.5)
    return []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_drift_fails_the_flow_leaves_a_table_and_is_an_event(shop: Workspace) -> None:
    assert steps.activate(shop, "list", run_id="run").accepted == 1
    hubspot = shop.project.destination("hubspot")
    audience = hubspot.ensure_audience("Everyone")
    hubspot.remove_members(
        audience, [DeliveryRow(number=0, match_value="reconciled@box.example", fields={})], match_key="email"
    )
    # In a process of their own, as a worker runs them: Prefect's client leaves connections open.
    flows = subprocess.run([sys.executable, "-c", FLOWS], capture_output=True, text=True, timeout=200, check=False)
    assert flows.returncode == 0, flows.stderr
    problem, alert = flows.stdout.strip().splitlines()[-2:]
    assert "sync list is not as acknowledged: 1 missing" in problem
    assert alert == "sync list drift"
    (table,) = read_from_server("/artifacts/filter", {"artifacts": {"key": {"any_": ["outlet-reconcile"]}}})
    assert '"missing": 1' in str(table["data"])
    assert events_of("outlet") == [("millstream.alert.firing", "sync list drift")]


REPORT = """
from millstream.flows.write_report import report

print(report(output="page.html").path)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_report_is_a_page_and_the_same_as_artifacts(shop: Workspace) -> None:
    with shop.store.transaction() as connection:
        fill(connection, 60)
    flow = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, timeout=200, check=False)
    assert flow.returncode == 0, flow.stderr
    page = shop.project.root / "page.html"
    assert flow.stdout.strip().splitlines()[-1] == str(page)
    found = read_from_server("/artifacts/filter", {"artifacts": {"key": {"like_": "outlet-report%"}}})
    kept = {artifact["key"]: artifact for artifact in found}
    assert kept["outlet-report"]["type"] == "markdown"
    assert "| people | 60 |" in kept["outlet-report"]["data"]
    sources = kept["outlet-report-records-by-source"]
    assert sources["type"] == "table"
    assert {row["source"]: row["records"] for row in json.loads(sources["data"])} == {
        "shop": "60", "site": "30", "survey": "12",
    }  # fmt: skip
    assert all(f'<td class="number">{records}</td>' in page.read_text() for records in ("60", "30", "12"))


DRY_RUN = """
from millstream.flows.select_audiences import select

print([(one.audience, one.entered, one.left) for one in select(dry_run=True).audiences])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("prefect_server")
def test_a_dry_run_of_select_leaves_a_page_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shop(tmp_path)
    change(tmp_path, "at_least: 5", "at_least: 6")
    monkeypatch.setenv("MILLSTREAM_PROJECT", str(tmp_path))
    flow = subprocess.run([sys.executable, "-c", DRY_RUN], capture_output=True, text=True, timeout=200, check=False)
    assert flow.returncode == 0, flow.stderr
    assert flow.stdout.strip().splitlines()[-1] == "[('many', 0, 1), ('most', 0, 0), ('few', 0, 0)]"
    (page,) = read_from_server("/artifacts/filter", {"artifacts": {"key": {"any_": ["shop-audiences-dry-run"]}}})
    assert "| many | changed | 5 | 4 | 0 | 1 |" in page["data"]
    with Workspace.open(load_project(tmp_path)).store.open() as connection:
        assert connection.execute("SELECT DISTINCT run_id FROM customers.audience_sizes").fetchall() == [("first",)]
