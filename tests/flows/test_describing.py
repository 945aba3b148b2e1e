"""`millstream describe` and `millstream traits`, and what a failing trait does to a run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millstream.flows import steps
from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.project import ProjectError, load_project
from millstream.flows.showing.traits import card_text, trait_rows
from millstream.flows.steps.failure import describe_problems
from millstream.state.errors import ConfigurationError
from millstream.state.ledger.alerts import firing
from millstream.state.model.tables import create_tables
from millstream.state.store import Store
from millstream.state.traits.contract import Calibration, ModelCard
from millstream.state.traits.report import DescribeReport, SetState
from tests.engines import Engine
from tests.flows.calling import call, call_json, documented_keys
from tests.flows.conftest import own_store
from tests.state.conftest import Customers

PROJECT = """
name: shop
traits:
  without: [{without}]
audiences:
  buyers: {{rule: {{trait: orders, at_least: 1}}}}
alerts:
  owner: data team
"""
SHIPPED = (
    "activity, attribution, churn, engagement, lifecycle, next_product, place, products, rfm, sentiment, support, "
    "surveys, technology, value"
)
OWN = """/*
description: Of ours.
inputs: [profiles]
traits:
  mine: {type: text, description: Always the same., allowed: [same]}
*/
SELECT profile_id, 'same' AS mine FROM profiles
"""
BROKEN = OWN.replace("'same' AS mine", "'another' AS mine")


@pytest.fixture
def store(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with seven people of whom three have ordered, and a project in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traits").mkdir()
    (tmp_path / "millstream.yaml").write_text(PROJECT.format(without=SHIPPED), encoding="utf-8")
    with own_store(engine, tmp_path, monkeypatch) as made:
        with made.transaction() as connection:
            create_tables(connection)
            customers = Customers(connection)
            for number in range(7):
                record = customers.record(f"app.users:{number}", ("user_id", f"u{number}"))
                if number < 3:
                    at = datetime.now(UTC) - timedelta(days=number + 1)
                    customers.event(record, "Order Completed", at, value=10.0 * (number + 1))
        yield made


def write_trait(folder: Path, text: str, name: str = "own.sql") -> None:
    (folder / "traits" / name).write_text(text, encoding="utf-8")


def workspace(folder: Path | None = None) -> steps.Workspace:
    return steps.Workspace.open(load_project(folder))


def test_traits_are_computed_between_resolving_and_selecting(store: Store, tmp_path: Path) -> None:
    write_trait(tmp_path, OWN)
    report = steps.run_all(workspace())
    assert report.ok, report.as_json()
    assert {one.name: one.status for one in report.described.sets} == {"purchases": "computed", "own": "computed"}
    assert [(one.name, one.size) for one in report.selected] == [("buyers", 3)]
    assert report.as_json()["described"]["profiles"] == 7


def test_a_failing_trait_is_reported_and_only_what_rests_on_it_stands_still(store: Store, tmp_path: Path) -> None:
    more = """
  ours: {rule: {trait: mine, equals: same}}
  ours_by_sql: {sql: SELECT profile_id FROM customers.people WHERE mine = 'same'}
  others: {rule: {not_audience: ours}}
alerts:"""
    project = tmp_path / "millstream.yaml"
    project.write_text(project.read_text().replace("\nalerts:", more))
    write_trait(tmp_path, OWN)
    steps.run_all(workspace())
    write_trait(tmp_path, BROKEN)
    with store.open() as connection:
        customers = Customers(connection, now=datetime.now(UTC))
        customers.event("app.users:5", "Order Completed", datetime.now(UTC) - timedelta(hours=1), value=1.0)
    report = steps.run_all(workspace())
    assert not report.ok
    why = "the trait set 'own' failed: mine is none of the allowed values (7 of 7)."
    assert [(one.name, one.size, one.held) for one in report.selected] == [
        ("buyers", 4, None), ("ours", 7, why), ("ours_by_sql", 7, why),
        ("others", 0, "it builds on 'ours', which stands still"),
    ]  # fmt: skip
    [problem] = describe_problems(report.described)
    assert problem == "traits own: mine is none of the allowed values (7 of 7)."
    runs = workspace().journal.last_runs(1)
    assert runs[0]["status"] == "failed"
    assert [(one.name, one.what) for one in firing(workspace().journal)] == [("run pipeline failed", problem)]
    # What did not fail is up to date all the same.
    with store.open() as connection:
        assert connection.execute("SELECT count(*) FROM customers.people WHERE orders >= 1").fetchone() == (4,)
    told = call("select", "ours", "buyers")
    assert told.exit_code == 1
    assert f"audience ours stands still: {why}" in " ".join(told.stderr.split())
    assert call("select", "buyers").exit_code == 0
    [ours] = [one for one in call_json("select", "--dry-run")["audiences"] if one["audience"] == "ours"]
    assert ours["problem"] == f"stands still: {why}"
    write_trait(tmp_path, OWN)
    assert steps.run_all(workspace()).ok


def test_an_audience_that_comes_with_its_trait_waits_alone_until_the_trait_is_computed(
    store: Store, tmp_path: Path
) -> None:
    steps.run_all(workspace())
    project = tmp_path / "millstream.yaml"
    before = project.read_text()
    ours = "\n  ours: {{rule: {{trait: {}, equals: same}}}}\nalerts:"
    project.write_text(before.replace("\nalerts:", ours.format("Mine")))
    write_trait(tmp_path, OWN)
    selected = {one.name: one for one in steps.select(workspace(), run_id="r")}
    assert (selected["buyers"].size, selected["buyers"].held) == (3, None)
    assert selected["ours"].held == "the trait set 'own' was not computed yet: run `millstream describe`"
    write_trait(tmp_path, OWN.replace("inputs", "imputs"))
    [_, waiting] = steps.select(workspace(), run_id="r")
    assert waiting.held is not None
    assert "nobody has the trait 'mine', and a file of traits is wrong: traits/own.sql:3" in waiting.held
    write_trait(tmp_path, BROKEN)
    report = steps.run_all(workspace())
    assert [(one.name, one.held is not None) for one in report.selected] == [("buyers", False), ("ours", True)]
    write_trait(tmp_path, OWN)
    assert [(one.name, one.size) for one in steps.run_all(workspace()).selected] == [("buyers", 3), ("ours", 7)]
    project.write_text(before.replace("\nalerts:", ours.format("mien")))
    with pytest.raises(ConfigurationError, match="did you mean 'mine'"):
        steps.select(workspace(), run_id="r")


def test_the_command_computes_and_shows(store: Store, tmp_path: Path) -> None:
    steps.resolve(workspace(), run_id="r")
    shown = call("describe")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"purchases\s+computed\s+7", shown.stdout)
    found = call_json("describe", "--full")
    assert set(found) == documented_keys("describe")
    assert found["described"]["sets"][0]["status"] == "computed"


def test_the_command_tells_what_failed(store: Store, tmp_path: Path) -> None:
    steps.resolve(workspace(), run_id="r")
    write_trait(tmp_path, BROKEN)
    result = call("describe")
    assert result.exit_code == 1
    assert "traits own: mine is none of the allowed values" in result.stderr


def test_a_persons_story_is_told_where_the_sql_of_an_audience_does_not_work(store: Store, tmp_path: Path) -> None:
    assert steps.run_all(workspace()).ok
    more = "  broken: {sql: SELECT profile_id FROM customers.people WHERE gone = 1}"
    project = tmp_path / "millstream.yaml"
    project.write_text(project.read_text().replace("\nalerts:", f"\n{more}\nalerts:"))
    [person] = call_json("explain", "u0")["people"]
    buyers, broken = person["audiences"]
    assert (buyers["member"], buyers["rule"]["holds"]) == (True, True)
    assert (broken["member"], broken["rule"]["holds"]) == (False, None)
    assert broken["rule"]["seen"].startswith("The SQL fails: ")
    assert "? its rule does not work" in call("explain", "u0").stdout
    previewed = call_json("select", "--dry-run")["audiences"]
    assert [(one["audience"], one["problem"][:28]) for one in previewed] == [
        ("buyers", ""), ("broken", "stands still: The SQL fails:"),
    ]  # fmt: skip


def test_a_wrong_file_is_told_with_its_line(store: Store, tmp_path: Path) -> None:
    write_trait(tmp_path, OWN.replace("inputs", "imputs"))
    result = call("describe")
    assert result.exit_code == 1
    assert "traits own: traits/own.sql:3: imputs: this key is not known" in " ".join(result.stderr.split())
    [found] = [one for one in call_json("check", ok=False)["checks"] if one["kind"] == "traits"]
    assert (found["name"], found["ok"]) == ("traits/own.sql:3", False)
    write_trait(tmp_path, OWN)
    assert [one["name"] for one in call_json("check")["checks"]] == ["store", "journal"]


def test_a_file_that_became_wrong_stops_neither_the_other_sets_nor_the_run(store: Store, tmp_path: Path) -> None:
    write_trait(tmp_path, OWN)
    assert steps.run_all(workspace()).ok
    write_trait(tmp_path, OWN.replace("inputs", "imputs"))
    report = steps.run_all(workspace())
    assert {one.name: one.status for one in report.described.sets} == {"purchases": "computed", "own": "failed"}
    assert [(one.name, one.size, one.held) for one in report.selected] == [("buyers", 3, None)]
    assert not report.ok
    told = call_json("traits", "mine")
    assert (told["status"]["status"], told["groups"]) == ("failed", [{"value": "same", "people": 7}])
    assert told["status"]["message"].startswith("traits/own.sql:3: imputs: this key is not known")


def test_traits_are_listed_also_before_anything_is_computed(store: Store, tmp_path: Path) -> None:
    write_trait(tmp_path, OWN)
    before = call("traits")
    assert before.exit_code == 0, before.output
    assert "Nothing is computed yet" in before.stderr
    steps.resolve(workspace(), run_id="r")
    call("describe")
    found = {one["trait"]: one for one in call_json("traits")["traits"]}
    assert (found["mine"]["people"], found["mine"]["share"], found["mine"]["status"]) == (7, 1.0, "computed")
    assert (found["revenue"]["people"], found["revenue"]["trait_set"]) == (3, "purchases")


def test_a_trait_is_told_with_its_code_and_how_its_values_are_spread(store: Store, tmp_path: Path) -> None:
    write_trait(tmp_path, OWN)
    steps.resolve(workspace(), run_id="r")
    call("describe")
    number = call_json("traits", "revenue")
    assert set(number) == documented_keys("traits TRAIT")
    assert number["quantiles"]["50%"] == pytest.approx(20.0)
    moment = call_json("traits", "last_order_at")
    assert moment["quantiles"]["50%"] == f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"
    group = call_json("traits", "mine")
    assert (group["groups"], group["others"]) == ([{"value": "same", "people": 7}], 0)
    shown = call("traits", "mine").stdout
    assert "Always the same." in shown
    assert "SELECT profile_id, 'same' AS mine FROM profiles" in shown


def test_text_that_few_people_share_is_not_told(store: Store, tmp_path: Path) -> None:
    select = "CASE WHEN profile_id = (SELECT min(profile_id) FROM profiles) THEN 'secret' ELSE 'known' END AS mine"
    write_trait(tmp_path, OWN.replace("'same' AS mine", select).replace(", allowed: [same]", ""))
    steps.resolve(workspace(), run_id="r")
    call("describe")
    group = call_json("traits", "mine")
    assert (group["groups"], group["others"]) == ([{"value": "known", "people": 6}], 1)
    assert "secret" not in call("traits", "mine").output.replace("'secret'", "")


def test_an_unknown_trait_is_guessed_at(store: Store) -> None:
    result = call("traits", "revenu")
    assert result.exit_code == 2
    assert "did you mean 'revenue'?" in " ".join(result.stderr.split())


def test_computed_traits_are_part_of_a_persons_story(store: Store) -> None:
    steps.resolve(workspace(), run_id="r")
    call("describe")
    call("select")
    [person] = call_json("explain", "u0")["people"]
    told = {one["name"]: one["value"] for one in person["traits"]}
    assert told["orders"] == "1"
    assert person["audiences"][0]["member"] is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("traits: {purchases: [purchase]}", r"traits.purchases.0: the tracking plan calls the event 'purchase' 'Order"),
        (
            "traits:\n  propensities:\n    buy: {event: purchase}",
            r":4: traits.propensities.buy.event: the tracking plan calls the event 'purchase'",
        ),
        ("traits: {without: [rfn]}", r":2: traits.without.0: there is no shipped trait set 'rfn'.*did you mean 'rfm'"),
        ("traits: {timezone: Mars}", r":2: traits.timezone"),
        ("schedules:\n  a: {flow: describes, cron: '0 * * * *'}", r":3: schedules.a.flow"),
    ],
)
def test_the_section_of_the_project_file_is_checked(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "millstream.yaml"
    path.write_text(f"name: shop\n{text}\n", encoding="utf-8")
    with pytest.raises(ProjectError) as caught:
        load_project(path)
    assert re.search(expected, str(caught.value)), caught.value


FLOWS = """
from millstream.flows.describe_people import describe
from millstream.flows.steps.failure import RunFailedError
from millstream.flows.run_pipeline import pipeline

for flow in (describe, pipeline):
    try:
        flow()
    except RunFailedError as error:
        print(error.what, len(getattr(error.report, "selected", ())))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_failing_trait_fails_the_flows_and_leaves_a_table(prefect_server: LocalPrefect, tmp_path: Path) -> None:
    (tmp_path / "traits").mkdir()
    write_trait(tmp_path, BROKEN)
    text = PROJECT.format(without=SHIPPED).replace("name: shop", "name: stall")
    (tmp_path / "millstream.yaml").write_text(text, encoding="utf-8")
    with workspace(tmp_path).store.transaction() as connection:
        create_tables(connection)
        Customers(connection).record("app.users:1", ("user_id", "u1"))
    steps.resolve(workspace(tmp_path), run_id="r")
    # In a process of their own, as a worker runs them: Prefect's client leaves connections open.
    run = [sys.executable, "-c", FLOWS]
    flows = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert flows.returncode == 0, flows.stderr
    problem = "traits own: mine is none of the allowed values (1 of 1)."
    assert flows.stdout.strip().splitlines()[-2:] == [f"{problem} 0", f"{problem} 1"], (
        "the audience does not rest on it"
    )
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        wanted = {"artifacts": {"key": {"any_": ["stall-traits"]}}}
        tables = client._client.post("/artifacts/filter", json=wanted).json()
    assert '"status": "failed"' in str(tables[0]["data"])


def test_artifacts_tell_of_sets_and_of_models() -> None:
    at = datetime(2026, 6, 15, 12, tzinfo=UTC)
    report = DescribeReport(
        10, 2, (SetState("value", "computed", "", "f", at, 1.234, 4), SetState("own", "failed", "It broke.")), 2.0
    )
    assert trait_rows(report) == [
        {
            "set": "value", "status": "computed", "people": 4, "share": "40%", "computed": "2026-06-15 12:00",
            "seconds": 1.23, "message": "",
        },
        {
            "set": "own", "status": "failed", "people": 0, "share": "0%", "computed": "", "seconds": 0.0,
            "message": "It broke.",
        },
    ]  # fmt: skip
    card = ModelCard(
        model="BG/NBD", version="1", window=(at - timedelta(days=90), at), horizon=timedelta(days=90), people=4,
        metric="mean error", score=0.5, baseline="the mean", baseline_score=0.4, lower_is_better=True, used="baseline",
        sentence="What is expected.", parameters={"r": 0.25}, calibration=(Calibration(0.1, 0.2, 4),),
    )  # fmt: skip
    text = card_text("expected_purchases", card)
    for told in (
        "What is expected.",
        "BG/NBD",
        "the baseline's, since",
        "lower is better",
        "r 0.25",
        "| 0.1 | 0.2 | 4 |",
    ):
        assert told in text
