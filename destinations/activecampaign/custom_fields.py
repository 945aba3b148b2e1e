"""Custom fields: found by their tag or title, written by their number, made when asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from millstream.destinations.activecampaign.answers import is_duplicate, suppress_duplicates
from millstream.destinations.activecampaign.paging import pages
from millstream.destinations.contract import DestinationField, FieldType, FieldValue
from millstream.destinations.http import Http
from millstream.destinations.rows import text_value
from millstream.state.errors import ConfigurationError, RefusedError

STANDARD = (
    DestinationField(name="first_name", description="First name."),
    DestinationField(name="last_name", description="Last name."),
    DestinationField(name="phone", description="Phone number; with its country code where text messages are sent."),
)
_CAMEL = {"first_name": "firstName", "last_name": "lastName", "phone": "phone"}
# The vendor names a type "number" in examples alone, not among those it takes.
_TYPES: Mapping[FieldType, str] = {
    "text": "text",
    "number": "text",
    "boolean": "text",
    "date": "date",
    "timestamp": "datetime",
}
_SEVERAL = ("checkbox", "listbox")


@dataclass(frozen=True)
class CustomField:
    """A custom field: its number and its type."""

    number: int
    type: str


class CustomFields:
    """The account's custom fields, read when one is needed first; threads share it.

    Args:
        http: The engine's HTTP for the account.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._lock = threading.Lock()
        self._known: dict[str, CustomField] | None = None

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these names that are neither of a contact itself nor of a custom field."""
        return [name for name in names if name not in _CAMEL and self._find(name) is None]

    def create(self, name: str, field_type: FieldType) -> None:
        """Make a custom field, and have it shown for contacts of all lists.

        Raises:
            ConfigurationError: A name of which no tag can be made.
        """
        tag = re.sub(r"\W+", "_", name.strip("%"), flags=re.ASCII).strip("_").upper()
        if not tag:
            raise ConfigurationError(
                f"Of the name {name!r} no personalization tag can be made.", where="activecampaign"
            )
        body = {"title": name, "type": _TYPES[field_type], "perstag": tag, "visible": 1}
        number = self._made(body)
        if number is not None:
            with suppress_duplicates():
                self._http.post("/fieldRels", {"fieldRel": {"field": number, "relid": 0}})
        with self._lock:
            self._known = None

    def _made(self, body: Mapping[str, object]) -> int | None:
        """The number of a field that is made; or of the one that is there, which may be of no list yet.

        It was made by another process then, or by a request whose answer was lost.
        """
        try:
            return int(self._http.post("/fields", {"field": body})["field"]["id"])
        except RefusedError as error:
            if not is_duplicate(error):
                raise
        with self._lock:
            self._known = None
        found = self._find(str(body["perstag"])) or self._find(str(body["title"]))
        return found.number if found else None

    def in_import(self, fields: Mapping[str, FieldValue]) -> dict[str, object]:
        """Fields as a bulk import takes them. It may pass over empty values, so what is cleared is left out."""
        given = {name: value for name, value in fields.items() if value is not None}
        standard = {name: text_value(value) for name, value in given.items() if name in _CAMEL}
        custom = [{"id": number, "value": value} for number, value in self._custom(given)]
        return {**standard, **({"fields": custom} if custom else {})}

    def in_contact(self, fields: Mapping[str, FieldValue]) -> dict[str, object]:
        """Fields as requests for one contact take them; an empty text clears."""
        standard = {_CAMEL[name]: text_value(value) for name, value in fields.items() if name in _CAMEL}
        custom = [{"field": str(number), "value": value} for number, value in self._custom(fields)]
        return {**standard, **({"fieldValues": custom} if custom else {})}

    def _custom(self, fields: Mapping[str, FieldValue]) -> Iterator[tuple[int, str]]:
        for name, value in fields.items():
            if name in _CAMEL:
                continue
            field = self._find(name)
            if field is None:
                raise ConfigurationError(
                    f"The account has no custom field {name!r}.",
                    where="activecampaign",
                    remedy="create it, map another, or say create_fields: true.",
                )
            yield field.number, _rendered(value, field.type)

    def _find(self, name: str) -> CustomField | None:
        with self._lock:
            if self._known is None:
                self._known = self._read()
            return self._known.get(_folded(name))

    def _read(self) -> dict[str, CustomField]:
        found: dict[str, CustomField] = {}
        titles: dict[str, CustomField] = {}
        for field in pages(self._http, "/fields", "fields"):
            custom = CustomField(int(field["id"]), str(field.get("type") or "text"))
            found[_folded(str(field.get("perstag") or ""))] = custom
            titles.setdefault(_folded(str(field["title"])), custom)
        return {**titles, **found}


def _folded(name: str) -> str:
    """Tags are written with percent signs, in upper or lower case."""
    return name.strip().strip("%").casefold()


def _rendered(value: FieldValue, field_type: str) -> str:
    text = text_value(value)
    if field_type in _SEVERAL and text:
        return f"||{text.strip('|')}||"
    if field_type == "datetime" and text:
        try:
            return datetime.fromisoformat(text).isoformat()
        except ValueError:
            return text
    return text
