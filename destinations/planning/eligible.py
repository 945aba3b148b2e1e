"""``held``: rows of ``desired`` that may not be addressed, each with the reason; they are taken out of it.

In this order: the suppression list, consent, holdouts, priority lists. Consent fails closed: no record means no.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from millstream.destinations.modes import SyncMode
from millstream.destinations.planning.places import row_place
from millstream.destinations.rules import Holdout, Restraints, Suppression
from millstream.destinations.sync import Sync
from millstream.state.amounts import counted
from millstream.state.consent import ConsentRequirement
from millstream.state.errors import ConfigurationError
from millstream.state.sql import literal, union_all
from millstream.state.store import column_types, count_rows, write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

_NO_CONSENT = "consent"
"""A reason until what the person said instead is put to it."""


def hold_back(
    connection: Connection, name: str, sync: Sync, restraints: Restraints, *, run_id: str, now: datetime
) -> dict[str, int]:
    """Take out of ``desired`` who may not be addressed; keep who is held back, and log who newly is.

    To be taken out is not to be addressed, so nobody is held back from what only takes people out.

    Returns:
        How many are held back, by why.
    """
    reasons = _reasons(connection, name, sync, restraints)
    by_why: dict[str, int] = {}
    if reasons and _judge(connection, reasons, _joins(sync, restraints)):
        _make_held(connection, sync)
        connection.execute("DELETE FROM desired WHERE match_value IN (SELECT match_value FROM held)")
        _keep_held(connection, name, run_id, now)
        by_why = _held_by_why(connection)
        connection.execute("DROP TABLE held")
    else:
        connection.execute("DELETE FROM delivery.suppressed WHERE sync = ?", [name])
    connection.execute("DROP TABLE IF EXISTS judged; DROP TABLE IF EXISTS suppressed_rows")
    return by_why


def _judge(connection: Connection, reasons: Sequence[tuple[str, str]], joins: str) -> int:
    """``judged``: the places in ``desired`` of rows that are held back, and why; how many they are.

    Nearly nobody is, in most runs, so that only what judging takes is read of everybody.
    """
    reason = " ".join(f"WHEN {when} THEN {then}" for when, then in reasons)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH everybody AS (
            SELECT desired.{row_place(connection)} AS place, CAST(CASE {reason} END AS TEXT) AS reason
            FROM desired {joins}
        )
        SELECT * FROM everybody WHERE reason IS NOT NULL
        """
    )
    return count_rows(connection, "judged")


def _make_held(connection: Connection, sync: Sync) -> None:
    """``held``: match value and profile of those rows, and the reason in full: also what people said for a consent."""
    reason, joined = "judged.reason", ""
    if sync.consent != "not_needed":
        said = "'consent: ' || coalesce(consents.status, 'no consent record')"
        reason = f"CASE WHEN judged.reason = {literal(_NO_CONSENT)} THEN {said} ELSE judged.reason END"
        joined = f"LEFT JOIN ({consents_for(sync.consent)}) AS consents ON consents.profile_id = desired.profile_id"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE held AS
        SELECT desired.match_value, desired.profile_id, {reason} AS reason
        FROM judged JOIN desired ON desired.{row_place(connection)} = judged.place {joined}
        """
    )


def _held_by_why(connection: Connection) -> dict[str, int]:
    found = connection.execute(
        """
        SELECT CASE WHEN reason LIKE 'suppression list%' THEN 'suppression list' WHEN reason LIKE 'consent%' THEN
            'consent' WHEN reason LIKE 'holdout%' THEN 'holdout' ELSE 'priority' END AS why, count(*)
        FROM held GROUP BY why ORDER BY why
        """
    ).fetchall()
    return {str(why): int(rows) for why, rows in found}


def _reasons(connection: Connection, name: str, sync: Sync, restraints: Restraints) -> list[tuple[str, str]]:
    """Conditions under which a row is kept back, each with the reason as SQL; the first that holds counts."""
    reasons: list[tuple[str, str]] = []
    if sync.mode is SyncMode.REMOVE:
        return reasons
    if restraints.suppressions:
        find_suppressed(connection, "desired", restraints.suppressions)
        reasons.append(("suppressed_rows.reason IS NOT NULL", "'suppression list: ' || suppressed_rows.reason"))
    if sync.consent != "not_needed":
        reasons.append(("granted.granted IS DISTINCT FROM true", literal(_NO_CONSENT)))
    if sync.has_holdouts:
        reasons += _held_out(connection, name, restraints.holdouts)
        reasons += [(_is_member(audience), literal(f"priority: {audience}")) for audience in restraints.earlier]
    return reasons


def _joins(sync: Sync, restraints: Restraints) -> str:
    joins = []
    if restraints.suppressions:
        joins.append("LEFT JOIN suppressed_rows ON suppressed_rows.match_value = desired.match_value")
    if sync.consent != "not_needed":
        granted = f"SELECT profile_id, status = 'granted' AS granted FROM ({consents_for(sync.consent)}) AS consents"
        joins.append(f"LEFT JOIN ({granted}) AS granted ON granted.profile_id = desired.profile_id")
    return " ".join(joins)


def consents_for(consent: ConsentRequirement) -> str:
    """A select of what each profile said, for one channel and topic."""
    return (
        "SELECT profile_id, status FROM customers.profile_consents "
        f"WHERE channel = {literal(consent.channel)} AND topic = {literal(consent.topic)}"
    )


def find_suppressed(connection: Connection, rows: str, suppressions: Sequence[Suppression]) -> None:
    """Make the temporary table ``suppressed_rows``: match value and reason of rows that the suppression list names.

    The list names a person by the match value, the profile id, also one that was merged into it, or any value that one
    of the person's records has.
    """
    write_arrow(
        connection,
        "suppression_list",
        pa.table(
            {
                "value_hash": pa.array([one.value_hash for one in suppressions], pa.string()),
                "reason": pa.array([one.reason for one in suppressions], pa.string()),
            }
        ),
    )
    names = [
        f"SELECT match_value, sha256(match_value) AS value_hash FROM {rows}",
        f"SELECT match_value, sha256(profile_id) FROM {rows} WHERE profile_id IS NOT NULL",
    ]
    if column_types(connection, "customers", "profile_aliases"):
        names.append(
            f"""SELECT one.match_value, sha256(alias.alias_id) FROM {rows} AS one
            JOIN customers.profile_aliases AS alias ON alias.profile_id = one.profile_id"""
        )
    if column_types(connection, "customers", "members"):
        names.append(
            f"""SELECT one.match_value, sha256(held.value) FROM {rows} AS one
            JOIN customers.members AS member ON member.profile_id = one.profile_id
            JOIN customers.identifiers AS held ON held.record_id = member.record_id"""
        )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE suppressed_rows AS
        SELECT named.match_value, min(listed.reason) AS reason
        FROM ({union_all(names if suppressions else names[:1])}) AS named
        JOIN suppression_list AS listed ON listed.value_hash = named.value_hash
        GROUP BY named.match_value
        """
    )
    connection.execute("DROP TABLE suppression_list")


def _held_out(connection: Connection, name: str, holdouts: Sequence[Holdout]) -> list[tuple[str, str]]:
    if not holdouts:
        return []
    without = connection.execute("SELECT count(*) FROM desired WHERE profile_id IS NULL").fetchone()
    if without and without[0]:
        raise ConfigurationError(
            f"{counted(without[0], 'row')} without profile_id: nobody knows who of them is held out; nothing is sent.",
            where=f"sync {name}",
            remedy="select profile_id too, or say holdout: false for this sync.",
        )
    return [(f"{in_holdout('desired.profile_id', one)}", literal(f"holdout: {one.name}")) for one in holdouts]


def in_holdout(profile_id: str, holdout: Holdout) -> str:
    """The condition that a person is held out: the same answer for ever, and in every database.

    The first eight digits of a salted hash are spread evenly from 00000000 to ffffffff.
    """
    limit = format(min(int(holdout.share * 2**32), 2**32 - 1), "08x")
    return f"substr(md5({literal(holdout.salt)} || {profile_id}), 1, 8) < {literal(limit)}"


def _is_member(audience: str) -> str:
    return (
        "EXISTS (SELECT 1 FROM customers.memberships AS earlier WHERE earlier.profile_id = desired.profile_id "
        f"AND earlier.audience = {literal(audience)} AND earlier.left_at IS NULL)"
    )


def _keep_held(connection: Connection, name: str, run_id: str, now: datetime) -> None:
    """Keep who is held back now, and log those who were not, or for another reason."""
    facts = {"sync": name, "run": run_id, "now": now}
    connection.execute(
        """
        DELETE FROM delivery.suppressed AS known WHERE sync = $sync AND NOT EXISTS (
            SELECT 1 FROM held WHERE held.match_value = known.match_value AND held.reason = known.reason
        )
        """,
        {"sync": name},
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE newly_held AS
        SELECT match_value, profile_id, reason FROM held WHERE NOT EXISTS (
            SELECT 1 FROM delivery.suppressed AS known
            WHERE known.sync = $sync AND known.match_value = held.match_value
        )
        """,
        {"sync": name},
    )
    connection.execute(
        "INSERT INTO delivery.suppressed SELECT $sync, match_value, profile_id, reason, $now FROM newly_held",
        {"sync": name, "now": now},
    )
    connection.execute(
        """
        INSERT INTO delivery.outcomes
            (sync, plan_id, operation, match_value, profile_id, status, code, reason, settled_at)
        SELECT $sync, $run, 'hold', match_value, profile_id, 'suppressed', 'held_back', reason, $now FROM newly_held
        """,
        facts,
    )
    connection.execute("DROP TABLE newly_held")
