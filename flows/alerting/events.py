"""Changes of state as Prefect events, so that automations of a Prefect server can act on them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from millstream.state.ledger.alerts import Alert


def emit(project: str, changed: Sequence[Alert]) -> None:
    """Emit ``millstream.alert.firing`` and ``millstream.alert.recovered``; only within a flow run."""
    if not changed or "prefect" not in sys.modules:
        return
    from prefect.context import FlowRunContext
    from prefect.events import emit_event

    if FlowRunContext.get() is None:
        return
    for alert in changed:
        name = re.sub(r"[^a-z0-9_]+", "-", alert.name.lower())
        emit_event(
            event=f"millstream.alert.{alert.state}",
            resource={
                "prefect.resource.id": f"millstream.{project}.{name}",
                "prefect.resource.name": alert.name,
                "millstream.project": project,
                "millstream.alert.kind": alert.kind,
            },
            payload={"subject": alert.subject, "what": alert.what, "owner": alert.owner, "since": str(alert.since)},
        )
