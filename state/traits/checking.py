"""Holding computed values against what their set declares, and telling what went wrong without telling of anybody."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from millstream.state.errors import MillstreamError, QueryError
from millstream.state.sql import literal, quoted
from millstream.state.store import count_rows

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.contract import Trait, TraitSet

_VALUES = re.compile(r"['\"].*['\"]|(?<![\w.])[-+]?\d[\d.,:+-]*", re.DOTALL)
"""From the first quote to the last: quotes and ends of lines within a value are not marked as such."""
_VALUES_IN_QUOTES = ("ConversionException", "OutOfRangeException")
"""Errors of DuckDB that repeat a value in quotes, if they do. Others may do so without any."""
_NOT_FINITE = "CAST('NaN' AS DOUBLE), CAST('Infinity' AS DOUBLE), CAST('-Infinity' AS DOUBLE)"


class UnfitValuesError(Exception):
    """What was computed is not what the set declares."""


def check_values(connection: Connection, one: TraitSet, table: str) -> int:
    """Hold the rows of a working table against the declarations of their set.

    Returns:
        How many people there are.

    Raises:
        UnfitValuesError: Rows that are not one a living profile, or values out of their bounds.
    """
    checks = list(_checks(one))
    counted = ", ".join(f"count(*) FILTER (WHERE {condition})" for _, condition in checks)
    found = connection.execute(
        f"""
        SELECT count(*), count(profile_id), count(DISTINCT profile_id){", " + counted if counted else ""}
        FROM {quoted(table)}
        """
    ).fetchone()
    assert found is not None
    rows, named, people, *counts = found
    problems = [f"{what} ({number:,} of {rows:,})" for (what, _), number in zip(checks, counts, strict=True) if number]
    profiles = "customers.profiles AS profile"
    strangers = count_rows(
        connection,
        f"{quoted(table)} AS made LEFT JOIN {profiles} ON profile.profile_id = made.profile_id "
        "WHERE profile.profile_id IS NULL",
    )
    if strangers:
        problems.append(f"rows of nobody: {strangers:,} have a profile_id that no profile has")
    if named != people:
        problems.append("people with more than one row: each profile_id may stand once")
    required = [name for name, trait in one.traits.items() if trait.required]
    if required and (without := count_rows(connection, profiles) - people) > 0:
        problems.append(f"{without:,} people have no row, and {', '.join(required)} should have a value")
    if problems:
        raise UnfitValuesError("; ".join(problems))
    return int(people)


def _checks(one: TraitSet) -> Iterator[tuple[str, str]]:
    """What must not be, in words and as a condition on a row."""
    for name, trait in one.traits.items():
        yield from _checks_of(name, trait)


def _checks_of(name: str, trait: Trait) -> Iterator[tuple[str, str]]:
    column = quoted(name)
    if trait.at_least is not None:
        yield f"{name} is below {trait.at_least:g}", f"{column} < {trait.at_least!r}"
    if trait.at_most is not None:
        yield f"{name} is above {trait.at_most:g}", f"{column} > {trait.at_most!r}"
    if trait.allowed:
        allowed = ", ".join(literal(value) for value in trait.allowed)
        yield f"{name} is none of the allowed values", f"CAST({column} AS TEXT) NOT IN ({allowed})"
    if trait.type == "number":
        yield f"{name} is no finite number", f"{column} IN ({_NOT_FINITE})"
    if trait.required:
        yield f"{name} is empty", f"{column} IS NULL"


def told(error: BaseException, one: TraitSet) -> str:
    """What went wrong, for the report: never a value, which might be somebody's."""
    if isinstance(error, UnfitValuesError):
        return f"{error}."
    if (said := said_by_engine(error)) is not None:
        return said
    if isinstance(error, MillstreamError):
        return str(error)
    stem = f"{one.name}.py"
    here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(stem)]
    return f"{type(error).__name__}{f' in line {here[-1]} of {stem}' if here else ''}."


def said_by_engine(error: BaseException) -> str | None:
    """What an engine of the store says is wrong with a statement, without values; None if it is no engine's error."""
    if isinstance(error, QueryError):
        names_parts = str(getattr(error.__cause__, "pgcode", None) or "").startswith("42")
        return _first_line(error.what, keep_quoted=names_parts)
    if type(error).__module__.partition(".")[0] not in ("duckdb", "_duckdb"):
        return None
    kind, text = type(error).__name__, str(error)
    names_parts = kind in ("BinderException", "CatalogException", "ParserException")
    if not names_parts and kind not in _VALUES_IN_QUOTES:
        return f"{text.partition(':')[0]}."
    return _first_line(text, keep_quoted=names_parts)


def _first_line(text: str, *, keep_quoted: bool) -> str:
    reason = text.partition("\nLINE ")[0]
    told = reason if keep_quoted else _VALUES.sub("…", reason)
    return (told.strip().splitlines() or ["no reason was given"])[0]
