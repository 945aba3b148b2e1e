"""What the user may see and write of an object, and values as its fields take them."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from millstream.destinations.contract import FieldValue
from millstream.destinations.http import Http
from millstream.destinations.rows import text_value
from millstream.destinations.salesforce.soql import text_literal
from millstream.state.errors import ConfigurationError, NotFoundError, PermissionDeniedError

CONSENT_FIELDS = (
    "*HasOptedOut*",
    "DoNotCall",
    "*EmailBounced*",
    "IndividualId",
)
"""Opt-outs, bounces (to clear one has mail sent again), and the record that holds a person's privacy wishes."""

NUMBERS = frozenset({"double", "currency", "percent", "int", "long"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

JsonValue = str | float | int | bool | None


def carries_consent(name: str) -> bool:
    """Whether a field says whom one may address."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in CONSENT_FIELDS)


@dataclass(frozen=True, kw_only=True)
class SObjectField:
    """A field of an object, as Salesforce describes it.

    Attributes:
        name: API name.
        label: What people read.
        type: In Salesforce's words: ``string``, ``boolean``, ``multipicklist``, ...
        writable: Whether the user may fill it.
        nillable: Whether it may be empty.
        external_id: Whether records can be upserted by it.
        case_sensitive: Whether values that differ in upper and lower case differ.
        values: Active values of a picklist.
        restricted: Whether a picklist takes no others.
    """

    name: str
    label: str
    type: str
    writable: bool
    nillable: bool
    external_id: bool
    case_sensitive: bool
    values: Sequence[str]
    restricted: bool

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> SObjectField:
        """A field of a description."""
        return cls(
            name=str(said["name"]),
            label=str(said.get("label") or said["name"]),
            type=str(said.get("type")),
            writable=bool(said.get("updateable")),
            nillable=bool(said.get("nillable")),
            external_id=bool(said.get("externalId")),
            case_sensitive=bool(said.get("caseSensitive")),
            values=tuple(str(one["value"]) for one in said.get("picklistValues") or () if one.get("active")),
            restricted=bool(said.get("restrictedPicklist")),
        )

    def json_value(self, value: FieldValue) -> JsonValue:
        """A value as JSON has it; one wrong type would have the whole request refused.

        Raises:
            ValueError: It is none that the field could hold.
        """
        if value is None:
            return False if self.type == "boolean" else None
        if self.type == "boolean":
            return _boolean(value)
        if self.type in NUMBERS:
            return _number(value, whole=self.type in ("int", "long"))
        if self.type == "date":
            return _moment(value).date().isoformat()
        if self.type == "datetime":
            return _moment(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        return text_value(value)

    def literal(self, value: str) -> str:
        """A value as SOQL writes it."""
        if self.type not in NUMBERS:
            return text_literal(value)
        return text_value(_number(value, whole=False))

    def key(self, value: object) -> str:
        """What is the same for two values that Salesforce takes for one."""
        text = str(value).strip()
        if self.type in NUMBERS:
            try:
                return format(Decimal(text).normalize(), "f")
            except InvalidOperation:
                return text
        return text if self.case_sensitive else text.casefold()


class SObjectFields:
    """The fields of one object, described once; threads share it.

    Args:
        http: The engine's HTTP for the organization.
        root: Path of the API.
        api_name: The object.
    """

    def __init__(self, http: Http, root: str, api_name: str) -> None:
        self.api_name = api_name
        self._http = http
        self._path = f"{root}/sobjects/{api_name}/describe"
        self._described: Mapping[str, SObjectField] | None = None
        self._lock = threading.Lock()

    def get(self, name: str) -> SObjectField | None:
        """The field; names are the same in upper and lower case."""
        with self._lock:
            if self._described is None:
                self._described = self._describe()
            return self._described.get(name.lower())

    def writable(self, name: str) -> SObjectField:
        """The field, which has to be there and writable.

        Raises:
            ConfigurationError: It is not.
        """
        found = self.get(name)
        if found is None:
            raise ConfigurationError(
                f"Salesforce shows no field {name!r} of {self.api_name} to this user.",
                where="salesforce",
                remedy="check its API name, and give the user's profile or permission set access to it.",
            )
        if not found.writable:
            raise ConfigurationError(
                f"The user may not edit {found.name!r} of {self.api_name}.",
                where="salesforce",
                remedy="give the user's profile or permission set edit access to the field, or take it out.",
            )
        return found

    def external_id(self, name: str) -> SObjectField:
        """The field that people are found by.

        Raises:
            ConfigurationError: The object has no such external id.
        """
        found = self.get(name)
        if found is None or not found.external_id:
            raise ConfigurationError(
                f"{name!r} of {self.api_name} is " + ("not there." if found is None else "not marked External ID."),
                where="salesforce",
                remedy="make a text field that is marked External ID and Unique (Object Manager > Fields), let the "
                "user edit it, and name it as external_id_field.",
            )
        return self.writable(name)

    def forget(self) -> None:
        """Describe anew at the next look."""
        with self._lock:
            self._described = None

    def _describe(self) -> Mapping[str, SObjectField]:
        try:
            described = self._http.get(self._path)
        except NotFoundError as error:
            raise PermissionDeniedError(
                f"Salesforce shows no object {self.api_name} to this user.",
                where="salesforce",
                remedy="give the user's profile or permission set access to it; check base_url, too.",
            ) from error
        return {str(one["name"]).lower(): SObjectField.read(one) for one in described["fields"]}


def _boolean(value: FieldValue) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(text_value(value).strip().lower())
    if found is None:
        raise ValueError("neither true nor false")
    return found


def _number(value: FieldValue, *, whole: bool) -> float | int:
    number = float(text_value(value))
    if not math.isfinite(number):
        raise ValueError("not finite")
    if number.is_integer() and abs(number) < 1e15:
        return int(number)
    if whole:
        raise ValueError("no whole number")
    return number


def _moment(value: FieldValue) -> datetime:
    text = text_value(value).strip()
    moment = datetime.fromisoformat(text) if len(text) > 10 else datetime.combine(date.fromisoformat(text), _MIDNIGHT)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_MIDNIGHT = datetime.min.time()
