"""Salesforce: whole pulls against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pull import records_at
from millstream.sources.salesforce import Salesforce, SalesforceSettings, bulk
from millstream.sources.testing import Pulled
from millstream.state.identity.resolve import resolve
from millstream.state.identity.rules import IdentityRules
from millstream.state.model.build import build_model
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.store import DuckDBStore
from tests.sources.loading import QUICK

DEALS = ("contacts", "opportunity_contact_roles", "opportunities")
JOBS = "/services/data/v66.0/jobs/query"


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    with Sandbox(people=170, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(company: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(bulk, "_FIRST_WAIT", 0.05)
    requests.post(f"{company.url}/_sandbox/reset", timeout=10).raise_for_status()
    return company


def source(sandbox: Sandbox, **settings: Any) -> Salesforce:
    app = {"client_id": "sandbox-client", "client_secret": SecretStr("sandbox-secret")}
    url = sandbox.system_url("salesforce")
    return Salesforce(SalesforceSettings(base_url=url, **{**app, **settings}))


def credentials(sandbox: Sandbox) -> dict[str, str]:
    found: dict[str, str] = requests.get(f"{sandbox.url}/_sandbox/credentials/salesforce", timeout=10).json()
    return found


def requests_of(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Method and path of the requests since the log was cleared."""
    log = requests.get(f"{sandbox.url}/_sandbox/requests?detail=1", timeout=10).json()["recent"]
    return [(entry["method"], entry["path"]) for entry in log if entry["system"] == "salesforce"]


def problems(report: Any) -> list[str]:
    return [str(error) for error in report.errors]


class TestCredentials:
    def test_an_assertion_signed_with_the_key(self, sandbox: Sandbox) -> None:
        given = credentials(sandbox)
        signed = {"username": given["username"], "private_key": SecretStr(given["private_key"]), "client_secret": None}
        # Whom the assertion is for is, here as there, the login host.
        for audience in ("https://login.salesforce.com", sandbox.system_url("salesforce")):
            results = check_source(source(sandbox, **signed, audience=audience), name="it")
            if results[0].ok:
                return
        pytest.fail(results[0].detail)

    def test_a_wrong_user_is_refused(self, sandbox: Sandbox) -> None:
        given = credentials(sandbox)
        signed = {"username": "nobody@box.example", "private_key": SecretStr(given["private_key"])}
        (result,) = check_source(source(sandbox, **signed, client_secret=None), name="it")
        assert (result.ok, result.problem) == (False, "credentials")

    def test_a_refresh_token_that_changes_is_kept(self, sandbox: Sandbox, tmp_path: Path) -> None:
        first = SecretStr(credentials(sandbox)["rotating_refresh_token"])
        for _ in range(2):
            made = source(sandbox, refresh_token=first, refresh_token_file=str(tmp_path / "token"))
            assert [result for result in check_source(made, name="it") if not result.ok] == []

    def test_a_user_who_sees_less_gets_less_and_is_told(self, sandbox: Sandbox, tmp_path: Path) -> None:
        limited = source(sandbox, client_id="sandbox-client-limited")
        report = Pulled(tmp_path).pull(limited)
        standing = {stream.stream: stream.status for stream in report.streams}
        assert {name for name, status in standing.items() if status == "skipped"} == {"leads", "tasks"}
        contacts = next(stream for stream in report.streams if stream.stream == "contacts")
        assert contacts.status == "complete"
        assert "HasOptedOutOfEmail" in contacts.warnings[0]
        checks = {result.name: result.ok for result in check_source(limited, name="it")}
        assert [name for name, ok in checks.items() if not ok] == ["it.leads", "it.tasks"]

    def test_an_organization_without_api_is_told(self, sandbox: Sandbox) -> None:
        session = SecretStr("00D5g0000000001!sandbox-no-api")
        made = source(sandbox, client_id=None, client_secret=None, access_token=session)
        (result,) = check_source(made, name="it")
        assert not result.ok
        assert "API Enabled" in str(result.remedy)


class TestFirstPulls:
    def test_bulk_jobs_bring_what_queries_bring_and_work_side_by_side(self, sandbox: Sandbox, tmp_path: Path) -> None:
        paged, exported = Pulled(tmp_path / "paged"), Pulled(tmp_path / "exported")
        some: dict[str, Any] = {"streams": DEALS}
        assert problems(paged.pull(source(sandbox, **some))) == []
        requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
        made = source(sandbox, bulk_from_rows=20, rows_a_result=50, **some)
        assert problems(exported.pull(made)) == []
        assert exported.everything(made) == paged.everything(made)
        seen = requests_of(sandbox)
        begun = [place for place, request in enumerate(seen) if request == ("POST", JOBS)]
        fetched = [place for place, (_, path) in enumerate(seen) if path.endswith("/results")]
        assert len(begun) == 3
        assert max(begun) < min(fetched)

    def test_a_pull_that_is_killed_goes_on_in_the_same_job(self, sandbox: Sandbox, tmp_path: Path) -> None:
        broken = Pulled(tmp_path)
        facts: dict[str, Any] = {"bulk_from_rows": 0, "rows_a_result": 35, "streams": ("contacts",)}

        class Killed(BaseException):
            pass

        def kill(stream: str, rows: int) -> None:
            if rows >= 70:
                raise Killed

        pull = SourcePull(source(sandbox, **facts), retries=QUICK, progress=kill)
        with pytest.raises(Killed):
            ingest(pull, broken.store, name="salesforce", pipelines=tmp_path / "dlt")
        made = source(sandbox, **facts)
        assert len(broken.rows(made, "contacts")) == 35
        report = broken.pull(made)
        assert problems(report) == []
        assert len(broken.rows(made, "contacts")) == report.rows + 35
        assert requests_of(sandbox).count(("POST", JOBS)) == 1


class TestSweeps:
    def test_what_was_deleted_for_good_is_found_after_a_long_time_unless_it_is_too_much(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pulled, gone = Pulled(tmp_path), set[str]()

        def without(body: Any, endpoint: Any) -> list[Any]:
            body["records"] = [record for record in body["records"] if record["Id"] not in gone]
            body["totalSize"] = len(body["records"])
            return records_at(body, endpoint)

        def pull(days: int) -> IngestReport:
            later = datetime.now(UTC) + timedelta(days=days)
            return pulled.pull(source(sandbox, streams=("contacts",)), pulled_at=later)

        def standing(mark: str) -> list[str]:
            with pulled.store.open() as connection:
                rows = connection.execute(f"SELECT id FROM raw_salesforce.contacts WHERE {mark} ORDER BY id").fetchall()
            return [key for (key,) in rows]

        monkeypatch.setattr("millstream.sources.salesforce.query.records_at", without)
        assert problems(pull(0)) == []
        here, before = standing("NOT deleted"), standing("gone")
        gone.update(here)
        assert "no longer to be seen" in pull(31).streams[0].warnings[0]
        assert standing("NOT deleted") == here
        gone.difference_update(here[2:])
        assert problems(pull(62)) == []
        assert standing("gone") == sorted([*here[:2], *before])
        assert standing("NOT deleted") == here[2:]


@dataclass
class History:
    """A first pull, a change of life, a second pull; and a first pull after the change."""

    first: IngestReport
    second: IngestReport
    pulled: Pulled
    anew: Pulled
    profiles: dict[tuple[str, str], str]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        with self.pulled.store.open() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def history(company: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> History:
    requests.post(f"{company.url}/_sandbox/reset", timeout=10).raise_for_status()
    folder = tmp_path_factory.mktemp("salesforce")
    pulled, anew = Pulled(folder / "pulled"), Pulled(folder / "anew")
    # Numbers join nobody here, so that they cannot hide a link between records that is missing.
    facts: dict[str, Any] = {"business_phones": "kept_only", "streams": (*DEALS, "leads", "campaign_members", "tasks")}
    made = source(company, **facts)
    first = pulled.pull(made)
    change = {"share": 0.5, "seed": 4}
    requests.post(f"{company.url}/_sandbox/advance", json=change, timeout=10).raise_for_status()
    second = pulled.pull(source(company, **facts))
    anew.pull(source(company, streams=DEALS))
    return History(first, second, pulled, anew, _resolved(pulled.store, made))


def _resolved(store: DuckDBStore, made: Salesforce) -> dict[tuple[str, str], str]:
    """Profiles by stream and record, of the people whom a pull brought."""
    rules, now = IdentityRules(), datetime.now(UTC)
    with store.open() as connection:
        build_model(connection, "salesforce", made.selected_streams(), plan=TrackingPlan(), rules=rules, now=now)
        resolve(connection, rules, run_id="run", now=now)
        rows = connection.execute(
            "SELECT r.stream, r.source_key, p.profile_id FROM customers.records r JOIN customers.members p "
            "ON p.record_id = r.record_id"
        ).fetchall()
    return {(stream, key): profile for stream, key, profile in rows}


class TestLaterPulls:
    def test_what_changed_arrives_and_little_else_is_read(self, history: History, company: Sandbox) -> None:
        assert problems(history.second) == []
        assert 0 < history.second.rows < history.first.rows
        made = source(company, streams=DEALS)
        for stream in made.selected_streams():
            # What is in the recycle bin does not change any more, but for the sandbox's people it does.
            place = [column.name for column in stream.columns].index("deleted")
            before, after = (
                [row for row in one.rows(made, stream.name) if not row[place]] for one in (history.pulled, history.anew)
            )
            assert before == after

    def test_deleted_contacts_are_told_from_merged_ones(self, history: History) -> None:
        [(gone, merged)] = history.ask(
            "SELECT count(*) FILTER (gone), count(*) FILTER (deleted AND NOT gone) FROM raw_salesforce.contacts"
        )
        assert min(gone, merged) > 0

    def test_a_merged_contact_is_the_one_that_stayed(self, history: History) -> None:
        pairs = history.ask("SELECT id, master_id FROM raw_salesforce.contacts WHERE master_id IS NOT NULL")
        known = [(loser, winner) for loser, winner in pairs if ("contacts", winner) in history.profiles]
        assert known
        for loser, winner in known:
            assert history.profiles["contacts", loser] == history.profiles["contacts", winner]

    def test_a_converted_lead_is_the_contact_that_it_became(self, history: History) -> None:
        pairs = history.ask(
            "SELECT l.id, l.converted_contact_id FROM raw_salesforce.leads l JOIN raw_salesforce.contacts c "
            "ON c.id = l.converted_contact_id WHERE NOT l.gone AND NOT c.gone"
        )
        assert pairs
        for lead, contact in pairs:
            assert history.profiles["leads", lead] == history.profiles["contacts", contact]

    def test_opt_outs_deals_and_doings_arrive(self, history: History) -> None:
        consents = dict(history.ask("SELECT channel, count(*) FROM customers.consents GROUP BY 1"))
        assert consents["email"] > 0
        names = {name for (name,) in history.ask("SELECT DISTINCT name FROM customers.events")}
        assert names >= {"Deal Created", "Deal Won", "Deal Lost", "Campaign Joined", "Campaign Responded"}
        assert names >= {"Call Logged", "Email Logged", "Lead Converted"}
