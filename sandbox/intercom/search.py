"""Search queries. Dates match by calendar day, which is the trap of this API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from millstream.sandbox.intercom.errors import invalid
from millstream.sandbox.system import JsonObject

DEEPEST, MOST_FILTERS = 2, 15
DAY = 86_400
DATES = {"created_at", "updated_at", "last_seen_at", "signed_up_at"}
FIELDS = DATES | {
    "id", "role", "email", "phone", "external_id", "name", "unsubscribed_from_emails", "open", "state",
    "has_hard_bounced", "marked_email_as_spam", "tag_id",
}  # fmt: skip
CUSTOM = "custom_attributes."
DATE_OPERATORS = (">", "<", "=")
OPERATORS = ("=", "!=", "IN", "NIN", "~", "!~", "^", "$")
Test = Callable[[JsonObject], bool]
Found = TypeVar("Found")


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
    if field not in FIELDS and not field.startswith(CUSTOM):
        raise invalid(f"unknown field {field}")
    if field == "tag_id":
        return _by_tag(operator, str(value))
    return _by_day(field, operator, value) if field in DATES else _plain(field, operator, value)


def narrowed(
    query: object, look_up: Callable[[str, str], dict[str, Found] | None], depth: int = 0
) -> dict[str, Found] | None:
    """All that a query can find, by id, where its filters tell without looking at everybody; else None.

    What is no query at all is left to `compiled` to refuse.
    """
    if not isinstance(query, dict) or depth > DEEPEST:
        return None
    operator, value = query.get("operator"), query.get("value")
    if operator in ("AND", "OR") and isinstance(value, list):
        parts = [narrowed(part, look_up, depth + 1) for part in value]
        known = [part for part in parts if part is not None]
        if operator == "AND":
            return known[0] if known else None
        return _union(known) if len(known) == len(parts) else None
    if operator not in ("=", "IN"):
        return None
    wanted = value if isinstance(value, list) else [value]
    each = [look_up(str(query.get("field")), str(one)) for one in wanted]
    found = [one for one in each if one is not None]
    return _union(found) if len(found) == len(each) else None


def _union(parts: list[dict[str, Found]]) -> dict[str, Found]:
    return {key: found for part in parts for key, found in part.items()}


def _by_tag(operator: object, tag_id: str) -> Test:
    if operator not in ("=", "!="):
        raise invalid(f"tag_id cannot be compared with {operator}")

    def test(row: JsonObject) -> bool:
        tags = row.get("tags")
        data = tags.get("data") if isinstance(tags, dict) else None
        has = isinstance(data, list) and any(tag.get("id") == tag_id for tag in data)
        return has == (operator == "=")

    return test


def _value(row: JsonObject, field: str) -> object:
    """What a row has in a field; addresses have no case."""
    if field.startswith(CUSTOM):
        custom = row.get("custom_attributes")
        return custom.get(field.removeprefix(CUSTOM)) if isinstance(custom, dict) else None
    return _folded(field, row.get(field))


def _folded(field: str, value: object) -> object:
    if isinstance(value, list):
        return [_folded(field, one) for one in value]
    return value.lower() if field == "email" and isinstance(value, str) else value


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


def _plain(field: str, operator: object, given: object) -> Test:
    if operator not in OPERATORS:
        raise invalid(f"{field} cannot be compared with {operator}")
    value = _folded(field, given)
    if operator in ("IN", "NIN"):
        if not isinstance(value, list):
            raise invalid(f"{operator} takes a list")
        inside = operator == "IN"
        return lambda row: (_value(row, field) in value) == inside
    tests: dict[object, Test] = {
        "=": lambda row: _value(row, field) == value,
        "!=": lambda row: _value(row, field) != value,
        "~": lambda row: str(value) in str(_value(row, field) or ""),
        "!~": lambda row: str(value) not in str(_value(row, field) or ""),
        "^": lambda row: str(_value(row, field) or "").startswith(str(value)),
        "$": lambda row: str(_value(row, field) or "").endswith(str(value)),
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
