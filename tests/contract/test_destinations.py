"""Every destination that is registered keeps the destination contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import orjson
import pytest
import requests

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.hubspot import HubSpot
from millstream.destinations.mailchimp import Mailchimp
from millstream.destinations.modes import Status
from millstream.destinations.registry import DESTINATIONS
from millstream.destinations.testing import DestinationContract, SandboxStandIn
from millstream.sandbox import Sandbox

OAUTH = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


class SandboxContract(DestinationContract):
    """The contract against the sandbox.

    Attributes:
        connector: The connector's class.
        base_path: Its API below the sandbox's address.
        facts: Its settings.
        wrong: Changes of them that make the credential a wrong one.
    """

    connector: ClassVar[type[Any]]
    base_path: ClassVar[str]
    facts: ClassVar[dict[str, str]]
    wrong: ClassVar[dict[str, str]]

    @pytest.fixture
    def destination(self, sandbox: Sandbox) -> Any:
        return self.make(sandbox)

    @pytest.fixture
    def impostor(self, sandbox: Sandbox) -> Any:
        return self.make(sandbox, **self.wrong)

    @classmethod
    def make(cls, sandbox: Sandbox, **changes: str) -> Any:
        facts = {"base_url": f"{sandbox.url}/{cls.base_path}", **cls.facts, **changes}
        return cls.connector(cls.connector.Settings.model_validate(facts))


# Mailchimp


def standings_of(state: Any) -> Mapping[str, str]:
    return {found["email_address"].lower(): found["status"] for found in state["members"]}


class TestMailchimp(SandboxContract):
    connector = Mailchimp
    base_path = "mailchimp/3.0"
    facts: ClassVar = {"api_key": "sandbox-mailchimp-us1", "list_id": "a1b2c3d4e5"}
    wrong: ClassVar = {"api_key": "wrong-us1"}
    sample_fields: ClassVar = {"FNAME": "Ana", "LNAME": "Li"}
    says_how_long_to_wait = False

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> SandboxStandIn:
        return SandboxStandIn(sandbox.url, "mailchimp", standings_of)


class TestMailchimpThatSubscribes(TestMailchimp):
    """The harshest setting: new people come in as subscribed."""

    facts: ClassVar = {**TestMailchimp.facts, "new_member_status": "subscribed"}


class Careless(Mailchimp):
    """What many connectors do: one batch that overwrites the status of everyone in it."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        people = [{"email_address": one.match_value, "status": "subscribed"} for one in rows]
        self.http.post("/lists/a1b2c3d4e5", {"members": people, "update_existing": True})
        return [Outcome(status=Status.ACCEPTED)] * len(rows)


def test_the_suite_catches_a_connector_that_resubscribes() -> None:
    with Sandbox(people=100, limits=False) as spoiled:
        suite = TestMailchimp()
        stand_in = SandboxStandIn(spoiled.url, "mailchimp", standings_of)
        careless = Careless(suite.make(spoiled).settings)
        with pytest.raises(AssertionError):
            suite.test_nobody_is_unsubscribed_or_resubscribed(careless, stand_in, careless.ensure_audience("Any"))


# HubSpot


class HubSpotStandIn(SandboxStandIn):
    """Reads subscription statuses from the vendor's own endpoint, and who is there from the sandbox's state."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox.url, "hubspot", self._written)
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
    def _written(state: Any) -> Mapping[str, str]:
        emails = [contact["properties"].get("email") for contact in state["contacts"] if contact["created"]]
        return {email: "NOT_SPECIFIED" for email in emails if email}


class TestHubSpot(SandboxContract):
    connector = HubSpot
    base_path = "hubspot"
    facts: ClassVar = {"access_token": "pat-sandbox-hubspot"}
    wrong: ClassVar = {"access_token": "pat-sandbox-wrong"}
    sample_fields: ClassVar = {"firstname": "Ana", "city": "Genoa"}

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> HubSpotStandIn:
        return HubSpotStandIn(sandbox)


class TestHubSpotWithOAuth(TestHubSpot):
    facts: ClassVar = OAUTH
    wrong: ClassVar = {"refresh_token": "wrong"}


def test_every_registered_destination_is_here() -> None:
    assert {test.connector.name for test in (TestHubSpot, TestMailchimp)} == set(DESTINATIONS.names())
