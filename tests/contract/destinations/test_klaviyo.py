"""Klaviyo keeps the destination contract."""

from __future__ import annotations

from typing import ClassVar

from millstream.destinations.klaviyo import Klaviyo
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract

OAUTH = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}


class TestKlaviyo(SandboxContract):
    connector = Klaviyo
    base_path = "klaviyo/api"
    facts: ClassVar = {"access_token": "pk_sandbox_klaviyo"}
    wrong: ClassVar = {"access_token": "pk_wrong"}
    sample_fields: ClassVar = {"first_name": "Ana", "last_name": "Li"}

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "klaviyo")


class TestKlaviyoWithOAuth(TestKlaviyo):
    facts: ClassVar = OAUTH
    wrong: ClassVar = {"refresh_token": "wrong"}
