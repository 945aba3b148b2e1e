"""Intercom keeps the destination contract."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.intercom import Intercom
from millstream.destinations.modes import Status
from millstream.destinations.testing import PeopleStandIn, deliver
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class TestIntercom(SandboxContract):
    connector = Intercom
    base_path = "intercom"
    facts: ClassVar = {
        "access_token": "sandbox-intercom",
        "requests_per_minute": "60000",
        "bring_back_archived": "true",
    }
    wrong: ClassVar = {"access_token": "wrong-token"}
    sample_fields: ClassVar = {"name": "Ana", "plan": "plus"}
    opted_out = frozenset({"unsubscribed", "bounced"})
    stands_by = "external_id"

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "intercom", match_key=cls.stands_by)

    def new_match_value(self) -> str:
        return f"Contract-{uuid4().hex[:12]}"

    def test_a_bad_row_stands_alone(self, destination: Any) -> None:
        """Intercom takes any external id: here it is another field that it refuses."""
        rows = self.people(*(self.new_match_value() for _ in range(3)))
        rows[1] = DeliveryRow(number=2, match_value=rows[1].match_value, fields={"email": "bad@@example"})
        outcomes = deliver(destination, rows)
        assert [one.status for one in outcomes] == [Status.ACCEPTED, Status.REJECTED, Status.ACCEPTED]
        assert outcomes[1].code
        assert "bad@@example" not in str(outcomes[1].reason)


class ByAddress(Intercom):
    """A workspace whose contacts are found by their addresses."""

    match_keys = ("email", "external_id")


class TestIntercomByAddress(TestIntercom):
    connector = ByAddress
    stands_by = "email"
    test_a_bad_row_stands_alone = SandboxContract.test_a_bad_row_stands_alone

    def new_match_value(self) -> str:
        return f"contract-{uuid4().hex[:12]}@box.example"
