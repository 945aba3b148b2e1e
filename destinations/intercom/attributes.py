"""Fields of contacts: standard ones, and custom attributes, which have to be there and have types."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millstream.destinations.contract import DestinationField, FieldType, FieldValue
from millstream.destinations.http import Http
from millstream.destinations.rows import text_value, unix_seconds
from millstream.state.errors import ConfigurationError, RefusedError

STANDARD = (
    DestinationField(name="external_id", description="Your id of the person; users have one, leads do not."),
    DestinationField(name="email", description="E-mail address."),
    DestinationField(name="phone", description="Phone number, as +14155552671."),
    DestinationField(name="name", description="Full name."),
    DestinationField(name="avatar", description="Address of a picture."),
    DestinationField(name="signed_up_at", type="timestamp", description="When the person signed up."),
    DestinationField(name="last_seen_at", type="timestamp", description="When the person was last seen."),
    DestinationField(name="owner_id", type="number", description="Id of the teammate who owns the contact."),
)

_ATTRIBUTES = "/data_attributes"
_STANDARD_TYPES = {"signed_up_at": "date", "last_seen_at": "date", "owner_id": "integer"}
_STANDARD_NAMES = frozenset(field.name for field in STANDARD)
_PART_OF_A_CONTACT = frozenset({"custom_attributes", "id", "role", "type", "workspace_id"})
_TYPES: Mapping[FieldType, str] = {
    "text": "string",
    "number": "float",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime",
}


@dataclass(frozen=True)
class _Attribute:
    """An attribute of the workspace: its type, and whether the API may write it."""

    kind: str
    custom: bool
    writable: bool


class Attributes:
    """The attributes that contacts of one workspace have.

    Args:
        http: HTTP for the workspace.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._known: dict[str, _Attribute] | None = None
        self._reading = threading.Lock()

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these that are neither a standard field nor a custom attribute.

        Raises:
            ConfigurationError: One is not for others to fill.
        """
        wanted = [name for name in names if name not in _STANDARD_NAMES]
        if not wanted:
            return []
        self._known = None
        known = self._attributes()
        for name in wanted:
            found = known.get(name)
            if name in _PART_OF_A_CONTACT or (found and not (found.custom and found.writable)):
                raise ConfigurationError(
                    f"{name!r} is filled by Intercom itself, or not by its API.",
                    where="intercom",
                    remedy="take it out of the fields, or map another.",
                )
        return [name for name in wanted if name not in known]

    def create(self, name: str, field_type: FieldType) -> None:
        """Make a custom attribute; one that somebody made meanwhile will do.

        Raises:
            ConfigurationError: Intercom does not take the name.
        """
        body = {"name": name, "model": "contact", "data_type": _TYPES[field_type]}
        try:
            self._http.post(_ATTRIBUTES, body)
        except RefusedError as error:
            self._known = None
            if name not in self._attributes():
                raise ConfigurationError(
                    f"Intercom does not make the attribute {name!r}. {error.what}",
                    where="intercom",
                    remedy="map a name of letters, digits, spaces, hyphens and underscores; or, where an archived or "
                    "a company's attribute has the name, another one.",
                ) from error
        self._known = None

    def in_contact(self, fields: Mapping[str, FieldValue]) -> dict[str, Any]:
        """Fields of a row as a contact has them, each value of the type that its attribute is of."""
        contact: dict[str, Any] = {}
        custom: dict[str, Any] = {}
        for name, value in fields.items():
            if name in _STANDARD_NAMES:
                contact[name] = _typed(value, _STANDARD_TYPES.get(name, "string"))
            else:
                found = self._attributes().get(name)
                custom[name] = _typed(value, found.kind if found else "")
        return {**contact, "custom_attributes": custom} if custom else contact

    def _attributes(self) -> dict[str, _Attribute]:
        """Attributes by name; asked for once."""
        with self._reading:
            if self._known is None:
                told = self._http.get(_ATTRIBUTES, {"model": "contact"})["data"]
                self._known = {str(one["name"]): _read(one) for one in told if not one.get("archived")}
            return self._known


def _read(told: Mapping[str, Any]) -> _Attribute:
    return _Attribute(str(told.get("data_type")), bool(told.get("custom")), told.get("api_writable") is not False)


def _typed(value: FieldValue, kind: str) -> FieldValue:
    """A value as an attribute of a kind takes it; as it is where it is none, for Intercom to say what it thinks."""
    if value is None:
        return None
    if kind in ("string", "options"):
        return text_value(value)
    if kind in ("date", "datetime") and isinstance(value, str):
        seconds = unix_seconds(value)
        return value if seconds is None else seconds
    if kind == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(text_value(value).lower(), value)
    if kind in ("integer", "float", "date", "datetime"):
        return _number(value, whole=kind != "float")
    return value


def _number(value: FieldValue, *, whole: bool) -> FieldValue:
    try:
        number = float(text_value(value))
    except ValueError:
        return value
    if not math.isfinite(number):
        return value
    return int(number) if whole and number.is_integer() else number
