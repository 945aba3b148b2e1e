"""The fields of leads: which there are, how new ones are made, and values as they take them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from millstream.destinations.contract import FieldType, FieldValue
from millstream.destinations.http import Http
from millstream.destinations.marketo.answers import reason_of
from millstream.destinations.rows import moment_of, text_value
from millstream.state.errors import ConfigurationError, RefusedError
from millstream.state.vendors.marketo import code_of

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EXISTS = "1017"
_MADE_AS: Mapping[FieldType, str] = {
    "text": "string",
    "number": "float",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime",
}
_WHOLE = frozenset({"integer", "score", "percent"})
_DECIMAL = frozenset({"float", "currency"})
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class _LeadField:
    data_type: str
    read_only: bool


class LeadFields:
    """The fields of an instance's leads, read once.

    Args:
        http: The engine's HTTP for the instance.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._read: Mapping[str, _LeadField] | None = None

    def read(self) -> Mapping[str, _LeadField]:
        """The fields by their API names."""
        if self._read is None:
            described = self._http.get("/rest/v1/leads/describe.json")["result"]
            self._read = {
                str(one["rest"]["name"]): _LeadField(
                    data_type=str(one.get("dataType")), read_only=bool(one["rest"].get("readOnly"))
                )
                for one in described
                if one.get("rest")
            }
        return self._read

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these fields that leads do not have.

        Raises:
            ConfigurationError: Only Marketo writes one, or it is spelled otherwise.
        """
        fields = self.read()
        spelled = {name.casefold(): name for name in fields}
        for name in names:
            if name not in fields and name.casefold() in spelled:
                raise ConfigurationError(
                    f"Marketo spells the field {spelled[name.casefold()]!r}, not {name!r}.", where="marketo"
                )
            if name in fields and fields[name].read_only:
                raise ConfigurationError(
                    f"The field {name!r} is written by Marketo alone.", where="marketo", remedy="map another."
                )
        return [name for name in names if name not in fields]

    def create(self, name: str, field_type: FieldType) -> None:
        """Make a custom field.

        Raises:
            ConfigurationError: The name is none that a field can have.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} cannot be a field's API name (a letter, then letters, digits and underscores).",
                where="marketo",
            )
        made = {"displayName": name.replace("_", " "), "name": name, "dataType": _MADE_AS[field_type]}
        try:
            answer = self._http.post("/rest/v1/leads/schema/fields.json", {"input": [made]})
        except RefusedError as error:
            if code_of(error) != _EXISTS:
                raise
            answer = {}
        finally:
            self._read = None
        for result in answer.get("result") or ():
            reason = reason_of(result)
            # Somebody else may have made it meanwhile, or we did, in a request whose answer was lost.
            if reason is not None and reason[0] != _EXISTS:
                raise ConfigurationError(f"Marketo does not make the field {name!r}: {reason[1]}", where="marketo")

    def typed(self, values: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
        """Values as the types of their fields want them; what does not fit stays, for Marketo to refuse."""
        if not values:
            return {}
        fields = self.read()
        return {
            name: _typed(value, fields[name].data_type) if name in fields else value for name, value in values.items()
        }


def _typed(value: FieldValue, data_type: str) -> FieldValue:
    if value is None:
        return None
    if data_type in _WHOLE or data_type in _DECIMAL:
        return _number(value, whole=data_type in _WHOLE)
    if data_type == "boolean":
        return value if isinstance(value, bool) else _BOOLEANS.get(text_value(value).strip().lower(), value)
    text = text_value(value)
    if data_type not in ("date", "datetime"):
        return text
    moment = moment_of(text) or moment_of(f"{text} 00:00:00")
    if moment is None:
        return text
    return moment.date().isoformat() if data_type == "date" else moment.isoformat(timespec="seconds")


def _number(value: FieldValue, *, whole: bool) -> FieldValue:
    """A number as one; one that has to be whole and is not stays as it is."""
    number = value
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
        with suppress(ValueError):
            number = int(value)
    if isinstance(number, float) and not math.isfinite(number):
        return value
    if whole and isinstance(number, float) and number.is_integer():
        return int(number)
    return number
