"""Which identifier a deletion, or its taking back, means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.model.deleting import deleted_as, deleted_identifiers

if TYPE_CHECKING:
    from millstream.state.model.deleting import DeletedIdentifier
    from millstream.state.store import Connection


def identifier_meant(
    connection: Connection, value: str, kind: str | None, default_country: str | None
) -> tuple[str, str]:
    """Kind and value of the identifier that somebody means, among those that records bear.

    Raises:
        ConfigurationError: Nobody bears it, or it may be one of several.
    """
    texts = _texts(connection, value, default_country)
    marks = ", ".join("?" for _ in texts)
    rows = connection.execute(
        f"""
        SELECT DISTINCT kind, value FROM customers.identifiers
        WHERE (value IN ({marks}) OR original = ?) AND (CAST(? AS TEXT) IS NULL OR kind = ?) ORDER BY kind, value
        """,
        [*texts, value.strip(), kind, kind],
    ).fetchall()
    if not rows:
        of_kind = f" of kind {kind!r}" if kind else ""
        raise ConfigurationError(
            f"No record bears {value!r}{of_kind}.",
            remedy="`millstream explain` finds people by other ids, and tells what they are known by.",
        )
    if len(rows) > 1:
        raise _unclear(value, [f"{one} {known}" for one, known in rows])
    return str(rows[0][0]), str(rows[0][1])


def deleted_one_meant(
    connection: Connection, value: str, kind: str | None, default_country: str | None
) -> DeletedIdentifier:
    """The identifier that somebody means, among those that were deleted.

    Raises:
        ConfigurationError: It was not deleted, or it may be one of several.
    """
    texts = _texts(connection, value, default_country)
    written = {one for text in texts for one in deleted_as(connection, text)}
    found = [
        one
        for one in deleted_identifiers(connection)
        if (one.value in texts or (one.kind, one.value) in written) and kind in (None, one.kind)
    ]
    if not found:
        raise ConfigurationError(
            f"No identifier {value!r} was deleted.", remedy="`millstream delete` lists those that were."
        )
    if len(found) > 1:
        raise _unclear(value, [f"{one.kind} {one.value}" for one in found])
    return found[0]


def account_of(connection: Connection, kind: str, value: str) -> str:
    """What the value of an identifier begins with, where it means a person only within one account; else empty."""
    from millstream.state.identity.explain import rules_of_last_run

    rules = rules_of_last_run(connection)
    account, colon, _ = value.partition(":")
    return f"{account}:" if rules and colon and rules.rule(kind).scope == "source" else ""


def _texts(connection: Connection, value: str, default_country: str | None) -> list[str]:
    from millstream.state.identity.find import spellings

    return sorted(spellings(connection, value.strip(), default_country))


def _unclear(value: str, named: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        f"There are {len(named)} identifiers {value!r}.",
        allowed=named,
        remedy="say which by --kind, or give the value as it stands here.",
    )
