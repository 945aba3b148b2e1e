"""Every source that is registered keeps the source contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from millstream.sandbox import Sandbox
from millstream.sources.files import Files, FilesSettings
from millstream.sources.ga4 import GoogleAnalytics4
from millstream.sources.hubspot import HubSpot
from millstream.sources.registry import SOURCES
from millstream.sources.sql import Sql, SqlSettings
from millstream.sources.surveymonkey import SurveyMonkey
from millstream.sources.testing import SandboxStandIn, SourceContract, TableSourceContract
from millstream.sources.testing.suite import MakeSource
from millstream.sources.typeform import Typeform
from millstream.sources.zendesk import Zendesk

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
    facts: ClassVar = {"email": "robin@support.shop.example.com", "api_token": "sandbox-zendesk"}
    wrong_credential: ClassVar = {"api_token": "wrong-api-token"}
    odd_field = ("tickets", "generated_timestamp")


class TestTypeform(SandboxContract):
    connector = Typeform
    base_path = "typeform"
    facts: ClassVar = {"access_token": "tfp_sandbox", "requests_per_second": "100"}
    wrong_credential: ClassVar = {"access_token": "wrong-access-token"}
    odd_field = ("responses", "submitted_at")


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
                "Id,E-Mail\n" + "".join(f"{key},p{key}@example.com\n" for key in keys)
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
            SELECT id, 'p' || id || '@example.com', datetime('2026-01-01', '+' || id || ' seconds') || '.000000'
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


def test_every_registered_source_is_here() -> None:
    tests = (TestHubSpot, TestGoogleAnalytics4, TestSurveyMonkey, TestTypeform, TestZendesk)
    found = {test.connector.name for test in tests}
    assert found | {Files.name, Sql.name} == set(SOURCES.names())
