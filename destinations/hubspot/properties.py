"""Properties of contacts: which there are, and how one is made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from millstream.destinations.contract import FieldType
from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError

_PATH = "/crm/v3/properties/contacts"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_GROUP = "contactinformation"
_TYPES: Mapping[FieldType, tuple[str, str]] = {
    "text": ("string", "text"),
    "number": ("number", "number"),
    "boolean": ("bool", "booleancheckbox"),
    "date": ("date", "date"),
    "timestamp": ("datetime", "date"),
}
"""HubSpot's type, and how the field is shown."""
_YES_AND_NO = [
    {"label": label, "value": value, "displayOrder": order, "hidden": False}
    for order, (label, value) in enumerate((("Yes", "true"), ("No", "false")))
]


class Properties:
    """The contact properties of an account, read once.

    Args:
        http: The engine's HTTP for the account.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those that the account does not have.

        Raises:
            ConfigurationError: HubSpot fills one by itself.
        """
        for name in names:
            if (self._found.get(name, {}).get("modificationMetadata") or {}).get("readOnlyValue"):
                raise ConfigurationError(
                    f"HubSpot fills the property {name!r} by itself; nobody can write it.",
                    where="hubspot",
                    remedy="map another.",
                )
        return [name for name in names if name not in self._found]

    def create(self, name: str, field_type: FieldType) -> None:
        """Make a property in the group of contact information.

        Raises:
            ConfigurationError: HubSpot takes no such name.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"HubSpot has no property named {name!r}, and takes no such name for a new one.",
                where="hubspot",
                remedy="name it in lower-case letters, digits and underscores, beginning with a letter.",
            )
        kind, shown_as = _TYPES[field_type]
        body = {"name": name, "label": name, "groupName": _GROUP, "type": kind, "fieldType": shown_as}
        self._http.post(_PATH, body | ({"options": _YES_AND_NO} if field_type == "boolean" else {}))

    @cached_property
    def _found(self) -> Mapping[str, Mapping[str, Any]]:
        return {str(found["name"]): found for found in self._http.get(_PATH)["results"]}
