"""`millstream audit`: what it shows, what a project file says of quality, and the alerts that follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from millstream.flows import steps
from millstream.flows.alerting import after_run
from millstream.flows.alerting.watching import watch
from millstream.flows.project import ProjectError, load_project
from millstream.flows.steps import PipelineReport, Workspace
from millstream.flows.steps.auditing import audit
from millstream.flows.steps.pipeline import attempted
from millstream.state.ledger.alerts import firing
from millstream.state.store import Store
from tests.days import today
from tests.engines import DuckDBEngine
from tests.flows.calling import call
from tests.flows.conftest import Write, own_store
from tests.state.measured_world import Event, World

PEOPLE = [f"p{number:02}" for number in range(10)]
PROJECT = """
connections:
  mail: {system: mailchimp, base_url: "http://127.0.0.1:9/3.0", api_key: {env: NO_KEY}}
sources:
  app: {connection: mail}
alerts: {owner: data team}
quality:
  thresholds:
    addresses: {dimension: completeness, source: people, subject: email, at_least: 0.9, owner: crm team}
    plan: {dimension: conformance, source: app, at_least: 0}
"""


@pytest.fixture
def noon() -> datetime:
    """Of this day."""
    return datetime.combine(today(), time(12), UTC)


@pytest.fixture
def store(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Iterator[Store]:
    """People without addresses who view pages every day, up to yesterday, when only one did."""
    write(PROJECT)
    with own_store(DuckDBEngine(), tmp_path, monkeypatch) as made:
        with made.transaction() as connection:
            world = World(connection)
            world.people(dict.fromkeys(PEOPLE, noon - timedelta(days=50)))
            viewed = [
                Event(who, "Page Viewed", noon - timedelta(days=days, minutes=minute))
                for days in range(2, 50)
                for who in PEOPLE
                for minute in range(5)
            ]
            world.events([*viewed, Event(PEOPLE[0], "Page Viewed", noon - timedelta(days=1))])
        yield made


def test_it_tells_dimensions_odd_days_and_thresholds(store: Store) -> None:
    result = call("audit")
    assert result.exit_code == 1, "a threshold is not reached"
    assert "addresses" in result.stdout
    assert "BROKEN" in result.stdout
    assert "Odd days" in result.stdout
    assert "Every check of one of them" in result.stderr
    with store.open() as connection:
        kept = connection.execute("SELECT count(DISTINCT run_id), count(*) > 3 FROM customers.quality").fetchall()
    assert kept == [(1, True)]


def test_one_dimension_in_full(store: Store) -> None:
    result = call("audit", "--dimension", "completeness")
    assert "email" in result.stdout
    assert "0.0%" in result.stdout
    assert "Odd days" not in result.stdout


def test_all_of_it_as_a_document(store: Store, noon: datetime) -> None:
    document = json.loads(call("audit", "--json").stdout)
    assert document["ok"] is False
    assert [one["name"] for one in document["thresholds"] if not one["ok"]] == ["addresses"]
    assert document["odd_yesterday"][0]["source"] == document["odd_days"][0]["source"]
    assert document["odd_days"][0]["day"] == (noon.date() - timedelta(days=1)).isoformat()
    assert {"dimension", "source", "subject", "checked", "failed", "score"} <= set(document["findings"][0])


def test_an_unknown_dimension_is_said(store: Store) -> None:
    result = call("audit", "--dimension", "completenes")
    assert result.exit_code == 2
    assert "did you mean 'completeness'" in result.stderr


def test_an_empty_store_has_nothing_to_look_at(tmp_path: Path, write: Write) -> None:
    write("quality: {}")
    result = call("audit")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to look at yet" in result.stderr


class TestAlerts:
    def ends(self, workspace: Workspace) -> list[str]:
        """An audit comes to its end, and what is wrong after it."""
        report = PipelineReport("run", audited=audit(workspace, "run"))
        after_run(workspace, "audit", "run", report, None)
        return sorted(one.name for one in firing(workspace.journal))

    def test_thresholds_and_odd_days_fire_and_recover(self, workspace: Workspace, store: Store, noon: datetime) -> None:
        wrong = ["source app quality daily counts", "threshold addresses quality"]
        assert self.ends(workspace) == wrong
        assert self.ends(workspace) == wrong
        by_name = {one.name: one for one in firing(workspace.journal)}
        assert by_name["threshold addresses quality"].owner == "crm team"
        assert "0.0%, less than 90.0%: 10 of 10" in by_name["threshold addresses quality"].what
        assert by_name["source app quality daily counts"].owner == "data team"
        assert "1 'Page Viewed' events" in by_name["source app quality daily counts"].what
        with store.transaction() as connection:
            connection.execute("UPDATE customers.profiles SET email = profile_id || '@box.example'")
            world = World(connection)
            late = noon - timedelta(days=1, hours=1)
            world.events([Event(who, "Page Viewed", late - timedelta(minutes=n)) for who in PEOPLE for n in range(5)])
        assert self.ends(workspace) == []

    def test_a_threshold_that_was_taken_out_is_closed(self, workspace: Workspace, write: Write) -> None:
        assert "threshold addresses quality" in self.ends(workspace)
        write(PROJECT.replace("addresses:", "others:"))
        again = Workspace.open(load_project(None))
        watch(again, run_id="watch")
        assert "threshold addresses quality" not in [one.name for one in firing(again.journal)]
        again.journal.close()

    def test_a_source_that_is_late_is_judged_later(self, workspace: Workspace, write: Write) -> None:
        write(PROJECT + "  anomalies: {late_days: {app: 2}}\n")
        again = Workspace.open(load_project(None))
        assert self.ends(again) == ["threshold addresses quality"]
        again.journal.close()

    def test_odd_days_may_be_no_alert(self, workspace: Workspace, write: Write) -> None:
        write(PROJECT + "  anomalies: {alert: false}\n")
        assert "source app quality daily counts" in self.ends(workspace)
        again = Workspace.open(load_project(None))
        assert self.ends(again) == ["threshold addresses quality"], "what fired before has come to its end"
        again.journal.close()


def test_a_run_tells_of_it_in_brief_and_does_not_fail(workspace: Workspace) -> None:
    report = PipelineReport("run")
    report.audited = attempted(report, "audit", lambda: steps.audit(workspace, run_id="run"))
    assert report.ok
    brief = report.as_json()["audited"]
    assert brief["ok"] is False
    assert "findings" not in brief


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("quality: {thresholds: {a: {dimension: completenes, at_least: 1}}}", "completeness"),
        ("quality: {thresholds: {a: {dimension: validity, at_least: 90}}}", "less than or equal to 1"),
        ("quality: {thresholds: {a: {dimension: validity, source: ap, at_least: 1}}}", "no source 'ap'"),
        ("quality: {thresholds: {a: {dimension: consistency, source: app / shop, at_least: 1}}}", "'shop'"),
        ("quality: {ranges: {age: {}}}", "at_least, at_most, or both"),
        ("quality: {ranges: {age: {at_least: 1, at_most: 2020-01-01}}}", "either of numbers or of days"),
        ("quality: {ranges: {age: {at_least: 9, at_most: 1}}}", "at_least is above at_most"),
        ("quality: {ranges: {age: {at_least: .nan}}}", "not a number"),
        ("quality: {anomalies: {limit: 1}}", "greater than or equal to 3"),
        ("quality: {anomalies: {late_days: {ap: 2}}}", "no source 'ap'"),
    ],
)
def test_mistakes_in_the_section_are_said(write: Write, section: str, problem: str) -> None:
    path = write(PROJECT.split("quality:", maxsplit=1)[0] + section)
    with pytest.raises(ProjectError, match=r"millstream\.yaml:\d+") as failed:
        load_project(path)
    assert problem in str(failed.value)
