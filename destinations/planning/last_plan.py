"""What a sync was when it was last planned: the guards compare with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from millstream.destinations.sync import Sync
    from millstream.state.store import Connection


@dataclass(frozen=True, kw_only=True)
class LastPlan:
    """A row of ``delivery.syncs``, as it stands there; its fields are the columns after the name of the sync.

    Attributes:
        columns: JSON: mapped column and type.
        matched_by: JSON: match key and column; None: an older version planned it.
        destination: None: as above.
        audience: JSON: its name, null where there is none; None: as above.
    """

    columns: str
    matched_by: str | None
    destination: str | None
    audience: str | None


_COLUMNS = tuple(LastPlan.__dataclass_fields__)


def last_plan(connection: Connection, name: str) -> LastPlan | None:
    """What a sync was when it was last planned; None where it never was. ``delivery.syncs`` must be there."""
    row = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM delivery.syncs WHERE sync = ?", [name]).fetchone()
    return LastPlan(**dict(zip(_COLUMNS, row, strict=True))) if row else None


def planned_destination(connection: Connection, name: str, last: LastPlan | None) -> str | None:
    """Where a sync went when it was last planned; None where it never was.

    Args:
        connection: Open on the store, with the tables of ``delivery``.
        name: Of the sync.
        last: What ``last_plan`` gave.
    """
    if last and last.destination:
        return last.destination
    # What an older version planned; a run that was killed is not among these.
    row = connection.execute(
        "SELECT destination FROM delivery.runs WHERE sync = ? AND status <> 'stopped' ORDER BY started_at DESC LIMIT 1",
        [name],
    ).fetchone()
    return row[0] if row else None


def remember(connection: Connection, name: str, sync: Sync, columns: Mapping[str, str], last: LastPlan | None) -> None:
    """Keep what the next plan's guards compare with, where it is not what the last plan kept."""
    now = LastPlan(
        columns=orjson.dumps(dict(columns)).decode(),
        matched_by=orjson.dumps(sync.match).decode(),
        destination=sync.destination,
        audience=orjson.dumps(sync.audience_name).decode(),
    )
    if now == last:
        return
    connection.execute("DELETE FROM delivery.syncs WHERE sync = ?", [name])
    connection.execute(
        f"INSERT INTO delivery.syncs (sync, {', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?)",
        [name, *asdict(now).values()],
    )
