"""Who did it: Mixpanel's ids of people and devices, in both of its ways to merge them.

Simplified: the distinct id is the user's id, or ``$device:`` and the device's id as long as nobody has signed in there.
Original: the distinct id is whichever of somebody's ids Mixpanel has chosen, and may change; events of its own tell
which ids belong together. Exports name the chosen one also in events that were sent under another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Columns
from millstream.state.model.declarations import Identifier

if TYPE_CHECKING:
    from millstream.sources.mixpanel.settings import MixpanelSettings

DISTINCT_ID = "mixpanel_distinct_id"
"""Identifier kind of a distinct id."""

LINKS = frozenset({"$identify", "$create_alias", "$merge"})
"""Events by which ids were merged; nobody did anything by them."""

CROWDED = "$hotshard_events"
"""What Mixpanel calls events of an id that has more of them in a day than any person."""

NOBODY = frozenset(
    {
        *("", "-1", "0", "00000000-0000-0000-0000-000000000000", "[]", "{}", "anon", "anonymous", "false", "n/a", "na"),
        *("nil", "none", "null", "true", "undefined", "unknown", "<null>", "$device:", "$device:null"),
    }
)
"""What stands for an id where a program had none: it would make one person of many."""

COLUMNS = (
    Column("distinct_id", description="Whom Mixpanel takes it for.", optional=True),
    Column("user_id", description="The id given to `identify`.", optional=True),
    Column("device_id", description="The device or browser.", optional=True),
    Column("linked_device_id", description="The device, where Mixpanel found no other user on it.", optional=True),
    Column("other_distinct_ids", description="Further ids of the same person, a line each.", optional=True),
)

_NAMES = tuple(column.name for column in COLUMNS)
_NONE = (None,) * len(COLUMNS)
_DEVICE = "$device:"
_FAILURES = ("$identity_failure_reason", "$failure_reason")
_BEFORE = ("$distinct_id_before_identity", "$anon_distinct_id")
_RARE = frozenset({*_FAILURES, *_BEFORE})
_LINKED = ("$identified_id", "$anon_id", "alias")


def identifiers(settings: MixpanelSettings) -> Iterator[Identifier]:
    """What the columns identify."""
    yield Identifier(kind=DISTINCT_ID, column="distinct_id")
    if settings.user_id:
        yield Identifier(kind=settings.user_id, column="user_id")
    if settings.devices:
        yield Identifier(kind="device_id", column="linked_device_id")
    yield Identifier(kind=DISTINCT_ID, column="other_distinct_ids", split="\n")


class Ids:
    """Reads the ids of events and profiles."""

    def __init__(self, settings: MixpanelSettings) -> None:
        self._is_simplified = settings.id_merge == "simplified"

    def of_events(self, names: Iterable[str], known: Iterable[Mapping[str, Any]]) -> Columns:
        """The columns for events."""
        rows = map(self._of_event, names, known)
        return dict(zip(_NAMES, zip(*rows, strict=True), strict=True))

    def _of_event(self, name: str, properties: Mapping[str, Any]) -> tuple[str | None, ...]:
        if name == CROWDED:
            return _NONE
        distinct = id_of(properties.get("distinct_id"))
        user, device = self.parts(distinct)
        user = id_of(properties.get("$user_id")) or user
        device = id_of(properties.get("$device_id")) or device
        if name not in LINKS and _RARE.isdisjoint(properties):
            return distinct, user, device, device, None
        failed = any(properties.get(name) for name in _FAILURES)
        links = name in LINKS and not self._is_simplified
        others = () if failed else _others(properties, distinct, links=links)
        return distinct, user, device, None if failed and user else device, "\n".join(others) or None

    def parts(self, distinct: str | None) -> tuple[str | None, str | None]:
        """User and device that a distinct id stands for; in original projects it may be either."""
        if not self._is_simplified or distinct is None:
            return None, None
        return (None, distinct.removeprefix(_DEVICE)) if distinct.startswith(_DEVICE) else (distinct, None)


def _others(properties: Mapping[str, Any], distinct: str | None, *, links: bool) -> Iterator[str]:
    given = [properties.get(name) for name in (*_BEFORE, *(_LINKED if links else ()))]
    merged = properties.get("$distinct_ids") if links else None
    found = (id_of(value) for value in (*given, *(merged if isinstance(merged, list) else ())))
    yield from dict.fromkeys(one for one in found if one is not None and one != distinct)


def id_of(value: object) -> str | None:
    """An id as text, or None where it stands for nobody."""
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in NOBODY else text
    if value is None or isinstance(value, bool | list | dict):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return None if text.lower() in NOBODY else text
