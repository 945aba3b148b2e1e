"""SQL of events: what happened, by a stream's declaration, held against the tracking plan and in one currency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.model.currency import CurrencyRules, rates_join, value_base_sql
from millstream.state.model.declarations import Event, People
from millstream.state.model.judging import MISSING, NOT_ALLOWED, WRONG_TYPE, judged_select
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.sql import case, finite, identifier, literal, union_all

if TYPE_CHECKING:
    from millstream.state.store import Connection


def happened_select(people: People) -> str:
    """Events of the incoming rows, under the vendor's or the connector's names. Binds ``source`` and ``stream``."""
    return union_all(_one_event(people, number, event) for number, event in enumerate(people.events))


def _one_event(people: People, number: int, event: Event) -> str:
    value = finite(f"CAST({identifier(event.value)} AS DOUBLE)") if event.value else "CAST(NULL AS DOUBLE)"
    original = _name(event)
    at = identifier(event.at)
    return f"""
        SELECT _record_id || {literal(f"#{number}")} AS event_id, person.record_id, $source AS source,
            $stream AS stream, {original} AS original_name, CAST({at} AS TIMESTAMPTZ) AS happened_at,
            {value} AS value, {_text(event.currency)} AS currency,
            {literal(event.channel) if event.channel else "CAST(NULL AS TEXT)"} AS channel,
            {_text(event.campaign)} AS campaign, {_properties(event)} AS properties
        FROM incoming JOIN ({_persons(people)}) AS person ON person.row_id = incoming._record_id
        WHERE {at} IS NOT NULL AND NOT _is_deleted AND {_when(event)} AND {original} IS NOT NULL"""


def _properties(event: Event) -> str:
    columns = ", ".join(f"{literal(name)}, {identifier(name)}" for name in event.properties)
    if event.properties_from is None:
        return f"json_object({columns})"
    members = f"coalesce(CAST({identifier(event.properties_from)} AS JSON), CAST('{{}}' AS JSON))"
    return f"json_merge_patch(json_object({columns}), {members})"


def _persons(people: People) -> str:
    """The record each incoming row is about."""
    if people.record == "row":
        return "SELECT _record_id AS row_id, _record_id AS record_id FROM incoming"
    return "SELECT row_id, min(record_id) AS record_id FROM said GROUP BY row_id"


def _name(event: Event) -> str:
    if event.name:
        return literal(event.name)
    column = f"CAST({identifier(event.name_column or '')} AS TEXT)"
    return case(f"lower({column})", dict(event.names), otherwise=column)


def _when(event: Event) -> str:
    if event.when is None:
        return "true"
    column, values = event.when
    allowed = ", ".join(literal(value.lower()) for value in values)
    return f"lower(CAST({identifier(column)} AS TEXT)) IN ({allowed})"


def _text(column: str | None) -> str:
    return f"CAST({identifier(column)} AS TEXT)" if column else "CAST(NULL AS TEXT)"


@dataclass(frozen=True)
class EventCounts:
    """New events that the plan does not know, that lack a property, that say one wrongly, and that have no rate."""

    unplanned: int = 0
    incomplete: int = 0
    invalid: int = 0
    unconverted: int = 0


def write_happened(connection: Connection, plan: TrackingPlan, currency: CurrencyRules | None) -> EventCounts:
    """Add the events of the temporary table ``happened`` under canonical names, held against the plan and converted.

    Args:
        connection: An open store, in a transaction.
        plan: The whole plan.
        currency: The base currency, whose rates the store keeps; None keeps values as said.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT event.*, {value_base_sql(currency, "event")} AS value_base
        FROM ({judged_select(connection, plan, "happened")}) AS event {rates_join(currency, "event")}
        """
    )
    connection.execute(
        """
        INSERT INTO customers.events (event_id, record_id, source, stream, name, original_name, happened_at, value,
            currency, channel, campaign, properties, plan_status, value_base, violations)
        SELECT event_id, record_id, source, stream, canonical_name, original_name, happened_at, value,
            currency, channel, campaign, properties, plan_status, value_base, violations
        FROM judged
        """
    )
    counted = connection.execute(
        f"""
        SELECT count(*) FILTER (WHERE plan_status = 'unplanned'), {_having(MISSING)},
            {_having(WRONG_TYPE, NOT_ALLOWED)}, count(*) FILTER (WHERE value IS NOT NULL AND value_base IS NULL)
        FROM judged
        """
    ).fetchone()
    connection.execute("DROP TABLE judged; DROP TABLE planned_names")
    return EventCounts(*counted or ())


def _having(*kinds: str) -> str:
    """How many of the judged events have a violation of these kinds."""
    said = "chr(31) || array_to_string(violations, chr(31))"
    conditions = " OR ".join(f"strpos({said}, chr(31) || {literal(f'{kind} ')}) > 0" for kind in kinds)
    return f"count(*) FILTER (WHERE {conditions})"
