"""Which part each old id goes with, where its profile fell apart: by numbers, or by whose the records were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.joining import is_empty

if TYPE_CHECKING:
    from millstream.state.store import Connection


def count_overlap(connection: Connection) -> None:
    """``resolve_overlap (label, profile_id, members, rank)``: rank 1 is the part that an old id goes with.

    Of parts that are as large the one that has fewest members which an alias brought along. Where people were taken
    apart by hand, the members whom no alias brought count first, and of all only those that the decision names: the
    alias gets back what it brought, however many they are, and who came later takes no id away.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_overlap AS
        SELECT part.label, before.profile_id, count(*) AS members, 1 AS rank
        FROM resolve_parts AS part JOIN resolve_before AS before ON before.record_id = part.record_id
        GROUP BY part.label, before.profile_id
        """
    )
    _collect_taken_apart(connection)
    if is_empty(connection, f"({_FALLING_APART}) AS falling_apart"):
        return
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_ranks AS
        WITH counted AS (
            SELECT part.label, before.profile_id, apart.profile_id IS NOT NULL AS by_hand, count(*) AS members,
                   count(CASE WHEN apart.profile_id IS NULL OR named.record_id IS NOT NULL THEN 1 END) AS named,
                   count(CASE WHEN (apart.profile_id IS NULL OR named.record_id IS NOT NULL)
                               AND brought.record_id IS NOT NULL THEN 1 END) AS guests
            FROM resolve_parts AS part
            JOIN resolve_before AS before ON before.record_id = part.record_id
            LEFT JOIN (SELECT DISTINCT profile_id FROM resolve_taken_apart) AS apart
              ON apart.profile_id = before.profile_id
            LEFT JOIN resolve_named AS named ON named.record_id = part.record_id
            LEFT JOIN (SELECT DISTINCT merged.record_id, alias.profile_id
                       FROM customers.merged_members AS merged
                       JOIN customers.profile_aliases AS alias ON alias.alias_id = merged.from_id
                       WHERE alias.profile_id IN ({_FALLING_APART})) AS brought
              ON brought.record_id = part.record_id AND brought.profile_id = before.profile_id
            WHERE before.profile_id IN ({_FALLING_APART})
            GROUP BY part.label, before.profile_id, apart.profile_id IS NOT NULL
        )
        SELECT label, profile_id,
               row_number() OVER (PARTITION BY profile_id
                                  ORDER BY CASE WHEN by_hand THEN named - guests ELSE members END DESC,
                                           guests, members DESC, label) AS rank
        FROM counted
        """
    )
    connection.execute(
        """
        UPDATE resolve_overlap SET rank = ranks.rank FROM resolve_ranks AS ranks
        WHERE ranks.label = resolve_overlap.label AND ranks.profile_id = resolve_overlap.profile_id
        """
    )


_FALLING_APART = "SELECT profile_id FROM resolve_overlap GROUP BY profile_id HAVING count(*) > 1"


def _collect_taken_apart(connection: Connection) -> None:
    """``resolve_taken_apart (profile_id, decision_id, decision)``: profiles that fall apart because people want it.

    A decision holds their records apart from now on, or the one that had merged them was revoked since the last run.
    The records that decide who is who then are ``resolve_named (record_id)``.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE resolve_taken_apart (profile_id TEXT, decision_id TEXT, decision TEXT)"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_named (record_id TEXT)")
    if is_empty(connection, "customers.identity_decisions"):
        return
    connection.execute(
        """
        INSERT INTO resolve_taken_apart
        SELECT before.profile_id, decision.decision_id, decision.decision
        FROM customers.identity_decisions AS decision
        JOIN resolve_before AS before ON before.record_id = decision.record_id
        WHERE (decision.decision = 'unmerge' AND decision.revoked_at IS NULL)
           OR (decision.decision = 'merge' AND decision.revoked_at IS NOT NULL
               AND decision.record_id IN (SELECT record_id FROM customers.rejoin))
        GROUP BY before.profile_id, decision.decision_id, decision.decision
        HAVING min(decision.side) < max(decision.side)
        """
    )
    # An unmerge knows best who was there before; the merge that it revoked may name more.
    connection.execute(
        """
        INSERT INTO resolve_named
        SELECT DISTINCT decision.record_id
        FROM resolve_taken_apart AS apart
        JOIN customers.identity_decisions AS decision ON decision.decision_id = apart.decision_id
        JOIN resolve_before AS before
          ON before.record_id = decision.record_id AND before.profile_id = apart.profile_id
        WHERE apart.decision = 'unmerge'
           OR apart.profile_id NOT IN (SELECT profile_id FROM resolve_taken_apart WHERE decision = 'unmerge')
        """
    )
