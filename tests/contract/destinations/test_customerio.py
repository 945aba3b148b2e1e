"""Customer.io keeps the destination contract."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

from millstream.destinations.customerio import CustomerIo
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class TestCustomerIo(SandboxContract):
    connector = CustomerIo
    base_path = "customerio/track"
    facts: ClassVar = {
        "site_id": "sandbox-site",
        "track_api_key": "sandbox-customerio-track",
        "app_api_key": "sandbox-customerio-app",
        "seconds_before_membership": "0.02",
    }
    wrong: ClassVar = {"track_api_key": "wrong-track", "app_api_key": "wrong-app"}
    sample_fields: ClassVar = {"first_name": "Ana", "city": "Genoa"}
    bad_match_value = "x" * 151
    says_how_long_to_wait = False
    refuses_strangers = False  # they are passed over without a word
    opted_out = frozenset({"unsubscribed", "unsubscribed_from_topics", "suppressed"})
    stands_by = "external_id"

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "customerio", match_key=cls.stands_by)

    @classmethod
    def make(cls, sandbox: Sandbox, **changes: str) -> Any:
        return super().make(sandbox, app_base_url=f"{sandbox.url}/customerio/app", **changes)

    def new_match_value(self) -> str:
        return f"Contract-{uuid4().hex[:12]}"


class ByAddress(CustomerIo):
    """A workspace whose people have no ids of the operator's."""

    match_keys = ("email", "id")


class TestCustomerIoByAddress(TestCustomerIo):
    connector = ByAddress
    bad_match_value = "bad@@example"
    stands_by = "email"

    def new_match_value(self) -> str:
        return f"contract-{uuid4().hex[:12]}@box.example"
