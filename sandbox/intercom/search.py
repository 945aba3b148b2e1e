"""Search queries. Dates match by calendar day, which is the trap of this API."""

from __future__ import annotations

import re
from collections.abc import Callable

from millstream.sandbox.intercom.errors import invalid
from millstream.sandbox.system import JsonObject

DEEPEST, MOST_FILTERS = 2, 15
DAY = 86_400
DATES = {"created_at", "updated_at", "last_seen_at", "signed_up_at"}
FIELDS = DATES | {"id", "role", "email", "phone", "external_id", "name", "unsubscribed_from_emails", "open", "state"}
DATE_OPERATORS = (">", "<", "=")
OPERATORS = ("=", "!=", "IN", "NIN", "~", "!~", "^", "$")
Test = Callable[[JsonObject], bool]


def compiled(query: object, depth: int = 0) -> Test:
    """The query as a test of a row.

    Raises:
        ApiError: It is malformed, too deep or too long, or compares what cannot be compared.
    """
    if not isinstance(query, dict) or "operator" not in query or "value" not in query:
        raise invalid("query needs an operator and a value")
    operator, value = query["operator"], query["value"]
    if operator in ("AND", "OR"):
        if depth >= DEEPEST or not isinstance(value, list) or not 1 <= len(value) <= MOST_FILTERS:
            raise invalid(f"a group takes 1 to {MOST_FILTERS} filters, at most {DEEPEST} groups deep")
        tests = [compiled(part, depth + 1) for part in value]
        every = operator == "AND"
        return lambda row: (all if every else any)(test(row) for test in tests)
    field = str(query.get("field"))
    if field not in FIELDS:
        raise invalid(f"unknown field {field}")
    return _by_day(field, operator, value) if field in DATES else _plain(field, operator, value)


def _by_day(field: str, operator: object, value: object) -> Test:
    if operator not in DATE_OPERATORS:
        raise invalid(f"{field} cannot be compared with {operator}")
    if not re.fullmatch(r"[0-9]+", str(value)):
        raise invalid(f"{field} must be compared with seconds since 1970")
    day = int(str(value)) // DAY

    def test(row: JsonObject) -> bool:
        if row.get(field) is None:
            return False
        own = int(str(row[field])) // DAY
        return own > day if operator == ">" else own < day if operator == "<" else own == day

    return test


def _plain(field: str, operator: object, value: object) -> Test:
    if operator not in OPERATORS:
        raise invalid(f"{field} cannot be compared with {operator}")
    if operator in ("IN", "NIN"):
        if not isinstance(value, list):
            raise invalid(f"{operator} takes a list")
        inside = operator == "IN"
        return lambda row: (row.get(field) in value) == inside
    tests: dict[object, Test] = {
        "=": lambda row: row.get(field) == value,
        "!=": lambda row: row.get(field) != value,
        "~": lambda row: str(value) in str(row.get(field) or ""),
        "!~": lambda row: str(value) not in str(row.get(field) or ""),
        "^": lambda row: str(row.get(field) or "").startswith(str(value)),
        "$": lambda row: str(row.get(field) or "").endswith(str(value)),
    }
    return tests[operator]


def ordering(sort: object) -> tuple[str, bool]:
    """Field and whether it descends; by default the latest change first."""
    if sort is None:
        return "updated_at", True
    if not isinstance(sort, dict) or sort.get("field") not in FIELDS:
        raise invalid("sort needs a known field")
    order = sort.get("order", "descending")
    if order not in ("ascending", "descending"):
        raise invalid("order must be ascending or descending")
    return str(sort["field"]), order == "descending"
