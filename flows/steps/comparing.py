"""What measuring compares: people addressed with those held out, and the variants of experiments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from millstream.destinations.rules import Holdout
    from millstream.flows.project import Project
    from millstream.flows.steps.workspace import Workspace
    from millstream.state.measurement.lift import Comparison
    from millstream.state.measurement.rules import LiftRules
    from millstream.state.traits.contract import TraitSet


def variants(workspace: Workspace) -> TraitSet | None:
    """The traits that hold everyone's variants of the project's experiments; None where there are none."""
    from millstream.state.measurement.experiments import variant_traits

    return variant_traits(workspace.project.measurement.experiments, lambda name: _salt(workspace, name))


def comparisons(workspace: Workspace) -> Iterator[Comparison]:
    """Every sync whose people are partly held out, every audience held out of without a sync, every experiment."""
    project = workspace.project
    sent: set[str] = set()
    for name, sync in project.syncs.items():
        if sync.audience is not None and sync.has_holdouts and (found := _holdouts(workspace, sync.audience)):
            sent.add(sync.audience)
            yield _against_holdout(project, name, sync.audience, found, sync=name)
    for audience, share in project.delivery.audience_holdouts.items():
        if share and audience not in sent:
            yield _against_holdout(project, f"audience {audience}", audience, _holdouts(workspace, audience))
    yield from _experiments(workspace)


def _holdouts(workspace: Workspace, audience: str) -> list[Holdout]:
    from millstream.destinations.rules import Holdout

    shares = workspace.project.delivery.holdouts_of(audience)
    return [Holdout(name=name, share=share, salt=_salt(workspace, name)) for name, share in shares.items()]


def _against_holdout(
    project: Project, name: str, audience: str, holdouts: list[Holdout], *, sync: str | None = None
) -> Comparison:
    from millstream.destinations.planning.eligible import in_holdout
    from millstream.state.measurement.chosen import called
    from millstream.state.measurement.lift import ADDRESSED, HELD_OUT, Comparison

    addressed = 1.0
    for holdout in holdouts:
        addressed *= 1 - holdout.share  # their salts differ, so each takes its share of those whom the others leave
    held = " OR ".join(f"({in_holdout('person.profile_id', holdout)})" for holdout in holdouts)
    rules: LiftRules = project.measurement.lift
    own = rules.syncs.get(sync or "")
    goal = (own.goal if own else None) or rules.goal
    return Comparison(
        name=name,
        kind="holdout",
        audience=audience,
        groups={HELD_OUT: 1 - addressed, ADDRESSED: addressed},
        group_sql=f"CASE WHEN {held} THEN '{HELD_OUT}' ELSE '{ADDRESSED}' END",
        goal=goal,
        goal_name=called(goal) if goal else " or ".join(project.traits.purchases),
        within=(own.within if own else None) or rules.within,
        sync=sync,
    )


def _experiments(workspace: Workspace) -> Iterator[Comparison]:
    from millstream.state.measurement.chosen import called
    from millstream.state.measurement.experiments import salt_name, variant_sql
    from millstream.state.measurement.lift import Comparison

    project = workspace.project
    zone = ZoneInfo(project.traits.timezone)
    for name, experiment in project.measurement.experiments.items():
        goal = experiment.goal or project.measurement.lift.goal
        secret = _salt(workspace, salt_name(name))
        begins, ends = (
            datetime(day.year, day.month, day.day, tzinfo=zone) if day else None
            for day in (experiment.begins, experiment.ends)
        )
        yield Comparison(
            name=name,
            kind="experiment",
            audience=experiment.audience,
            groups=experiment.variants,
            group_sql=variant_sql("person.profile_id", experiment.variants, secret),
            goal=goal,
            goal_name=called(goal) if goal else " or ".join(project.traits.purchases),
            within=experiment.within,
            begins=begins,
            ends=ends,
        )


def _salt(workspace: Workspace, name: str) -> str:
    from millstream.state.ledger.suppressions import salt

    return salt(workspace.journal, name)
