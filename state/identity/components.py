"""Connected components: in SQL, by contraction, and in memory, by scipy.

In SQL every node hooks onto its smallest neighbour; the trees this makes are flattened by pointer jumping; each tree is
contracted to its root, and the edges between different roots are the next, smaller graph. A root that survives two
rounds is the smallest neighbour of a node of its own that does not survive, so two rounds at least halve the
nodes: 40 rounds do for a million nodes in the worst case, 3 to 5 in practice. Following labels along the edges
instead takes as many rounds as the longest chain is long.

After: Boegeholz, Brand, Todor, "In-database connected component analysis" (ICDE 2020), with the smallest neighbour
in place of random relabelling.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from millstream.state.identity.settling import Groups

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from millstream.state.store import Connection

_HOOK = """
CREATE OR REPLACE TEMP TABLE resolve_trees AS
SELECT node, CASE WHEN min(neighbour) < node THEN min(neighbour) ELSE node END AS parent
FROM (SELECT a AS node, b AS neighbour FROM resolve_edges
      UNION ALL
      SELECT b AS node, a AS neighbour FROM resolve_edges) AS both_ways
GROUP BY node
"""

_JUMP = """
CREATE OR REPLACE TEMP TABLE resolve_jumped AS
SELECT child.node, above.parent
FROM resolve_trees AS child JOIN resolve_trees AS above ON above.node = child.parent
"""

_STILL_DEEP = """
SELECT count(*) FROM resolve_trees AS child JOIN resolve_trees AS above ON above.node = child.parent
WHERE above.parent <> child.parent
"""

# In two steps: given both joins at once, a planner without statistics starts with the inequality.
_CONTRACT_ONE_END = """
CREATE OR REPLACE TEMP TABLE resolve_half AS
SELECT tree.parent AS a, edge.b FROM resolve_edges AS edge JOIN resolve_trees AS tree ON tree.node = edge.a
"""

_CONTRACT_OTHER_END = """
CREATE OR REPLACE TEMP TABLE resolve_edges AS
SELECT DISTINCT CASE WHEN half.a < tree.parent THEN half.a ELSE tree.parent END AS a,
       CASE WHEN half.a < tree.parent THEN tree.parent ELSE half.a END AS b
FROM resolve_half AS half JOIN resolve_trees AS tree ON tree.node = half.b
WHERE half.a <> tree.parent
"""


def label_components(connection: Connection) -> int:
    """Label each node with the smallest node of its component.

    Reads, and uses up, the temporary table ``resolve_edges (a, b)`` of integers; writes ``resolve_labels
    (node, label)`` for the nodes that have an edge.

    Returns:
        The number of rounds it took.
    """
    rounds = 0
    while _edges_left(connection):
        _grow_trees(connection)
        connection.execute(_CONTRACT_ONE_END)
        connection.execute(_CONTRACT_OTHER_END)
        connection.execute(f"ALTER TABLE resolve_trees RENAME TO resolve_round_{rounds}")
        rounds += 1
    _compose_labels(connection, rounds)
    return rounds


def _edges_left(connection: Connection) -> bool:
    return connection.execute("SELECT 1 FROM resolve_edges LIMIT 1").fetchone() is not None


def _grow_trees(connection: Connection) -> None:
    """Hook each node onto its smallest neighbour and jump until each points at the root of its tree."""
    connection.execute(_HOOK)
    while connection.execute(_STILL_DEEP).fetchone() != (0,):
        connection.execute(_JUMP)
        connection.execute("DROP TABLE resolve_trees")
        connection.execute("ALTER TABLE resolve_jumped RENAME TO resolve_trees")


def _compose_labels(connection: Connection, rounds: int) -> None:
    """Follow the rounds from the last to the first: a node's label is the label of the root it was contracted to."""
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_labels (node BIGINT, label BIGINT)")
    for number in reversed(range(rounds)):
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE resolve_composed AS
            SELECT tree.node, coalesce(later.label, tree.parent) AS label
            FROM resolve_round_{number} AS tree LEFT JOIN resolve_labels AS later ON later.node = tree.parent
            """
        )
        connection.execute(f"DROP TABLE resolve_round_{number}")
        connection.execute("DROP TABLE resolve_labels")
        connection.execute("ALTER TABLE resolve_composed RENAME TO resolve_labels")


def label_few(bonds: pa.Table) -> pa.Table:
    """The same as ``label_bonds``, in plain Python."""
    import pyarrow as pa

    pairs = list(zip(bonds["node"].to_pylist(), bonds["joint"].to_pylist(), strict=True))
    groups = Groups((node for node, _ in pairs), (), {})
    first: dict[int, int] = {}
    for node, joint in pairs:
        groups.unite(first.setdefault(joint, node), node)
    labels = groups.labels()
    together = Counter(labels.values())
    kept = {node: label for node, label in labels.items() if together[label] > 1}
    return pa.table({"node": pa.array(kept.keys(), pa.int64()), "label": pa.array(kept.values(), pa.int64())})


def label_bonds(bonds: pa.Table) -> pa.Table:
    """The same labels in memory, of the bipartite graph of records and joints.

    Args:
        bonds: Columns ``node`` and ``joint``, integers from 1; a joint's numbers are its own, not the nodes'.

    Returns:
        Columns ``node`` and ``label``, for the nodes that are not alone in their component.
    """
    import numpy as np
    import pyarrow as pa

    nodes, joints = bonds["node"].to_numpy(), bonds["joint"].to_numpy()
    if not len(nodes):
        return pa.table({"node": pa.array([], pa.int64()), "label": pa.array([], pa.int64())})
    size, width = int(nodes.max()) + 1, int(nodes.max()) + int(joints.max()) + 2
    kind = np.int32 if width < 2**31 else np.int64
    found, component = connected(nodes.astype(kind), joints.astype(kind) + kind(size), width)
    component = component[:size]
    # Written from the last to the first, the smallest node of a component is what stays.
    first = np.zeros(found, np.int64)
    first[component[::-1]] = np.arange(size - 1, -1, -1)
    label = first[component]
    together = np.bincount(component, minlength=found)[component] > 1
    numbers = np.flatnonzero(together)
    return pa.table({"node": numbers, "label": label[numbers]})


def connected(one: np.ndarray, other: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """How many components a graph has, and the number of each node's.

    Args:
        one: A node of each edge, below ``size``.
        other: The other node.
        size: How many nodes there are.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(size, size))
    found, component = connected_components(graph, directed=False)
    return found, component
