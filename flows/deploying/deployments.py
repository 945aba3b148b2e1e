"""The Prefect deployments of a project, with their schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.project import Project

WORK_POOL = "millstream"
TAG = "millstream"


@dataclass(frozen=True)
class Deployment:
    """One flow with fixed parameters and its schedules.

    Attributes:
        flow: Name of the flow.
        name: Name of the deployment; with the project's name, so that projects can share a server.
        description: What a run does.
        parameters: The source or the sync it is for.
        skip_when_busy: A run that comes due while another is on is skipped, instead of queued: what it would have
            done the next one does.
        schedules: Its schedules as ``prefect.yaml`` writes them.
    """

    flow: str
    name: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    skip_when_busy: bool = False
    schedules: tuple[Mapping[str, object], ...] = ()

    @property
    def full_name(self) -> str:
        """As Prefect names it, ``flow/deployment``."""
        return f"{self.flow}/{self.name}"


def deployments_of(project: Project) -> list[Deployment]:
    """One deployment for the whole, one for each source and each sync, and one for each other flow.

    Raises:
        ConfigurationError: A schedule does not say which source or sync it is for.
    """
    plan = [Deployment("pipeline", project.name, "All of it in order, from pulling to auditing.", skip_when_busy=True)]
    for source in project.sources:
        plan.append(Deployment("ingest", f"{project.name}-{source}", f"Pull the source {source}.", {"source": source}))
    plan.append(Deployment("resolve", project.name, "Work out who is who and what is true of them."))
    plan.append(Deployment("describe", project.name, "Compute traits: orders, engagement, groups, predictions."))
    plan.append(Deployment("select", project.name, "Compute who is in which audience."))
    for sync in project.syncs:
        plan.append(Deployment("activate", f"{project.name}-{sync}", f"Send the sync {sync}.", {"sync": sync}))
    plan.append(Deployment("measure", project.name, "Compute key figures, cohorts, funnels, and campaign lift."))
    plan.append(Deployment("audit", project.name, "Look at the quality of the data, and at odd days."))
    plan.append(Deployment("backfill", project.name, "Read past days of a source again."))
    plan.append(Deployment("reconcile", project.name, "Compare what destinations hold with what they acknowledged."))
    plan.append(Deployment("watch", project.name, "Tell of syncs that are late and schedules that did not start."))
    plan.append(Deployment("report", project.name, "Write one page about people, audiences, figures and quality."))
    return [_scheduled(deployment, project) for deployment in plan]


def project_tag(project: Project) -> str:
    """The tag by which a project's deployments are found on a server."""
    return f"project:{project.name}"


def _scheduled(deployment: Deployment, project: Project) -> Deployment:
    """The deployment with the schedules of its flow that are for its source or sync."""
    fixed = deployment.parameters
    schedules: list[Mapping[str, object]] = []
    for name, schedule in project.schedules.items():
        if schedule.flow != deployment.flow:
            continue
        for key in fixed:
            if key not in schedule.parameters:
                raise ConfigurationError(
                    f"The schedule runs {schedule.flow} and does not say for which {key}.",
                    where=f"schedules.{name}",
                    remedy=f"add `parameters: {{{key}: …}}`.",
                )
        if all(schedule.parameters[key] == value for key, value in fixed.items()):
            extra = {key: value for key, value in schedule.parameters.items() if key not in fixed}
            timing: dict[str, object] = {"slug": name, "cron": schedule.cron, "timezone": schedule.timezone}
            schedules.append({**timing, "parameters": extra} if extra else timing)
    return Deployment(
        deployment.flow,
        deployment.name,
        deployment.description,
        fixed,
        deployment.skip_when_busy,
        tuple(schedules),
    )
