"""Meta Custom Audiences keep the destination contract."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from millstream.destinations.hashing import email_address, phone_number, sha256_of
from millstream.destinations.meta_custom_audiences import MetaCustomAudiences
from millstream.destinations.testing import SandboxStandIn
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract
from tests.contract.destinations.hashed import HashedStandIn


class TestMetaCustomAudiences(SandboxContract):
    connector = MetaCustomAudiences
    base_path = "meta_custom_audiences"
    facts: ClassVar = {"ad_account_id": "act_1001001001", "access_token": "EAAsandboxMeta"}
    wrong: ClassVar = {"access_token": "EAAsandboxMetaExpired"}
    sample_fields: ClassVar = {"fn": "Ana", "ln": "Li"}
    refuses_strangers = False  # whoever is handed over is a member
    has_standings = False  # Meta keeps no consent of people in audiences
    says_how_long_to_wait = False  # in minutes, so a test cannot wait for it
    made_up: ClassVar[list[str]] = []

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> SandboxStandIn:
        return HashedStandIn(sandbox.url, "meta_custom_audiences", cls.made_up, sha256_of(email_address))

    def new_match_value(self) -> str:
        self.made_up.append(super().new_match_value())
        return self.made_up[-1]


class TestMetaThatWantsProof(TestMetaCustomAudiences):
    facts: ClassVar = {
        "ad_account_id": "1001001001",
        "access_token": "EAAsandboxMetaProof",
        "app_secret": "sandbox-meta-app-secret",
    }
    wrong: ClassVar = {"app_secret": "of-another-app"}


class ByPhone(MetaCustomAudiences):
    """A sync that finds people by their numbers."""

    match_keys = ("phone", "email", "extern_id", "madid")


class TestMetaByPhone(TestMetaCustomAudiences):
    connector = ByPhone
    bad_match_value = "079 123"

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> SandboxStandIn:
        def hashed(number: str) -> str | None:
            return sha256_of(lambda value: str(phone_number()(value))[1:])(number)

        return HashedStandIn(sandbox.url, "meta_custom_audiences", cls.made_up, hashed)

    def new_match_value(self) -> str:
        self.made_up.append(f"+1 202 555 {uuid4().int % 10_000:04}")
        return self.made_up[-1]
