"""Vero keeps the destination contract."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

import pytest

from millstream.destinations.modes import Status
from millstream.destinations.testing import DestinationContract, PeopleStandIn, deliver
from millstream.destinations.vero import Vero
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class TestVero(SandboxContract):
    connector = Vero
    base_path = "vero/api/v2"
    facts: ClassVar = {"auth_token": "sandbox-vero", "requests_per_second": "1000"}
    wrong: ClassVar = {"auth_token": "not-the-token"}
    sample_fields: ClassVar = {"first_name": "Ana", "city": "Genoa"}
    bad_match_value = "x" * 256
    says_how_long_to_wait = False
    refuses_strangers = False  # they are accepted without a word
    opted_out = frozenset({"unsubscribed", "bounced"})

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "vero", match_key="external_id")

    def new_match_value(self) -> str:
        return f"Contract-{uuid4().hex[:12]}"

    def test_update_creates_nobody(self, destination: Any, stand_in: Any) -> None:
        """Vero says the same of strangers as of users: nobody can be told to be missing."""
        ana, ben = self.new_match_value(), self.new_match_value()
        deliver(destination, self.people(ana))
        outcomes = destination.update(self.people(ana, ben), match_key="id")
        assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED_ASYNC] * 2
        assert ben not in stand_in.standings()

    @pytest.mark.parametrize("operation", ["probe", "upsert"])  # a tag is made by its first use: no request
    def test_a_wrong_credential_stops_at_once(self, impostor: Any, operation: str) -> None:
        DestinationContract.test_a_wrong_credential_stops_at_once(self, impostor, operation)
