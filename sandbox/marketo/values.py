"""What fits into a field of each data type."""

from __future__ import annotations

import math
import re
from datetime import date, datetime

from millstream.sandbox.marketo.answers import RowRefused

Value = str | int | float | bool | None

TEXTS = ("string", "email", "phone", "url", "reference", "text")
INTEGERS = ("integer", "score", "percent")
LONGEST_STRING, LONGEST_TEXT, LARGEST_INTEGER = 255, 30_000, 2**31 - 1
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
_DAY, _NUMBER = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"[+-]?\d+(\.\d+)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")


def is_address(email: str) -> bool:
    """Whether this can be an e-mail address: ASCII only, and nothing around it."""
    return _ADDRESS.fullmatch(email) is not None and ".." not in email


def checked(kind: str, value: object) -> Value:
    """The value as a field of this type keeps it; null clears, which makes a boolean false.

    Raises:
        RowRefused: The value is of another type, or too long.
    """
    if value is None:
        return False if kind == "boolean" else None
    if isinstance(value, (dict, list)):
        raise _mismatch(kind, value)
    if kind in TEXTS:
        return _text(kind, value)
    if kind == "boolean":
        return _boolean(value)
    if kind in ("date", "datetime"):
        return _time(kind, value)
    return _number(kind, value)


def _text(kind: str, value: object) -> str | None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    length, longest = (len(text.encode()), LONGEST_TEXT) if kind == "text" else (len(text), LONGEST_STRING)
    if length > longest:
        raise RowRefused(1003, "Invalid data: the value is too long")
    if kind == "email" and text and not is_address(text):
        raise RowRefused(1003, "Invalid data: the value is no valid email address")
    return text or None


def _boolean(value: object) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if known is None:
        raise _mismatch("boolean", value)
    return known


def _number(kind: str, value: object) -> int | float:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise _mismatch(kind, value)
    number = float(str(value))
    if kind not in INTEGERS:
        return number
    if not number.is_integer() or math.fabs(number) > LARGEST_INTEGER:
        raise _mismatch(kind, value)
    return int(number)


def _time(kind: str, value: object) -> str:
    pattern = _DAY if kind == "date" else _MOMENT
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _mismatch(kind, value)
    try:
        (date if kind == "date" else datetime).fromisoformat(value)
    except ValueError as error:
        raise _mismatch(kind, value) from error
    return value


def _mismatch(kind: str, value: object) -> RowRefused:
    return RowRefused(1001, f"Invalid value '{value}'. Required of type '{kind}'")
