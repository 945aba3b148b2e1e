"""The section ``quality`` of the project file: what is good enough, and who looks after it.

::

    quality:
      owner: data team
      thresholds:
        crm_emails: {dimension: completeness, source: hubspot, subject: contacts.email, at_least: 0.9, owner: crm team}
      ranges:
        age: {at_least: 0, at_most: 120}
"""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from millstream.state.names import NAME_PATTERN

Dimension = Literal["completeness", "validity", "uniqueness", "freshness", "consistency", "conformance", "integrity"]
ThresholdName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=60)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Threshold(_Part):
    """A share of good values below which somebody is told."""

    dimension: Dimension = Field(description="What is looked at.")
    source: str | None = Field(
        default=None,
        description="Only what this source says, or `people` for what is true of them as a whole; all when left out.",
    )
    subject: str | None = Field(
        default=None, description="Only this, as `millstream audit` calls it: contacts.email; all when left out."
    )
    at_least: float = Field(ge=0, le=1, description="The smallest share that is good enough, 0 to 1.")
    owner: str | None = Field(default=None, description="Who looks after it.")


class Range(_Part):
    """What the values of a trait may be."""

    at_least: float | date | None = Field(default=None, description="The smallest number or the earliest day.")
    at_most: float | date | None = Field(default=None, description="The largest number or the latest day.")

    @model_validator(mode="after")
    def _one_kind(self) -> Range:
        given = [value for value in (self.at_least, self.at_most) if value is not None]
        if not given:
            raise ValueError("say at_least, at_most, or both")
        if len({isinstance(value, date) for value in given}) > 1:
            raise ValueError("a range is either of numbers or of days")
        if any(isinstance(value, float) and math.isnan(value) for value in given):
            raise ValueError("a bound is not a number")
        if len(given) > 1 and not self.at_least <= self.at_most:  # type: ignore[operator]
            raise ValueError("at_least is above at_most: nothing would be in the range")
        return self


class AnomalyRules(_Part):
    """When a day's count is told to be odd."""

    limit: float = Field(
        default=5.0, ge=3.0, description="How many times the usual spread a day has to be off to count as odd."
    )
    alert: bool = Field(default=True, description="Whether an odd yesterday is an alert.")
    late_days: dict[str, Annotated[int, Field(ge=1, le=30)]] = Field(
        default_factory=dict,
        description="Sources whose last days are not whole yet, and after how many days one is: 2 for one that tells "
        "of yesterday only tomorrow. The alert is about that day then.",
    )


class QualityRules(_Part):
    """What is looked at, and what is good enough."""

    owner: str | None = Field(default=None, description="Who looks after what has no owner of its own.")
    thresholds: dict[ThresholdName, Threshold] = Field(
        default_factory=dict, description="Shares that must be reached, by a name of your own."
    )
    ranges: dict[str, Range] = Field(default_factory=dict, description="What the values of traits may be, by trait.")
    old_after_days: int = Field(
        default=365, ge=1, description="Days after which a record that its source did not confirm counts as old."
    )
    keep_days: int = Field(default=400, ge=1, description="Days for which the findings of audits are kept.")
    anomalies: AnomalyRules = Field(
        default_factory=AnomalyRules, description="When a day's count of events or records is odd."
    )
