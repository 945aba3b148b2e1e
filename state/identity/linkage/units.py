"""Who is linked: profiles as identifiers and decisions make them, apart from what linkage has joined already.

A profile that links hold together is taken apart into what else holds it together, so that each link is judged anew
by the run that sees its evidence change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from millstream.state.identity.linkage.kinds import Kind
from millstream.state.identity.linkage.people import People, read_people
from millstream.state.identity.linkage.rules import LinkageRules
from millstream.state.store import read_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TRAITS = """
SELECT trait.record_id, lower(trait.name) AS name, trait.value
FROM customers.traits AS trait JOIN customers.members AS member ON member.record_id = trait.record_id
WHERE lower(trait.name) IN ({names})
ORDER BY trait.observed_at, trait.record_id
"""
_CONTACTS = """
SELECT identifier.record_id, identifier.kind AS name, identifier.contact AS value
FROM customers.identifiers AS identifier
JOIN customers.members AS member ON member.record_id = identifier.record_id
JOIN customers.records AS record ON record.record_id = identifier.record_id
WHERE identifier.kind IN ('email', 'phone')
  AND NOT EXISTS (SELECT 1 FROM customers.blocked_values AS blocked
                  WHERE blocked.kind = identifier.kind AND blocked.value = identifier.value)
ORDER BY record.observed_at, identifier.record_id, identifier.value
"""
_JOINED = """
SELECT identifier.record_id, identifier.kind || ':' || identifier.value AS value
FROM customers.identifiers AS identifier
JOIN customers.members AS member ON member.record_id = identifier.record_id
WHERE identifier.merges
  AND member.profile_id IN (
      SELECT linked.profile_id FROM customers.members AS linked
      JOIN customers.links AS link ON linked.record_id = link.record_a OR linked.record_id = link.record_b
      WHERE link.status IN ('merged', 'accepted'))
  AND NOT EXISTS (SELECT 1 FROM customers.blocked_values AS blocked
                  WHERE blocked.kind = identifier.kind AND blocked.value = identifier.value)
  AND NOT EXISTS (SELECT 1 FROM customers.shared_values AS shared
                  WHERE shared.kind = identifier.kind AND shared.value = identifier.value)
UNION ALL
SELECT record_id, 'decision:' || decision_id FROM customers.identity_decisions
WHERE decision = 'merge' AND revoked_at IS NULL
"""


@dataclass
class Units:
    """What linkage compares, one row each.

    Attributes:
        number: The row of each living record.
        records: The records of each row, the one that says most first.
        people: What the rows say.
        fresh: Rows with a record that changed since the last run.
    """

    number: dict[str, int]
    records: list[list[str]]
    people: People
    fresh: list[bool]


def read_units(connection: Connection, rules: LinkageRules, since: datetime | None) -> Units:
    """Read who can be linked.

    Args:
        connection: The open store.
        rules: Which traits are compared.
        since: Records modelled later are fresh; all are when it is None.
    """
    number, records = _number(connection)
    said: list[dict[str, str]] = [{} for _ in records]
    counts: dict[str, int] = {}
    kinds: dict[str, Kind] = {name.lower(): kind for name, kind in rules.columns.items()}
    names = ", ".join("?" for _ in kinds)
    traits = read_arrow(connection, _TRAITS.format(names=names), list(kinds)) if kinds else None
    for table in filter(None, (traits, read_arrow(connection, _CONTACTS))):
        for record_id, name, value in zip(*(table[column].to_pylist() for column in range(3)), strict=True):
            if record_id in number and value and value.strip():
                # The latest counts, as rows come in the order of time.
                said[number[record_id]][name] = value
                counts[record_id] = counts.get(record_id, 0) + 1
    for group in records:
        group.sort(key=lambda record: (-counts.get(record, 0), record))
    kinds.setdefault("email", "email")
    kinds.setdefault("phone", "phone")
    present = {name: kind for name, kind in kinds.items() if any(name in row for row in said)}
    columns = {name: [row.get(name) for row in said] for name in present}
    people = read_people(columns, present) if columns else People(len(records))
    return Units(number, records, people, _fresh(connection, number, len(records), since))


def _number(connection: Connection) -> tuple[dict[str, int], list[list[str]]]:
    members = read_arrow(connection, "SELECT record_id, profile_id FROM customers.members ORDER BY record_id")
    record_ids, profiles = (members[column].to_pylist() for column in range(2))
    holders: dict[tuple[str, str], int] = {}
    parts = _parts(connection, dict(zip(record_ids, profiles, strict=True)))
    number: dict[str, int] = {}
    records: list[list[str]] = []
    for record_id, profile_id in zip(record_ids, profiles, strict=True):
        place = holders.setdefault((profile_id, parts.get(record_id, "")), len(records))
        if place == len(records):
            records.append([])
        number[record_id] = place
        records[place].append(record_id)
    return number, records


def _parts(connection: Connection, profile_of: Mapping[str, str]) -> dict[str, str]:
    """For the records of profiles that links hold together: the smallest record that each hangs together with else."""
    ends = connection.execute(
        "SELECT record_a, record_b FROM customers.links WHERE status IN ('merged', 'accepted')"
    ).fetchall()
    linked = {profile_of[record] for pair in ends for record in pair if record in profile_of}
    if not linked:
        return {}
    parent = {record: record for record, profile in profile_of.items() if profile in linked}

    def root(record: str) -> str:
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    joined = read_arrow(connection, _JOINED)
    first: dict[tuple[str, str], str] = {}
    for record, value in zip(joined[0].to_pylist(), joined[1].to_pylist(), strict=True):
        if record in parent:
            one, other = root(record), root(first.setdefault((profile_of[record], value), record))
            parent[max(one, other)] = min(one, other)
    return {record: root(record) for record in parent}


def _fresh(connection: Connection, number: Mapping[str, int], rows: int, since: datetime | None) -> list[bool]:
    if since is None:
        return [True] * rows
    fresh = [False] * rows
    changed = connection.execute(
        "SELECT record_id FROM customers.records WHERE modelled_at > CAST(? AS TIMESTAMPTZ)", [since]
    ).fetchall()
    for (record_id,) in changed:
        if record_id in number:
            fresh[number[record_id]] = True
    return fresh


@dataclass
class Conflicts:
    """Which rows must not become one person."""

    pairs: set[tuple[int, int]] = field(default_factory=set)
    single: list[list[str | None]] = field(default_factory=list)
    sides: list[list[str | None]] = field(default_factory=list)

    def between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Of each pair of rows, whether a rule, a decision or a refusal holds them apart."""
        found = np.zeros(len(left), dtype=bool)
        for values in (*self.single, *self.sides):
            of = np.array(["" if value is None else value for value in values])
            found |= (of[left] != of[right]) & (of[left] != "") & (of[right] != "")
        if self.pairs:
            pairs = zip(np.minimum(left, right).tolist(), np.maximum(left, right).tolist(), strict=True)
            found |= np.fromiter((pair in self.pairs for pair in pairs), dtype=bool, count=len(left))
        return found

    def concerned(self) -> np.ndarray:
        """The rows that may be in such a pair."""
        named = [row for values in (*self.single, *self.sides) for row, value in enumerate(values) if value is not None]
        return np.unique(np.array([*named, *(row for pair in self.pairs for row in pair)], dtype=np.int64))


def read_conflicts(connection: Connection, units: Units) -> Conflicts:
    """Read what forbids links: kinds limited to one value, people taken apart by hand, and refused links."""
    conflicts = Conflicts()
    for kind in _single_kinds(connection):
        values: list[str | None] = [None] * len(units.records)
        rows = connection.execute(
            """
            SELECT identifier.record_id, identifier.value FROM customers.identifiers AS identifier
            WHERE identifier.kind = ? AND identifier.merges
              AND NOT EXISTS (SELECT 1 FROM customers.blocked_values AS blocked
                              WHERE blocked.kind = identifier.kind AND blocked.value = identifier.value)
            ORDER BY identifier.value DESC
            """,
            [kind],
        ).fetchall()
        for record_id, value in rows:
            if record_id in units.number:
                values[units.number[record_id]] = value
        conflicts.single.append(values)
    _read_decisions(connection, units, conflicts)
    refused = connection.execute("SELECT record_a, record_b FROM customers.links WHERE status = 'refused'").fetchall()
    for pair in refused:
        if all(record in units.number for record in pair):
            one, other = sorted(units.number[record] for record in pair)
            conflicts.pairs.add((one, other))
    return conflicts


def _read_decisions(connection: Connection, units: Units, conflicts: Conflicts) -> None:
    taken = connection.execute(
        """
        SELECT decision_id, record_id, side FROM customers.identity_decisions
        WHERE decision = 'unmerge' AND revoked_at IS NULL ORDER BY decision_id
        """
    ).fetchall()
    sides: dict[str, list[str | None]] = {}
    for decision_id, record_id, side in taken:
        if record_id in units.number:
            sides.setdefault(decision_id, [None] * len(units.records))[units.number[record_id]] = side
    conflicts.sides.extend(sides.values())


def _single_kinds(connection: Connection) -> list[str]:
    """Kinds of which a profile may bear one value ever, by the rules of the last resolve."""
    row = connection.execute("SELECT rules FROM customers.resolve_state").fetchone()
    kinds = json.loads(row[0]).get("kinds", {}) if row else {}
    return sorted(
        kind
        for kind, rule in kinds.items()
        if rule.get("max_values") == 1 and rule.get("window_days") is None and rule.get("merges", True)
    )
