"""The report on the tracking plan: what is unknown, missing, wrong or without a rate, and of nobody in particular."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from millstream.state.model import plan_report
from millstream.state.model.currency import CurrencyRules
from millstream.state.model.masking import kind_of, shape_of
from millstream.state.model.plan_findings import InSource, PlanReport
from millstream.state.model.tables import create_tables
from tests.engines import Engine
from tests.state.event_world import START, EventWorld

DAY = timedelta(days=1)


@pytest.fixture
def world(engine: Engine) -> Iterator[EventWorld]:
    made = EventWorld(engine.connection())
    made.planned(
        {
            "Order Completed": {
                "owner": "shop team",
                "required": ["order_id"],
                "properties": {"total": "number", "plan": {"allowed": ["free", "pro"]}},
            },
            "Never": {},
        }
    )
    create_tables(made.connection)
    yield made
    made.connection.close()


def from_source(world: EventWorld, source: str) -> EventWorld:
    return EventWorld(world.connection, plan=world.plan, currency=world.currency, root=world.root, source=source)


def test_a_store_without_events_has_nothing_to_report(world: EventWorld) -> None:
    report = world.report()
    assert report == PlanReport(unseen=("Order Completed", "Never"))
    assert report.ok


def test_unknown_names_are_told_with_how_often_when_and_by_whom(world: EventWorld) -> None:
    world.tell("mystery", {"a": 1}, at=START, times=2)
    from_source(world, "web").tell("mystery", at=START + DAY, times=3)
    world.tell("rare")
    report = world.report()
    assert (report.events, report.unplanned, report.unknown_names, report.ok) == (6, 6, 2, False)
    first, second = report.unknown
    assert (first.name, first.events, first.first_seen, first.last_seen) == ("mystery", 5, START, START + DAY)
    assert first.sources == (InSource("web", 3), InSource("app", 2))
    assert (second.name, second.similar_to, report.proposal) == ("rare", None, "")


def test_near_duplicates_are_proposed_and_known_once_the_proposal_is_pasted(world: EventWorld) -> None:
    for name in ("signed_up", "Sign Up", "SignUp", "Order Compelted", "complete_orders"):
        world.tell(name, {"order_id": 1})
    report = world.report()
    alike = {one.name: (one.similar_to, one.similar_by) for one in report.unknown}
    assert alike["Order Compelted"] == ("Order Completed", "spelling")
    assert alike["complete_orders"] == ("Order Completed", "words")
    assert len({name for name, _ in alike.values()}) == 3, "two events, and the one that names the other"
    proposed = yaml.safe_load(report.proposal)["tracking_plan"]["events"]
    assert proposed["Order Completed"]["owner"] == "shop team"
    world.planned(proposed)
    world.model()
    after = world.report()
    assert (after.unplanned, after.proposal, after.ok) == (0, "", True)
    assert {name for name, _, _ in world.stored()} == {"Order Completed", "Sign Up"}
    assert {one.name for one in after.spellings} >= {"Order Compelted", "complete_orders", "SignUp"}


def test_what_is_missing_or_wrong_is_told_with_its_share_by_source(world: EventWorld) -> None:
    world.tell("order_completed", {"order_id": 1, "total": 1, "plan": "pro"}, times=2)
    world.tell("Order Completed", {"total": "31,90 EUR"}, times=2)
    web = from_source(world, "web")
    web.tell("Order Completed", {"order_id": 1, "plan": "Gold"})
    web.tell("Order Completed", {"order_id": 1, "total": {"amount": 5}})
    report = world.report()
    assert (report.planned, report.violating) == (6, 4)
    found = {(one.kind, one.property): one for one in report.violations}
    assert set(found) == {("missing", "order_id"), ("type", "total"), ("value", "plan")}
    total = found["type", "total"]
    assert (total.events, total.share, total.expected, total.owner) == (3, 0.5, "number", "shop team")
    assert total.sources == (InSource("app", 2, 0.5), InSource("web", 1, 0.5))
    assert total.found == ("text like 99,99 AAA", "object")
    assert found["missing", "order_id"].sources == (InSource("app", 2, 0.5),)
    assert found["value", "plan"].found == ("text like Aaaa",)
    assert [(one.name, one.events) for one in report.spellings] == [("order_completed", 2)]


def test_only_a_time_or_a_source_is_looked_at(world: EventWorld) -> None:
    world.tell("old", at=START - DAY)
    world.tell("new", at=START)
    from_source(world, "web").tell("other", at=START)
    assert {one.name for one in world.report(since=START).unknown} == {"new", "other"}
    assert {one.name for one in world.report(source="web").unknown} == {"other"}
    assert [one.name for one in world.report(since=START, source="app").unknown] == ["new"]
    assert world.report(source="nobody").events == 0


def test_of_very_many_unknown_names_the_most_frequent_are_told(
    world: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_report, "MOST_NAMES", 2)
    for name, times in (("a", 1), ("b", 3), ("c", 2), ("d", 1)):
        world.tell(name, times=times)
    report = world.report()
    assert [one.name for one in report.unknown] == ["b", "c"]
    assert (report.unknown_names, report.unplanned) == (4, 7)


PERSON = ("ana@box.example", "+49 170 1234567", "Ana Lindqvist", "Hauptstr. 5", "4711")


def test_the_report_shows_nobody(world: EventWorld) -> None:
    email, phone, name, street, number = PERSON
    said = {"email": email, "phone": phone, "name": name, "at": {"street": street}, email: 1, "list": [number]}
    world.tell(f"mailed {email}", said)
    world.tell("unknown", said)
    world.tell("Order Completed", {"plan": name, "total": street})
    world.tell("Order Completed", {"plan": number, "total": email})
    shown = json.dumps(world.report().as_json(), default=str, ensure_ascii=False)
    assert not [one for one in PERSON if one in shown]
    unknown = {one.name: one.properties for one in world.report().unknown}["unknown"]
    assert (unknown["email"], unknown["at"], unknown["list"]) == ("text", "object", "list")


def test_values_without_a_rate_are_told(world: EventWorld, tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2026-03-01,USD,0.9\n")
    world.root, world.currency = tmp_path, CurrencyRules(base="EUR", rates="rates.csv")
    order = {"order_id": 1}
    for currency in ("USD", "EUR", "JPY", "jpy", None):
        world.tell("Order Completed", order, value=1, currency=currency)
    world.tell("Order Completed", order, value=1, currency="USD", at=START + 30 * DAY)
    report = world.report()
    assert [(one.currency, one.events) for one in report.unconverted] == [("JPY", 2), ("USD", 1)]
    assert [(one.currency, one.event, one.events) for one in report.without_currency] == [(None, "Order Completed", 1)]
    assert not report.ok
    world.currency = None
    world.model()
    report = world.report()
    assert (report.unconverted, report.without_currency, report.ok) == ((), (), True)


@pytest.mark.parametrize(
    ("value", "kind", "shape"),
    [
        ("31.12.2026", "text", "99.99.9999"),
        ("2026-12-31", "date", "9999-99-99"),
        ("2026-12-31T10:00:00Z", "timestamp", "9999-99-99A99:99:99A"),
        ("ana@box.example", "text", "aaa@aaa.aaaaaaa"),
        ("Ünal 名 ٣ 🙂", "text", "Aaaa a 9 ?"),
        ("12.5", "number in text", "99.9"),
        (12.5, "number", "99.9"),
        (True, "boolean", "aaaa"),
        ("", "empty text", ""),
        (None, "null", "null"),
        ({"a": 1}, "object", "object"),
        ("x" * 99, "text", "a" * 24 + "…"),
    ],
)
def test_values_are_shown_by_type_and_shape(value: object, kind: str, shape: str) -> None:
    assert (kind_of(value), shape_of(value)) == (kind, shape)
