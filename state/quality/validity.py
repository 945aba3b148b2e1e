"""Validity: identifiers that are none, values that cannot be read as their type or cannot be, events of the future."""

from __future__ import annotations

from datetime import date, timedelta

from millstream.state.model.identifiers import said_select
from millstream.state.model.incoming import columns_said
from millstream.state.quality.looking import Finding, Look, Stream, found
from millstream.state.quality.rules import Range
from millstream.state.sql import identifier, literal, number, union_all
from millstream.state.store import column_types

FIRST_DAY = date(1900, 1, 1)
"""No date of a living customer lies before it."""

_BIRTHDAYS = ("birth_date", "birthday", "date_of_birth")
_CLOCK_SKEW = timedelta(days=1)
_READ_AS = {"number": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMPTZ"}


def validity(look: Look) -> list[Finding]:
    """Of each stream its identifiers, as they could be spelled or not, its typed traits, and its events."""
    findings = [finding for stream in look.streams for finding in _of_identifiers(look, stream)]
    return [*findings, *found("validity", _of_traits(look)), *found("validity", _of_events(look))]


def _of_identifiers(look: Look, stream: Stream) -> list[Finding]:
    """What stands in the raw table against what could be spelled; rows that say nothing are not looked at."""
    columns = column_types(look.connection, f"raw_{stream.source}", stream.name)
    if not columns or not stream.people.identifiers:
        return []
    people = stream.people
    missing = "".join(f", NULL AS {identifier(name)}" for name in columns_said(people) if name not in columns)
    country = f"coalesce(CAST({identifier(people.country)} AS TEXT), '')" if people.country else "''"
    said = union_all(
        said_select(position, one, look.identity, stream.account) for position, one in enumerate(people.identifiers)
    )
    rows = look.rows(
        f"""
        WITH raw AS (SELECT *{missing} FROM {identifier(f"raw_{stream.source}.{stream.name}")}),
        incoming AS (SELECT *, '' AS _record_id, {country} AS _country, TRUE AS _identifies FROM raw),
        said AS ({said})
        SELECT {literal(stream.source)}, {literal(f"{stream.name}.")} || said.kind, count(*),
               count(CASE WHEN spelled.value IS NULL THEN 1 END)
        FROM said JOIN customers.normalised AS spelled ON spelled.spelling = said.spelling
            AND spelled.country = said.country AND spelled.original = said.original
        GROUP BY said.kind ORDER BY said.kind
        """
    )
    return found("validity", rows)


def _of_traits(look: Look) -> list[tuple[object, ...]]:
    """Typed traits, and those that the project gives a range."""
    ranges = {name: Range(at_least=FIRST_DAY, at_most=look.as_of.date()) for name in _BIRTHDAYS} | look.rules.ranges
    branches = " ".join(
        f"WHEN said.name = {literal(name)} THEN {_within(span, 'value')}" for name, span in ranges.items()
    )
    typed = " ".join(f"WHEN said.type = '{kind}' THEN {_reads(kind)}" for kind in _READ_AS)
    named = ", ".join(literal(name) for name in ranges)
    return look.rows(
        f"""
        SELECT source, stream || '.' || name, count(*), count(CASE WHEN NOT fine THEN 1 END)
        FROM (
            SELECT record.source, record.stream, said.name,
                   coalesce(CASE {branches} {typed} END, FALSE) AS fine
            FROM customers.traits AS said JOIN customers.records AS record ON record.record_id = said.record_id
            WHERE NOT record.deleted AND (said.type <> 'text' OR said.name IN ({named}))
        ) AS judged
        GROUP BY source, stream, name ORDER BY source, stream, name
        """
    )


def _reads(kind: str) -> str:
    """Whether a value can be read as its type, and a day is not one that nobody has lived."""
    readable = number("value") if kind == "number" else f"TRY_CAST(value AS {_READ_AS[kind]})"
    if kind in ("date", "timestamp"):
        return f"{readable} >= CAST('{FIRST_DAY.isoformat()}' AS {_READ_AS[kind]})"
    return f"{readable} IS NOT NULL"


def _within(span: Range, value: str) -> str:
    is_day = isinstance(span.at_least if span.at_least is not None else span.at_most, date)
    kind = "DATE" if is_day else "DOUBLE"
    read = f"TRY_CAST({value} AS DATE)" if is_day else number(value)
    bounds = (("<=", span.at_most), (">=", span.at_least))
    return " AND ".join(
        f"{read} {sign} CAST({literal(str(bound))} AS {kind})" for sign, bound in bounds if bound is not None
    )


def _of_events(look: Look) -> list[tuple[object, ...]]:
    """Events that have not happened yet: a clock, or a date format, is wrong."""
    return look.rows(
        """
        SELECT source, stream || '.happened_at', count(*),
               count(CASE WHEN happened_at > CAST(? AS TIMESTAMPTZ) THEN 1 END)
        FROM customers.events GROUP BY source, stream ORDER BY source, stream
        """,
        look.as_of + _CLOCK_SKEW,
    )
