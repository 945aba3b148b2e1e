"""Fields that people have at a destination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

FieldType = Literal["text", "number", "boolean", "date", "timestamp"]
FieldValue = str | float | int | bool | None

USUAL_KEYS = ("email", "phone", "customer_id", "user_id", "external_id")
"""Match keys of destinations that take people by any."""

HashRule = Callable[[str], str | None]
"""Normalises a value and hashes it as a vendor says; None for a value that is none of its kind. See ``hashing``."""


@dataclass(frozen=True, kw_only=True)
class DestinationField:
    """A field that people have at the destination.

    Attributes:
        name: The vendor's name.
        type: What its values are; the engine renders numbers, dates and booleans as text where ``text`` is asked.
        description: What it holds.
        required: A row without it is rejected before it is sent.
        max_length: Longest text the vendor takes.
        hashed: How the vendor wants the value normalised and hashed; a value that is none of its kind is left out.
    """

    name: str
    type: FieldType = "text"
    description: str = ""
    required: bool = False
    max_length: int | None = None
    hashed: HashRule | None = None
