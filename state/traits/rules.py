"""The section ``traits`` of the project file: what counts as what, where businesses differ."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from millstream.state.names import NAME_PATTERN
from millstream.state.zones import ZoneName

TraitName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=60)]


class Propensity(BaseModel):
    """An event whose probability is computed for each person, as the trait ``propensity_<name>``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str = Field(min_length=1, description="The event's name by the tracking plan.")
    within_days: int = Field(default=30, ge=1, le=365, description="In how many days from now on.")


class TraitRules(BaseModel):
    """What the computed traits need to know of the business."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str = Field(
        default="traits", description="Folder beside the project file with trait files of its own: *.sql and *.py."
    )
    without: tuple[str, ...] = Field(default=(), description="Shipped trait sets that are not computed.")
    purchases: tuple[str, ...] = Field(
        default=("Order Completed",),
        min_length=1,
        description="Events that are purchases; their value is what was paid.",
    )
    timezone: ZoneName = Field(default="UTC", description="Time zone in which days and hours are told.")
    active_days: int = Field(
        default=90, ge=1, description="Days without a sign of life after which somebody is no longer active."
    )
    lapsed_days: int = Field(
        default=365, ge=2, description="Days without a purchase after which a customer has lapsed."
    )
    horizon_days: int = Field(default=90, ge=7, le=730, description="How many days predictions look ahead.")
    propensities: dict[TraitName, Propensity] = Field(
        default_factory=dict, description="Events whose probability is computed, by the name of the prediction."
    )
