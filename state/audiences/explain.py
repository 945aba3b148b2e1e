"""Why somebody is, or is not, in an audience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.audiences.compile import Compiler, compile_audience
from millstream.state.audiences.rules import (
    AllRule,
    AnyRule,
    Audience,
    AudienceCondition,
    ConsentCondition,
    EventCondition,
    IdentifierCondition,
    NoneRule,
    NotAudienceCondition,
    Rule,
    TraitCondition,
    children,
)
from millstream.state.audiences.tables import create_audience_tables
from millstream.state.errors import NotFoundError
from millstream.state.profiles.columns import existing_columns

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class Why:
    """A node of a rule, as it turned out for one profile.

    Attributes:
        condition: The node in words close to the project file.
        holds: Whether it is true.
        seen: What the profile shows; empty for nodes that only combine others.
        parts: The nodes below.
    """

    condition: str
    holds: bool
    seen: str = ""
    parts: tuple[Why, ...] = ()


def why(connection: Connection, audience: Audience, profile_id: str, *, as_of: datetime) -> Why:
    """Tell for each node of an audience's rule whether it is true of a profile, and what was seen.

    Members of other audiences are those of the last run. An alias is answered for the profile that stands for it.

    Raises:
        NotFoundError: No living profile goes by this id.
        ConfigurationError: The rule is wrong.
    """
    create_audience_tables(connection)
    living = _living(connection, profile_id)
    traits = existing_columns(connection)
    if audience.rule is None:
        compiled = compile_audience(audience, name="sql", traits=traits, as_of=as_of, only=living)
        holds = connection.execute(compiled.sql, list(compiled.values)).fetchone() is not None
        return Why("sql", holds)
    return _node(connection, audience.rule, living, Compiler(traits=traits, as_of=as_of, only=living))


def _living(connection: Connection, profile_id: str) -> str:
    row = connection.execute(
        """
        SELECT profile_id FROM customers.profiles WHERE profile_id = ? OR profile_id IN (
            SELECT profile_id FROM customers.profile_aliases WHERE alias_id = ?)
        """,
        [profile_id, profile_id],
    ).fetchone()
    if row is None:
        raise NotFoundError(f"No described profile goes by the id {profile_id!r}.")
    return str(row[0])


def _node(connection: Connection, rule: Rule, profile_id: str, compiler: Compiler) -> Why:
    compiled = compiler.condition(rule)
    row = connection.execute(
        f"SELECT {compiled.sql} FROM customers.profiles AS profile WHERE profile.profile_id = ?",
        [*compiled.values, profile_id],
    ).fetchone()
    return Why(
        condition=_words(rule),
        holds=row == (True,),
        seen=_seen(connection, rule, profile_id, compiler),
        parts=tuple(_node(connection, child, profile_id, compiler) for child in children(rule)),
    )


def _words(rule: Rule) -> str:
    if isinstance(rule, AllRule | AnyRule | NoneRule):
        return next(iter(type(rule).model_fields))
    given = rule.model_dump(by_alias=True, exclude_defaults=True)
    return ", ".join(f"{name}: {value}" for name, value in given.items())


def _seen(connection: Connection, rule: Rule, profile_id: str, compiler: Compiler) -> str:
    if isinstance(rule, TraitCondition):
        column, _ = compiler.column(rule.trait)
        sql = f"SELECT {column} FROM customers.profiles AS profile WHERE profile_id = ?"
        return _text(connection.execute(sql, [profile_id]).fetchone())
    if isinstance(rule, EventCondition):
        return _seen_events(connection, rule, compiler)
    if isinstance(rule, ConsentCondition):
        sql = "SELECT status FROM customers.profile_consents WHERE channel = ? AND topic = ? AND profile_id = ?"
        return _text(connection.execute(sql, [rule.consent, rule.topic, profile_id]).fetchone())
    if isinstance(rule, IdentifierCondition):
        sql = "SELECT count(*) FROM customers.profile_identifiers WHERE kind = ? AND profile_id = ?"
        return f"{_text(connection.execute(sql, [rule.identifier, profile_id]).fetchone())} known"
    if isinstance(rule, AudienceCondition | NotAudienceCondition):
        name = rule.audience if isinstance(rule, AudienceCondition) else rule.not_audience
        sql = (
            "SELECT 'member since ' || CAST(entered_at AS TEXT) FROM customers.memberships "
            "WHERE audience = ? AND profile_id = ? AND left_at IS NULL"
        )
        row = connection.execute(sql, [name, profile_id]).fetchone()
        return "no member" if row is None else _text(row)
    return ""


def _seen_events(connection: Connection, rule: EventCondition, compiler: Compiler) -> str:
    events = compiler.events(rule)
    row = connection.execute(
        f"SELECT count(*), sum(value_base), max(happened_at) FROM customers.profile_events WHERE {events.sql}",
        list(events.values),
    ).fetchone()
    count, total, last = row or (0, None, None)
    parts = [f"{count} times"]
    if last is not None:
        parts.append(f"last {last.isoformat()}")
    if total is not None:
        parts.append(f"sum {total:g}")
    return ", ".join(parts)


def _text(row: Sequence[object] | None) -> str:
    return "missing" if row is None or row[0] is None else str(row[0])
