"""Consistency: people of whom two sources say different things."""

from __future__ import annotations

from millstream.state.quality.looking import Finding, Look, found


def consistency(look: Look) -> list[Finding]:
    """By trait and pair of sources: people of whom both say something, and those of whom it differs.

    The latest word of each source counts; case and spaces around a value do not.
    """
    rows = look.rows(
        """
        WITH several AS (
            SELECT said.name FROM customers.traits AS said
            JOIN customers.records AS record ON record.record_id = said.record_id
            GROUP BY said.name HAVING count(DISTINCT record.source) > 1
        ),
        ranked AS (
            SELECT member.profile_id, said.name, record.source, lower(trim(said.value)) AS value,
                   row_number() OVER (PARTITION BY member.profile_id, said.name, record.source
                                      ORDER BY said.observed_at DESC, said.record_id, said.value) AS place
            FROM customers.traits AS said
            JOIN several ON several.name = said.name
            JOIN customers.records AS record ON record.record_id = said.record_id
            JOIN customers.members AS member ON member.record_id = said.record_id
            WHERE NOT record.deleted
        ),
        latest AS (SELECT profile_id, name, source, value FROM ranked WHERE place = 1)
        SELECT one.source || ' / ' || other.source, one.name, count(*),
               count(CASE WHEN one.value <> other.value THEN 1 END)
        FROM latest AS one
        JOIN latest AS other
          ON other.profile_id = one.profile_id AND other.name = one.name AND other.source > one.source
        GROUP BY one.source, other.source, one.name ORDER BY one.source, other.source, one.name
        """
    )
    return found("consistency", rows)
