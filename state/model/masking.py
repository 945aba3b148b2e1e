"""Showing what properties look like without showing what they say: of whom they are is not for a report."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping

from millstream.state.privacy import redact

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
LONGEST_SHAPE = 24


def properties_of(document: str) -> dict[str, object]:
    """The properties of a stored event."""
    found = json.loads(document)
    return found if isinstance(found, dict) else {}


def kinds_of(properties: Mapping[str, object]) -> dict[str, str]:
    """What each property holds: ``text``, ``number``, ``date``, … Names are redacted, should somebody stand in one."""
    return {redact(name): kind_of(value) for name, value in properties.items()}


def kind_of(value: object) -> str:
    """The type of a property's value, by the names that a plan has for types."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    text = str(value).strip()
    kinds = (("date", _DAY), ("timestamp", _MOMENT), ("number in text", _NUMBER))
    return next((kind for kind, pattern in kinds if pattern.fullmatch(text)), "text" if text else "empty text")


def shape_of(value: object) -> str:
    """A value with every letter as ``a`` or ``A`` and every digit as ``9``: ``31.12.2026`` as ``99.99.9999``."""
    if isinstance(value, list | dict) or value is None:
        return kind_of(value)
    text = json.dumps(value) if isinstance(value, bool | int | float) else str(value)
    shape = "".join(map(_masked, text[:LONGEST_SHAPE]))
    return f"{shape}…" if len(text) > LONGEST_SHAPE else shape


def _masked(letter: str) -> str:
    category = unicodedata.category(letter)
    if category[0] == "N":
        return "9"
    if category[0] in "LM":
        return "A" if category == "Lu" else "a"
    return letter if letter.isascii() and letter.isprintable() else "?"
