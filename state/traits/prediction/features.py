"""What is known of somebody at a moment, as numbers: for moments to learn from and for now by the same SQL.

The SELECT reads the relations of trait sets by their names. It looks at nothing later than the moment by itself, and
``history.py`` gives it relations that were made of nothing later, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from millstream.state.sql import literal, quoted

SPANS = (7, 30, 90, 365)
"""Days back from a moment that things are counted in."""

INPUTS = ("events", "purchases", "behaviour", "messages", "tickets", "survey_answers")
"""The relations that features are made of."""


@dataclass(frozen=True)
class Feature:
    """A number that is known of a person at a moment.

    Attributes:
        name: Its column.
        words: What it is, as part of a sentence.
        relation: The relation whose rows it is made of.
        sql: The aggregate over a person's rows.
        is_count: Whether those without any row have 0; other features are unknown for them.
    """

    name: str
    words: str
    relation: str
    sql: str
    is_count: bool = False


def _since(moment: str) -> str:
    """Days from a point in time to the moment."""
    return f"($moment_seconds - CAST(extract(epoch FROM {moment}) AS DOUBLE)) / 86400.0"


def _counted(name: str, words: str, relation: str, spans: Sequence[int], where: str = "TRUE") -> tuple[Feature, ...]:
    return tuple(
        Feature(
            f"{name}_{days}",
            f"{words} in the last {days} days",
            relation,
            f"count(*) FILTER (WHERE {where} AND happened_at > $days_{days})",
            is_count=True,
        )
        for days in spans
    )


_REACTED = "kind IN ('opened', 'clicked', 'tapped')"
_GAP = f"({_since('min(happened_at)')} - {_since('max(happened_at)')}) / nullif(count(*) - 1, 0)"

PURCHASES = (
    Feature("orders", "number of orders", "purchases", "count(*)", is_count=True),
    Feature("revenue", "revenue", "purchases", "coalesce(sum(value), 0)", is_count=True),
    Feature("average_order", "average order", "purchases", "avg(value)"),
    Feature("days_since_order", "days since the last order", "purchases", _since("max(happened_at)")),
    Feature("days_since_first_order", "days since the first order", "purchases", _since("min(happened_at)")),
    Feature("days_between_orders", "days between orders", "purchases", _GAP),
    Feature(
        "overdue",
        "days since the last order compared with the days between orders",
        "purchases",
        f"{_since('max(happened_at)')} / nullif({_GAP}, 0)",
    ),
    *_counted("orders", "orders", "purchases", (30, 90, 365)),
)
OTHERS = (
    Feature("days_known", "days since the first event", "events", _since("min(happened_at)")),
    Feature("actions", "number of actions", "behaviour", "count(*)", is_count=True),
    Feature("days_since_action", "days since the last action", "behaviour", _since("max(happened_at)")),
    *_counted("actions", "actions", "behaviour", SPANS),
    *_counted("received", "messages received", "messages", (30, 90), "kind = 'sent'"),
    *_counted("reactions", "reactions to messages", "messages", (7, 30, 90, 365), _REACTED),
    Feature(
        "days_since_reaction",
        "days since the last reaction to a message",
        "messages",
        _since(f"max(happened_at) FILTER (WHERE {_REACTED})"),
    ),
    Feature(
        "unsubscribed",
        "unsubscriptions and complaints",
        "messages",
        "count(*) FILTER (WHERE kind IN ('unsubscribed', 'complained'))",
        is_count=True,
    ),
    Feature(
        "tickets_90",
        "tickets in the last 90 days",
        "tickets",
        "count(*) FILTER (WHERE opened_at > $days_90)",
        is_count=True,
    ),
    Feature("tickets", "number of tickets", "tickets", "count(*)", is_count=True),
    Feature("nps", "answers to the question about recommending", "survey_answers", "avg(nps_score)"),
    Feature("satisfaction", "satisfaction", "survey_answers", "avg(satisfaction)"),
)
FEATURES = (*PURCHASES, *OTHERS)


def event_features(event: str) -> tuple[Feature, ...]:
    """What is known of a person and one event."""
    named = f"name = {literal(event)}"
    return (
        Feature("of_it", f"times of {event}", "events", f"count(*) FILTER (WHERE {named})", is_count=True),
        Feature(
            "days_since_it",
            f"days since the last {event}",
            "events",
            _since(f"max(happened_at) FILTER (WHERE {named})"),
        ),
        *_counted("of_it", f"times of {event}", "events", SPANS, named),
    )


def select(features: Sequence[Feature], population: str) -> str:
    """The SELECT of ``profile_id`` and the features, by profile_id, for the people of a relation.

    Its values are those of ``known_at``.
    """
    by_relation: dict[str, list[Feature]] = {}
    for feature in features:
        by_relation.setdefault(feature.relation, []).append(feature)
    columns = ", ".join(_column(feature) for feature in features)
    joins = "\n".join(_told(relation, chosen) for relation, chosen in by_relation.items())
    return f"""
        SELECT people.profile_id, {columns}
        FROM (SELECT DISTINCT profile_id FROM {quoted(population)} WHERE happened_at <= $moment) AS people
        {joins}
        ORDER BY people.profile_id
        """


def known_at(moment: datetime) -> Mapping[str, object]:
    """The values of a SELECT of features at a moment."""
    moment = moment.astimezone(UTC)
    spans = {f"days_{days}": moment - timedelta(days=days) for days in SPANS}
    return {"moment": moment, "moment_seconds": moment.timestamp(), **spans}


def _told(relation: str, features: Sequence[Feature]) -> str:
    aggregates = ", ".join(f"{feature.sql} AS {quoted(feature.name)}" for feature in features)
    when = "opened_at" if relation == "tickets" else "happened_at"
    told = f"told_{relation}"
    return f"""
        LEFT JOIN (
            SELECT profile_id, {aggregates} FROM {quoted(relation)} WHERE {when} <= $moment GROUP BY profile_id
        ) AS {told} ON {told}.profile_id = people.profile_id"""


def _column(feature: Feature) -> str:
    name = f"told_{feature.relation}.{quoted(feature.name)}"
    return f"CAST({f'coalesce({name}, 0)' if feature.is_count else name} AS DOUBLE) AS {quoted(feature.name)}"
