"""The graph of records and joints, and which records it holds together.

A joint is a value that joins records, or one group of the bearers of a value that several people share. Records and
joints are the two sorts of nodes; a bond is an edge between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from millstream.state.identity import components, shared
from millstream.state.identity.joining import add_kinds, is_empty
from millstream.state.sql import literal
from millstream.state.store import count_rows, read_arrow, write_arrow

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

Way = Literal["plain", "scipy", "sql"]

MOST_PLAIN = 10_000
"""Bonds up to which plain Python is done before scipy is loaded, or SQL has made its working tables."""
MOST_IN_MEMORY = 50_000_000
"""Bonds up to which components are worked out in memory, at some 50 bytes each; above, and elsewhere, in SQL."""


def link_nodes(connection: Connection, rules: IdentityRules) -> None:
    """``resolve_links (node, kind, value_id)``: the records in scope, each with each of ``resolve_values`` it bears.

    A value that is not among them joins nothing, but counts where its kind has a limit: there its bearer stands with
    NULL for it.
    """
    add_kinds(connection, rules, "resolve_held")
    found = connection.execute("SELECT kind FROM resolve_kinds WHERE max_values IS NOT NULL ORDER BY kind").fetchall()
    limited = ", ".join(literal(str(kind)) for (kind,) in found)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_links AS
        SELECT node.node, held.kind, known.value_id
        FROM resolve_held AS held
        JOIN resolve_nodes AS node ON node.record_id = held.record_id
        {"LEFT" if limited else ""} JOIN resolve_values AS known
          ON known.kind = held.kind AND known.value = held.value
        {f"WHERE known.value_id IS NOT NULL OR held.kind IN ({limited})" if limited else ""}
        """
    )


def draw_bonds(connection: Connection) -> None:
    """``resolve_bonds (node, joint, value_id)``: each record in scope with each joint it bears."""
    unblocked = """
        AND value_id NOT IN (
            SELECT known.value_id FROM resolve_values AS known
            JOIN resolve_blocked AS blocked ON blocked.kind = known.kind AND blocked.value = known.value)
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_bonds AS
        SELECT node, value_id AS joint, value_id FROM resolve_links
        WHERE value_id IS NOT NULL {"" if is_empty(connection, "resolve_blocked") else unblocked}
        """
    )
    shared.tell_apart(connection)


def label_nodes(connection: Connection, *, way: Way | None = None) -> None:
    """``resolve_labels (node, label)``: the smallest node of its component, for each node that is not alone.

    Args:
        connection: The open store.
        way: How; as is quickest when left out. All come to the same.
    """
    way = way or _quickest(connection)
    if way == "sql":
        _draw_edges(connection)
        components.label_components(connection)
        return
    label = components.label_few if way == "plain" else components.label_bonds
    bonds = read_arrow(connection, "SELECT node, joint FROM resolve_bonds")
    write_arrow(connection, "resolve_labels", label(bonds))


def _quickest(connection: Connection) -> Way:
    bonds = count_rows(connection, "resolve_bonds")
    if bonds <= MOST_PLAIN:
        return "plain"
    in_process = getattr(connection, "engine", "duckdb") == "duckdb"
    return "scipy" if in_process and bonds <= MOST_IN_MEMORY else "sql"


def _draw_edges(connection: Connection) -> None:
    """``resolve_edges (a, b)``: a star from the first record of each joint to the others."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_edges AS
        SELECT DISTINCT star.first AS a, bond.node AS b
        FROM (SELECT joint, min(node) AS first FROM resolve_bonds GROUP BY joint) AS star
        JOIN resolve_bonds AS bond ON bond.joint = star.joint
        WHERE bond.node <> star.first
        """
    )


def collect_parts(connection: Connection) -> None:
    """``resolve_parts (record_id, node, label)``: the part that each record in scope belongs to."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_parts AS
        SELECT node.record_id, node.node, coalesce(component.label, node.node) AS label
        FROM resolve_nodes AS node LEFT JOIN resolve_labels AS component ON component.node = node.node
        """
    )
