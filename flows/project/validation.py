"""Pydantic's errors as problems of a file: the line, the value, what is allowed, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from millstream.flows.project.document import Document
from millstream.flows.project.problems import Key, Problems
from millstream.state.amounts import counted
from millstream.state.names import NAME_PATTERN, NAME_RULE
from millstream.state.suggestions import did_you_mean

_WORDS = {
    "string_type": "should be text",
    "string_pattern_mismatch": "has characters that are not allowed here",
    "model_type": "should be a mapping of keys and values",
    "model_attributes_type": "should be a mapping of keys and values",
    "dict_type": "should be a mapping of keys and values",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "union_tag_not_found": "is missing",
}
_MAPPINGS = ("model_type", "model_attributes_type", "dict_type")
_TAGS = ("union_tag_invalid", "union_tag_not_found")
"""Errors about the key that says which kind of entry it is."""


def add_pydantic_errors(
    problems: Problems, document: Document, model: type[BaseModel], errors: list[ErrorDetails], *, at: Key = ()
) -> None:
    """Note every error of a validation.

    Args:
        problems: Where they are noted.
        document: The file that was validated.
        model: What it was validated against.
        errors: What pydantic found.
        at: Key of the validated part in the file.
    """
    for details in _of_the_meant_union_member(errors, document, at):
        _add(problems, document, model, details, at)


def _add(problems: Problems, document: Document, model: type[BaseModel], details: ErrorDetails, at: Key) -> None:
    key = _key_in_file(document, details["loc"], at)
    line = document.line(key)
    name = str(details["loc"][-1]) if details["loc"] else ""
    kind = details["type"]
    if kind == "extra_forbidden":
        known = sorted(set(_names_beside(model, details["loc"])))
        problems.add(key, "this key is not known here.", line=line, allowed=known, remedy=did_you_mean(name, known))
    elif kind == "missing":
        key = _key_in_file(document, details["loc"][:-1], at)
        problems.add((*key, name), f"is missing{_described(model, details['loc'])}.", line=line)
    elif "[key]" in details["loc"]:
        problems.add(key, "this name cannot be used.", line=line, remedy=NAME_RULE)
    else:
        facts = details.get("ctx", {})
        if kind in _TAGS:
            key = (*key, str(facts["discriminator"]).strip("'"))
        allowed = re.findall(r"'([^']*)'", str(facts.get("expected") or facts.get("expected_tags", "")))
        given = document.value(key)
        remedy = NAME_RULE if facts.get("pattern") == NAME_PATTERN else did_you_mean(given, allowed)
        problems.add(key, _sentence(details, given, bool(allowed)), line=line, allowed=allowed, remedy=remedy)


def _sentence(details: ErrorDetails, given: object, is_choice: bool) -> str:
    shown = f" ({given!r:.60})" if isinstance(given, (str, int, float)) else ""
    if is_choice:
        return f"{given!r:.60} is not one of the allowed values."
    if words := _WORDS.get(details["type"]):
        return f"{words}{shown}."
    if length := _length(details):
        return f"{length}{shown}."
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return message if message.endswith(".") else f"{message}{'' if 'error' in details['type'] else shown}."


def _length(details: ErrorDetails) -> str | None:
    """What is wrong with a length; None where the error is not about one."""
    unit = ("character", None) if details["type"].startswith("string") else ("entry", "entries")
    facts = details.get("ctx", {})
    if details["type"].endswith("too_short"):
        return f"should have at least {counted(facts['min_length'], *unit)}"
    if details["type"].endswith("too_long"):
        return f"should have at most {counted(facts['max_length'], *unit)}"
    return None


def _key_in_file(document: Document, location: Iterable[str | int], at: Key) -> Key:
    """A location without the names of union members and the like, which are not in the file."""
    parts = list(location)
    reached: list[tuple[int, Key]] = [(-1, at)]
    for index, part in enumerate(parts):
        reached += [(index, (*key, part)) for _, key in reached if document.has((*key, part))]
    _, key = max(reached, key=lambda found: (found[0], len(found[1])))
    return key or tuple(parts[:1])


def _of_the_meant_union_member(errors: list[ErrorDetails], document: Document, at: Key) -> Iterator[ErrorDetails]:
    """Pydantic tries every member of a union and reports them all; keep what fits the kind of value given.

    Where a mapping was given, the errors inside of it tell more than that it is not text.
    """

    def place(details: ErrorDetails) -> Key:
        return _key_in_file(document, details["loc"], at)

    errors = sorted(errors, key=lambda details: [str(part) for part in place(details)])
    inside = {place(details)[:length] for details in errors for length in range(len(place(details)))}
    for key, group in groupby(errors, key=place):
        same = list(group)
        wrong_kind = [details for details in same if _is_wrong_kind(details, document.value(key))]
        if wrong_kind and len(wrong_kind) < len(same):
            same = [_with_mapping(details, wrong_kind) for details in same if details not in wrong_kind]
        elif wrong_kind and key in inside and isinstance(document.value(key), (dict, list)):
            continue
        elif len(wrong_kind) > 1:
            same = [_any_of(wrong_kind)]
        yield from same


def _with_mapping(choice: ErrorDetails, others: list[ErrorDetails]) -> ErrorDetails:
    """A choice of words, and that a mapping may stand there as well, where it may."""
    if choice["type"] != "literal_error" or not any(one["type"] in _MAPPINGS for one in others):
        return choice
    return {**choice, "ctx": {"expected": f"{choice['ctx']['expected']}, 'a mapping of keys and values'"}}


def _any_of(errors: list[ErrorDetails]) -> ErrorDetails:
    """Where none of a union's members fits, one error that names what would."""
    kinds = dict.fromkeys(_WORDS[one["type"]].removeprefix("should be ") for one in errors if one["type"] in _WORDS)
    if len(kinds) < 2:
        return errors[0]
    *most, last = kinds
    return {**errors[0], "type": "union", "msg": f"should be {', '.join(most)}, or {last}"}


def _is_wrong_kind(details: ErrorDetails, given: object) -> bool:
    """Whether the error says no more than that this union member is for another kind of value."""
    nested = isinstance(given, (dict, list))
    return details["type"].endswith("_type") or (nested and details["type"] in ("literal_error", "enum"))


def _names_beside(model: type[BaseModel], location: Iterable[str | int]) -> Iterator[str]:
    """Names of the fields of the model in which the last part of a location stands."""
    for found in _models_at(model, list(location)[:-1]):
        yield from (field.alias or name for name, field in found.model_fields.items())


def _described(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    for found in _models_at(model, list(location)[:-1]):
        for name, field in found.model_fields.items():
            if location[-1] in (name, field.alias) and field.description:
                return f": {field.description.rstrip('.')}"
    return ""


def _models_at(annotation: object, location: list[str | int]) -> Iterator[type[BaseModel]]:
    """Models that stand at a location below a type, following fields, mappings, lists and union members."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *metadata = get_args(annotation)
        tags = [item.tag for item in metadata if isinstance(item, Tag)]
        yield from _models_at(base, location[1:] if tags and location[:1] == tags else location)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            named = location and location[0] == getattr(member, "__name__", None)
            yield from _models_at(member, location[1:] if named else location)
    elif origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _models_at(get_args(annotation)[1], location[1:]) if location else ()
    elif origin is not None:
        for member in get_args(annotation):
            yield from _models_at(member, location[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _models_in(annotation, location)
    elif value := getattr(annotation, "__value__", None):
        yield from _models_at(value, location)


def _models_in(model: type[BaseModel], location: list[str | int]) -> Iterator[type[BaseModel]]:
    if not location:
        yield model
        return
    for name, field in model.model_fields.items():
        if location[0] in (name, field.alias):
            yield from _models_at(field.annotation, location[1:])
