"""Audiences: how large they are, how that changes, and how much they overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from millstream.flows.report.facts.reader import Reader
from millstream.flows.report.numbers import SMALLEST_GROUP
from millstream.state.audiences.overlap import OverlapMatrix, overlap

LARGEST = 12
"""Audiences whose overlaps are told: more cannot be read in one picture, and small ones are not told of."""
_WEEK, _HISTORY = timedelta(days=7), timedelta(days=180)


@dataclass(frozen=True, kw_only=True)
class AudienceFacts:
    """One audience of the project.

    Attributes:
        name: Its name.
        description: The project's words.
        size: Members now.
        entered: Who came in the last seven days and is or was in it.
        left: Who left in the last seven days.
        before: Members seven days ago; None where it was not computed then.
        rule_since: From when on the rule that holds was used; None where that was not kept.
    """

    name: str
    description: str
    size: int
    entered: int
    left: int
    before: int | None
    rule_since: datetime | None


@dataclass(frozen=True, kw_only=True)
class AudiencesFacts:
    """All audiences of the project.

    Attributes:
        audiences: The largest first.
        anybody: People who are in at least one.
        sizes: Audience, day and its size at the end of that day, of the last half year.
        overlap: How many people are in both of two of the largest audiences.
    """

    audiences: tuple[AudienceFacts, ...]
    anybody: int
    sizes: tuple[tuple[str, date, int], ...]
    overlap: OverlapMatrix


def read_audiences(reader: Reader, described: Mapping[str, str], *, as_of: datetime) -> AudiencesFacts | None:
    """The project's audiences; None where none was computed yet.

    Args:
        reader: The store.
        described: Names and descriptions, from the project file.
        as_of: The time of the report.
    """
    if not described or not reader.has("customers.memberships"):
        return None
    counts = _counts(reader, as_of)
    if not counts and not reader.has("customers.audience_sizes"):
        return None
    since = _rules(reader)
    found = [
        _audience(name, words, counts.get(name), since.get(name), as_of - _WEEK) for name, words in described.items()
    ]
    found.sort(key=lambda one: (-one.size, one.name))
    largest = [one.name for one in found if one.size >= SMALLEST_GROUP][:LARGEST]
    (anybody,) = reader.row(
        f"""
        SELECT count(DISTINCT profile_id) FROM customers.memberships
        WHERE left_at IS NULL AND audience IN ({_marks(described)})
        """,
        list(described),
    )
    return AudiencesFacts(
        audiences=tuple(found),
        anybody=anybody,
        sizes=tuple(_sizes(reader, described, as_of - _HISTORY)),
        overlap=overlap(reader.connection, largest),
    )


def _counts(reader: Reader, as_of: datetime) -> dict[str, tuple[int, int, int, int, datetime]]:
    rows = reader.rows(
        """
        SELECT audience, count(*) FILTER (WHERE left_at IS NULL) AS size,
               count(*) FILTER (WHERE entered_at > CAST($week AS TIMESTAMPTZ)) AS entered,
               count(*) FILTER (WHERE left_at > CAST($week AS TIMESTAMPTZ)) AS left_count,
               count(*) FILTER (
                   WHERE entered_at <= CAST($week AS TIMESTAMPTZ)
                     AND (left_at IS NULL OR left_at > CAST($week AS TIMESTAMPTZ))
               ) AS earlier,
               min(entered_at) AS began
        FROM customers.memberships GROUP BY audience
        """,
        {"week": as_of - _WEEK},
    )
    return {name: (size, entered, left, before, began) for name, size, entered, left, before, began in rows}


def _rules(reader: Reader) -> dict[str, datetime]:
    """Since when each audience's present rule holds."""
    if not reader.has("customers.audience_rules"):
        return {}
    rows = reader.rows("SELECT audience, max(first_as_of) FROM customers.audience_rules GROUP BY audience")
    return {str(name): since for name, since in rows}


def _audience(
    name: str,
    description: str,
    counts: tuple[int, int, int, int, datetime] | None,
    rule_since: datetime | None,
    week_ago: datetime,
) -> AudienceFacts:
    size, entered, left, before, began = counts or (0, 0, 0, 0, None)
    return AudienceFacts(
        name=name,
        description=description,
        size=size,
        entered=entered,
        left=left,
        before=before if began and began <= week_ago else None,
        rule_since=rule_since,
    )


def _sizes(reader: Reader, names: Mapping[str, str], since: datetime) -> list[tuple[str, date, int]]:
    """The last size of each day."""
    if not reader.has("customers.audience_sizes"):
        return []
    rows = reader.rows(
        """
        SELECT audience, day, size FROM (
            SELECT audience, CAST(as_of AS DATE) AS day, size,
                   row_number() OVER (PARTITION BY audience, CAST(as_of AS DATE) ORDER BY as_of DESC) AS place
            FROM customers.audience_sizes WHERE as_of > ?
        ) AS numbered WHERE place = 1 ORDER BY audience, day
        """,
        [since],
    )
    return [(str(name), day, size) for name, day, size in rows if name in names]


def _marks(names: Mapping[str, str]) -> str:
    return ", ".join("?" for _ in names)
