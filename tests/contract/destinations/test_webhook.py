"""The webhook keeps the destination contract."""

from __future__ import annotations

from typing import Any, ClassVar

from millstream.destinations.testing import PeopleStandIn
from millstream.destinations.webhook import Webhook
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract

ON_THIS_MACHINE = {"allow_http": True, "allow_private_networks": True, "requests_per_second": 1_000}


class TestWebhook(SandboxContract):
    connector = Webhook
    base_path = "webhook/hooks/customers"
    facts: ClassVar[dict[str, Any]] = {**ON_THIS_MACHINE, "signing_secret": "sandbox-webhook-secret"}
    wrong: ClassVar[dict[str, Any]] = {"signing_secret": "of-somebody-else"}
    sample_fields: ClassVar = {"first_name": "Ana", "city": "Genoa"}
    refuses_strangers = False  # whoever is posted is a member
    has_standings = False  # the receiver keeps no consent

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> PeopleStandIn:
        return PeopleStandIn(sandbox.url, "webhook")


class TestWebhookThatAnswersNothing(TestWebhook):
    base_path = "webhook/hooks/silent"
