"""Select: work out who is in each audience now, and keep who entered and left, when and why.

All audiences go through the same few statements: ``select_now`` holds who is in which, ``select_rules`` by which rule,
and ``select_changes`` what differs from the open stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.state.audiences.computed import held_audiences
from millstream.state.audiences.failing import Failing
from millstream.state.audiences.kept_rules import LATEST_RULES, definition_of, rules_in_force
from millstream.state.audiences.members import make_members
from millstream.state.audiences.order import evaluation_order
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.audiences.stays import among, close_stays, compare, follow_rules, open_stays
from millstream.state.audiences.tables import create_audience_tables
from millstream.state.audiences.withdrawn import needed_consents
from millstream.state.profiles.columns import existing_columns
from millstream.state.sql import literal
from millstream.state.store import SECONDS, drop_temporary_tables, write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

__all__ = ["AudienceReport", "evaluation_order", "select_audiences"]


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
        removed: Whether the project no longer has the audience: everybody left.
        held: Why the audience was left as it is.
    """

    name: str
    size: int
    entered: int
    left: int
    merged: int = 0
    carried: int = 0
    removed: bool = False
    held: str | None = None

    @property
    def before(self) -> int:
        """Members before the run."""
        return self.size - self.entered - self.carried + self.left + self.merged

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
    rules: TraitRules | None = None,
    root: Path | None = None,
    sql_seconds: float = SECONDS,
    failing: Failing | None = None,
) -> list[AudienceReport]:
    """Bring ``customers.memberships`` up to date, with the sizes and the rules of the audiences.

    Every rule is compiled before the first membership is written. Stays in audiences that the project no longer has
    end, unless only some audiences are asked for. Audiences that rest on traits which could not be computed, or are not
    yet, are held: they stay as they are, but for those who withdrew a consent that the audience asks for. So are those
    whose SQL does not work, once that is known; see ``without_failing``.

    Args:
        connection: The open store.
        audiences: All audiences of the project, by name.
        run_id: Names this run in the history.
        as_of: The time of the run, aware.
        only: Names of the audiences to bring up to date; all when left out. Those they build on stay as they are.
        rules: The section ``traits`` of the project file, for ready-made audiences; the usual when left out.
        root: The folder of the project file, for trait sets of its own.
        sql_seconds: How long the SQL of an audience may take.
        failing: Audiences whose SQL does not work.

    Returns:
        A report for each, in the order of the project; then those that are gone from it, by name.

    Raises:
        ConfigurationError: Audiences build on each other in a circle or on one that is not there, or a rule is wrong.
        FailingSqlError: The SQL of another one does not work; the transaction cannot be gone on with.
    """
    create_audience_tables(connection)
    audiences = written_out(audiences, rules, traits=existing_columns(connection, "people"))
    asked = [name for name in audiences if only is None or name in only]
    failing = failing or Failing()
    why_held = held_audiences(connection, audiences, rules=rules, root=root, failing=failing.now)
    wanted = [name for name in asked if name not in why_held]
    make_members(connection, "select_now", audiences, as_of=as_of, wanted=wanted, sql_seconds=sql_seconds)
    removed = _removed(connection, audiences) if only is None else []
    _write_rules(connection, {name: audiences[name] for name in wanted}, removed)
    held = [name for name in asked if name in why_held]
    _hold(connection, held, audiences)
    compare(connection, held)
    close_stays(connection, run_id, as_of)
    open_stays(connection, run_id, as_of)
    follow_rules(connection)
    reports = _count(connection, removed)
    _keep_sizes(connection, run_id, as_of)
    _keep_rules(connection, run_id, as_of)
    drop_temporary_tables(connection, "select_")
    return [
        replace(reports.get(name, AudienceReport(name, 0, 0, 0)), held=why_held.get(name))
        for name in (*asked, *removed)
    ]


def _removed(connection: Connection, audiences: Mapping[str, Audience]) -> list[str]:
    """Audiences that have members or a rule in force, and are gone from the project."""
    rows = connection.execute(
        f"""
        SELECT DISTINCT audience FROM customers.memberships WHERE left_at IS NULL
        UNION SELECT audience FROM ({LATEST_RULES}) AS latest WHERE definition IS NOT NULL
        """
    ).fetchall()
    return sorted(str(audience) for (audience,) in rows if audience not in audiences)


def _write_rules(connection: Connection, audiences: Mapping[str, Audience], removed: Collection[str]) -> None:
    """``select_rules``: what is computed, by which rule; those that are gone with none."""
    fingerprints = {name: audience.fingerprint() for name, audience in audiences.items()} | dict.fromkeys(removed, "")
    definitions = {name: definition_of(audience) for name, audience in audiences.items()}
    import pyarrow as pa

    table = pa.table(
        {
            "audience": pa.array(list(fingerprints), pa.string()),
            "rule_fingerprint": pa.array(list(fingerprints.values()), pa.string()),
            "definition": pa.array([definitions.get(name) for name in fingerprints], pa.string()),
        }
    )
    write_arrow(connection, "select_rules", table)


def _hold(connection: Connection, names: Collection[str], audiences: Mapping[str, Audience]) -> None:
    """Keep audiences as they are: by the rule that was in force, with their members; of those merged, the survivors.

    Nobody is kept who withdrew a consent that the audience asks for: syncs go on from its members.
    """
    if not names:
        return
    held, in_force = among(names), rules_in_force(connection)
    needed = {name: needed_consents(name, audiences, in_force) for name in names}
    may_stay = " ".join(f"WHEN {literal(name)} THEN {said}" for name, said in needed.items() if said)
    connection.execute(
        f"""
        INSERT INTO select_rules
        SELECT audience, rule_fingerprint, definition FROM ({LATEST_RULES}) AS latest
        WHERE definition IS NOT NULL AND audience IN {held}
        """
    )
    connection.execute(
        f"""
        INSERT INTO select_now
        SELECT DISTINCT stay.audience, profile.profile_id
        FROM customers.memberships AS stay
        JOIN select_rules AS rule ON rule.audience = stay.audience
        LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = stay.profile_id
        JOIN customers.profiles AS profile ON profile.profile_id = coalesce(alias.profile_id, stay.profile_id)
        WHERE stay.left_at IS NULL AND stay.audience IN {held}
          AND {f"CASE stay.audience {may_stay} ELSE TRUE END" if may_stay else "TRUE"}
        """
    )


def _count(connection: Connection, removed: Collection[str]) -> dict[str, AudienceReport]:
    """The reports by name, and ``select_sizes`` with the same figures."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE select_sizes AS
        WITH sizes AS (SELECT audience, count(*) AS size FROM select_now GROUP BY audience),
        entering AS (SELECT audience, count(*) AS entered FROM select_changes WHERE entering GROUP BY audience),
        carried AS (SELECT audience, count(*) AS carried FROM select_carried GROUP BY audience),
        leaving AS (
            SELECT audience, count(*) FILTER (WHERE NOT merged) AS left_count, count(*) FILTER (WHERE merged) AS merged
            FROM select_leaving GROUP BY audience
        )
        SELECT rule.audience, coalesce(sizes.size, 0) AS size,
               coalesce(entering.entered, 0) - coalesce(carried.carried, 0) AS entered,
               coalesce(leaving.left_count, 0) AS left_count, coalesce(leaving.merged, 0) AS merged,
               coalesce(carried.carried, 0) AS carried
        FROM select_rules AS rule
        LEFT JOIN sizes ON sizes.audience = rule.audience
        LEFT JOIN entering ON entering.audience = rule.audience
        LEFT JOIN carried ON carried.audience = rule.audience
        LEFT JOIN leaving ON leaving.audience = rule.audience
        """
    )
    rows = connection.execute(
        "SELECT audience, size, entered, left_count, merged, carried FROM select_sizes"
    ).fetchall()
    return {
        str(name): AudienceReport(name, size, entered, left, merged, carried, removed=name in removed)
        for name, size, entered, left, merged, carried in rows
    }


def _keep_sizes(connection: Connection, run_id: str, as_of: datetime) -> None:
    connection.execute(
        """
        INSERT INTO customers.audience_sizes (as_of, run_id, audience, size, entered, left_count)
        SELECT CAST(? AS TIMESTAMPTZ), ?, audience, size, entered, left_count FROM select_sizes
        """,
        [as_of, run_id],
    )


def _keep_rules(connection: Connection, run_id: str, as_of: datetime) -> None:
    """Write down which rule holds from this run on, where it is another than before."""
    connection.execute(
        f"""
        INSERT INTO customers.audience_rules (audience, rule_fingerprint, definition, first_run, first_as_of)
        SELECT rule.audience, rule.rule_fingerprint, rule.definition, ?, CAST(? AS TIMESTAMPTZ)
        FROM select_rules AS rule
        LEFT JOIN ({LATEST_RULES}) AS latest ON latest.audience = rule.audience
        WHERE latest.audience IS NULL OR latest.rule_fingerprint <> rule.rule_fingerprint
        """,
        [run_id, as_of],
    )
