"""Who comes into audiences and who goes, and whether the rules do it or the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class Moves:
    """How many people come into an audience, and how many go."""

    entered: int = 0
    left: int = 0


@dataclass(frozen=True)
class Mover:
    """Somebody who would come or go.

    Attributes:
        profile_id: Who.
        enters: Whether they come; else they go.
        by: Whether the rules do it or what changed in the data; unknown where the old rule is.
    """

    profile_id: str
    enters: bool
    by: Literal["rules", "data", "unknown"]


def compare(connection: Connection, run_id: str) -> None:
    """``preview_moves``: everybody whose membership differs, with whether they were in, would be by the old rule, are.

    Only differences are looked at: who is not among them is in by all three or by none. ``preview_then`` holds who
    would be in by the old rules, of the audiences in ``preview_known``.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE preview_moves AS
        WITH moved AS (
            SELECT audience, profile_id, left_at IS NULL AS is_in FROM customers.memberships
            WHERE (entered_run = ? AND left_at IS NULL AND reason NOT LIKE 'merged from %')
               OR (left_run = ? AND reason NOT LIKE 'merged into %')
        ),
        ruled AS (
            SELECT coalesce(now.audience, old.audience) AS audience,
                   coalesce(now.profile_id, old.profile_id) AS profile_id, now.profile_id IS NOT NULL AS is_in
            FROM (SELECT audience, profile_id FROM customers.memberships
                  WHERE left_at IS NULL AND audience IN (SELECT audience FROM preview_known)) AS now
            FULL JOIN preview_then AS old ON old.audience = now.audience AND old.profile_id = now.profile_id
            WHERE now.profile_id IS NULL OR old.profile_id IS NULL
        )
        SELECT coalesce(moved.audience, ruled.audience) AS audience,
               coalesce(moved.profile_id, ruled.profile_id) AS profile_id,
               coalesce(moved.is_in, ruled.is_in) AS is_in,
               (moved.is_in IS NULL) = coalesce(moved.is_in, ruled.is_in) AS was_in,
               (ruled.is_in IS NULL) = coalesce(moved.is_in, ruled.is_in) AS old_in
        FROM moved FULL JOIN ruled ON ruled.audience = moved.audience AND ruled.profile_id = moved.profile_id
        """,
        [run_id, run_id],
    )


def count_moves(connection: Connection) -> dict[str, tuple[Moves, Moves]]:
    """Who moves by the rules, and who by the data."""
    rows = connection.execute(
        """
        SELECT audience, count(*) FILTER (WHERE is_in AND NOT old_in), count(*) FILTER (WHERE old_in AND NOT is_in),
               count(*) FILTER (WHERE old_in AND NOT was_in), count(*) FILTER (WHERE was_in AND NOT old_in)
        FROM preview_moves GROUP BY audience
        """
    ).fetchall()
    return {str(name): (Moves(*counts[:2]), Moves(*counts[2:])) for name, *counts in rows}


def some_movers(connection: Connection, sample: int) -> dict[str, tuple[Mover, ...]]:
    """So many of those who come into each audience, and as many of those who go."""
    if not sample:
        return {}
    rows = connection.execute(
        """
        SELECT audience, profile_id, is_in, old_in FROM (
            SELECT *, row_number() OVER (PARTITION BY audience, is_in ORDER BY profile_id) AS number
            FROM preview_moves WHERE is_in <> was_in
        ) AS numbered WHERE number <= ? ORDER BY audience, is_in DESC, profile_id
        """,
        [sample],
    ).fetchall()
    found: dict[str, list[Mover]] = {}
    for name, profile_id, is_in, old_in in rows:
        found.setdefault(str(name), []).append(Mover(str(profile_id), is_in, "data" if old_in == is_in else "rules"))
    return {name: tuple(movers) for name, movers in found.items()}
