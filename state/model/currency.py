"""Currency conversion: what events are worth in one base currency, by a table of exchange rates.

An event keeps its value and currency as they were said; ``value_base`` is the same in the base currency, by the rate
of the day (UTC) on which it happened, or the latest before it that is not too old.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from millstream.state.errors import ConfigurationError
from millstream.state.sql import identifier, literal

if TYPE_CHECKING:
    from millstream.state.store import Connection

_CODE = re.compile("[A-Z]{3}")
_TABLE = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_LARGEST_AMOUNT = "1e15"
"""Beyond is no amount in any currency. Neither are infinity and what is no number, which both engines count as more."""
COLUMNS = ("date", "currency", "rate")


class CurrencyRules(BaseModel):
    """The base currency, and where the rates of others come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(description="ISO 4217 code of the currency in which values are added up and compared: EUR.")
    rates: str | None = Field(
        default=None,
        description="Exchange rates with the columns date, currency, rate: a .csv file, whose path starts at the "
        "project file's folder, or a table of the store as schema.table.",
    )
    quotation: Literal["direct", "indirect"] = Field(
        default="direct",
        description="direct: a rate is units of the base for one of the currency (base EUR, USD 0.92). "
        "indirect: units of the currency for one of the base (base EUR, USD 1.09), as the ECB publishes them.",
    )
    max_age_days: int = Field(
        default=7, ge=0, le=366, description="For how many days after its date a rate still counts if none follows."
    )

    @field_validator("base")
    @classmethod
    def _code(cls, value: str) -> str:
        if not _CODE.fullmatch(value):
            raise ValueError("a currency is its ISO 4217 code, three capital letters such as EUR")
        return value

    @field_validator("rates")
    @classmethod
    def _file_or_table(cls, value: str | None) -> str | None:
        if value is not None and not value.lower().endswith(".csv") and not _TABLE.fullmatch(value):
            raise ValueError("rates stand in a file that ends with .csv, or in a table named as schema.table")
        return value

    @property
    def is_file(self) -> bool:
        """Whether the rates stand in a file."""
        return self.rates is not None and self.rates.lower().endswith(".csv")


@dataclass(frozen=True, order=True)
class Rate:
    """Units of the base currency for one of a currency, from a day on."""

    currency: str
    day: date
    rate: float


def value_base_sql(rules: CurrencyRules | None, event: str) -> str:
    """The value of an event in the base currency.

    Without a base it is the value as said. So is a value that names no currency: ratings and counts are no money.
    What is no amount has none: one infinite value would spoil every sum it goes into, and with it everybody's.

    Args:
        rules: The project's.
        event: Name of the events' table in the query, which has ``rates_join`` of the same rules.
    """
    amount = f"CASE WHEN abs({event}.value) <= {_LARGEST_AMOUNT} THEN {event}.value END"
    if rules is None:
        return amount
    return f"""{amount} * CASE WHEN {_currency(event)} IS NULL OR {_currency(event)} = {literal(rules.base)}
        THEN 1 ELSE exchange.rate END"""


def rates_join(rules: CurrencyRules | None, event: str) -> str:
    """The rates of the day that ``value_base_sql`` reads; none or one for each event."""
    if rules is None:
        return ""
    return f"""LEFT JOIN customers.exchange_rates AS exchange
        ON exchange.currency = {_currency(event)} AND exchange.day = CAST({event}.happened_at AS DATE)"""


def _currency(event: str) -> str:
    return f"upper(nullif(trim({event}.currency), ''))"


def keep_rates(connection: Connection, rules: CurrencyRules | None, *, root: Path) -> bool:
    """Read the rates and, where they or the rules are others than before, convert the stored events anew.

    Args:
        connection: An open store with the model's tables, in a transaction.
        rules: The project's; None keeps values as said.
        root: Where the path of a file of rates starts.

    Returns:
        Whether something was different.

    Raises:
        ConfigurationError: The rates cannot be read.
    """
    rates = sorted(read_rates(connection, rules, root=root)) if rules else []
    said = repr((rules.base, rules.max_age_days, rates)) if rules else ""
    wanted = hashlib.sha256(said.encode()).hexdigest()[:16]
    if connection.execute("SELECT fingerprint FROM customers.converted_by").fetchall() == [(wanted,)]:
        return False
    _write_days(connection, rates, rules.max_age_days if rules else 0)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE converted_anew AS
        SELECT event.event_id, {value_base_sql(rules, "event")} AS value_base
        FROM customers.events AS event {rates_join(rules, "event")}
        WHERE event.value IS NOT NULL AND event.value_base IS DISTINCT FROM ({value_base_sql(rules, "event")})
        """
    )
    connection.execute(
        """
        UPDATE customers.events SET value_base = anew.value_base
        FROM converted_anew AS anew WHERE anew.event_id = events.event_id
        """
    )
    connection.execute("DROP TABLE converted_anew; DELETE FROM customers.converted_by")
    connection.execute("INSERT INTO customers.converted_by VALUES (?)", [wanted])
    return True


def _write_days(connection: Connection, rates: Iterable[Rate], max_age_days: int) -> None:
    """One row for each day on which a rate holds, so that an event finds its own by equality."""
    import pyarrow as pa

    from millstream.state.store import write_arrow

    days = list(_days_of(list(rates), max_age_days))
    columns = {
        "currency": pa.array([rate.currency for rate in days], pa.string()),
        "day": pa.array([rate.day for rate in days], pa.date32()),
        "rate": pa.array([rate.rate for rate in days], pa.float64()),
    }
    write_arrow(connection, "exchange_days", pa.table(columns))
    connection.execute("DELETE FROM customers.exchange_rates")
    connection.execute("INSERT INTO customers.exchange_rates SELECT currency, day, rate FROM exchange_days")
    connection.execute("DROP TABLE exchange_days")


def _days_of(rates: list[Rate], max_age_days: int) -> Iterator[Rate]:
    """Each sorted rate on its day and on those after it, up to the next rate or until it is too old."""
    for number, rate in enumerate(rates):
        following = rates[number + 1] if number + 1 < len(rates) else None
        days = max_age_days + 1
        if following and following.currency == rate.currency:
            days = min(days, (following.day - rate.day).days)
        for later in range(days):
            yield Rate(rate.currency, rate.day + timedelta(days=later), rate.rate)


def read_rates(connection: Connection, rules: CurrencyRules, *, root: Path) -> list[Rate]:
    """The rates as units of base for one of each currency.

    A table that is not there yet, since its source was not pulled, has no rates.

    Raises:
        ConfigurationError: There is no such file, a column is missing, or a row cannot be read.
    """
    if rules.rates is None:
        return []
    rows = _file_rows(root / rules.rates) if rules.is_file else _table_rows(connection, rules.rates)
    found: dict[tuple[str, date], Rate] = {}
    for place, row in rows:
        rate = _rate(place, row, rules)
        known = found.setdefault((rate.currency, rate.day), rate)
        if known != rate:
            raise _unreadable(place, f"{rate.currency} has two rates on {rate.day}")
    return list(found.values())


def _file_rows(path: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if lacking:
                raise _unreadable(f"{path.name}:1", f"there is no column {', '.join(lacking)}")
            for row in reader:
                yield f"{path.name}:{reader.line_num}", tuple(row[name] for name in COLUMNS)
    except OSError as error:
        raise ConfigurationError(
            f"The exchange rates {path} cannot be read: {error.strerror}.",
            where="currency.rates",
            remedy="name a file that exists; its path starts at the project file's folder.",
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path.name, f"it is no CSV text in UTF-8 ({error})") from error


def _table_rows(connection: Connection, table: str) -> list[tuple[str, tuple[object, ...]]]:
    from millstream.state.store import column_types

    columns = column_types(connection, *table.split("."))
    if not columns:
        return []
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise _unreadable(table, f"there is no column {', '.join(lacking)}")
    named = ", ".join(f"CAST({identifier(name)} AS TEXT)" for name in COLUMNS)
    return [(table, tuple(row)) for row in connection.execute(f"SELECT {named} FROM {identifier(table)}").fetchall()]


def _rate(place: str, row: tuple[object, ...], rules: CurrencyRules) -> Rate:
    day, currency, rate = (str(value or "").strip() for value in row)
    try:
        on = date.fromisoformat(day[:10])
    except ValueError:
        raise _unreadable(place, f"{day!r:.40} is no date as 2026-01-31") from None
    if not _CODE.fullmatch(currency.upper()):
        raise _unreadable(place, f"{currency!r:.40} is no currency code as USD")
    try:
        number = float(rate)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise _unreadable(place, f"{rate!r:.40} is no rate, a number above 0 with a decimal point")
    return Rate(currency.upper(), on, number if rules.quotation == "direct" else 1 / number)


def _unreadable(place: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The exchange rates cannot be used: {place}: {what}.",
        where="currency.rates",
        remedy=f"give each row {', '.join(COLUMNS)}, as 2026-01-31,USD,0.92.",
    )
