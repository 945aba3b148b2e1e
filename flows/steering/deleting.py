"""Deleting by hand: what a source brought, or an identifier. One transaction with what follows from it.

As with other decisions by hand, people, their traits and the audiences change together or not at all, the same work in
a rehearsal tells beforehand what would come of it, and no raw row is modelled on the way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from millstream.flows.dry_runs.resolving import AudienceMove, move_of
from millstream.flows.steering.by_hand import ByHand
from millstream.flows.steering.identifier_meant import account_of, identifier_meant
from millstream.flows.steps.ingesting import LONGEST_PULL
from millstream.flows.steps.resolving import ResolveReport, know, make_tables
from millstream.flows.steps.selecting import select_on
from millstream.state.errors import ConfigurationError, StoreLockedError
from millstream.state.ledger.suppressions import all_suppressions, suppress
from millstream.state.model import deleting
from millstream.state.profiles.refusals import lost_refusals, remember_refusals
from millstream.state.store import count
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.audiences.failing import Failing
    from millstream.state.identity.changes import Preview
    from millstream.state.model.deleting import Deletion
    from millstream.state.store import Connection

What = Literal["source", "identifier"]


@dataclass(frozen=True)
class Deleted:
    """What a deletion does, or would do.

    Attributes:
        what: ``source`` or ``identifier``.
        name: The source, or the identifier's value.
        kind: Kind of the identifier.
        deletion: How much goes.
        people: How people change.
        audiences: How the audiences change.
        refusals_kept: People whose refusal nothing that is left knows of; the suppression list keeps it.
        in_project: Whether the project has the source, so that the next run pulls it again.
        done: Whether it was done; else it was only tried.
    """

    what: What
    name: str
    kind: str | None
    deletion: Deletion
    people: Preview
    audiences: tuple[AudienceMove, ...]
    refusals_kept: int
    in_project: bool
    done: bool

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": True, **asdict(self)}


@dataclass
class DeletionRun(ByHand[Deleted]):
    """What the journal keeps of a deletion, with counts."""

    reason: str
    made_by: str

    def kept(self, done: Deleted) -> dict[str, Any]:
        """Of an identifier only the kind."""
        of_source = done.what == "source"
        return {
            "what": done.what,
            "name": done.name if of_source else done.kind,
            "reason": self.reason,
            "made_by": self.made_by,
            **asdict(done.deletion),
            "refusals_kept": done.refusals_kept,
            "people_before": done.people.before["profiles"],
            "people_after": done.people.after["profiles"],
        }


@dataclass(frozen=True)
class _Acted:
    """What was deleted, and what the history is to say of it."""

    kind: str | None
    name: str
    deletion: Deletion
    reason: str
    refused: str
    """Why the suppression list has those whose refusal went with it."""


_Remember = Callable[[str, list[str]], None]
"""Remembers who refuses among the people of records: a select of their ids, and its parameters."""
_Act = Callable[["Connection", datetime, _Remember], _Acted]


def delete_source(workspace: Workspace, source: str, *, run_id: str, keep: bool) -> Deleted:
    """Delete all that a source brought, and the place up to which it was read.

    Args:
        workspace: The project with its databases.
        source: Its name; it need not be in the project any more.
        run_id: Names the change in the history.
        keep: False only tries it.

    Raises:
        ConfigurationError: The store holds nothing of it.
        StoreLockedError: A run pulls it right now.
    """
    declared = workspace.project.sources

    def act(connection: Connection, _now: datetime, remember: _Remember) -> _Acted:
        stored = deleting.sources_stored(connection, declared)
        if source not in stored:
            raise ConfigurationError(
                f"The store holds nothing of a source {source!r}.", allowed=stored, remedy=did_you_mean(source, stored)
            )
        remember("SELECT record_id FROM customers.records WHERE source = ?", [source])
        deletion = deleting.delete_source(connection, source, declared=declared)
        return _Acted(None, source, deletion, f"source {source} deleted", f"refused; {source}, which knew, was deleted")

    if not keep:
        return _delete(workspace, act, run_id=run_id, keep=False)
    with workspace.journal.lease(f"source {source}", run_id, seconds=LONGEST_PULL) as mine:
        if not mine:
            raise StoreLockedError(
                f"A run pulls {source!r} right now.", remedy="wait for it to end, and delete then; nothing was changed."
            )
        done = _delete(workspace, act, run_id=run_id, keep=True)
        # What dlt keeps beside the store would else be loaded by the next pull.
        shutil.rmtree(workspace.work / "dlt" / source, ignore_errors=True)
    return done


def delete_identifier(
    workspace: Workspace, value: str, *, kind: str | None, reason: str, made_by: str, run_id: str, keep: bool
) -> Deleted:
    """Delete an identifier from all records that bear it; what sources still say of it is not heard any more.

    Args:
        workspace: The project with its databases.
        value: As people write it, or as the store has it.
        kind: Its kind; needed where several kinds have such a value.
        reason: Why, in words of the person who decides.
        made_by: Who decides.
        run_id: Names the change in the history.
        keep: False only tries it.

    Raises:
        ConfigurationError: Nobody bears it, or it may be one of several.
    """

    def act(connection: Connection, now: datetime, remember: _Remember) -> _Acted:
        found = identifier_meant(connection, value, kind, workspace.project.identity.default_country)
        remember("SELECT record_id FROM customers.identifiers WHERE kind = ? AND value = ?", list(found))
        account = account_of(connection, *found)
        deletion = deleting.delete_identifier(
            connection, *found, account=account, reason=reason, made_by=made_by, now=now
        )
        return _Acted(
            *found, deletion, "identifier deleted", "refused; an identifier, by which it was known, was deleted"
        )

    return _delete(workspace, act, run_id=run_id, keep=keep)


def _delete(workspace: Workspace, act: _Act, *, run_id: str, keep: bool) -> Deleted:
    """Delete, resolve, describe and select in one transaction; taken back unless it is to be kept."""
    from millstream.state.audiences.failing import without_failing

    return without_failing(lambda failing: _deleted(workspace, act, failing, run_id=run_id, keep=keep))


def _keep_refusals(workspace: Workspace, connection: Connection, reason: str, *, keep: bool) -> int:
    """Suppress those whose refusal would be gone, before it is; how many people they are.

    Should the deletion then fail, they are kept out although they need not be: the safe side.
    """
    lost = lost_refusals(connection)
    for channel, values in sorted(lost.values.items()) if keep else ():
        suppress(workspace.journal, values, reason=reason, channel=channel)
    return lost.people


def _deleted(
    workspace: Workspace,
    act: _Act,
    failing: Failing,
    *,
    run_id: str,
    keep: bool,
) -> Deleted:
    """The same, while some audiences stand still."""
    from millstream.state.identity.explain import rules_of_last_run
    from millstream.state.identity.history import blame_deletion
    from millstream.state.identity.preview import compare, take_picture
    from millstream.state.identity.tables import create_identity_tables

    project, now = workspace.project, datetime.now(UTC)
    with workspace.store.transaction() if keep else workspace.store.rehearsal() as connection:
        make_tables(connection)
        create_identity_tables(connection)
        picture, rules = take_picture(connection), rules_of_last_run(connection)
        moves: tuple[AudienceMove, ...] = ()
        if rules is None and count(connection, "SELECT count(*) FROM customers.members"):
            # Who is still refused would be told by people who were not made anew.
            raise ConfigurationError(
                "People were made by rules that this version does not know.", remedy="`millstream resolve` first."
            )
        listed = all_suppressions(workspace.journal)
        acted = act(connection, now, lambda of, values: remember_refusals(connection, of, values, listed))
        if rules is not None:  # else pulled, and nothing more: nobody is known
            know(connection, project, ResolveReport(), rules=rules, run_id=run_id, now=now, link=False)
            selected = select_on(connection, project, failing, run_id=run_id, now=now)
            moves = tuple(move_of(audience) for audience in selected)
        kept = _keep_refusals(workspace, connection, acted.refused, keep=keep)
        value = acted.name if acted.kind else None
        blame_deletion(connection, run_id, acted.reason, kind=acted.kind, value=value)
        people = compare(connection, picture, run_id=run_id)
    return Deleted(
        what="identifier" if acted.kind else "source",
        name=acted.name,
        kind=acted.kind,
        deletion=acted.deletion,
        people=people,
        audiences=moves,
        refusals_kept=kept,
        in_project=not acted.kind and acted.name in project.sources,
        done=keep,
    )
