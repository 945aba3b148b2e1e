"""What was acknowledged is about one audience: a sync stops before it goes on with another one as if it were that."""

from __future__ import annotations

from millstream.destinations.modes import SyncMode
from millstream.destinations.planning import PlanReport
from millstream.destinations.sync import Sync
from millstream.state.errors import GuardError
from millstream.state.ledger.journal import Journal


def check_same_audience(journal: Journal, plan: PlanReport, sync: Sync, audience_id: str) -> None:
    """Stop where the audience is another one than last time, because only what changed would be sent into it.

    Args:
        journal: Knows where the sync sent last.
        plan: What is to be sent; the guard notes in it why it stopped.
        sync: What the sync is; one that replaces everybody each time may go anywhere.
        audience_id: The vendor's id of the audience now.

    Raises:
        GuardError: It was deleted or renamed at the vendor, or the sync was pointed to another.
    """
    before = journal.latest_audience(plan.sync)
    if before in (None, audience_id) or sync.mode is SyncMode.REPLACE:
        return
    reason = (
        f"The audience is another one than last time: {audience_id}, and it was {before}. Whoever was acknowledged is "
        "not known to be in it, and only changes would be sent."
    )
    plan.tripped["audience"] = reason
    raise GuardError(
        f"{reason} Nothing was sent.",
        where=f"sync {plan.sync}",
        remedy="give the sync another name to have everybody sent anew; or let it go on by `millstream activate "
        "--override-guards`, and put in the others by `millstream reconcile --repair` where the vendor can be read.",
    )
