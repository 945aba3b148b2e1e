"""The language of audiences: the ``audiences`` section of the project file.

An audience is a rule, a tree of conditions that are true or false of each profile, or a SELECT of ``profile_id``::

    big_spenders:
      description: Bought for 500 or more in the last 90 days and may be written to.
      rule:
        all:
          - {event: Order Completed, within: 90d, value: {at_least: 500}}
          - {consent: email}
          - none:
              - {trait: lifecycle_stage, in: [partner, employee]}

Every condition is either true or false: a comparison with a trait that a profile does not have is false,
``not_equals`` and ``not_in`` are true where ``equals`` and ``in`` are false.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Scalar = bool | int | float | datetime | date | str
_SPAN = re.compile(r"\s*(\d+)\s*(h|d|w|hours?|days?|weeks?)\s*")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def timespan(text: str) -> timedelta:
    """``12h``, ``30d`` or ``6 weeks`` as a span of time.

    Raises:
        ValueError: Anything else. Months are left out on purpose: they differ in length.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no span of time; write hours, days or weeks, such as 12h, 30d, 6w")
    try:
        return timedelta(**{_UNITS[match[2][0]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is too long a span of time") from None


def _checked_span(text: str) -> str:
    timespan(text)
    return text


Span = Annotated[str, AfterValidator(_checked_span)]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Bounds(_Node):
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


class AllRule(_Node):
    """True where every one of the conditions is."""

    all: list[Rule] = Field(min_length=1, description="Conditions that must all be true.")


class AnyRule(_Node):
    """True where at least one of the conditions is."""

    any: list[Rule] = Field(min_length=1, description="Conditions of which one must be true.")


class NoneRule(_Node):
    """True where not one of the conditions is."""

    none: list[Rule] = Field(min_length=1, description="Conditions of which none may be true.")


class TraitCondition(_Node):
    """What is true of a person: a column of ``customers.profiles``. Several comparisons must all hold."""

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


class EventCondition(_Node):
    """What a person did, up to the time of the run.

    ``did: false`` turns the whole condition round. A count is of events that happened: ``count: {at_most: 2}`` wants
    one or two; for none as well, say ``did: false`` with ``count: {at_least: 3}``.
    """

    event: str = Field(min_length=1, description="The event's name by the tracking plan.")
    did: bool = Field(default=True, description="Whether it must have happened, or must not have.")
    count: Bounds | None = Field(default=None, description="How many times; at least once if not said.")
    within: Span | None = Field(default=None, description="Only the last 12h, 30d or 6w.")
    where: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        description="Only events with these properties; a list means any of its values.",
    )
    channel: str | None = Field(default=None, description="Only events on this channel.")
    campaign: str | None = Field(default=None, description="Only events of this campaign.")
    value: Bounds | None = Field(default=None, description="The sum of the events' values, in the base currency.")


class AudienceCondition(_Node):
    """Members of another audience."""

    audience: str = Field(min_length=1, description="The other audience's name.")


class NotAudienceCondition(_Node):
    """Those who are not members of another audience."""

    not_audience: str = Field(min_length=1, description="The other audience's name.")


class ConsentCondition(_Node):
    """Those who granted consent; who said nothing did not."""

    consent: str = Field(min_length=1, description="The channel: email, sms, push, phone, post, ads.")
    topic: str = Field(default="marketing", min_length=1, description="What the consent is for.")


class IdentifierCondition(_Node):
    """Those who are known by some identifier of a kind."""

    identifier: str = Field(min_length=1, description="email, phone, user_id, device_id, or a vendor's own id.")


_NODES: dict[str, type[_Node]] = {
    "all": AllRule,
    "any": AnyRule,
    "none": NoneRule,
    "trait": TraitCondition,
    "event": EventCondition,
    "audience": AudienceCondition,
    "not_audience": NotAudienceCondition,
    "consent": ConsentCondition,
    "identifier": IdentifierCondition,
}


def _sort_of_node(node: object) -> str | None:
    """The key that says what a node is; exactly one must be there."""
    if isinstance(node, _Node):
        return next((name for name, model in _NODES.items() if type(node) is model), None)
    present = [name for name in _NODES if name in node] if isinstance(node, dict) else []
    return present[0] if len(present) == 1 else None


Rule = Annotated[
    Annotated[AllRule, Tag("all")]
    | Annotated[AnyRule, Tag("any")]
    | Annotated[NoneRule, Tag("none")]
    | Annotated[TraitCondition, Tag("trait")]
    | Annotated[EventCondition, Tag("event")]
    | Annotated[AudienceCondition, Tag("audience")]
    | Annotated[NotAudienceCondition, Tag("not_audience")]
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


class Audience(_Node):
    """A set of people, by a rule or by SQL."""

    description: str = Field(default="", description="Who they are, in a sentence.")
    rule: Rule | None = Field(default=None, description="The condition that members meet.")
    sql: str | None = Field(default=None, description="One SELECT that gives a column profile_id.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Audience:
        if (self.rule is None) == (self.sql is None):
            raise ValueError("an audience has either a rule or sql")
        return self

    def fingerprint(self) -> str:
        """Changes when the same profiles could give other members."""
        text = self.model_dump_json(exclude={"description"}, exclude_defaults=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def refers_to(self) -> set[str]:
        """The audiences that this one is made of."""
        return set() if self.rule is None else set(_referred(self.rule))

    def events(self) -> set[str]:
        """The names of events that its rule asks for."""
        return set() if self.rule is None else set(_events(self.rule))


def children(rule: Rule) -> list[Rule]:
    """The conditions below a node."""
    if isinstance(rule, AllRule):
        return rule.all
    if isinstance(rule, AnyRule):
        return rule.any
    return rule.none if isinstance(rule, NoneRule) else []


def _referred(rule: Rule) -> Iterator[str]:
    if isinstance(rule, AudienceCondition):
        yield rule.audience
    elif isinstance(rule, NotAudienceCondition):
        yield rule.not_audience
    for child in children(rule):
        yield from _referred(child)


def _events(rule: Rule) -> Iterator[str]:
    if isinstance(rule, EventCondition):
        yield rule.event
    for child in children(rule):
        yield from _events(child)
