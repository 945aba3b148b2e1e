"""Mailchimp keeps the destination contract, and the suite catches connectors that break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from millstream.destinations.contract import DeliveryRow, JobProgress, Outcome
from millstream.destinations.mailchimp import Mailchimp
from millstream.destinations.mailchimp.answers import member_id
from millstream.destinations.modes import Status
from millstream.destinations.testing import SandboxStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


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

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> SandboxStandIn:
        return SandboxStandIn(sandbox.url, "mailchimp", standings_of, merge_fields_of)

    def new_field_name(self) -> str:
        return f"C{uuid4().hex[:8].upper()}"


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
