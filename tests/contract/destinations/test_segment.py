"""Segment keeps the destination contract, as far as a vendor that answers everything alike can."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from millstream.destinations.segment import Segment
from millstream.destinations.segment.messages import trait_of
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class SegmentStandIn(PeopleStandIn):
    """An audience is a trait there."""

    def members(self, audience_id: str) -> set[str] | None:
        return super().members(trait_of(audience_id))


class TestSegment(SandboxContract):
    connector = Segment
    base_path = "segment/v1"
    facts: ClassVar = {"write_key": "sandbox-segment-write-key"}
    wrong: ClassVar = {"write_key": "wrong"}
    sample_fields: ClassVar = {"firstName": "Ana", "lastName": "Li"}
    bad_match_value = "u" * 33_000
    checks_credentials = False
    refuses_strangers = False

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> SegmentStandIn:
        return SegmentStandIn(sandbox.url, "segment", match_key="external_id")

    @classmethod
    def make(cls, sandbox: Sandbox, **changes: str) -> Segment:
        public = {"public_url": f"{sandbox.url}/segment", "public_token": "sgp_sandbox-segment"}
        made: Segment = super().make(sandbox, **public, **changes)
        return made

    def new_match_value(self) -> str:
        return f"Contract-{uuid4().hex[:12]}"
