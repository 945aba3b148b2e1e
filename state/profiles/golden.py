"""Describe: one row for each profile, made of what its records say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.profiles import survivorship
from millstream.state.profiles.columns import FIXED, LIST, TraitColumn, existing_columns, trait_columns
from millstream.state.profiles.consents import merge_consents
from millstream.state.profiles.freshness import TraitFreshness, measure_freshness
from millstream.state.profiles.people_view import create_people_view, let_columns_go
from millstream.state.profiles.ranking import choose
from millstream.state.profiles.rules import CONTACTS
from millstream.state.profiles.tables import ORIGIN, create_profile_tables, definitions
from millstream.state.sql import quoted
from millstream.state.store import count_rows, drop_temporary_tables

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
        freshness: How fresh the values of each trait are, by its name; also those of email and phone.
    """

    profiles: int
    described: int
    removed: int
    traits: int
    full: bool
    freshness: tuple[TraitFreshness, ...] = ()


def build_profiles(
    connection: Connection,
    rules: SurvivorshipRules,
    *,
    now: datetime,
    full: bool = False,
    declared: Iterable[tuple[str, str]] = (),
    lifetimes: Mapping[str, int | None] | None = None,
) -> ProfilesReport:
    """Bring profiles, the origins of their values, and their consents in step with the records.

    Only the profiles that ``resolve`` has put into ``customers.changed_profiles`` are described anew, and those of whom
    an event has happened by now that lay ahead. All are, when the rules changed or a trait's type no longer fits its
    column.

    Args:
        connection: The open store.
        rules: Whose word counts.
        now: The time of the run, aware; events of the future are not yet seen.
        full: Describe all profiles.
        declared: Name and type of traits that have a column even while no record bears them, so that an audience or
            a sync may name them before their source was read.
        lifetimes: Days for which values of a kind of identifier are believed, where the project says so; for email
            and phone, unless ``rules`` do.

    Raises:
        ConfigurationError: A rule that makes no sense for the type of its trait.
    """
    declared = list(declared)
    rules.check(declared)
    create_profile_tables(connection)
    before = connection.execute("SELECT rules_fingerprint FROM customers.describe_state").fetchone()
    full = full or before != (rules.fingerprint(),)
    if not full:
        full = not _take_changed(connection, rules, now)
    if full:
        _take_all(connection)
    described, gone = _counts(connection)
    if full or described or gone:
        _describe(connection, rules, now, trait_columns(declared, rules), full=full)
    merge_consents(connection, full=full)
    _add_missing(connection, trait_columns(declared, rules))
    create_people_view(connection)
    report = ProfilesReport(
        profiles=count_rows(connection, "customers.profiles"),
        described=described,
        removed=gone,
        traits=len(existing_columns(connection)) - len(FIXED),
        full=full,
        freshness=measure_freshness(connection, rules, kinds=lifetimes or {}, now=now),
    )
    drop_temporary_tables(connection, "describe_")
    return report


def _take_all(connection: Connection) -> None:
    """The scope of a full run; profiles that are gone are in it with ``living`` false."""
    _take(
        connection,
        """
        SELECT coalesce(living.profile_id, described.profile_id) AS profile_id,
               living.profile_id IS NOT NULL AS living
        FROM (SELECT DISTINCT profile_id FROM customers.members) AS living
        FULL JOIN customers.profiles AS described ON described.profile_id = living.profile_id
        """,
    )


def _take_changed(connection: Connection, rules: SurvivorshipRules, now: datetime) -> bool:
    """The scope of a partial run; False where the columns' types do not allow one."""
    connection.execute(
        """
        INSERT INTO customers.changed_profiles
        SELECT profile_id FROM customers.awaited_profiles
        WHERE due_at <= CAST(? AS TIMESTAMPTZ)
          AND profile_id NOT IN (SELECT profile_id FROM customers.changed_profiles)
        """,
        [now],
    )
    _take(
        connection,
        """
        SELECT changed.profile_id, bool_or(member.profile_id IS NOT NULL) AS living
        FROM customers.changed_profiles AS changed
        LEFT JOIN customers.members AS member ON member.profile_id = changed.profile_id
        GROUP BY changed.profile_id
        """,
    )
    existing = existing_columns(connection)
    wanted = trait_columns(survivorship.names_said(connection), rules)
    # Text holds whatever comes; any other type must be the one that the column has.
    return all(existing.get(each.column, each.sql_type) in (each.sql_type, "TEXT") for each in wanted)


def _take(connection: Connection, profiles: str) -> None:
    """``describe_scope (profile, profile_id, living)``, and what the records of these profiles say."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE describe_scope AS
        SELECT CAST(row_number() OVER () AS INTEGER) AS profile, profile_id, living FROM ({profiles}) AS chosen
        """
    )
    survivorship.collect_records(connection)
    survivorship.collect_traits(connection)


def _counts(connection: Connection) -> tuple[int, int]:
    living = count_rows(connection, "describe_scope WHERE living")
    gone = count_rows(
        connection,
        "describe_scope AS scope JOIN customers.profiles AS described ON described.profile_id = scope.profile_id "
        "WHERE NOT scope.living",
    )
    return living, gone


def _describe(
    connection: Connection, rules: SurvivorshipRules, now: datetime, declared: list[TraitColumn], *, full: bool
) -> None:
    names = survivorship.names_said(connection)
    columns = trait_columns(names, rules)
    if full:
        _make_anew(connection, [*declared, *columns])
    else:
        columns = _fit_columns(connection, columns)
    survivorship.collect_contacts(connection)
    survivorship.write_columns(connection, rules, columns, [name for name, _ in names])
    used = [rules.rule(name) for name in (*CONTACTS, *(each.column for each in columns))]
    choose(
        connection,
        {rule.strategy for rule in used if rule.strategy},
        ranked_sources=any(rule.sources for rule in used),
    )
    # The largest of the working tables makes room for what is written now.
    connection.execute("DROP TABLE describe_said")
    if not full:
        for table in ("profiles", "profile_traits_origin", "awaited_profiles"):
            connection.execute(
                f"DELETE FROM customers.{table} WHERE profile_id IN (SELECT profile_id FROM describe_scope)"
            )
    _insert_profiles(connection, columns, now)
    _insert_origins(connection)
    _insert_awaited(connection, now)
    connection.execute(
        "DELETE FROM customers.changed_profiles WHERE profile_id IN (SELECT profile_id FROM describe_scope)"
    )
    connection.execute("DELETE FROM customers.describe_state")
    connection.execute("INSERT INTO customers.describe_state VALUES (?)", [rules.fingerprint()])


def _make_anew(connection: Connection, wanted: list[TraitColumn]) -> None:
    """Empty the table, and leave it no column that nobody fills. Of columns of one name the last counts."""
    columns = FIXED | {each.column: each.sql_type for each in wanted}
    let_columns_go(connection, "profiles", columns)
    connection.execute(f"CREATE OR REPLACE TABLE customers.profiles ({definitions(columns)})")
    for table in ("profile_traits_origin", "awaited_profiles"):
        connection.execute(f"DELETE FROM customers.{table}")


def _fit_columns(connection: Connection, wanted: list[TraitColumn]) -> list[TraitColumn]:
    """Add the columns that are missing."""
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
    """One row for each profile; a trait's number is its place among the columns, and the contacts follow."""
    names = [*(each.column for each in columns), *CONTACTS]
    pivoted = ",\n".join(
        [
            *(f"{_pivot(number, each.sql_type)} AS {quoted(each.column)}" for number, each in enumerate(columns)),
            *(f"{_pivot(len(columns) + place, 'TEXT')} AS {quoted(kind)}" for place, kind in enumerate(CONTACTS)),
        ]
    )
    into = ", ".join(quoted(name) for name in [*(name for name in FIXED if name not in CONTACTS), *names])
    chosen = ", ".join(f"chosen.{quoted(name)}" for name in names)
    connection.execute(
        f"""
        INSERT INTO customers.profiles ({into})
        WITH active AS (
            SELECT record.profile, min(event.happened_at) AS first_event, max(event.happened_at) AS last_event
            FROM customers.events AS event JOIN describe_records AS record ON record.record_id = event.record_id
            WHERE event.happened_at <= CAST(? AS TIMESTAMPTZ)
            GROUP BY record.profile
        ),
        known AS (
            SELECT profile, profile_id, min(observed_at) AS first_record, max(observed_at) AS last_record,
                   count(*) AS records, array_agg(DISTINCT source ORDER BY source NULLS FIRST) AS sources
            FROM describe_records GROUP BY profile, profile_id
        ),
        chosen AS (SELECT profile, {pivoted} FROM describe_chosen GROUP BY profile)
        SELECT known.profile_id,
               CASE WHEN active.first_event < known.first_record THEN active.first_event ELSE known.first_record END,
               CASE WHEN active.last_event > known.last_record THEN active.last_event ELSE known.last_record END,
               known.records, known.sources, {chosen}
        FROM known
        LEFT JOIN active ON active.profile = known.profile
        LEFT JOIN chosen ON chosen.profile = known.profile
        """,
        [now],
    )


def _pivot(number: int, sql_type: str) -> str:
    """The value of the trait with this number, of the rows that a profile has for all traits."""
    if sql_type == LIST:
        return f"array_agg(value ORDER BY value) FILTER (WHERE trait = {number})"
    return f"max(CASE WHEN trait = {number} THEN TRY_CAST(value AS {sql_type}) END)"


def _insert_origins(connection: Connection) -> None:
    connection.execute(
        f"""
        INSERT INTO customers.profile_traits_origin ({", ".join(ORIGIN)})
        SELECT record.profile_id, named.column_name, record.record_id, chosen.observed_at, chosen.value,
               chosen.confirmed_at, chosen.support
        FROM describe_chosen AS chosen
        JOIN describe_records AS record ON record.record = chosen.record
        JOIN (SELECT DISTINCT trait, column_name FROM describe_columns) AS named ON named.trait = chosen.trait
        """
    )


def _insert_awaited(connection: Connection, now: datetime) -> None:
    connection.execute(
        """
        INSERT INTO customers.awaited_profiles
        SELECT record.profile_id, min(event.happened_at)
        FROM customers.events AS event JOIN describe_records AS record ON record.record_id = event.record_id
        WHERE event.happened_at > CAST(? AS TIMESTAMPTZ)
        GROUP BY record.profile_id
        """,
        [now],
    )
