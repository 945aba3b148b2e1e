"""Every source that is registered keeps the source contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from millstream.sandbox import Sandbox
from millstream.sources.ga4 import GoogleAnalytics4
from millstream.sources.hubspot import HubSpot
from millstream.sources.registry import SOURCES
from millstream.sources.surveymonkey import SurveyMonkey
from millstream.sources.testing import SandboxStandIn, SourceContract
from millstream.sources.testing.suite import MakeSource

OAUTH = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=120, limits=False) as sandbox:
        yield sandbox


class SandboxContract(SourceContract):
    """The contract against the sandbox."""

    connector: ClassVar[type[Any]]
    base_path: ClassVar[str]
    facts: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def make(self, sandbox: Sandbox) -> MakeSource:
        def make(**changes: Any) -> Any:
            url = f"{sandbox.url}/{self.base_path}"
            facts = {name: value.format(url=sandbox.url) for name, value in self.facts.items()}
            return self.connector(self.connector.Settings(**{"base_url": url, **facts, **changes}))

        return make

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> SandboxStandIn:
        return SandboxStandIn(sandbox.url, self.connector.name)


class TestHubSpot(SandboxContract):
    connector = HubSpot
    base_path = "hubspot"
    facts: ClassVar = OAUTH
    wrong_credential: ClassVar = {"access_token": "pat-wrong", **dict.fromkeys(OAUTH)}
    renews_tokens = True
    odd_field = ("contacts", "lastmodifieddate")


class TestGoogleAnalytics4(SandboxContract):
    connector = GoogleAnalytics4
    base_path = "ga4"
    facts: ClassVar = {**OAUTH, "property_id": "350000001", "token_url": "{url}/ga4/token"}
    wrong_credential: ClassVar = {"refresh_token": "wrong-refresh-token"}
    renews_tokens = True
    stumbles_every = 12


class TestSurveyMonkey(SandboxContract):
    connector = SurveyMonkey
    base_path = "surveymonkey/v3"
    facts: ClassVar = {"access_token": "sandbox-surveymonkey"}
    wrong_credential: ClassVar = {"access_token": "wrong-access-token"}
    odd_field = ("responses", "date_modified")


def test_every_registered_source_is_here() -> None:
    found = {test.connector.name for test in (TestHubSpot, TestGoogleAnalytics4, TestSurveyMonkey)}
    assert found == set(SOURCES.names())
