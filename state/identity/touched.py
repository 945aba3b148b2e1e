"""What a change touches: the values that changed records bear, all bearers of these, and whose they are.

Here and in ``scope.py`` the large tables are read, each once or twice for the few rows in question. What is looked for
in one is a single column with a condition on it, ``IN (SELECT value FROM … WHERE value IS NOT NULL)``: of that DuckDB
makes a Bloom filter, and reads the other columns only where it lets something through. It would see that the condition
is idle if the small table were there before the transaction; those of a run are made in it. Identifiers are looked for
by the hash of their value or record (``hashing.py``), but for those of the records that changed: what came together
stands together, and the ranges of the ids tell at once where it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.blocking import HOT
from millstream.state.identity.joining import hashed

if TYPE_CHECKING:
    from millstream.state.store import Connection


def collect_touched_values(connection: Connection, *, growing: bool) -> None:
    """``resolve_touched_values (kind, value)``: those of changed records, those once shared, and all blocked by now.

    Also ``resolve_borne_now (record_id, kind, value)``: what the changed records bear. A value that is on no changed
    record and was not blocked cannot have become blocked: it may only have lost records.

    Args:
        connection: The open store.
        growing: Whether no record was changed or lost that was there before. Then what stood on too many records
            still does, and its bearers, who are many, need no look.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_borne_now AS
        SELECT record_id, kind, value FROM resolve_joining
        WHERE record_id IN (SELECT record_id FROM resolve_rejoin WHERE record_id IS NOT NULL)
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_touched_values AS
        (SELECT kind, value FROM resolve_borne_now
         UNION
         SELECT kind, value FROM customers.shared_bearers WHERE record_id IN (SELECT record_id FROM resolve_rejoin)
         UNION
         SELECT kind, value FROM customers.blocked_values)
        {f"EXCEPT SELECT kind, value FROM customers.blocked_values WHERE {HOT}" if growing else ""}
        """
    )


def link_touched_values(connection: Connection) -> None:
    """``resolve_value_links (record_id, kind, value)``: all living records that bear a touched value.

    Also ``resolve_known (record_id, profile_id)``: whose they are, and who else may be looked at. Whoever lives is a
    member or has changed since; so nobody has to be looked up among all records.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_bearing AS
        SELECT record_id, kind, value FROM resolve_joining
        WHERE value_hash IN (SELECT {hashed("value")} FROM resolve_touched_values WHERE value IS NOT NULL)
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_known AS
        SELECT record_id, profile_id FROM customers.members
        WHERE record_id IN (SELECT record_id
                            FROM (SELECT record_id FROM resolve_bearing
                                  UNION
                                  SELECT record_id FROM resolve_rejoin
                                  UNION
                                  SELECT record_id FROM customers.contested) AS concerned
                            WHERE record_id IS NOT NULL)
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_value_links AS
        SELECT bearing.record_id, bearing.kind, bearing.value
        FROM resolve_bearing AS bearing
        JOIN resolve_touched_values AS touched ON touched.kind = bearing.kind AND touched.value = bearing.value
        JOIN (
            (SELECT record_id FROM resolve_known UNION SELECT record_id FROM resolve_changed)
            EXCEPT
            SELECT record_id FROM resolve_changed WHERE gone
        ) AS living ON living.record_id = bearing.record_id
        """
    )


def collect_touched_records(connection: Connection) -> None:
    """``resolve_touched (record_id)``: changed records, and those with a touched value unless it was and is blocked."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_touched AS
        SELECT link.record_id
        FROM resolve_value_links AS link
        LEFT JOIN resolve_blocked AS blocked ON blocked.kind = link.kind AND blocked.value = link.value
        LEFT JOIN resolve_turned AS turned ON turned.kind = link.kind AND turned.value = link.value
        WHERE blocked.kind IS NULL OR turned.kind IS NOT NULL
        UNION
        SELECT record_id FROM resolve_rejoin
        """
    )
