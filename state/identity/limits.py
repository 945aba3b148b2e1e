"""Limits: a profile may have one user id, some addresses, and never what people took apart by hand.

Only components that break a limit are cut; of them alone, records, joints and limited values are read into memory,
settled by ``settling.py``, and written back as other labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.identity.blocking import blocking_expressions
from millstream.state.identity.joining import add_kinds, is_empty, write_rows
from millstream.state.identity.settling import BY_HAND, Bond, Borne, Groups, Limit, breaks, settle

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection


def obey_limits(connection: Connection, rules: IdentityRules) -> None:
    """Cut the components that break a limit.

    Reads ``resolve_held``, ``resolve_links``, ``resolve_values``, ``resolve_bonds`` and ``resolve_labels``. Writes

    - ``resolve_refused (node, value_id, reason)``: the joins that were refused;
    - ``resolve_contested (node, component)``: the components in which any was, by their smallest node;
    - and, in ``resolve_labels``, the labels of what is left of these.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_refused (node BIGINT, value_id BIGINT, reason TEXT)")
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_contested (node BIGINT, component BIGINT)")
    _collect_suspects(connection)
    _collect_sides(connection)
    if is_empty(connection, "resolve_suspects"):
        return
    limits, borne = _read_limits(connection), _read_borne(connection, rules)
    held: dict[int, list[Borne]] = {}
    for label, each in borne:
        held.setdefault(label, []).append(each)
    breaking = {label: known for label, known in held.items() if breaks(known, limits)}
    if breaking:
        _cut(connection, breaking, limits)


def _collect_suspects(connection: Connection) -> None:
    """``resolve_suspects (label)``: components that bear more values of a kind than its limit, counted roughly.

    A value stands in one component, unless it is shared; so counting each where its first bearer is, and shared ones
    once for each bearer, needs no DISTINCT. Never are too few counted, and hardly ever too many. Components of one
    record have no label: nothing could be refused there.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_suspects (label BIGINT)")
    if is_empty(connection, "resolve_kinds WHERE max_values IS NOT NULL"):
        return
    once, shared = "value_id IS NOT NULL", "value_id IS NULL"
    if not is_empty(connection, "resolve_shared"):
        once += " AND value_id NOT IN (SELECT value_id FROM resolve_shared)"
        shared += " OR value_id IN (SELECT value_id FROM resolve_shared)"
    connection.execute(
        f"""
        INSERT INTO resolve_suspects
        SELECT DISTINCT counted.label
        FROM (SELECT component.label, standing.kind, count(*) AS standing
              FROM (SELECT min(node) AS node, kind FROM resolve_links WHERE {once} GROUP BY kind, value_id
                    UNION ALL
                    SELECT node, kind FROM resolve_links WHERE {shared}) AS standing
              JOIN resolve_labels AS component ON component.node = standing.node
              GROUP BY component.label, standing.kind) AS counted
        JOIN resolve_kinds AS rule ON rule.kind = counted.kind
        WHERE counted.standing > rule.max_values
        """
    )


def _collect_sides(connection: Connection) -> None:
    """``resolve_sides (node, decision_id, side)``: who was taken apart by hand; more ``resolve_suspects``."""
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_sides (node BIGINT, decision_id TEXT, side TEXT)")
    if is_empty(connection, "customers.identity_decisions WHERE decision = 'unmerge' AND revoked_at IS NULL"):
        return
    connection.execute(
        """
        INSERT INTO resolve_sides
        SELECT node.node, decision.decision_id, decision.side
        FROM customers.identity_decisions AS decision
        JOIN resolve_nodes AS node ON node.record_id = decision.record_id
        WHERE decision.decision = 'unmerge' AND decision.revoked_at IS NULL
        """
    )
    connection.execute(
        """
        INSERT INTO resolve_suspects
        SELECT DISTINCT component.label
        FROM resolve_sides AS taken JOIN resolve_labels AS component ON component.node = taken.node
        WHERE component.label NOT IN (SELECT label FROM resolve_suspects)
        GROUP BY component.label, taken.decision_id HAVING min(taken.side) < max(taken.side)
        """
    )


def _read_limits(connection: Connection) -> dict[str, Limit]:
    """What was taken apart by hand comes first: it is what people want to read as the reason."""
    decisions = connection.execute("SELECT DISTINCT decision_id FROM resolve_sides ORDER BY decision_id").fetchall()
    limits = {_by_hand(decision): Limit(1, None, BY_HAND) for (decision,) in decisions}
    for kind, most, days in connection.execute(
        "SELECT kind, max_values, window_days FROM resolve_kinds WHERE max_values IS NOT NULL"
    ).fetchall():
        window = None if days is None else timedelta(days=days)
        within = f" within {days} day{'' if days == 1 else 's'}" if days else ""
        limits[kind] = Limit(most, window, f"more than {most} {kind}{within}")
    return {name: limits[name] for name in sorted(limits, key=lambda name: (limits[name].reason != BY_HAND, name))}


def _by_hand(decision_id: str) -> str:
    """The name of a decision among the limits; no kind of identifier has a space in front."""
    return f" {decision_id}"


def _read_borne(connection: Connection, rules: IdentityRules) -> Iterator[tuple[int, Borne]]:
    """The limited values of the suspects' records, each with the component's label."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_suspected AS
        SELECT component.label, node.node, node.record_id
        FROM resolve_suspects AS suspect
        JOIN resolve_labels AS component ON component.label = suspect.label
        JOIN resolve_nodes AS node ON node.node = component.node
        """
    )
    # Patterns cost most: they are tried on what is left when all else is done.
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_borne AS
        SELECT DISTINCT suspect.label, suspect.node, held.kind, held.value, rule.window_days IS NOT NULL AS windowed
        FROM resolve_suspected AS suspect
        JOIN resolve_held AS held ON held.record_id = suspect.record_id
        JOIN resolve_kinds AS rule ON rule.kind = held.kind
        WHERE rule.max_values IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM resolve_blocked AS blocked
                          WHERE blocked.kind = held.kind AND blocked.value = held.value)
        """
    )
    kinds = connection.execute("SELECT DISTINCT kind FROM resolve_borne ORDER BY kind").fetchall()
    for kind, expression in blocking_expressions(rules, [str(kind) for (kind,) in kinds]):
        connection.execute(
            "DELETE FROM resolve_borne WHERE kind = ? AND regexp_matches(lower(value), ?)", [kind, expression]
        )
    for query in (_UNDATED, _DATED):
        for label, *facts in connection.execute(query).fetchall():
            yield label, Borne(*facts)
    for label, node, decision_id, side in connection.execute(_TAKEN).fetchall():
        yield label, Borne(node, _by_hand(decision_id), side, None)


_UNDATED = "SELECT label, node, kind, value, NULL AS observed_at FROM resolve_borne WHERE NOT windowed"
_DATED = """
SELECT borne.label, borne.node, borne.kind, borne.value, record.observed_at
FROM resolve_borne AS borne
JOIN resolve_suspected AS suspect ON suspect.node = borne.node
JOIN customers.records AS record ON record.record_id = suspect.record_id
WHERE borne.windowed
"""
_TAKEN = """
SELECT suspect.label, taken.node, taken.decision_id, taken.side
FROM resolve_suspected AS suspect JOIN resolve_sides AS taken ON taken.node = suspect.node
"""


def _cut(connection: Connection, breaking: Mapping[int, list[Borne]], limits: Mapping[str, Limit]) -> None:
    labels: list[tuple[int, int]] = []
    refused: list[tuple[int, int, str]] = []
    contested: list[tuple[int, int]] = []
    for component, bonds in _read_bonds(connection, breaking).items():
        settled = settle(bonds, breaking[component], limits)
        if settled.refused:
            labels += settled.labels.items()
            refused += [(bond.node, bond.value_id, reason) for bond, reason in settled.refused]
            contested += [(node, component) for node in settled.labels]
    if not refused:
        return
    write_rows(connection, "resolve_refused", ("node", "value_id", "reason"), refused)
    write_rows(connection, "resolve_contested", ("node", "component"), contested)
    write_rows(connection, "resolve_relabelled", ("node", "label"), labels)
    connection.execute("DELETE FROM resolve_labels WHERE node IN (SELECT node FROM resolve_relabelled)")
    connection.execute("INSERT INTO resolve_labels SELECT node, label FROM resolve_relabelled")


def _read_bonds(connection: Connection, breaking: Mapping[int, list[Borne]]) -> dict[int, list[Bond]]:
    """The bonds of each component that breaks a limit."""
    write_rows(connection, "resolve_breaking", ("label",), [(label,) for label in breaking])
    # In two steps: given all joins at once, a planner may take every node's record and every bond's value first.
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_broken AS
        SELECT DISTINCT broken.label, bond.node, bond.joint, bond.value_id
        FROM resolve_breaking AS broken
        JOIN resolve_labels AS component ON component.label = broken.label
        JOIN resolve_bonds AS bond ON bond.node = component.node
        """
    )
    rows = connection.execute(
        """
        SELECT bond.label, bond.node, node.record_id, bond.joint, bond.value_id,
               rule.priority, known.kind, known.value, coalesce(part.group_key, '')
        FROM resolve_broken AS bond
        JOIN resolve_nodes AS node ON node.node = bond.node
        JOIN resolve_values AS known ON known.value_id = bond.value_id
        JOIN resolve_kinds AS rule ON rule.kind = known.kind
        LEFT JOIN resolve_groups AS part ON part.joint = bond.joint
        """
    ).fetchall()
    bonds: dict[int, list[Bond]] = {}
    for label, *facts in rows:
        bonds.setdefault(label, []).append(Bond(*facts))
    return bonds


def keep_refused_joins(connection: Connection, *, full: bool, run_id: str, now: datetime) -> None:
    """Bring ``customers.refused_joins`` and ``customers.contested`` up to date for the records in scope.

    A join that was refused before keeps the run that refused it first.
    """
    if all(is_empty(connection, table) for table in ("resolve_refused", "customers.contested")):
        return
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_refused_joins AS
        SELECT node.record_id, known.kind, known.value, refused.reason
        FROM resolve_refused AS refused
        JOIN resolve_nodes AS node ON node.node = refused.node
        JOIN resolve_values AS known ON known.value_id = refused.value_id
        """
    )
    scope = "" if full else f" AND record_id IN ({_SCOPE})"
    connection.execute(
        f"""
        DELETE FROM customers.refused_joins WHERE NOT EXISTS (
            SELECT 1 FROM resolve_refused_joins AS now
            WHERE now.record_id = refused_joins.record_id AND now.kind = refused_joins.kind
              AND now.value = refused_joins.value AND now.reason = refused_joins.reason){scope}
        """
    )
    connection.execute(f"DELETE FROM customers.contested{'' if full else f' WHERE record_id IN ({_SCOPE})'}")
    if not is_empty(connection, "resolve_refused"):
        _add_refused_joins(connection, run_id, now)


def _add_refused_joins(connection: Connection, run_id: str, now: datetime) -> None:
    connection.execute(
        """
        INSERT INTO customers.refused_joins
        SELECT now.record_id, now.kind, now.value, now.reason, ?, ?
        FROM resolve_refused_joins AS now
        WHERE NOT EXISTS (
            SELECT 1 FROM customers.refused_joins AS before
            WHERE before.record_id = now.record_id AND before.kind = now.kind AND before.value = now.value)
        """,
        [run_id, now],
    )
    connection.execute(
        """
        INSERT INTO customers.contested
        SELECT mine.record_id, smallest.record_id
        FROM resolve_contested AS contested
        JOIN resolve_nodes AS mine ON mine.node = contested.node
        JOIN resolve_nodes AS smallest ON smallest.node = contested.component
        """
    )


_SCOPE = "SELECT record_id FROM resolve_nodes UNION ALL SELECT record_id FROM resolve_rejoin"


def forbidden_together(connection: Connection, rules: IdentityRules, profiles: Sequence[str]) -> str | None:
    """Which limit the records of some profiles break together and none of them breaks alone; None if none does.

    Reads ``resolve_joining`` and writes the rules of the kinds it meets into ``resolve_kinds``.
    """
    write_rows(connection, "resolve_chosen", ("place", "profile_id"), list(enumerate(profiles)))
    links = """
        resolve_chosen AS chosen
        JOIN customers.members AS member ON member.profile_id = chosen.profile_id
        JOIN resolve_joining AS link ON link.record_id = member.record_id
        JOIN customers.records AS record ON record.record_id = link.record_id
        LEFT JOIN customers.blocked_values AS blocked ON blocked.kind = link.kind AND blocked.value = link.value
        WHERE blocked.kind IS NULL
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_sides (node BIGINT, decision_id TEXT, side TEXT)")
    kinds = add_kinds(connection, rules, f"(SELECT link.kind FROM {links}) AS borne")
    patterns = {kind: re.compile(text) for kind, text in blocking_expressions(rules, kinds)}
    limits = _read_limits(connection)
    rows = connection.execute(f"SELECT chosen.place, link.kind, link.value, record.observed_at FROM {links}").fetchall()
    for table in ("chosen", "sides"):
        connection.execute(f"DROP TABLE resolve_{table}")
    borne = [
        Borne(*row)
        for row in rows
        if row[1] in limits and not (row[1] in patterns and patterns[row[1]].match(row[2].lower()))
    ]
    groups = Groups(range(len(profiles)), borne, limits)
    reasons = (groups.unite(0, place) for place in range(1, len(profiles)))
    return next((reason for reason in reasons if reason), None)
