"""The contract of a destination against the sandbox."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from millstream.destinations.testing import DestinationContract, SandboxStandIn
from millstream.sandbox import Sandbox
from millstream.sandbox.activecampaign.account import ActiveCampaign as ActiveCampaignAccount
from millstream.sandbox.braze.workspace import Braze as BrazeWorkspace
from millstream.sandbox.clevertap.project import CleverTap as CleverTapProject
from millstream.sandbox.klaviyo.account import Klaviyo as KlaviyoAccount
from millstream.sandbox.mailchimp.account import Mailchimp as MailchimpAccount
from millstream.sandbox.marketo.instance import Marketo as MarketoInstance
from millstream.sandbox.salesforce.org import Salesforce as SalesforceOrganization
from millstream.sandbox.segment import Segment as SegmentSpace

_JOB_SECONDS = 0.05


def quick_jobs(sandbox: Sandbox) -> None:
    """Have the vendors end their jobs soon."""
    activecampaign = sandbox.systems["activecampaign"]
    assert isinstance(activecampaign, ActiveCampaignAccount)
    activecampaign.imports.seconds = _JOB_SECONDS
    braze = sandbox.systems["braze"]
    assert isinstance(braze, BrazeWorkspace)
    braze.queue.seconds = 0.0
    mailchimp = sandbox.systems["mailchimp"]
    assert isinstance(mailchimp, MailchimpAccount)
    mailchimp.batches.seconds = _JOB_SECONDS
    marketo = sandbox.systems["marketo"]
    assert isinstance(marketo, MarketoInstance)
    marketo.imports.seconds = _JOB_SECONDS
    salesforce = sandbox.systems["salesforce"]
    assert isinstance(salesforce, SalesforceOrganization)
    salesforce.ingest.seconds = _JOB_SECONDS
    segment = sandbox.systems["segment"]
    assert isinstance(segment, SegmentSpace)
    segment.regulations.seconds = 0.0
    klaviyo = sandbox.systems["klaviyo"]
    assert isinstance(klaviyo, KlaviyoAccount)
    klaviyo.later.seconds = 0.0
    clevertap = sandbox.systems["clevertap"]
    assert isinstance(clevertap, CleverTapProject)
    clevertap.later.seconds = 0.0


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

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> SandboxStandIn:
        return self.stand_in_of(sandbox)

    @classmethod
    def stand_in_of(cls, sandbox: Sandbox) -> SandboxStandIn:
        """The control of the vendor's stand-in."""
        raise NotImplementedError

    @classmethod
    def make(cls, sandbox: Sandbox, **changes: str) -> Any:
        facts = {"base_url": f"{sandbox.url}/{cls.base_path}", **cls.facts, **changes}
        return cls.connector(cls.connector.Settings.model_validate(facts))
