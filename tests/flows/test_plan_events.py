"""`millstream plan-events`, and what a project file says of events and currencies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millstream.flows.project import ProjectError, load_project
from millstream.state.model.tables import create_tables
from millstream.state.store import Store, count_rows
from tests.engines import Engine
from tests.flows.calling import call
from tests.flows.conftest import Write, own_store
from tests.state.event_world import START, EventWorld

CLI_DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
PLAN = """
tracking_plan:
  standard_events: false
  events:
    Order Completed:
      owner: shop team
      required: [order_id]
      properties: {total: number}
currency: {base: EUR, rates: rates.csv}
connections:
  crm: {system: hubspot, access_token: {env: TOKEN}}
sources:
  app: {connection: crm}
"""


@pytest.fixture
def store(engine: Engine, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own, and a project that uses it."""
    write(PLAN)
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2026-03-01,USD,0.9\n")
    with own_store(engine, tmp_path, monkeypatch) as made:
        yield made


def tell(store: Store, *events: tuple[str, dict[str, object]], at: datetime = START, currency: str = "USD") -> None:
    """Keep events as a run by another plan would have."""
    with store.transaction() as connection:
        create_tables(connection)
        world = EventWorld(connection, told=count_rows(connection, "customers.events"))
        for name, properties in events:
            world.tell(name, properties, at=at, value=10, currency=currency)


def stored(store: Store) -> list[tuple[object, ...]]:
    with store.open() as connection:
        return EventWorld(connection).stored()


def problems(write: Write, text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load_project(write(text))
    return [str(problem) for problem in caught.value.problems]


class TestCommand:
    def test_an_empty_store_has_nothing_wrong(self, store: Store) -> None:
        result = call("plan-events", "--check")
        assert result.exit_code == 0, result.output
        assert "There are no events yet" in result.output

    def test_what_is_off_is_shown_by_the_plan_as_it_is_now(self, store: Store) -> None:
        whole = {"order_id": "1", "total": 1}
        tell(store, ("order_completed", whole), ("Order Completed", {"total": "free"}), ("Order Compelted", whole))
        before = stored(store)
        result = call("plan-events")
        assert stored(store) == before, "looking changes nothing"
        assert result.exit_code == 0, result.output
        shown = " ".join(result.stdout.split())
        assert "3 events: 1 by the plan, 1 break it, 1 are unknown to it." in shown
        assert "aliases: [Order Compelted]" in shown
        for told in ("missing", "no number", "text like aaaa", "shop team", "order_completed"):
            assert told in shown

    def test_check_fails_where_something_is_off(self, store: Store) -> None:
        tell(store, ("Order Completed", {"order_id": "1"}))
        assert call("plan-events", "--check").exit_code == 0
        tell(store, ("mystery", {}))
        assert (call("plan-events").exit_code, call("plan-events", "--check").exit_code) == (0, 1)

    def test_check_fails_for_a_value_without_a_rate(self, store: Store) -> None:
        tell(store, ("Order Completed", {"order_id": "1"}), currency="JPY")
        result = call("plan-events", "--check")
        assert result.exit_code == 1
        assert "JPY" in result.stdout

    def test_its_json_is_as_documented(self, store: Store) -> None:
        tell(store, ("mystery", {"email": "ana@box.example"}), ("Order Completed", {}))
        result = call("plan-events", "--json")
        document = json.loads(result.stdout)
        row = re.search(r"^\| `plan-events` \| (.+) \|$", CLI_DOCS.read_text(encoding="utf-8"), re.MULTILINE)
        assert row
        assert set(document) == set(re.findall(r"`(\w+)`", row[1]))
        assert document["unknown"][0]["properties"] == {"email": "text"}
        assert "ana@box.example" not in result.output

    def test_only_some_days_or_a_source_are_looked_at(self, store: Store) -> None:
        now = datetime.now(UTC)
        tell(store, ("old", {}), at=now - timedelta(days=9))
        tell(store, ("new", {}), at=now)

        def names(*options: str) -> set[str]:
            return {one["name"] for one in json.loads(call("plan-events", "--json", *options).stdout)["unknown"]}

        assert names("--days", "2") == {"new"}
        assert names("--since", f"{now - timedelta(days=20):%Y-%m-%d}") == {"old", "new"}
        assert names("--source", "app") == {"old", "new"}

    def test_a_source_that_is_not_there_and_two_ways_of_a_time_are_wrong_use(self, write: Write) -> None:
        write(PLAN)
        result = call("plan-events", "--source", "ap")
        assert result.exit_code == 2
        assert "did you mean 'app'?" in result.output
        assert call("plan-events", "--days", "1", "--since", "2026-01-01").exit_code == 2

    def test_rates_that_are_not_there_are_wrong_use(self, write: Write) -> None:
        write(PLAN)
        result = call("plan-events")
        assert result.exit_code == 2
        assert "rates.csv cannot be read" in " ".join(result.output.split())


class TestProjectFile:
    def test_a_key_that_is_not_known_is_told_with_its_line(self, write: Write) -> None:
        (problem,) = problems(write, "tracking_plan:\n  events:\n    A:\n      require: [b]\n")
        assert problem.startswith("millstream.yaml:5: tracking_plan.events.A.require: this key is not known here.")
        assert "did you mean 'required'?" in problem

    @pytest.mark.parametrize("said", ["numbr", "{type: numbr}"])
    def test_a_type_that_is_not_known_is_told_once(self, write: Write, said: str) -> None:
        text = f"tracking_plan:\n  events:\n    A:\n      properties:\n        total: {said}\n"
        (problem,) = problems(write, text)
        assert problem.startswith("millstream.yaml:6: tracking_plan.events.A.properties.total")
        assert "did you mean 'number'?" in problem

    def test_a_name_of_two_events_is_told(self, write: Write) -> None:
        (problem,) = problems(write, "tracking_plan:\n  events:\n    Signed Up: {aliases: [joined]}\n    Joined: {}\n")
        assert problem.startswith("millstream.yaml:5: tracking_plan.events.Joined: the name 'Joined' is that of")

    def test_an_audience_that_asks_for_an_alias_is_told_the_events_name(self, write: Write) -> None:
        text = "audiences:\n  a:\n    rule:\n      all:\n        - {event: purchase}\n        - {event: Anything}\n"
        (problem,) = problems(write, text)
        assert problem.startswith("millstream.yaml:6: ")
        assert "the tracking plan calls the event 'purchase' 'Order Completed'." in problem

    def test_a_currency_that_is_none_is_told(self, write: Write) -> None:
        told = problems(write, "currency:\n  base: euro\n  rates: rates\n  quotation: direkt\n")
        assert [problem.split(":")[1] for problem in told] == ["3", "4", "5"]
        assert "did you mean 'direct'?" in told[2]
