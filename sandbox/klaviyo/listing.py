"""What reading endpoints share: filters, sparse fields, pages and their links."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar
from urllib.parse import urlencode

import orjson

from millstream.sandbox.klaviyo.errors import invalid_parameter
from millstream.sandbox.system import Call, JsonObject

MOST_VALUES = 100
EQUALS, AFTER = ("equals", "any"), ("greater-than", "greater-or-equal", "less-than", "less-or-equal")
_COMPARISON = re.compile(
    r"""([a-z-]+)\(\s*([\w.]+)\s*,\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|[^(),"']+)\s*\)"""
)
_STRING = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?:,|$)""")
Row = TypeVar("Row")


def stamp(at_ms: int | None) -> str | None:
    """A time as the API writes it."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition of a filter."""

    operator: str
    field: str
    values: tuple[str, ...]

    def holds_for(self, at_ms: int) -> bool:
        """Whether a time fulfils it."""
        given = int(datetime.fromisoformat(self.values[0]).timestamp() * 1000)
        return {
            "greater-than": at_ms > given,
            "greater-or-equal": at_ms >= given,
            "less-than": at_ms < given,
            "less-or-equal": at_ms <= given,
        }[self.operator]


def comparisons(call: Call, allowed: Mapping[str, Sequence[str]]) -> list[Comparison]:
    """The conditions of `filter`, all of which must hold. `allowed` has the operators of each field."""
    text = call.query.get("filter", "").strip()
    if not text:
        return []
    inner = text[4:-1] if text.startswith("and(") and text.endswith(")") else text
    found, rest = [], inner
    while rest:
        match = _COMPARISON.match(rest)
        if match is None:
            raise invalid_parameter("filter", f"The filter cannot be read from {rest[:40]!r} on.")
        found.append(_comparison(match, allowed))
        rest = rest[match.end() :].lstrip(", ")
    return found


def _comparison(match: re.Match[str], allowed: Mapping[str, Sequence[str]]) -> Comparison:
    operator, name, value = match.groups()
    if name not in allowed:
        raise invalid_parameter("filter", f"'{name}' is not a filterable field. Use one of {', '.join(allowed)}.")
    if operator not in allowed[name]:
        raise invalid_parameter("filter", f"'{name}' takes {', '.join(allowed[name])}, not {operator}.")
    values = _values(value)
    if operator == "any" and not (value.startswith("[") and 0 < len(values) <= MOST_VALUES):
        raise invalid_parameter("filter", f"'any' takes an array of 1 to {MOST_VALUES} values.")
    if operator in AFTER:
        try:
            datetime.fromisoformat(values[0])
        except ValueError as error:
            raise invalid_parameter("filter", f"'{values[0]}' is not a datetime.") from error
    return Comparison(operator, name, values)


def _values(value: str) -> tuple[str, ...]:
    if value.startswith("["):
        return tuple(_unquoted(match.group(1)) for match in _STRING.finditer(value[1:-1]))
    return (_unquoted(value),)


def _unquoted(value: str) -> str:
    if value.startswith("'"):
        return value[1:-1].replace("\\'", "'")
    return str(orjson.loads(value)) if value.startswith('"') else value.strip()


def names_in(call: Call, parameter: str, allowed: Iterable[str]) -> list[str] | None:
    """The comma-separated names of a parameter; names that do not exist are refused."""
    text = call.query.get(parameter)
    if text is None:
        return None
    names, known = [name.strip() for name in text.split(",")], set(allowed)
    for name in names:
        if name not in known:
            raise invalid_parameter(parameter, f"'{name}' is not a valid value.")
    return names


def check_query(call: Call, *known: str) -> None:
    """Refuse query parameters that the endpoint does not have."""
    for name, _ in call.query_list:
        if name not in known:
            raise invalid_parameter(name, f"'{name}' is not a valid query parameter for this endpoint.")


def picked(attributes: JsonObject, names: Sequence[str] | None) -> JsonObject:
    """Only the attributes asked for; a dotted name asks for a part of one."""
    if names is None:
        return attributes
    chosen: JsonObject = {}
    for name in names:
        first, _, rest = name.partition(".")
        value = attributes.get(first)
        if rest and isinstance(value, dict):
            inner = chosen.setdefault(first, {})
            if isinstance(inner, dict):
                inner.update(picked(value, [rest]))
        elif first in attributes:
            chosen[first] = value
    return chosen


def page_of(
    call: Call, rows: Callable[[int], Iterable[Row]], place: Callable[[Row], int], largest: int, usual: int
) -> tuple[list[Row], JsonObject]:
    """One page of rows and its links.

    Args:
        call: The request, which may say where to begin and how many to give.
        rows: All rows beyond a place, in order.
        place: A row's place, which the cursor remembers.
        largest: Upper limit of `page[size]`.
        usual: The size where none is given.
    """
    size = _size(call, largest, usual)
    cursor = call.query.get("page[cursor]")
    start = -1 if cursor is None else _place_in(cursor)
    found = list(islice(rows(start), call.page_limit(size) + 1))
    page = found[: call.page_limit(size)]
    more = place(page[-1]) if len(found) > len(page) else None
    return page, links(call, None if more is None else _cursor(more))


def links(call: Call, cursor: str | None) -> JsonObject:
    """Links of a page."""
    url = f"{call.base_url}{call.path}"
    given = [(name, value) for name, value in call.query_list if name != "page[cursor]"]
    following = None if cursor is None else f"{url}?{urlencode([*given, ('page[cursor]', cursor)])}"
    own = f"{url}?{urlencode(call.query_list)}" if call.query_list else url
    return {"self": own, "prev": None, "next": following}


def _size(call: Call, largest: int, usual: int) -> int:
    text = call.query.get("page[size]", str(usual))
    size = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= size <= largest:
        raise invalid_parameter("page[size]", f"Page size must be an integer between 1 and {largest}.")
    return size


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"next::place::{place}".encode()).decode()


def _place_in(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("next::place::"))
    except (binascii.Error, ValueError) as error:
        raise invalid_parameter("page[cursor]", "The cursor is not one that this endpoint gave.") from error
