"""One person's whole story, from the records to the vendors' answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.state.amounts import text_of
from millstream.state.errors import ConfigurationError, NotFoundError
from millstream.state.store import column_types, kept_whole

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.steps import Workspace
    from millstream.state.audiences import Audience
    from millstream.state.audiences.explain import Why
    from millstream.state.identity import ProfileExplanation
    from millstream.state.identity.find import Match
    from millstream.state.store import Connection


@dataclass(frozen=True)
class TraitValue:
    """What is true of a person, and the record that says so.

    Attributes:
        name: The column of the profile.
        value: As text.
        record_id: Where it comes from; None for what is computed.
        observed_at: Since when that record says so.
        confirmed_at: When a record last said the same.
        stale_at: From when on it counts as out of date, unless it is confirmed before; None: never.
        stale: Whether it does by now.
    """

    name: str
    value: str
    record_id: str | None
    observed_at: datetime | None
    confirmed_at: datetime | None = None
    stale_at: datetime | None = None
    stale: bool = False


@dataclass(frozen=True)
class AudienceMembership:
    """Whether a person is in an audience, since when, and the rule that let them in or kept them out."""

    audience: str
    member: bool
    since: datetime | None
    rule: Why


@dataclass(frozen=True)
class SyncStory:
    """What was sent of a person by a sync, and what came back.

    Attributes:
        sync: Name of the sync.
        acknowledged: Whether the destination holds the person; None when nobody knows.
        acknowledged_at: When it last said so.
        external_id: The vendor's id of the person.
        suppressed: Why the person is kept back.
        outcomes: Every operation sent, newest first: operation, status, code, reason, time, profile id.
        refusals: Operations that did not get through and wait, as `millstream rejected` lists them: operation, status,
            code, fault (who has to act), attempts, next try (None: not before the row changes) and why it is held.
        known_as: The id that was merged away under which the destination still holds the person, if it does.
    """

    sync: str
    acknowledged: bool | None
    acknowledged_at: datetime | None
    external_id: str | None
    suppressed: str | None
    outcomes: tuple[dict[str, Any], ...]
    refusals: tuple[dict[str, Any], ...] = ()
    known_as: str | None = None


@dataclass(frozen=True)
class Person:
    """One person's chain from the records to the vendors' answers.

    ``found_as`` is the id that was asked for, where it was merged into this person's.
    """

    identity: ProfileExplanation
    traits: tuple[TraitValue, ...]
    consents: tuple[tuple[str, str, str], ...]
    audiences: tuple[AudienceMembership, ...]
    syncs: tuple[SyncStory, ...]
    found_as: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Everybody that the question may mean; usually one person."""

    who: str
    people: tuple[Person, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def explain(workspace: Workspace, who: str) -> Explanation:
    """One chain for each person meant: records, identifiers, traits, audiences with their rules, what was sent.

    Args:
        workspace: The project with its databases.
        who: A profile id, also one that was merged away, a record id, or an identifier's value as people write it.

    Raises:
        NotFoundError: Nobody is known by it.
    """
    from millstream.state.identity.find import find_matches, suggestion

    with workspace.store.open() as connection:
        if not column_types(connection, "customers", "profiles"):
            raise NotFoundError("Nobody is known yet.", remedy="run `millstream run` first.")
        found = find_matches(connection, who, default_country=workspace.project.identity.default_country, limit=10)
        if not found:
            raise NotFoundError("Nobody is known by that.", remedy=suggestion(connection, who))
        return Explanation(who, tuple(_person(workspace, connection, match) for match in found))


def _person(workspace: Workspace, connection: Connection, match: Match) -> Person:
    from millstream.state.identity import explain_profile

    profile_id = match.profile_id
    identity = explain_profile(connection, profile_id)
    return Person(
        identity=identity,
        traits=_traits(connection, profile_id),
        consents=_consents(connection, profile_id),
        audiences=_memberships(workspace, connection, profile_id),
        syncs=_stories(workspace, connection, profile_id, identity.aliases),
        found_as=match.alias,
    )


def _traits(connection: Connection, profile_id: str) -> tuple[TraitValue, ...]:
    """The golden row, each value with the record it comes from and how fresh it is."""
    from millstream.state.profiles.people_view import people_table

    origins: dict[str, list[dict[str, Any]]] = {}
    for origin in rows_of(connection, "profile_traits", profile_id):
        origins.setdefault(origin["name"], []).append(origin)
    (profile,) = rows_of(connection, people_table(connection), profile_id) or [{}]
    values: list[TraitValue] = []
    for name, value in profile.items():
        if value is None or name == "profile_id":
            continue
        known = origins.get(name, [])
        values += [_trait(name, text_of(one["value"] if len(known) > 1 else value), one) for one in known or [{}]]
    return tuple(values)


def _trait(name: str, value: str, origin: Mapping[str, Any]) -> TraitValue:
    return TraitValue(
        name,
        value,
        origin.get("record_id"),
        origin.get("observed_at"),
        origin.get("confirmed_at"),
        origin.get("stale_at"),
        bool(origin.get("stale")),
    )


def rows_of(connection: Connection, table: str, profile_id: str) -> list[dict[str, Any]]:
    """A person's rows of a table about people."""
    cursor = connection.execute(f"SELECT * FROM customers.{table} WHERE profile_id = ?", [profile_id])
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _consents(connection: Connection, profile_id: str) -> tuple[tuple[str, str, str], ...]:
    rows = connection.execute(
        "SELECT channel, topic, status FROM customers.profile_consents WHERE profile_id = ? ORDER BY channel, topic",
        [profile_id],
    ).fetchall()
    return tuple((channel, topic, status) for channel, topic, status in rows)


def _memberships(workspace: Workspace, connection: Connection, profile_id: str) -> tuple[AudienceMembership, ...]:
    since = dict(
        connection.execute(
            "SELECT audience, entered_at FROM customers.memberships WHERE profile_id = ? AND left_at IS NULL",
            [profile_id],
        ).fetchall()
    )
    return tuple(
        AudienceMembership(
            name, name in since, since.get(name), _why(workspace.project, connection, audience, profile_id)
        )
        for name, audience in workspace.project.audiences.items()
    )


def _why(project: Project, connection: Connection, audience: Audience, profile_id: str) -> Why:
    """Why somebody is in an audience or not; of one whose rule or SQL does not work, what is wrong with it."""
    from millstream.state.audiences.explain import Why, why
    from millstream.state.audiences.failing import FailingSqlError

    now, rules, limit = datetime.now(UTC), project.traits, project.sql_seconds
    try:
        with kept_whole(connection):
            return why(connection, audience, profile_id, as_of=now, rules=rules, sql_seconds=limit)
    except (ConfigurationError, FailingSqlError) as error:
        return Why("its rule does not work", None, error.what)


_OF_REFUSALS = ("operation", "status", "code", "fault", "attempts", "next_try_at", "aged_out")


def _stories(
    workspace: Workspace, connection: Connection, profile_id: str, aliases: Sequence[str]
) -> tuple[SyncStory, ...]:
    """What each sync sent of a profile, also while its parts went by ids that were merged into it since."""
    if not column_types(connection, "delivery", "outcomes"):
        return ()
    ids = [*aliases, profile_id]
    of_profile = f"profile_id IN ({', '.join('?' for _ in ids)})"
    rows = connection.execute(
        f"SELECT sync, profile_id, present, acknowledged_at, external_id FROM delivery.acknowledged WHERE {of_profile}",
        ids,
    ).fetchall()
    # What is acknowledged under the profile's own id comes last, and counts.
    known = {sync: (holder, *rest) for sync, holder, *rest in sorted(rows, key=lambda row: ids.index(row[1]))}
    held = dict(
        connection.execute("SELECT sync, reason FROM delivery.suppressed WHERE profile_id = ?", [profile_id]).fetchall()
    )
    sent = connection.execute(
        f"""
        SELECT sync, operation, status, code, reason, settled_at, profile_id FROM delivery.outcomes
        WHERE {of_profile} ORDER BY settled_at DESC
        """,
        ids,
    ).fetchall()
    names = ("operation", "status", "code", "reason", "at", "profile_id")
    waiting = workspace.journal.rejected_rows(profile_ids=ids)
    stories = []
    for sync in workspace.project.syncs:
        holder, present, at, external_id = known.get(sync, (profile_id, False, None, None))
        outcomes = tuple(dict(zip(names, row[1:], strict=True)) for row in sent if row[0] == sync)
        alias = holder if holder != profile_id else None
        refusals = tuple({name: row[name] for name in _OF_REFUSALS} for row in waiting if row["sync"] == sync)
        stories.append(SyncStory(sync, present, at, external_id, held.get(sync), outcomes, refusals, alias))
    return tuple(stories)
