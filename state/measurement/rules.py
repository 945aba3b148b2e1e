"""The section ``measurement`` of the project file: which figures, cohorts, funnels, journeys and comparisons.

::

    measurement:
      north_star: weekly_readers
      figures:
        weekly_readers: {event: Page Viewed, count: people, window_days: 7}
      funnels:
        sign_up: {steps: [Page Viewed, Signed Up, Order Completed], within: 14d}
      experiments:
        subject_line: {audience: newsletter, variants: {control: 50, short: 50}}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from millstream.state.audiences.nodes import EventFilter
from millstream.state.audiences.spans import Span
from millstream.state.model.tracking_plan import EventName
from millstream.state.names import NAME_PATTERN

FigureName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=60)]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", max_length=60)]
ExperimentName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=50)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _spelled_out(value: object) -> object:
    return {"event": value} if isinstance(value, str | list) else value


ChosenEvent = Annotated[
    EventFilter, BeforeValidator(_spelled_out, json_schema_input_type=str | list[str] | EventFilter)
]
"""An event's name, names of which any will do, or a name with conditions as audiences have them."""


class OwnFigure(_Part):
    """A figure of the project's own: events counted, or a SELECT of ``day`` and ``value``."""

    description: str = Field(default="", description="What it means, in a sentence.")
    unit: str = Field(default="", max_length=40, description="What it counts: people, orders, EUR, ...")
    event: ChosenEvent | None = Field(default=None, description="The event that is counted.")
    count: Literal["events", "people", "value"] = Field(
        default="events", description="How many events, how many different people, or the sum of the events' values."
    )
    window_days: int = Field(default=1, ge=1, le=366, description="Each day's figure is of so many days up to it.")
    sql: str | None = Field(default=None, description="One SELECT over the store that gives day and value.")

    @model_validator(mode="after")
    def _one_of_two(self) -> OwnFigure:
        if (self.event is None) == (self.sql is None):
            raise ValueError("a figure has either an event or sql")
        if self.sql is not None and {"count", "window_days"} & self.model_fields_set:
            raise ValueError("a figure by sql says the value of each day: take count and window_days away")
        return self

    def fingerprint(self) -> str:
        """Changes when the same events could give other values."""
        text = self.model_dump_json(exclude={"description", "unit"}, exclude_defaults=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Retention(_Part):
    """Who comes back: people who began in one week or month, by what they did in those that followed."""

    start: Literal["first_seen", "first_purchase"] = Field(
        default="first_seen", description="What puts somebody into a cohort."
    )
    returns: Literal["active", "purchase"] = Field(default="active", description="What counts as coming back.")
    by: Literal["week", "month"] = Field(default="month", description="How long a cohort and a period are.")
    periods: int = Field(default=12, ge=1, le=104, description="How many periods after the first are looked at.")


class Funnel(_Part):
    """Steps taken in order: how many people came how far."""

    steps: tuple[ChosenEvent, ...] = Field(min_length=2, max_length=10, description="Events, in their order.")
    within: Span = Field(default="7d", description="All steps happened within 12h, 7d or 4w of the first.")
    days: int = Field(default=90, ge=1, le=730, description="The first step happened in the last so many days.")


class Journey(_Part):
    """What people did before a goal: the most frequent sequences."""

    goal: ChosenEvent = Field(description="The event that the sequences lead to.")
    events: int = Field(default=4, ge=1, le=10, description="How many events before the goal are told.")
    within: Span = Field(default="30d", description="They happened in the last 12h, 30d or 6w before the goal.")
    days: int = Field(default=90, ge=1, le=730, description="The goal was reached in the last so many days.")
    leave_out: tuple[EventName, ...] = Field(default=(), description="Events that are passed over.")
    top: int = Field(default=20, ge=1, le=200, description="How many sequences are kept.")


class GoalOfSync(_Part):
    """What one sync is for, where that differs from the others."""

    goal: ChosenEvent | None = Field(default=None, description="The event that counts as success.")
    within: Span | None = Field(default=None, description="It happened so soon after somebody entered.")


class LiftRules(_Part):
    """How people whom syncs address are compared with those held out."""

    goal: ChosenEvent | None = Field(default=None, description="The event that counts as success; else a purchase.")
    within: Span = Field(default="14d", description="It happened so soon after somebody entered the audience.")
    days: int = Field(default=365, ge=1, le=3660, description="Only people who entered in the last so many days.")
    at_least_people: int = Field(
        default=100, ge=20, description="People in each group below which no difference is shown."
    )
    syncs: dict[str, GoalOfSync] = Field(default_factory=dict, description="Other goals, by the sync's name.")


class Experiment(_Part):
    """Variants of a campaign: everyone belongs to one of them by a salted hash, for ever."""

    description: str = Field(default="", description="What is tried.")
    audience: str = Field(min_length=1, description="The audience whose members take part.")
    variants: dict[VariantName, float] = Field(
        min_length=2, max_length=10, description="The variants with their weights; the first is compared with."
    )
    goal: ChosenEvent | None = Field(default=None, description="The event that counts as success; else a purchase.")
    within: Span = Field(default="14d", description="It happened so soon after somebody entered the audience.")
    begins: date | None = Field(default=None, description="Who is a member already takes part from this day on.")
    ends: date | None = Field(default=None, description="Who enters from this day on takes no part.")

    @field_validator("variants")
    @classmethod
    def _have_weights(cls, value: dict[str, float]) -> dict[str, float]:
        wrong = [name for name, weight in value.items() if not 0 < weight < float("inf")]
        if wrong:
            raise ValueError(f"the weight of {wrong[0]!r} should be above 0")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Experiment:
        if self.begins and self.ends and self.ends <= self.begins:
            raise ValueError(f"it ends on {self.ends}, which is not after {self.begins}")
        return self


DEFAULT_RETENTION = {"activity": Retention(), "purchases": Retention(start="first_purchase", returns="purchase")}


class MeasurementRules(_Part):
    """What is measured beside the shipped figures, and how far back."""

    north_star: FigureName | OwnFigure | None = Field(
        default=None, description="The one figure that counts most: the name of a figure, or a figure of its own."
    )
    history_days: int = Field(default=730, ge=1, le=3660, description="How far back figures are computed at first.")
    late_days: int = Field(
        default=7, ge=0, le=366, description="Days before the last run that are computed anew, as events come late."
    )
    figures: dict[FigureName, OwnFigure] = Field(default_factory=dict, description="Figures of the project's own.")
    retention: dict[FigureName, Retention] = Field(
        default_factory=lambda: dict(DEFAULT_RETENTION), description="Cohorts and how they come back."
    )
    funnels: dict[FigureName, Funnel] | None = Field(
        default=None, description="Funnels; when left out, one of a shop, of those of its steps that ever happened."
    )
    journeys: dict[FigureName, Journey] | None = Field(
        default=None, description="Ways to a goal; when left out, those to a purchase."
    )
    lift: LiftRules = Field(default_factory=LiftRules, description="Comparison with the people held out.")
    experiments: dict[ExperimentName, Experiment] = Field(
        default_factory=dict, description="Variants by salted hash; each gives the trait variant_<experiment>."
    )

    def own_figures(self) -> dict[str, OwnFigure]:
        """The project's figures; a north star that is none of the named ones under the name ``north_star``."""
        own = {"north_star": self.north_star} if isinstance(self.north_star, OwnFigure) else {}
        return {**self.figures, **own}

    def north_star_name(self) -> str | None:
        """The name of the figure that counts most."""
        return "north_star" if isinstance(self.north_star, OwnFigure) else self.north_star

    def events(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Every event that is named, with the place in the section below which it is."""
        for name, figure in self.own_figures().items():
            yield from _named((("figures", name) if name in self.figures else ("north_star",)), figure.event)
        for name, funnel in (self.funnels or {}).items():
            for number, step in enumerate(funnel.steps):
                yield from _named(("funnels", name, "steps", number), step)
        for name, journey in (self.journeys or {}).items():
            yield from _named(("journeys", name, "goal"), journey.goal)
        yield from _named(("lift", "goal"), self.lift.goal)
        for name, sync in self.lift.syncs.items():
            yield from _named(("lift", "syncs", name, "goal"), sync.goal)
        for name, experiment in self.experiments.items():
            yield from _named(("experiments", name, "goal"), experiment.goal)


def _named(place: tuple[str | int, ...], events: EventFilter | None) -> Iterator[tuple[tuple[str | int, ...], str]]:
    return ((place, name) for name in (events.names() if events else ()))
