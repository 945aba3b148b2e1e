"""Who may not stay in an audience that stands still, since they withdrew a consent that it asks for.

Of an audience that cannot be computed it is not known who is in it today, but consents are. So its rule is read for
what they must be for it to be true at all, whatever its other conditions are. Where a rule can be true without the
consent, it is not known by what somebody is in: whoever has denied it leaves then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from millstream.state.audiences.compiling.own_sql import consents_in
from millstream.state.audiences.kept_rules import KeptRule
from millstream.state.audiences.nodes import (
    AllRule,
    AnyRule,
    AudienceCondition,
    ConsentCondition,
    LooksLikeCondition,
    NotAudienceCondition,
    Rule,
    children,
)
from millstream.state.audiences.rules import Audience
from millstream.state.consent import ConsentRequirement, consent_sql
from millstream.state.sql import literal

_DENIED = "SELECT profile_id FROM customers.profile_consents WHERE status = 'denied'"


@dataclass(frozen=True)
class Needed:
    """What must be true of a profile's consents for a condition to be true.

    Attributes:
        all_of: Expressions over ``profile.profile_id`` that must all hold; none where nothing is needed.
        at_least: Expressions that are asked of everybody where the condition is one of several ways to be a member.
    """

    all_of: tuple[str, ...] = ()
    at_least: frozenset[str] = field(default_factory=frozenset)


def needed_consents(name: str, audiences: Mapping[str, Audience], in_force: Mapping[str, KeptRule]) -> str | None:
    """What members of an audience that stands still must have said, over ``profile.profile_id``; None for nothing.

    Both rules count, that of today and that by which they became members.

    Args:
        name: The audience.
        audiences: All audiences of the project, ready-made ones written out.
        in_force: The rules by which audiences were last computed.
    """
    found = _Reader(audiences, in_force).of_audience(name, wanted=True)
    return " AND ".join(f"({one})" for one in found.all_of) or None


class _Reader:
    def __init__(self, audiences: Mapping[str, Audience], in_force: Mapping[str, KeptRule]) -> None:
        self._audiences, self._in_force = audiences, in_force
        self._reading: set[str] = set()

    def of_audience(self, name: str, *, wanted: bool) -> Needed:
        """For somebody to be a member, or not to be one."""
        if name in self._reading:  # by a rule of now and one of before, which may refer to each other
            return Needed()
        kept = self._in_force.get(name)
        rules = [one for one in (self._audiences.get(name), kept.audience if kept else None) if one is not None]
        self._reading.add(name)
        found = _all([self._of_definition(one, wanted) for one in rules])
        self._reading.discard(name)
        return found

    def _of_definition(self, audience: Audience, wanted: bool) -> Needed:
        if audience.rule is not None:
            return self._of(audience.rule, wanted)
        return _of_sql(audience.sql, wanted) if audience.sql is not None else Needed()

    def _of(self, rule: Rule, wanted: bool) -> Needed:
        """For the rule to be true, or to be false."""
        if isinstance(rule, ConsentCondition):
            # To be a member for want of consent is nothing that withdrawing it ends.
            return _granted(rule) if wanted else Needed()
        if isinstance(rule, AudienceCondition):
            return self.of_audience(rule.audience, wanted=wanted)
        if isinstance(rule, NotAudienceCondition):
            return self.of_audience(rule.not_audience, wanted=not wanted)
        if isinstance(rule, LooksLikeCondition):
            return self.of_audience(rule.looks_like.audience, wanted=False) if wanted else Needed()
        below = children(rule)
        if not below:  # what is no matter of consents
            return Needed()
        if isinstance(rule, AllRule | AnyRule):
            parts = [self._of(child, wanted) for child in below]
            return _all(parts) if isinstance(rule, AllRule) is wanted else _one(parts)
        parts = [self._of(child, not wanted) for child in below]
        return _all(parts) if wanted else _one(parts)


def _all(parts: Iterable[Needed]) -> Needed:
    found = list(parts)
    expressions = dict.fromkeys(one for part in found for one in part.all_of)
    return Needed(tuple(expressions), frozenset().union(*(part.at_least for part in found)))


def _one(parts: list[Needed]) -> Needed:
    """One of several conditions must be true, and which one is not known."""
    at_least = frozenset[str]().union(*(part.at_least for part in parts))
    if not all(part.all_of for part in parts):
        return Needed(tuple(sorted(at_least)), at_least)
    ways = (" AND ".join(f"({one})" for one in part.all_of) for part in parts)
    return Needed((" OR ".join(f"({way})" for way in dict.fromkeys(ways)),), at_least)


def _granted(rule: ConsentCondition) -> Needed:
    sql, values = consent_sql(ConsentRequirement(channel=rule.consent, topic=rule.topic))
    first, *others = sql.split("?")
    granted = first + "".join(literal(value) + text for value, text in zip(values, others, strict=True))
    denied = f"{_DENIED} AND channel = {literal(rule.consent)} AND topic = {literal(rule.topic)}"
    return Needed((f"profile.profile_id IN ({granted})",), frozenset({f"profile.profile_id NOT IN ({denied})"}))


def _of_sql(sql: str, wanted: bool) -> Needed:
    """SQL can ask for consents in any way: whoever denied one of a channel that it names does not stay.

    It is not so where it plainly asks for those who denied: nobody leaves a list of whom to leave alone by denying. Nor
    is it where only those are out who granted.
    """
    asked = consents_in(sql)
    if asked is None or asked.status == ("denied" if wanted else "granted"):
        return Needed()
    named = ", ".join(literal(text) for text in sorted(asked.texts))
    known = "(SELECT channel FROM customers.profile_consents)"
    # SQL that names no channel may mean any of them.
    of_channel = f"AND (channel IN ({named}) OR NOT EXISTS (SELECT 1 FROM {known} AS known WHERE channel IN ({named})))"
    kept = f"profile.profile_id NOT IN ({_DENIED} {of_channel if named else ''})"
    return Needed((kept,), frozenset({kept}))
