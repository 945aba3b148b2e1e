"""Fields of people as audiences: a checkbox for each audience, or a multi-select picklist with a value for each."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from millstream.destinations.contract import DeliveryRow, Member, Outcome, accepted
from millstream.destinations.salesforce.audiences import Audiences, gone_is_out
from millstream.destinations.salesforce.fields import SObjectField, carries_consent
from millstream.destinations.salesforce.making import LONGEST_LABEL, FieldMaker
from millstream.destinations.salesforce.records import Records, Values
from millstream.destinations.salesforce.soql import Record, text_literal
from millstream.state.errors import ConfigurationError

Change = Callable[[str | None], str | None]

_WRITING: dict[tuple[str, str], threading.Lock] = {}
"""One lock for each picklist that this process writes: its values are read, changed and written back as a whole."""
_WRITING_LOCK = threading.Lock()


class Checkboxes(Audiences):
    """Custom checkbox fields; the audience's id is the field's API name.

    Args:
        people: The records.
        maker: Makes a field that is missing.
    """

    at_once: ClassVar[bool] = True
    adding: ClassVar[int] = 1
    removing: ClassVar[int] = 1

    def __init__(self, people: Records, maker: FieldMaker) -> None:
        super().__init__(people)
        self._maker = maker

    def ensure(self, name: str) -> str:
        """The checkbox with this API name or this label; made when missing.

        Raises:
            ConfigurationError: It is none to be used so.
        """
        api_name = name if name.endswith("__c") else _api_name_of(name)
        if carries_consent(api_name) or carries_consent(name):
            raise ConfigurationError(
                f"{name!r} carries consent; no sync may tick or untick it.",
                where="salesforce",
                remedy="give the sync another checkbox in 'into'.",
            )
        field = self._people.fields.get(api_name)
        if field is None:
            label = None if name.endswith("__c") else name
            return self._maker.make(api_name, "boolean", label=label).name
        if field.type != "boolean":
            raise ConfigurationError(f"{field.name} is no checkbox but of type {field.type}.", where="salesforce")
        if name != api_name and field.label.casefold() != name.casefold():
            raise ConfigurationError(
                f"The checkbox for {name!r} would be {field.name}, which is there for {field.label!r}.",
                where="salesforce",
                remedy=f"say into: {field.name} if it is the one that is meant, else give another name.",
            )
        return self._people.fields.writable(field.name).name

    def add(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Tick the checkbox."""
        return self._people.change(rows, dict.fromkeys(self._people.latest(rows), self.column(audience_id)))

    def upsert(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Write people with the checkbox ticked."""
        also = dict.fromkeys(self._people.latest(rows), self.column(audience_id))
        return self._people.upsert(rows, also=also)

    def remove(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Untick the checkbox."""
        bodies: Mapping[str, Values] = {key: {audience_id: False} for key in self._people.latest(rows)}
        return gone_is_out(self._people.change(rows, bodies))

    def members(self, audience_id: str) -> Iterator[Member]:
        """Everybody whose checkbox is ticked."""
        yield from _members(self._people, f"{audience_id} = true")

    def column(self, audience_id: str) -> Mapping[str, bool]:
        """The checkbox, ticked."""
        return {audience_id: True}


class Picklists(Audiences):
    """Values of one multi-select picklist; the audience's id is the value.

    Args:
        people: The records.
        maker: Adds a value that is missing.
        field_name: The picklist.
        organization: Its address, so that all who write to it in this process do so one after the other.
    """

    at_once: ClassVar[bool] = True
    adding: ClassVar[int] = 2
    adding_at_once: ClassVar[int] = 2
    removing: ClassVar[int] = 2

    def __init__(self, people: Records, maker: FieldMaker, field_name: str, organization: str) -> None:
        super().__init__(people)
        self._maker = maker
        self._name = field_name
        with _WRITING_LOCK:
            self._writing = _WRITING.setdefault((organization, f"{people.api_name}.{field_name}"), threading.Lock())

    def ensure(self, name: str) -> str:
        """The value of the picklist; added to one that is restricted and lacks it.

        Raises:
            ConfigurationError: The field is no such picklist, or cannot have the value.
        """
        if ";" in name:
            raise ConfigurationError(
                f"{name!r} cannot be a value of a picklist: a semicolon parts values.",
                where="salesforce",
                remedy="give the sync another name in 'into'.",
            )
        field = self._field()
        known = next((value for value in field.values if value.casefold() == name.casefold()), None)
        if known is None and field.restricted:
            self._maker.add_value(field, name)
        return known or name

    def add(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Add the value to those that each person has."""
        return self._rewrite(rows, lambda values: with_value(values, audience_id))

    def upsert(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Write people with the value among those that each has."""
        field = self._field().name
        with self._writing:
            there = {self._key(record): record.get(field) for record in self._people.find(rows, field)}
            also: dict[str, Values] = {
                key: {field: with_value(there.get(key), audience_id)} for key in self._people.latest(rows)
            }
            return self._people.upsert(rows, also=also)

    def remove(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Take the value from those that each person has; the others stay."""
        return gone_is_out(self._rewrite(rows, lambda values: without_value(values, audience_id)))

    def members(self, audience_id: str) -> Iterator[Member]:
        """Everybody who has the value."""
        yield from _members(self._people, f"{self._field().name} INCLUDES ({text_literal(audience_id)})")

    def _rewrite(self, rows: Sequence[DeliveryRow], change: Change) -> dict[str, Outcome]:
        """Read what each person has, and write what it should be where that differs."""
        field = self._field().name
        latest = self._people.latest(rows)
        with self._writing:
            ids, outcomes = self._people.ids_of(list(latest.values()))
            there = self._read(ids, field)
            stale = [latest[key] for key, record_id in ids.items() if record_id not in there]
            if stale:
                others, missing = self._people.looked_up(stale)
                outcomes |= missing
                ids = {key: one for key, one in (ids | others).items() if key not in missing}
                there |= self._read(others, field)
            values = {key: there.get(record_id) for key, record_id in ids.items()}
            bodies: dict[str, Values] = {
                key: {field: change(value)} for key, value in values.items() if change(value) != value
            }
            outcomes |= {key: accepted(record_id) for key, record_id in ids.items()}
            return outcomes | self._people.change(rows, bodies, ids=ids)

    def _read(self, ids: Mapping[str, str], field: str) -> dict[str, str | None]:
        """Values by record id, of those that are there."""
        return {str(record["Id"]): record.get(field) for record in self._people.find_ids(ids.values(), field)}

    def _field(self) -> SObjectField:
        field = self._people.fields.writable(self._name)
        if field.type != "multipicklist":
            raise ConfigurationError(
                f"{field.name} is no multi-select picklist but of type {field.type}.", where="salesforce"
            )
        return field

    def _key(self, record: Record) -> str:
        external_id = self._people.external_id
        return external_id.key(record[external_id.name])


def with_value(values: str | None, value: str) -> str:
    """Values of a picklist with one more, unless it is among them."""
    there = _values(values)
    return ";".join(there if value.casefold() in (one.casefold() for one in there) else [*there, value])


def without_value(values: str | None, value: str) -> str | None:
    """Values of a picklist without one; None where none is left."""
    return ";".join(one for one in _values(values) if one.casefold() != value.casefold()) or None


def _values(text: str | None) -> list[str]:
    return [value for value in (text or "").split(";") if value]


def _members(people: Records, condition: str) -> Iterator[Member]:
    name = people.external_id.name
    for record in people.where(condition):
        value = record.get(name)
        yield Member((str(value),) if value is not None else (), str(record["Id"]))


def _api_name_of(label: str) -> str:
    """A custom field's API name for a label."""
    if len(label) > LONGEST_LABEL:
        raise ConfigurationError(
            f"A field's label has at most {LONGEST_LABEL} characters, and {label!r} has {len(label)}.",
            where="salesforce",
            remedy="give the sync a shorter name in 'into', or the API name of a checkbox.",
        )
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    return f"{name if name[:1].isalpha() else f'A_{name}'.rstrip('_')}__c"
