"""Values of the store as a destination's fields want them; a row that does not fit is rejected before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millstream.destinations.contract import DestinationField, FieldValue, Outcome, rejected
from millstream.destinations.rows import text_value
from millstream.destinations.sync import FieldMapping


class Renderer:
    """Turns a plan row's fields into what is sent.

    Args:
        fields: The destination's declared fields.
        mappings: The sync's mappings, which say what a missing value means.
    """

    def __init__(self, fields: tuple[DestinationField, ...], mappings: Mapping[str, FieldMapping]) -> None:
        declared = {field.name: field for field in fields}
        self._declared = {name: declared.get(name) or DestinationField(name=name) for name in mappings}
        self._mappings = mappings

    def render(self, values: Mapping[str, Any]) -> dict[str, FieldValue] | Outcome:
        """The fields to send, or the outcome of a row that must not be sent."""
        fields: dict[str, FieldValue] = {}
        for name, value in values.items():
            declared = self._declared[name]
            if value is None or value == "":
                if declared.required:
                    return rejected("required_field_missing", f"Field {name} has no value and is required.")
                if self._mappings[name].null == "clear":
                    fields[name] = None
                continue
            rendered = text_value(value) if declared.type in ("text", "date", "timestamp") else value
            if declared.max_length and isinstance(rendered, str) and len(rendered) > declared.max_length:
                return rejected(
                    "too_long",
                    f"Field {name} has {len(rendered)} characters; at most {declared.max_length} are taken.",
                )
            fields[name] = rendered
        return fields
