"""Every source that is registered keeps the source contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sources.adobe_analytics import AdobeAnalytics
from millstream.sources.files import Files, FilesSettings
from millstream.sources.ga4 import GoogleAnalytics4
from millstream.sources.hubspot import HubSpot
from millstream.sources.intercom import Intercom
from millstream.sources.mailchimp import Mailchimp
from millstream.sources.mixpanel import Mixpanel
from millstream.sources.qualtrics import Qualtrics
from millstream.sources.receiving import spool
from millstream.sources.registry import SOURCES
from millstream.sources.salesforce import Salesforce
from millstream.sources.segment import Segment, SegmentSettings
from millstream.sources.shift4shop import Shift4Shop
from millstream.sources.sql import Sql, SqlSettings
from millstream.sources.surveymonkey import SurveyMonkey
from millstream.sources.testing import SandboxStandIn, SourceContract, TableSourceContract
from millstream.sources.testing.suite import MakeSource
from millstream.sources.typeform import Typeform
from millstream.sources.zendesk import Zendesk
from millstream.sources.zoho_crm import ZohoCrm

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


class TestZendesk(SandboxContract):
    connector = Zendesk
    base_path = "zendesk"
    facts: ClassVar = {"email": "robin@support.shop.box.example", "api_token": "sandbox-zendesk"}
    wrong_credential: ClassVar = {"api_token": "wrong-api-token"}
    odd_field = ("tickets", "generated_timestamp")


class TestTypeform(SandboxContract):
    connector = Typeform
    base_path = "typeform"
    facts: ClassVar = {"access_token": "tfp_sandbox", "requests_per_second": "100"}
    wrong_credential: ClassVar = {"access_token": "wrong-access-token"}
    odd_field = ("responses", "submitted_at")


class TestAdobeAnalytics(SandboxContract):
    connector = AdobeAnalytics
    base_path = "adobe_analytics"
    facts: ClassVar = {
        "token_url": "{url}/adobe_analytics/ims/token/v3",
        "client_id": "sandbox-adobe",
        "client_secret": "p8e-sandbox-adobe",
        "rsid": "sandboxshop",
        "first_days": "21",
        "requests_per_minute": "60000",
        "requests_at_once": "2",
    }
    wrong_credential: ClassVar = {"client_secret": "wrong-client-secret"}
    renews_tokens = True
    odd_field = ("pages", "itemId")
    stumbles_every = 7


class TestIntercom(SandboxContract):
    connector = Intercom
    base_path = "intercom"
    facts: ClassVar = {"access_token": "sandbox-intercom", "requests_per_minute": "60000", "requests_at_once": "2"}
    wrong_credential: ClassVar = {"access_token": "wrong-access-token"}
    odd_field = ("contacts", "updated_at")
    stumbles_every = 7

    @pytest.fixture(autouse=True)
    def end_scrolls(self, sandbox: Sandbox) -> None:
        """A scroll that a test broke off keeps the next one out for a minute."""
        requests.post(f"{sandbox.url}/_sandbox/reset", timeout=10)


class TestMailchimp(SandboxContract):
    connector = Mailchimp
    base_path = "mailchimp/3.0"
    facts: ClassVar = {"api_key": "sandbox-mailchimp-us1"}
    wrong_credential: ClassVar = {"api_key": "wrong-api-key-us1"}
    odd_field = ("members", "last_changed")
    stumbles_every = 12


class TestMixpanel(SandboxContract):
    connector = Mixpanel
    base_path = "mixpanel"
    facts: ClassVar = {
        "project_id": "2195193",
        "username": "millstream.sandbox.mp-service-account",
        "secret": "sandbox-mixpanel",
        "requests_per_second": "1000",
        "days_a_request": "10",
    }
    wrong_credential: ClassVar = {"secret": "wrong-secret"}
    odd_field = ("profiles", "$distinct_id")


class TestZohoCrm(SandboxContract):
    connector = ZohoCrm
    base_path = "zoho_crm"
    facts: ClassVar = {**OAUTH, "token_url": "{url}/zoho_crm/oauth/v2/token", "poll_seconds": "0.1"}
    wrong_credential: ClassVar = {"refresh_token": "wrong-refresh-token"}
    renews_tokens = True
    odd_field = ("contacts", "more_records")


class TestSalesforce(SandboxContract):
    connector = Salesforce
    base_path = "salesforce"
    facts: ClassVar = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    wrong_credential: ClassVar = {"client_secret": "wrong-client-secret"}
    renews_tokens = True
    odd_field = ("tasks", "Subject")


class TestShift4Shop(SandboxContract):
    connector = Shift4Shop
    base_path = "shift4shop/3dCartWebAPI/v1"
    facts: ClassVar = {
        "secure_url": "https://sandbox.3dcartstores.com",
        "private_key": "sandbox-shift4shop-key",
        "token": "sandbox-shift4shop-token",
        "requests_per_second": "1000",
    }
    wrong_credential: ClassVar = {"token": "wrong-store-token"}
    odd_field = ("orders", "OrderDate")


class TestQualtrics(SandboxContract):
    connector = Qualtrics
    base_path = "qualtrics"
    facts: ClassVar = {"api_token": "sandbox-qualtrics", "poll_seconds": "0.25", "exports_per_minute": "10000"}
    wrong_credential: ClassVar = {"api_token": "wrong-api-token"}
    odd_field = ("contacts", "contactId")


class Folder:
    """CSV files of some rows each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir()
        self.add(1, 20)

    def add(self, first: int, rows: int) -> None:
        for start in range(first, first + rows, 50):
            keys = range(start, min(start + 50, first + rows))
            (self._path / f"people_{start}.csv").write_text(
                "Id,E-Mail\n" + "".join(f"{key},p{key}@box.example\n" for key in keys)
            )

    def remove(self, key: int) -> None:
        for file in self._path.glob("*.csv"):
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(line for line in lines if not line.startswith(f"{key},")))

    def hide(self) -> None:
        self._path.rename(self._path.with_name("elsewhere"))


class TestFiles(TableSourceContract):
    stream = "people"

    @pytest.fixture(autouse=True)
    def stand_in(self, tmp_path: Path) -> Folder:
        return Folder(tmp_path / "exports")

    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeSource:
        people = {"identifiers": {"E-Mail": "email"}}
        stream = {"files": "*.csv", "primary_key": ["id"], "columns": {"id": "bigint"}, "replace": "file"}

        def make(**changes: Any) -> Files:
            facts = {"url": str(tmp_path / "exports"), "settle_seconds": 0, **changes}
            return Files(FilesSettings(**facts, streams={"people": {**stream, "people": people}}))

        return make


class Table:
    """A table in SQLite, whose rows say when they changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, changed_at DATETIME)")
        self.add(1, 20)

    def _run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def add(self, first: int, rows: int) -> None:
        self._run(
            f"""
            INSERT INTO people
            WITH RECURSIVE key(id) AS (SELECT {first} UNION ALL SELECT id + 1 FROM key WHERE id < {first + rows - 1})
            SELECT id, 'p' || id || '@box.example', datetime('2026-01-01', '+' || id || ' seconds') || '.000000'
            FROM key
            """
        )

    def remove(self, key: int) -> None:
        self._run(f"DELETE FROM people WHERE id = {key}")

    def hide(self) -> None:
        self._run("ALTER TABLE people RENAME TO elsewhere")


class TestSql(TableSourceContract):
    stream = "people"
    rereads = 2

    @pytest.fixture(autouse=True)
    def stand_in(self, tmp_path: Path) -> Table:
        return Table(tmp_path / "shop.db")

    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeSource:
        stream = {
            "table": "people",
            "primary_key": ["id"],
            "cursor": "changed_at",
            "lookback_minutes": 0,
            "compare_keys": True,
            "people": {"identifiers": {"email": "email"}, "observed_at": "changed_at"},
        }

        def make(**changes: Any) -> Sql:
            facts = {"url": f"sqlite:///{tmp_path}/shop.db", "chunk_rows": 50, **changes}
            return Sql(SqlSettings(**facts, streams={"people": stream}))

        return make


class Received:
    """Messages that were received, some a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir()
        self.add(1, 20)

    def add(self, first: int, rows: int) -> None:
        for start in range(first, first + rows, 50):
            keys = range(start, min(start + 50, first + rows))
            messages = ({"type": "track", "messageId": str(key), "userId": str(key), "event": "E"} for key in keys)
            records = ({"received_at": "2026-01-01T00:00:00+00:00", "message": message} for message in messages)
            file = self._path / f"{start}{spool.SUFFIX}"
            file.write_bytes(b"".join(spool.line("track", record) for record in records))

    def remove(self, key: int) -> None:
        """What was received stays."""

    def hide(self) -> None:
        self._path.rename(self._path.with_name("elsewhere"))


class TestSegment(TableSourceContract):
    stream = "tracks"
    marks_deleted = False

    @pytest.fixture(autouse=True)
    def stand_in(self, tmp_path: Path) -> Received:
        return Received(tmp_path / "spool")

    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeSource:
        def make(**changes: Any) -> Segment:
            facts = {"write_keys": {"web": "wk"}, "chunk_rows": 50, "keep_loaded_hours": 1_000_000, **changes}
            return Segment(SegmentSettings(spool=str(tmp_path / "spool"), **facts))

        return make


def test_every_registered_source_is_here() -> None:
    tests = (
        TestAdobeAnalytics,
        TestGoogleAnalytics4,
        TestHubSpot,
        TestIntercom,
        TestMailchimp,
        TestMixpanel,
        TestQualtrics,
        TestSalesforce,
        TestShift4Shop,
        TestSurveyMonkey,
        TestTypeform,
        TestZendesk,
        TestZohoCrm,
    )
    found = {test.connector.name for test in tests}
    assert found | {Files.name, Segment.name, Sql.name} == set(SOURCES.names())
