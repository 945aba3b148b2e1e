"""ActiveCampaign keeps the destination contract."""

from __future__ import annotations

from typing import ClassVar

from millstream.destinations.activecampaign import ActiveCampaign
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class TestActiveCampaign(SandboxContract):
    connector = ActiveCampaign
    base_path = "activecampaign/api/3"
    facts: ClassVar = {"api_key": "sandbox-activecampaign", "requests_per_second": "500"}
    wrong: ClassVar = {"api_key": "wrong"}
    sample_fields: ClassVar = {"first_name": "Ana", "CITY": "Genoa"}

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "activecampaign")
