"""SQL of events: what happened, by a stream's declaration, and its canonical names by the tracking plan."""

from __future__ import annotations

from millstream.state.model.declarations import Event, People
from millstream.state.model.tracking_plan import PlannedEvent, TrackingPlan
from millstream.state.sql import case, identifier, json_path, literal, union_all

_FOLDED = r"regexp_replace(lower(original_name), '[^\p{L}\p{N}]', '', 'g')"
"""``tracking_plan.fold`` in SQL."""


def happened_select(people: People) -> str:
    """Events of the incoming rows, under the vendor's or the connector's names. Binds ``source`` and ``stream``."""
    return union_all(_one_event(people, number, event) for number, event in enumerate(people.events))


def _one_event(people: People, number: int, event: Event) -> str:
    value = f"CAST({identifier(event.value)} AS DOUBLE)" if event.value else "CAST(NULL AS DOUBLE)"
    original = _name(event)
    at = identifier(event.at)
    return f"""
        SELECT _record_id || {literal(f"#{number}")} AS event_id, person.record_id, $source AS source,
            $stream AS stream, {original} AS original_name, CAST({at} AS TIMESTAMPTZ) AS happened_at,
            {value} AS value, {_text(event.currency)} AS currency,
            {literal(event.channel) if event.channel else "CAST(NULL AS TEXT)"} AS channel,
            {_text(event.campaign)} AS campaign, {_properties(event)} AS properties
        FROM incoming JOIN ({_persons(people)}) AS person ON person.row_id = incoming._record_id
        WHERE {at} IS NOT NULL AND NOT _deleted AND {_when(event)} AND {original} IS NOT NULL"""


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


def planned_select(plan: TrackingPlan) -> str:
    """``happened`` under canonical names, held against the plan."""
    broken = " ".join(
        f"WHEN name = {literal(name)} AND {_absent(event)} <> '' THEN 'missing: ' || {_absent(event)}"
        for name, event in plan.events.items()
        if event.required
    )
    return f"""
        SELECT event_id, record_id, source, stream, coalesce(name, original_name) AS name, original_name, happened_at,
            value, currency, channel, campaign, properties,
            CASE WHEN name IS NULL THEN 'unplanned' {broken} ELSE 'planned' END AS plan_status
        FROM (SELECT *, {case(_FOLDED, plan.names())} AS name FROM happened)"""


def _absent(event: PlannedEvent) -> str:
    """The names of the required properties that have no value, as text."""
    names = ", ".join(
        f"CASE WHEN json_extract_string(properties, {literal(json_path(name))}) IS NULL THEN {literal(name)} END"
        for name in event.required
    )
    return f"concat_ws(', ', {names})"
