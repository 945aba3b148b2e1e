"""Parameters of a call, which may stand in the address, in a form or in a JSON body, and fields of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import orjson

from millstream.sandbox.meta_custom_audiences.errors import graph_error, invalid
from millstream.sandbox.system import Answer, Call, JsonObject

DEFAULT_LIMIT = 25
LARGEST_LIMIT = 5000


def parameters(call: Call) -> dict[str, object]:
    """All parameters of a call; those of the body win."""
    values: dict[str, object] = dict(call.query)
    if not call.body:
        return values
    if "json" not in call.headers.get("content-type", ""):
        return {**values, **call.form()}
    body = call.json()
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return {**values, **body}


def structured(values: Mapping[str, object], name: str) -> object:
    """A parameter that is JSON, also where it came as text; None where it is missing."""
    value = values.get(name)
    if not isinstance(value, str):
        return value
    try:
        parsed: object = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise invalid(f'Param {name} must be valid JSON, got "{value[:40]}".') from error
    return parsed


def an_object(value: object, name: str, allowed: Sequence[str]) -> JsonObject:
    """A JSON object with no other keys than these."""
    if not isinstance(value, dict):
        raise invalid(f"Param {name} must be an object.")
    for key in value:
        if key not in allowed:
            raise invalid(f'Unexpected key "{key}" on param "{name}".')
    return value


def truth(value: object, name: str) -> bool:
    """A boolean, however it is written."""
    known: dict[object, bool] = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
    if isinstance(value, bool | int | str) and value in known:
        return known[value]
    raise invalid(f"Param {name} must be a boolean.")


def whole_number(value: object, name: str, least: int) -> int:
    """An integer, also in a string."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise invalid(f"Param {name} must be an integer of {least} or more.")
    return value


def selected(call: Call, node_type: str, row: JsonObject) -> JsonObject:
    """The fields that were asked for, and the id, which always comes along."""
    names = [name.strip() for name in call.query.get("fields", "id").split(",") if name.strip()]
    for name in names:
        if name not in row:
            raise invalid(f"Tried accessing nonexisting field ({name}) on node type ({node_type})")
    return {name: row[name] for name in [*names, "id"]}


def paged(call: Call, node_type: str, rows: Sequence[JsonObject]) -> Answer:
    """One page of an edge; `next` is there as long as there is more."""
    limit = call.page_limit(min(whole_number(call.query.get("limit", str(DEFAULT_LIMIT)), "limit", 1), LARGEST_LIMIT))
    after = call.query.get("after", "")
    ids = [str(row["id"]) for row in rows]
    if after and after not in ids:
        raise graph_error(100, "(#100) Invalid cursors values: after", subcode=1349182)
    start = ids.index(after) + 1 if after else 0
    page = rows[start : start + limit]
    body: JsonObject = {"data": [selected(call, node_type, row) for row in page]}
    if page:
        paging: JsonObject = {"cursors": {"before": page[0]["id"], "after": page[-1]["id"]}}
        if start + limit < len(rows):
            query = urlencode({**call.query, "after": str(page[-1]["id"])})
            paging["next"] = f"{call.base_url}{call.path}?{query}"
        body["paging"] = paging
    return Answer(body)
