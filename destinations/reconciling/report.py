"""What reconciling a sync found, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from millstream.state.errors import MillstreamError


@dataclass
class DriftReport:
    """How far a destination is from what it acknowledged.

    Attributes:
        sync: Name of the sync.
        destination: Name of its destination.
        status: ``in_step``, ``drifted``, ``repaired`` (the next activation puts it right), ``unsupported`` (the
            destination, or this kind of sync, cannot be read back), ``waiting`` (for a job at the vendor), ``skipped``
            (another run is at the sync) or ``stopped`` (an error).
        acknowledged: People the destination should hold.
        found: Members it has.
        missing: People who were acknowledged and are not there.
        extra: People this sync took out who are there.
        uncertain: People who were sent without an answer; it is known now whether they are there.
        of_other_syncs: Members whom other syncs into the same audience put there.
        strangers: Members whom no sync ever put there; they are never touched.
        repaired: People left to the next activation.
        requests: Requests made.
        seconds: How long it took.
        why: Why it is unsupported, or what repairing left alone.
        error: What stopped it.
    """

    sync: str
    destination: str
    status: str = "in_step"
    acknowledged: int = 0
    found: int = 0
    missing: int = 0
    extra: int = 0
    uncertain: int = 0
    of_other_syncs: int = 0
    strangers: int = 0
    repaired: int = 0
    requests: int = 0
    seconds: float = 0.0
    why: str | None = None
    error: MillstreamError | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return self.status not in ("drifted", "stopped")

    @property
    def drifted(self) -> int:
        """People who are not as acknowledged."""
        return self.missing + self.extra + self.uncertain

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **asdict(self),
            "error": str(self.error) if self.error else None,
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
        }
