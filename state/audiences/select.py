"""Select: work out who is in each audience now, and keep who entered and left, when and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from millstream.state.audiences.compile import Compiled, compile_audience
from millstream.state.audiences.rules import Audience
from millstream.state.audiences.tables import create_audience_tables
from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import existing_columns
from millstream.state.store import count_rows

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class AudienceReport:
    """What a run did to one audience.

    ``size`` is the size before, plus ``entered`` and ``carried``, less ``left`` and ``merged``.

    Attributes:
        name: The audience.
        size: Members now.
        entered: Profiles that became members.
        left: Profiles that ceased to be.
        merged: Member ids that were merged into another profile.
        carried: Profiles that became members as the survivors of such a merge, and stay on for them.
    """

    name: str
    size: int
    entered: int
    left: int
    merged: int = 0
    carried: int = 0

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def select_audiences(
    connection: Connection,
    audiences: Mapping[str, Audience],
    *,
    run_id: str,
    as_of: datetime,
    only: Collection[str] | None = None,
) -> list[AudienceReport]:
    """Bring ``customers.memberships`` up to date, in the order in which audiences build on each other.

    Every rule is compiled before the first membership is written.

    Args:
        connection: The open store.
        audiences: All audiences of the project, by name.
        run_id: Names this run in the history.
        as_of: The time of the run, aware.
        only: Names of the audiences to bring up to date; all when left out. Those they build on stay as they are.

    Raises:
        ConfigurationError: Audiences build on each other in a circle or on one that is not there, or a rule is wrong.
    """
    create_audience_tables(connection)
    ordered = [name for name in evaluation_order(audiences) if only is None or name in only]
    traits = existing_columns(connection)
    compiled = {name: compile_audience(audiences[name], name=name, traits=traits, as_of=as_of) for name in ordered}
    reports = [
        _select(connection, name, compiled[name], audiences[name].fingerprint(), run_id=run_id, as_of=as_of)
        for name in ordered
    ]
    return sorted(reports, key=lambda report: list(audiences).index(report.name))


def evaluation_order(audiences: Mapping[str, Audience]) -> list[str]:
    """The names, each after those it builds on.

    Raises:
        ConfigurationError: A circle, or a name that is not there.
    """
    references = {name: sorted(audience.refers_to()) for name, audience in audiences.items()}
    for name, others in references.items():
        for other in others:
            if other not in audiences:
                raise ConfigurationError(
                    f"There is no audience {other!r}.", where=f"audiences.{name}", allowed=sorted(audiences)
                )
    try:
        return list(TopologicalSorter(references).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ConfigurationError(
            f"Audiences build on each other in a circle: {circle}.",
            where="audiences",
            remedy="take one of these references out.",
        ) from error


def _select(
    connection: Connection, name: str, compiled: Compiled, fingerprint: str, *, run_id: str, as_of: datetime
) -> AudienceReport:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE select_now AS {compiled.sql}", list(compiled.values))
    _compare(connection, name, fingerprint)
    _close_stays(connection, name, run_id, as_of)
    _open_stays(connection, name, fingerprint, run_id, as_of)
    connection.execute(
        "UPDATE customers.memberships SET rule_fingerprint = ? "
        "WHERE audience = ? AND left_at IS NULL AND rule_fingerprint <> ?",
        [fingerprint, name, fingerprint],
    )
    report = AudienceReport(
        name=name,
        size=count_rows(connection, "select_now"),
        entered=count_rows(connection, "select_entering WHERE carried_at IS NULL"),
        left=count_rows(connection, "select_leaving WHERE NOT merged"),
        merged=count_rows(connection, "select_leaving WHERE merged"),
        carried=count_rows(connection, "select_entering WHERE carried_at IS NOT NULL"),
    )
    for table in ("select_now", "select_leaving", "select_entering"):
        connection.execute(f"DROP TABLE {table}")
    return report


def _compare(connection: Connection, name: str, fingerprint: str) -> None:
    """``select_leaving`` and ``select_entering``: whose stay ends and whose begins, and why."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE select_leaving AS
        SELECT stay.profile_id, alias.profile_id IS NOT NULL AS merged, alias.profile_id AS survivor_id,
               stay.entered_at, stay.entered_run,
               CASE WHEN alias.profile_id IS NOT NULL THEN 'merged into ' || alias.profile_id
                    WHEN profile.profile_id IS NULL THEN 'profile removed'
                    WHEN stay.rule_fingerprint <> ? THEN 'rule changed'
                    ELSE 'no longer meets the rule' END AS reason
        FROM customers.memberships AS stay
        LEFT JOIN select_now AS now ON now.profile_id = stay.profile_id
        LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = stay.profile_id
        LEFT JOIN customers.profiles AS profile ON profile.profile_id = stay.profile_id
        WHERE stay.audience = ? AND stay.left_at IS NULL AND now.profile_id IS NULL
        """,
        [fingerprint, name],
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE select_entering AS
        WITH carried AS (
            SELECT survivor_id, profile_id, entered_at, entered_run,
                   row_number() OVER (PARTITION BY survivor_id ORDER BY entered_at, profile_id) AS rank
            FROM select_leaving WHERE merged
        )
        SELECT now.profile_id, carried.entered_at AS carried_at, carried.entered_run AS carried_run,
               CASE WHEN carried.profile_id IS NOT NULL THEN 'merged from ' || carried.profile_id
                    ELSE 'meets the rule' END AS reason
        FROM select_now AS now
        LEFT JOIN (SELECT profile_id FROM customers.memberships WHERE audience = ? AND left_at IS NULL) AS stay
          ON stay.profile_id = now.profile_id
        LEFT JOIN carried ON carried.survivor_id = now.profile_id AND carried.rank = 1
        WHERE stay.profile_id IS NULL
        """,
        [name],
    )


def _close_stays(connection: Connection, name: str, run_id: str, as_of: datetime) -> None:
    connection.execute(
        """
        UPDATE customers.memberships SET left_at = ?, left_run = ?, reason = leaving.reason
        FROM select_leaving AS leaving
        WHERE memberships.audience = ? AND memberships.left_at IS NULL
          AND leaving.profile_id = memberships.profile_id
        """,
        [as_of, run_id, name],
    )


def _open_stays(connection: Connection, name: str, fingerprint: str, run_id: str, as_of: datetime) -> None:
    """Begin stays; a survivor of a merge has been a member for as long as the id it stands for."""
    connection.execute(
        """
        INSERT INTO customers.memberships (audience, profile_id, entered_at, entered_run, rule_fingerprint, reason)
        SELECT ?, profile_id, coalesce(carried_at, CAST(? AS TIMESTAMPTZ)), coalesce(carried_run, ?), ?, reason
        FROM select_entering
        """,
        [name, as_of, run_id, fingerprint],
    )
