"""People who leave at real vendors' APIs: archived or deleted when the sync says so, and never otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from millstream.destinations.delivery import Delivery
from millstream.destinations.hubspot import HubSpot
from millstream.destinations.mailchimp import Mailchimp
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.state.ledger.journal import Journal
from millstream.state.store import DuckDBStore

ANA, BEN = "ana-leaves@box.example", "ben-stays@box.example"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=50, limits=False) as running:
        yield running


def connector_of(sandbox: Sandbox, name: str) -> Any:
    if name == "hubspot":
        return HubSpot(HubSpot.Settings(base_url=f"{sandbox.url}/hubspot", access_token="pat-sandbox-hubspot"))
    settings = {"base_url": f"{sandbox.url}/mailchimp/3.0", "api_key": "sandbox-mailchimp-us1", "list_id": "a1b2c3d4e5"}
    return Mailchimp(Mailchimp.Settings.model_validate(settings))


def state(sandbox: Sandbox, name: str) -> Any:
    return requests.get(f"{sandbox.url}/_sandbox/state/{name}", timeout=10).json()


class Mirror:
    """A mirror of a table of addresses."""

    def __init__(self, sandbox: Sandbox, folder: Path, name: str, **facts: object) -> None:
        guards = {"allow_empty": True, "largest_removal_share": 1.0}
        sync = {"destination": name, "table": "crm.wanted", "consent": "not_needed", "guards": guards, **facts}
        self.delivery = Delivery(
            name="sync",
            sync=Sync.model_validate(sync),
            destination=lambda: connector_of(sandbox, name),
            store=DuckDBStore(folder / "store.duckdb"),
            journal=Journal("sqlite:///journal.sqlite", root=folder),
            plans=folder / "plans",
        )

    def want(self, *people: str) -> None:
        with self.delivery.store.open() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
            connection.execute("CREATE OR REPLACE TABLE crm.wanted (email TEXT, name TEXT)")
            connection.executemany("INSERT INTO crm.wanted VALUES (?, ?)", [(email, "Name") for email in people])

    def run(self, *people: str) -> tuple[int, int, int]:
        """Accepted, rejected and suppressed rows of a run for these people."""
        self.want(*people)
        report = self.delivery.activate("run")
        assert report.error is None
        return report.accepted, report.rejected, report.suppressed


@pytest.fixture
def mirror(sandbox: Sandbox, tmp_path: Path) -> Iterator[Any]:
    made: list[Mirror] = []

    def make(name: str, **facts: object) -> Mirror:
        made.append(Mirror(sandbox, tmp_path, name, **facts))
        return made[-1]

    yield make
    for one in made:
        one.delivery.journal.close()


def test_hubspot_archives_who_left_and_takes_them_back(sandbox: Sandbox, mirror: Any) -> None:
    sync = mirror("hubspot", on_leave="archive", into="Leavers", fields={"firstname": "name"})
    assert sync.run(ANA, BEN) == (2, 0, 0)
    assert sync.run(BEN) == (1, 0, 0)
    written = {one["properties"].get("email"): one for one in state(sandbox, "hubspot")["contacts"]}
    assert (written[ANA]["archived"], written[BEN]["archived"]) == (True, False)
    assert sync.run(BEN) == (0, 0, 0)
    assert sync.run(ANA, BEN) == (1, 0, 0)
    live = [one for one in state(sandbox, "hubspot")["contacts"] if not one["archived"]]
    assert ANA in {one["properties"].get("email") for one in live}


def test_mailchimp_deletes_only_where_the_sync_says_so_and_then_for_good(sandbox: Sandbox, mirror: Any) -> None:
    kept = mirror("mailchimp", into="Leavers")
    assert kept.run(ANA, BEN) == (2, 0, 0)
    assert kept.run(BEN) == (1, 0, 0)
    assert {ANA, BEN} <= {found["email_address"] for found in state(sandbox, "mailchimp")["members"]}
    kept.run(ANA, BEN)

    deletes = mirror("mailchimp", into="Leavers", on_leave="delete")
    deletes.want(BEN)
    (warning,) = deletes.delivery.plan("run").warnings
    assert "never takes the address" in warning
    assert deletes.run(BEN) == (1, 0, 0)
    assert ANA not in {found["email_address"] for found in state(sandbox, "mailchimp")["members"]}
    # The vendor does not take the address back; the row is listed, and does not stand in the way of others.
    assert deletes.run(ANA, BEN) == (0, 0, 1)
