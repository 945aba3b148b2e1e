"""How large audiences were over time, as each run left them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.store import column_types

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class SizeAt:
    """An audience as a run left it.

    Attributes:
        as_of: The time of the run, aware.
        run_id: The run.
        size: Members.
        entered: Profiles that became members in it.
        left: Profiles that ceased to be.
    """

    as_of: datetime
    run_id: str
    size: int
    entered: int
    left: int

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def sizes_over_time(
    connection: Connection, audiences: Collection[str] | None = None, *, runs: int | None = None
) -> dict[str, tuple[SizeAt, ...]]:
    """The sizes of audiences, oldest first.

    Args:
        connection: The open store.
        audiences: Names; all that there ever were when left out.
        runs: Only the latest so many of each audience.

    Returns:
        By name; empty for an audience that no run has computed yet.
    """
    found: dict[str, list[SizeAt]] = {name: [] for name in audiences or ()}
    if not column_types(connection, "customers", "audience_sizes"):
        return dict.fromkeys(found, ())
    rows = connection.execute(
        """
        SELECT audience, as_of, run_id, size, entered, left_count FROM (
            SELECT *, row_number() OVER (PARTITION BY audience ORDER BY as_of DESC, run_id DESC) AS number
            FROM customers.audience_sizes
        ) AS numbered WHERE number <= ? ORDER BY audience, number DESC
        """,
        [runs if runs is not None else 2**31],
    ).fetchall()
    for name, *facts in rows:
        if audiences is None or name in found:
            found.setdefault(str(name), []).append(SizeAt(*facts))
    return {name: tuple(sizes) for name, sizes in found.items()}
