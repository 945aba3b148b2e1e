"""What a decision by hand does, and what waits for one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from millstream.flows.steering.by_hand import ByHand
from millstream.flows.steering.sides import Side

if TYPE_CHECKING:
    from millstream.state.identity.circumstances import RefusedJoin
    from millstream.state.identity.linkage import Suggestion

Kind = Literal["merge", "unmerge", "revoke", "accept", "refuse"]


@dataclass(frozen=True)
class Steered:
    """What a decision does, or would do.

    Attributes:
        decision: ``merge``, ``unmerge``, ``revoke``, ``accept`` or ``refuse``.
        decision_id: Its id; of a decision revoked, or a link accepted or refused, the id of that.
        before: The profiles it is about.
        after: Where their records are then.
        others: How many other profiles it changes.
        done: Whether it was done; else it was only tried.
    """

    decision: Kind
    decision_id: str
    before: tuple[Side, ...]
    after: tuple[Side, ...]
    others: int
    done: bool

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": True, **asdict(self)}


@dataclass
class SteeringRun(ByHand[Steered]):
    """What the journal keeps of a decision."""

    def kept(self, done: Steered) -> dict[str, Any]:
        """Ids only."""
        profiles = {side.profile_id for side in (*done.before, *done.after)}
        return {
            "decision": done.decision,
            "decision_id": done.decision_id,
            "profiles": sorted(profiles),
        }


@dataclass(frozen=True)
class Review:
    """What waits for somebody to look at it: suggested links, the likeliest first, and joins that were refused."""

    suggestions: tuple[Suggestion, ...]
    refused: tuple[RefusedJoin, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)
