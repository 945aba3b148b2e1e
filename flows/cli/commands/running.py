"""The commands that move data: ingest, resolve, describe, select, plan, activate, run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import RUN, JsonOption, PrefectOption, ProjectOption, command
from millstream.flows.cli.choosing import chosen_names

if TYPE_CHECKING:
    from millstream.destinations.preview import SavedPlan
    from millstream.flows.project import Project

FirstDay = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First day to read again, in UTC."),
]
LastDay = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="Last day to read; today when left out."),
]
FullOption = Annotated[bool, typer.Option("--full", help="Do it for everything, not only for what is new.")]
GuardsOption = Annotated[bool, typer.Option("--override-guards", help="Send although a guard says stop, this once.")]


@command("ingest", panel=RUN)
def ingest(
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="Sources; all when none.")] = None,
    first: FirstDay = None,
    last: LastDay = None,
    full: FullOption = False,
    accept_empty: Annotated[
        bool, typer.Option("--accept-empty", help="Believe a catalogue that used to have rows and now has none.")
    ] = False,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Pull what is new in the sources into the store.

    With --from, what changed in those days is read again; the next pull goes on where the last one ended.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.views.outcomes import show_outcome
    from millstream.flows.project import load_project
    from millstream.flows.steps import window_of
    from millstream.state.errors import ConfigurationError

    start, end = first and first.date(), last and last.date()
    if end and not start:
        raise ConfigurationError("--to needs --from.", remedy="give the first day as well.")
    window_of(start, end)  # that they make no sense is said before anything starts
    loaded = load_project(project)
    chosen = chosen_names("source", names, loaded.sources)
    loaded.require(sources=chosen)
    outcome = engine_for(loaded, prefect=prefect).ingest(chosen, start, end, full=full, accept_empty=accept_empty)
    return show_outcome(outcome, ["ingested"], as_json=as_json)


@command("resolve", panel=RUN)
def resolve(
    *,
    full: FullOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change: people, values, audiences.")
    ] = False,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Work out which records belong to one person, and describe each person.

    With --dry-run all of it is done and taken back: to see what a changed rule does, change it in the project file,
    or in a copy beside it that --project names. It shows identifiers in clear, as `explain` does.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.views.dry_runs import show_rehearsal
    from millstream.flows.cli.views.outcomes import show_outcome
    from millstream.flows.project import load_project

    engine = engine_for(load_project(project), prefect=prefect)
    if dry_run:
        return show_rehearsal(engine.rehearse(full=full), as_json=as_json)
    return show_outcome(engine.resolve(full=full), ["resolved"], as_json=as_json)


@command("describe", panel=RUN)
def describe(
    *,
    full: FullOption = False,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Compute the traits of everybody that are due: orders, engagement, groups, predictions.

    A set of traits that fails keeps its earlier values and does not stop the others. `millstream traits` lists them.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.views.outcomes import show_outcome
    from millstream.flows.project import load_project

    outcome = engine_for(load_project(project), prefect=prefect).describe(full=full)
    return show_outcome(outcome, ["described"], as_json=as_json)


@command("select", panel=RUN)
def select(
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="AUDIENCE", help="Audiences; all when none.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show who would enter and leave, and what the syncs would send.")
    ] = False,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="With --dry-run, name N who enter and N who leave.")
    ] = 0,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Compute who is in each audience now, and keep who entered and left.

    With --dry-run all of it is done and taken back: to see what a changed rule does, change it in the project file,
    or in a copy beside it that --project names. What the rules change is told apart from what new data does. People
    are named by their profile ids only.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.views.dry_runs import show_select_preview
    from millstream.flows.cli.views.outcomes import show_outcome
    from millstream.flows.project import load_project

    loaded = load_project(project)
    chosen = chosen_names("audience", names, loaded.audiences) if names else None
    engine = engine_for(loaded, prefect=prefect)
    if dry_run:
        return show_select_preview(engine.preview(chosen, sample=sample), as_json=as_json)
    return show_outcome(engine.select(chosen), ["selected"], as_json=as_json)


@command("plan", panel=RUN)
def plan(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SYNC", help="Syncs; all enabled ones when none.")
    ] = None,
    removals: Annotated[int, typer.Option("--removals", metavar="N", min=0, help="Name the first N taken out.")] = 10,
    clear: Annotated[bool, typer.Option("--clear", help="Name them in clear.")] = False,
    requests: Annotated[
        bool,
        typer.Option("--requests", help="Show one request of each kind, masked. Reads from the destination only."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write one sync's plan, for `activate --plan FILE`.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Show what `activate` would send, add and remove, and what it would take. Nothing is sent."""
    from millstream.destinations.preview import Look
    from millstream.flows import steps
    from millstream.flows.cli.views.plans import show_plans
    from millstream.flows.project import load_project
    from millstream.state.errors import ConfigurationError

    loaded = load_project(project)
    chosen = chosen_names("sync", names, loaded.syncs, default=loaded.enabled_syncs)
    if out is not None and len(chosen) != 1:
        raise ConfigurationError("A plan's file is of one sync.", where="--out", remedy="name the sync.")
    workspace, run_id = steps.Workspace.open(loaded), steps.new_run_id()
    look = Look(removals=removals, in_clear=clear, requests=requests, save_to=out)
    previews, errors = steps.plan_all(workspace, chosen, run_id=run_id, look=look)
    return show_plans(previews, [str(error) for error in errors], out, as_json=as_json)


@command("activate", panel=RUN)
def activate(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SYNC", help="Syncs; all enabled ones when none.")
    ] = None,
    override_guards: GuardsOption = False,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Send what `plan --out` wrote, or nothing if it changed since."),
    ] = None,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Bring destinations in step with the audiences."""
    from millstream.destinations.preview import read_plan
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.engines.here import Here
    from millstream.flows.cli.views.outcomes import show_outcome
    from millstream.flows.project import load_project

    loaded = load_project(project)
    saved = read_plan(plan_file) if plan_file else None
    if saved:
        _check_meant(saved, names, loaded)
    chosen = chosen_names("sync", [saved.sync] if saved else names, loaded.syncs, default=loaded.enabled_syncs)
    _require(loaded, (), chosen)
    if saved:
        # What was looked at here is sent from here.
        outcome = Here(loaded).activate(chosen, override_guards=override_guards, saved=saved)
    else:
        outcome = engine_for(loaded, prefect=prefect).activate(chosen, override_guards=override_guards)
    return show_outcome(outcome, ["activated"], as_json=as_json)


@command("run", panel=RUN)
def run(
    *,
    sources: Annotated[
        list[str] | None, typer.Option("--source", metavar="SOURCE", help="Pull this one only; may be repeated.")
    ] = None,
    syncs: Annotated[
        list[str] | None, typer.Option("--sync", metavar="SYNC", help="Send this one only; may be repeated.")
    ] = None,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Do everything in order: ingest, resolve, describe, select, activate, measure, audit.

    A source or a sync that fails does not stop the others.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.views.outcomes import show_outcome
    from millstream.flows.project import load_project

    loaded = load_project(project)
    chosen_sources = chosen_names("source", sources, loaded.sources)
    chosen_syncs = chosen_names("sync", syncs, loaded.syncs, default=loaded.enabled_syncs)
    _require(loaded, chosen_sources, chosen_syncs)
    outcome = engine_for(loaded, prefect=prefect).run(chosen_sources, chosen_syncs)
    parts = ("ingested", "resolved", "described", "selected", "activated", "measured", "audited")
    return show_outcome(outcome, parts, as_json=as_json)


def _check_meant(saved: SavedPlan, names: Sequence[str] | None, project: Project) -> None:
    """Refuse a plan of another project, or of another sync than was named."""
    from millstream.state.errors import ConfigurationError

    told = f"The plan is for sync {saved.sync!r}"
    if saved.sync not in project.syncs:
        what = f"{told}, which the project {project.name!r} does not have."
        raise ConfigurationError(what, where="--plan", remedy="was it made in another project?")
    if others := [name for name in names or () if name != saved.sync]:
        raise ConfigurationError(f"{told}, not {others[0]!r}.", where="--plan", remedy="leave the name out.")


def _require(project: Project, sources: Sequence[str], syncs: Sequence[str]) -> None:
    """See to it that every secret is there before anything starts."""
    destinations = dict.fromkeys(project.syncs[name].destination for name in syncs)
    project.require(sources=sources, destinations=destinations)
