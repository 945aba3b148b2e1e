"""One operation of the Track API's second version: what it must look like to be accepted."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from millstream.sandbox.customerio.errors import Problem
from millstream.sandbox.customerio.writing import ADDRESS
from millstream.sandbox.system import JsonObject

LARGEST_OPERATION = 32_000
IDENTIFIERS = ("id", "email", "cio_id")
ACTIONS = ("identify", "delete", "event", "suppress", "unsuppress")
LONGEST_ID, LONGEST_NAME, LONGEST_VALUE, LONGEST_EVENT = 150, 150, 1000, 100


@dataclass(frozen=True, slots=True)
class Operation:
    """An accepted operation about the person whose identifier of `kind` is `value`."""

    action: str
    kind: str
    value: str
    attributes: JsonObject
    at: int | None
    name: str


def read_operation(row: object) -> Operation:
    """An operation as it was sent.

    Raises:
        Problem: It is not one that is accepted.
    """
    if not isinstance(row, dict):
        raise Problem("invalid", "batch", "must be an object")
    if len(orjson.dumps(row)) > LARGEST_OPERATION:
        raise Problem("too_large", "batch", "must be 32kb or smaller")
    for name, allowed in (("type", ("person",)), ("action", ACTIONS)):
        if not row.get(name):
            raise Problem("required", name, "must not be empty")
        if row[name] not in allowed:
            raise Problem("invalid", name, f"must be one of {', '.join(allowed)}")
    kind, value = _identifier(row.get("identifiers"))
    at = row.get("timestamp")
    if at is not None and (not isinstance(at, int) or isinstance(at, bool) or at < 0):
        raise Problem("invalid", "timestamp", "must be a unix timestamp")
    event = row.get("name")
    if row["action"] == "event" and (not isinstance(event, str) or not 1 <= len(event.encode()) <= LONGEST_EVENT):
        raise Problem("required", "name", "must be the event's name")
    return Operation(str(row["action"]), kind, value, _attributes(row.get("attributes")), at, str(event or ""))


def _identifier(given: object) -> tuple[str, str]:
    if not isinstance(given, dict) or not given:
        raise Problem("required", "identifiers", "must not be empty")
    if len(given) != 1:
        raise Problem("invalid", "identifiers", "must hold exactly one identifier")
    kind, value = next(iter(given.items()))
    if kind not in IDENTIFIERS:
        raise Problem("invalid", f"identifiers.{kind}", "is not an identifier of this workspace")
    if value is None or value == "":
        raise Problem("required", f"identifiers.{kind}", "must not be empty")
    if not isinstance(value, str):
        raise Problem("invalid", f"identifiers.{kind}", "must be a string")
    if len(value.encode()) > LONGEST_ID:
        raise Problem("invalid", f"identifiers.{kind}", f"must be at most {LONGEST_ID} bytes")
    if kind == "email" and not ADDRESS.fullmatch(value):
        raise Problem("invalid", "identifiers.email", "must be a valid email address")
    return kind, value


def _attributes(given: object) -> JsonObject:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Problem("invalid", "attributes", "must be an object")
    if not isinstance(given.get("_update", False), bool):
        raise Problem("invalid", "attributes._update", "must be a boolean")
    for name, value in given.items():
        if not 1 <= len(name.encode()) <= LONGEST_NAME:
            raise Problem("invalid", "attributes", f"a name must have 1 to {LONGEST_NAME} bytes")
        if isinstance(value, str) and len(value.encode()) > LONGEST_VALUE:
            raise Problem("invalid", f"attributes.{name}", f"must be at most {LONGEST_VALUE} bytes")
    return dict(given)
