"""What a plan would do, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from millstream.state.errors import GuardError


@dataclass
class PlanReport:
    """What a plan would do.

    Attributes:
        sync: Name of the sync.
        wanted: People the destination should hold.
        adds: Rows to put in.
        updates: Rows whose fields changed.
        removes: Rows to take out.
        unchanged: Rows that are as acknowledged.
        held: People kept back, by why: ``consent``, ``suppression list``, ``holdout``, ``priority``.
        unmatched: People without a value for the match key.
        waiting: Rows that were not accepted before and wait for a change or their next try.
        merged_away: Rows of ids that were merged into a person who is there under another; they stay, because the sync
            has no audience to take them out of.
        guards: Why a guard would stop it; empty when none does.
        tripped: The same by the guard's name: ``removals``, ``size``, ``missing``, ``types``, ``match``,
            ``destination``, ``audience``.
        columns: The mapped columns and their types in the store.
        plan_id: The plan's id, when it has operations and is to be sent.
        path: Its file, named after the sync and the plan.
    """

    sync: str
    wanted: int = 0
    adds: int = 0
    updates: int = 0
    removes: int = 0
    unchanged: int = 0
    held: dict[str, int] = field(default_factory=dict)
    unmatched: int = 0
    waiting: int = 0
    merged_away: int = 0
    guards: list[str] = field(default_factory=list)
    tripped: dict[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    plan_id: str | None = None
    path: Path | None = None

    @property
    def suppressed(self) -> int:
        """People kept back, for whatever reason."""
        return sum(self.held.values())

    @property
    def operations(self) -> int:
        """Rows to send."""
        return self.adds + self.updates + self.removes

    @property
    def counts(self) -> dict[str, int]:
        """Rows to send by operation."""
        return {"add": self.adds, "update": self.updates, "remove": self.removes}

    @property
    def ok(self) -> bool:
        """Whether no guard stands in the way."""
        return not self.guards

    def check_guards(self) -> None:
        """Stop here if a guard says so.

        Raises:
            GuardError: Says what would have happened and how to let it.
        """
        if self.guards:
            raise self.guard_error()

    def guard_error(self) -> GuardError:
        """What the guards have against the plan, and how to let it happen."""
        return GuardError(
            " ".join(self.guards) + " Nothing was sent.",
            where=f"sync {self.sync}",
            remedy="look at `millstream plan`; to let it happen once, `millstream activate --override-guards`.",
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        facts = asdict(self)
        del facts["columns"]
        return {
            **facts,
            "path": None,
            "suppressed": self.suppressed,
            "operations": self.operations,
            "ok": self.ok,
        }
