"""The nodes of a rule: conditions, and what combines them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from millstream.state.audiences.spans import Moment, Span

Scalar = bool | int | float | datetime | date | str
Name = Annotated[str, Field(min_length=1)]
Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
LARGEST_LOOK_ALIKE = 10_000_000


class Node(BaseModel):
    """What all nodes have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Bounds(Node):
    """A number and how it is compared; several bounds must all hold."""

    equals: float | None = Field(default=None, description="Exactly this.")
    at_least: float | None = Field(default=None, description="This or more.")
    at_most: float | None = Field(default=None, description="This or less.")
    more_than: float | None = Field(default=None, description="More than this.")
    less_than: float | None = Field(default=None, description="Less than this.")

    @model_validator(mode="after")
    def _some(self) -> Bounds:
        if not self.given():
            raise ValueError(f"say one of {', '.join(type(self).model_fields)}")
        return self

    def given(self) -> dict[str, float]:
        """The bounds that are set."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class AllRule(Node):
    """True where every one of the conditions is."""

    all: list[Rule] = Field(min_length=1, description="Conditions that must all be true.")


class AnyRule(Node):
    """True where at least one of the conditions is."""

    any: list[Rule] = Field(min_length=1, description="Conditions of which one must be true.")


class NoneRule(Node):
    """True where not one of the conditions is."""

    none: list[Rule] = Field(min_length=1, description="Conditions of which none may be true.")


class TraitCondition(Node):
    """What is true of a person: a column of ``customers.people``. Several comparisons must all hold."""

    trait: str = Field(min_length=1, description="A trait, or email, phone, first_seen, last_seen, records.")
    equals: Scalar | None = Field(default=None, description="The trait is exactly this; text with its case.")
    not_equals: Scalar | None = Field(default=None, description="The trait is missing or something else.")
    in_: list[Scalar] | None = Field(default=None, alias="in", min_length=1, description="One of these.")
    not_in: list[Scalar] | None = Field(default=None, min_length=1, description="Missing, or none of these.")
    at_least: Scalar | None = Field(default=None, description="This or more; for dates, then or later.")
    at_most: Scalar | None = Field(default=None, description="This or less.")
    more_than: Scalar | None = Field(default=None, description="More than this.")
    less_than: Scalar | None = Field(default=None, description="Less than this.")
    contains: str | None = Field(default=None, min_length=1, description="The text holds this; case counts.")
    is_set: bool | None = Field(default=None, description="Whether the trait is there at all.")
    top_percent: Percent | None = Field(
        default=None, description="Among the highest 10 % of those who have the trait, for 10; ties are in."
    )
    bottom_percent: Percent | None = Field(
        default=None, description="Among the lowest 10 % of those who have the trait, for 10; ties are in."
    )

    @model_validator(mode="after")
    def _some(self) -> TraitCondition:
        if not self.comparisons():
            raise ValueError(f"say how to compare the trait: {', '.join(_COMPARISONS)}")
        return self

    def comparisons(self) -> dict[str, Scalar | list[Scalar]]:
        """The comparisons that are set, by the name they have in the project file."""
        named = {name.rstrip("_"): getattr(self, name) for name in type(self).model_fields if name != "trait"}
        return {name: value for name, value in named.items() if value is not None}


_COMPARISONS = [name.rstrip("_") for name in TraitCondition.model_fields if name != "trait"]


class EventFilter(Node):
    """Which events are meant."""

    event: Name | Annotated[list[Name], Field(min_length=1)] = Field(
        description="The event's name by the tracking plan; a list means any of these."
    )
    where: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        description="Only events with these properties; a list means any of its values.",
    )
    channel: str | None = Field(default=None, description="Only events on this channel.")
    campaign: str | None = Field(default=None, description="Only events of this campaign.")

    def names(self) -> list[str]:
        """The events' names."""
        return [self.event] if isinstance(self.event, str) else list(self.event)


class EventCondition(EventFilter):
    """What a person did, up to the time of the run.

    ``did: false`` turns the whole condition round. A count is of events that happened: ``count: {at_most: 2}`` wants
    one or two; for none as well, say ``did: false`` with ``count: {at_least: 3}``.
    """

    did: bool = Field(default=True, description="Whether it must have happened, or must not have.")
    count: Bounds | None = Field(default=None, description="How many times; at least once if not said.")
    within: Span | None = Field(default=None, description="Only the last 12h, 30d or 6w.")
    before: Moment | None = Field(
        default=None, description="Only events so long ago or longer (30d), or before a day (2026-01-31)."
    )
    after: Moment | None = Field(
        default=None, description="Only events less long ago (30d), or on a day (2026-01-31) and later."
    )
    value: Bounds | None = Field(default=None, description="The sum of the events' values, in the base currency.")


class Step(EventFilter):
    """A step of a sequence: an event that is later than that of the step before."""

    within: Span | None = Field(default=None, description="At most so long after the step before.")
    did: bool = Field(
        default=True, description="False, for the last step only: it did not happen in that time, which is over."
    )


class SequenceCondition(Node):
    """Events that followed each other in this order, each later than the one before; others may lie between."""

    sequence: list[Step] = Field(min_length=2, max_length=20, description="The events, in their order.")
    did: bool = Field(default=True, description="Whether it must have happened so, or must not have.")
    within: Span | None = Field(default=None, description="All of the events in the last 12h, 30d or 6w.")
    before: Moment | None = Field(default=None, description="All of them so long ago or longer, or before a day.")
    after: Moment | None = Field(default=None, description="All of them less long ago, or on a day and later.")
    in_total: Span | None = Field(default=None, description="From the first event to the last at most so long.")

    @model_validator(mode="after")
    def _steps(self) -> SequenceCondition:
        if self.sequence[0].within is not None:
            raise ValueError("the first step has no `within`: there is no step before it")
        if not all(step.did for step in self.sequence[:-1]):
            raise ValueError("only the last step of a sequence may be `did: false`")
        return self


class AudienceCondition(Node):
    """Members of another audience."""

    audience: str = Field(min_length=1, description="The other audience's name.")


class NotAudienceCondition(Node):
    """Those who are not members of another audience."""

    not_audience: str = Field(min_length=1, description="The other audience's name.")


class LookAlike(Node):
    """Whom to be like, and by what."""

    audience: str = Field(min_length=1, description="The audience whose likes are looked for.")
    size: int = Field(ge=1, le=LARGEST_LOOK_ALIKE, description="How many people, the nearest first.")
    by: list[Name] | None = Field(
        default=None,
        min_length=1,
        description="Traits to compare: numbers, truth values and texts. Those that tell something when left out.",
    )


class LooksLikeCondition(Node):
    """The people outside another audience that are nearest to it by their traits."""

    looks_like: LookAlike = Field(description="The audience, how many, and by which traits.")


class ConsentCondition(Node):
    """Those who granted consent; who said nothing did not."""

    consent: str = Field(min_length=1, description="The channel: email, sms, push, phone, post, ads.")
    topic: str = Field(default="marketing", min_length=1, description="What the consent is for.")


class IdentifierCondition(Node):
    """Those who are known by some identifier of a kind."""

    identifier: str = Field(min_length=1, description="email, phone, user_id, device_id, or a vendor's own id.")


_NODES: dict[str, type[Node]] = {
    "all": AllRule,
    "any": AnyRule,
    "none": NoneRule,
    "trait": TraitCondition,
    "event": EventCondition,
    "sequence": SequenceCondition,
    "audience": AudienceCondition,
    "not_audience": NotAudienceCondition,
    "looks_like": LooksLikeCondition,
    "consent": ConsentCondition,
    "identifier": IdentifierCondition,
}


def _sort_of_node(node: object) -> str | None:
    """The key that says what a node is; exactly one must be there."""
    if isinstance(node, Node):
        return next((name for name, model in _NODES.items() if type(node) is model), None)
    present = [name for name in _NODES if name in node] if isinstance(node, dict) else []
    return present[0] if len(present) == 1 else None


Rule = Annotated[
    Annotated[AllRule, Tag("all")]
    | Annotated[AnyRule, Tag("any")]
    | Annotated[NoneRule, Tag("none")]
    | Annotated[TraitCondition, Tag("trait")]
    | Annotated[EventCondition, Tag("event")]
    | Annotated[SequenceCondition, Tag("sequence")]
    | Annotated[AudienceCondition, Tag("audience")]
    | Annotated[NotAudienceCondition, Tag("not_audience")]
    | Annotated[LooksLikeCondition, Tag("looks_like")]
    | Annotated[ConsentCondition, Tag("consent")]
    | Annotated[IdentifierCondition, Tag("identifier")],
    Discriminator(
        _sort_of_node,
        custom_error_type="condition",
        custom_error_message=f"a condition has exactly one of the keys {', '.join(_NODES)}",
    ),
]

for _model in (AllRule, AnyRule, NoneRule):
    _model.model_rebuild()


def children(rule: Rule) -> list[Rule]:
    """The conditions below a node."""
    if isinstance(rule, AllRule):
        return rule.all
    if isinstance(rule, AnyRule):
        return rule.any
    return rule.none if isinstance(rule, NoneRule) else []


def leaves(rule: Rule) -> Iterator[Rule]:
    """The conditions of a rule, without what combines them."""
    below = children(rule)
    if not below:
        yield rule
    for child in below:
        yield from leaves(child)


def referred(rule: Rule) -> set[str]:
    """The audiences that a rule is made of."""
    found = set()
    for leaf in leaves(rule):
        if isinstance(leaf, AudienceCondition):
            found.add(leaf.audience)
        elif isinstance(leaf, NotAudienceCondition):
            found.add(leaf.not_audience)
        elif isinstance(leaf, LooksLikeCondition):
            found.add(leaf.looks_like.audience)
    return found


def events_of(rule: Rule) -> set[str]:
    """The names of events that a rule asks for."""
    found: set[str] = set()
    for leaf in leaves(rule):
        filters = leaf.sequence if isinstance(leaf, SequenceCondition) else [leaf]
        for one in filters:
            if isinstance(one, EventFilter):
                found.update(one.names())
    return found


def traits_of(rule: Rule) -> set[str]:
    """The traits that a rule compares."""
    found = set()
    for leaf in leaves(rule):
        if isinstance(leaf, TraitCondition):
            found.add(leaf.trait)
        elif isinstance(leaf, LooksLikeCondition):
            found.update(leaf.looks_like.by or ())
    return found
