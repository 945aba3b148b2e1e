"""Pages by cursor, and the check that only known parameters were given."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping

from millstream.sandbox.intercom.errors import invalid
from millstream.sandbox.intercom.search import compiled, ordering
from millstream.sandbox.system import Answer, Call, JsonObject

LARGEST_PAGE = 150


def check_names(given: Mapping[str, object], allowed: set[str]) -> None:
    """Refuse what an endpoint does not take."""
    for name in sorted(set(given) - allowed):
        raise invalid(f"unknown parameter {name}")


def searched(call: Call, rows: list[JsonObject], name: str, kind: str) -> Answer:
    """The rows that a search's body asks for, by page."""
    body = search_body(call)
    found = list(filter(compiled(body.get("query")), rows))
    field, descending = ordering(body.get("sort"))
    found.sort(key=lambda row: (str(row.get(field) or "").zfill(12), str(row["id"])), reverse=descending)
    pagination = body.get("pagination") or {}
    if not isinstance(pagination, dict):
        raise invalid("pagination must be an object")
    check_names(pagination, {"per_page", "starting_after", "page"})
    return page(call, found, (name, kind), {"per_page": 20, **pagination})


def search_body(call: Call) -> JsonObject:
    """The body of a search."""
    body = call.json()
    if not isinstance(body, dict):
        raise invalid("the body must be an object")
    check_names(body, {"query", "pagination", "sort"})
    return body


def page(call: Call, rows: list[JsonObject], named: tuple[str, str], asked: dict[str, object]) -> Answer:
    """A page by cursor, under the name and kind of the listing."""
    size, after = asked["per_page"], asked.get("starting_after")
    if not str(size).isdigit() or not 1 <= int(str(size)) <= LARGEST_PAGE:
        raise invalid(f"per_page must be from 1 to {LARGEST_PAGE}")
    limit, start = call.page_limit(int(str(size))), _decoded(after)
    end = start + limit
    following = {"page": end // limit + 1, "starting_after": _encoded(end)} if end < len(rows) else None
    return Answer(
        {
            "type": named[1],
            named[0]: rows[start:end],
            "total_count": len(rows),
            "pages": {
                "type": "pages",
                "page": start // limit + 1,
                "per_page": limit,
                "total_pages": math.ceil(len(rows) / limit),
                "next": following,
            },
        }
    )


def _encoded(place: int) -> str:
    return base64.urlsafe_b64encode(f"after {place}".encode()).decode()


def _decoded(cursor: object) -> int:
    if cursor is None:
        return 0
    try:
        word, _, place = base64.urlsafe_b64decode(str(cursor)).decode().partition(" ")
        if word == "after":
            return int(place)
    except (binascii.Error, ValueError) as error:
        raise invalid("starting_after is not a cursor") from error
    raise invalid("starting_after is not a cursor")
