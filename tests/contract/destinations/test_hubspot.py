"""HubSpot keeps the destination contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
import requests

from millstream.destinations.hubspot import HubSpot
from millstream.destinations.testing import SandboxStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract

OAUTH = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}


class HubSpotStandIn(SandboxStandIn):
    """Reads subscription statuses from the vendor's own endpoint, and who is there from the sandbox's state."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox.url, "hubspot", self._written, self._properties)
        self._url = sandbox.url
        lines = requests.get(f"{sandbox.url}/_sandbox/truth", timeout=30).content.splitlines()
        people = [orjson.loads(line) for line in lines]
        self._emails = [person["emails"][0] for person in people if person["hubspot_contact_ids"]][:100]

    def standings(self) -> Mapping[str, str]:
        answer = requests.post(
            f"{self._url}/hubspot/communication-preferences/v4/statuses/batch/read?channel=EMAIL",
            headers={"Authorization": "Bearer pat-sandbox-hubspot"},
            json={"inputs": self._emails},
            timeout=30,
        ).json()
        known = {found["subscriberIdString"]: found["statuses"][0]["status"] for found in answer["results"]}
        return {**super().standings(), **known}

    @staticmethod
    def _properties(state: Any) -> Mapping[str, Mapping[str, object]]:
        return {str(contact["properties"].get("email")): contact["properties"] for contact in state["contacts"]}

    @staticmethod
    def _written(state: Any) -> Mapping[str, str]:
        emails = [contact["properties"].get("email") for contact in state["contacts"] if contact["created"]]
        return {email: "NOT_SPECIFIED" for email in emails if email}


class TestHubSpot(SandboxContract):
    connector = HubSpot
    base_path = "hubspot"
    facts: ClassVar = {"access_token": "pat-sandbox-hubspot"}
    wrong: ClassVar = {"access_token": "pat-sandbox-wrong"}
    sample_fields: ClassVar = {"firstname": "Ana", "city": "Genoa"}

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> HubSpotStandIn:
        return HubSpotStandIn(sandbox)


class TestHubSpotWithOAuth(TestHubSpot):
    facts: ClassVar = OAUTH
    wrong: ClassVar = {"refresh_token": "wrong"}
