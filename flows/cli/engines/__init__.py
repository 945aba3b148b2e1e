"""Two ways to do the same work: in this process, or through Prefect's flows. Both give the same reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from millstream.flows.cli.engines.contract import Engine
from millstream.flows.cli.engines.here import Here
from millstream.flows.cli.engines.through_prefect import ThroughPrefect

if TYPE_CHECKING:
    from millstream.flows.project import Project


def engine_for(project: Project, *, prefect: bool) -> Engine:
    """Prefect where it is asked for or where PREFECT_API_URL says that there is a server; else this process."""
    if prefect or os.environ.get("PREFECT_API_URL"):
        return ThroughPrefect(project)
    return Here(project)
