"""What was found of events against the tracking plan, and the report of all of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class InSource:
    """How many events of a kind a source brought, and what share of its events of that name they are."""

    source: str
    events: int
    share: float = 1.0


@dataclass(frozen=True)
class UnknownName:
    """A name that the plan does not know.

    Attributes:
        name: As the source writes it; redacted.
        events: How many there are.
        first_seen: The first time it happened.
        last_seen: The last time.
        sources: Who brings it.
        properties: Name and type of the properties of one such event.
        similar_to: The name that it is probably meant for.
        similar_by: ``letters``, ``words`` or ``spelling``.
    """

    name: str
    events: int
    first_seen: datetime
    last_seen: datetime
    sources: tuple[InSource, ...]
    properties: dict[str, str]
    similar_to: str | None = None
    similar_by: str | None = None


@dataclass(frozen=True)
class Violation:
    """A property that events of the plan lack, or say wrongly.

    Attributes:
        event: Canonical name.
        owner: Who answers for it.
        kind: ``missing``, ``type`` or ``value``.
        property: The property.
        expected: Its type, or the values allowed.
        events: How many events it is wrong of.
        share: Of the events of that name.
        sources: Who brings them.
        found: Types and shapes of what stands there instead.
    """

    event: str
    owner: str
    kind: str
    property: str
    expected: str
    events: int
    share: float
    sources: tuple[InSource, ...]
    found: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spelling:
    """A name under which an event of the plan comes that is not its canonical one."""

    event: str
    name: str
    events: int
    sources: tuple[InSource, ...]


@dataclass(frozen=True)
class Unconverted:
    """Values of a currency without a rate on their days, or values that name no currency (``currency`` is None)."""

    currency: str | None
    source: str
    event: str
    events: int
    first_seen: datetime
    last_seen: datetime


@dataclass
class PlanReport:
    """How events stand to the plan.

    Attributes:
        events: All that were looked at.
        planned: Those that the plan knows, with or without violations.
        unplanned: Those that it does not know.
        violating: Those that it knows, and that break it.
        unknown_names: How many different names it does not know.
        unknown: The most frequent of them.
        spellings: Other names of the plan's events that occur.
        violations: What is missing or wrong.
        unconverted: Values without a rate.
        without_currency: Values that name no currency, which count as said.
        unseen: Events that the project plans, and of which there is none.
        proposal: Text for the project file that makes near-duplicates one event; may be empty.
    """

    events: int = 0
    planned: int = 0
    unplanned: int = 0
    violating: int = 0
    unknown_names: int = 0
    unknown: tuple[UnknownName, ...] = ()
    spellings: tuple[Spelling, ...] = ()
    violations: tuple[Violation, ...] = ()
    unconverted: tuple[Unconverted, ...] = ()
    without_currency: tuple[Unconverted, ...] = ()
    unseen: tuple[str, ...] = ()
    proposal: str = ""

    @property
    def ok(self) -> bool:
        """Whether every event is planned, whole, and converted."""
        return not (self.unplanned or self.violating or self.unconverted)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": self.ok, **asdict(self)}
