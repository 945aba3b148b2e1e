"""Choosing among what a profile's records say: the best value of each trait, address and number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.profiles.columns import TraitColumn
    from millstream.state.profiles.rules import SurvivorshipRules
    from millstream.state.store import Connection


def collect_traits(connection: Connection) -> None:
    """``describe_traits``: what the records of the profiles in scope say."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE describe_traits AS
        SELECT member.profile_id, lower(trait.name) AS name, trait.value, trait.type, trait.record_id,
               trait.observed_at, record.source, record.stream
        FROM customers.traits AS trait
        JOIN customers.members AS member ON member.record_id = trait.record_id
        JOIN describe_scope AS scope ON scope.profile_id = member.profile_id
        JOIN customers.records AS record ON record.record_id = trait.record_id
        """
    )


def write_trait_rules(connection: Connection, rules: SurvivorshipRules, columns: list[TraitColumn]) -> None:
    """``describe_rules (name, sql_type, strategy)`` and ``describe_ranks (name, source, rank)``."""
    by_name = {name.lower(): rule for name, rule in rules.traits.items()}
    connection.execute("CREATE OR REPLACE TEMP TABLE describe_rules (name TEXT, sql_type TEXT, strategy TEXT)")
    connection.execute("CREATE OR REPLACE TEMP TABLE describe_ranks (name TEXT, source TEXT, rank INTEGER)")
    strategies, ranks = [], []
    for column in columns:
        rule = by_name.get(column.trait)
        strategies.append((column.trait, column.sql_type, rule.strategy if rule else "most_recent"))
        sources = rule.sources if rule and rule.sources else rules.sources
        ranks += [(column.trait, source, rank) for rank, source in enumerate(sources)]
    if strategies:
        connection.executemany("INSERT INTO describe_rules VALUES (?, ?, ?)", strategies)
    if ranks:
        connection.executemany("INSERT INTO describe_ranks VALUES (?, ?, ?)", ranks)


def rank_traits(connection: Connection, rules: SurvivorshipRules, columns: list[TraitColumn]) -> None:
    """``describe_chosen (profile_id, name, value, record_id, observed_at)``: the value that counts.

    A value that cannot be read as its column's type is passed over.
    """
    write_trait_rules(connection, rules, columns)
    counted = any(rule.strategy == "most_frequent" for rule in rules.traits.values())
    bearers = (
        "CASE WHEN rule.strategy = 'most_frequent' THEN "
        "count(*) OVER (PARTITION BY trait.profile_id, trait.name, trait.value) ELSE 0 END"
        if counted
        else "0"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE describe_chosen AS
        WITH readable AS (
            SELECT trait.profile_id, trait.name, trait.value, trait.record_id, trait.observed_at, rule.strategy,
                   {bearers} AS bearers,
                   coalesce(by_stream.rank, by_source.rank, 1000000) AS source_rank
            FROM describe_traits AS trait
            JOIN describe_rules AS rule ON rule.name = trait.name
            LEFT JOIN describe_ranks AS by_source
              ON by_source.name = trait.name AND by_source.source = trait.source
            LEFT JOIN describe_ranks AS by_stream
              ON by_stream.name = trait.name AND by_stream.source = trait.source || '.' || trait.stream
            WHERE CASE rule.sql_type
                      WHEN 'DOUBLE' THEN TRY_CAST(trait.value AS DOUBLE) IS NOT NULL
                      WHEN 'BOOLEAN' THEN TRY_CAST(trait.value AS BOOLEAN) IS NOT NULL
                      WHEN 'DATE' THEN TRY_CAST(trait.value AS DATE) IS NOT NULL
                      WHEN 'TIMESTAMPTZ' THEN TRY_CAST(trait.value AS TIMESTAMPTZ) IS NOT NULL
                      ELSE TRUE
                  END
        ),
        ranked AS (
            SELECT profile_id, name, value, record_id, observed_at,
                   row_number() OVER (
                       PARTITION BY profile_id, name
                       ORDER BY CASE WHEN strategy = 'source_priority' THEN source_rank ELSE 0 END,
                                bearers DESC,
                                CASE WHEN strategy = 'first' THEN observed_at END,
                                observed_at DESC, source_rank, record_id, value) AS rank
            FROM readable
        )
        SELECT profile_id, name, value, record_id, observed_at FROM ranked WHERE rank = 1
        """
    )
    connection.execute("DROP TABLE describe_rules")
    connection.execute("DROP TABLE describe_ranks")


def choose_contacts(connection: Connection) -> None:
    """``describe_contacts (profile_id, kind, value)``: the address and number to reach a profile by.

    The most recent counts. A value on too many records is nobody's own and never chosen; a shared mailbox, or a value
    that is only kept beside the record, is chosen where there is no other.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE describe_contacts AS
        WITH ranked AS (
            SELECT member.profile_id, identifier.kind, identifier.value,
                   row_number() OVER (
                       PARTITION BY member.profile_id, identifier.kind
                       ORDER BY CASE WHEN blocked.kind IS NULL THEN 0 ELSE 1 END,
                                CASE WHEN identifier.merges THEN 0 ELSE 1 END,
                                record.observed_at DESC, identifier.value) AS rank
            FROM customers.identifiers AS identifier
            JOIN customers.members AS member ON member.record_id = identifier.record_id
            JOIN describe_scope AS scope ON scope.profile_id = member.profile_id
            JOIN customers.records AS record ON record.record_id = identifier.record_id
            LEFT JOIN customers.blocked_values AS blocked
              ON blocked.kind = identifier.kind AND blocked.value = identifier.value
            WHERE identifier.kind IN ('email', 'phone') AND coalesce(blocked.reason, 'pattern') = 'pattern'
        )
        SELECT profile_id, kind, value FROM ranked WHERE rank = 1
        """
    )
