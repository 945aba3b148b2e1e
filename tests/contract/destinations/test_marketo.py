"""Marketo keeps the destination contract."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from millstream.destinations.marketo import Marketo
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class TestMarketo(SandboxContract):
    connector = Marketo
    base_path = "marketo"
    facts: ClassVar = {
        "client_id": "sandbox-marketo",
        "client_secret": "sandbox-marketo-secret",
        "folder_id": "13",
        "requests_per_20_seconds": "100",
        "wait_after_lost_answer": "0",
    }
    wrong: ClassVar = {"client_secret": "wrong"}
    sample_fields: ClassVar = {"firstName": "Ana", "city": "Genoa"}
    opted_out: ClassVar = frozenset({"unsubscribed", "bounced", "blacklisted", "suspended"})
    says_how_long_to_wait = False

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "marketo", match_key="email")


class ByOurId(Marketo):
    """Has our id as the key that the suite takes."""

    match_keys = ("external_id", "email")


class TestMarketoByOurId(TestMarketo):
    """Leads are found by a custom field that holds our id."""

    connector = ByOurId
    facts: ClassVar = {**TestMarketo.facts, "external_id_field": "customerId"}
    bad_match_value = "C" * 256

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "marketo", match_key="external_id")

    def new_match_value(self) -> str:
        return f"C-{uuid4().hex[:12]}"
