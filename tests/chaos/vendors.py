"""Every destination as its contract knows it: settings, fields, what stands in for the vendor, names of people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from millstream.destinations.testing.stand_in import StandIn
from millstream.sandbox import Sandbox
from tests.contract import destinations
from tests.contract.destinations.all_contracts import as_a_project_says
from tests.contract.destinations.ground import SandboxContract
from tests.contract.destinations.test_files import Reader, TestFiles
from tests.sftp_server import SftpServer

HURRIED: Mapping[str, Mapping[str, object]] = {
    "braze": {"cohort_delay_seconds": 0.02},
    "customerio": {"seconds_before_membership": 0.02},
    "files": {"rows_per_file": 5},
    "meta_custom_audiences": {"rows_per_request": 5},
    "webhook": {"records_per_request": 5},
}
"""Settings that keep waits short and batches small."""

LATER = {
    "activecampaign": "imports",
    "braze": "queue",
    "clevertap": "later",
    "google_ads_customer_match": "ingestion",
    "klaviyo": "later",
    "mailchimp": "batches",
    "marketo": "imports",
    "meta_custom_audiences": "audiences",
    "salesforce": "ingest",
}
"""What of a vendor works off later what it took."""

_MORE = {
    "TestBrazeWithCohorts",
    "TestBrazeWithLists",
    "TestCleverTapByAddress",
    "TestCleverTapInARegion",
    "TestCustomerIoByAddress",
    "TestIntercomByAddress",
    "TestMarketoByOurId",
    "TestSalesforceLeadsWithACheckbox",
    "TestWebhookThatAnswersNothing",
}
"""Contracts of other settings and keys that work in other ways."""


@dataclass(frozen=True)
class Vendor:
    """A destination and what stands in for it.

    Attributes:
        name: Of its connection, its destination and its sync.
        contract: Knows settings, fields and keys.
    """

    name: str
    contract: type[SandboxContract]

    @property
    def system(self) -> str:
        """Name of the connector."""
        name: str = self.contract.connector.name
        return name

    @property
    def match_key(self) -> str:
        """What people are found by."""
        return str(self.contract.connector.match_keys[0])

    @property
    def fields(self) -> tuple[str, str]:
        """Two fields that every account takes."""
        first, second = self.contract.sample_fields
        return first, second

    def person(self, number: int) -> str:
        """The match value of somebody, of the kind that the vendor takes."""
        name = f"p{number:02}.{self.name}"
        return f"{name}@box.example" if self._takes_addresses else name

    @cached_property
    def _takes_addresses(self) -> bool:
        return "@" in self.contract().new_match_value()

    def stand_in(self, sandbox: Sandbox, files: SftpServer, people: list[str]) -> StandIn:
        """What reads the vendor's state; vendors of hashes have to know whose they may be."""
        if issubclass(self.contract, TestFiles):
            return Reader(files)
        getattr(self.contract, "made_up", []).extend(people)
        return self.contract.stand_in_of(sandbox)

    def settings(self, sandbox: Sandbox, files: SftpServer, secrets: dict[str, str]) -> dict[str, object]:
        """Settings as a project says them; secrets go into variables of the environment."""
        contract = self.contract
        made = contract.connect(files) if issubclass(contract, TestFiles) else contract.make(sandbox)
        known = made.settings.model_copy(update=HURRIED.get(self.system, {}))
        return as_a_project_says(known, prefix=f"CHAOS_{self.name}", secrets=secrets)


def vendors(*, more: bool) -> dict[str, Vendor]:
    """Every destination that has a contract, by name; with ``more`` also those of other settings and keys."""
    found: dict[str, Vendor] = {}
    for path in sorted(Path(destinations.__file__ or "").parent.glob("test_*.py")):
        module = import_module(f"{destinations.__name__}.{path.stem}")
        for contract in vars(module).values():
            if not _is_contract(contract, module.__name__):
                continue
            system = contract.connector.name
            if system not in found:
                found[system] = Vendor(system, contract)
            elif more and contract.__name__ in _MORE:
                name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=A)(?=[A-Z][a-z])", "_", contract.__name__[4:]).lower()
                found[name] = Vendor(name, contract)
    return found


def _is_contract(found: object, module: str) -> bool:
    return (
        isinstance(found, type)
        and issubclass(found, SandboxContract)
        and found.__module__ == module
        and hasattr(found, "connector")
    )
