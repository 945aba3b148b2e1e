"""`count`, `offset`, `fields` and `exclude_fields`, which every list takes, and times as Mailchimp writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from millstream.sandbox.mailchimp.problems import problem
from millstream.sandbox.system import Answer, Call, JsonObject

MAXIMUM_COUNT = 1000
SHAPING = ("count", "offset", "fields", "exclude_fields")

Row = TypeVar("Row")
# A set of dotted paths as a tree; a leaf is an empty dict.
Tree = dict[str, "Tree"]


def check_query(call: Call, *allowed: str) -> None:
    """Refuse parameters that the endpoint does not have.

    The vendor passes over them in silence; here a misspelt filter must not go unnoticed.
    """
    unknown = sorted(set(call.query) - set(allowed) - set(SHAPING))
    if unknown:
        raise problem(400, "Bad Request", f"Unknown query parameter: {', '.join(unknown)}.")


def one_of(call: Call, name: str, values: Sequence[str]) -> str | None:
    """A parameter that takes one of a few values, or None."""
    value = call.query.get(name)
    if value is not None and value not in values:
        raise problem(400, "Bad Request", f"{name} must be one of {', '.join(values)}.")
    return value


def flag(call: Call, name: str) -> bool:
    """A parameter that is true or false."""
    return one_of(call, name, ("true", "false", "1", "0")) in {"true", "1"}


def moment(call: Call, name: str) -> int | None:
    """A time parameter in whole seconds since 1970, or None."""
    text = call.query.get(name)
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise problem(400, "Bad Request", f"{name} is not an ISO 8601 time.") from error
    return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())


def stamp(ms: int | None) -> str:
    """A time to the second, or an empty string where there is none."""
    if ms is None:
        return ""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def page_of(call: Call, rows: Sequence[Row]) -> Sequence[Row]:
    """The part of a list that `count` and `offset` ask for."""
    offset = _whole(call, "offset", 0, 2**31)
    return rows[offset : offset + call.page_limit(_whole(call, "count", 10, MAXIMUM_COUNT))]


def _whole(call: Call, name: str, default: int, maximum: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) <= maximum):
        raise problem(400, "Bad Request", f"{name} must be a number from 0 to {maximum}.")
    return int(text)


def shaped(call: Call, body: JsonObject) -> Answer:
    """An answer with only the fields that were asked for."""
    wanted, unwanted = _tree(call.query.get("fields")), _tree(call.query.get("exclude_fields"))
    value: object = body
    if wanted:
        value = _only(value, wanted)
    if unwanted:
        value = _without(value, unwanted)
    return Answer(value)


def _tree(text: str | None) -> Tree:
    tree: Tree = {}
    for path in (text or "").split(","):
        branch = tree
        for part in path.strip().split(".") if path.strip() else ():
            branch = branch.setdefault(part, {})
    return tree


def _only(value: object, tree: Tree) -> object:
    if isinstance(value, list):
        return [_only(item, tree) for item in value]
    if not isinstance(value, dict) or not tree:
        return value
    return {name: _only(inner, tree[name]) for name, inner in value.items() if name in tree}


def _without(value: object, tree: Tree) -> object:
    if isinstance(value, list):
        return [_without(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without(inner, tree.get(name, {})) for name, inner in value.items() if name not in tree or tree[name]
    }
