"""Preview: what selecting audiences as the project file has them now would do, and how much of it the rules do.

Done on a connection whose work is taken back. Three memberships are compared: as the last run left it, by the rules of
that run over today's data, and by today's rules. From the first to the second the data changes people's membership,
from the second to the third the rules do. Who leaves by one and comes back by the other does neither in all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from millstream.state.audiences.failing import Failing, FailingSqlError
from millstream.state.audiences.kept_rules import KeptRule, rules_in_force
from millstream.state.audiences.members import make_members
from millstream.state.audiences.moves import Mover, Moves, compare, count_moves, some_movers
from millstream.state.audiences.order import built_on
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.audiences.select import AudienceReport, select_audiences
from millstream.state.audiences.tables import create_audience_tables
from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import existing_columns
from millstream.state.store import SECONDS, drop_temporary_tables, write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

Change = Literal["new", "changed", "builds on", "removed", "unchanged"]

_NO_LONGER = "its rule of the last run no longer works"


@dataclass(frozen=True)
class AudiencePreview:
    """What would happen to one audience. Ids that were merged into others neither enter nor leave.

    Attributes:
        audience: Its name.
        change: What became of its rule since the last run that computed it.
        because_of: The audiences with another rule that it builds on, directly or by way of others.
        before: Members by the last run.
        after: Members then.
        entered: Who would enter in all.
        left: Who would leave in all.
        by_rules: What the rules of today do that those of the last run would not, over today's data; None where the
            old ones cannot be evaluated.
        by_data: What the rules of the last run would do by themselves; None likewise.
        problem: Why the old rule cannot be evaluated; empty otherwise.
        movers: Some of those who come or go, by their ids; as many as were asked for of each.
    """

    audience: str
    change: Change
    before: int
    after: int
    entered: int
    left: int
    by_rules: Moves | None
    by_data: Moves | None
    because_of: tuple[str, ...] = ()
    problem: str = ""
    movers: tuple[Mover, ...] = ()


def preview_audiences(
    connection: Connection,
    audiences: Mapping[str, Audience],
    *,
    run_id: str,
    as_of: datetime,
    only: Collection[str] | None = None,
    rules: TraitRules | None = None,
    sample: int = 0,
    root: Path | None = None,
    sql_seconds: float = SECONDS,
    failing: Failing | None = None,
) -> list[AudiencePreview]:
    """Select audiences on a connection whose work is taken back, and tell what that does.

    Args:
        connection: The store, opened for a rehearsal.
        audiences: All audiences of the project, by name.
        run_id: Names the run that would do it.
        as_of: The time of the run, aware.
        only: Names of the audiences to compute; all when left out.
        rules: The section ``traits`` of the project file, for ready-made audiences; the usual when left out.
        sample: So many people who enter each audience are named, and so many who leave.
        root: The folder of the project file, for trait sets of its own.
        sql_seconds: How long the SQL of an audience may take.
        failing: Audiences whose SQL does not work, now or as it was in the last run; see ``without_failing``.

    Returns:
        One for each audience that is computed, in the order of the project; then those that are gone from it.

    Raises:
        ConfigurationError: Audiences build on each other in a circle or on one that is not there, or a rule is wrong.
        FailingSqlError: The SQL of another one does not work; the transaction cannot be gone on with.
    """
    failing = failing or Failing()
    create_audience_tables(connection)
    written = written_out(audiences, rules, traits=existing_columns(connection, "people"))
    old = rules_in_force(connection)
    reports = select_audiences(
        connection,
        audiences,
        run_id=run_id,
        as_of=as_of,
        only=only,
        rules=rules,
        root=root,
        sql_seconds=sql_seconds,
        failing=failing,
    )
    changes = _changes(old, written, reports)
    held = {report.name: f"stands still: {report.held}" for report in reports if report.held}
    former = {name: f"{_NO_LONGER}: {why}" for name, why in failing.former.items()}
    moving = {name: change for name, change in changes.items() if name not in held}
    problems = held | _evaluate_old(
        connection, old, written, moving, as_of=as_of, former=former, sql_seconds=sql_seconds
    )
    compare(connection, run_id)
    found = _Comparison(
        changes, _because_of(written, changes), problems, count_moves(connection), some_movers(connection, sample)
    )
    drop_temporary_tables(connection, "preview_")
    return [found.of(report) for report in reports]


@dataclass(frozen=True)
class _Comparison:
    """What was found about audiences, each by its name."""

    changes: Mapping[str, Change]
    because_of: Mapping[str, tuple[str, ...]]
    problems: Mapping[str, str]
    counts: Mapping[str, tuple[Moves, Moves]]
    movers: Mapping[str, tuple[Mover, ...]]

    def of(self, report: AudienceReport) -> AudiencePreview:
        name = report.name
        by_rules, by_data = self.counts.get(name, (Moves(), Moves()))
        problem = self.problems.get(name, "")
        some = self.movers.get(name, ())
        if self.changes[name] == "new":
            by_rules, by_data = Moves(report.entered, report.left), Moves()
            some = tuple(replace(one, by="rules") for one in some)
        elif problem:
            some = tuple(replace(one, by="unknown") for one in some)
        return AudiencePreview(
            audience=name,
            change=self.changes[name],
            before=report.before,
            after=report.size,
            entered=report.entered,
            left=report.left,
            by_rules=None if problem else by_rules,
            by_data=None if problem else by_data,
            because_of=self.because_of.get(name, ()),
            problem=problem,
            movers=some,
        )


def _changes(
    old: Mapping[str, KeptRule], audiences: Mapping[str, Audience], reports: Collection[AudienceReport]
) -> dict[str, Change]:
    found: dict[str, Change] = {}
    for report in reports:
        name = report.name
        if report.removed:
            found[name] = "removed"
        elif name not in old:
            found[name] = "new"
        else:
            found[name] = "unchanged" if old[name].fingerprint == audiences[name].fingerprint() else "changed"
    differing = [name for name, change in found.items() if change in ("new", "changed")]
    for name in built_on(audiences, differing):
        if found.get(name) == "unchanged":
            found[name] = "builds on"
    return found


def _because_of(audiences: Mapping[str, Audience], changes: Mapping[str, Change]) -> dict[str, tuple[str, ...]]:
    changed = [name for name, change in changes.items() if change in ("changed", "new")]
    return built_on(audiences, changed) | {
        name: found for name in changed if (found := built_on(audiences, set(changed) - {name}).get(name))
    }


def _evaluate_old(
    connection: Connection,
    old: Mapping[str, KeptRule],
    audiences: Mapping[str, Audience],
    changes: Mapping[str, Change],
    *,
    as_of: datetime,
    former: Mapping[str, str],
    sql_seconds: float,
) -> dict[str, str]:
    """``preview_then``: members by the old rules of audiences whose rules, or those below, are others now.

    ``preview_known`` names the audiences of which it tells. Those of which ``former`` says why their SQL does not work
    are left out.

    Returns:
        Of audiences whose old rule cannot be evaluated, why.
    """
    import pyarrow as pa

    problems = {name: why for name, why in former.items() if name in changes}
    concerned = [name for name, change in changes.items() if change not in ("new", "unchanged") if name not in problems]
    known = {name: audience for name in concerned if (audience := old[name].audience) is not None}
    problems |= {name: "its rule of the last run is not known" for name in concerned if name not in known}
    while known:
        # References to what did not change are read from the memberships, which are those of today by now.
        everything = {name: audience for name, audience in audiences.items() if name not in problems} | known
        try:
            make_members(connection, "preview_then", everything, as_of=as_of, wanted=[*known], sql_seconds=sql_seconds)
        except ConfigurationError as error:
            wrong = (error.where or "").removeprefix("audiences.")
            lost = [wrong] if wrong in known else list(known)
            problems |= dict.fromkeys(lost, f"{_NO_LONGER}: {error.what}")
            known = {name: audience for name, audience in known.items() if name not in lost}
        except FailingSqlError as error:
            raise FailingSqlError(error.audience, error.what, former=True) from error
        else:
            break
    else:
        connection.execute("CREATE OR REPLACE TEMP TABLE preview_then (audience TEXT, profile_id TEXT)")
    write_arrow(connection, "preview_known", pa.table({"audience": pa.array(list(known), pa.string())}))
    return problems
