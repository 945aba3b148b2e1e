"""What may be written into a field, given as JSON or as a cell of CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from millstream.sandbox.salesforce.errors import refusal
from millstream.sandbox.salesforce.fields import TEXTS, Field
from millstream.sandbox.salesforce.ids import number_of
from millstream.sandbox.salesforce.records import canonical
from millstream.sandbox.salesforce.rows import Value
from millstream.sandbox.system import ApiError, JsonObject

ADDRESS = re.compile(r"[^\s@<>,;:\"()]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
NUMBERS = frozenset({"double", "currency", "int"})
NULL_CELL = "#N/A"
STATUSES = {"ENTITY_IS_DELETED": 404, "NOT_FOUND": 404, "INSUFFICIENT_ACCESS_OR_READONLY": 403}


class RowRefused(Exception):
    """A record that cannot be written, in the vendor's words."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = (), **more: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.fields, self.more = code, message, list(fields), more

    def in_collection(self) -> JsonObject:
        """The row's answer among those of a collection."""
        error: JsonObject = {"statusCode": self.code, "message": self.message, "fields": self.fields, **self.more}
        return {"success": False, "errors": [error]}

    def alone(self) -> ApiError:
        """The answer where the record came alone."""
        error: JsonObject = {"message": self.message, "errorCode": self.code, "fields": self.fields, **self.more}
        return ApiError(STATUSES.get(self.code, 400), [error])

    def as_cell(self) -> str:
        """What stands in `sf__Error` of a job's failed rows."""
        return f"{self.code}:{self.message}:{' '.join(self.fields)} --"


def unreadable(kind: str, given: object) -> ApiError:
    """JSON of another type than the field's: the request is not read any further, so no row is named."""
    tokens = {str: "VALUE_STRING", bool: "VALUE_TRUE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT"}
    token = tokens.get(type(given), "START_OBJECT")
    text = f"Cannot deserialize instance of {kind} from {token} value {given}"
    return refusal(400, "JSON_PARSER_ERROR", f"{text} or request may be missing a required field")


def from_json(field: Field, given: object) -> Value:
    """A value of JSON as it stands in a record.

    Raises:
        ApiError: It is of another type, which refuses the whole request.
        RowRefused: The field does not take it.
    """
    if given is None or given == "":
        return _nothing(field)
    if field.type == "boolean":
        if not isinstance(given, bool):
            raise unreadable("boolean", given)
        return given
    if field.type in NUMBERS:
        return _number(field, given, unreadable(field.type, given))
    if not isinstance(given, str):
        raise unreadable("string" if field.type in TEXTS else field.type, given)
    if field.type in ("date", "datetime"):
        return _time(field, given, unreadable(field.type, given))
    return _text(field, given)


def from_cell(field: Field, cell: str) -> Value:
    """A cell of CSV as it stands in a record; the caller has passed over the empty ones.

    Raises:
        RowRefused: The field does not take it.
    """
    if cell == NULL_CELL:
        return _nothing(field)
    text = f"{label(field)}: value not of required type: {cell}"
    wrong = RowRefused("INVALID_TYPE_ON_FIELD_IN_RECORD", text, [field.name])
    if field.type == "boolean":
        if cell.lower() not in ("true", "false", "1", "0"):
            raise wrong
        return cell.lower() in ("true", "1")
    if field.type in NUMBERS:
        return _number(field, cell, wrong)
    return _time(field, cell, wrong) if field.type in ("date", "datetime") else _text(field, cell)


def label(field: Field) -> str:
    """The field's label, as messages name it."""
    return field.name.removesuffix("__c").replace("_", " ")


def _nothing(field: Field) -> Value:
    if field.type == "boolean":
        text = f"{label(field)}: value not of required type: "
        raise RowRefused("INVALID_TYPE_ON_FIELD_IN_RECORD", text, [field.name])
    return None


def _number(field: Field, given: object, wrong: Exception) -> Value:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise wrong
    try:
        number = float(given)
    except ValueError:
        raise wrong from None
    if field.type == "int":
        return int(number)
    if abs(number) >= 1e16:
        text = f"{label(field)}: value outside of valid range on numeric field: {given}"
        raise RowRefused("NUMBER_OUTSIDE_VALID_RANGE", text, [field.name])
    return number


def _time(field: Field, given: str, wrong: Exception) -> Value:
    try:
        if field.type == "date":
            return date.fromisoformat(given[:10] if len(given) > 10 and given[10] == "T" else given).isoformat()
        at = datetime.fromisoformat(given)
    except ValueError:
        raise wrong from None
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp())


def _text(field: Field, given: str) -> Value:
    if field.type == "reference":
        return _reference(field, given)
    if len(given) > field.length:
        text = f"{label(field)}: data value too large: {given} (max length={field.length})"
        raise RowRefused("STRING_TOO_LONG", text, [field.name])
    if field.type == "email" and ADDRESS.fullmatch(given) is None:
        raise RowRefused("INVALID_EMAIL_ADDRESS", f"{label(field)}: invalid email address: {given}", [field.name])
    if field.type == "multipicklist":
        return _choices(field, given)
    if field.options and given not in field.options:
        raise _bad_choice(field, given)
    return given


def _choices(field: Field, given: str) -> str:
    chosen = list(dict.fromkeys(one.strip() for one in given.split(";") if one.strip()))
    for one in chosen:
        if field.options and one not in field.options:
            raise _bad_choice(field, one)
    # They are kept in the order in which the field lists them.
    return ";".join(sorted(chosen, key=field.options.index) if field.options else chosen)


def _bad_choice(field: Field, given: str) -> RowRefused:
    text = f"{label(field)}: bad value for restricted picklist field: {given}"
    return RowRefused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text, [field.name])


def _reference(field: Field, given: str) -> str:
    if number_of(given[:3], given) is None:
        raise RowRefused("MALFORMED_ID", f"{label(field)}: id value of incorrect type: {given}", [field.name])
    return canonical(given)
