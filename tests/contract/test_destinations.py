"""Every destination that is registered keeps the destination contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import orjson
import pytest
import requests

from millstream.destinations.contract import DeliveryRow, JobProgress, Outcome
from millstream.destinations.hubspot import HubSpot
from millstream.destinations.mailchimp import Mailchimp
from millstream.destinations.mailchimp.answers import member_id
from millstream.destinations.modes import Status
from millstream.destinations.registry import DESTINATIONS
from millstream.destinations.testing import DestinationContract, SandboxStandIn
from millstream.sandbox import Sandbox
from millstream.sandbox.mailchimp.account import Mailchimp as MailchimpAccount

OAUTH = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        account = running.systems["mailchimp"]
        assert isinstance(account, MailchimpAccount)
        account.batches.seconds = 0.05
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


def merge_fields_of(state: Any) -> Mapping[str, Mapping[str, object]]:
    return {found["email_address"].lower(): found["merge_fields"] for found in state["members"]}


class TestMailchimp(SandboxContract):
    connector = Mailchimp
    base_path = "mailchimp/3.0"
    facts: ClassVar = {"api_key": "sandbox-mailchimp-us1", "list_id": "a1b2c3d4e5"}
    wrong: ClassVar = {"api_key": "wrong-us1"}
    sample_fields: ClassVar = {"FNAME": "Ana", "LNAME": "Li"}
    says_how_long_to_wait = False

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> SandboxStandIn:
        return self.stand_in_of(sandbox)

    @staticmethod
    def stand_in_of(sandbox: Sandbox) -> SandboxStandIn:
        return SandboxStandIn(sandbox.url, "mailchimp", standings_of, merge_fields_of)


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


class Hasty(Mailchimp):
    """Archives people without looking at what the archive would hide."""

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        for one in rows:
            self.http.request("DELETE", f"/lists/a1b2c3d4e5/members/{member_id(one.match_value)}")
        return [Outcome(status=Status.ACCEPTED)] * len(rows)


class Forgetful(Mailchimp):
    """Knows its jobs only as long as it lives."""

    def submit_job(self, *given: Any, **facts: Any) -> str:
        self._job = super().submit_job(*given, **facts)
        return "the job"

    def poll_job(self, job_id: str) -> JobProgress:
        return super().poll_job(self._job)


def test_the_suite_catches_an_archive_that_hides_opt_outs_and_jobs_that_die_with_their_process() -> None:
    with Sandbox(people=100, limits=False) as spoiled:
        suite = TestMailchimpThatSubscribes()
        stand_in, settings = suite.stand_in_of(spoiled), suite.make(spoiled).settings
        with pytest.raises(AssertionError):
            suite.test_who_opted_out_does_not_come_back_through_the_archive(Hasty(settings), stand_in)
        with pytest.raises(AttributeError):
            suite.test_a_job_is_gone_on_with_by_another_process(Forgetful(settings), stand_in, "4001")


# HubSpot


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

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> HubSpotStandIn:
        return HubSpotStandIn(sandbox)


class TestHubSpotWithOAuth(TestHubSpot):
    facts: ClassVar = OAUTH
    wrong: ClassVar = {"refresh_token": "wrong"}


def test_every_registered_destination_is_here() -> None:
    assert {test.connector.name for test in (TestHubSpot, TestMailchimp)} == set(DESTINATIONS.names())
