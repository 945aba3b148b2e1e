"""The flows that look after delivery, on a real server: reconcile and watch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from millstream.destinations.contract import DeliveryRow
from millstream.flows.failure import RunFailedError
from millstream.flows.local_prefect import LocalPrefect
from millstream.flows.project import load_project
from millstream.flows.steps import Workspace
from millstream.sandbox import Sandbox

if TYPE_CHECKING:
    from prefect.events.schemas.events import ReceivedEvent

PROJECT = """
name: shop
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
            connection.execute("CREATE TABLE crm.wanted AS SELECT 'reconciled@example.com' AS email")
        yield workspace
        workspace.journal.close()


def events_of(project: str) -> list[ReceivedEvent]:
    """The project's alerts that the server has; they arrive a moment after they were emitted."""
    from prefect.client.orchestration import get_client
    from prefect.events.filters import EventFilter, EventNameFilter

    wanted = EventFilter(event=EventNameFilter(prefix=["millstream.alert."]))
    deadline = time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            answer = client._client.post("/events/filter", json={"filter": wanted.model_dump(mode="json")})
            events = answer.json()["events"]
            if found := [one for one in events if one["resource"]["millstream.project"] == project]:
                return found
            time.sleep(0.5)
    return []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_drift_fails_the_flow_leaves_a_table_and_is_an_event(shop: Workspace) -> None:
    from prefect.artifacts import Artifact

    from millstream.flows.activate_sync import activate
    from millstream.flows.reconcile_sync import reconcile
    from millstream.flows.watch_project import watch

    assert activate("list").accepted == 1
    assert reconcile().reconciled[0].status == "in_step"
    sync = shop.project.sync("list")
    hubspot = shop.project.destination("hubspot")
    audience = hubspot.ensure_audience(str(sync.audience_name))
    hubspot.remove_members(audience, [DeliveryRow(number=0, match_value="reconciled@example.com", fields={})])
    with pytest.raises(RunFailedError, match="1 missing"):
        reconcile(syncs=["list"])
    table = Artifact.get("shop-reconcile")
    assert table is not None
    assert '"missing": 1' in str(table.data)
    (alert,) = watch().firing
    assert alert.name == "sync list drift"
    assert [(one["event"], one["resource"]["prefect.resource.name"]) for one in events_of("shop")] == [
        ("millstream.alert.firing", "sync list drift")
    ]
