"""What the models of repeat buying need to know of people: how often they came back, when last, since when known.

A purchase is here a day, in the project's time zone, on which somebody ordered something: orders of one day are one
decision to buy, and their values are summed. Values that are negative or not known say nothing and are left out of
sums and means; nought is a value. Numbers are exact whatever order rows come in, so that equal data give equal models.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millstream.state.store import Connection, read_arrow

if TYPE_CHECKING:
    import pyarrow as pa

Numbers: TypeAlias = NDArray[np.float64]

DAYS_A_WEEK = 7.0
_TABLE = "value_purchase_days"

# Decimals are summed without rounding, in whatever order; no price is above the bound, and a broken one is not summed.
_PURCHASE_DAYS = f"""
CREATE OR REPLACE TEMP TABLE {_TABLE} AS
SELECT profile_id, CAST(happened_at AT TIME ZONE $timezone AS DATE) AS bought_on,
    sum(CASE WHEN value BETWEEN 0 AND 1e15 THEN CAST(value AS DECIMAL(38, 8)) END) AS value
FROM purchases GROUP BY 1, 2
"""

_SUMMARY = f"""
WITH firsts AS (
    SELECT profile_id, min(bought_on) AS first_day FROM {_TABLE} GROUP BY profile_id
    HAVING min(bought_on) <= CAST($until AS DATE)
)
SELECT d.profile_id,
    CAST(count(*) FILTER (WHERE bought_on <= CAST($until AS DATE)) - 1 AS BIGINT) AS repeats,
    CAST(max(bought_on) FILTER (WHERE bought_on <= CAST($until AS DATE)) - first_day AS BIGINT) AS recency,
    CAST(CAST($until AS DATE) - first_day AS BIGINT) AS age,
    count(d.value) FILTER (WHERE bought_on <= CAST($until AS DATE)) AS paid,
    CAST(sum(d.value) FILTER (WHERE bought_on <= CAST($until AS DATE)) AS DOUBLE) AS spent,
    count(d.value) FILTER (WHERE bought_on > first_day AND bought_on <= CAST($until AS DATE)) AS repeats_paid,
    CAST(sum(d.value) FILTER (WHERE bought_on > first_day AND bought_on <= CAST($until AS DATE)) AS DOUBLE)
        AS repeats_spent,
    count(*) FILTER (WHERE bought_on > CAST($until AS DATE)) AS later,
    count(d.value) FILTER (WHERE bought_on > CAST($until AS DATE)) AS later_paid,
    CAST(sum(d.value) FILTER (WHERE bought_on > CAST($until AS DATE)) AS DOUBLE) AS later_spent
FROM {_TABLE} AS d JOIN firsts AS f ON f.profile_id = d.profile_id
GROUP BY d.profile_id, first_day
ORDER BY d.profile_id
"""


@dataclass(frozen=True)
class Histories:
    """How people bought, a row a person or a row for all people alike. Times are in weeks.

    Attributes:
        repeats: Purchases after the first.
        recency: Time from the first purchase to the last; 0 for who bought once.
        age: Time from the first purchase until now.
        people: How many people the row stands for.
    """

    repeats: Numbers
    recency: Numbers
    age: Numbers
    people: Numbers

    def __len__(self) -> int:
        return len(self.repeats)


@dataclass(frozen=True)
class Buyers:
    """Everybody who bought until a day, ordered by ``profile_id``; a position of each array is a person.

    Attributes:
        profile_id: Who.
        repeats: Purchases after the first, until that day.
        recency: Days from the first purchase to the last until that day.
        age: Days from the first purchase until that day.
        paid: Purchases whose value is known.
        spent: What they came to.
        repeats_paid: Purchases after the first whose value is known.
        repeats_spent: What they came to.
        later: Purchases after that day.
        later_paid: Those of them whose value is known.
        later_spent: What they came to.
    """

    profile_id: pa.ChunkedArray
    repeats: Numbers
    recency: Numbers
    age: Numbers
    paid: Numbers
    spent: Numbers
    repeats_paid: Numbers
    repeats_spent: Numbers
    later: Numbers
    later_paid: Numbers
    later_spent: Numbers

    def __len__(self) -> int:
        return len(self.repeats)

    def grouped(self, chosen: NDArray[np.bool_] | None = None) -> tuple[Histories, NDArray[np.intp]]:
        """The histories that there are, each once, and which of them everybody has.

        Args:
            chosen: Whose; everybody's when left out.
        """
        columns = [column if chosen is None else column[chosen] for column in (self.age, self.recency, self.repeats)]
        key = np.zeros(len(columns[0]), dtype=np.int64)
        for column in columns:
            key = key * (int(column.max(initial=0.0)) + 1) + column.astype(np.int64)
        _, first, back, people = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        age, recency, repeats = (column[first] for column in columns)
        return Histories(repeats, recency / DAYS_A_WEEK, age / DAYS_A_WEEK, people.astype(np.float64)), back


class PurchaseDays:
    """The days on which people bought, kept in a temporary table of the connection while it is open."""

    def __init__(self, connection: Connection, timezone: str) -> None:
        """Make the table of the relation ``purchases``.

        Args:
            connection: An open store with that relation.
            timezone: Where a day begins and ends, as ``Europe/Paris``.
        """
        self._connection = connection
        connection.execute(_PURCHASE_DAYS, {"timezone": timezone})

    def __enter__(self) -> PurchaseDays:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.execute(f"DROP TABLE IF EXISTS {_TABLE}")

    def first(self) -> date | None:
        """The day of the first purchase of all."""
        row = self._connection.execute(f"SELECT min(bought_on) FROM {_TABLE}").fetchone()
        return row[0] if row else None

    def buyers(self, until: date) -> Buyers:
        """Everybody who bought on that day or earlier."""
        table = read_arrow(self._connection, _SUMMARY, {"until": until})
        names = table.column_names[1:]
        columns = {name: np.nan_to_num(table[name].to_numpy().astype(np.float64)) for name in names}
        return Buyers(profile_id=table["profile_id"], **columns)
