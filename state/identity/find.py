"""Whom somebody means: a profile by its id, an id of old, a record, or anything a person is known by."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.identity.explain import rules_of_last_run
from millstream.state.identity.normalise import spell
from millstream.state.identity.rules import IdentityRules
from millstream.state.identity.tables import create_identity_tables
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from millstream.state.store import Connection

_MOST_CANDIDATES = 2000


@dataclass(frozen=True)
class Match:
    """A living profile, and by what it was found.

    Attributes:
        profile_id: The living profile.
        by: ``profile``, ``alias``, ``record``, or the kind of the identifier.
        alias: The id that was asked for, where it was merged into the profile.
    """

    profile_id: str
    by: str
    alias: str | None = None


def find_matches(
    connection: Connection, who: str, *, default_country: str | None = None, limit: int = 100
) -> list[Match]:
    """The living profiles that somebody may mean, each once.

    Args:
        connection: The open store.
        who: A profile id, an alias, a record id, or an identifier's value as people write it.
        default_country: For reading a phone number without calling code.
        limit: Most profiles to return; a shared mailbox can belong to many.
    """
    create_identity_tables(connection)
    who = who.strip()
    if not who:
        return []
    values = sorted(spellings(connection, who, default_country))
    marks = ", ".join("?" for _ in values)
    rows = connection.execute(
        f"""
        SELECT profile_id, min(found) FROM (
            SELECT profile_id, '1profile' AS found FROM customers.members WHERE profile_id = ?
            UNION ALL
            SELECT profile_id, '2alias' FROM customers.profile_aliases WHERE alias_id = ?
            UNION ALL
            SELECT profile_id, '3record' FROM customers.members WHERE record_id = ?
            UNION ALL
            SELECT member.profile_id, '4' || identifier.kind
            FROM customers.identifiers AS identifier
            JOIN customers.members AS member ON member.record_id = identifier.record_id
            WHERE identifier.value IN ({marks}) OR identifier.original = ?
        ) AS found
        GROUP BY profile_id ORDER BY profile_id LIMIT ?
        """,
        [who, who, who, *values, who, limit],
    ).fetchall()
    return [Match(profile_id, by[1:], who if by == "2alias" else None) for profile_id, by in rows]


def spellings(connection: Connection, who: str, default_country: str | None) -> set[str]:
    """What a text is compared as, should it be an identifier of any kind."""
    rules = rules_of_last_run(connection) or IdentityRules()
    if default_country:
        rules = rules.model_copy(update={"default_country": default_country})
    spelled = [spell(rules, kind, who) for kind in (*rules.kinds, "")]
    return {who, *(each.value for each in spelled if each)}


def find_profiles(
    connection: Connection, who: str, *, default_country: str | None = None, limit: int = 100
) -> list[str]:
    """The ids of the living profiles that somebody may mean; see ``find_matches``."""
    return [match.profile_id for match in find_matches(connection, who, default_country=default_country, limit=limit)]


def find_one(connection: Connection, who: str, *, default_country: str | None = None) -> Match:
    """The one living profile that somebody means.

    Raises:
        ConfigurationError: Nobody, or several people, go by that.
    """
    found = find_matches(connection, who, default_country=default_country, limit=10)
    if not found:
        raise ConfigurationError(f"Nobody is known by {who!r}.", remedy=suggestion(connection, who))
    if len(found) > 1:
        raise ConfigurationError(
            f"{'More than ' if len(found) == 10 else ''}{len(found)} people go by {who!r}.",
            allowed=[match.profile_id for match in found],
            remedy="name one of them by the profile id.",
        )
    return found[0]


def suggestion(connection: Connection, who: str) -> str:
    """What somebody may have meant who is not known: people whose id or identifier is spelled nearly like that."""
    who = who.strip()
    near = _by_start_of_id(connection, who) or _by_similar_value(connection, who)
    if not near:
        return "give an e-mail address, phone number, vendor's id, record id or profile id from the store."
    return f"did you mean {' or '.join(near)}?"


def _by_start_of_id(connection: Connection, who: str) -> list[str]:
    if len(who) < 5:
        return []
    rows = connection.execute(
        """
        SELECT DISTINCT id FROM (
            SELECT profile_id AS id FROM customers.members
            UNION ALL
            SELECT alias_id FROM customers.profile_aliases
            UNION ALL
            SELECT record_id FROM customers.members
        ) AS ids
        WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 3
        """,
        [len(who), who],
    ).fetchall()
    return [str(found) for (found,) in rows]


def _by_similar_value(connection: Connection, who: str) -> list[str]:
    """Profiles with a value that differs in a letter or two; the value itself is shown masked."""
    folded = who.lower()
    if len(folded) < 5:
        return []
    rows = connection.execute(
        """
        SELECT identifier.value, min(identifier.kind), min(member.profile_id)
        FROM customers.identifiers AS identifier
        JOIN customers.members AS member ON member.record_id = identifier.record_id
        WHERE identifier.merges AND abs(length(identifier.value) - ?) <= 2
          AND (substr(identifier.value, 1, 3) = ? OR right(identifier.value, 6) = ?)
        GROUP BY identifier.value ORDER BY identifier.value LIMIT ?
        """,
        [len(folded), folded[:3], folded[-6:], _MOST_CANDIDATES],
    ).fetchall()
    holders = {value: (kind, profile_id) for value, kind, profile_id in rows}
    close = difflib.get_close_matches(folded, holders, n=3, cutoff=0.85)
    return [f"{holders[value][1]} ({holders[value][0]} {_masked(value)})" for value in close]


def _masked(value: str) -> str:
    shown = redact(value)
    return shown if shown != value else f"{value[:2]}***"
