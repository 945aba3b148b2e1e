"""The profiles that a decision is about: how many records they have, what is true of them, their audiences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.flows.looking.person import rows_of
from millstream.state.amounts import text_of
from millstream.state.profiles.people_view import people_table

if TYPE_CHECKING:
    from millstream.state.store import Connection

_NOT_TRAITS = ("profile_id", "sources", "records")


@dataclass(frozen=True)
class Side:
    """A profile that a decision is about: how many records it has, what is true of it, and its audiences."""

    profile_id: str
    records: int
    traits: Mapping[str, str]
    audiences: tuple[str, ...]


def records_of(connection: Connection, profiles: Sequence[str]) -> list[str]:
    """The records that profiles have now."""
    if not profiles:
        return []
    marks = ", ".join("?" for _ in profiles)
    rows = connection.execute(
        f"SELECT record_id FROM customers.members WHERE profile_id IN ({marks}) ORDER BY record_id", list(profiles)
    ).fetchall()
    return [str(record_id) for (record_id,) in rows]


def holders(connection: Connection, records: str, parameters: Sequence[object]) -> list[str]:
    """The profiles that have the records of a query now."""
    rows = connection.execute(
        f"SELECT DISTINCT profile_id FROM customers.members WHERE record_id IN ({records}) ORDER BY profile_id",
        list(parameters),
    ).fetchall()
    return [str(profile_id) for (profile_id,) in rows]


def holders_of(connection: Connection, records: Sequence[str]) -> list[str]:
    """The profiles of records, the largest first."""
    if not records:
        return []
    marks = ", ".join("?" for _ in records)
    rows = connection.execute(
        f"""
        SELECT profile_id FROM customers.members WHERE record_id IN ({marks})
        GROUP BY profile_id ORDER BY count(*) DESC, profile_id
        """,
        list(records),
    ).fetchall()
    return [str(profile_id) for (profile_id,) in rows]


def side_of(connection: Connection, profile_id: str) -> Side:
    """A profile as it is described now."""
    (profile,) = rows_of(connection, people_table(connection), profile_id) or [{}]
    traits = {name: text_of(value) for name, value in profile.items() if value is not None and name not in _NOT_TRAITS}
    audiences = connection.execute(
        "SELECT audience FROM customers.memberships WHERE profile_id = ? AND left_at IS NULL ORDER BY audience",
        [profile_id],
    ).fetchall()
    return Side(profile_id, len(records_of(connection, [profile_id])), traits, tuple(name for (name,) in audiences))


def others_changed(connection: Connection, run_id: str, known: set[str]) -> int:
    """How many profiles a run changed besides those that are known to be concerned."""
    rows = connection.execute(
        """
        SELECT profile_id FROM customers.profile_history WHERE run_id = ?
        UNION
        SELECT other_id FROM customers.profile_history WHERE run_id = ? AND other_id IS NOT NULL
        """,
        [run_id, run_id],
    ).fetchall()
    return len({str(profile_id) for (profile_id,) in rows} - known)
