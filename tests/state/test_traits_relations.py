"""The relations that sets compute from, told row by row, on each engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from millstream.state.traits.relation_queries import MESSAGES, NOT_BEHAVIOUR, OUTGOING, Scope
from millstream.state.traits.relations import RELATIONS, Relations
from millstream.state.traits.rules import TraitRules
from tests.state.conftest import Customers
from tests.state.trait_world import DAY, NOW, TraitWorld

HOUR = timedelta(hours=1)


@pytest.fixture
def world(customers: Customers) -> TraitWorld:
    made = TraitWorld(customers)
    made.person("ana")
    return made


def rows(world: TraitWorld, relation: str, *columns: str) -> list[tuple[Any, ...]]:
    """What a relation holds, in the order of its columns."""
    world.resolve()
    relations = Relations(world.customers.connection, Scope(world.rules, world.now))
    relations.provide([relation])
    chosen = ", ".join(columns)
    found = world.rows(f"SELECT {chosen} FROM {relation} ORDER BY {chosen}")
    relations.drop()
    return found


def test_every_relation_has_the_columns_it_declares(world: TraitWorld) -> None:
    world.resolve()
    connection = world.customers.connection
    relations = Relations(connection, Scope(world.rules, NOW))
    relations.provide(RELATIONS)
    for name, relation in RELATIONS.items():
        found = [column[0] for column in connection.execute(f"SELECT * FROM {name}").description or ()]
        assert found[: len(relation.columns)] == list(relation.columns) or not relation.columns, name
    relations.drop()


def test_events_are_known_up_to_the_time_of_the_run(world: TraitWorld) -> None:
    world.did("ana", "Signed In", ago=timedelta(0))
    world.did("ana", "Signed Out", ago=-timedelta(seconds=1))
    assert rows(world, "events", "name") == [("Signed In",)]


def test_behaviour_is_what_people_did_themselves(world: TraitWorld) -> None:
    for event in (*NOT_BEHAVIOUR, "Email Opened", "Page Viewed", "Survey Responded"):
        world.did("ana", event)
    assert rows(world, "behaviour", "name") == [("Email Opened",), ("Page Viewed",), ("Survey Responded",)]
    assert set(OUTGOING) < set(NOT_BEHAVIOUR)


def test_a_purchase_is_one_order_as_its_latest_event_says(world: TraitWorld) -> None:
    world.bought("ana", 10, ago=3 * DAY, order_id="1")
    world.bought("ana", 12, ago=2 * DAY, order_id="1")
    world.bought("ana", 7, ago=DAY)
    world.bought("ana", 7, ago=DAY, order_id=" ")
    assert rows(world, "purchases", "value", "happened_at") == [
        (7.0, NOW - DAY),
        (7.0, NOW - DAY),
        (12.0, NOW - 2 * DAY),
    ]


def test_orders_of_two_people_are_two(world: TraitWorld) -> None:
    world.person("ben")
    world.bought("ana", order_id="1")
    world.bought("ben", order_id="1")
    assert len(rows(world, "purchases", "profile_id")) == 2


def test_a_cancelled_order_is_no_purchase(world: TraitWorld) -> None:
    world.person("ben")
    world.bought("ana", order_id="1")
    world.bought("ana", order_id="2")
    world.bought("ben", order_id="1")
    world.did("ana", "Order Cancelled", order_id="1")
    world.did("ana", "Order Cancelled")
    world.did("ana", "Order Cancelled", ago=-DAY, order_id="2")
    found = rows(world, "purchases", "profile_id", "order_id")
    ids = world.names()
    assert set(found) == {(ids["ana"], "2"), (ids["ben"], "1")}


def test_purchases_are_the_events_that_the_project_names(world: TraitWorld) -> None:
    world.rules = TraitRules(purchases=("Deal Won", "It's Bought"))
    world.bought("ana", 1)
    world.did("ana", "Deal Won", value=2, deal_id="d")
    world.did("ana", "It's Bought", value=3, order_id="o")
    assert rows(world, "purchases", "order_id", "value") == [("d", 2.0), ("o", 3.0)]


def test_a_refund_is_the_latest_of_its_order(world: TraitWorld) -> None:
    for value, ago in ((5, 2 * DAY), (6, DAY)):
        world.did("ana", "Order Refunded", value=value, ago=ago, order_id="1")
    world.did("ana", "Order Refunded", value=1, order_id="2")
    assert rows(world, "refunds", "order_id", "value") == [("1", 6.0), ("2", 1.0)]


def test_line_items_are_the_products_of_purchases(world: TraitWorld) -> None:
    world.bought(
        "ana",
        order_id="1",
        products=[
            {"product_id": "p1", "name": "Tea", "category": "drinks", "quantity": 2, "price": "3.5"},
            {"sku": "s2", "quantity": "many"},
            {"name": "Cup"},
        ],
    )
    others: list[Any] = ["none", {"name": "Cup"}, None, []]
    for products in others:
        world.bought("ana", order_id=str(products), products=products)
    assert rows(world, "line_items", "product_id", "name", "category", "quantity", "price") == [
        ("Cup", "Cup", None, 1.0, None),
        ("p1", "Tea", "drinks", 2.0, 3.5),
        ("s2", None, None, 1.0, None),
    ]


def test_messages_tell_channel_and_what_became_of_them(world: TraitWorld) -> None:
    for event in MESSAGES:
        world.did("ana", event, channel="sms" if event == "Unsubscribed" else None)
    found = rows(world, "messages", "channel", "kind")
    expected = {("sms", "unsubscribed") if name == "Unsubscribed" else MESSAGES[name] for name in MESSAGES}
    # Of push messages nobody tells the sending.
    assert set(found) == expected | {("push", "sent")}
    assert len(found) == len(MESSAGES) + 1


def test_what_was_delivered_counts_as_sent_where_no_sending_is_told(world: TraitWorld) -> None:
    world.person("ben")
    world.did("ana", "Email Sent", ago=2 * DAY)
    world.did("ana", "Email Delivered", campaign="a")
    world.did("ben", "Email Delivered", campaign="b")
    found = rows(world, "messages", "kind", "campaign")
    assert found == [("delivered", "a"), ("delivered", "b"), ("sent", "b"), ("sent", None)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"utm_medium": "cpc", "utm_source": "google", "utm_campaign": "spring"}, ("cpc", "google", "spring", None)),
        ({"channel": "web", "campaign": "autumn", "utm_campaign": "x"}, ("web", None, "autumn", None)),
        (
            {"referrer": "https://News.example:8080/a?b=c#d"},
            ("referral", "news.example", None, "https://News.example:8080/a?b=c#d"),
        ),
        ({"first_referrer": "blog.example/post"}, ("referral", "blog.example", None, "blog.example/post")),
        ({"channel": "web", "referrer": "a.example?x"}, ("web", "a.example", None, "a.example?x")),
        ({"utm_source": "letter", "referrer": "a.example"}, ("referral", "letter", None, "a.example")),
        ({"channel": "web", "campaign": " ", "utm_source": ""}, None),
        ({"channel": "web", "note": "utm_source of others"}, None),
    ],
)
def test_touches_tell_where_somebody_came_from(
    world: TraitWorld, told: dict[str, Any], expected: tuple[Any, ...] | None
) -> None:
    world.did("ana", "Page Viewed", **told)
    found = rows(world, "touches", "channel", "source", "campaign", "referrer")
    assert found == ([expected] if expected else [])


def test_messages_on_their_way_are_no_touches(world: TraitWorld) -> None:
    for event in (*OUTGOING, "Email Opened"):
        world.did("ana", event, channel="email", campaign="spring")
    assert rows(world, "touches", "channel", "campaign") == [("email", "spring")]


def test_answers_and_ratings_are_read_as_each_vendor_tells_them(world: TraitWorld) -> None:
    world.did("ana", "Survey Responded", survey_id="s", nps_score=9, comment=" Fine. ")
    world.did("ana", "Satisfaction Rated", source="app", rating=4)
    world.did("ana", "Satisfaction Rated", score="good")
    world.did("ana", "Satisfaction Rated", score="bad_with_comment")
    world.did("ana", "Satisfaction Rated", satisfaction=0.3)
    world.did("ana", "Satisfaction Rated", rating=9)
    found = rows(world, "survey_answers", "satisfaction", "nps_score", "survey_id", "comment")
    assert sorted(found, key=str) == sorted(
        [
            (None, 9.0, "s", "Fine."),
            (0.75, None, None, None),
            (1.0, None, None, None),
            (0.0, None, None, None),
            (0.3, None, None, None),
            (None, None, None, None),
        ],
        key=str,
    )


def test_a_ticket_is_open_until_a_solution_that_lasts(world: TraitWorld) -> None:
    def ticket(number: str, **events: int) -> None:
        for name, hours in events.items():
            event = f"Ticket {name.rstrip('_').title()}"
            key = "id" if name == "opened" else "ticket_id"
            named: dict[str, Any] = {key: number}
            world.did("ana", event, ago=hours * HOUR, **named)

    ticket("1", opened=9, solved=8, closed=7)
    ticket("2", opened=9)
    ticket("3", opened=9, solved=8, reopened=7)
    ticket("4", opened=9, solved=8, reopened=7, solved_=6, closed=5)
    ticket("5", closed=4)
    assert rows(world, "tickets", "ticket_id", "opened_at", "solved_at", "reopened") == [
        ("1", NOW - 9 * HOUR, NOW - 8 * HOUR, 0),
        ("2", NOW - 9 * HOUR, None, 0),
        ("3", NOW - 9 * HOUR, None, 1),
        ("4", NOW - 9 * HOUR, NOW - 6 * HOUR, 1),
        ("5", NOW - 4 * HOUR, NOW - 4 * HOUR, 0),
    ]


def test_a_relation_is_made_once_and_only_when_asked_for(world: TraitWorld) -> None:
    world.resolve()
    asked: list[str] = []

    class Watched:
        def execute(self, query: str, parameters: object = None, /) -> Any:
            asked.append(" ".join(query.split())[:60])
            return world.customers.connection.execute(query, parameters)

    relations = Relations(Watched(), Scope(world.rules, NOW))  # type: ignore[arg-type]
    relations.provide(["line_items"])
    relations.provide(["purchases", "line_items", "events"])
    made = [query.split()[3] for query in asked if query.startswith("CREATE TEMP")]
    assert made == ['"events"', '"purchases"', '"line_items"']
    relations.drop()
    assert [query for query in asked if query.startswith("DROP")] == [
        'DROP TABLE "line_items"',
        'DROP TABLE "purchases"',
        'DROP VIEW "events"',
    ]
