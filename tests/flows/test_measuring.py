"""`millstream measure`, what a project file says of measurement, and how measuring stands in a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from millstream.destinations.planning.eligible import in_holdout
from millstream.destinations.rules import Holdout
from millstream.flows.project import ProjectError, load_project
from millstream.flows.steps import PipelineReport, Workspace
from millstream.flows.steps.comparing import comparisons
from millstream.flows.steps.describing import trait_sets_of
from millstream.flows.steps.measuring import measure
from millstream.flows.steps.pipeline import attempted
from millstream.state.errors import ConfigurationError
from millstream.state.ledger.suppressions import salt
from millstream.state.measurement.experiments import variant_of
from millstream.state.measurement.lift import ADDRESSED, HELD_OUT
from millstream.state.store import Store
from millstream.state.traits.compute import describe
from tests.engines import DuckDBEngine
from tests.flows.calling import call
from tests.flows.conftest import Write, own_store
from tests.state.measured_world import Event, World

CLI_DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
NOW = datetime.now(UTC)
PEOPLE = [f"p{number:03}" for number in range(400)]
PROJECT = """
traits: {timezone: Europe/Berlin}
audiences:
  readers: {rule: {trait: email, is_set: true}}
  buyers: {rule: {event: Order Completed}}
connections:
  mail: {system: mailchimp, base_url: "http://127.0.0.1:9/3.0", api_key: {env: NO_KEY}}
destinations:
  mailchimp: {connection: mail, list_id: a}
syncs:
  letters: {destination: mailchimp, audience: readers, into: Letters, consent: {channel: email}}
  wallets: {destination: mailchimp, audience: buyers, into: Wallets, consent: not_needed}
delivery:
  holdout: 0.1
  audience_holdouts: {readers: 0.2, buyers: 0.3}
measurement:
  north_star: views
  figures:
    views: {event: Page Viewed, window_days: 7}
  lift:
    within: 10d
    at_least_people: 20
    syncs:
      letters: {goal: [Order Completed, Deal Won], within: 9d}
  experiments:
    subject_line: {audience: readers, variants: {control: 50, short: 50}, goal: Page Viewed, within: 2d}
"""


@pytest.fixture
def store(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own, and a project that uses it."""
    write(PROJECT)
    with own_store(DuckDBEngine(), tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def told(store: Store) -> Store:
    """Readers since three weeks, of whom every fourth bought; a campaign since the same time."""
    began = NOW - timedelta(days=21)
    with store.transaction() as connection:
        world = World(connection)
        world.people(dict.fromkeys(PEOPLE, began))
        world.enter("readers", dict.fromkeys(PEOPLE, began))
        world.events([Event(who, "Page Viewed", began + timedelta(days=1)) for who in PEOPLE])
        world.events([Event(who, "Order Completed", began + timedelta(days=3), value=8.0) for who in PEOPLE[::4]])
        connection.execute(
            "INSERT INTO delivery.runs SELECT 'run', 'letters', 'mailchimp', 'mirror', 'plan', "
            "CAST(? AS TIMESTAMPTZ), CAST(? AS TIMESTAMPTZ), 'completed', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL",
            [began, began],
        )
    return store


def test_all_of_it_is_one_document(told: Store) -> None:
    result = call("measure", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    row = re.search(r"^\| `measure` \| (.+) \|$", CLI_DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert row
    assert set(document) == set(re.findall(r"`(\w+)`", row[1]))
    figures = {one["figure"]: one for one in document["figures"]}
    assert document["north_star"] == "views"
    assert [name for name, one in figures.items() if one["north_star"]] == ["views"]
    assert figures["lifetime_value"]["days"][-1] | {"day": ""} == {
        "day": "", "value": 8.0, "numerator": 800.0, "denominator": 100.0,
    }  # fmt: skip
    assert len(figures["people"]["days"]) == 14
    assert {one["name"] for one in document["lifts"]} == {"letters", "audience buyers", "subject_line"}
    [letters] = [one for one in document["lifts"] if one["name"] == "letters"]
    assert letters["treated"] + letters["control"] == 400
    assert letters["goal"] == "Order Completed or Deal Won"
    assert letters["window_days"] == 9.0
    assert document["retention"]
    assert document["journeys"][0]["path"] == "Page Viewed > Order Completed"


def test_tables_tell_it_to_people(told: Store) -> None:
    shown = call("measure").stdout
    assert "* views" in shown
    assert "Who comes back" in shown
    assert "Page Viewed > Order Completed" in shown
    assert "Too few people for a comparison: 0 of those addressed" in shown  # nobody is a buyer by a run of select
    by_day = call(
        "measure", "--figure", "orders", "--figure", "revenue", "--since", f"{NOW - timedelta(days=30):%Y-%m-%d}"
    ).stdout
    assert "800.00" in by_day
    assert "Who comes back" not in by_day


def test_an_unknown_figure_is_said(told: Store) -> None:
    result = call("measure", "--figure", "order")
    assert result.exit_code == 2
    assert "did you mean 'orders'" in result.stderr
    as_document = call("measure", "--figure", "order", "--json")
    assert (as_document.exit_code, json.loads(as_document.stdout)["ok"]) == (2, False)
    chosen = json.loads(call("measure", "--figure", "orders", "--json").stdout)
    assert [one["figure"] for one in chosen["figures"]] == ["orders"]


def test_an_empty_store_has_nothing_to_measure(store: Store) -> None:
    result = call("measure")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to measure yet" in result.stderr
    document = json.loads(call("measure", "--json").stdout)
    assert (document["first"], document["figures"], document["lifts"]) == (None, [], [])


def test_holdouts_are_those_that_delivery_applies(told: Store, workspace: Workspace) -> None:
    letters, buyers, subject = comparisons(workspace)
    assert (letters.name, letters.audience, letters.sync, letters.within) == ("letters", "readers", "letters", "9d")
    assert letters.groups == {HELD_OUT: pytest.approx(1 - 0.9 * 0.8), ADDRESSED: pytest.approx(0.9 * 0.8)}
    # The sync of buyers needs no consent and so holds nobody out; the holdout is asked for all the same.
    assert (buyers.name, buyers.audience, buyers.sync, buyers.within) == ("audience buyers", "buyers", None, "10d")
    assert (subject.name, subject.kind, subject.within) == ("subject_line", "experiment", "2d")
    held = [
        Holdout(name=name, share=share, salt=salt(workspace.journal, name))
        for name, share in workspace.project.delivery.holdouts_of("readers").items()
    ]
    either = " OR ".join(in_holdout("profile_id", one) for one in held)
    with told.open() as connection:
        applied = connection.execute(f"SELECT profile_id FROM customers.profiles WHERE {either}").fetchall()
        compared = connection.execute(
            f"SELECT person.profile_id FROM customers.profiles AS person WHERE {letters.group_sql} = '{HELD_OUT}'"
        ).fetchall()
    assert sorted(applied) == sorted(compared)
    assert 60 < len(applied) < 170


def test_variants_are_traits_that_never_change(told: Store, workspace: Workspace) -> None:
    [made] = [one for one in trait_sets_of(workspace) if one.name == "experiments"]
    assert list(made.traits) == ["variant_subject_line"]
    secret = salt(workspace.journal, "experiment subject_line")
    with told.open() as connection:
        describe(connection, [made], workspace.project.traits, run_id="run", now=NOW)
        first = dict(connection.execute("SELECT profile_id, variant_subject_line FROM customers.people").fetchall())
    assert first == {who: variant_of(who, {"control": 50, "short": 50}, secret) for who in PEOPLE}
    assert {"control", "short"} == set(first.values())


def test_measuring_hinders_nothing(workspace: Workspace) -> None:
    report = PipelineReport("run")

    def fail() -> None:
        raise ConfigurationError("The figure cannot be computed.")

    assert attempted(report, "measure", fail) is None
    assert attempted(report, "report", lambda: {}["missing"]) is None
    assert report.raised == ["measure: The figure cannot be computed.", "report: KeyError: 'missing'"]
    assert not report.ok


def test_the_time_of_a_run_may_be_another(told: Store, workspace: Workspace) -> None:
    past = NOW - timedelta(days=20)
    report = measure(workspace, "run", as_of=past)
    assert report.last == past.astimezone(ZoneInfo("Europe/Berlin")).date()
    assert {one.figure for one in report.figures} >= {"people", "new_people"}
    assert not [one for one in report.figures if one.figure == "orders"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("measurement: {north_star: revenu}", "did you mean 'revenue'"),
        ("measurement: {figures: {orders: {event: Page Viewed}}}", "a figure 'orders' of its own"),
        ("measurement: {figures: {a: {event: page_view}}}", "calls the event 'page_view' 'Page Viewed'"),
        ("measurement: {figures: {a: {event: Page Viewed, sql: SELECT 1}}}", "either an event or sql"),
        ("measurement: {figures: {a: {sql: DROP TABLE x}}}", "not a SELECT"),
        ("measurement: {funnels: {a: {steps: [Page Viewed, {event: purchase}]}}}", "'Order Completed'"),
        ("measurement: {journeys: {a: {goal: purchase}}}", "'Order Completed'"),
        ("measurement: {lift: {syncs: {leters: {within: 3d}}}}", "no sync 'leters'"),
        ("measurement: {experiments: {a: {audience: x, variants: {a: 1, b: 1}}}}", "no audience 'x'"),
        ("measurement: {experiments: {a: {audience: x, variants: {a: 1}}}}", "at least 2"),
        ("measurement: {lift: {within: 3 months}}", "no span of time"),
    ],
)
def test_a_project_file_is_checked(write: Write, text: str, told: str) -> None:
    path = write(text)
    with pytest.raises(ProjectError) as raised:
        load_project(path)
    assert told in str(raised.value)
    assert "millstream.yaml:2" in str(raised.value)
