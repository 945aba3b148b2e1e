"""Identifiers under which a vendor has somebody to whom it gives no id.

Advertising systems know people by hashes alone, and say of nobody which of them matched: who was found by the phone
number is not taken out under the address. So all identifiers that somebody was put in under are kept where the ids of
other vendors are, and come back with later rows. Those that changed stay among them, as former ones, until the person
leaves: by them the person may be there still. They keep nobody else in, who has them now and leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson

Identifier = tuple[str, str]
"""Its kind, and its value as it was sent."""

_FORMER = "former"
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
    known = [*now, *((*one, _FORMER) for one in earlier[:MOST_EARLIER])]
    return orjson.dumps(known).decode() if known else None


def identifiers_in(external_id: str | None) -> list[Identifier]:
    """The identifiers that were kept, the latest of each kind first."""
    return [identifier for identifier, _ in _read(external_id)]


def current_in(external_id: str | None) -> list[Identifier]:
    """Those of them that the person was put in with last."""
    found: dict[str, Identifier] = {}
    for identifier, is_former in _read(external_id):
        if not is_former:
            # What an older version kept says only by its order which of a kind is the latest.
            found.setdefault(identifier[0], identifier)
    return list(found.values())


def _read(external_id: str | None) -> list[tuple[Identifier, bool]]:
    if not external_id or not external_id.startswith("["):
        return []
    try:
        return [((str(kind), str(value)), bool(said)) for kind, value, *said in orjson.loads(external_id)]
    except (orjson.JSONDecodeError, TypeError, ValueError):
        return []


def name_of(identifier: Identifier) -> str:
    """An identifier in one text, as ``Destination.known_as`` and ``stays_as`` give names."""
    kind, value = identifier
    return f"{kind} {value}"
