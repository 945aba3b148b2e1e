"""The suppression list, and the salts of holdouts: what the journal knows of people who are not addressed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from millstream.state.ledger.journal import Journal, now
from millstream.state.ledger.tables import salts, suppressions

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_CHANNEL = ""
_MOST_VALUES = 10_000
"""Values in one statement: databases take only so many."""


def value_hash(value: str) -> str:
    """What the list keeps of an identifier: the SHA-256 of its normalised value."""
    return hashlib.sha256(value.encode()).hexdigest()


def suppress(journal: Journal, values: Iterable[str], *, reason: str, channel: str = EVERY_CHANNEL) -> int:
    """Put identifiers or profile ids on the list.

    Args:
        journal: Where the list is.
        values: Normalised as the store has them: e-mail addresses in lower case, phone numbers as +4930123456.
        reason: Why; shown with everyone it keeps back.
        channel: The channel it is for; empty for all.

    Returns:
        How many are new.
    """
    hashes = {value_hash(value) for value in values}
    query = sa.select(suppressions.c.value_hash).where(suppressions.c.channel == channel)
    with journal.writing() as connection:
        new = sorted(hashes - set(connection.execute(query).scalars()))
        if new:
            facts = {"channel": channel, "reason": reason, "since": now()}
            connection.execute(suppressions.insert(), [{"value_hash": one, **facts} for one in new])
    return len(new)


def release(journal: Journal, values: Iterable[str], *, channel: str = EVERY_CHANNEL) -> int:
    """Take identifiers off the list for a channel, and say how many were on it."""
    hashes = sorted({value_hash(value) for value in values})
    of_channel = suppressions.delete().where(suppressions.c.channel == channel)
    with journal.writing() as connection:
        return sum(
            connection.execute(of_channel.where(suppressions.c.value_hash.in_(some))).rowcount
            for some in (hashes[start : start + _MOST_VALUES] for start in range(0, len(hashes), _MOST_VALUES))
        )


def suppressions_for(journal: Journal, channel: str | None) -> Sequence[Mapping[str, Any]]:
    """The entries that hold for a channel; for a sync without one, those that hold for all."""
    channels = [EVERY_CHANNEL] if channel is None else [EVERY_CHANNEL, channel]
    query = suppressions.select().where(suppressions.c.channel.in_(channels)).order_by(suppressions.c.value_hash)
    with journal.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def all_suppressions(journal: Journal) -> Sequence[Mapping[str, Any]]:
    """Every entry."""
    with journal.engine.connect() as connection:
        return [dict(row) for row in connection.execute(suppressions.select()).mappings()]


def salt(journal: Journal, name: str) -> str:
    """The salt of a holdout, made when first asked for; it never changes, so that the same people stay held out."""
    query = sa.select(salts.c.salt).where(salts.c.name == name)
    with journal.engine.connect() as connection:
        known = connection.execute(query).scalar()
    if known is not None:
        return str(known)
    try:
        with journal.writing() as connection:
            connection.execute(salts.insert().values(name=name, salt=secrets.token_hex(16)))
    except sa.exc.IntegrityError:
        pass  # another process was faster, and its salt counts
    with journal.engine.connect() as connection:
        return str(connection.execute(query).scalar_one())
