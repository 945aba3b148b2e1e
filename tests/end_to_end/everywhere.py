"""One project that keeps every destination in step with one audience."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream.flows import steps
from millstream.flows.project import load_project
from millstream.sandbox import Sandbox
from tests.contract.destinations.all_contracts import all_contracts, as_a_project_says
from tests.contract.destinations.ground import quick_jobs
from tests.contract.destinations.test_google_ads_customer_match import TestGoogleAdsCustomerMatch
from tests.contract.destinations.test_meta_custom_audiences import TestMetaCustomAudiences
from tests.contract.destinations.written_files import members_of

PEOPLE = 600
NO_CONSENT = 10
LIST = "Of every destination"
COLUMNS = ("id", "email", "phone", "first_name", "last_name", "city", "vip", "newsletter")
BY_ID = {"id", "user_id", "external_id", "identity"}
"""Match keys that are our own id of a person; all others are the e-mail address."""

FIELDS: Mapping[str, Mapping[str, str]] = {
    "activecampaign": {"first_name": "first_name", "CITY": "city"},
    "braze": {"first_name": "first_name", "home_city": "city"},
    "clevertap": {"Name": "first_name", "City": "city"},
    "customerio": {"first_name": "first_name", "city": "city"},
    "files": {"first_name": "first_name", "city": "city"},
    "google_ads_customer_match": {"phone": "phone"},
    "hubspot": {"firstname": "first_name", "city": "city"},
    "intercom": {"name": "first_name"},
    "klaviyo": {"first_name": "first_name", "location.city": "city"},
    "mailchimp": {"FNAME": "first_name", "LNAME": "last_name"},
    "marketo": {"firstName": "first_name", "city": "city"},
    "meta_custom_audiences": {"fn": "first_name", "ln": "last_name"},
    "salesforce": {"FirstName": "first_name", "LastName": "last_name"},
    "segment": {"firstName": "first_name", "city": "city"},
    "vero": {"first_name": "first_name", "city": "city"},
    "webhook": {"first_name": "first_name", "city": "city"},
}


@dataclass
class Everywhere:
    """The project, the vendors, and who is wanted.

    Attributes:
        sandbox: The vendors.
        folder: The project's folder.
        vips: Numbers of the people who are wanted, consent aside.
    """

    sandbox: Sandbox
    folder: Path
    vips: set[int] = field(default_factory=lambda: set(range(PEOPLE)))

    @property
    def wanted(self) -> set[int]:
        """Who should be a member: wanted, and not without consent."""
        return {number for number in self.vips if number >= NO_CONSENT}

    def run(self) -> steps.PipelineReport:
        """Pull, resolve, select and activate, as ``millstream run``."""
        self._write_people()
        workspace = steps.Workspace.open(load_project(self.folder))
        try:
            report = steps.run_all(workspace)
        finally:
            workspace.journal.close()
        assert [str(error) for error in report.errors] == []
        return report

    def match_values(self, system: str, numbers: set[int]) -> set[str]:
        """By what a vendor knows these people."""
        by_id = match_key_of(system) in BY_ID
        return {f"every-{number}" if by_id else f"every.{number}@box.example" for number in numbers}

    def members(self, system: str) -> set[str]:
        """Who is in the audience at a vendor."""
        contract = all_contracts()[system]
        if system == "files":
            return members_of(self.folder / "written", LIST)
        destination = contract.make(self.sandbox)
        audience = destination.ensure_audience(LIST)
        told: set[str] | None = contract.stand_in_of(self.sandbox).members(audience)
        return set(destination.read_back(audience)) if told is None else told

    def _write_people(self) -> None:
        path = self.folder / "people" / "people.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(
                (
                    f"every-{number}",
                    f"every.{number}@box.example",
                    f"+49301{number:06}",
                    f"Ann{number}",
                    "Li",
                    "Genoa",
                    "yes" if number in self.vips else "no",
                    "no" if number < NO_CONSENT else "yes",
                )
                for number in range(PEOPLE)
            )


def match_key_of(system: str) -> str:
    """The match key that a vendor's contract is tested with."""
    key: str = all_contracts()[system].connector.match_keys[0]
    return key


@contextmanager
def everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everywhere]:
    """The project, wired to a sandbox of its own."""
    with Sandbox(people=20, limits=False) as sandbox:
        quick_jobs(sandbox)
        for hashed in (TestMetaCustomAudiences, TestGoogleAdsCustomerMatch):
            hashed.made_up.extend(f"every.{number}@box.example" for number in range(PEOPLE))
        contracts = {name: contract for name, contract in all_contracts().items() if name != "files"}
        secrets: dict[str, str] = {}
        connections: dict[str, dict[str, object]] = {
            name: {"system": name}
            | as_a_project_says(contract.make(sandbox).settings, prefix=f"EVERY_{name}", secrets=secrets)
            for name, contract in contracts.items()
        }
        for variable, secret in secrets.items():
            monkeypatch.setenv(variable, secret)
        connections["files"] = {"system": "files", "url": str(folder / "written")}
        (folder / "millstream.yaml").write_text(yaml.safe_dump(_project(folder, connections), sort_keys=False))
        yield Everywhere(sandbox, folder)


def _project(folder: Path, connections: Mapping[str, Any]) -> dict[str, object]:
    people = {
        "identifiers": {"id": "customer_id", "email": "email", "phone": "phone"},
        "traits": {name: name for name in ("id", "first_name", "last_name", "city", "vip")},
        "consents": {"newsletter": {"channel": "email", "statuses": {"yes": "granted", "no": "denied"}}},
    }
    stream = {"files": "*.csv", "primary_key": ["id"], "people": people}
    syncs = {
        name: {
            "audience": "vips",
            "destination": name,
            "into": LIST,
            "match": {match_key_of(name): "id" if match_key_of(name) in BY_ID else "email"},
            "fields": dict(FIELDS[name]),
            "consent": {"channel": "email"},
        }
        for name in connections
    }
    return {
        "name": "every",
        "connections": {**connections, "people": {"system": "files", "url": str(folder / "people")}},
        "sources": {"people": {"connection": "people", "settle_seconds": 0, "streams": {"people": stream}}},
        "audiences": {"vips": {"rule": {"trait": "vip", "equals": "yes"}}},
        "destinations": {name: {"connection": name} for name in connections},
        "syncs": syncs,
    }
