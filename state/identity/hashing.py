"""Hashes of record ids and identifier values, kept beside them in ``customers.identifiers``.

Ten million small whole numbers are looked through in less than half the time that their texts take. Two texts may have
one hash: whoever looks by hashes compares the texts afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.joining import PROBE, hashed, is_empty

if TYPE_CHECKING:
    from millstream.state.store import Connection


def keep_hashes(connection: Connection) -> None:
    """Work out the hashes that are not there yet, as in a store of an older version.

    All of them where the engine hashes in another way than when it worked them out.
    """
    missing = "record_hash IS NULL"
    if is_empty(connection, f"customers.hashed_by WHERE probe = {PROBE}"):
        missing = "TRUE"
        connection.execute("DELETE FROM customers.hashed_by")
        connection.execute(f"INSERT INTO customers.hashed_by VALUES ({PROBE})")
    if not is_empty(connection, f"customers.identifiers WHERE {missing}"):
        connection.execute(
            f"""
            UPDATE customers.identifiers
            SET record_hash = {hashed("record_id")}, value_hash = {hashed("value")} WHERE {missing}
            """
        )
