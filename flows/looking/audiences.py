"""What is known of the audiences: how large they are and were, whom they share, who sends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.state.store import column_types, count_rows

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.audiences.history import SizeAt
    from millstream.state.audiences.overlap import OverlapMatrix
    from millstream.state.audiences.rules import Audience
    from millstream.state.store import Connection


@dataclass(frozen=True)
class AudienceStanding:
    """One audience as the last run left it.

    Attributes:
        name: Its name.
        description: Who they are.
        kind: ``rule``, ``sql``, or ``ready-made``.
        builds_on: The audiences it is made of.
        size: Members.
        share: Of all people, from 0 to 1.
        change: Members more than the run before left; None where there is none.
        entered: Who entered in the last run.
        left: Who left in it.
        as_of: When it was last computed; None if it never was.
        syncs: The syncs that send it.
        priorities: The priority lists it is in.
        holdout: The share that is held out of it, beside the holdout of all.
        history: Its sizes, oldest first.
    """

    name: str
    description: str
    kind: str
    builds_on: tuple[str, ...]
    size: int
    share: float
    change: int | None
    entered: int
    left: int
    as_of: datetime | None
    syncs: tuple[str, ...]
    priorities: tuple[str, ...]
    holdout: float
    history: tuple[SizeAt, ...]


@dataclass(frozen=True)
class ReadyMade:
    """An audience that comes with Millstream.

    Attributes:
        name: Its name.
        description: Who they are.
        used_as: The project's audiences that are it.
    """

    name: str
    description: str
    used_as: tuple[str, ...]


@dataclass(frozen=True)
class AudiencesReport:
    """The audiences of a project.

    Attributes:
        people: How many people there are.
        audiences: Each of them.
        overlap: Members that they have in common; None where it was not asked for.
        ready_made: Those that a project can take as they are.
    """

    people: int
    audiences: tuple[AudienceStanding, ...]
    overlap: OverlapMatrix | None
    ready_made: tuple[ReadyMade, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "overlap": self.overlap.as_json() if self.overlap else None}


def audiences_report(
    workspace: Workspace, names: Sequence[str], *, runs: int = 30, overlap: bool = False
) -> AudiencesReport:
    """Gather what the store knows of audiences; nothing is computed anew.

    Args:
        workspace: The project with its databases.
        names: Audiences of the project.
        runs: How many runs the sizes go back.
        overlap: Whether to count who is in two of them at once.
    """
    from millstream.state.audiences.history import sizes_over_time
    from millstream.state.audiences.overlap import overlap as count_overlap

    with workspace.store.open() as connection:
        people = _people(connection)
        sizes = sizes_over_time(connection, names, runs=max(runs, 2))
        matrix = count_overlap(connection, names) if overlap else None
    standing = tuple(_standing(workspace, name, sizes[name], people, runs) for name in names)
    return AudiencesReport(people, standing, matrix, _ready_made(workspace))


def _people(connection: Connection) -> int:
    return count_rows(connection, "customers.profiles") if column_types(connection, "customers", "profiles") else 0


def _standing(workspace: Workspace, name: str, sizes: tuple[SizeAt, ...], people: int, runs: int) -> AudienceStanding:
    from millstream.state.audiences.ready_made import written_out

    project = workspace.project
    audience = project.audiences[name]
    last = sizes[-1] if sizes else None
    return AudienceStanding(
        name=name,
        description=written_out({name: audience}, project.traits)[name].description,
        kind=_kind(audience),
        builds_on=tuple(sorted(audience.refers_to())),
        size=last.size if last else 0,
        share=last.size / people if last and people else 0.0,
        change=sizes[-1].size - sizes[-2].size if len(sizes) > 1 else None,
        entered=last.entered if last else 0,
        left=last.left if last else 0,
        as_of=last.as_of if last else None,
        syncs=tuple(sync for sync, one in project.syncs.items() if one.audience == name),
        priorities=tuple(one for one, listed in project.delivery.priorities.items() if name in listed),
        holdout=project.delivery.audience_holdouts.get(name, 0.0),
        history=sizes[-runs:] if runs else (),
    )


def _kind(audience: Audience) -> str:
    if audience.ready_made is not None:
        return "ready-made"
    return "rule" if audience.rule is not None else "sql"


def _ready_made(workspace: Workspace) -> tuple[ReadyMade, ...]:
    from millstream.state.audiences.ready_made import ready_made

    project = workspace.project
    return tuple(
        ReadyMade(name, one.description, tuple(own for own, its in project.audiences.items() if its.ready_made == name))
        for name, one in ready_made(project.traits).items()
    )
