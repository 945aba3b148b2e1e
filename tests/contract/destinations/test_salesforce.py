"""Salesforce keeps the destination contract, whatever people and audiences are in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4

import pytest
import requests

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.salesforce import Salesforce
from millstream.destinations.testing import PeopleStandIn
from millstream.destinations.testing.ground import with_fields
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract

SESSION = "00D5g0000000001!sandbox-salesforce"


def ask(sandbox: Sandbox, method: str, path: str, body: object) -> None:
    """Set something up as the organization's admin would."""
    url = f"{sandbox.url}/salesforce/services/data/v66.0/{path}"
    requests.request(method, url, json=body, headers={"Authorization": f"Bearer {SESSION}"}, timeout=10)


class OneObject(PeopleStandIn):
    """The people of one object: an external id may name a contact and a lead."""

    def __init__(self, url: str, api_name: str) -> None:
        super().__init__(url, "salesforce", match_key="external_id")
        self._api_name = api_name

    def throttle(self, *, times: int, seconds: int) -> None:
        """Say that too many requests take long, which passes; the limit of 24 hours would end the sync."""
        self._fault(kind="rate_limited", policy="concurrent", times=times, seconds=seconds)

    def lose_answers(self, *, times: int) -> None:
        """Records are written by PATCH, jobs are made by POST."""
        self._fault(kind="reset", when="after", path="/(composite/sobjects|jobs/ingest)", times=times)

    def members(self, audience_id: str) -> set[str] | None:
        """A field's value says who is a member, but the state knows only of campaigns."""
        return super().members(audience_id) if audience_id.startswith("701") else None

    def _by_key(self, state: Any, fact: str) -> dict[str, Any]:
        people = [
            person
            for person in state["people"]
            if person["object"] == self._api_name and person["standing"] != "deleted"
        ]
        return super()._by_key({**state, "people": people}, fact)


class TestSalesforce(SandboxContract):
    """Contacts in campaigns."""

    connector = Salesforce
    base_path = "salesforce"
    facts: ClassVar = {
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "external_id_field": "Customer_Id__c",
        "placeholder": "[unknown]",
    }
    wrong: ClassVar = {"client_secret": "wrong"}
    bad_match_value = f"c-{'9' * 300}"
    sample_fields: ClassVar = {"FirstName": "Ana", "Title": "Buyer"}
    names: ClassVar[Mapping[str, str]] = {"LastName": "Li"}
    says_how_long_to_wait = False
    opted_out = frozenset({"unsubscribed", "bounced"})

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> OneObject:
        return OneObject(sandbox.url, cls.facts.get("object", "Contact"))

    def new_match_value(self) -> str:
        return f"c-{uuid4().hex[:12]}"

    def new_field_name(self) -> str:
        return f"Contract_{uuid4().hex[:8]}__c"

    def people(self, *match_values: str) -> list[DeliveryRow]:
        """People with a name: to give somebody new a placeholder takes a second request."""
        return with_fields(super().people(*match_values), {**self.sample_fields, **self.names})


class TestSalesforceLeadsWithACheckbox(TestSalesforce):
    facts: ClassVar = {**TestSalesforce.facts, "object": "Lead", "audience_as": "checkbox"}
    names: ClassVar = {"LastName": "Li", "Company": "Li & Co"}

    @pytest.fixture(autouse=True)
    def _known_leads(self, sandbox: Sandbox) -> None:
        """The company's leads have external ids, too."""
        state = requests.get(f"{sandbox.url}/_sandbox/state/salesforce", timeout=10).json()
        leads = [person for person in state["people"] if person["object"] == "Lead"]
        if any(lead["match"]["external_id"] for lead in leads):
            return
        records = [
            {"attributes": {"type": "Lead"}, "id": lead["id"], "Customer_Id__c": f"l-{number}"}
            for number, lead in enumerate(leads)
            if not lead["fields"].get("IsConverted")
        ]
        ask(sandbox, "PATCH", "composite/sobjects", {"allOrNone": False, "records": records})


class TestSalesforceWithAPicklist(TestSalesforce):
    facts: ClassVar = {**TestSalesforce.facts, "audience_as": "picklist", "picklist_field": "Segments__c"}

    @pytest.fixture(autouse=True)
    def _picklist(self, sandbox: Sandbox) -> None:
        """The organization has a picklist that takes any value."""
        metadata = {
            "type": "MultiselectPicklist",
            "label": "Segments",
            "visibleLines": 4,
            "valueSet": {"restricted": False, "valueSetDefinition": {"sorted": False, "value": []}},
        }
        ask(sandbox, "POST", "tooling/sobjects/CustomField", {"FullName": "Contact.Segments__c", "Metadata": metadata})
