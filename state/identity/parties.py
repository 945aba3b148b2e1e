"""Whom a decision by hand is about: profiles and their records, by whatever id people name them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.state.store import Connection

_LOOK = "look for the person by e-mail address, phone number or record id."


def living_profile(connection: Connection, profile_or_alias: str) -> str:
    """The living profile that an id stands for."""
    row = connection.execute(
        """
        SELECT profile_id FROM customers.profile_aliases WHERE alias_id = ?
        UNION ALL
        SELECT profile_id FROM customers.members WHERE profile_id = ? LIMIT 1
        """,
        [profile_or_alias, profile_or_alias],
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"No profile goes by the id {profile_or_alias!r}.", remedy=_LOOK)
    return str(row[0])


def members_of(connection: Connection, profile: str) -> set[str]:
    """The records of a living profile."""
    rows = connection.execute("SELECT record_id FROM customers.members WHERE profile_id = ?", [profile]).fetchall()
    return {str(record_id) for (record_id,) in rows}


def brought_by(connection: Connection, alias: str) -> set[str]:
    """The records that an id which was merged away brought along."""
    rows = connection.execute("SELECT record_id FROM customers.merged_members WHERE from_id = ?", [alias]).fetchall()
    return {str(record_id) for (record_id,) in rows}


def came_since(connection: Connection, alias: str, living: str) -> tuple[set[str], set[str]]:
    """The records of a living profile that it did not have yet when an id was merged into it.

    Returns:
        Those that came by themselves, and those that other ids brought along.
    """
    survivors, since = _merged_into(connection, alias)
    if since is None:
        return set(), set()
    rows = connection.execute(
        """
        SELECT record_id, from_id FROM (
            SELECT record_id, from_id, changed_at FROM customers.later_members
            UNION ALL
            SELECT record_id, from_id, changed_at FROM customers.merged_members) AS later
        WHERE changed_at >= ? AND record_id IN (SELECT record_id FROM customers.members WHERE profile_id = ?)
        """,
        [since, living],
    ).fetchall()
    mine = {alias, *survivors}
    brought = {str(record_id) for record_id, by in rows if by is not None and by not in mine}
    return {str(record_id) for record_id, by in rows if by is None} - brought, brought


def _merged_into(connection: Connection, alias: str) -> tuple[list[str], datetime | None]:
    """The ids that have stood for one that was merged away, the first survivor first, and when it was merged."""
    survivors: list[str] = []
    since = None
    loser = alias
    while merged := connection.execute(
        "SELECT into_id, changed_at FROM customers.merged_members WHERE from_id = ? LIMIT 1", [loser]
    ).fetchone():
        loser = str(merged[0])
        survivors.append(loser)
        since = since or merged[1]
    return survivors, since


def alias_meant(connection: Connection, one: str, other: str | None, living: str) -> str:
    """The id that was merged away, of the one or two that were named."""
    check_other(connection, other, living)
    aliases = [each for each in (one, other) if each is not None and each != living]
    if len(aliases) == 1:
        return aliases[0]
    if len(aliases) == 2:
        # Both came to a third: the one that brought fewer of the records parts from the rest.
        return min(aliases, key=lambda alias: (len(brought_by(connection, alias)), alias))
    known = connection.execute(
        "SELECT alias_id FROM customers.profile_aliases WHERE profile_id = ? ORDER BY changed_at, alias_id", [living]
    ).fetchall()
    raise ConfigurationError(
        f"What is to part from the profile {living!r}?",
        where="unmerge",
        allowed=[str(alias) for (alias,) in known],
        remedy="name an id that was merged into it, or list the records that part.",
    )


def check_other(connection: Connection, other: str | None, living: str) -> None:
    """Make sure that the other id of a pair, if one is named, stands for the same profile."""
    if other is not None and living_profile(connection, other) != living:
        raise ConfigurationError(
            f"There is nothing to undo: {other!r} is not of the profile {living!r}.",
            where="unmerge",
            remedy="name two ids of one profile.",
        )
