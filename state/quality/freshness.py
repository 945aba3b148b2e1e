"""Freshness: values of people that nobody confirmed lately, old records, and streams that fell silent."""

from __future__ import annotations

from datetime import UTC, timedelta

from millstream.state.quality.looking import PEOPLE, Finding, Look, found
from millstream.state.sql import literal

_SILENT_AFTER = 3
"""A stream is silent after so many times its usual gap between days with news, ..."""
_LOOKED_BACK = 60
"""Days up to its last news by which a stream's usual gap is told, however long ago they are."""
_LEAST_SILENCE = 2
"""... and after so many whole days at the least."""


def freshness(look: Look) -> list[Finding]:
    """By trait, by stream, and by stream again whether it is still alive."""
    return [
        *found("freshness", _of_traits(look)),
        *found("freshness", _of_records(look)),
        *found("freshness", _of_streams(look)),
    ]


def _of_traits(look: Look) -> list[tuple[object, ...]]:
    """What describing counted last: values whose lifetime is over."""
    return look.rows(
        f"""
        SELECT {literal(PEOPLE)}, trait, profiles, profiles - fresh FROM customers.trait_freshness
        WHERE as_of = (SELECT max(as_of) FROM customers.trait_freshness) AND lifetime_days IS NOT NULL ORDER BY trait
        """
    )


def _of_records(look: Look) -> list[tuple[object, ...]]:
    """Records that their source has not touched for long."""
    return look.rows(
        """
        SELECT source, stream, count(*), count(CASE WHEN observed_at < CAST(? AS TIMESTAMPTZ) THEN 1 END)
        FROM customers.records WHERE NOT deleted GROUP BY source, stream ORDER BY source, stream
        """,
        look.as_of - timedelta(days=look.rules.old_after_days),
    )


def _of_streams(look: Look) -> list[tuple[object, ...]]:
    """One check a stream of the project: is the time since its last news in keeping with its usual gaps?"""
    today = look.as_of.astimezone(UTC).date()
    rows = look.rows(
        f"""
        WITH known AS (
            SELECT DISTINCT source, stream, day FROM customers.daily_counts WHERE rows > 0 AND day < CAST(? AS DATE)
        ),
        lasts AS (SELECT source, stream, max(day) AS last_day FROM known GROUP BY source, stream),
        days AS (
            SELECT known.source, known.stream, known.day FROM known
            JOIN lasts ON lasts.source = known.source AND lasts.stream = known.stream
            WHERE known.day > lasts.last_day - {_LOOKED_BACK}
        ),
        gaps AS (
            SELECT source, stream, day, day - lag(day) OVER (PARTITION BY source, stream ORDER BY day) AS gap FROM days
        ),
        streams AS (
            SELECT source, stream, max(day) AS last_day, quantile_cont(gap, 0.5) AS usual_gap, count(gap) AS gaps
            FROM gaps GROUP BY source, stream
        )
        SELECT source, stream,
               CASE WHEN CAST(? AS DATE) - 1 - last_day > greatest({_LEAST_SILENCE}, {_SILENT_AFTER} * usual_gap)
                    THEN 1 ELSE 0 END
        FROM streams WHERE gaps >= 7 ORDER BY source, stream
        """,
        today,
        today,
    )
    declared = {(stream.source, stream.name) for stream in look.streams}
    return [(source, f"{stream}.news", 1, silent) for source, stream, silent in rows if (source, stream) in declared]
