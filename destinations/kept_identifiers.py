"""Identifiers under which a vendor has somebody to whom it gives no id.

Advertising systems know people by hashes alone, and say of nobody which of them matched: who was found by the phone
number is not taken out under the address. So all identifiers that somebody was put in under are kept where the ids of
other vendors are, and come back with later rows. Those that changed stay among them until the person leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson

Identifier = tuple[str, str]
"""Its kind, and its value as it was sent."""

MOST_EARLIER = 20
"""Identifiers kept of those that a person no longer has."""


def kept(now: Sequence[Identifier], external_id: str | None, *, lasting: Collection[str]) -> str | None:
    """What to keep in place of an id: identifiers as of now, then earlier ones that others may still be matched by.

    Args:
        now: Identifiers that a row is sent with, besides its match value.
        external_id: What was kept earlier.
        lasting: Kinds by which somebody is found without any other.
    """
    earlier = [one for one in identifiers_in(external_id) if one[0] in lasting and one not in now]
    known = [*now, *earlier[:MOST_EARLIER]]
    return orjson.dumps(known).decode() if known else None


def identifiers_in(external_id: str | None) -> list[Identifier]:
    """The identifiers that were kept, the latest of each kind first."""
    if not external_id or not external_id.startswith("["):
        return []
    try:
        return [(str(kind), str(value)) for kind, value in orjson.loads(external_id)]
    except (orjson.JSONDecodeError, TypeError, ValueError):
        return []


def name_of(identifier: Identifier) -> str:
    """An identifier in one text, as ``Destination.known_as`` gives names."""
    kind, value = identifier
    return f"{kind} {value}"
