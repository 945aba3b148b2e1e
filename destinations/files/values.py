"""Values of rows as the columns of a file hold them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

from millstream.destinations.contract import FieldType, FieldValue
from millstream.destinations.hashing import email_address, sha256_of
from millstream.destinations.rows import text_value

Cell = str | float | int | bool | date | datetime | None


class MisfitError(ValueError):
    """A value that its column cannot hold.

    Attributes:
        code: In one word.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _phone(value: str) -> str | None:
    """With + and digits only; None for what is no international number."""
    digits = re.sub(r"[\s()./-]", "", value)
    return digits if re.fullmatch(r"\+[1-9]\d{6,14}", digits) else None


def _as_it_is(value: str) -> str | None:
    return value.strip() or None


HASHES = {"email": sha256_of(email_address), "phone": sha256_of(_phone), "text": sha256_of(_as_it_is)}
"""How values are hashed, by what they are."""


def cell_of(column: str, value: FieldValue, types: Mapping[str, FieldType]) -> Cell:
    """A value as its column holds it.

    Raises:
        MisfitError: It is none of the column's type.
    """
    if value is None:
        return None
    kind = types.get(column, "text")
    found = text_value(value) if kind == "text" else _READERS[kind](value)
    if found is None:
        raise MisfitError("not_of_its_type", f"The value of column {column} is no {kind}.")
    return found


def _number(value: FieldValue) -> float | int | None:
    if isinstance(value, bool):
        return None
    try:
        number = value if isinstance(value, int) else float(value if value is not None else "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _boolean(value: FieldValue) -> bool | None:
    return {"true": True, "false": False}.get(text_value(value).lower())


def _date(value: FieldValue) -> date | None:
    moment = _timestamp(value)
    return moment.date() if moment else None


def _timestamp(value: FieldValue) -> datetime | None:
    """In UTC, which a time without a zone is taken for."""
    try:
        found = datetime.fromisoformat(text_value(value))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


_READERS = {"number": _number, "boolean": _boolean, "date": _date, "timestamp": _timestamp}


def as_text(value: Cell) -> str:
    """A value as text: times as ISO 8601 with Z."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else text_value(value)
