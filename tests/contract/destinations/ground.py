"""The contract of a destination against the sandbox."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from millstream.destinations.testing import DestinationContract
from millstream.sandbox import Sandbox
from millstream.sandbox.mailchimp.account import Mailchimp as MailchimpAccount

_JOB_SECONDS = 0.05


def quick_jobs(sandbox: Sandbox) -> None:
    """Have the vendors end their jobs soon."""
    mailchimp = sandbox.systems["mailchimp"]
    assert isinstance(mailchimp, MailchimpAccount)
    mailchimp.batches.seconds = _JOB_SECONDS


class SandboxContract(DestinationContract):
    """The contract against the sandbox.

    Attributes:
        connector: The connector's class.
        base_path: Its API below the sandbox's address.
        facts: Its settings.
        wrong: Changes of them that make the credential a wrong one.
    """

    connector: ClassVar[type[Any]]
    base_path: ClassVar[str]
    facts: ClassVar[dict[str, str]]
    wrong: ClassVar[dict[str, str]]

    @pytest.fixture
    def destination(self, sandbox: Sandbox) -> Any:
        return self.make(sandbox)

    @pytest.fixture
    def impostor(self, sandbox: Sandbox) -> Any:
        return self.make(sandbox, **self.wrong)

    @classmethod
    def make(cls, sandbox: Sandbox, **changes: str) -> Any:
        facts = {"base_url": f"{sandbox.url}/{cls.base_path}", **cls.facts, **changes}
        return cls.connector(cls.connector.Settings.model_validate(facts))
