"""What the engine and a connector hand each other: rows on the way out, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from millstream.destinations.fields import FieldValue
from millstream.destinations.modes import Status


@dataclass(slots=True, kw_only=True)
class DeliveryRow:
    """One person on the way to a destination. Not frozen, for speed: only the engine notes an id in one.

    Attributes:
        number: The row's number in its plan.
        match_value: Value of the match key, normalised (an e-mail address in lower case).
        fields: Values by destination field; a field that is absent is left alone, None clears it.
        external_id: The vendor's id from an earlier acknowledgement, if there was one.
        key: By which two rows are the same person.
    """

    number: int
    match_value: str
    fields: Mapping[str, FieldValue]
    external_id: str | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        value = self.match_value.strip()
        # Addresses are the same in upper and lower case; ids of other kinds need not be.
        self.key = value.lower() if "@" in value else value


@dataclass(frozen=True, slots=True)
class Member:
    """Someone in an audience, by the names that the vendor has of them.

    Attributes:
        match_values: All values by which the vendor finds the person.
        external_id: The vendor's id of the person.
    """

    match_values: tuple[str, ...]
    external_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """What is being sent, for connectors that tell it to the vendor or name things after it.

    Attributes:
        sync: Name of the sync.
        plan: The plan; empty where an audience is read back. A run that comes after one that died has the dead one's
            name for it here: so what both send is known as the same, and what is decided anew later is not.
        made_at: When that plan was made.
        fields: Fields that the sync fills, in its order.
    """

    sync: str
    plan: str
    made_at: datetime
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far a job at the vendor is.

    Attributes:
        done: Whether its outcomes can be read.
        share: How much of it is done, from 0 to 1, where the vendor says so.
    """

    done: bool
    share: float | None = None


NOT_THERE = frozenset({"not_found", "not_on_list", "record_missing"})
"""Codes of a row that was rejected because the vendor does not have the person."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a row, in the vendor's words.

    Attributes:
        status: See ``Status``.
        code: The vendor's code, or ours in lower case, for a row that was not accepted.
        reason: Why, in words without personal data in clear.
        fault: Who has to act: ``data`` (the row), ``vendor``, ``configuration``.
        external_id: The vendor's id of the person, where it gave one; kept and given back with later rows.
    """

    status: Status
    code: str | None = None
    reason: str | None = None
    fault: Literal["data", "vendor", "configuration"] | None = None
    external_id: str | None = None


def accepted(external_id: str | None = None) -> Outcome:
    """The vendor took the row."""
    return Outcome(status=Status.ACCEPTED, external_id=external_id)


def accepted_async(external_id: str | None = None, *, reason: str | None = None) -> Outcome:
    """The vendor took the row, and says later, or never, what became of it; ``reason`` is what it said so far."""
    return Outcome(status=Status.ACCEPTED_ASYNC, external_id=external_id, reason=reason)


def rejected(code: str, reason: str, *, fault: Literal["data", "vendor", "configuration"] = "data") -> Outcome:
    """The vendor refused the row."""
    return Outcome(status=Status.REJECTED, code=code, reason=reason, fault=fault)


def suppressed(code: str, reason: str) -> Outcome:
    """The vendor may not address this person: unsubscribed, bounced, erased."""
    return Outcome(status=Status.SUPPRESSED, code=code, reason=reason)


def retry_later(code: str, reason: str) -> Outcome:
    """The row was not sent, or may be sent again: a later run does."""
    return Outcome(status=Status.RETRY_LATER, code=code, reason=reason, fault="vendor")
