"""Identity by hand: merge, unmerge, revoke, accept and refuse. Each is one transaction with what follows from it.

A decision is written, obeyed, described and selected together, or not at all. The same work in a rehearsal tells
beforehand what would come of it. Everything else stays as it is: no raw row is modelled, and the rules are those of
the last run.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millstream.flows.steering.meant import different_people, part_meant
from millstream.flows.steering.reports import Kind, Review, Steered
from millstream.flows.steering.sides import holders, holders_of, others_changed, records_of, side_of
from millstream.flows.steps.resolving import ResolveReport, know, make_tables
from millstream.flows.steps.selecting import select_on
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.audiences.failing import Failing
    from millstream.state.identity.decisions import Decision
    from millstream.state.store import Connection

Begun = tuple[list[str], Callable[[], str]]
"""The living profiles that a decision is about, and what writes it and gives its id."""


def who_decides() -> str:
    """The name that decisions are kept under: that of the account."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def merge(
    workspace: Workspace, people: Sequence[str], *, reason: str, made_by: str, run_id: str, keep: bool
) -> Steered:
    """Say that people are one person; the rules and later runs keep to it.

    Args:
        workspace: The project with its databases.
        people: Two or more, each by whatever it is known by.
        reason: Why, in words of the person who decides.
        made_by: Who decides.
        run_id: Names the change in the history.
        keep: False only tries it.

    Raises:
        ConfigurationError: Somebody is not known, or named twice, or a limit or an earlier decision forbids it.
    """
    from millstream.state.identity import decisions

    def begin(connection: Connection, now: datetime) -> Begun:
        profiles = different_people(connection, people, workspace.project.identity.default_country)
        return profiles, lambda: decisions.merge(connection, profiles, reason=reason, made_by=made_by, now=now)

    return _steer(workspace, "merge", begin, run_id=run_id, keep=keep)


def unmerge(
    workspace: Workspace,
    who: str,
    *,
    from_id: str | None,
    records: Sequence[str],
    reason: str,
    made_by: str,
    run_id: str,
    keep: bool,
) -> Steered:
    """Take apart what was merged, by hand or by the rules; they do not come together again by themselves.

    Args:
        workspace: The project with its databases.
        who: The person, or the id that was merged away.
        from_id: Which of the ids that were merged into the person comes out again.
        records: Instead of that: which records are somebody else's.
        reason: Why, in words of the person who decides.
        made_by: Who decides.
        run_id: Names the change in the history.
        keep: False only tries it.

    Raises:
        ConfigurationError: The person is not known, there is nothing to take apart, or it is not said what.
    """
    from millstream.state.identity import decisions
    from millstream.state.identity.find import find_one

    def begin(connection: Connection, now: datetime) -> Begun:
        match = find_one(connection, who, default_country=workspace.project.identity.default_country)
        part = from_id
        if not records and not part and not match.alias:
            part = part_meant(connection, match.profile_id, who, workspace.project.identity.default_country)
        return [match.profile_id], lambda: decisions.unmerge(
            connection,
            match.alias or match.profile_id,
            from_profile=part,
            records=list(records) or None,
            reason=reason,
            made_by=made_by,
            now=now,
        )

    return _steer(workspace, "unmerge", begin, run_id=run_id, keep=keep)


def revoke(workspace: Workspace, decision_id: str, *, run_id: str, keep: bool) -> Steered:
    """Let a decision no longer hold; the rules decide again.

    Raises:
        ConfigurationError: There is no such decision, or it was revoked before.
    """
    from millstream.state.identity import decisions

    def begin(connection: Connection, now: datetime) -> Begun:
        named = "SELECT record_id FROM customers.identity_decisions WHERE decision_id = ?"

        def act() -> str:
            decisions.revoke(connection, decision_id, now=now)
            return decision_id

        return holders(connection, named, [decision_id]), act

    return _steer(workspace, "revoke", begin, run_id=run_id, keep=keep)


def judge_link(
    workspace: Workspace, link_id: str, *, accepted: bool, reason: str, made_by: str, run_id: str, keep: bool
) -> Steered:
    """Accept a suggested link, which merges, or refuse it for good.

    Raises:
        ConfigurationError: There is no such link, or a limit or a decision forbids it.
    """
    from millstream.state.identity import linkage

    def begin(connection: Connection, now: datetime) -> Begun:
        both = """
            SELECT record_a FROM customers.links WHERE link_id = ?
            UNION ALL
            SELECT record_b FROM customers.links WHERE link_id = ?
        """

        def act() -> str:
            judge = linkage.accept if accepted else linkage.refuse
            judge(connection, link_id, reason=reason, made_by=made_by, now=now)
            return link_id

        return holders(connection, both, [link_id, link_id]), act

    return _steer(workspace, "accept" if accepted else "refuse", begin, run_id=run_id, keep=keep)


def list_decisions(workspace: Workspace) -> list[Decision]:
    """All decisions by hand."""
    from millstream.state.identity import decisions

    with workspace.store.open() as connection:
        make_tables(connection)
        return decisions.decisions(connection)


def review(workspace: Workspace) -> Review:
    """The suggested links and the refused joins there are now."""
    from millstream.state.identity.circumstances import refused_joins
    from millstream.state.identity.linkage import suggestions

    with workspace.store.open() as connection:
        make_tables(connection)
        return Review(tuple(suggestions(connection)), refused_joins(connection))


def _steer(
    workspace: Workspace,
    kind: Kind,
    begin: Callable[[Connection, datetime], Begun],
    *,
    run_id: str,
    keep: bool,
) -> Steered:
    """Write a decision, obey it, describe and select, in one transaction; taken back unless it is to be kept."""
    from millstream.state.audiences.failing import without_failing

    return without_failing(lambda failing: _steered(workspace, kind, begin, failing, run_id=run_id, keep=keep))


def _steered(
    workspace: Workspace,
    kind: Kind,
    begin: Callable[[Connection, datetime], Begun],
    failing: Failing,
    *,
    run_id: str,
    keep: bool,
) -> Steered:
    """The same, while some audiences stand still."""
    from millstream.state.identity.explain import rules_of_last_run

    project, now = workspace.project, datetime.now(UTC)
    with workspace.store.transaction() if keep else workspace.store.rehearsal() as connection:
        make_tables(connection)
        rules = rules_of_last_run(connection)
        if rules is None:
            raise ConfigurationError("Nobody is known yet.", remedy="run `millstream run` first.")
        profiles, decide = begin(connection, now)
        records = records_of(connection, profiles)
        before = tuple(side_of(connection, profile_id) for profile_id in profiles)
        decision_id = decide()
        report = ResolveReport()
        know(connection, project, report, rules=rules, run_id=run_id, now=now, link=False)
        select_on(connection, project, failing, run_id=run_id, now=now)
        held = holders_of(connection, records)
        _check_obeyed(connection, kind, decision_id, held)
        after = tuple(side_of(connection, profile_id) for profile_id in held)
        others = others_changed(connection, run_id, {*profiles, *held})
    return Steered(kind, decision_id, before, after, others, keep)


def _check_obeyed(connection: Connection, kind: Kind, decision_id: str, held: Sequence[str]) -> None:
    """A merge that does not hold is not kept: what forbids it comes out when it is tried.

    Raises:
        ConfigurationError: With what forbids it.
    """
    if kind not in ("merge", "accept") or len(held) == 1:
        return
    rows = connection.execute(
        "SELECT DISTINCT reason FROM customers.refused_joins WHERE value = ? ORDER BY reason", [decision_id]
    ).fetchall()
    reasons = " and ".join(str(reason) for (reason,) in rows) or "the rules"
    raise ConfigurationError(
        f"They cannot be one person: {reasons} forbids it.",
        remedy="see `millstream explain` for what each bears; change the limit, or revoke the decision.",
    )
