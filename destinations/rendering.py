"""Values of the store as a destination's fields want them; a row that does not fit is rejected before it is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from millstream.destinations.contract import DestinationField, FieldType, FieldValue, Outcome, rejected
from millstream.destinations.rows import text_value
from millstream.destinations.sync import FieldMapping

_AS_TEXT = ("text", "date", "timestamp")


class Renderer:
    """Turns a plan row's fields into what is sent.

    Args:
        fields: The destination's declared fields.
        mappings: The sync's mappings, which say what a missing value means.
        custom: What fields are that are not declared; None: numbers and booleans stay what they are.
    """

    def __init__(
        self,
        fields: tuple[DestinationField, ...],
        mappings: Mapping[str, FieldMapping],
        custom: FieldType | None = "text",
    ) -> None:
        declared = {field.name: field for field in fields}
        self._declared = {name: declared.get(name) or DestinationField(name=name) for name in mappings}
        self._required = {name for name in mappings if self._declared[name].required or mappings[name].required}
        self._clears = {name for name in mappings if mappings[name].null == "clear"}
        kinds = {name: self._declared[name].type if name in declared else custom for name in mappings}
        self._as_text = {name: kind in _AS_TEXT for name, kind in kinds.items()}
        self._longest = {name: self._declared[name].max_length for name in mappings}
        self._hashed = {name: rule for name in mappings if (rule := self._declared[name].hashed)}
        self._plain = {name for name in mappings if not self._longest[name] and name not in self._hashed}

    def render(self, values: Mapping[str, Any], *, unchanged: Collection[str] = ()) -> dict[str, FieldValue] | Outcome:
        """The fields to send, or the outcome of a row that must not be sent.

        Args:
            values: Values by destination field.
            unchanged: Fields that the destination is known to have as they are; only required ones are sent again.
        """
        fields: dict[str, FieldValue] = {}
        for name, value in values.items():
            if value is None or value == "":
                if name in self._required:
                    return rejected("required_field_missing", f"Field {name} has no value and is required.")
                if name in self._clears and name not in unchanged:
                    fields[name] = None
                continue
            if name in unchanged and name not in self._required:
                continue
            if type(value) is str and name in self._plain:
                fields[name] = value
                continue
            if name not in self._declared:
                continue  # mapped when an earlier run planned it, and no more
            rendered = value if type(value) is str or not self._as_text[name] else text_value(value)
            if name in self._hashed:
                rendered = self._hashed[name](text_value(rendered))
                if rendered is None:
                    if name in self._required:
                        return rejected("not_of_its_kind", f"The value of field {name} is none that it can hold.")
                    continue
            longest = self._longest[name]
            if longest and isinstance(rendered, str) and len(rendered) > longest:
                return rejected(
                    "too_long", f"Field {name} has {len(rendered)} characters; at most {longest} are taken."
                )
            fields[name] = rendered
        return fields
