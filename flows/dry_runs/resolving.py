"""A dry run of resolve: the real steps, done on the store and taken back, to see what they would change."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.flows.steps.resolving import bring_up_to_date, make_tables
from millstream.flows.steps.selecting import select_on
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.steps import Workspace
    from millstream.state.audiences.failing import Failing
    from millstream.state.audiences.select import AudienceReport
    from millstream.state.identity.changes import Preview
    from millstream.state.identity.rules import IdentityRules


@dataclass(frozen=True)
class AudienceMove:
    """How an audience would change; who is in it under another id after a merge neither enters nor leaves.

    Attributes:
        audience: Its name.
        before: Members before.
        after: Members after.
        entered: Who would enter.
        left: Who would leave.
        held: Why it would be left as it is.
    """

    audience: str
    before: int
    after: int
    entered: int
    left: int
    held: str | None = None


@dataclass(frozen=True)
class Rehearsal:
    """What `millstream resolve` and `millstream select` would change.

    Attributes:
        rules_changed: Whether the project's rules are other than those of the last run. Then the comparison is with
            a run under the old rules over the same data, so that what new rows bring is not counted.
        new_rows: Raw rows that came since the last run.
        people: How profiles, values and households would change.
        audiences: How the audiences would change.
        seconds: How long it took.
    """

    rules_changed: bool
    new_rows: int
    people: Preview
    audiences: tuple[AudienceMove, ...]
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def rehearse(workspace: Workspace, *, run_id: str, full: bool = False) -> Rehearsal:
    """Resolve and select as the project file says now, compare, and take it all back.

    Traits are not computed anew: audiences are worked out by those that people have.

    Args:
        workspace: The project with its databases.
        run_id: Goes into the ids of new profiles, which are made anew when it is done in earnest.
        full: Look at everyone, not only at what changed.

    Raises:
        ConfigurationError: The store holds nothing yet, or an audience's rule is wrong.
    """
    from millstream.state.audiences.failing import without_failing

    started = time.monotonic()
    found = without_failing(lambda failing: _rehearsed(workspace, failing, run_id=run_id, full=full))
    return replace(found, seconds=time.monotonic() - started)


def _rehearsed(workspace: Workspace, failing: Failing, *, run_id: str, full: bool) -> Rehearsal:
    """The same, while some audiences stand still."""
    from millstream.state.identity.explain import rules_of_last_run
    from millstream.state.identity.preview import compare, take_picture

    project, now = workspace.project, datetime.now(UTC)
    with workspace.store.rehearsal() as connection:
        make_tables(connection)
        last = rules_of_last_run(connection)
        changed = last is not None and last.model_dump_json() != project.identity.model_dump_json()
        new_rows = 0
        if last is not None and changed:
            last = _with_backend(last, project)
            before = bring_up_to_date(connection, project, rules=last, run_id=f"{run_id}-before", now=now)
            select_on(connection, project, failing, run_id=run_id, now=now)
            new_rows = before.modelled
        picture = take_picture(connection)
        report = bring_up_to_date(connection, project, rules=project.identity, run_id=run_id, now=now, full=full)
        if not report.records:
            raise ConfigurationError(
                "The store knows nobody, so there is nothing to compare.",
                where="store",
                remedy="run `millstream ingest` first; a project file tried out in another folder needs the full "
                "path of the store, since relative paths start at its folder.",
            )
        selected = select_on(connection, project, failing, run_id=run_id, now=now)
        people = compare(connection, picture, run_id=run_id)
    moves = tuple(move_of(audience) for audience in selected)
    return Rehearsal(changed, new_rows if changed else report.modelled, people, moves)


def _with_backend(rules: IdentityRules, project: Project) -> IdentityRules:
    """Rules of old with today's place to compare in: no secret is kept with the rules."""
    now = project.identity.linkage
    linkage = rules.linkage.model_copy(update={"backend": now.backend, "url": now.url})
    return rules.model_copy(update={"linkage": linkage})


def move_of(report: AudienceReport) -> AudienceMove:
    """How selecting changed an audience."""
    return AudienceMove(report.name, report.before, report.size, report.entered, report.left, report.held)
