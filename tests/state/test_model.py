"""From raw tables to the customer model: what rows say is written once, rewritten when they change, and never lost."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.state.errors import ConfigurationError
from millstream.state.identity import IdentityRules, KindRule, resolve
from millstream.state.identity.joining import hashed
from millstream.state.model import identifiers
from millstream.state.model.build import ModelReport, build_model
from millstream.state.model.declarations import Consent, Event, Identifier, People, Trait
from millstream.state.model.tracking_plan import PlannedEvent, TrackingPlan
from millstream.state.store import Connection, write_arrow
from tests.engines import Engine

START = datetime(2026, 3, 1, tzinfo=UTC)
normalise = importlib.import_module("millstream.state.identity.normalise")  # its package has a function of that name
NO_PLAN = TrackingPlan()

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("email", pa.string()),
        ("more_emails", pa.string()),
        ("phone", pa.string()),
        ("country", pa.string()),
        ("name", pa.string()),
        ("score", pa.int64()),
        ("rate", pa.float64()),
        ("vip", pa.bool_()),
        ("born", pa.date32()),
        ("joined", pa.timestamp("us", tz="UTC")),
        ("optout", pa.string()),
        ("changed_at", pa.timestamp("us", tz="UTC")),
        ("gone", pa.bool_()),
        ("did", pa.string()),
        ("did_at", pa.timestamp("us", tz="UTC")),
        ("amount", pa.float64()),
        ("note", pa.string()),
        ("_pulled_at", pa.timestamp("us", tz="UTC")),
    ]
)

PEOPLE = People(
    identifiers=(
        Identifier(kind="email", column="email"),
        Identifier(kind="email", column="more_emails", split=";"),
        Identifier(kind="phone", column="phone"),
        Identifier(kind="shop_id", column="id", merges=False),
    ),
    traits=(
        Trait(name="name", column="name"),
        Trait(name="score", column="score", type="number"),
        Trait(name="rate", column="rate", type="number"),
        Trait(name="vip", column="vip", type="boolean"),
        Trait(name="born", column="born", type="date"),
        Trait(name="joined", column="joined", type="timestamp"),
    ),
    consents=(Consent(channel="email", column="optout", statuses={"yes": "denied", "no": "granted"}),),
    events=(
        Event(
            at="did_at",
            name_column="did",
            names={"buy": "Order Completed"},
            properties=("note",),
            value="amount",
            channel="web",
        ),
    ),
    observed_at="changed_at",
    deleted="gone",
    country="country",
)

VISITS = People(
    record="subject",
    identifiers=(Identifier(kind="user_id", column="name"), Identifier(kind="device_id", column="id")),
    events=(Event(at="did_at", name="Visited", properties=("note",)),),
)


@dataclass(frozen=True)
class Table:
    """A stream, as far as the model needs it."""

    name: str = "people"
    primary_key: tuple[str, ...] = ("id",)
    people: People | None = PEOPLE


@dataclass
class Shop:
    """A store with raw tables of the source ``shop``, filled as dlt's merge fills them."""

    connection: Connection
    stream: Table = field(default_factory=Table)
    plan: TrackingPlan = NO_PLAN
    rules: IdentityRules = field(default_factory=IdentityRules)
    account: str | None = None
    now: datetime = START

    def __post_init__(self) -> None:
        columns = ", ".join(
            f'"{name}" {_sql_type(kind)}' for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
        )
        self.connection.execute(f"CREATE SCHEMA raw_shop; CREATE TABLE raw_shop.{self.stream.name} ({columns})")

    def pull(self, *rows: Mapping[str, Any]) -> None:
        """Rows of one pull; a row replaces the one with its id."""
        self.now += timedelta(minutes=1)
        pulled = pa.Table.from_pylist([{**row, "_pulled_at": self.now} for row in rows], SCHEMA)
        write_arrow(self.connection, "pulled", pulled)
        table = f"raw_shop.{self.stream.name}"
        self.connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM pulled)")
        self.connection.execute(f"INSERT INTO {table} SELECT * FROM pulled")

    def model(self) -> ModelReport:
        """Bring the model up to date."""
        self.now += timedelta(minutes=1)
        return build_model(
            self.connection,
            "shop",
            [self.stream],
            plan=self.plan,
            rules=self.rules,
            account=self.account,
            now=self.now,
        )

    def say(self, *rows: Mapping[str, Any]) -> ModelReport:
        """Pull and model."""
        self.pull(*rows)
        return self.model()

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def identifiers(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT kind, value FROM customers.identifiers WHERE kind <> 'shop_id' ORDER BY ALL")

    def events(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT name, original_name, plan_status FROM customers.events ORDER BY event_id")


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    names = {pa.string(): "TEXT", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}
    return names.get(kind, "DATE")


OpenShop = Callable[..., Shop]


@pytest.fixture(scope="session")
def new_shop(engine: Engine) -> OpenShop:
    """Opens an empty store with a raw table; for property tests, which close it after each example."""
    return lambda **facts: Shop(engine.connection(), **facts)


@pytest.fixture
def open_shop(new_shop: OpenShop) -> Iterator[OpenShop]:
    """The same for one test, which need not close it."""
    with ExitStack() as stack:

        def opened(**facts: Any) -> Shop:
            shop = new_shop(**facts)
            stack.callback(shop.connection.close)
            return shop

        yield opened


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop()


# Identifiers


def test_identifiers_are_split_and_normalised(shop: Shop) -> None:
    shop.say(
        {
            "id": "1",
            "email": " Ana.Li@Box.EXAMPLE ",
            "more_emails": "ana@home.web.example; ANA.LI@box.example;;",
            "phone": "020 7946 0958",
            "country": "United Kingdom",
        }
    )
    assert shop.identifiers() == [
        ("email", "ana.li@box.example"),
        ("email", "ana@home.web.example"),
        ("phone", "+442079460958"),
    ]
    assert shop.sql("SELECT value, merges FROM customers.identifiers WHERE kind = 'shop_id'") == [("shop:1", False)]


def test_identifiers_come_with_the_hashes_that_they_are_looked_for_by(shop: Shop) -> None:
    shop.say({"id": "1", "email": "ana@box.example"})
    hashes = f"{hashed('record_id')}, {hashed('value')}"
    kept, made = (
        shop.sql(f"SELECT {columns} FROM customers.identifiers ORDER BY ALL")
        for columns in ("record_hash, value_hash", hashes)
    )
    assert kept == made
    assert kept


def test_what_is_no_identifier_is_left_out(shop: Shop) -> None:
    shop.say({"id": "1", "email": "not an address", "phone": "12"}, {"id": "2", "email": ""}, {"id": "3"})
    assert shop.identifiers() == []
    assert shop.sql("SELECT count(*) FROM customers.records") == [(3,)]


def test_a_text_of_any_length_in_an_identifiers_column_stops_nobody(shop: Shop) -> None:
    chance = random.Random(1)
    texts = ["".join(chance.choices(letters, k=10_000)) for letters in ("0123456789abcdef", "\u4e8c\u4e09\u56db")]
    long = {f"{number}": text for number, text in enumerate(texts)}
    shop.say(*({"id": key, "email": f"ana{key}@box.example", "phone": text} for key, text in long.items()))
    assert shop.identifiers() == [("email", "ana0@box.example"), ("email", "ana1@box.example")]


def test_a_text_of_any_length_names_nobody(open_shop: OpenShop) -> None:
    shop = open_shop(**VISIT_SHOP)
    text = "".join(random.Random(1).choices("0123456789abcdef", k=10_000))
    shop.say(
        {"id": text, "name": "u1", "note": "a", "did_at": START},
        {"id": text, "name": text, "note": "b", "did_at": START},
    )
    assert shop.identifiers() == [("user_id", "u1")]
    assert shop.say({"id": "d", "name": "u" * 600, "note": "c", "did_at": START}).rows == 1
    assert ("user_id", "u" * 600) in shop.identifiers()


def test_a_raw_table_may_mark_its_deleted_rows_by_any_column(shop: Shop) -> None:
    shop.connection.execute("ALTER TABLE raw_shop.people RENAME COLUMN gone TO _deleted")
    shop.stream = replace(shop.stream, people=replace(PEOPLE, deleted="_deleted"))
    told = [("1", "ana@box.example", False), ("2", "ben@box.example", True)]
    for row in told:
        shop.connection.execute(
            "INSERT INTO raw_shop.people (id, email, _deleted, _pulled_at) VALUES (?, ?, ?, ?)", [*row, START]
        )
    shop.model()
    assert shop.sql("SELECT source_key, deleted FROM customers.records ORDER BY source_key") == [
        ("1", False),
        ("2", True),
    ]
    assert shop.identifiers() == [("email", "ana@box.example")]


def test_a_number_without_its_country_is_read_by_the_projects(shop: Shop) -> None:
    row = {"id": "1", "phone": "020 7946 0958"}
    shop.say(row)
    assert shop.identifiers() == []
    shop.rules = IdentityRules(default_country="GB")
    shop.model()
    assert shop.identifiers() == [("phone", "+442079460958")], "numbers read before the change are read anew"


def test_a_changed_row_says_only_what_it_says_now(shop: Shop) -> None:
    shop.say({"id": "1", "email": "ana@box.example", "name": "Ana"}, {"id": "2", "email": "ben@box.example"})
    shop.say({"id": "1", "email": "ana@web.example"})
    assert shop.identifiers() == [("email", "ana@web.example"), ("email", "ben@box.example")]
    assert shop.sql("SELECT * FROM customers.traits") == []


def test_one_address_in_two_spellings_is_written_to_as_its_first_column_says(shop: Shop) -> None:
    shop.say({"id": "1", "email": "Ana.Li+shop@gmail.com", "more_emails": "anali@googlemail.com"})
    found = shop.sql("SELECT value, contact, original FROM customers.identifiers WHERE kind = 'email'")
    assert found == [("anali@gmail.com", "ana.li+shop@gmail.com", "Ana.Li+shop@gmail.com")]


def test_a_vendors_own_ids_mean_a_person_only_within_its_account(shop: Shop) -> None:
    shop.say({"id": "1"})
    found = "SELECT value, contact FROM customers.identifiers"
    assert shop.sql(found) == [("shop:1", "1")]
    shop.account = "main_account"
    shop.model()
    assert shop.sql(found) == [("main_account:1", "1")], "the sources of one account know the same ids"
    shop.rules = IdentityRules(kinds={"shop_id": KindRule()})
    shop.model()
    assert shop.sql(found) == [("1", "1")]


@pytest.mark.parametrize(
    ("before", "after", "spelled"),
    [
        ({}, {"email_providers": False}, "a.li+x@gmail.com"),
        ({"email_providers": False}, {}, "ali@gmail.com"),
        ({}, {"kinds": {"email": {"spelling": "text"}}}, "A.Li+x@gmail.com"),
        ({}, {"kinds": {"email": {"valid": ".*@gmail.com"}}}, "ali@gmail.com"),
        ({}, {"kinds": {"email": {"valid": ".*@box.example"}}}, None),
    ],
)
def test_other_rules_spell_what_was_kept_anew(
    open_shop: OpenShop, shop: Shop, before: dict[str, object], after: dict[str, object], spelled: str | None
) -> None:
    shop.rules = IdentityRules.model_validate(before)
    shop.say({"id": "1", "email": "A.Li+x@gmail.com"})
    shop.rules = IdentityRules.model_validate(after)
    assert shop.model().rows == 1
    assert shop.identifiers() == ([("email", spelled)] if spelled else [])
    shop.rules = IdentityRules.model_validate(before)
    shop.model()
    again = open_shop(rules=shop.rules)
    again.say({"id": "1", "email": "A.Li+x@gmail.com"})
    assert shop.identifiers() == again.identifiers()
    again.connection.close()


def test_a_newer_normaliser_spells_what_was_kept_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.say({"id": "1", "email": "ali@box.example", "phone": "+12025550100"})
    monkeypatch.setattr(normalise, "fold_provider", lambda address: address.replace("li", "lice"))
    assert shop.model().rows == 0, "that nobody raised the version for is not noticed"
    monkeypatch.setattr(normalise, "VERSIONS", {**normalise.VERSIONS, "email": "next"})
    monkeypatch.setattr(identifiers, "VERSIONS", normalise.VERSIONS)
    assert shop.model().rows == 1
    assert shop.identifiers() == [("email", "alice@box.example"), ("phone", "+12025550100")]
    kept = shop.sql("SELECT spelling, value FROM customers.normalised WHERE spelling LIKE 'email%'")
    assert kept == [("email next", "alice@box.example")], "what the one before had spelled is gone"
    assert shop.model().rows == 0


def test_rules_of_kinds_that_a_stream_does_not_say_model_nothing_anew(open_shop: OpenShop) -> None:
    shop = open_shop(**VISIT_SHOP)
    shop.say(*visits(("d1", "u1", "a")))
    shop.rules = IdentityRules(default_country="DE", email_providers=False)
    assert shop.model().rows == 0


def test_an_address_is_made_of_its_parts_and_needs_each_of_them(open_shop: OpenShop) -> None:
    home = Identifier(kind="address", columns=("name", "note"), merges=False)
    shop = open_shop(stream=Table(people=People(identifiers=(home,))))
    shop.say(
        {"id": "1", "name": " Hauptstra\u00dfe 5 ", "note": "10115"},
        {"id": "2", "name": "Hauptstr. 5", "note": "10115"},
        {"id": "3", "name": "Hauptstr. 5", "note": " "},
        {"id": "4", "note": "10115"},
    )
    found = shop.sql("SELECT value, merges, original FROM customers.identifiers ORDER BY record_id")
    assert found == [
        ("hauptstr 5 10115", False, "Hauptstra\u00dfe 5, 10115"),
        ("hauptstr 5 10115", False, "Hauptstr. 5, 10115"),
    ]


@pytest.mark.parametrize("columns", [{}, {"column": "a", "columns": ("b", "c")}])
def test_an_identifier_names_its_column_or_its_columns(columns: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either its column or its columns"):
        Identifier(kind="address", **columns)


# Traits and consents


def test_traits_are_kept_as_text_that_reads_back_as_their_type(shop: Shop) -> None:
    joined = datetime(2025, 7, 1, 23, 30, 0, 125_000, tzinfo=UTC)
    shop.say(
        {
            "id": "1",
            "name": "Zoë",
            "score": 9,
            "rate": 0.1,
            "vip": False,
            "born": date(1999, 2, 28),
            "joined": joined,
            "changed_at": START,
        }
    )
    traits = {
        name: (value, kind, at)
        for name, value, kind, at in shop.sql("SELECT name, value, type, observed_at FROM customers.traits")
    }
    assert {kind for _, kind, _ in traits.values()} == {"text", "number", "boolean", "date", "timestamp"}
    assert {at for _, _, at in traits.values()} == {START}
    read = shop.connection.execute(
        """
        SELECT CAST(? AS DOUBLE), CAST(? AS DOUBLE), CAST(? AS BOOLEAN), CAST(? AS DATE), CAST(? AS TIMESTAMPTZ)
        """,
        [traits[name][0] for name in ("score", "rate", "vip", "born", "joined")],
    ).fetchone()
    assert read == (9.0, 0.1, False, date(1999, 2, 28), joined)
    assert traits["name"][0] == "Zoë"


def test_an_empty_value_is_no_trait(shop: Shop) -> None:
    shop.say({"id": "1", "name": ""})
    assert shop.sql("SELECT * FROM customers.traits") == []


def test_a_row_without_a_time_was_true_when_it_was_pulled(shop: Shop) -> None:
    shop.pull({"id": "1", "name": "Ana"})
    pulled = shop.now
    shop.model()
    assert shop.sql("SELECT observed_at FROM customers.records") == [(pulled,)]


@pytest.mark.parametrize(
    ("said", "status"), [("YES", "denied"), ("no", "granted"), ("maybe", None), ("", None), (None, None)]
)
def test_consents_are_mapped_and_unknown_words_say_nothing(shop: Shop, said: str | None, status: str | None) -> None:
    shop.say({"id": "1", "optout": said})
    found = shop.sql("SELECT channel, topic, status FROM customers.consents")
    assert found == ([("email", "marketing", status)] if status else [])


# Records that go


def test_a_deleted_record_says_nothing_any_more(shop: Shop) -> None:
    shop.say({"id": "1", "email": "ana@box.example", "name": "Ana", "optout": "no", "did": "buy", "did_at": START})
    shop.say(
        {
            "id": "1",
            "email": "ana@box.example",
            "name": "Ana",
            "optout": "no",
            "did": "buy",
            "did_at": START,
            "gone": True,
        }
    )
    assert shop.sql("SELECT deleted FROM customers.records") == [(True,)]
    for table in ("identifiers", "traits", "consents", "events"):
        assert shop.sql(f"SELECT * FROM customers.{table}") == [], table


def test_a_refusal_outlives_its_record(shop: Shop) -> None:
    """Deleting a contact does not take an opt-out back: whom it is about must still be known."""
    shop.say({"id": "1", "email": "ana@box.example", "name": "Ana", "optout": "yes", "gone": True})
    assert shop.identifiers() == [("email", "ana@box.example")]
    assert shop.sql("SELECT status FROM customers.consents") == [("denied",)]
    assert shop.sql("SELECT * FROM customers.traits") == []


def test_a_record_that_comes_back_is_whole_again(shop: Shop) -> None:
    row = {"id": "1", "email": "ana@box.example", "name": "Ana"}
    shop.say(row)
    shop.say({**row, "gone": True})
    shop.say(row)
    assert shop.sql("SELECT deleted FROM customers.records") == [(False,)]
    assert shop.identifiers() == [("email", "ana@box.example")]


# Events


def test_events_carry_who_when_what_and_how_much(shop: Shop) -> None:
    shop.say({"id": "1", "did": "BUY", "did_at": START, "amount": 12.5, "note": "blue"})
    ((name, original, at, value, channel, properties, record),) = shop.sql(
        "SELECT name, original_name, happened_at, value, channel, properties, record_id FROM customers.events"
    )
    assert (name, original, at, value, channel) == ("Order Completed", "Order Completed", START, 12.5, "web")
    assert json.loads(properties) == {"note": "blue"}
    assert record == "shop.people:1"


def test_an_amount_that_is_no_number_is_none(shop: Shop) -> None:
    """As missing ones are written by pandas; one of them would make every sum NaN."""
    for key, amount in {"1": 12.5, "2": float("nan"), "3": float("inf"), "4": float("-inf")}.items():
        shop.say({"id": key, "did": "buy", "did_at": START, "amount": amount})
    assert shop.sql("SELECT sum(value), count(value), count(*) FROM customers.events") == [(12.5, 1, 4)]


def test_a_row_without_a_time_or_a_name_is_no_event(shop: Shop) -> None:
    shop.say({"id": "1", "did": "buy"}, {"id": "2", "did_at": START})
    assert shop.events() == []


def test_an_event_that_changed_is_not_there_twice(shop: Shop) -> None:
    for key in ("1", "2#0", "3#"):
        shop.say({"id": key, "did": "buy", "did_at": START, "amount": 1})
        shop.say({"id": key, "did": "buy", "did_at": START, "amount": 2})
    assert shop.sql("SELECT value, count(*) FROM customers.events GROUP BY value") == [(2.0, 3)]


PLAN = TrackingPlan(
    events={
        "Signed Up": PlannedEvent(aliases=("registered",), required=("note",)),
        "Order Completed": PlannedEvent(),
        "Покупка": PlannedEvent(),
    }
)


@pytest.mark.parametrize(
    ("did", "name", "status"),
    [
        ("signed_up", "Signed Up", "planned"),
        ("signedUp", "Signed Up", "planned"),
        ("SIGN-UP", "Signed Up", "planned"),
        ("SIGN-ON", "SIGN-ON", "unplanned"),
        ("Registered!", "Signed Up", "planned"),
        ("buy", "Order Completed", "planned"),
        ("покупка", "Покупка", "planned"),
        ("возврат", "возврат", "unplanned"),
        ("!!!", "!!!", "unplanned"),
    ],
)
def test_events_take_the_plans_names_and_others_are_kept(open_shop: OpenShop, did: str, name: str, status: str) -> None:
    shop = open_shop(plan=PLAN)
    report = shop.say({"id": "1", "did": did, "did_at": START, "note": "x"})
    original = "Order Completed" if did == "buy" else did
    assert shop.events() == [(name, original, status)]
    assert report.unplanned_events == (status == "unplanned")


def test_an_event_without_a_required_property_is_kept_and_marked(open_shop: OpenShop) -> None:
    shop = open_shop(plan=PLAN)
    report = shop.say({"id": "1", "did": "registered", "did_at": START}, {"id": "2", "did": "buy", "did_at": START})
    assert [status for _, _, status in shop.events()] == ["violating", "planned"]
    assert shop.sql("SELECT violations FROM customers.events ORDER BY event_id") == [(["missing note"],), (None,)]
    assert (report.incomplete_events, report.unplanned_events) == (1, 0)


def test_a_new_plan_names_old_events_anew(open_shop: OpenShop) -> None:
    shop = open_shop(plan=TrackingPlan(standard_events=False))
    shop.say({"id": "1", "did": "registered", "did_at": START, "note": "x"})
    assert shop.events() == [("registered", "registered", "unplanned")]
    shop.plan = PLAN
    assert shop.model().rows == 0, "no row is read again for it"
    assert shop.events() == [("Signed Up", "registered", "planned")]


# Rows that only name somebody


def visits(*rows: tuple[str, str | None, str | None]) -> list[dict[str, Any]]:
    return [{"id": device, "name": user, "note": note, "did_at": START} for device, user, note in rows]


VISIT_SHOP = {"stream": Table("visits", ("id", "note"), VISITS)}
RECEIPTS = replace(VISITS, deleted="gone")
RECEIPT_SHOP = {"stream": Table("receipts", ("note",), RECEIPTS)}


def test_rows_that_name_one_person_are_one_record(open_shop: OpenShop) -> None:
    shop = open_shop(**VISIT_SHOP)
    shop.say(*visits(("d1", "u1", "a"), ("d2", "u1", "b"), ("d3", None, "c")))
    records = shop.sql("SELECT record_id, source_key FROM customers.records ORDER BY ALL")
    assert records == [
        ("shop.visits:device_id:d3", "device_id:d3"),
        ("shop.visits:user_id:u1", "user_id:u1"),
    ]
    assert shop.identifiers() == [("device_id", "d1"), ("device_id", "d2"), ("device_id", "d3"), ("user_id", "u1")]
    assert shop.sql("SELECT record_id, count(*) FROM customers.events GROUP BY ALL ORDER BY ALL") == [
        ("shop.visits:device_id:d3", 1),
        ("shop.visits:user_id:u1", 2),
    ]


def test_rows_that_name_nobody_are_nobodys_events(open_shop: OpenShop) -> None:
    shop = open_shop(**VISIT_SHOP)
    shop.say({"id": "", "note": "a", "did_at": START})
    assert shop.sql("SELECT * FROM customers.records") == []
    assert shop.events() == []


def test_what_a_person_is_known_by_adds_up(open_shop: OpenShop) -> None:
    shop = open_shop(**VISIT_SHOP)
    shop.say(*visits(("d1", "u1", "a")))
    shop.say(*visits(("d2", "u1", "b")))
    assert shop.identifiers() == [("device_id", "d1"), ("device_id", "d2"), ("user_id", "u1")]
    assert shop.sql("SELECT count(*) FROM customers.records") == [(1,)]


def bought(key: str, user: str | None, device: str, **more: Any) -> dict[str, Any]:
    """A row that may be corrected later, unlike a visit: it has a key of its own."""
    return {"note": key, "name": user, "id": device, "did_at": START, **more}


def test_who_a_corrected_row_had_joined_comes_apart(open_shop: OpenShop) -> None:
    shop = open_shop(**RECEIPT_SHOP)
    shop.say(bought("r1", "u1", "d1"), bought("r2", "u1", "D2 "), bought("r3", "u1", "d9"), bought("r4", "u2", "d4"))
    shop.connection.execute("DELETE FROM raw_shop.receipts WHERE note = 'r3'")
    others = shop.sql("SELECT * FROM customers.records WHERE record_id LIKE '%u2'")
    shop.say(bought("r3", "u1", "d3"))
    assert shop.identifiers() == [
        *[("device_id", device) for device in ("D2", "d1", "d3", "d4")],
        *[("user_id", user) for user in ("u1", "u2")],
    ], "the rows that stayed as they are are still heard, each as it is written"
    assert shop.sql("SELECT modelled_at FROM customers.records WHERE record_id LIKE '%u1'") == [(shop.now,)]
    assert shop.sql("SELECT * FROM customers.records WHERE record_id LIKE '%u2'") == others
    assert shop.sql("SELECT count(*) FROM customers.events") == [(4,)]


def test_whom_no_row_names_any_more_is_gone(open_shop: OpenShop) -> None:
    shop = open_shop(**RECEIPT_SHOP)
    shop.say(bought("r1", "u1", "d1"), bought("r2", "u2", "d2"), bought("r3", "u2", "d3", did_at=None))
    shop.connection.execute("DELETE FROM raw_shop.receipts WHERE note IN ('r1', 'r2')")
    shop.say(bought("r1", "u1", "d1", gone=True), bought("r2", "u2", "d2", gone=True))
    assert shop.sql("SELECT source_key, deleted FROM customers.records ORDER BY ALL") == [
        ("user_id:u1", True),
        ("user_id:u2", False),
    ], "a row that tells no event names somebody too"
    assert shop.identifiers() == [("device_id", "d3"), ("user_id", "u2")]
    assert shop.events() == []


def test_nothing_is_forgotten_of_whom_an_event_tells_whose_row_is_gone(open_shop: OpenShop) -> None:
    shop = open_shop(**RECEIPT_SHOP)
    shop.say(bought("r1", "u1", "d1"), bought("r2", "u1", "d2"))
    shop.connection.execute("DELETE FROM raw_shop.receipts")
    shop.say(bought("r1", "u1", "d3"))
    assert shop.identifiers() == [*[("device_id", device) for device in ("d1", "d2", "d3")], ("user_id", "u1")]


def test_whose_events_change_is_described_anew(open_shop: OpenShop) -> None:
    shop = open_shop(stream=Table("receipts", ("note",), replace(RECEIPTS, observed_at="changed_at")))
    rows = [bought(key, user, "d", changed_at=START) for key, user in (("r1", "u1"), ("r2", "u2"), ("r3", "u3"))]
    shop.say(*rows)
    before = shop.now
    shop.connection.execute("DELETE FROM raw_shop.receipts WHERE note IN ('r1', 'r2')")
    shop.say(rows[0], {**rows[1], "did_at": START - timedelta(days=9)})
    assert shop.sql("SELECT source_key, modelled_at FROM customers.records ORDER BY ALL") == [
        ("user_id:u1", before),
        ("user_id:u2", shop.now),
        ("user_id:u3", before),
    ]


# Only what is new, and all of it when that is declared otherwise


def test_only_new_rows_are_modelled(shop: Shop) -> None:
    assert shop.say({"id": "1"}, {"id": "2"}).rows == 2
    before = shop.sql("SELECT record_id, modelled_at FROM customers.records ORDER BY ALL")
    assert shop.model().rows == 0
    assert shop.say({"id": "3"}).rows == 1
    after = shop.sql("SELECT record_id, modelled_at FROM customers.records ORDER BY ALL")
    assert after[:2] == before
    assert after[2][1] == shop.now


def test_a_changed_declaration_models_all_rows_anew(shop: Shop) -> None:
    shop.say({"id": "1", "email": "ana@box.example", "name": "Ana"}, {"id": "2", "name": "Ben"})
    shop.stream = replace(
        shop.stream, people=replace(PEOPLE, identifiers=(), traits=(Trait(name="call", column="name"),))
    )
    assert shop.model().rows == 2
    assert shop.sql("SELECT * FROM customers.identifiers") == []
    assert shop.sql("SELECT name, value FROM customers.traits ORDER BY ALL") == [("call", "Ana"), ("call", "Ben")]


def test_records_that_are_not_said_any_more_are_marked_for_the_graph(open_shop: OpenShop) -> None:
    shop = open_shop(**VISIT_SHOP)
    shop.say(*visits(("d1", "u1", "a")))
    people = replace(VISITS, identifiers=(Identifier(kind="device_id", column="id"),))
    shop.stream = replace(shop.stream, people=people)
    shop.model()
    assert shop.sql("SELECT record_id, deleted, modelled_at FROM customers.records ORDER BY ALL") == [
        ("shop.visits:device_id:d1", False, shop.now),
        ("shop.visits:user_id:u1", True, shop.now),
    ]


def test_a_column_that_the_raw_table_lacks_says_nothing(shop: Shop) -> None:
    shop.connection.execute("ALTER TABLE raw_shop.people DROP COLUMN more_emails")
    shop.connection.execute("ALTER TABLE raw_shop.people DROP COLUMN gone")
    shop.connection.execute(
        "INSERT INTO raw_shop.people (id, email, _pulled_at) VALUES ('1', 'ana@box.example', ?)", [shop.now]
    )
    assert shop.model().rows == 1
    assert shop.identifiers() == [("email", "ana@box.example")]


def test_a_source_that_was_never_pulled_says_nothing(open_shop: OpenShop) -> None:
    connection = open_shop().connection
    report = build_model(connection, "new", [Table()], plan=NO_PLAN, rules=IdentityRules(), now=START)
    assert report == ModelReport()
    assert connection.execute("SELECT count(*) FROM customers.records").fetchone() == (0,)


def test_names_that_look_like_sql_are_only_names(open_shop: OpenShop) -> None:
    shop = open_shop(plan=TrackingPlan(events={"it's'; DROP TABLE x --": PlannedEvent(required=("note",))}))
    shop.say({"id": "1'--", "did": "it's'; drop table x --", "did_at": START, "note": "'"})
    assert shop.events() == [("it's'; DROP TABLE x --", "it's'; drop table x --", "planned")]


# Stores of other versions


def as_version_1(shop: Shop) -> None:
    """Make the tables what they were when there was one spelling of each identifier."""
    for sql in (
        "ALTER TABLE customers.identifiers DROP COLUMN contact",
        "ALTER TABLE customers.identifiers DROP COLUMN record_hash",
        "ALTER TABLE customers.identifiers DROP COLUMN value_hash",
        "DROP TABLE customers.hashed_by",
        "ALTER TABLE customers.events DROP COLUMN value_base",
        "ALTER TABLE customers.events DROP COLUMN violations",
        "DROP TABLE customers.judged_by",
        "DROP TABLE customers.converted_by",
        "DROP TABLE customers.normalised",
        "CREATE TABLE customers.normalised (kind TEXT, country TEXT, original TEXT, value TEXT)",
        "DROP TABLE customers.model_version",
        "UPDATE customers.identifiers SET value = original WHERE record_id LIKE 'shop.%'",
        "UPDATE customers.modelled_streams SET declaration = 'of then'",
    ):
        shop.connection.execute(sql)


def test_a_store_of_the_version_before_is_modelled_anew_and_people_keep_their_ids(shop: Shop) -> None:
    shop.say({"id": "1", "email": "a.li@gmail.com", "name": "Ana"}, {"id": "2", "email": "ben@box.example"})
    shop.connection.execute(
        """
        INSERT INTO customers.records VALUES ('old.people:9', 'old', 'people', '9', $at, false, $at);
        """,
        {"at": START},
    )
    shop.connection.execute(
        "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
        "VALUES ('old.people:9', 'email', 'cy@box.example', 'CY@box.example', true, 'cy@box.example')"
    )
    resolve(shop.connection, shop.rules, run_id="run-1", now=shop.now)
    as_version_1(shop)
    members = "SELECT * FROM customers.members ORDER BY ALL"
    before = shop.sql(members)
    assert len(before) == 3
    assert shop.model().rows == 2
    assert shop.sql("SELECT record_id, value, contact FROM customers.identifiers WHERE kind = 'email' ORDER BY 1") == [
        ("old.people:9", "cy@box.example", "cy@box.example"),
        ("shop.people:1", "ali@gmail.com", "a.li@gmail.com"),
        ("shop.people:2", "ben@box.example", "ben@box.example"),
    ]
    resolve(shop.connection, shop.rules, run_id="run-2", now=shop.now)
    assert shop.sql(members) == before
    assert shop.model().rows == 0, "once is enough"


def test_a_store_of_a_later_version_is_left_alone(shop: Shop) -> None:
    shop.say({"id": "1"})
    shop.connection.execute("UPDATE customers.model_version SET version = 99")
    with pytest.raises(ConfigurationError, match="version 99"):
        shop.model()


# Step by step or all at once: the same model

MODEL = {
    "records": "record_id, source_key, observed_at, deleted",
    "identifiers": "record_id, kind, value, merges",
    "traits": "record_id, name, value, type, observed_at",
    "consents": "record_id, channel, topic, status, observed_at",
    "events": "event_id, record_id, name, original_name, happened_at, value, properties, plan_status",
}


def model_of(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: shop.sql(f"SELECT {columns} FROM customers.{table} ORDER BY ALL") for table, columns in MODEL.items()
    }


people_rows = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["1", "2", "3", "4#0"]),
        "email": st.sampled_from([None, "ana@box.example", "BEN@box.example", "nonsense"]),
        "more_emails": st.sampled_from([None, "ana@box.example;cy@box.example", ";"]),
        "phone": st.sampled_from([None, "+442079460958", "020 7946 0958"]),
        "country": st.sampled_from([None, "GB", "Narnia"]),
        "name": st.sampled_from([None, "", "Ana"]),
        "score": st.sampled_from([None, 0, 9]),
        "optout": st.sampled_from([None, "yes", "no", "?"]),
        "changed_at": st.sampled_from([START, START + timedelta(days=1)]),
        "gone": st.sampled_from([None, False, True]),
        "did": st.sampled_from([None, "buy", "registered", "left"]),
        "did_at": st.sampled_from([None, START]),
        "note": st.sampled_from([None, "x"]),
    }
)
visit_rows = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["d1", "d2", "d3"]),
        "name": st.sampled_from([None, "u1", "u2"]),
        "note": st.sampled_from(["r1", "r2", "r3"]),
        "did_at": st.just(START),
        "gone": st.sampled_from([False, False, True]),
    }
)


def once_each(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({row["id"]: row for row in rows}.values())


@settings(max_examples=20, deadline=None)
@given(
    pulls=st.lists(st.lists(people_rows, max_size=4).map(once_each), min_size=1, max_size=5),
    modelled=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_step_by_step_and_all_at_once_give_the_same_model(
    new_shop: OpenShop, pulls: list[list[dict[str, Any]]], modelled: list[bool]
) -> None:
    steps, whole = new_shop(plan=PLAN), new_shop(plan=PLAN)
    for rows, model_now in zip(pulls, modelled, strict=False):
        steps.pull(*rows)
        if model_now:
            steps.model()
        whole.now = steps.now - timedelta(minutes=1 + model_now)
        whole.pull(*rows)
    steps.model()
    whole.model()
    assert model_of(steps) == model_of(whole)
    for shop in (steps, whole):
        shop.connection.close()


@settings(max_examples=15, deadline=None)
@given(visited=st.lists(st.lists(visit_rows, max_size=4), min_size=1, max_size=5))
def test_rows_that_name_people_add_up_in_any_steps(new_shop: OpenShop, visited: list[list[dict[str, Any]]]) -> None:
    """Also those that name somebody else later, or are deleted."""
    steps, whole = new_shop(**RECEIPT_SHOP), new_shop(**RECEIPT_SHOP)
    for shop, model_now in ((steps, True), (whole, False)):
        for pull in visited:
            shop.now += timedelta(minutes=1)
            _append(shop, pull)
            if model_now:
                shop.model()
        shop.model()
    for table, columns in {
        "identifiers": "record_id, kind, value, merges",
        "records WHERE NOT deleted": "record_id",
        "events": "event_id, record_id, name",
    }.items():
        query = f"SELECT DISTINCT {columns} FROM customers.{table} ORDER BY ALL"
        assert steps.sql(query) == whole.sql(query), table
    for shop in (steps, whole):
        shop.connection.close()


def _append(shop: Shop, rows: list[dict[str, Any]]) -> None:
    """Add the rows that are new by their key, and pull those anew that are not."""
    unique = list({row["note"]: {**row, "_pulled_at": shop.now} for row in rows}.values())
    write_arrow(shop.connection, "pulled", pa.Table.from_pylist(unique, SCHEMA))
    shop.connection.execute("DELETE FROM raw_shop.receipts WHERE note IN (SELECT note FROM pulled)")
    shop.connection.execute("INSERT INTO raw_shop.receipts SELECT * FROM pulled")
