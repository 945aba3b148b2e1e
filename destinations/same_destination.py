"""An async job is asked after where it was handed over, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.destinations.planning.last_plan import last_plan, planned_destination
from millstream.state.amounts import counted
from millstream.state.errors import GuardError
from millstream.state.ledger.acknowledged import create_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.destinations.sync import Sync
    from millstream.state.ledger.journal import BatchEntry
    from millstream.state.store import Store


def check_same_destination(store: Store, name: str, sync: Sync, jobs: Sequence[BatchEntry]) -> None:
    """Stop where a sync goes elsewhere by now: another vendor's word on a job would settle rows that it never had.

    Args:
        store: Knows where the sync went when it was last planned.
        name: Of the sync.
        sync: What it is now.
        jobs: Those of an earlier run that have not ended.

    Raises:
        GuardError: They were handed over to another destination.
    """
    with store.open() as connection:
        create_tables(connection)
        before = planned_destination(connection, name, last_plan(connection, name))
    if before in (None, sync.destination):
        return
    raise GuardError(
        f"{counted(len(jobs), 'job')} of an earlier run may still be running at {before}, and the sync goes to "
        f"{sync.destination} by now. Nothing was sent.",
        where=f"sync {name}",
        remedy=f"point it back to {before} for a run, which settles them; or, where both are the same account, let it "
        "go on by `millstream activate --override-guards`.",
    )
