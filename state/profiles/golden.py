"""Describe: one row for each profile, made of what its records say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.profiles import survivorship
from millstream.state.profiles.columns import (
    FIXED,
    TraitColumn,
    declared_columns,
    existing_columns,
    quoted,
    trait_columns,
)
from millstream.state.profiles.tables import create_profile_tables, create_table

if TYPE_CHECKING:
    from millstream.state.profiles.rules import SurvivorshipRules
    from millstream.state.store import Connection


@dataclass(frozen=True)
class ProfilesReport:
    """What a run came to.

    Attributes:
        profiles: Profiles there are now.
        described: Profiles that this run described anew.
        removed: Profiles that were merged away or lost their last record.
        traits: Columns that hold traits.
        full: Whether all profiles were described.
    """

    profiles: int
    described: int
    removed: int
    traits: int
    full: bool


def build_profiles(
    connection: Connection,
    rules: SurvivorshipRules,
    *,
    now: datetime,
    full: bool = False,
    declared: Iterable[tuple[str, str]] = (),
) -> ProfilesReport:
    """Bring ``customers.profiles`` and ``customers.profile_traits_origin`` in step with the records.

    Only the profiles that ``resolve`` has put into ``customers.changed_profiles`` are described anew. All are, when the
    rules changed or a trait's type no longer fits its column.

    Args:
        connection: The open store.
        rules: Whose word counts.
        now: The time of the run, aware; events of the future are not yet seen.
        full: Describe all profiles.
        declared: Name and type of traits that have a column even while no record bears them, so that an audience or
            a sync may name them before their source was read.
    """
    create_profile_tables(connection)
    before = connection.execute("SELECT rules_fingerprint FROM customers.describe_state").fetchone()
    full = full or before != (rules.fingerprint(),)
    if not full:
        full = not _take_changed(connection)
    if full:
        _take_all(connection)
    described, gone = _counts(connection)
    if full or described or gone:
        _describe(connection, rules, now, full=full)
    _add_missing(connection, declared_columns(declared))
    report = ProfilesReport(
        profiles=_count(connection, "customers.profiles"),
        described=described,
        removed=gone,
        traits=len(existing_columns(connection)) - len(FIXED),
        full=full,
    )
    connection.execute("DROP TABLE IF EXISTS describe_scope")
    connection.execute("DROP TABLE IF EXISTS describe_traits")
    return report


def _take_all(connection: Connection) -> None:
    """The scope of a full run; profiles that are gone are in it with ``living`` false."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE describe_scope AS
        SELECT coalesce(living.profile_id, described.profile_id) AS profile_id,
               living.profile_id IS NOT NULL AS living
        FROM (SELECT DISTINCT profile_id FROM customers.members) AS living
        FULL JOIN customers.profiles AS described ON described.profile_id = living.profile_id
        """
    )
    survivorship.collect_traits(connection)


def _take_changed(connection: Connection) -> bool:
    """The scope of a partial run; False where the columns' types do not allow one."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE describe_scope AS
        SELECT changed.profile_id, bool_or(member.profile_id IS NOT NULL) AS living
        FROM customers.changed_profiles AS changed
        LEFT JOIN customers.members AS member ON member.profile_id = changed.profile_id
        GROUP BY changed.profile_id
        """
    )
    survivorship.collect_traits(connection)
    existing = existing_columns(connection)
    wanted = trait_columns(connection, "describe_traits")
    # Text holds whatever comes; any other type must be the one that the column has.
    return all(existing.get(each.column, each.sql_type) in (each.sql_type, "TEXT") for each in wanted)


def _counts(connection: Connection) -> tuple[int, int]:
    living = _count(connection, "describe_scope WHERE living")
    gone = _count(
        connection,
        "describe_scope AS scope JOIN customers.profiles AS described ON described.profile_id = scope.profile_id "
        "WHERE NOT scope.living",
    )
    return living, gone


def _count(connection: Connection, relation: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return 0 if row is None else int(row[0])


def _describe(connection: Connection, rules: SurvivorshipRules, now: datetime, *, full: bool) -> None:
    columns = _fit_columns(connection, full=full)
    survivorship.rank_traits(connection, rules, columns)
    survivorship.choose_contacts(connection)
    if not full:
        connection.execute("DELETE FROM customers.profiles WHERE profile_id IN (SELECT profile_id FROM describe_scope)")
        connection.execute(
            "DELETE FROM customers.profile_traits_origin WHERE profile_id IN (SELECT profile_id FROM describe_scope)"
        )
    _insert_profiles(connection, columns, now)
    connection.execute(
        "INSERT INTO customers.profile_traits_origin "
        "SELECT profile_id, name, record_id, observed_at FROM describe_chosen"
    )
    connection.execute(
        "DELETE FROM customers.changed_profiles WHERE profile_id IN (SELECT profile_id FROM describe_scope)"
    )
    connection.execute("DELETE FROM customers.describe_state")
    connection.execute("INSERT INTO customers.describe_state VALUES (?)", [rules.fingerprint()])
    for table in ("describe_chosen", "describe_contacts"):
        connection.execute(f"DROP TABLE {table}")


def _fit_columns(connection: Connection, *, full: bool) -> list[TraitColumn]:
    """Add the columns that are missing; a full run makes the table anew, so that none stays that nobody fills."""
    wanted = trait_columns(connection, "describe_traits")
    if full:
        connection.execute("DROP TABLE customers.profiles")
        connection.execute("DELETE FROM customers.profile_traits_origin")
        create_table(connection, "profiles", FIXED | {each.column: each.sql_type for each in wanted})
        return wanted
    existing = _add_missing(connection, wanted)
    # A column that is text already stays text.
    return [TraitColumn(each.trait, each.column, existing.get(each.column, each.sql_type)) for each in wanted]


def _add_missing(connection: Connection, wanted: list[TraitColumn]) -> dict[str, str]:
    """Add the columns that are not there; give those that were, with their types."""
    existing = existing_columns(connection)
    for each in wanted:
        if each.column not in existing:
            connection.execute(f"ALTER TABLE customers.profiles ADD COLUMN {quoted(each.column)} {each.sql_type}")
    return existing


def _insert_profiles(connection: Connection, columns: list[TraitColumn], now: datetime) -> None:
    names = ", ".join(quoted(name) for name in [*FIXED, *(each.column for each in columns)])
    pivoted = "".join(
        f",\n max(CASE WHEN name = ? THEN TRY_CAST(value AS {each.sql_type}) END) AS {quoted(each.column)}"
        for each in columns
    )
    chosen = "".join(f", chosen.{quoted(each.column)}" for each in columns)
    connection.execute(
        f"""
        INSERT INTO customers.profiles ({names})
        WITH seen AS (
            SELECT member.profile_id, member.record_id, record.source, record.observed_at AS seen_at
            FROM customers.members AS member
            JOIN describe_scope AS scope ON scope.profile_id = member.profile_id
            JOIN customers.records AS record ON record.record_id = member.record_id
        ),
        active AS (
            SELECT seen.profile_id, min(event.happened_at) AS first_event, max(event.happened_at) AS last_event
            FROM customers.events AS event JOIN seen ON seen.record_id = event.record_id
            WHERE event.happened_at <= CAST(? AS TIMESTAMPTZ)
            GROUP BY seen.profile_id
        ),
        known AS (
            SELECT profile_id, min(seen_at) AS first_record, max(seen_at) AS last_record,
                   count(*) AS records, array_agg(DISTINCT source ORDER BY source NULLS FIRST) AS sources
            FROM seen GROUP BY profile_id
        ),
        chosen AS (SELECT profile_id{pivoted} FROM describe_chosen GROUP BY profile_id)
        SELECT known.profile_id,
               CASE WHEN active.first_event < known.first_record THEN active.first_event ELSE known.first_record END,
               CASE WHEN active.last_event > known.last_record THEN active.last_event ELSE known.last_record END,
               known.records, known.sources, email.value, phone.value{chosen}
        FROM known
        LEFT JOIN active ON active.profile_id = known.profile_id
        LEFT JOIN describe_contacts AS email ON email.profile_id = known.profile_id AND email.kind = 'email'
        LEFT JOIN describe_contacts AS phone ON phone.profile_id = known.profile_id AND phone.kind = 'phone'
        LEFT JOIN chosen ON chosen.profile_id = known.profile_id
        """,
        [now, *(each.trait for each in columns)],
    )
