"""Profiles: how a row becomes one, and how single ones are written, found and erased."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, accepted, accepted_async, rejected
from millstream.destinations.klaviyo.answers import refusal_of
from millstream.destinations.klaviyo.api import CHANGE_ONE, ERASE, FIND, IMPORT_ONE, Api
from millstream.destinations.rows import rfc3339, text_value
from millstream.state.errors import ConfigurationError, NotFoundError, RefusedError

IDENTIFIERS = ("email", "phone_number", "external_id")
TEXTS = ("first_name", "last_name", "organization", "title", "locale", "image")
LOCATION = ("address1", "address2", "city", "region", "country", "zip", "timezone", "latitude", "longitude", "ip")

FOUND_AT_ONCE = 50
"""Identifiers in one look-up; they stand in the address of the request."""

_PLACE = "location."
_SUBSCRIPTIONS = "subscriptions"
_PROFILE_FIELDS = frozenset({*IDENTIFIERS, *TEXTS, *(f"{_PLACE}{part}" for part in LOCATION)})
_TAKEN = frozenset({"id", "_kx", "anonymous_id", "location", "properties", "meta", "relationships", "type"})
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")


class Profiles:
    """The account's profiles, one request each.

    Args:
        api: Calls endpoints.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def put(self, row: DeliveryRow, match_key: str) -> Outcome:
        """Create or change one person."""
        try:
            made = self._api.call(IMPORT_ONE, body={"data": resource(row, {match_key: row.match_value}, clears=True)})
        except RefusedError as error:
            return refusal_of(error, row.match_value)
        return accepted(str(made["data"]["id"]))

    def change(self, row: DeliveryRow, profile_id: str, match_key: str) -> Outcome:
        """Change one person who is there; one who was merged into another is found by the match value."""
        try:
            return self._patch(row, profile_id)
        except NotFoundError:
            found = self.ids_by(match_key, [row.match_value]).get(row.key)
            if found is None or found == profile_id:
                return not_there()
            return self._patch(row, found)

    def ids_of(self, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, str]:
        """Ids by key, of those whom Klaviyo has."""
        known = {row.key: row.external_id for row in rows if row.external_id}
        unknown = [row.match_value for row in rows if not row.external_id]
        return known | self.ids_by(match_key, unknown)

    def ids_by(self, name: str, values: Sequence[str]) -> dict[str, str]:
        """Ids of the profiles with these values of an identifier, by the value (an address in lower case)."""
        return {value: str(found["id"]) for value, found in self._found(name, values)}

    def standings(self, name: str, values: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Profiles with these values of an identifier, by the value, with what they agreed to."""
        return self._found(name, values, {*IDENTIFIERS, _SUBSCRIPTIONS})

    def to_be_cleared(self, rows: Sequence[DeliveryRow], match_key: str) -> list[DeliveryRow]:
        """Those of these people who have a value in one of their row's fields, or who have another match value now."""
        by_key = {row.key: row for row in rows}
        roots = sorted({name.partition(".")[0] for row in rows for name in row.fields})
        values = [row.match_value for row in rows]
        full, seen = set(), set()
        for key, found in self._found(match_key, values, {*IDENTIFIERS, *roots}):
            seen.add(key)
            if key in by_key and any(_value(found["attributes"], name) for name in by_key[key].fields):
                full.add(key)
        return [row for key, row in by_key.items() if key in full or (row.external_id and key not in seen)]

    def erase(self, row: DeliveryRow, match_key: str, found: str | None) -> Outcome:
        """Have a person deleted: all profiles with the match value, and the one that was acknowledged.

        Args:
            row: The person.
            match_key: What the match value is.
            found: The id of the profile with the match value, if there is one.
        """
        people: list[dict[str, object]] = []
        if match_key != "external_id":
            people.append({"attributes": {match_key: row.match_value}})
        elif found:
            people.append({"id": found, "attributes": {}})
        if row.external_id and row.external_id != found:
            # Has another address now, or was merged into another profile.
            people.append({"id": row.external_id, "attributes": {}})
        try:
            for person in people:
                self._erase({"type": "profile", **person})
        except RefusedError as error:
            return refusal_of(error, row.match_value)
        return accepted_async() if people else accepted()

    def _erase(self, person: Mapping[str, object]) -> None:
        job = {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": person}}}
        with suppress(NotFoundError):
            self._api.call(ERASE, body={"data": job})

    def _patch(self, row: DeliveryRow, profile_id: str) -> Outcome:
        body = {"data": {**resource(row, {}, clears=True), "id": profile_id}}
        try:
            self._api.call(CHANGE_ONE, of=profile_id, body=body)
        except RefusedError as error:
            return refusal_of(error, row.match_value)
        return accepted(profile_id)

    def _found(
        self, name: str, values: Sequence[str], facts: Collection[str] = IDENTIFIERS
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for start in range(0, len(values), FOUND_AT_ONCE):
            chunk = values[start : start + FOUND_AT_ONCE]
            query = {
                "filter": f"any({name},[{','.join(map(one_of, chunk))}])",
                "fields[profile]": ",".join(sorted(facts)),
                **({"additional-fields[profile]": _SUBSCRIPTIONS} if _SUBSCRIPTIONS in facts else {}),
            }
            for found in self._api.pages(FIND, params=query):
                value = str(found["id"] if name == "id" else found["attributes"].get(name) or "")
                yield value.lower() if "@" in value else value, found


def resource(row: DeliveryRow, identifiers: Mapping[str, str], *, clears: bool) -> dict[str, object]:
    """A row as Klaviyo's profile.

    Args:
        row: The person.
        identifiers: By which the person is found.
        clears: Whether null empties a field of the profile here; a bulk import passes it over.
    """
    attributes: dict[str, object] = {}
    location: dict[str, object] = {}
    properties: dict[str, object] = {}
    unset: list[str] = []
    for name, value in row.fields.items():
        if name not in _PROFILE_FIELDS:
            if value is None:
                unset.append(name)
            else:
                properties[name] = rfc3339(value) if isinstance(value, str) else value
        elif value is not None or clears:
            into = location if name.startswith(_PLACE) else attributes
            into[name.removeprefix(_PLACE)] = None if value is None else text_value(value)
    parts = {"location": location, "properties": properties}
    attributes |= {name: part for name, part in parts.items() if part}
    made: dict[str, object] = {"type": "profile", "attributes": {**attributes, **identifiers}}
    if unset:
        made["meta"] = {"patch_properties": {"unset": unset}}
    return made


def cleared_by_hand(row: DeliveryRow) -> dict[str, FieldValue]:
    """Fields of the profile that are to be emptied, which a bulk import cannot do."""
    return {name: None for name, value in row.fields.items() if value is None and name in _PROFILE_FIELDS}


def _value(attributes: Mapping[str, Any], name: str) -> object:
    """What a profile has in a field; nothing where the field is empty."""
    if not name.startswith(_PLACE):
        return attributes.get(name)
    return (attributes.get("location") or {}).get(name.removeprefix(_PLACE))


def malformed(row: DeliveryRow, match_key: str) -> Outcome | None:
    """The outcome of a row that would have a whole bulk import refused."""
    for name, pattern in (("email", _EMAIL), ("phone_number", _PHONE)):
        value = row.match_value if name == match_key else row.fields.get(name)
        if value is not None and not pattern.fullmatch(str(value)):
            wanted = "an e-mail address" if name == "email" else "a phone number in the form +14155550100"
            return rejected("invalid", f"{name}: not {wanted}; Klaviyo would refuse everybody who is sent with it.")
    return None


def check_names(names: Sequence[str]) -> None:
    """Stop on fields that cannot be filled.

    Raises:
        ConfigurationError: One that is Klaviyo's own.
    """
    for name in names:
        part = name.removeprefix(_PLACE)
        if name in _TAKEN or name.startswith("$") or (part != name and part not in LOCATION):
            raise ConfigurationError(
                f"{name!r} is no field that a sync can fill: Klaviyo keeps the name for itself.",
                where="klaviyo",
                allowed=sorted(_PROFILE_FIELDS),
                remedy="map one of these, or a custom property of another name.",
            )


def not_there() -> Outcome:
    """The outcome of a change of somebody whom Klaviyo does not have."""
    return rejected("not_found", "Klaviyo has no profile with this identifier, and this mode creates nobody.")


def one_of(value: str) -> str:
    """A value in a filter."""
    return orjson.dumps(value).decode()
