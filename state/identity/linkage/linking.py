"""Link: profiles that share no identifier, but by all that is known of them are one person.

Runs after ``resolve``, which obeys the links it writes when it runs next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from millstream.state.identity.components import connected
from millstream.state.identity.linkage import memory
from millstream.state.identity.linkage.linker import Linked, link_people
from millstream.state.identity.linkage.rules import LinkageRules, odds
from millstream.state.identity.linkage.units import Units, read_conflicts, read_units
from millstream.state.identity.tables import create_identity_tables
from millstream.state.store import write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

JOINING = ("merged", "accepted")
_COLUMNS = (
    "link_id", "record_a", "record_b", "probability", "match_weight", "levels", "status", "reason", "run_id",
    "changed_at",
)  # fmt: skip


@dataclass(frozen=True)
class LinkReport:
    """What a run came to.

    Attributes:
        profiles: What was compared: profiles as they are without links.
        merged: Links that join by themselves now.
        suggested: Links that wait for a decision now.
        withdrawn: Links that this run took back.
        changed: Records whose links changed; there is something to resolve when it is not 0.
        trained: Whether the model was trained anew.
        full: Whether all profiles were compared.
    """

    profiles: int
    merged: int
    suggested: int
    withdrawn: int
    changed: int
    trained: bool
    full: bool


@dataclass(frozen=True)
class _Link:
    link_id: str
    record_a: str
    record_b: str
    probability: float
    match_weight: float
    levels: str
    status: str


def link(connection: Connection, rules: LinkageRules, *, run_id: str, now: datetime, full: bool = False) -> LinkReport:
    """Bring ``customers.links`` in step with what is known of people.

    Only profiles with a record that changed since the last run are compared with all others, with the model that is
    kept; all are, and the model is trained anew, in a full run, the first time, when the rules changed, and when
    profiles have doubled since.

    Args:
        connection: The open store, resolved.
        rules: What to compare, thresholds and guards.
        run_id: Names this run in the links it writes.
        now: The time to write down, aware.
        full: Train anew and compare all.

    Raises:
        ConfigurationError: Splink, or what it needs for the backend, is not installed.
    """
    create_identity_tables(connection)
    kept = None if full else memory.read(connection, rules)
    watermark = memory.newest_record(connection)
    units = read_units(connection, rules, kept.watermark if kept else None)
    model = kept.model(units.people, rules) if kept else None
    if model is None:
        units.fresh = [True] * len(units.records)
    existing = _existing(connection)
    linked = None
    if any(units.fresh):
        linked = link_people(
            units.people,
            rules,
            model=model,
            fresh=None if model is None else units.fresh,
            together=_known_pairs(units, existing) if model is not None else (),
            apart=read_conflicts(connection, units),
        )
    wanted = _wanted(units, linked, rules) if linked else {}
    changes = _changes(units, existing, wanted)
    changed = _write(connection, changes, existing, run_id, now)
    if linked is not None:
        memory.write(
            connection,
            rules,
            linked.model,
            watermark=watermark,
            rows=len(units.records),
            trained_at=now if model is None else None,
        )
    counts = dict(connection.execute("SELECT status, count(*) FROM customers.links GROUP BY status").fetchall())
    return LinkReport(
        profiles=len(units.records),
        merged=counts.get("merged", 0),
        suggested=counts.get("suggested", 0),
        withdrawn=sum(each.status == "withdrawn" for each in changes),
        changed=changed,
        trained=linked is not None and model is None,
        full=model is None,
    )


def _existing(connection: Connection) -> dict[str, _Link]:
    rows = connection.execute(
        "SELECT link_id, record_a, record_b, probability, match_weight, levels, status FROM customers.links"
    ).fetchall()
    return {row[0]: _Link(*row) for row in rows}


def _known_pairs(units: Units, existing: Mapping[str, _Link]) -> list[tuple[int, int]]:
    """Pairs of rows that links join or would, so that groups are judged whole."""
    pairs = []
    for each in existing.values():
        ends = units.number.get(each.record_a), units.number.get(each.record_b)
        if each.status in (*JOINING, "suggested") and None not in ends and ends[0] != ends[1]:
            pairs.append((min(ends), max(ends)))  # type: ignore[type-var]
    return pairs  # type: ignore[return-value]


def _wanted(units: Units, linked: Linked, rules: LinkageRules) -> dict[tuple[int, int], _Link]:
    """The links that should be, by their two rows."""
    merge_at, suggest_at = odds(rules.merge_at), odds(rules.suggest_at)
    same = linked.labels[linked.left] == linked.labels[linked.right]
    merged = np.flatnonzero(same & (linked.weight >= merge_at))
    wanted: dict[tuple[int, int], _Link] = {}
    for pair in merged.tolist():
        _put(wanted, _make(units, linked, pair, "merged"))
    # Rows of one group that no merged pair holds together are still apart.
    one, other = _held_together(linked, merged)
    # One suggestion for each two that are apart: the best.
    best: dict[tuple[int, int], int] = {}
    for pair in np.flatnonzero((one != other) & (linked.weight >= suggest_at)).tolist():
        key = (min(int(one[pair]), int(other[pair])), max(int(one[pair]), int(other[pair])))
        if key not in best or linked.weight[pair] > linked.weight[best[key]]:
            best[key] = pair
    for pair in best.values():
        _put(wanted, _make(units, linked, pair, "suggested"))
    return wanted


def _held_together(linked: Linked, merged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For the rows of each pair, the number of all that merged pairs hold together with it."""
    _, labels = connected(linked.left[merged], linked.right[merged], len(linked.labels))
    return labels[linked.left], labels[linked.right]


def _put(wanted: dict[tuple[int, int], _Link], made: tuple[tuple[int, int], _Link]) -> None:
    wanted[made[0]] = made[1]


def _make(units: Units, linked: Linked, pair: int, status: str) -> tuple[tuple[int, int], _Link]:
    rows = int(linked.left[pair]), int(linked.right[pair])
    record_a, record_b = sorted(units.records[row][0] for row in rows)
    weight = float(linked.weight[pair])
    levels: dict[str, object] = {}
    parts = linked.parts[pair].tolist()
    for comparison, level, part in zip(linked.model.comparisons, linked.levels[pair].tolist(), parts, strict=True):
        if level >= 0:
            name = comparison.levels[len(comparison.levels) - 1 - level].name
            levels[comparison.name] = {"level": name, "weight": round(part, 2)}
    rest = weight - sum(parts)
    levels["prior and relatives"] = {"level": "how rare one person twice is", "weight": round(rest, 2)}
    probability = 1 / (1 + 2 ** -max(-60.0, min(60.0, weight)))
    return rows, _Link(
        link_id="l_" + hashlib.md5(f"{record_a}\n{record_b}".encode()).hexdigest()[:16],
        record_a=record_a,
        record_b=record_b,
        probability=probability,
        match_weight=weight,
        levels=json.dumps(levels),
        status=status,
    )


def _changes(units: Units, existing: Mapping[str, _Link], wanted: Mapping[tuple[int, int], _Link]) -> list[_Link]:
    """What differs between the links that are and those that should be. Decisions made by hand stand."""
    left = dict(wanted)
    changes = []
    for each in sorted(existing.values(), key=lambda known: (known.status not in JOINING, known.link_id)):
        ends = units.number.get(each.record_a), units.number.get(each.record_b)
        one, other = ends
        if one is None or other is None:
            if each.status not in ("withdrawn", "refused"):
                changes.append(_with(each, "withdrawn"))
            continue
        found = left.pop((min(one, other), max(one, other)), None)
        if each.status in ("accepted", "refused"):
            continue
        if found is not None:
            # The records that were named stay the ends as long as they are of these two.
            if found.status != each.status or abs(found.match_weight - each.match_weight) > 0.01:
                changes.append(_ends(found, each))
        elif each.status != "withdrawn" and (one == other or units.fresh[one] or units.fresh[other]):
            changes.append(_with(each, "withdrawn"))
    return [*changes, *left.values()]


def _with(known: _Link, status: str) -> _Link:
    return _Link(**{**vars(known), "status": status})


def _ends(found: _Link, known: _Link) -> _Link:
    return _Link(**{**vars(found), "link_id": known.link_id, "record_a": known.record_a, "record_b": known.record_b})


def _write(
    connection: Connection, changes: Iterable[_Link], existing: Mapping[str, _Link], run_id: str, now: datetime
) -> int:
    """Write down what changed, and which records ``resolve`` has to look at."""
    rows = list(changes)
    if not rows:
        return 0
    columns: dict[str, pa.Array] = {name: pa.array([getattr(each, name) for each in rows]) for name in _COLUMNS[:7]}
    reasons = ["evidence gone" if each.status == "withdrawn" else None for each in rows]
    columns["reason"] = pa.array(reasons, pa.string())
    columns["run_id"] = pa.array([run_id] * len(rows))
    columns["changed_at"] = pa.array([now] * len(rows), pa.timestamp("us", tz="UTC"))
    write_arrow(connection, "linkage_changes", pa.table(columns))
    connection.execute("DELETE FROM customers.links WHERE link_id IN (SELECT link_id FROM linkage_changes)")
    connection.execute(f"INSERT INTO customers.links SELECT {', '.join(_COLUMNS)} FROM linkage_changes")
    connection.execute("DROP TABLE linkage_changes")
    turned = {
        record
        for each in rows
        if (each.status in JOINING) != (each.link_id in existing and existing[each.link_id].status in JOINING)
        for record in (each.record_a, each.record_b)
    }
    if turned:
        write_arrow(connection, "linkage_rejoin", pa.table({"record_id": sorted(turned)}))
        connection.execute("INSERT INTO customers.rejoin SELECT record_id FROM linkage_rejoin")
        connection.execute("DROP TABLE linkage_rejoin")
    return len(turned)
