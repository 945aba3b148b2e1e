"""Resolve: which records are the same person.

Records and identifier values make a graph with two sorts of nodes; its connected components are the profiles. All
of it happens in the store, in SQL. A run looks only at what changed since the last (``scope.py``) and comes to the
same result as one that looks at everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.identity import apply, assign, blocking, scope
from millstream.state.identity.components import label_components
from millstream.state.identity.tables import create_identity_tables

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection


@dataclass(frozen=True)
class ResolveReport:
    """What a run came to.

    Attributes:
        records: Living records, each a member of one profile.
        profiles: Profiles there are now.
        new: Profiles that came to be.
        merged: Profile ids that were merged away.
        split: Profiles that lost a part.
        removed: Profiles whose last record is gone.
        blocked_values: Identifier values on two or more records that join nothing.
        changed_profiles: Profiles with other members or changed records, to be described anew.
    """

    records: int
    profiles: int
    new: int = 0
    merged: int = 0
    split: int = 0
    removed: int = 0
    blocked_values: int = 0
    changed_profiles: int = 0


def resolve(
    connection: Connection,
    rules: IdentityRules,
    *,
    run_id: str,
    now: datetime,
    full: bool = False,
) -> ResolveReport:
    """Bring ``customers.members`` in step with ``customers.records`` and ``customers.identifiers``.

    A record's ``modelled_at`` must become newer than all before whenever the record, or one of its identifiers,
    traits, events or consents, changes: that is how changes are found. Records that vanished are found without it.

    Args:
        connection: The open store.
        rules: What may join records. Other rules than those of the last run make the run a full one.
        run_id: Names this run in the history; also goes into new profile ids.
        now: The time to write down, aware.
        full: Look at everything, not only at what changed.
    """
    create_identity_tables(connection)
    seen = scope.read_state(connection)
    counts = scope.count_records(connection, seen)
    full = full or seen is None or seen.rules_fingerprint != rules.fingerprint()
    if not full and seen and (counts.newest, counts.at_newest, counts.records) == seen[:3]:
        return ResolveReport(seen.members, seen.profiles, blocked_values=_count(connection, "customers.blocked_values"))
    blocking.write_kinds(connection, rules)
    scope.collect_changed_records(connection, seen, counts)
    if full:
        _take_all(connection, rules)
    else:
        _take_touched(connection, rules)
    blocking.draw_edges(connection)
    label_components(connection)
    _name_components(connection, run_id)
    report = _write_down(connection, seen.profiles if seen else 0, run_id, now)
    _keep_state(connection, rules, counts, report, run_id=run_id, now=now)
    _drop_working_tables(connection)
    return report


def _take_all(connection: Connection, rules: IdentityRules) -> None:
    scope.take_all_records(connection)
    blocking.link_nodes(connection)
    blocking.group_shared_values(connection, "resolve_links", "node")
    blocking.find_blocked_values(connection, rules, "resolve_links", "node")
    blocking.compare_blocked_values(connection)


def _take_touched(connection: Connection, rules: IdentityRules) -> None:
    blocking.collect_touched_values(connection)
    blocking.link_touched_values(connection)
    blocking.group_shared_values(connection, "resolve_value_links", "record_id")
    blocking.find_blocked_values(connection, rules, "resolve_value_links", "record_id")
    blocking.compare_blocked_values(connection)
    blocking.collect_touched_records(connection)
    scope.take_touched_records(connection)
    blocking.link_nodes(connection)
    blocking.group_shared_values(connection, "resolve_links", "node")


def _name_components(connection: Connection, run_id: str) -> None:
    assign.collect_parts(connection)
    assign.count_overlap(connection)
    assign.choose_survivors(connection)
    assign.make_new_ids(connection, run_id)
    assign.assign_ids(connection)


def _write_down(connection: Connection, profiles_before: int, run_id: str, now: datetime) -> ResolveReport:
    apply.compare_members(connection)
    apply.write_members(connection)
    apply.write_aliases(connection, run_id, now)
    apply.write_new_and_removed(connection, run_id, now)
    apply.write_merges(connection, run_id, now)
    apply.write_splits(connection, run_id, now)
    changed = apply.queue_changed_profiles(connection)
    blocking.keep_blocked_values(connection)
    new, merged, removed = (_count(connection, f"resolve_{what}") for what in ("new", "merges", "removed"))
    return ResolveReport(
        records=_count(connection, "customers.members"),
        profiles=profiles_before + new - merged - removed,
        new=new,
        merged=merged,
        split=_count(connection, "(SELECT DISTINCT profile_id FROM resolve_splits) AS parted"),
        removed=removed,
        blocked_values=_count(connection, "resolve_blocked"),
        changed_profiles=changed,
    )


def _count(connection: Connection, relation: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return 0 if row is None else int(row[0])


def _keep_state(
    connection: Connection,
    rules: IdentityRules,
    counts: scope.RecordCounts,
    report: ResolveReport,
    *,
    run_id: str,
    now: datetime,
) -> None:
    connection.execute("DELETE FROM customers.resolve_state")
    connection.execute(
        "INSERT INTO customers.resolve_state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            counts.newest,
            counts.at_newest,
            counts.records,
            report.records,
            report.profiles,
            rules.fingerprint(),
            rules.model_dump_json(),
            run_id,
            now,
        ],
    )


def _drop_working_tables(connection: Connection) -> None:
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE temporary AND table_name LIKE 'resolve\\_%' ESCAPE '\\'"
    ).fetchall()
    for (table,) in tables:
        connection.execute(f"DROP TABLE {table}")
