"""The past as it was known at a moment: relations made of nothing later, for a sample of people to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from millstream.state.sql import literal, quoted
from millstream.state.store import read_arrow, read_batches
from millstream.state.traits.prediction.features import Feature, known_at, select
from millstream.state.traits.relation_queries import NOT_BEHAVIOUR, Scope
from millstream.state.traits.relations import RELATIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.traits.contract import Context

Numbers = NDArray[np.float64]

MOST_PEOPLE = 30_000
"""People to learn from, each at up to five moments: chosen by a hash of their ids, so the same ones in each run."""

CHUNK = 50_000
"""People that are predicted at a time."""

_EVENTS = "prediction_events"
_REMADE = ("purchases", "messages", "tickets", "survey_answers")


@dataclass(frozen=True)
class People:
    """People with what is known of them.

    Attributes:
        profile_ids: Who they are, in order.
        features: A row a person and a column a feature; NaN where nothing is known.
    """

    profile_ids: list[str]
    features: Numbers


@contextmanager
def sampled(context: Context, population: str) -> Iterator[datetime | None]:
    """Keep the events of a sample of a relation's people at hand.

    Gives:
        When the relation's history of them begins, None where there is none.
    """
    context.connection.execute(
        f"""
        CREATE TEMP TABLE {_EVENTS} AS
        WITH chosen AS (
            SELECT profile_id FROM (SELECT DISTINCT profile_id FROM {quoted(population)}) AS everybody
            ORDER BY md5(profile_id), profile_id LIMIT {MOST_PEOPLE}
        )
        SELECT events.* FROM events JOIN chosen ON chosen.profile_id = events.profile_id
        """
    )
    try:
        row = context.connection.execute(f"SELECT min(happened_at) FROM {quoted(population)}").fetchone()
        yield row[0].astimezone(UTC) if row and row[0] else None
    finally:
        context.connection.execute(f"DROP TABLE {_EVENTS}")


def people_at(context: Context, features: Sequence[Feature], population: str, moment: datetime) -> People:
    """The sampled people of a relation, as a moment knew them."""
    table = read_arrow(
        context.connection,
        f"WITH {_relations(context, moment)} {select(features, population)}",
        known_at(moment),
    )
    return _people(table, features)


def everybody_now(context: Context, features: Sequence[Feature], population: str) -> Iterator[People]:
    """All people of a relation as the time of the run knows them, some at a time.

    Run nothing else on the connection meanwhile.
    """
    for batch in read_batches(context.connection, select(features, population), known_at(context.as_of), rows=CHUNK):
        yield _people(batch, features)


def bought_between(context: Context, begin: datetime, end: datetime) -> set[str]:
    """The sampled people who bought after a moment. An order that was known at it is not bought again later."""
    rows = context.connection.execute(
        f"""
        WITH everything AS ({_remade("purchases", _EVENTS, context, context.as_of)}),
        known AS ({_remade("purchases", _until(begin), context, begin)})
        SELECT DISTINCT everything.profile_id FROM everything LEFT JOIN known
          ON known.profile_id = everything.profile_id AND known.order_id = everything.order_id
        WHERE everything.happened_at > $begin AND everything.happened_at <= $end AND known.order_id IS NULL
        """,
        {"begin": begin, "end": end},
    ).fetchall()
    return {str(profile_id) for (profile_id,) in rows}


def did_between(context: Context, event: str, begin: datetime, end: datetime) -> set[str]:
    """The sampled people who did something after a moment."""
    rows = context.connection.execute(
        f"""
        SELECT DISTINCT profile_id FROM {_EVENTS}
        WHERE name = $event AND happened_at > $begin AND happened_at <= $end
        """,
        {"event": event, "begin": begin, "end": end},
    ).fetchall()
    return {str(profile_id) for (profile_id,) in rows}


def _until(moment: datetime) -> str:
    time = literal(moment.astimezone(UTC).isoformat(timespec="microseconds"))
    return f"(SELECT * FROM {_EVENTS} WHERE happened_at <= CAST({time} AS TIMESTAMPTZ))"


def _relations(context: Context, moment: datetime) -> str:
    """The relations that features read, made of the sampled people's events up to a moment; names hide the run's."""
    others = ", ".join(literal(name) for name in NOT_BEHAVIOUR)
    made = [
        f"events AS {_until(moment)}",
        f"behaviour AS (SELECT * FROM events WHERE name NOT IN ({others}))",
        *(f"{name} AS ({_sql(name, context, moment)})" for name in _REMADE),
    ]
    return ", ".join(made)


def _remade(name: str, events: str, context: Context, moment: datetime) -> str:
    return f"WITH events AS (SELECT * FROM {events} AS known_events) {_nested(_sql(name, context, moment))}"


def _nested(sql: str) -> str:
    return f"SELECT * FROM ({sql}) AS made"


def _sql(name: str, context: Context, moment: datetime) -> str:
    return RELATIONS[name].sql(context.connection, Scope(context.rules, moment))


def _people(table: pa.Table | pa.RecordBatch, features: Sequence[Feature]) -> People:
    columns: list[Numbers] = [
        np.asarray(table.column(feature.name).to_numpy(zero_copy_only=False), np.float64) for feature in features
    ]
    # Sums of money differ in their last digits by the order they are added in.
    return People(table.column("profile_id").to_pylist(), np.column_stack(columns).round(6))
