"""Who is who, worked out naively: plain Python, one record after the other, no SQL beyond reading tables.

Written from what the rules mean, not from how Millstream computes it, and slow on purpose. All of it follows from what
the store holds now (living records, identifiers, traits, rules, decisions, links), never from what it held before.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from millstream.state.identity import IdentityRules, KindRule

Rows = Callable[[str], list[tuple]]
Records = frozenset[str]
BY_HAND, BY_LIKENESS = "merge", "linkage"
STRONGEST, WEAKEST = -2, 1000


class Value(NamedTuple):
    """What a record is known by. Merges by hand and probable links are values too, borne by the records they name."""

    kind: str
    value: str


class Joint(NamedTuple):
    """A value together with the records it joins: all that bear it, or one person's of several that share it."""

    value: Value
    key: str
    records: Records


@dataclass(frozen=True)
class Limit:
    """How many different values the records of one profile may bear.

    Attributes:
        reason: What a join is refused with.
        most: So many values.
        window: Within such a time; None for ever.
        borne: The values that count, by record.
    """

    reason: str
    most: int
    window: timedelta | None
    borne: Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Known:
    """What the store holds, living records only.

    Attributes:
        observed_at: The records, and when each was true.
        identifiers: Record, value, and whether it may join.
        traits: Values by record and name.
        merges: Records by merge that somebody decided.
        unmerges: Side by record, by unmerge that somebody decided.
        links: The two records of each link in force.
    """

    observed_at: Mapping[str, datetime]
    identifiers: frozenset[tuple[str, Value, bool]]
    traits: Mapping[tuple[str, str], str]
    merges: Mapping[str, Records]
    unmerges: Mapping[str, Mapping[str, str]]
    links: Mapping[str, Records]


@dataclass(frozen=True)
class Outcome:
    """What the reference comes to; the fields named like tables hold what those tables should.

    Attributes:
        profiles: The partition of the living records.
        limits: The limits that were kept, for looking at them again.
    """

    profiles: set[Records]
    blocked_values: set[tuple[str, str, int]]
    shared_values: set[tuple[str, str, str, int, int]]
    shared_bearers: set[tuple[str, str, str]]
    refused_joins: set[tuple[str, str, str]]
    contested: set[Records]
    households: set[frozenset[Records]]
    limits: list[Limit]


def read(rows: Rows) -> Known:
    """What the store holds."""
    observed_at = dict(rows("SELECT record_id, observed_at FROM customers.records WHERE NOT deleted"))
    merges: dict[str, set[str]] = defaultdict(set)
    unmerges: dict[str, dict[str, str]] = defaultdict(dict)
    for decision_id, decision, record_id, side in rows(
        "SELECT decision_id, decision, record_id, side FROM customers.identity_decisions WHERE revoked_at IS NULL"
    ):
        if record_id not in observed_at:
            continue
        if decision == "merge":
            merges[decision_id].add(record_id)
        else:
            unmerges[decision_id][record_id] = side
    links = rows("SELECT link_id, record_a, record_b FROM customers.links WHERE status IN ('merged', 'accepted')")
    links = [(link_id, {a, b} & observed_at.keys()) for link_id, a, b in links]
    identifiers = rows("SELECT record_id, kind, value, merges FROM customers.identifiers")
    return Known(
        observed_at=observed_at,
        identifiers=frozenset(
            (record_id, Value(kind, value), merging)
            for record_id, kind, value, merging in identifiers
            if record_id in observed_at
        ),
        traits={(r, name): value for r, name, value in rows("SELECT record_id, name, value FROM customers.traits")},
        merges={decision_id: frozenset(records) for decision_id, records in merges.items()},
        unmerges=unmerges,
        links={link_id: frozenset(living) for link_id, living in links if living},
    )


def work_out(known: Known, rules: IdentityRules) -> Outcome:
    """Who is who."""
    bearers = _bearers((r, v) for r, v, merging in known.identifiers if merging and rules.rule(v.kind).merges)
    blocked = {value for value, records in bearers.items() if _is_blocked(value, records, rules.rule(value.kind))}
    free = {value: records for value, records in bearers.items() if value not in blocked}
    joints: list[Joint] = []
    shared_values, shared_bearers = set(), set()
    for value, records in free.items():
        trait = rules.rule(value.kind).agree_on
        groups = _people(records, {r: known.traits.get((r, trait), "") for r in records}) if trait else {"": records}
        joints += [Joint(value, key, group) for key, group in groups.items()]
        if len(groups) > 1:
            shared_values.add((*value, trait or "", len(records), len(groups)))
            shared_bearers |= {(record_id, *value) for record_id in records}
    joints += [Joint(Value(BY_HAND, decision_id), "", records) for decision_id, records in known.merges.items()]
    joints += [Joint(Value(BY_LIKENESS, link_id), "", records) for link_id, records in known.links.items()]
    limits = _limits(known, rules, free)
    profiles, refused, contested = _join_within_limits(known, rules, joints, limits)
    return Outcome(
        profiles=profiles,
        blocked_values={(*value, len(bearers[value])) for value in blocked if len(bearers[value]) > 1},
        shared_values=shared_values,
        shared_bearers=shared_bearers,
        refused_joins=refused,
        contested=contested,
        households=_households(known, rules, profiles),
        limits=limits,
    )


def most_borne(limit: Limit, records: Iterable[str], observed_at: Mapping[str, datetime]) -> int:
    """The most different values that these records bear at a time."""
    seen = [(observed_at[r], value) for r in records for value in limit.borne.get(r, ())]
    if limit.window is None:
        return len({value for _, value in seen})
    return max((len({v for at, v in seen if start <= at <= start + limit.window}) for start, _ in seen), default=0)


def joined(records: Iterable[str], groups: Iterable[Records]) -> set[Records]:
    """The connected components of records that stand together in a group."""
    parts = {frozenset([record_id]) for record_id in records}
    for group in groups:
        touched = {part for part in parts if part & group}
        parts = (parts - touched) | {frozenset().union(*touched)} if touched else parts
    return parts


def _bearers(borne: Iterable[tuple[str, Value]]) -> dict[Value, Records]:
    found: dict[Value, set[str]] = defaultdict(set)
    for record_id, value in borne:
        found[value].add(record_id)
    return {value: frozenset(records) for value, records in found.items()}


def _is_blocked(value: Value, records: Records, rule: KindRule) -> bool:
    spelled = {value.value.lower()}
    if rule.scope == "source":
        spelled.add(value.value.lower().partition(":")[2])
    wildcards = {"*": ".*", "?": ".", "#": "[0-9]+"}
    wanted = "|".join(
        "".join(wildcards.get(character, re.escape(character)) for character in pattern)
        for pattern in (*rule.blocked, *rule.blocked_also)
    )
    return len(records) > rule.max_records or bool(wanted and any(re.fullmatch(wanted, one) for one in spelled))


def _people(records: Records, names: Mapping[str, str]) -> dict[str, Records]:
    """The records of one value by whose they are, judged by name; those that may be several people's are left out."""
    keys = {r: "".join(c for c in unicodedata.normalize("NFKD", names[r]).casefold() if c.isalnum()) for r in records}
    longer = {key for key in keys.values() if len(key) > 1}
    groups: dict[str, set[str]] = defaultdict(set)
    for record_id, key in keys.items():
        meant = [one for one in longer if one[0] == key] if len(key) == 1 else [key]
        if key and len(meant) < 2:
            groups[meant[0] if meant else key].add(record_id)
    if len(groups) < 2:
        # Nobody contradicts: the nameless belong to the only one there is, or together.
        return {next(iter(groups), ""): records}
    return {key: frozenset(group) for key, group in groups.items()}


def _limits(known: Known, rules: IdentityRules, free: Mapping[Value, Records]) -> list[Limit]:
    found = []
    for kind in {value.kind for value in free}:
        rule = rules.rule(kind)
        if rule.max_values is not None:
            borne: dict[str, set[str]] = defaultdict(set)
            for value in free:
                for record_id in free[value] if value.kind == kind else ():
                    borne[record_id].add(value.value)
            window = None if rule.window_days is None else timedelta(days=rule.window_days)
            found.append(Limit(kind, rule.max_values, window, borne))
    for sides in known.unmerges.values():
        found.append(Limit("unmerged by hand", 1, None, {record_id: {side} for record_id, side in sides.items()}))
    return found


def _join_within_limits(
    known: Known, rules: IdentityRules, joints: list[Joint], limits: list[Limit]
) -> tuple[set[Records], set[tuple[str, str, str]], set[Records]]:
    """The profiles, the refused joins, and the components in which a join was refused."""

    def strength(joint: Joint) -> tuple[object, ...]:
        priority = {BY_HAND: STRONGEST, BY_LIKENESS: WEAKEST}.get(joint.value.kind)
        rule = rules.rule(joint.value.kind)
        return (rule.priority if priority is None else priority, len(joint.records), *joint.value, joint.key)

    def allowed(one: Records, other: Records, limits: list[Limit] = limits) -> bool:
        for limit in limits:
            counts = [most_borne(limit, group, known.observed_at) for group in (one, other, one | other)]
            if counts[2] > max(limit.most, *counts[:2]):
                return False
        return True

    def unite(one_id: str, other_id: str) -> bool:
        one, other = group_of[one_id], group_of[other_id]
        if one != other and not allowed(one, other):
            return False
        group_of.update(dict.fromkeys(one | other, one | other))
        return True

    taken_apart = [limit for limit in limits if limit.reason == "unmerged by hand"]
    group_of = {record_id: frozenset([record_id]) for record_id in known.observed_at}
    refused: set[tuple[str, str, str]] = set()
    for joint in sorted(joints, key=strength):
        first, *others = sorted(joint.records)
        elsewhere: list[str] = []
        for record_id in others:
            if unite(first, record_id):
                continue
            refused.add((record_id, *joint.value))
            # Whom people keep from the first one the joint still holds together among themselves.
            by_hand = not allowed(group_of[first], group_of[record_id], taken_apart)
            if by_hand and not any(unite(other, record_id) for other in elsewhere):
                elsewhere.append(record_id)
    unruly = {record_id for record_id, *_ in refused}
    components = joined(known.observed_at, (joint.records for joint in joints))
    return set(group_of.values()), refused, {component for component in components if component & unruly}


def _households(known: Known, rules: IdentityRules, profiles: set[Records]) -> set[frozenset[Records]]:
    """The households, each as its profiles: those that a value of few profiles connects."""
    # What a stream says may not join is nobody's home either; but an address is one although its kind never joins.
    bearers = _bearers(
        (record_id, value)
        for record_id, value, merging in known.identifiers
        if rules.rule(value.kind).household and (merging or not rules.rule(value.kind).merges)
    )
    homes = []
    for value, records in bearers.items():
        if _is_blocked(value, records, rules.rule(value.kind)):
            continue
        there = [profile for profile in profiles if profile & records]
        if 2 <= len(there) <= rules.household.max_profiles:
            homes.append(frozenset().union(*there))
    together = joined({r for home in homes for r in home}, homes)
    return {frozenset(profile for profile in profiles if profile & home) for home in together}
