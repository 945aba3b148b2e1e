"""Resolve: which records are the same person.

Records and what they are known by make a graph with two sorts of nodes. Its connected components, cut where a limit or
a decision forbids a join, are the profiles. A run looks only at what changed since the last (``scope.py``) and comes to
the same result as one that looks at everything: what the store holds decides, never the order in which it came.

The steps, each with temporary tables named ``resolve_…`` that its docstring explains:

    scope.py       which records to look at, with touched.py
    joining.py     what may join them: identifiers, decisions by hand, probable links
    blocking.py    which values join nothing
    shared.py      which values several people share, and whom each joins
    graph.py       what hangs together (components.py)
    limits.py      where that is cut (settling.py)
    assign.py      which id each part goes by (overlap.py)
    apply.py       members, aliases; history.py: what happened, and why
    households.py  who lives together
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.identity import (
    apply,
    assign,
    blocking,
    graph,
    hashing,
    history,
    households,
    joining,
    limits,
    scope,
    shared,
    touched,
)
from millstream.state.identity.joining import is_empty
from millstream.state.identity.tables import create_identity_tables
from millstream.state.store import count_rows, drop_temporary_tables, writing_ids

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
        refused: Joins there are that a limit or a decision forbids.
        shared_values: Values there are that several people share.
        households: Households there are of two or more profiles.
    """

    records: int
    profiles: int
    new: int = 0
    merged: int = 0
    split: int = 0
    removed: int = 0
    blocked_values: int = 0
    changed_profiles: int = 0
    refused: int = 0
    shared_values: int = 0
    households: int = 0


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
    hashing.keep_hashes(connection)
    seen = scope.read_state(connection)
    sums = scope.sum_up_records(connection, seen)
    full = full or seen is None or seen.rules_fingerprint != rules.fingerprint()
    unchanged = seen is not None and sums[:3] == seen[:3]
    if seen and unchanged and not full and is_empty(connection, "customers.rejoin"):
        report = ResolveReport(seen.members, seen.profiles, **_standing(connection))
        return _with_households(connection, rules, report, run_id=run_id, now=now)
    scope.collect_changed_records(connection, seen, sums)
    _work_out(connection, rules, full=full)
    write_down = _write_first if is_empty(connection, "resolve_before") else _write_down
    report = write_down(connection, seen, run_id=run_id, now=now)
    blocking.keep_blocked_values(connection)
    shared.keep_shared_values(connection, full=full)
    limits.keep_refused_joins(connection, full=full, run_id=run_id, now=now)
    report = replace(report, **_standing(connection))
    _keep_state(connection, rules, sums, report, run_id=run_id, now=now)
    connection.execute("DELETE FROM customers.rejoin")
    for view in ("held", "joining") if full else ("joining",):
        connection.execute(f"DROP VIEW resolve_{view}")
    drop_temporary_tables(connection, "resolve_")
    return _with_households(connection, rules, report, run_id=run_id, now=now, full=full)


def _work_out(connection: Connection, rules: IdentityRules, *, full: bool) -> None:
    """Which records in scope are one person: ``resolve_labels``."""
    joining.create_joining(connection, rules)
    joining.create_kinds(connection)
    if full:
        _take_all(connection, rules)
    else:
        _take_touched(connection, rules)
    graph.draw_bonds(connection)
    graph.label_nodes(connection)
    limits.obey_limits(connection, rules)


def _take_all(connection: Connection, rules: IdentityRules) -> None:
    scope.take_all_records(connection)
    blocking.collect_values(connection, "resolve_held")
    graph.link_nodes(connection, rules)
    blocking.find_blocked_values(connection, rules, "resolve_links", "node")
    blocking.compare_blocked_values(connection)


def _take_touched(connection: Connection, rules: IdentityRules) -> None:
    growing = is_empty(connection, "resolve_knew")
    touched.collect_touched_values(connection, growing=growing)
    touched.link_touched_values(connection)
    blocking.collect_values(connection, "resolve_value_links")
    blocking.find_blocked_values(connection, rules, blocking.VALUE_BEARERS, "record_id")
    if growing:
        blocking.add_hot_values(connection)
    blocking.compare_blocked_values(connection)
    touched.collect_touched_records(connection)
    scope.take_touched_records(connection)
    blocking.collect_values(connection, "resolve_held")
    graph.link_nodes(connection, rules)


def _write_first(connection: Connection, seen: scope.SeenState | None, *, run_id: str, now: datetime) -> ResolveReport:
    """Where nobody in scope was a member before, there is nothing to compare with and nothing to explain."""
    for largest in ("links", "bonds"):
        connection.execute(f"DROP TABLE resolve_{largest}")
    assign.name_first_parts(connection, run_id)
    with writing_ids(connection):
        apply.write_first(connection)
        history.write_new(connection, run_id, now)
    new = count_rows(connection, "resolve_new")
    return ResolveReport(
        records=count_rows(connection, "customers.members"),
        profiles=(seen.profiles if seen else 0) + new,
        new=new,
        changed_profiles=new,
    )


def _write_down(connection: Connection, seen: scope.SeenState | None, *, run_id: str, now: datetime) -> ResolveReport:
    graph.collect_parts(connection)
    assign.name_parts(connection, run_id)
    apply.compare_members(connection)
    apply.write_members(connection)
    apply.collect_merges(connection)
    apply.write_aliases(connection, run_id, now)
    apply.write_later_members(connection, now)
    apply.write_merged_members(connection, run_id, now)
    history.write_new(connection, run_id, now)
    history.write_removed(connection, run_id, now)
    history.write_merges(connection, run_id, now)
    history.write_splits(connection, run_id, now)
    changed = apply.queue_changed_profiles(connection)
    new, merged, removed = (count_rows(connection, f"resolve_{what}") for what in ("new", "merges", "removed"))
    revived = count_rows(connection, "resolve_revived")
    return ResolveReport(
        records=count_rows(connection, "customers.members"),
        profiles=(seen.profiles if seen else 0) + new + revived - merged - removed,
        new=new,
        merged=merged,
        split=count_rows(connection, "(SELECT DISTINCT profile_id FROM resolve_splits) AS parted"),
        removed=removed,
        changed_profiles=changed,
    )


def _standing(connection: Connection) -> dict[str, int]:
    """What the report says of things that are there, whether this run made them or an earlier one."""
    return {
        "blocked_values": count_rows(connection, "customers.blocked_values"),
        "refused": count_rows(connection, "customers.refused_joins"),
        "shared_values": count_rows(connection, "customers.shared_values"),
        "households": count_rows(
            connection, "(SELECT DISTINCT household_id FROM customers.household_members) AS households"
        ),
    }


def _with_households(
    connection: Connection,
    rules: IdentityRules,
    report: ResolveReport,
    *,
    run_id: str,
    now: datetime,
    full: bool = False,
) -> ResolveReport:
    """The households follow the profiles; their rules may have changed where those of the profiles have not."""
    found = households.bring_up_to_date(connection, rules, run_id=run_id, now=now, full=full)
    drop_temporary_tables(connection, "resolve_")
    return replace(report, households=found)


def _keep_state(
    connection: Connection,
    rules: IdentityRules,
    sums: scope.RecordSums,
    report: ResolveReport,
    *,
    run_id: str,
    now: datetime,
) -> None:
    connection.execute("DELETE FROM customers.resolve_state")
    connection.execute(
        "INSERT INTO customers.resolve_state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            sums.newest,
            sums.at_newest,
            sums.living,
            report.records,
            report.profiles,
            rules.fingerprint(),
            rules.model_dump_json(),
            run_id,
            now,
        ],
    )
