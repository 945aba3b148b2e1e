"""Which record's word counts when several records of one person disagree: the ``profiles`` section."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Strategy = Literal["most_recent", "first", "most_frequent", "source_priority"]


class TraitRule(BaseModel):
    """How the value of one trait is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = Field(
        default="most_recent",
        description="most_recent: the value observed last; first: the one observed first; most_frequent: the one on "
        "most records; source_priority: the value of the most trusted source that has one.",
    )
    sources: tuple[str, ...] = Field(
        default=(),
        description="Sources (or source.stream) for this trait, the most trusted first; "
        "empty means the project's list.",
    )


class SurvivorshipRules(BaseModel):
    """The rules by which a profile's one row is made of its records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(
        default=(),
        description="Sources (or source.stream), the most trusted first; those not named come last. Decides "
        "source_priority, and all other strategies where they are in a tie.",
    )
    traits: dict[str, TraitRule] = Field(
        default_factory=dict,
        description="Rules by trait name; traits not named take the most recent value.",
    )

    def fingerprint(self) -> str:
        """Changes when the same records could give another row."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
