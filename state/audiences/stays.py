"""Stays in audiences: which end and which begin by what was worked out, and why.

``select_now`` holds who is in which audience, ``select_rules`` by which rule.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.sql import literal

if TYPE_CHECKING:
    from millstream.state.store import Connection

REMOVED = "audience removed"
"""Why the stays in an audience ended that the project no longer has."""
WITHDRAWN = "consent withdrawn"
"""Why a stay ended in an audience that otherwise stands still."""


def among(names: Collection[str]) -> str:
    """Audiences as a list for ``IN``."""
    return f"({', '.join(literal(name) for name in names) or 'NULL'})"


def compare(connection: Connection, held: Collection[str]) -> None:
    """``select_changes``: whose stay ends and whose begins; why they end, and who stands for whom."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE select_changes AS
        SELECT coalesce(stay.audience, now.audience) AS audience,
               coalesce(stay.profile_id, now.profile_id) AS profile_id, stay.profile_id IS NULL AS entering,
               stay.entered_at, stay.entered_run, stay.rule_fingerprint
        FROM (SELECT * FROM customers.memberships WHERE left_at IS NULL
              AND audience IN (SELECT audience FROM select_rules)) AS stay
        FULL JOIN select_now AS now ON now.audience = stay.audience AND now.profile_id = stay.profile_id
        WHERE stay.profile_id IS NULL OR now.profile_id IS NULL
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE select_leaving AS
        SELECT stay.audience, stay.profile_id, stay.entered_at, stay.entered_run, alias.profile_id AS survivor_id,
               rule.definition IS NOT NULL AND alias.profile_id IS NOT NULL AS merged,
               CASE WHEN rule.definition IS NULL THEN '{REMOVED}'
                    WHEN alias.profile_id IS NOT NULL THEN 'merged into ' || alias.profile_id
                    WHEN profile.profile_id IS NULL THEN 'profile removed'
                    WHEN stay.audience IN {among(held)} THEN '{WITHDRAWN}'
                    WHEN stay.rule_fingerprint <> rule.rule_fingerprint THEN 'rule changed'
                    ELSE 'no longer meets the rule' END AS reason
        FROM select_changes AS stay
        JOIN select_rules AS rule ON rule.audience = stay.audience
        LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = stay.profile_id
        LEFT JOIN customers.profiles AS profile ON profile.profile_id = stay.profile_id
        WHERE NOT stay.entering
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE select_carried AS
        SELECT stay.audience, stay.survivor_id AS profile_id, stay.profile_id AS merged_id, stay.entered_at,
               stay.entered_run
        FROM (
            SELECT *, row_number() OVER (PARTITION BY audience, survivor_id ORDER BY entered_at, profile_id) AS rank
            FROM select_leaving WHERE merged
        ) AS stay
        JOIN select_changes AS now
          ON now.entering AND now.audience = stay.audience AND now.profile_id = stay.survivor_id
        WHERE stay.rank = 1
        """
    )


def close_stays(connection: Connection, run_id: str, as_of: datetime) -> None:
    """End stays, each with its reason."""
    connection.execute(
        """
        UPDATE customers.memberships SET left_at = ?, left_run = ?, reason = leaving.reason
        FROM select_leaving AS leaving
        WHERE memberships.left_at IS NULL
          AND leaving.audience = memberships.audience AND leaving.profile_id = memberships.profile_id
        """,
        [as_of, run_id],
    )


def open_stays(connection: Connection, run_id: str, as_of: datetime) -> None:
    """Begin stays; a survivor of a merge has been a member for as long as the id it stands for."""
    connection.execute(
        """
        INSERT INTO customers.memberships (audience, profile_id, entered_at, entered_run, rule_fingerprint, reason)
        SELECT entering.audience, entering.profile_id, coalesce(carried.entered_at, CAST(? AS TIMESTAMPTZ)),
               coalesce(carried.entered_run, ?), rule.rule_fingerprint,
               coalesce('merged from ' || carried.merged_id, 'meets the rule')
        FROM select_changes AS entering
        JOIN select_rules AS rule ON rule.audience = entering.audience
        LEFT JOIN select_carried AS carried
          ON carried.audience = entering.audience AND carried.profile_id = entering.profile_id
        WHERE entering.entering
        """,
        [as_of, run_id],
    )


def follow_rules(connection: Connection) -> None:
    """Whoever stays on is a member by the rule of today."""
    connection.execute(
        """
        UPDATE customers.memberships SET rule_fingerprint = rule.rule_fingerprint
        FROM select_rules AS rule
        WHERE memberships.left_at IS NULL AND rule.audience = memberships.audience
          AND rule.rule_fingerprint <> memberships.rule_fingerprint
        """
    )
