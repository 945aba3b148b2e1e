"""Identifiers that were deleted by hand: which they are, and letting one count again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.flows.steering.by_hand import ByHand
from millstream.flows.steering.identifier_meant import deleted_one_meant
from millstream.flows.steps.resolving import make_tables
from millstream.state.model import deleting

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.model.deleting import DeletedIdentifier


@dataclass(frozen=True)
class Restored:
    """An identifier that counts again.

    Attributes:
        identifier: What was deleted.
        records: How many records it is back on.
    """

    identifier: DeletedIdentifier
    records: int

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": True, "restored": asdict(self.identifier), "records": self.records}


@dataclass
class RestoreRun(ByHand[Restored]):
    """What the journal keeps of an identifier that counts again."""

    reason: str
    made_by: str

    def kept(self, done: Restored) -> dict[str, Any]:
        """Of an identifier only the kind."""
        return {
            "what": "identifier",
            "name": done.identifier.kind,
            "reason": self.reason,
            "made_by": self.made_by,
            "records": done.records,
        }


def restore_identifier(workspace: Workspace, value: str, *, kind: str | None) -> Restored:
    """Let an identifier that was deleted count again on all records that say it; people follow in the next run.

    Raises:
        ConfigurationError: It was not deleted, or it may be one of several.
    """
    with workspace.store.transaction() as connection:
        make_tables(connection)
        found = deleted_one_meant(connection, value, kind, workspace.project.identity.default_country)
        records = deleting.restore_identifier(connection, found.kind, found.value, now=datetime.now(UTC))
    return Restored(found, records)


def list_deleted(workspace: Workspace) -> list[DeletedIdentifier]:
    """The identifiers that were deleted by hand."""
    with workspace.store.open() as connection:
        make_tables(connection)
        return deleting.deleted_identifiers(connection)
