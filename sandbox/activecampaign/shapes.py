"""How things are shown and asked for: times, links, pages, and what a body must hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from millstream.sandbox.activecampaign.errors import missing_attribute
from millstream.sandbox.system import Call, JsonObject

# The account's clock, which every time is shown in.
CENTRAL = timezone(timedelta(hours=-6))
LARGEST_PAGE, USUAL_PAGE = 100, 20


def moment(at_ms: int) -> str:
    """A time as the account's clock shows it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(CENTRAL).isoformat(timespec="seconds")


def links(call: Call, path: str, *names: str) -> JsonObject:
    """Addresses of what belongs to a thing."""
    return {name: f"{call.base_url}/api/3/{path}/{name}" for name in names}


def window(call: Call) -> tuple[int, int]:
    """Where the page asked for begins and ends; a limit above the largest counts as the largest."""
    limit, offset = _number(call, "limit", USUAL_PAGE), _number(call, "offset", 0)
    size = call.page_limit(min(limit, LARGEST_PAGE) or USUAL_PAGE)
    return offset, offset + size


def page(call: Call, rows: Sequence[JsonObject], name: str, **beside: object) -> JsonObject:
    """A page of a listing by offset. `total` is text, as all numbers are."""
    start, end = window(call)
    return {**beside, name: list(rows[start:end]), "meta": {"total": str(len(rows))}}


def inner(call: Call, name: str) -> JsonObject:
    """The object that a body wraps under a name."""
    body = call.json()
    wrapped = body.get(name) if isinstance(body, dict) else None
    if not isinstance(wrapped, dict):
        raise missing_attribute(name)
    return {str(key): value for key, value in wrapped.items()}


def number_in(value: object) -> int | None:
    """An id, which clients give as a number or as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def needed_number(body: JsonObject, name: str) -> int:
    """An id that must be there."""
    found = number_in(body.get(name))
    if found is None:
        raise missing_attribute(name)
    return found


def text_in(body: JsonObject, name: str, default: str = "") -> str:
    """Some text that may be there."""
    value = body.get(name)
    return default if value is None else str(value)


def _number(call: Call, name: str, default: int) -> int:
    value = call.query.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else default
