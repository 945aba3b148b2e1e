"""The tracking plan: which events there are, what they are called, and what they must carry."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PropertyType = Literal["text", "number", "boolean", "timestamp", "date", "list", "object"]
OWN_FIELDS = ("value", "currency", "channel", "campaign")
"""What an event has beside its properties; a plan may require these by name, too."""


def _checked_property(name: str) -> str:
    """What may be the name of a property: anything but what the store could not find by it."""
    if name in ("", "*") or any(unicodedata.category(letter) == "Cc" for letter in name):
        raise ValueError("the name of a property is text without control characters, and not just *")
    return name


def _checked_event(name: str) -> str:
    if not name.strip():
        raise ValueError("the name of an event is not empty")
    return name


PropertyName = Annotated[str, AfterValidator(_checked_property)]
EventName = Annotated[str, AfterValidator(_checked_event)]


class PlannedProperty(BaseModel):
    """What a property holds, where an event has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: PropertyType | None = Field(default=None, description="What its values can be read as.")
    allowed: tuple[bool | int | float | str, ...] = Field(default=(), description="The only values it may have.")
    description: str = Field(default="", description="What it means.")


class PlannedEvent(BaseModel):
    """An event of the plan, under its canonical name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", description="What it means.")
    owner: str = Field(default="", description="Who answers for it: a person or a team.")
    aliases: tuple[EventName, ...] = Field(
        default=(), description="Other names it comes under; case, spaces and punctuation never matter."
    )
    required: tuple[PropertyName, ...] = Field(
        default=(), description="Properties that must have a value; also value, currency, channel, campaign."
    )
    properties: dict[PropertyName, PropertyType | PlannedProperty] = Field(
        default_factory=dict, description="What its properties hold: a type, or a type and the values allowed."
    )

    def property(self, name: str) -> PlannedProperty:
        """What the plan says of a property."""
        said = self.properties.get(name, PlannedProperty())
        return said if isinstance(said, PlannedProperty) else PlannedProperty(type=said)

    def is_checked(self) -> bool:
        """Whether the plan says anything of what it carries."""
        return bool(self.required or self.properties)


class TrackingPlan(BaseModel):
    """Canonical event names. Events outside the plan are kept and marked, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    standard_events: bool = Field(
        default=True,
        description="Whether the events that Millstream knows by itself are planned, too (docs/tracking-plan.md).",
    )
    events: dict[EventName, PlannedEvent] = Field(default_factory=dict, description="Events by canonical name.")

    def names(self) -> dict[str, str]:
        """Canonical name by folded name or alias."""
        return {fold(name): canonical for canonical, name in self._said()}

    def ambiguous(self) -> list[tuple[str, str, str]]:
        """Event, name and other event, for each name that is said of two events."""
        first: dict[str, str] = {}
        return [
            (canonical, name, first[fold(name)])
            for canonical, name in self._said()
            if first.setdefault(fold(name), canonical) != canonical
        ]

    def _said(self) -> Iterator[tuple[str, str]]:
        for canonical, event in self.events.items():
            for name in (canonical, *event.aliases):
                yield canonical, name


def fold(name: str) -> str:
    """``signed_up``, ``Signed Up`` and ``signedUp`` as one: letters and digits of any script, in lower case.

    A name of nothing else stands for itself.
    """
    letters = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in letters if unicodedata.category(letter)[0] in "LN") or name
