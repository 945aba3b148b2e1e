"""What becomes of a row that was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millstream.destinations.modes import Status

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


def accepted_async() -> Outcome:
    """The vendor took the row, and says later, or never, what became of it."""
    return Outcome(status=Status.ACCEPTED_ASYNC)


def rejected(code: str, reason: str, *, fault: Literal["data", "vendor", "configuration"] = "data") -> Outcome:
    """The vendor refused the row."""
    return Outcome(status=Status.REJECTED, code=code, reason=reason, fault=fault)


def suppressed(code: str, reason: str) -> Outcome:
    """The vendor may not address this person: unsubscribed, bounced, erased."""
    return Outcome(status=Status.SUPPRESSED, code=code, reason=reason)


def retry_later(code: str, reason: str) -> Outcome:
    """The row was not sent, or may be sent again: a later run does."""
    return Outcome(status=Status.RETRY_LATER, code=code, reason=reason, fault="vendor")
