"""New addresses of people who unsubscribed.

Klaviyo keeps an opt-out with the address, not with the profile: an address that is new to it gets mail. So whoever may
not be mailed at the address that they have does not get another one by a sync.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, suppressed
from millstream.destinations.klaviyo.profiles import Profiles

OPTED_OUT = "unsubscribed"
"""The code of a row that is held back."""

_EMAIL = "email"
_LEFT = suppressed(OPTED_OUT, "The person may not get mail at the address they have; a new one would get it.")


def held_back(profiles: Profiles, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, Outcome]:
    """Outcomes by key of those who would get another address than the one that they opted out with.

    Args:
        profiles: The account's profiles.
        rows: Who is to be written, each once.
        match_key: By what people are found; where it is the address, nobody gets another.
    """
    moving = [row for row in rows if match_key != _EMAIL and row.fields.get(_EMAIL)]
    by_id = {str(row.external_id): row for row in moving if row.external_id}
    outcomes: dict[str, Outcome] = {}
    seen = set()
    for profile_id, found in profiles.standings("id", list(by_id)):
        row = by_id[profile_id]
        seen.add(row.key)
        if _left(found, row):
            outcomes[row.key] = _LEFT
    rest = {row.key: row for row in moving if row.key not in seen}
    for key, found in profiles.standings(match_key, [row.match_value for row in rest.values()]):
        if key in rest and _left(found, rest[key]):
            outcomes[key] = _LEFT
    return outcomes


def _left(found: Mapping[str, Any], row: DeliveryRow) -> bool:
    """Whether a profile's address is another one than the row's, and must not get mail."""
    attributes = found["attributes"]
    address = str(attributes.get(_EMAIL) or "").lower()
    told = ((attributes.get("subscriptions") or {}).get(_EMAIL) or {}).get("marketing") or {}
    left = told.get("consent") == "UNSUBSCRIBED" or told.get("can_receive_email_marketing") is False
    return bool(address) and left and address != str(row.fields[_EMAIL]).strip().lower()
