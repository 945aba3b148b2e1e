"""How a row becomes a record: names, kinds of values, and their limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, rejected
from millstream.destinations.rows import moment_of, text_value
from millstream.state.errors import ConfigurationError

LARGEST_KEY = 120
LARGEST_VALUE = 512
"""Bytes."""

IDENTITY_KEYS: Mapping[str, str] = {
    "identity": "identity",
    "email": "identity",
    "objectId": "objectId",
    "FBID": "FBID",
    "GPID": "GPID",
}
"""Identifiers of a record by match key."""

_TAKEN = frozenset({"identity", "objectid", "fbid", "gpid", "type", "ts"})
_TEXTS = ("Name", "Email", "Phone", "Education", "Tz", "Photo")
_YES_OR_NO = {"true": "Y", "false": "N"}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "Gender": {"male": "M", "female": "F"},
    "Employed": _YES_OR_NO,
    "Married": _YES_OR_NO,
}
Clear = Callable[[], object]


def record(row: DeliveryRow, match_key: str, profile: Mapping[str, object]) -> dict[str, object]:
    """A record of one person.

    Args:
        row: The person.
        match_key: What the match value is.
        profile: The properties that are written.
    """
    return {IDENTITY_KEYS[match_key]: row.match_value, "type": "profile", "profileData": profile}


def profile_of(fields: Mapping[str, FieldValue], cleared: object) -> dict[str, object]:
    """Fields as CleverTap's properties.

    Args:
        fields: Values by property.
        cleared: What clears a property.
    """
    return {name: cleared if value is None else _property(name, value) for name, value in fields.items()}


def too_long(row: DeliveryRow) -> Outcome | None:
    """The outcome of a row with a value that CleverTap would not keep whole."""
    for name, value in row.fields.items():
        size = len(value.encode()) if isinstance(value, str) else 0
        if size > LARGEST_VALUE:
            return rejected("too_long", f"Property {name} has {size} bytes; at most {LARGEST_VALUE} are taken.")
    return None


def check_names(names: Sequence[str]) -> None:
    """Stop on properties that cannot be filled.

    Raises:
        ConfigurationError: A name that is too long, or that identifies people.
    """
    for name in names:
        if name.lower() in _TAKEN:
            raise ConfigurationError(
                f"{name!r} says who somebody is at CleverTap; a sync does not fill it as a property.",
                where="clevertap",
                remedy="name it under match, or map another property.",
            )
        if len(name.encode()) > LARGEST_KEY:
            raise ConfigurationError(
                f"The name of property {name!r} has {len(name.encode())} bytes; at most {LARGEST_KEY} are taken.",
                where="clevertap",
            )


def _property(name: str, value: FieldValue) -> object:
    """A value as CleverTap takes it: days and moments as its dates, yes and no as its letters."""
    if name in _WORDS:
        text = text_value(value)
        return _WORDS[name].get(text.lower(), text)
    if name in _TEXTS:
        return text_value(value)
    if not isinstance(value, str):
        return value
    moment = moment_of(value) or _midnight_of(value)
    return f"$D_{int(moment.timestamp())}" if moment else value


def _midnight_of(text: str) -> datetime | None:
    """The beginning of a day that is written as ``2026-11-01``."""
    if len(text) != len("2026-11-01"):
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        return None
