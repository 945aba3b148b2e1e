"""Currency conversion: by the rate of the day or the latest before it; as said stays as said; no rate is no value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from millstream.state.audiences.rules import Audience
from millstream.state.audiences.select import select_audiences
from millstream.state.errors import ConfigurationError
from millstream.state.identity import IdentityRules, resolve
from millstream.state.model.currency import CurrencyRules, Rate, _days_of
from millstream.state.profiles.golden import build_profiles
from millstream.state.profiles.rules import SurvivorshipRules
from tests.engines import Engine
from tests.state.event_world import START, EventWorld

RATES = """date,currency,rate
2026-03-01,USD,0.90
2026-02-27,USD,0.80
2026-02-27,GBP,1.20
2026-03-05,usd,0.95
"""


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> Iterator[EventWorld]:
    (tmp_path / "rates.csv").write_text(RATES)
    made = EventWorld(engine.connection(), root=tmp_path, currency=CurrencyRules(base="EUR", rates="rates.csv"))
    yield made
    made.connection.close()


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)


def values(world: EventWorld) -> list[tuple[object, ...]]:
    return world.sql("SELECT value, currency, value_base FROM customers.events ORDER BY happened_at, event_id")


CONVERTED: list[tuple[str | None, date, float | None]] = [
    ("USD", date(2026, 3, 1), 90.0),  # of the day
    ("USD", date(2026, 2, 28), 80.0),  # of the day before
    ("USD", date(2026, 3, 4), 90.0),
    ("usd ", date(2026, 3, 5), 95.0),
    ("USD", date(2026, 3, 12), 95.0),  # seven days old
    ("USD", date(2026, 3, 13), None),  # too old
    ("USD", date(2026, 2, 26), None),  # never from the future
    ("GBP", date(2026, 3, 6), 120.0),
    ("GBP", date(2026, 3, 7), None),
    ("JPY", date(2026, 3, 1), None),
    ("EUR", date(1999, 1, 1), 100.0),
    ("eur", date(2026, 3, 1), 100.0),
    (None, date(2026, 3, 1), 100.0),
    ("", date(2026, 3, 1), 100.0),
]


@pytest.mark.parametrize("currency", ["EUR", "USD", None])
@pytest.mark.parametrize(("value", "kept"), [(float("nan"), None), (float("-inf"), None), (1e300, 1e300)])
def test_what_is_no_amount_is_not_added_up(
    world: EventWorld, value: float, kept: float | None, currency: str | None
) -> None:
    on = _end_of(date(2026, 3, 1))
    world.tell_all([{"name": "buy", "who": "u", "value": value, "currency": currency, "at": on}])
    [(said, _, base)] = values(world)
    assert (said, base) == (kept, None)


def test_a_value_is_converted_by_the_rate_that_held_on_its_day(world: EventWorld) -> None:
    report = world.tell_all(
        [
            {"name": "buy", "who": "u", "value": 100, "currency": currency, "at": _end_of(on)}
            for currency, on, _ in CONVERTED
        ]
    )
    found = world.sql("SELECT currency, CAST(happened_at AS DATE), value, value_base FROM customers.events")
    assert {(currency, on): base for currency, on, _, base in found} == {
        (currency, on): None if base is None else pytest.approx(base) for currency, on, base in CONVERTED
    }
    assert {value for _, _, value, _ in found} == {100.0}
    assert report.unconverted_events == sum(base is None for *_, base in CONVERTED)


def test_the_day_is_that_of_utc(world: EventWorld) -> None:
    early = datetime(2026, 3, 5, 1, tzinfo=UTC)
    world.tell("buy", value=100, currency="USD", at=early - timedelta(hours=2))
    world.tell("buy", value=100, currency="USD", at=early)
    assert [base for *_, base in values(world)] == [pytest.approx(90), pytest.approx(95)]


def test_without_a_base_currency_values_count_as_said(world: EventWorld) -> None:
    world.currency = None
    world.tell("buy", value=100, currency="USD")
    world.tell("look")
    assert sorted(values(world), key=str) == [(100.0, "USD", 100.0), (None, None, None)]


def test_other_rates_convert_what_is_stored_anew(world: EventWorld) -> None:
    world.tell("buy", value=100, currency="USD")
    for text, base in ((RATES.replace("0.90", "0.5"), 50.0), ("date,currency,rate\n", None), (RATES, 90.0)):
        (world.root / "rates.csv").write_text(text)
        assert world.model().rows == 0
        assert [base for *_, base in values(world)] == [base if base is None else pytest.approx(base)]
    world.currency = CurrencyRules(base="USD")
    world.model()
    assert values(world) == [(100.0, "USD", 100.0)]
    world.currency = None
    world.model()
    assert values(world) == [(100.0, "USD", 100.0)]


def test_indirect_rates_are_units_of_the_currency_for_one_of_the_base(world: EventWorld) -> None:
    (world.root / "rates.csv").write_text("date,currency,rate\n2026-03-01,USD,1.25\n")
    world.currency = CurrencyRules(base="EUR", rates="rates.csv", quotation="indirect")
    world.tell("buy", value=100, currency="USD")
    assert [base for *_, base in values(world)] == [pytest.approx(80)]


def test_rates_may_stand_in_a_table_which_need_not_be_there_yet(world: EventWorld) -> None:
    world.currency = CurrencyRules(base="EUR", rates="raw_fx.daily", max_age_days=0)
    world.tell("buy", value=100, currency="USD")
    assert [base for *_, base in values(world)] == [None]
    world.connection.execute("CREATE SCHEMA raw_fx; CREATE TABLE raw_fx.daily (date DATE, currency TEXT, rate DOUBLE)")
    world.connection.execute("INSERT INTO raw_fx.daily VALUES (DATE '2026-03-01', 'USD', 0.7)")
    world.model()
    assert [base for *_, base in values(world)] == [pytest.approx(70)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("date,rate\n2026-03-01,1\n", "rates.csv:1: there is no column currency"),
        ("date,currency,rate\n2026-03-01,USD,1\n03/01/2026,USD,1\n", "rates.csv:3: '03/01/2026' is no date"),
        ("date,currency,rate\n2026-03-01,US,1\n", "rates.csv:2: 'US' is no currency code"),
        ("date,currency,rate\n2026-03-01,USD,0\n", "rates.csv:2: '0' is no rate"),
        ('date,currency,rate\n2026-03-01,USD,"1,1"\n', "rates.csv:2: '1,1' is no rate"),
        ("date,currency,rate\n2026-03-01,USD,nan\n", "rates.csv:2: 'nan' is no rate"),
        ("date,currency,rate\n2026-03-01,USD\n", "rates.csv:2: '' is no rate"),
        ("date,currency,rate\n2026-03-01,USD,1\n2026-03-01,usd,2\n", "rates.csv:3: USD has two rates on 2026-03-01"),
        (None, "cannot be read"),
    ],
)
def test_rates_that_cannot_be_read_are_told_with_their_line(world: EventWorld, text: str | None, told: str) -> None:
    path = world.root / "rates.csv"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        world.model()


@pytest.mark.parametrize(
    "wrong", [{"base": "euro"}, {"base": "EUR", "rates": "rates"}, {"base": "EUR", "rates": "a.b;c"}]
)
def test_rules_that_mean_nothing_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CurrencyRules.model_validate(wrong)


@given(
    days=st.dictionaries(st.integers(0, 60), st.floats(0.1, 10), min_size=1, max_size=8),
    max_age=st.integers(0, 20),
    asked=st.integers(-5, 90),
)
def test_each_day_has_the_latest_rate_that_is_not_too_old(days: dict[int, float], max_age: int, asked: int) -> None:
    begin = date(2026, 1, 1)
    rates = sorted(Rate(code, begin + timedelta(days=day), days[day]) for day in days for code in ("USD", "GBP"))
    of_days = [(one.currency, one.day, one.rate) for one in _days_of(rates, max_age)]
    assert len({(currency, day) for currency, day, _ in of_days}) == len(of_days)
    before = [day for day in days if asked - max_age <= day <= asked]
    wanted = [days[max(before)]] if before else []
    assert [rate for code, day, rate in of_days if (code, day) == ("USD", begin + timedelta(days=asked))] == wanted


def test_audiences_add_up_values_in_the_base_currency(world: EventWorld) -> None:
    world.tell("buy", value=100, currency="USD")
    world.tell("buy", value=100, currency="JPY")
    now = START + timedelta(days=1)
    resolve(world.connection, IdentityRules(), run_id="1", now=now)
    build_profiles(world.connection, SurvivorshipRules(), now=now)

    def size(at_least: float) -> int:
        audience = Audience.model_validate({"rule": {"event": "buy", "value": {"at_least": at_least}}})
        (report,) = select_audiences(world.connection, {"a": audience}, run_id="1", as_of=now)
        return report.size

    assert (size(89), size(91)) == (1, 0)
    world.currency = None
    world.model()
    assert size(200) == 1
