"""The tracking plan: which events there are, what they are called, and what they must carry."""

from __future__ import annotations

import unicodedata

from pydantic import BaseModel, ConfigDict, Field


class PlannedEvent(BaseModel):
    """An event of the plan, under its canonical name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", description="What it means.")
    aliases: tuple[str, ...] = Field(
        default=(), description="Other names it comes under; case, spaces and punctuation never matter."
    )
    required: tuple[str, ...] = Field(default=(), description="Properties that must have a value.")


class TrackingPlan(BaseModel):
    """Canonical event names. Events outside the plan are kept and marked, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: dict[str, PlannedEvent] = Field(default_factory=dict, description="Events by canonical name.")

    def names(self) -> dict[str, str]:
        """Canonical name by folded name or alias."""
        return {
            fold(name): canonical for canonical, event in self.events.items() for name in (canonical, *event.aliases)
        }


def fold(name: str) -> str:
    """``signed_up``, ``Signed Up`` and ``signedUp`` as one: letters and digits of any script, in lower case."""
    return "".join(letter for letter in name.lower() if unicodedata.category(letter)[0] in "LN")
