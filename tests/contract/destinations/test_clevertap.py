"""CleverTap keeps the destination contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4

from millstream.destinations.clevertap import CleverTap
from millstream.destinations.contract import DeliveryRow
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract

_OUR_NAMES: Mapping[str, str] = {"identity": "external_id", "email": "email"}


class CleverTapStandIn(PeopleStandIn):
    """Members are those with the audience's property, and those on the custom list of its name."""

    def members(self, audience_id: str) -> set[str] | None:
        with_property = {who for who, fields in (self.fields() or {}).items() if fields.get(audience_id) is True}
        return with_property | (super().members(audience_id) or set())


class TestCleverTap(SandboxContract):
    connector = CleverTap
    base_path = "clevertap"
    facts: ClassVar = {
        "account_id": "SBX-123-456Z",
        "passcode": "sandbox-clevertap",
        "list_email": "ops@shop.box.example",
    }
    wrong: ClassVar = {"passcode": "wrong"}
    sample_fields: ClassVar = {"Name": "Ana", "City": "Genoa"}
    bad_match_value = "contract-bad"
    says_how_long_to_wait = False
    # Whoever is written becomes a profile.
    refuses_strangers = False

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> CleverTapStandIn:
        return CleverTapStandIn(sandbox.url, "clevertap", match_key=_OUR_NAMES[cls.connector.match_keys[0]])

    def new_match_value(self) -> str:
        return f"contract-{uuid4().hex[:12]}"

    def people(self, *match_values: str) -> list[DeliveryRow]:
        """As of every vendor; any text is an identity for CleverTap, so a bad row is one with a bad number."""
        rows = super().people(*match_values)
        bad: dict[str, Any] = {**self.sample_fields, "Phone": "555"}
        return [
            DeliveryRow(number=row.number, match_value=row.match_value, fields=bad)
            if row.match_value == self.bad_match_value
            else row
            for row in rows
        ]


class ByAddress(CleverTap):
    """A project whose identities are addresses."""

    match_keys = ("email", "identity")


class TestCleverTapByAddress(TestCleverTap):
    connector = ByAddress
    bad_match_value = "bad@@example"

    def new_match_value(self) -> str:
        return f"contract-{uuid4().hex[:12]}@box.example"


class TestCleverTapInARegion(TestCleverTap):
    """A region's own host, where emptied properties stay, and who leaves is not looked up."""

    base_path = "clevertap/eu1"
    facts: ClassVar = {**TestCleverTap.facts, "clear_with": "empty", "check_before_removal": "false"}
