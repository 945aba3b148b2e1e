"""Whom a decision means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.state.store import Connection


def different_people(connection: Connection, people: Sequence[str], default_country: str | None) -> list[str]:
    """The ids of people, each by whatever it is known by.

    Raises:
        ConfigurationError: Somebody is not known, or named twice.
    """
    from millstream.state.identity.find import find_one

    named: dict[str, str] = {}
    for who in people:
        match = find_one(connection, who, default_country=default_country)
        if match.profile_id in named:
            if named[match.profile_id].strip() == who.strip():
                raise ConfigurationError(f"{who!r} is named twice.", remedy="name each person once.")
            once = f" {match.alias} was merged into it." if match.alias else ""
            raise ConfigurationError(
                f"{named[match.profile_id]!r} and {who!r} are one person already, {match.profile_id}.{once}",
                remedy=f"`millstream explain {match.profile_id}` tells why.",
            )
        named[match.profile_id] = who
    return list(named)


def part_meant(connection: Connection, profile_id: str, who: str, default_country: str | None) -> str:
    """The id that was merged into a profile; of several, the one whose records bear what was asked for."""
    from millstream.state.identity.find import spellings

    values = sorted(spellings(connection, who.strip(), default_country))
    marks = ", ".join("?" for _ in values)
    rows = connection.execute(
        f"""
        SELECT brought.from_id, count(meant.record_id)
        FROM customers.merged_members AS brought
        JOIN customers.members AS member ON member.record_id = brought.record_id
        LEFT JOIN (SELECT DISTINCT record_id FROM customers.identifiers
                   WHERE value IN ({marks}) OR original IN ({marks}) OR record_id IN ({marks})) AS meant
          ON meant.record_id = brought.record_id
        WHERE member.profile_id = ? GROUP BY brought.from_id ORDER BY brought.from_id
        """,
        [*values, *values, *values, profile_id],
    ).fetchall()
    parts = [str(part) for part, _ in rows]
    meant = parts if len(parts) == 1 else [str(part) for part, bearing in rows if bearing]
    if not parts:
        raise ConfigurationError(
            f"Nothing was merged into {profile_id}.",
            remedy=f"name the records that are somebody else's with --record; `millstream explain {profile_id}` "
            "lists them.",
        )
    if len(meant) != 1:
        raise ConfigurationError(
            f"{len(parts)} ids were merged into {profile_id}.", allowed=parts, remedy="name one of them with --from."
        )
    return meant[0]
