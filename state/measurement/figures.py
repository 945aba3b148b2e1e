"""Key figures by day: what each means, and how it is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from millstream.state.measurement.days import (
    Calendar,
    Numbers,
    counts,
    day_sql,
    over,
    people_within,
    seen_days,
    to_date,
)
from millstream.state.measurement.meanings import SHIPPED, FigureMeaning

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

WINDOW = 30
"""Days up to each one over which rates are told, so that they do not swing with the weekday."""

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Series:
    """A figure on each day of a calendar.

    Attributes:
        figure: Its name.
        meaning: What it is.
        days: The days, in their order.
        numerators: Of each day.
        denominators: Of each day; None for counts and sums.
        scale: What the quotient is multiplied by.
        fingerprint: Of what it is computed by.
        history: Whether it could be computed for past days; else there is only today.
    """

    figure: str
    meaning: FigureMeaning
    days: tuple[date, ...]
    numerators: tuple[float, ...]
    denominators: tuple[float, ...] | None = None
    scale: float = 1.0
    fingerprint: str = ""
    history: bool = True

    def value(self, number: int) -> float | None:
        """The figure of one of the days; None where there is nothing to divide by."""
        if self.denominators is None:
            return self.numerators[number]
        below = self.denominators[number]
        return self.scale * self.numerators[number] / below if below else None

    def first_told(self) -> int | None:
        """The number of the first day of which there is something to tell."""
        told = self.numerators if self.denominators is None else self.denominators
        return next((number for number, value in enumerate(told) if value), None)


class Figures:
    """Computes the shipped figures from what people did.

    Args:
        connection: An open store, with the relations behaviour, purchases, messages and survey_answers.
        rules: Time zone, and when customers have lapsed.
        calendar: The days.
    """

    def __init__(self, connection: Connection, rules: TraitRules, calendar: Calendar) -> None:
        self._connection = connection
        self._rules = rules
        self._calendar = calendar
        self._day = day_sql(rules.timezone)
        told = repr((_VERSION, rules.timezone, rules.purchases, rules.lapsed_days))
        self._fingerprint = hashlib.sha256(told.encode()).hexdigest()[:16]

    def series(self) -> Iterator[Series]:
        """Every figure that can be told of past days. Makes ``measured_active`` and ``measured_bought``."""
        self._see()
        yield from self._of_people()
        yield from self._of_purchases()
        yield from self._of_customers()
        yield from self._of_messages()
        yield from self._of_surveys()

    def _see(self) -> None:
        """Who was active on which day, from where the calendar begins; and who ever bought on which."""
        bought = f"SELECT profile_id, {self._day} AS day FROM purchases"
        seen_days(self._connection, "measured_bought", bought)
        # A day more than the calendar has, since zones differ by less than that.
        since = self._calendar.begin - timedelta(days=1)
        seen_days(
            self._connection,
            "measured_active",
            f"""
            SELECT profile_id, {self._day} AS day FROM behaviour WHERE happened_at >= CAST(? AS TIMESTAMPTZ)
            UNION ALL
            SELECT profile_id, day FROM measured_bought WHERE day >= CAST(? AS DATE)
            """,
            [f"{since} 00:00:00+00", since],
        )

    def _of_people(self) -> Iterator[Series]:
        [new] = counts(
            self._connection,
            f"SELECT {day_sql(self._rules.timezone, 'first_seen')} AS day, CAST(count(*) AS DOUBLE) "
            "FROM customers.profiles WHERE first_seen IS NOT NULL GROUP BY 1",
        )
        known = self._calendar.dense(new)
        yield self._made("people", to_date(known))
        yield self._made("new_people", known)
        self._active = self._within("measured_active", WINDOW)
        yield self._made("active_people_daily", self._within("measured_active", 1))
        yield self._made("active_people_weekly", self._within("measured_active", 7))
        yield self._made("active_people_monthly", self._active)

    def _of_purchases(self) -> Iterator[Series]:
        orders, revenue, valued = (
            self._calendar.dense(counted)
            for counted in counts(
                self._connection,
                f"""
                SELECT {self._day} AS day, CAST(count(*) AS DOUBLE), CAST(sum(value) AS DOUBLE),
                       CAST(count(value) AS DOUBLE)
                FROM purchases GROUP BY 1
                """,
            )
        )
        yield self._made("buyers", self._within("measured_bought", 1))
        yield self._made("orders", orders)
        yield self._made("revenue", revenue)
        yield self._made("average_order", revenue, valued)
        bought_lately = self._within("measured_bought", WINDOW)
        if bought_lately.any():  # where nobody ever bought, 0 % would say that somebody could have
            yield self._made("conversion_rate", bought_lately, self._active)
        [customers] = counts(
            self._connection,
            "SELECT first_day AS day, CAST(count(*) AS DOUBLE) FROM "
            "(SELECT profile_id, min(day) AS first_day FROM measured_bought GROUP BY profile_id) AS firsts GROUP BY 1",
        )
        yield self._made("lifetime_value", to_date(revenue), to_date(self._calendar.dense(customers)))

    def _of_customers(self) -> Iterator[Series]:
        lapsed_days = int(self._rules.lapsed_days)
        [lapsed] = counts(
            self._connection,
            f"""
            SELECT CAST(day + {lapsed_days} AS DATE) AS lapsed_on, CAST(count(*) AS DOUBLE) FROM measured_bought
            WHERE next_day IS NULL OR next_day > day + {lapsed_days} GROUP BY 1
            """,
        )
        customers = self._within("measured_bought", lapsed_days)
        before = np.concatenate([[0.0], customers[:-1]])
        yield self._made("churn_rate", self._calendar.dense(lapsed), before)

    def _of_messages(self) -> Iterator[Series]:
        sent, reactions = (
            over(self._calendar.dense(counted), WINDOW)
            for counted in counts(
                self._connection,
                f"""
                SELECT {self._day} AS day, CAST(count(*) FILTER (WHERE kind = 'sent') AS DOUBLE),
                       CAST(count(*) FILTER (WHERE kind IN ('opened', 'clicked', 'tapped')) AS DOUBLE)
                FROM messages GROUP BY 1
                """,
            )
        )
        yield self._made("engagement_rate", reactions, sent)

    def _of_surveys(self) -> Iterator[Series]:
        balance, answers = (
            over(self._calendar.dense(counted), WINDOW)
            for counted in counts(
                self._connection,
                f"""
                SELECT {self._day} AS day,
                       CAST(count(*) FILTER (WHERE nps_score >= 9) - count(*) FILTER (WHERE nps_score <= 6) AS DOUBLE),
                       CAST(count(*) AS DOUBLE)
                FROM survey_answers WHERE nps_score BETWEEN 0 AND 10 GROUP BY 1
                """,
            )
        )
        yield self._made("net_promoter_score", balance, answers, scale=100.0)

    def _within(self, table: str, days: int) -> Numbers:
        return people_within(self._connection, table, days, self._calendar)

    def _made(
        self, figure: str, numerators: Numbers, denominators: Numbers | None = None, *, scale: float = 1.0
    ) -> Series:
        told = self._calendar.told
        return Series(
            figure=figure,
            meaning=SHIPPED[figure],
            days=tuple(self._calendar.days()),
            numerators=tuple(told(numerators).tolist()),
            denominators=None if denominators is None else tuple(told(denominators).tolist()),
            scale=scale,
            fingerprint=self._fingerprint,
        )


def first_day(connection: Connection, timezone: str, *, today: date, history_days: int) -> date | None:
    """The first day of which there is something to tell, at most so far back; None in an empty store.

    Needs the relation ``events``.
    """
    row = connection.execute(
        f"""
        SELECT min({day_sql(timezone, "moment")}) FROM (
            SELECT min(happened_at) AS moment FROM events
            UNION ALL SELECT min(first_seen) AS moment FROM customers.profiles
        ) AS moments
        """
    ).fetchone()
    if row is None or row[0] is None:
        return None
    found: date = row[0]
    return min(max(found, today - timedelta(days=history_days - 1)), today)
