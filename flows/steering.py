"""Identity by hand: merge, unmerge, revoke, accept and refuse. Each is one transaction with what follows from it.

A decision is written, obeyed, described and selected together, or not at all. The same work in a rehearsal tells
beforehand what would come of it. Everything else stays as it is: no raw row is modelled, and the rules are those of
the last run.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from millstream.flows.people import ResolveReport, know
from millstream.flows.rehearsing import make_tables
from millstream.flows.sides import Side, holders, holders_of, others_changed, records_of, side_of
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.identity.circumstances import RefusedJoin
    from millstream.state.identity.decisions import Decision
    from millstream.state.identity.linkage import Suggestion
    from millstream.state.store import Connection

Kind = Literal["merge", "unmerge", "revoke", "accept", "refuse"]
Begun = tuple[list[str], Callable[[], str]]
"""The living profiles that a decision is about, and what writes it and gives its id."""


@dataclass(frozen=True)
class Steered:
    """What a decision does, or would do.

    Attributes:
        decision: ``merge``, ``unmerge``, ``revoke``, ``accept`` or ``refuse``.
        decision_id: Its id; of a decision revoked, or a link accepted or refused, the id of that.
        before: The profiles it is about.
        after: Where their records are then.
        others: How many other profiles it changes.
        done: Whether it was done; else it was only tried.
    """

    decision: Kind
    decision_id: str
    before: tuple[Side, ...]
    after: tuple[Side, ...]
    others: int
    done: bool

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": True, **asdict(self)}


@dataclass
class SteeringRun:
    """What the journal keeps of a decision: ids only."""

    steered: Steered | None = None

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.steered is not None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        if self.steered is None:
            return {}
        profiles = {side.profile_id for side in (*self.steered.before, *self.steered.after)}
        return {
            "decision": self.steered.decision,
            "decision_id": self.steered.decision_id,
            "profiles": sorted(profiles),
        }


@dataclass(frozen=True)
class Review:
    """What waits for somebody to look at it: suggested links, the likeliest first, and joins that were refused."""

    suggestions: tuple[Suggestion, ...]
    refused: tuple[RefusedJoin, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


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
        profiles = _different(connection, people, workspace.project.identity.default_country)
        return profiles, lambda: decisions.merge(connection, profiles, reason=reason, made_by=made_by, now=now)

    return _steer(workspace, "merge", begin, run_id=run_id, keep=keep)


def _different(connection: Connection, people: Sequence[str], default_country: str | None) -> list[str]:
    from millstream.state.identity.find import find_one

    named: dict[str, str] = {}
    for who in people:
        match = find_one(connection, who, default_country=default_country)
        if match.profile_id in named:
            once = f" {match.alias} was merged into it." if match.alias else ""
            raise ConfigurationError(
                f"{named[match.profile_id]!r} and {who!r} are one person already, {match.profile_id}.{once}",
                remedy=f"`millstream explain {match.profile_id}` tells why.",
            )
        named[match.profile_id] = who
    return list(named)


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
            part = _part_meant(connection, match.profile_id, who, workspace.project.identity.default_country)
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


def _part_meant(connection: Connection, profile_id: str, who: str, default_country: str | None) -> str:
    """The id that was merged into a profile; of several, the one whose records bear what was asked for."""
    from millstream.state.identity.find import spellings

    values = sorted(spellings(connection, who.strip(), default_country))
    marks = ", ".join("?" for _ in values)
    rows = connection.execute(
        f"""
        SELECT brought.from_id, count(meant.record_id)
        FROM customers.merged_members AS brought
        JOIN customers.members AS member ON member.record_id = brought.record_id
        LEFT JOIN (SELECT DISTINCT record_id FROM customers.identifiers
                   WHERE value IN ({marks}) OR original IN ({marks}) OR record_id IN ({marks})) AS meant
          ON meant.record_id = brought.record_id
        WHERE member.profile_id = ? GROUP BY brought.from_id ORDER BY brought.from_id
        """,
        [*values, *values, *values, profile_id],
    ).fetchall()
    parts = [str(part) for part, _ in rows]
    meant = parts if len(parts) == 1 else [str(part) for part, bearing in rows if bearing]
    if not parts:
        raise ConfigurationError(
            f"Nothing was merged into {profile_id}.",
            remedy=f"name the records that are somebody else's with --record; `millstream explain {profile_id}` "
            "lists them.",
        )
    if len(meant) != 1:
        raise ConfigurationError(
            f"{len(parts)} ids were merged into {profile_id}.", allowed=parts, remedy="name one of them with --from."
        )
    return meant[0]


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
    from millstream.state.audiences.select import select_audiences
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
        select_audiences(connection, project.audiences, run_id=run_id, as_of=now, rules=project.traits)
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
