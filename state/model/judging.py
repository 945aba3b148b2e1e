"""SQL of holding events against the tracking plan: their canonical names, and what they lack or say wrongly.

What an event is judged by stands in the event itself, so that a changed plan judges the stored events anew without
their rows being read again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from millstream.state.model.tracking_plan import OWN_FIELDS, PlannedEvent, PlannedProperty, TrackingPlan, fold
from millstream.state.sql import json_path, literal

if TYPE_CHECKING:
    from millstream.state.store import Connection

_SEPARATOR = "chr(31)"
"""Between violations on their way to a list; no name of a property has it (``PropertyName``)."""

MISSING, WRONG_TYPE, NOT_ALLOWED = "missing", "type", "value"
"""What a violation begins with; the property's name follows after a space."""

_NUMBER = r"^[ ]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?[ ]*$"
_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MOMENT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"


def judged_select(connection: Connection, plan: TrackingPlan, events: str) -> str:
    """A SELECT of the events of a table with ``name``, ``plan_status`` and ``violations`` by the plan.

    Reads the names there are, so that only what is said of those becomes SQL, and makes the temporary table
    ``planned_names`` that the SELECT needs.

    Args:
        connection: An open store.
        plan: The whole plan.
        events: A table with ``original_name``, ``properties``, and the fields of an event.

    Returns:
        SQL that gives all of the table's columns but those three, and then them.
    """
    canonical = plan.names()
    found = connection.execute(f"SELECT DISTINCT original_name FROM {events}").fetchall()
    names = {name: canonical[fold(name)] for (name,) in found if fold(name) in canonical}
    connection.execute("CREATE OR REPLACE TEMP TABLE planned_names (original_name TEXT NOT NULL, name TEXT NOT NULL)")
    if names:
        connection.executemany("INSERT INTO planned_names VALUES (?, ?)", [list(pair) for pair in names.items()])
    present = {name: plan.events[name] for name in sorted(set(names.values())) if plan.events[name].is_checked()}
    return f"""
        SELECT judged.*, CASE
            WHEN NOT is_planned THEN 'unplanned' WHEN violations IS NULL THEN 'planned' ELSE 'violating'
            END AS plan_status
        FROM (
            SELECT event.*, coalesce(planned.name, event.original_name) AS canonical_name,
                planned.name IS NOT NULL AS is_planned, {_violations(present)} AS violations
            FROM {events} AS event LEFT JOIN planned_names AS planned ON planned.original_name = event.original_name
        ) AS judged"""


def _violations(events: dict[str, PlannedEvent]) -> str:
    """A list of texts; NULL where there is nothing wrong."""
    branches = " ".join(
        f"WHEN {literal(name)} THEN concat_ws({_SEPARATOR}, {', '.join(_checks(event))})"
        for name, event in events.items()
    )
    if not branches:
        return "CAST(NULL AS TEXT[])"
    return f"string_split(nullif(CASE planned.name {branches} END, ''), {_SEPARATOR})"


def _checks(event: PlannedEvent) -> list[str]:
    """An expression each: a violation's text, or NULL."""
    found = [f"CASE WHEN {_said(name)} IS NULL THEN {literal(f'{MISSING} {name}')} END" for name in event.required]
    for name in event.properties:
        planned = event.property(name)
        # What is there of the wrong type is not compared as well.
        branches = [
            f"WHEN NOT ({condition}) THEN {literal(f'{kind} {name}')}"
            for kind, condition in ((WRONG_TYPE, _fits(name, planned)), (NOT_ALLOWED, _allowed(name, planned)))
            if condition
        ]
        if branches:
            found.append(f"CASE WHEN {_text(name)} IS NULL THEN NULL {' '.join(branches)} END")
    return found


def _text(name: str) -> str:
    """A property as text; NULL where it has no value, which empty text is not."""
    return f"nullif(trim(json_extract_string(event.properties, {literal(json_path(name))})), '')"


def _said(name: str) -> str:
    """A property as text, or the event's own field of this name."""
    return f"coalesce({_text(name)}, CAST(event.{name} AS TEXT))" if name in OWN_FIELDS else _text(name)


def _fits(name: str, planned: PlannedProperty) -> str:
    """Whether a property that has a value can be read as its type; it is true or false."""
    first = f"substr(CAST(json_extract(event.properties, {literal(json_path(name))}) AS TEXT), 1, 1)"
    text = _text(name)
    conditions = {
        "text": f"{first} NOT IN ('{{', '[')",
        "number": f"regexp_matches({text}, '{_NUMBER}')",
        "boolean": f"lower({text}) IN ('true', 'false')",
        "date": f"regexp_matches({text}, '{_DAY}') AND TRY_CAST({text} AS DATE) IS NOT NULL",
        "timestamp": f"regexp_matches({text}, '{_MOMENT}') AND TRY_CAST({text} AS TIMESTAMPTZ) IS NOT NULL",
        "list": f"{first} = '['",
        "object": f"{first} = '{{'",
    }
    return conditions[planned.type] if planned.type else ""


def _allowed(name: str, planned: PlannedProperty) -> str:
    """Whether a property is one of the values allowed; numbers are compared as numbers, anything else as text."""
    text = _text(name)
    numbers = [value for value in planned.allowed if isinstance(value, int | float) and not isinstance(value, bool)]
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in planned.allowed]
    conditions = [f"{text} IN ({', '.join(map(literal, texts))})"] if texts else []
    if numbers:
        listed = ", ".join(repr(float(number)) for number in numbers)
        conditions.append(f"coalesce(TRY_CAST({text} AS DOUBLE) IN ({listed}), false)")
    return " OR ".join(conditions)


def judge_anew(connection: Connection, plan: TrackingPlan) -> bool:
    """Judge the stored events by a plan that is not the one they were judged by; whether it was another.

    Args:
        connection: An open store with the model's tables, in a transaction.
        plan: The whole plan.
    """
    wanted = hashlib.sha256(plan.model_dump_json().encode()).hexdigest()[:16]
    if connection.execute("SELECT fingerprint FROM customers.judged_by").fetchall() == [(wanted,)]:
        return False
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE judged_anew AS
        SELECT event_id, canonical_name, new_status, new_violations FROM (
            SELECT event_id, canonical_name, name, was_status, was_violations,
                plan_status AS new_status, violations AS new_violations
            FROM ({judged_select(connection, plan, _STORED)}) AS judged
        ) AS compared
        WHERE canonical_name <> name OR new_status <> was_status OR new_violations IS DISTINCT FROM was_violations
        """
    )
    connection.execute(
        """
        UPDATE customers.events
        SET name = anew.canonical_name, plan_status = anew.new_status, violations = anew.new_violations
        FROM judged_anew AS anew WHERE anew.event_id = events.event_id
        """
    )
    connection.execute("DROP TABLE judged_anew; DROP TABLE planned_names; DELETE FROM customers.judged_by")
    connection.execute("INSERT INTO customers.judged_by VALUES (?)", [wanted])
    return True


_STORED = """(
    SELECT event_id, name, original_name, value, currency, channel, campaign, properties,
        plan_status AS was_status, violations AS was_violations
    FROM customers.events
)"""
