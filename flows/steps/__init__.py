"""What a run does, as plain functions: the flows and the command line both call these; nothing here needs Prefect.

``pipeline`` does all of it in order, with one module a step:

1. ``ingesting``: sources are pulled into the store, side by side.
2. ``resolving``: rows become records, records become people.
3. ``describing``: what is computed of everybody.
4. ``selecting``: who is in which audience.
5. ``activating``: destinations are brought in step, side by side; also plan, which only tells what that would do.
6. ``measuring``, with ``comparing``: key figures, and what campaigns changed.
7. ``auditing``: the quality of the data.

Beside the order stand ``checking``, before anything runs, and ``reconciling``, which reads destinations back.
A step gets its project and databases as a ``workspace``, tells how far it is by ``progress``, and is kept in the
journal by ``recording``. Heavy libraries are imported when a step runs, so that the command line starts quickly.
"""

from millstream.flows.steps.activating import activate, activate_all, plan, plan_all
from millstream.flows.steps.auditing import AuditReport, audit
from millstream.flows.steps.checking import check
from millstream.flows.steps.describing import describe
from millstream.flows.steps.ingesting import ingest, ingest_all, window_of
from millstream.flows.steps.measuring import MeasureReport, measure
from millstream.flows.steps.pipeline import run_all
from millstream.flows.steps.progress import Progress
from millstream.flows.steps.reconciling import ReconcileReport, reconcile, reconcile_all
from millstream.flows.steps.recording import PipelineReport, new_run_id, recorded_run
from millstream.flows.steps.resolving import ResolveReport, resolve
from millstream.flows.steps.selecting import select
from millstream.flows.steps.workspace import Workspace

__all__ = [
    "AuditReport",
    "MeasureReport",
    "PipelineReport",
    "Progress",
    "ReconcileReport",
    "ResolveReport",
    "Workspace",
    "activate",
    "activate_all",
    "audit",
    "check",
    "describe",
    "ingest",
    "ingest_all",
    "measure",
    "new_run_id",
    "plan",
    "plan_all",
    "reconcile",
    "reconcile_all",
    "recorded_run",
    "resolve",
    "run_all",
    "select",
    "window_of",
]
