"""Records that many rows name, as events do: what becomes of them when one of these rows is corrected or deleted.

Only the latest version of a row is kept. So whom a row named before is known by the events that are filed under them,
and what the other rows say of them is read anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.model.declarations import People
from millstream.state.model.identifiers import said_select
from millstream.state.sql import union_all
from millstream.state.store import count_rows

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

_ROW = "regexp_replace(event_id, '#[0-9]+$', '')"
"""The row that an event comes from."""


def find_filed(connection: Connection, source: str, stream: str) -> None:
    """``filed (event_id, record_id, happened_at)``: the events that the rows of ``incoming`` told before."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE filed AS
        SELECT event_id, record_id, happened_at FROM customers.events
        WHERE source = $source AND stream = $stream AND {_ROW} IN (SELECT _record_id FROM incoming)
        """,
        {"source": source, "stream": stream},
    )


def find_doubted(connection: Connection) -> bool:
    """``doubted (record_id)``: of whom events were ``filed``, and who bear what no row of ``incoming`` says now.

    Who bears an identifier that was deleted by hand is none of them: how rows write it may not be kept.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE doubted AS
        SELECT DISTINCT known.record_id
        FROM customers.identifiers AS known
        LEFT JOIN said ON said.record_id = known.record_id AND said.kind = known.kind AND said.value = known.value
        WHERE known.record_id IN (SELECT record_id FROM filed) AND said.record_id IS NULL
          AND known.record_id NOT IN (SELECT record_id FROM customers.unheard_identifiers)
        """
    )
    return count_rows(connection, "doubted") > 0


def add_rows_of_doubted(
    connection: Connection, people: People, rules: IdentityRules, rows: str, *, account: str
) -> None:
    """Add to ``incoming`` all rows that may name the doubted.

    Args:
        connection: The open store.
        people: What the stream says about people.
        rules: How identifiers are spelled.
        rows: All rows of the stream, as a SELECT (``rows_select``).
        account: Name of the vendor's account.
    """
    said = union_all(
        said_select(position, each, rules, account, f"({rows}) AS each_time")
        for position, each in enumerate(people.identifiers)
    )
    connection.execute(
        f"""
        INSERT INTO incoming
        WITH borne AS (
            SELECT value FROM customers.identifiers WHERE record_id IN (SELECT record_id FROM doubted)
        ),
        written AS (
            SELECT original FROM customers.normalised WHERE value IN (
                SELECT value FROM borne
                UNION
                -- What means a person only within one account begins with its name.
                SELECT substr(value, strpos(value, ':') + 1) FROM borne
            )
        )
        SELECT * FROM ({rows}) AS every WHERE _record_id IN (
            SELECT record_id FROM ({said}) AS said WHERE original IN (SELECT original FROM written)
            EXCEPT
            SELECT _record_id FROM incoming
        )
        """
    )


def forget_doubted(connection: Connection, source: str, stream: str, now: datetime) -> None:
    """Forget what the doubted bear; whom no row names any more is deleted. ``said`` is what all their rows say.

    Of whom an event tells whose row is not there any more nothing is forgotten.
    """
    connection.execute(
        f"""
        DELETE FROM doubted WHERE record_id IN (
            SELECT event.record_id
            FROM customers.events AS event LEFT JOIN incoming AS there ON there._record_id = {_ROW}
            WHERE event.source = $source AND event.stream = $stream AND there._record_id IS NULL
        )
        """,
        {"source": source, "stream": stream},
    )
    connection.execute("DELETE FROM customers.identifiers WHERE record_id IN (SELECT record_id FROM doubted)")
    connection.execute(
        """
        UPDATE customers.records SET deleted = true, modelled_at = ?
        WHERE record_id IN (SELECT record_id FROM doubted EXCEPT SELECT record_id FROM said)
        """,
        [now],
    )
    connection.execute("DROP TABLE doubted")


def mark_changed(connection: Connection, now: datetime) -> None:
    """Tell later steps of everybody who has other events than before: ``happened`` instead of ``filed``."""
    connection.execute(
        """
        UPDATE customers.records SET modelled_at = $now
        WHERE record_id IN (
            SELECT record_id FROM (SELECT * FROM filed EXCEPT SELECT event_id, record_id, happened_at FROM happened)
                AS gone
            UNION
            SELECT record_id FROM (
                SELECT event_id, record_id, happened_at FROM happened
                WHERE record_id IN (SELECT record_id FROM customers.records WHERE modelled_at < $now)
                EXCEPT
                SELECT * FROM filed
            ) AS new
        )
        """,
        {"now": now},
    )
