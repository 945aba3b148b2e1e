"""Values that several people share: a family's phone joins those who bear the same first name, and nobody else.

The bearers of one value are grouped by what their own record says of the trait that the rule names (``agree_on``). What
a value comes to depends on its bearers alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from millstream.state.identity.joining import is_empty, write_rows

if TYPE_CHECKING:
    from millstream.state.store import Connection


def fold(text: str) -> str:
    """What is left to compare by: letters and digits, without accents, in one case."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


def agreed_keys(keys: Mapping[str, str]) -> dict[str, str | None]:
    """The group that each bearer of one value belongs to, by its folded trait; None for one that stands alone.

    Args:
        keys: The folded trait of each bearer; empty where there is none.
    """
    longer = {key for key in keys.values() if len(key) > 1}
    meant: dict[str, str | None] = {}
    for key in set(keys.values()):
        names = [name for name in longer if name.startswith(key)] if len(key) == 1 else [key]
        meant[key] = (names or [key])[0] if len(names) < 2 else None
    groups = {group for key, group in meant.items() if key and group is not None}
    if "" in meant:
        meant[""] = None if len(groups) > 1 else next(iter(groups), "")
    return {bearer: meant[key] for bearer, key in keys.items()}


class _Bearer(NamedTuple):
    record_id: str
    node: int | None
    key: str


def tell_apart(connection: Connection) -> None:
    """Cut the bonds of shared values into one joint for each group.

    Reads ``resolve_values``, ``resolve_bonds`` and ``resolve_nodes``. Writes

    - ``resolve_shared (value_id, kind, value, trait, records, groups)``: the values in scope with two or more groups;
    - ``resolve_shared_bearers (value_id, record_id)``: all their living bearers, also those out of scope;
    - ``resolve_groups (joint, group_key)``: the joints of shared values; all others have the value's own number;
    - and, in ``resolve_bonds``, the bonds of shared values anew.
    """
    _create_tables(connection)
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_asked AS
        SELECT asked.value_id, asked.kind, asked.value, rule.agree_on AS trait
        FROM resolve_values AS asked JOIN resolve_kinds AS rule ON rule.kind = asked.kind
        WHERE rule.agree_on IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM resolve_blocked AS blocked
                          WHERE blocked.kind = asked.kind AND blocked.value = asked.value)
        """
    )
    if is_empty(connection, "resolve_asked") or is_empty(connection, "customers.traits"):
        return
    _collect_bearers(connection)
    _collect_traits(connection)
    mixed = _read_mixed(connection)
    _write_groups(connection, mixed)


def _create_tables(connection: Connection) -> None:
    for table, columns in (
        ("shared", "value_id BIGINT, kind TEXT, value TEXT, trait TEXT, records BIGINT, groups BIGINT"),
        ("shared_bearers", "value_id BIGINT, record_id TEXT"),
        ("groups", "joint BIGINT, group_key TEXT"),
        ("bearers", "value_id BIGINT, record_id TEXT, node BIGINT"),
    ):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE resolve_{table} ({columns})")


def _collect_bearers(connection: Connection) -> None:
    """``resolve_bearers (value_id, record_id, node)``: who bears the values asked about; no node: out of scope.

    Of a value that was shared and is not touched, bearers of other groups may be out of scope; they count all the same.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_bearers AS
        SELECT DISTINCT asked.value_id, node.record_id, node.node
        FROM resolve_asked AS asked
        JOIN resolve_bonds AS bond ON bond.value_id = asked.value_id
        JOIN resolve_nodes AS node ON node.node = bond.node
        """
    )
    if not is_empty(connection, "customers.shared_bearers"):
        connection.execute(
            """
            INSERT INTO resolve_bearers
            SELECT asked.value_id, known.record_id, NULL
            FROM resolve_asked AS asked
            JOIN customers.shared_bearers AS known ON known.kind = asked.kind AND known.value = asked.value
            WHERE known.record_id NOT IN (SELECT record_id FROM resolve_nodes)
              AND known.record_id NOT IN (SELECT record_id FROM resolve_changed)
            """
        )


def _collect_traits(connection: Connection) -> None:
    """``resolve_said (value_id, record_id, said)``: what the bearers' own records say of the trait asked about."""
    # In two steps: given both joins at once, a planner may pair every value with every trait of the name first.
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_questions AS
        SELECT bearer.value_id, bearer.record_id, lower(asked.trait) AS name
        FROM resolve_bearers AS bearer JOIN resolve_asked AS asked ON asked.value_id = bearer.value_id
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_said AS
        SELECT question.value_id, question.record_id, min(trait.value) AS said
        FROM resolve_questions AS question
        JOIN customers.traits AS trait
          ON trait.record_id = question.record_id AND lower(trait.name) = question.name
        GROUP BY question.value_id, question.record_id
        """
    )


def _read_mixed(connection: Connection) -> dict[int, list[_Bearer]]:
    """The bearers of values of which not all records say the same."""
    rows = connection.execute(
        """
        SELECT bearer.value_id, bearer.record_id, bearer.node, said.said
        FROM (SELECT value_id FROM resolve_said GROUP BY value_id HAVING min(lower(said)) < max(lower(said))) AS mixed
        JOIN resolve_bearers AS bearer ON bearer.value_id = mixed.value_id
        LEFT JOIN resolve_said AS said ON said.value_id = bearer.value_id AND said.record_id = bearer.record_id
        """
    ).fetchall()
    folded: dict[str, str] = {}
    mixed: dict[int, list[_Bearer]] = {}
    for value_id, record_id, node, said in rows:
        text = said or ""
        if text not in folded:
            folded[text] = fold(text)
        mixed.setdefault(value_id, []).append(_Bearer(record_id, node, folded[text]))
    return mixed


def _write_groups(connection: Connection, mixed: Mapping[int, list[_Bearer]]) -> None:
    """Write what the values with two or more groups come to; each group is a joint of its own."""
    highest = connection.execute("SELECT max(value_id) FROM resolve_values").fetchone()
    joint = int(highest[0]) if highest else 0
    counts: list[tuple[int, int, int]] = []
    groups: list[tuple[int, str]] = []
    bearers: list[tuple[int, str]] = []
    bonds: list[tuple[int, int, int]] = []
    for value_id, known in sorted(mixed.items()):
        keys = agreed_keys({bearer.record_id: bearer.key for bearer in known})
        distinct = sorted({key for key in keys.values() if key is not None})
        if len(distinct) < 2:
            continue
        joints = {key: joint + number for number, key in enumerate(distinct, 1)}
        joint += len(joints)
        counts.append((value_id, len(known), len(joints)))
        groups += [(number, key) for key, number in joints.items()]
        for record_id, node, _ in known:
            bearers.append((value_id, record_id))
            key = keys[record_id]
            if node is not None and key is not None:
                bonds.append((node, joints[key], value_id))
    if counts:
        write_rows(connection, "resolve_counts", ("value_id", "records", "groups"), counts)
        write_rows(connection, "resolve_groups", ("joint", "group_key"), groups)
        write_rows(connection, "resolve_shared_bearers", ("value_id", "record_id"), bearers)
        _replace_bonds(connection, bonds)


def _replace_bonds(connection: Connection, bonds: list[tuple[int, int, int]]) -> None:
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_shared AS
        SELECT asked.value_id, asked.kind, asked.value, asked.trait, counted.records, counted.groups
        FROM resolve_counts AS counted JOIN resolve_asked AS asked ON asked.value_id = counted.value_id
        """
    )
    connection.execute("DELETE FROM resolve_bonds WHERE value_id IN (SELECT value_id FROM resolve_shared)")
    if bonds:
        write_rows(connection, "resolve_cut_bonds", ("node", "joint", "value_id"), bonds)
        connection.execute("INSERT INTO resolve_bonds SELECT node, joint, value_id FROM resolve_cut_bonds")


def keep_shared_values(connection: Connection, *, full: bool) -> None:
    """Bring ``customers.shared_values`` and ``customers.shared_bearers`` up to date for what was looked at."""
    for table in ("shared_values", "shared_bearers"):
        if is_empty(connection, f"customers.{table}"):
            continue
        looked_at = "" if full else f" WHERE {_LOOKED_AT.format(table=table)}"
        connection.execute(f"DELETE FROM customers.{table}{looked_at}")
    connection.execute(
        "INSERT INTO customers.shared_values SELECT kind, value, trait, records, groups FROM resolve_shared"
    )
    connection.execute(
        """
        INSERT INTO customers.shared_bearers
        SELECT bearer.record_id, shared.kind, shared.value
        FROM resolve_shared_bearers AS bearer JOIN resolve_shared AS shared ON shared.value_id = bearer.value_id
        """
    )


_LOOKED_AT = """
    EXISTS (SELECT 1 FROM resolve_touched_values AS touched
            WHERE touched.kind = {table}.kind AND touched.value = {table}.value)
    OR EXISTS (SELECT 1 FROM resolve_asked AS asked WHERE asked.kind = {table}.kind AND asked.value = {table}.value)
"""
