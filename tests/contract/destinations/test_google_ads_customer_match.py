"""Google Ads Customer Match keeps the destination contract."""

from __future__ import annotations

from typing import Any, ClassVar

from millstream.destinations.google_ads_customer_match import GoogleAdsCustomerMatch
from millstream.destinations.google_ads_customer_match.members import rules_of
from millstream.destinations.testing import SandboxStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract
from tests.contract.destinations.hashed import HashedStandIn


class TestGoogleAdsCustomerMatch(SandboxContract):
    connector = GoogleAdsCustomerMatch
    base_path = "google_ads_customer_match"
    facts: ClassVar = {
        "customer_id": "123-456-7890",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "sandbox-refresh",
        "ad_user_data": "granted",
        "ad_personalization": "granted",
        "customer_match_terms": "accepted",
    }
    wrong: ClassVar = {"refresh_token": "wrong"}
    sample_fields: ClassVar = {"given_name": "Ana", "family_name": "Li"}
    refuses_strangers = False  # whoever is handed over is a member
    has_standings = False  # Google keeps no consent of people in user lists
    made_up: ClassVar[list[str]] = []

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> SandboxStandIn:
        return HashedStandIn(sandbox.url, "google_ads_customer_match", cls.made_up, rules_of(None)["email"])

    @classmethod
    def make(cls, sandbox: Sandbox, **changes: str) -> Any:
        return super().make(sandbox, token_url=f"{sandbox.url}/google_ads_customer_match/token", **changes)

    def new_match_value(self) -> str:
        self.made_up.append(super().new_match_value())
        return self.made_up[-1]
