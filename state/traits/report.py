"""What describing comes to: how each trait set went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

SetStatus = Literal["computed", "kept", "failed", "unavailable", "nothing to learn"]


@dataclass(frozen=True)
class SetState:
    """How the last run of a set went.

    Attributes:
        name: The set.
        status: How it went. ``kept``: it was not due.
        message: Why, unless it is computed or kept.
        fingerprint: Of what its values were computed by; None where there are none.
        computed_at: When its values were computed.
        seconds: How long that took.
        people: How many people have values.
    """

    name: str
    status: SetStatus
    message: str = ""
    fingerprint: str | None = None
    computed_at: datetime | None = None
    seconds: float = 0.0
    people: int = 0


@dataclass(frozen=True)
class DescribeReport:
    """What a run came to.

    Attributes:
        profiles: People in all.
        traits: Computed traits.
        sets: How each set went, in the order in which they were computed.
        seconds: How long it took.
    """

    profiles: int = 0
    traits: int = 0
    sets: tuple[SetState, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether no set failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[SetState, ...]:
        """The sets whose values are those of an earlier run, or none."""
        return tuple(one for one in self.sets if one.status == "failed")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        sets = [
            asdict(one) | {"computed_at": one.computed_at.isoformat() if one.computed_at else None} for one in self.sets
        ]
        return {**asdict(self), "ok": self.ok, "sets": sets, "seconds": round(self.seconds, 3)}
