"""Why somebody is, or is not, in an audience."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.amounts import text_of
from millstream.state.audiences.compile import compile_audience
from millstream.state.audiences.compiling.conditions import Conditions
from millstream.state.audiences.compiling.events import EventFeatures
from millstream.state.audiences.compiling.query import PEOPLE, Query
from millstream.state.audiences.compiling.sequences import Sequences
from millstream.state.audiences.members import failures_of
from millstream.state.audiences.nodes import (
    AllRule,
    AnyRule,
    AudienceCondition,
    ConsentCondition,
    EventCondition,
    IdentifierCondition,
    LooksLikeCondition,
    NoneRule,
    NotAudienceCondition,
    Rule,
    SequenceCondition,
    TraitCondition,
    children,
)
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.audiences.tables import create_audience_tables
from millstream.state.errors import NotFoundError
from millstream.state.profiles.columns import existing_columns
from millstream.state.sql import quoted
from millstream.state.store import SECONDS, time_limit

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules


@dataclass(frozen=True)
class Why:
    """A node of a rule, as it turned out for one profile.

    Attributes:
        condition: The node in words close to the project file.
        holds: Whether it is true; None where that cannot be told.
        seen: What the profile shows, or why nothing can be told; empty for nodes that only combine others.
        parts: The nodes below.
    """

    condition: str
    holds: bool | None
    seen: str = ""
    parts: tuple[Why, ...] = ()


def why(
    connection: Connection,
    audience: Audience,
    profile_id: str,
    *,
    as_of: datetime,
    rules: TraitRules | None = None,
    sql_seconds: float = SECONDS,
) -> Why:
    """Tell for each node of an audience's rule whether it is true of a profile, and what was seen.

    Members of other audiences are those of the last run. An alias is answered for the profile that stands for it.

    Args:
        connection: The open store.
        audience: The audience.
        profile_id: The profile.
        as_of: The time from which spans count back, aware.
        rules: The section ``traits`` of the project file, for a ready-made audience; the usual when left out.
        sql_seconds: How long the SQL of the audience may take.

    Raises:
        NotFoundError: No living profile goes by this id.
        ConfigurationError: The rule is wrong.
        FailingSqlError: The SQL does not work; the transaction, if there is one, cannot be gone on with.
    """
    create_audience_tables(connection)
    living = _living(connection, profile_id)
    traits = existing_columns(connection, PEOPLE.partition(".")[2])
    audience = written_out({"": audience}, rules, traits=traits)[""]
    if audience.rule is None:
        compiled = compile_audience(audience, name="sql", traits=traits, as_of=as_of, only=living)
        with failures_of("sql"), time_limit(connection, sql_seconds, where="sql"):
            holds = connection.execute(compiled.sql, list(compiled.values)).fetchone() is not None
        return Why("sql", holds)
    return _Explainer(connection, living, lambda: Query(traits=traits, as_of=as_of, rules=rules, only=living)).node(
        audience.rule
    )


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


@dataclass(frozen=True)
class _Explainer:
    """Answers for one profile.

    Attributes:
        connection: The open store.
        profile_id: The profile.
        query: Makes an empty query that looks at this profile alone.
    """

    connection: Connection
    profile_id: str
    query: Callable[[], Query]

    def node(self, rule: Rule) -> Why:
        """A node with all below it: what combines others follows from them, and only the others are asked for."""
        parts = tuple(self.node(child) for child in children(rule))
        return Why(
            condition=_words(rule),
            holds=_combined(rule, parts) if parts else self._holds(rule),
            seen=self._seen(rule),
            parts=parts,
        )

    def _holds(self, rule: Rule) -> bool:
        query = self.query()
        conditions = Conditions(query)
        holds = conditions.condition(rule)
        relations = ",\n".join(f"{name} AS ({sql})" for name, sql in conditions.relations())
        above = f"WITH {relations}\n" if relations else ""
        return self._row(query, f"{above}SELECT {holds} AS holds FROM {query.people()}") == (True,)

    def _row(self, query: Query, sql: str) -> Sequence[object] | None:
        compiled = query.compiled(sql)
        return self.connection.execute(compiled.sql, list(compiled.values)).fetchone()

    def _seen(self, rule: Rule) -> str:
        query = self.query()
        one = query.bind(self.profile_id)
        if isinstance(rule, TraitCondition):
            return self._seen_trait(rule, query)
        if isinstance(rule, EventCondition):
            return self._seen_events(rule, query)
        if isinstance(rule, SequenceCondition):
            return self._seen_steps(rule, query)
        if isinstance(rule, ConsentCondition):
            said = f"channel = {query.bind(rule.consent)} AND topic = {query.bind(rule.topic)} AND profile_id = {one}"
            return _text(self._row(query, f"SELECT status FROM customers.profile_consents WHERE {said}"))
        if isinstance(rule, IdentifierCondition):
            known = f"kind = {query.bind(rule.identifier)} AND profile_id = {one}"
            row = self._row(query, f"SELECT count(*) FROM customers.profile_identifiers WHERE {known}")
            return f"{_text(row)} known"
        if isinstance(rule, AudienceCondition):
            return self._seen_stay(rule.audience, query)
        if isinstance(rule, NotAudienceCondition):
            return self._seen_stay(rule.not_audience, query)
        if isinstance(rule, LooksLikeCondition):
            return f"{rule.looks_like.audience}: {self._seen_stay(rule.looks_like.audience, query)}"
        return ""

    def _seen_trait(self, rule: TraitCondition, query: Query) -> str:
        """The value; with its place among those who have one, where that is asked for."""
        name, _ = Conditions(query).traits.column(rule.trait)
        column, one = quoted(name), query.bind(self.profile_id)
        row = self._row(query, f"SELECT {column} FROM {PEOPLE} WHERE profile_id = {one}")
        if row is None or row[0] is None or (rule.top_percent is None and rule.bottom_percent is None):
            return _text(row)
        standing = self._row(
            query,
            f"SELECT count(CASE WHEN other.{column} > mine.{column} THEN 1 END) + 1, count(other.{column}) "
            f"FROM {PEOPLE} AS mine CROSS JOIN {PEOPLE} AS other WHERE mine.profile_id = {one}",
        )
        place, people = standing or (1, 1)
        return f"{_text(row)}, number {place} of {people} from the top"

    def _seen_stay(self, audience: str, query: Query) -> str:
        row = self._row(
            query,
            "SELECT 'member since ' || CAST(entered_at AS TEXT) FROM customers.memberships WHERE left_at IS NULL "
            f"AND audience = {query.bind(audience)} AND profile_id = {query.bind(self.profile_id)}",
        )
        return "no member" if row is None else _text(row)

    def _seen_events(self, rule: EventCondition, query: Query) -> str:
        events = EventFeatures(query).events(rule)
        row = self._row(query, f"SELECT count(*), sum(value_base), max(happened_at) FROM ({events}) AS event")
        count, total, last = row or (0, None, None)
        parts = [f"{count} times"]
        if isinstance(last, datetime):
            parts.append(f"last {text_of(last)}")
        if isinstance(total, float):
            parts.append(f"sum {total:g}")
        return ", ".join(parts)

    def _seen_steps(self, rule: SequenceCondition, query: Query) -> str:
        """How far somebody came, and when they came so far the last time."""
        sequences = Sequences(query)
        reached = [f"max(CASE WHEN {column} IS NOT NULL THEN happened_at END)" for column in sequences.chains(rule)]
        row = self._row(query, f"SELECT {', '.join(reached)} FROM ({sequences.steps()}) AS step") or ()
        steps = [moment for moment in row if isinstance(moment, datetime)]
        told = f"{len(steps)} of {len(rule.sequence)} steps"
        return f"{told}, last {text_of(steps[-1])}" if steps else told


def _combined(rule: Rule, parts: Sequence[Why]) -> bool:
    if isinstance(rule, AllRule):
        return all(part.holds for part in parts)
    one = any(part.holds for part in parts)
    return not one if isinstance(rule, NoneRule) else one


def _words(rule: Rule) -> str:
    if isinstance(rule, AllRule | AnyRule | NoneRule):
        return next(iter(type(rule).model_fields))
    given = rule.model_dump(by_alias=True, exclude_defaults=True)
    return ", ".join(f"{name}: {_written(value)}" for name, value in given.items())


def _written(value: object) -> str:
    """A part of a rule as it may stand in the project file."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_written(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value).lower() if isinstance(value, bool) else text_of(value)


def _text(row: Sequence[object] | None) -> str:
    return "missing" if row is None or row[0] is None else text_of(row[0])
