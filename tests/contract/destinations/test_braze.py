"""Braze keeps the destination contract."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

from millstream.destinations.braze import Braze
from millstream.destinations.testing import PeopleStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract


class BrazeStandIn(PeopleStandIn):
    """Knows who is in an audience from the attributes that say so."""

    def members(self, audience_id: str) -> set[str] | None:
        kind, _, name = audience_id.partition(":")
        fields = (self.fields() or {}).items()
        if kind == "flag":
            return {found for found, held in fields if held.get(name) is True}
        if kind == "list":
            return {found for found, held in fields if name in _texts(held.get("audiences"))}
        return super().members(name)


def _texts(value: object) -> list[str]:
    return value if isinstance(value, list) else []


class TestBraze(SandboxContract):
    connector = Braze
    base_path = "braze"
    facts: ClassVar = {"api_key": "sandbox-braze", "requests_per_3_seconds": "3000", "exports_per_minute": "2500"}
    wrong: ClassVar = {"api_key": "wrong"}
    sample_fields: ClassVar = {"first_name": "Ana", "home_city": "Genoa"}
    bad_match_value = "x" * 1_000

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> BrazeStandIn:
        return BrazeStandIn(sandbox.url, "braze", match_key="external_id")

    def new_match_value(self) -> str:
        return f"contract-{uuid4().hex[:12]}"


class TestBrazeWithLists(TestBraze):
    facts: ClassVar = {**TestBraze.facts, "audience_kind": "list"}


class TestBrazeWithCohorts(TestBraze):
    facts: ClassVar[dict[str, Any]] = {
        **TestBraze.facts,
        "audience_kind": "cohort",
        "partner": "millstream",
        "partner_api_key": "sandbox-braze-partner",
        "data_import_key": "sandbox-braze-data-import",
    }
    # Cohorts have keys of their own.
    wrong: ClassVar = {"api_key": "wrong", "partner_api_key": "wrong"}
