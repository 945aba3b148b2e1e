"""Made-up people for snapshots: one with every field, one with the required fields alone, one with a cleared one."""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

from millstream.destinations.contract import DeliveryRow, DestinationField, FieldType, FieldValue
from millstream.destinations.rendering import Renderer
from millstream.destinations.sync import FieldMapping

_WORDS = ("Zoë", "Ana Søn", "O'Hara & Co", "Łódź", "naïve; yes", 'the "new" one', "Großmann")
_OF_KINDS: dict[FieldType, FieldValue] = {
    "number": 42,
    "boolean": True,
    "date": "1990-05-17",
    "timestamp": "2020-02-29 10:30:00+00",
}
_OF_NAMES: dict[str, FieldValue] = {
    r"email": "every.field@box.example",
    r".*phone.*": "+12025550143",
    r".*country|regioncode": "US",
    r"language": "en",
    r"locale": "en-US",
    r".*(timezone|tz)": "Europe/Berlin",
    r"gen|gender": "F",
    r"birthday": "05/17",
    r"dob[ymd]": "1990-05-17",
    r".*(image|imageurl|photo|website|avatar)": "https://example.com/ana.png",
    r".*(zip|postalcode)": "10115",
    r"employed|married": "Y",
    r"education": "Graduate",
    r"lifecyclestage": "customer",
    r"leadsource": "Web",
    r"aduserdata|adpersonalization": "granted",
    r".*ip": "192.0.2.7",
    r"madid": "38400000-8cf0-11bd-b23e-10b96e40000d",
    r"externid|externalid|id": "person-1",
}
"""Values of fields that take not any text, by the field's name in small letters alone."""


def sample_value(field: DestinationField) -> FieldValue:
    """A value of the field's kind, the same each time."""
    if field.type != "text":
        return _OF_KINDS[field.type]
    name = re.sub(r"[^a-z0-9]", "", field.name.lower())
    fitting = (value for pattern, value in _OF_NAMES.items() if re.fullmatch(pattern, name))
    return next(fitting, _WORDS[crc32(field.name.encode()) % len(_WORDS)])


def sample_match_value(match_key: str, number: int) -> str:
    """By what the vendor finds one of the people."""
    if "email" in match_key:
        return f"person.{number}@box.example"
    return f"+1202555014{number}" if "phone" in match_key else f"person-{number}"


def sample_people(fields: tuple[DestinationField, ...], match_key: str, custom: Any) -> list[DeliveryRow]:
    """Three people, rendered as the engine does.

    Args:
        fields: The destination's fields, custom ones among them.
        match_key: The field by which people are found; the sync does not fill it.
        custom: What fields are that are not declared; see ``Destination.custom_field_type``.
    """
    filled = [field for field in fields if field.name != match_key]
    required = [field for field in filled if field.required]
    cleared = [field for field in filled if not field.required][:1]
    values = {field.name: sample_value(field) for field in filled}
    chosen = [
        (filled, values),
        (required, values),
        (required + cleared, {**values, **{one.name: None for one in cleared}}),
    ]
    rows = []
    for number, (mapped, given) in enumerate(chosen, 1):
        mappings = {field.name: FieldMapping(column=field.name, null="clear") for field in mapped}
        rendered = Renderer(fields, mappings, custom).render({name: given[name] for name in mappings})
        assert isinstance(rendered, dict), rendered
        rows.append(DeliveryRow(number=number, match_value=sample_match_value(match_key, number), fields=rendered))
    return rows
