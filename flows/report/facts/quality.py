"""Quality of the data: how much passes each kind of check, where it does not, and days with odd counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from millstream.flows.report.facts.reader import Reader

_HISTORY, _COUNTS = timedelta(days=180), timedelta(days=60)
_WORST = 12


@dataclass(frozen=True)
class Checked:
    """How many things were checked for one thing, and how many failed.

    Attributes:
        dimension: completeness, validity, uniqueness, freshness, consistency, conformance or integrity.
        source: Where they come from.
        checked: How many were looked at.
        failed: How many of them were wrong.
        score: The share that is good, from 0 to 1.
    """

    dimension: str
    source: str
    checked: int
    failed: int
    score: float


@dataclass(frozen=True)
class Subject:
    """One thing that is checked, as a trait or an event, and what is wrong with it."""

    dimension: str
    source: str
    subject: str
    checked: int
    failed: int
    score: float


@dataclass(frozen=True)
class DailyCount:
    """Rows of a day, and how many there should have been."""

    day: date
    source: str
    name: str
    rows: int
    expected: float | None
    anomaly: bool


@dataclass(frozen=True, kw_only=True)
class QualityFacts:
    """How good the data are.

    Attributes:
        as_of: When they were last looked at.
        checked: By dimension and source.
        worst: The subjects with most failures.
        history: Day, dimension and score.
        counts: Rows by day and source, all kinds added up.
        anomalies: Days with far more or fewer rows than usual, latest first.
    """

    as_of: datetime | None
    checked: tuple[Checked, ...]
    worst: tuple[Subject, ...]
    history: tuple[tuple[date, str, float], ...]
    counts: tuple[tuple[date, str, int], ...]
    anomalies: tuple[DailyCount, ...]


def read_quality(reader: Reader, *, as_of: datetime) -> QualityFacts | None:
    """The last audit and its history; None before the first one."""
    if not reader.has("customers.quality"):
        return None
    (latest,) = reader.row("SELECT max(as_of) FROM customers.quality")
    if latest is None:
        return None
    return QualityFacts(
        as_of=latest,
        checked=tuple(_checked(reader, latest)),
        worst=tuple(_worst(reader, latest)),
        history=tuple(_history(reader, as_of - _HISTORY)),
        counts=tuple(_counts(reader, (as_of - _COUNTS).date())),
        anomalies=tuple(_anomalies(reader, (as_of - _COUNTS).date())),
    )


def _checked(reader: Reader, latest: datetime) -> list[Checked]:
    rows = reader.rows(
        """
        SELECT dimension, source, CAST(sum(checked) AS BIGINT), CAST(sum(failed) AS BIGINT)
        FROM customers.quality WHERE as_of = CAST(? AS TIMESTAMPTZ)
        GROUP BY dimension, source HAVING sum(checked) > 0 ORDER BY dimension, source
        """,
        [latest],
    )
    return [
        Checked(dimension, source, checked, failed, 1 - failed / checked) for dimension, source, checked, failed in rows
    ]


def _worst(reader: Reader, latest: datetime) -> list[Subject]:
    rows = reader.rows(
        f"""
        SELECT dimension, source, subject, checked, failed, score FROM customers.quality
        WHERE as_of = CAST(? AS TIMESTAMPTZ) AND failed > 0
        ORDER BY score, failed DESC, dimension, source, subject LIMIT {_WORST}
        """,
        [latest],
    )
    return [Subject(*row) for row in rows]


def _history(reader: Reader, since: datetime) -> list[tuple[date, str, float]]:
    """The last look of each day."""
    rows = reader.rows(
        """
        SELECT CAST(one.as_of AS DATE) AS day, one.dimension, CAST(sum(one.checked) AS BIGINT),
               CAST(sum(one.failed) AS BIGINT)
        FROM customers.quality AS one JOIN (
            SELECT CAST(as_of AS DATE) AS day, max(as_of) AS as_of FROM customers.quality
            WHERE as_of > CAST(? AS TIMESTAMPTZ) GROUP BY 1
        ) AS latest ON latest.as_of = one.as_of
        GROUP BY 1, 2 HAVING sum(one.checked) > 0 ORDER BY 1, 2
        """,
        [since],
    )
    return [(day, dimension, 1 - failed / checked) for day, dimension, checked, failed in rows]


def _counts(reader: Reader, since: date) -> list[tuple[date, str, int]]:
    if not reader.has("customers.daily_counts"):
        return []
    return [
        (day, str(source), int(rows))
        for day, source, rows in reader.rows(
            """
            SELECT day, source, sum(rows) FROM customers.daily_counts
            WHERE kind = 'events' AND day >= ? GROUP BY 1, 2 ORDER BY 1, 2
            """,
            [since],
        )
    ]


def _anomalies(reader: Reader, since: date) -> list[DailyCount]:
    if not reader.has("customers.daily_counts"):
        return []
    rows = reader.rows(
        """
        SELECT day, source, CASE name WHEN '' THEN stream ELSE name END AS what, rows, expected, anomaly
        FROM customers.daily_counts WHERE anomaly AND day >= ? ORDER BY day DESC, source, what LIMIT 50
        """,
        [since],
    )
    return [DailyCount(*row) for row in rows]
