"""Alerts as runs and the clock give rise to them, told to a real receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from millstream.destinations.planning import PlanReport
from millstream.destinations.reconciling import DriftReport
from millstream.destinations.sync_report import SyncReport
from millstream.flows.alerting import after_run, watch
from millstream.flows.alerting.clock import last_due, missing_runs, stale_syncs
from millstream.flows.project import load_project
from millstream.flows.project.models import Schedule
from millstream.flows.steps import PipelineReport, Workspace, recorded_run
from millstream.flows.steps.reconciling import ReconcileReport
from millstream.sandbox import Sandbox
from millstream.sources.ingest import IngestReport
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    GuardError,
    InterruptedRunError,
    MillstreamError,
    RefusedError,
    UnavailableError,
)
from millstream.state.ledger.alerts import firing, note
from tests.flows.calling import call
from tests.receivers import Hooks, web_server

PROJECT = """
name: shop
connections:
  mail: {{system: mailchimp, base_url: "http://127.0.0.1:9/3.0", api_key: {{env: NO_KEY}}}}
sources:
  campaigns: {{connection: mail}}
destinations:
  mailchimp: {{connection: mail, list_id: a}}
syncs:
  letters: {{destination: mailchimp, table: crm.wanted, into: Letters, consent: not_needed}}
  offers: {{destination: mailchimp, table: crm.wanted, into: Offers, consent: not_needed}}
schedules:
  hourly: {{flow: pipeline, cron: "0 * * * *"}}
  offers_daily: {{flow: activate, cron: "0 9 * * *", timezone: Europe/Berlin, parameters: {{sync: offers}}}}
alerts:
  owner: data team
  stale_after: 3h
  channels:
    hook: {{kind: webhook, url: "{url}", secret: {{env: ALERTS_SECRET}}}}
  syncs:
    offers: {{owner: Ann's team, stale_after: 2d, rejected_share: 0.5}}
"""
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with web_server() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("ALERTS_SECRET", "for the signature")
    (tmp_path / "millstream.yaml").write_text(PROJECT.format(url=hooks.url))
    workspace = Workspace.open(load_project(tmp_path))
    yield workspace
    workspace.journal.close()


def sent(sync: str = "letters", *, error: MillstreamError | None = None, **facts: Any) -> SyncReport:
    given = {"status": "stopped" if error else "completed", "requests": 3, "accepted": 5, "planned": PlanReport(sync)}
    return SyncReport(sync, error=error, **{**given, **facts})


def ends(shop: Workspace, *activated: SyncReport, error: Exception | None = None, **facts: Any) -> None:
    """A run of the pipeline comes to its end."""
    after_run(shop, "pipeline", "run", PipelineReport("run", activated=list(activated), **facts), error)


def names(shop: Workspace) -> list[str]:
    return [one.name for one in firing(shop.journal)]


def told(hooks: Hooks) -> list[str]:
    titles = [str(one.json()["data"]["title"]) for one in hooks.posted]
    hooks.posted.clear()
    return titles


class TestRuns:
    def test_a_failed_sync_is_told_once_and_so_is_its_recovery(self, shop: Workspace, hooks: Hooks) -> None:
        ends(shop, sent())
        ends(shop, sent(error=InterruptedRunError("The run was asked to stop.")))
        assert told(hooks) == []
        for _ in range(2):
            ends(shop, sent(error=UnavailableError("The vendor cannot answer now.")))
        assert told(hooks) == ["sync letters failed"]
        ends(shop, sent(status="waiting"))
        ends(shop, sent(error=InterruptedRunError("The run was asked to stop.")))
        ends(shop, sent(status="skipped"))
        assert (names(shop), told(hooks)) == (["sync letters failed"], [])
        ends(shop, sent(status="partial"))
        assert (names(shop), told(hooks)) == ([], ["sync letters works again"])

    def test_a_refused_credential_is_one_alert_for_all_who_use_it(self, shop: Workspace, hooks: Hooks) -> None:
        refusal = AuthenticationError("The vendor does not accept the key.", remedy="replace the secret.")
        ends(shop, sent(error=refusal), sent("offers", error=refusal), ingested=[IngestReport("campaigns", [])])
        assert names(shop) == ["connection mail credentials"]
        assert told(hooks) == ["connection mail is not accepted by the vendor"]
        ends(shop, sent(requests=0, accepted=0))
        assert names(shop) == ["connection mail credentials"], "a sync that asked nothing says nothing"
        ends(shop, sent())
        assert told(hooks) == ["connection mail is accepted again"]

    def test_guards_are_told_apart(self, shop: Workspace, hooks: Hooks) -> None:
        for guard, reason in (("removals", "40 of 50 people would be taken out."), ("size", "90, usual are 20.")):
            planned = PlanReport("letters", tripped={guard: reason}, guards=[reason])
            ends(shop, sent(error=GuardError(reason), planned=planned, accepted=0))
        assert names(shop) == ["sync letters guard size"]
        texts = [(one.json()["type"].split(".")[-1], one.json()["data"]["what"]) for one in hooks.posted]
        assert texts == [
            ("firing", "40 of 50 people would be taken out. Nothing was sent."),
            ("recovered", "It was not stopped by it."),
            ("firing", "90, usual are 20. Nothing was sent."),
        ]
        ends(shop, sent())
        assert names(shop) == []

    def test_refused_rows_above_a_share_are_told(self, shop: Workspace, hooks: Hooks) -> None:
        few: dict[str, Any] = {"status": "partial", "codes": {"bad": 9}}
        ends(shop, sent(accepted=1, rejected=9, **few))
        assert names(shop) == [], "so few that their share means nothing"
        ends(shop, sent(accepted=80, rejected=20, **few), sent("offers", accepted=80, rejected=20, **few))
        assert names(shop) == ["sync letters rejected"], "each sync has a threshold of its own"
        assert hooks.posted[0].json()["data"]["what"].startswith("20 of 100 rows were refused (9 bad).")
        ends(shop, sent(accepted=0, planned=PlanReport("letters", waiting=20)))
        assert names(shop) == ["sync letters rejected"], "they still wait"
        ends(shop, sent(accepted=20))
        assert names(shop) == []

    def test_a_source_and_a_run_that_fail_are_told(self, shop: Workspace, hooks: Hooks) -> None:
        broken = IngestReport("campaigns", [], error=UnavailableError("No answer."))
        ends(shop, ingested=[broken], error=ConfigurationError("Column 'x' is not there."))
        assert names(shop) == ["run pipeline failed", "source campaigns failed"]
        ends(shop, ingested=[IngestReport("campaigns", [])], raised=["select: no such table"])
        assert names(shop) == ["run pipeline failed"]
        ends(shop)
        assert names(shop) == []

    def test_drift_is_told(self, shop: Workspace, hooks: Hooks) -> None:
        for status in ("drifted", "skipped", "repaired"):
            report = ReconcileReport("run", [DriftReport("letters", "mailchimp", status=status, missing=3)])
            after_run(shop, "reconcile", "run", report, None)
        assert told(hooks) == [
            "sync letters is not as acknowledged at its destination",
            "sync letters is as acknowledged again",
        ]

    def test_a_destination_that_cannot_be_read_is_told(self, shop: Workspace) -> None:
        for error, wrong in (
            (UnavailableError("No answer."), ["run reconcile failed"]),
            (AuthenticationError("The key is not accepted."), ["connection mail credentials", "run reconcile failed"]),
            (None, []),
        ):
            status = "stopped" if error else "in_step"
            found = DriftReport("letters", "mailchimp", status=status, error=error, requests=3)
            after_run(shop, "reconcile", "run", ReconcileReport("run", [found]), None)
            assert sorted(names(shop)) == wrong

    def test_a_vendors_words_about_a_row_stay_here(self, shop: Workspace, hooks: Hooks) -> None:
        ends(shop, sent(error=RefusedError("Ann Smith is no valid name", status=400)))
        ends(shop, error=ValueError("Ann Smith"))
        assert len(hooks.posted) == 2
        assert not any(b"Smith" in one.body for one in hooks.posted)

    def test_a_channel_that_fails_fails_no_run_and_is_tried_by_the_next(
        self, shop: Workspace, hooks: Hooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("ALERTS_SECRET")
        report = PipelineReport("run-1", activated=[sent(error=UnavailableError("No answer."))])
        with recorded_run(shop, "run-1", "activate", report, about=["letters"]):
            pass
        assert shop.journal.last_runs(1)[0]["status"] == "failed"
        assert "ALERTS_SECRET" in caplog.text
        monkeypatch.setenv("ALERTS_SECRET", "for the signature")
        ends(shop)
        assert told(hooks) == ["sync letters failed"]


class TestClock:
    def run(self, shop: Workspace, kind: str, at: datetime, *, about: list[str] | None = None, ok: bool = True) -> None:
        """A run that took a minute."""
        from millstream.state.ledger.tables import runs

        status = "completed" if ok else "stopped"
        summary = {"activated": [{"sync": name, "status": status} for name in about or ("letters", "offers")]}
        facts = {"run_id": f"{kind}-{at}", "kind": kind, "status": "completed", "summary": summary, "about": about}
        with shop.journal.writing() as connection:
            connection.execute(runs.insert().values(started_at=at, finished_at=at + timedelta(minutes=1), **facts))

    def stale(self, shop: Workspace, at: datetime) -> list[str]:
        assert shop.project.alerts
        found = stale_syncs(shop.project, shop.journal, shop.project.alerts, now=at)
        return [one.what for one in found if one.firing]

    def missing(self, shop: Workspace, at: datetime) -> list[str]:
        assert shop.project.alerts
        found = missing_runs(shop.project, shop.journal, shop.project.alerts, now=at)
        return [one.subject for one in found if one.firing]

    def test_a_sync_that_is_not_completed_in_time_is_stale(self, shop: Workspace) -> None:
        self.run(shop, "pipeline", NOON)
        assert self.stale(shop, NOON + 3 * HOUR) == []
        self.run(shop, "activate", NOON + 2 * HOUR, about=["letters"], ok=False)
        (what,) = self.stale(shop, NOON + 4 * HOUR)
        assert what == "It was last completed at 2026-03-02 12:01 UTC; 3 hours are allowed."
        self.run(shop, "activate", NOON + 3 * HOUR, about=["letters"])
        assert self.stale(shop, NOON + 4 * HOUR) == []
        assert len(self.stale(shop, NOON + 50 * HOUR)) == 2

    def test_one_that_was_never_completed_is_stale_from_when_it_was_first_seen(self, shop: Workspace) -> None:
        assert self.stale(shop, NOON) == []
        assert self.stale(shop, NOON + 2 * HOUR) == []
        for hours in (4, 5):
            assert self.stale(shop, NOON + hours * HOUR) == ["It was never completed; 3 hours are allowed."]
            assert shop.project.alerts
            found = stale_syncs(shop.project, shop.journal, shop.project.alerts, now=NOON + hours * HOUR)
            note(shop.journal, found, now=NOON + hours * HOUR)
        assert [one.since for one in firing(shop.journal)] == [NOON + 4 * HOUR]

    def test_a_schedule_whose_run_never_began_is_missed(self, shop: Workspace) -> None:
        first = datetime(2026, 3, 2, 7, 30, tzinfo=UTC)
        assert self.missing(shop, first) == [], "what was due before it was seen is nobody's fault"
        assert self.missing(shop, first + timedelta(minutes=40)) == [], "a run may be late"
        assert self.missing(shop, first + timedelta(minutes=46)) == ["schedule hourly", "schedule offers_daily"]
        self.run(shop, "pipeline", first + timedelta(minutes=35))
        self.run(shop, "activate", first + timedelta(minutes=35), about=["letters"])
        assert self.missing(shop, first + timedelta(minutes=46)) == ["schedule offers_daily"]
        self.run(shop, "activate", first + timedelta(minutes=36), about=["offers"])
        assert self.missing(shop, first + timedelta(minutes=46)) == []

    def test_a_run_that_was_still_on_when_the_next_was_due_is_no_miss(self, shop: Workspace) -> None:
        self.missing(shop, NOON - 6 * HOUR)
        self.run(shop, "activate", NOON - HOUR, about=["offers"])
        shop.journal.start_run("long", "pipeline")
        assert "schedule hourly" not in self.missing(shop, NOON)

    def test_schedules_are_in_their_own_time_zone(self) -> None:
        nine = Schedule(flow="activate", cron="0 9 * * *", timezone="Europe/Berlin", parameters={"sync": "offers"})
        summer = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)
        assert last_due(nine, before=NOON) == datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        assert last_due(nine, before=summer) == datetime(2026, 7, 1, 7, 0, tzinfo=UTC)

    def test_watching_closes_what_the_project_no_longer_has(
        self, shop: Workspace, hooks: Hooks, tmp_path: Path
    ) -> None:
        ends(shop, sent("offers", error=UnavailableError("No answer.")))
        lines = (tmp_path / "millstream.yaml").read_text().partition("  syncs:\n    offers")[0].splitlines()
        (tmp_path / "millstream.yaml").write_text("\n".join(line for line in lines if "offers" not in line))
        changed = Workspace.open(load_project(tmp_path))
        report = watch(changed, run_id="run")
        changed.journal.close()
        assert (report.firing, report.told) == ((), 1)
        assert told(hooks) == ["sync offers failed", "sync offers works again"]


class TestCommand:
    def call(self, folder: Path, *arguments: str, ok: bool = True) -> Any:
        result = call("watch", *arguments, "-p", str(folder), "--json")
        assert (result.exit_code == 0) is ok, result.output
        return json.loads(result.stdout)

    def test_it_lists_what_is_wrong(self, shop: Workspace, hooks: Hooks, tmp_path: Path) -> None:
        assert self.call(tmp_path) == {"ok": True, "firing": [], "told": 0, "failures": []}
        hooks.answers = [400]
        ends(shop, sent("offers", error=UnavailableError("No answer.")))
        report = self.call(tmp_path, ok=False)
        (alert,) = report["firing"]
        assert (alert["name"], alert["owner"]) == ("sync offers failed", "Ann's team")
        assert (report["told"], len(hooks.posted)) == (1, 2)
        hooks.answers = [400]
        ends(shop, sent("offers"))
        result = call("watch", "-p", str(tmp_path))
        assert (result.exit_code, "Nothing." in result.output) == (0, True)

    def test_channels_can_be_tried(self, shop: Workspace, hooks: Hooks, tmp_path: Path) -> None:
        assert self.call(tmp_path, "--test") == {"ok": True, "channels": {"hook": None}}
        assert told(hooks) == ["channel is tried out"]
        hooks.answers = [404]
        assert "did not take the message" in self.call(tmp_path, "--test", ok=False)["channels"]["hook"]


def test_a_wrong_key_is_told_by_the_run_that_met_it(
    tmp_path: Path, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def activate(key: str) -> None:
        monkeypatch.setenv("NO_KEY", key)
        call("activate", "letters", "-p", str(tmp_path))

    monkeypatch.setenv("ALERTS_SECRET", "for the signature")
    with Sandbox(people=20, limits=False) as sandbox:
        text = PROJECT.format(url=hooks.url).replace("http://127.0.0.1:9/3.0", f"{sandbox.url}/mailchimp/3.0")
        (tmp_path / "millstream.yaml").write_text(text.replace("list_id: a}", "list_id: a1b2c3d4e5}"))
        workspace = Workspace.open(load_project(tmp_path))
        with workspace.store.open() as connection:
            connection.execute("CREATE SCHEMA crm; CREATE TABLE crm.wanted AS SELECT 'told@box.example' AS email")
        workspace.journal.close()
        activate("wrong-key-us1")
        assert told(hooks) == ["connection mail is not accepted by the vendor"]
        activate("sandbox-mailchimp-us1")
        assert told(hooks) == ["connection mail is accepted again"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("stale_after: 26 hours", "write 90m, 26h or 2d"),
        ("channels: {ops: {kind: slack, url: 'https://hooks.slack.com/services/SECRET'}}", "a secret does not stand"),
        ("channels: {ops: {kind: pager}}", "Allowed: webhook, slack, email"),
        ("syncs: {lettres: {owner: Ann}}", "did you mean 'letters'"),
        (
            "channels: {m: {kind: email, host: h, security: none, user: u, password: {env: P}, sender: a@b, to: [c]}}",
            "not sent in clear",
        ),
    ],
)
def test_mistakes_in_the_section_are_said(tmp_path: Path, line: str, problem: str) -> None:
    text = PROJECT.format(url="https://example.com").partition("alerts:")[0]
    (tmp_path / "millstream.yaml").write_text(f"{text}alerts:\n  {line}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_project(tmp_path)
    assert problem in str(caught.value)
    assert "SECRET" not in str(caught.value)
