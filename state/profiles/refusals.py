"""Refusals outlive what is deleted: who must not be addressed because of it is put on the suppression list.

Before a deletion it is remembered who among the people it touches has refused, or is suppressed, and all that they are
known by. After it, whatever of that does not lead to the same refusal any more goes on the list. The list knows
channels and no topics, so a refusal of one topic keeps the whole channel: rather too much than too little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from millstream.state.store import count, write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

_LONGEST_CHANNEL = 32
"""Of the list; who refused on a channel of a longer name is kept out of all."""

_TABLES = ("refused_before", "refused_values", "refused_records", "refusals_lost", "refusal_list", "refusals_touched")


@dataclass
class KeptRefusals:
    """What the suppression list is to have so that refusals outlive a deletion.

    Attributes:
        people: How many people they are of.
        values: Identifiers and profile ids, by channel; the empty one is for all.
    """

    people: int = 0
    values: dict[str, set[str]] = field(default_factory=dict)


def remember_refusals(
    connection: Connection, touched: str, values: Sequence[str], listed: Sequence[Mapping[str, Any]]
) -> None:
    """Remember who refuses or is suppressed among the people whom a deletion touches, and what they are known by.

    Args:
        connection: The open store, in a transaction.
        touched: A select of the ids of the records that the deletion touches.
        values: Of its parameters.
        listed: All entries of the suppression list.
    """
    columns = {name: pa.array([row[name] for row in listed], pa.string()) for name in ("channel", "value_hash")}
    write_arrow(connection, "refusal_list", pa.table(columns))
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE refusals_touched AS
        SELECT touched.record_id, member.profile_id, coalesce(member.profile_id, touched.record_id) AS person
        FROM ({touched}) AS touched LEFT JOIN customers.members AS member ON member.record_id = touched.record_id
        """,
        list(values),
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE refused_records AS
        SELECT person, record_id FROM refusals_touched
        UNION
        SELECT member.profile_id, member.record_id FROM customers.members AS member
        WHERE member.profile_id IN (SELECT profile_id FROM refusals_touched)
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE refused_before AS
        SELECT person, channel, why FROM ({_REFUSED}) AS refused
        WHERE person IN (SELECT person FROM refused_records)
        UNION
        SELECT bearer.person, listed.channel, '' FROM refused_records AS bearer
        JOIN customers.identifiers AS held ON held.record_id = bearer.record_id
        JOIN refusal_list AS listed ON listed.value_hash = sha256(held.value)
        UNION
        SELECT bearer.person, listed.channel, '' FROM refused_records AS bearer
        JOIN customers.identifiers AS held ON held.record_id = bearer.record_id
        JOIN refusal_list AS listed ON listed.value_hash = sha256(held.contact)
        UNION
        SELECT bearer.person, consent.channel, 'said ' || consent.topic FROM refused_records AS bearer
        JOIN customers.consents AS consent ON consent.record_id = bearer.record_id AND consent.status = 'denied'
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE refused_values AS
        SELECT DISTINCT refused.person, refused.channel, refused.why,
            held.kind, held.value, held.contact, false AS denied
        FROM refused_before AS refused JOIN refused_records AS bearer ON bearer.person = refused.person
        JOIN customers.identifiers AS held ON held.record_id = bearer.record_id
        LEFT JOIN customers.blocked_values AS blocked ON blocked.kind = held.kind AND blocked.value = held.value
        WHERE (held.merges OR held.kind IN ('email', 'phone')) AND blocked.kind IS NULL
        UNION
        -- A denial holds for whoever bears the value that it was given for, also where that is nobody's own.
        SELECT bearer.person, said.channel, 'said ' || said.topic, held.kind, held.value, held.contact, true
        FROM refused_records AS bearer JOIN customers.identifiers AS held ON held.record_id = bearer.record_id
        JOIN customers.denied_values AS said ON said.kind = held.kind AND said.value = held.value
        """
    )


# Who refuses or is suppressed: what is on the list names a person by the profile, one merged into it, or a value.
_REFUSED = """
    SELECT profile_id AS person, channel, 'said ' || topic AS why FROM customers.profile_consents
    WHERE status = 'denied'
    UNION
    SELECT member.profile_id, listed.channel, '' FROM customers.members AS member
    JOIN refusal_list AS listed ON listed.value_hash = sha256(member.profile_id)
    UNION
    SELECT alias.profile_id, listed.channel, '' FROM customers.profile_aliases AS alias
    JOIN refusal_list AS listed ON listed.value_hash = sha256(alias.alias_id)
    UNION
    SELECT member.profile_id, listed.channel, '' FROM customers.members AS member
    JOIN customers.identifiers AS held ON held.record_id = member.record_id
    JOIN refusal_list AS listed ON listed.value_hash = sha256(held.value)
"""


def lost_refusals(connection: Connection) -> KeptRefusals:
    """What of the remembered does not keep its people from being addressed any more, once the deletion is done."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE refused_after AS {_REFUSED}")
    stands = "after.channel = one.channel AND after.why = one.why"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE refusals_lost AS
        WITH lost AS (
            SELECT person, channel, value, contact FROM refused_values AS one
            WHERE (one.denied OR NOT EXISTS (
                SELECT 1 FROM customers.identifiers AS held
                JOIN customers.members AS member ON member.record_id = held.record_id
                JOIN refused_after AS after ON after.person = member.profile_id
                WHERE held.kind = one.kind AND held.value = one.value AND {stands}
            )) AND NOT EXISTS (
                SELECT 1 FROM customers.denied_values AS said
                WHERE said.kind = one.kind AND said.value = one.value AND said.channel = one.channel
                  AND 'said ' || said.topic = one.why
            )
        ),
        names AS (
            SELECT person, channel, value AS name FROM lost
            UNION
            SELECT person, channel, contact FROM lost WHERE contact IS NOT NULL
            UNION
            SELECT one.person, one.channel, member.profile_id
            FROM refused_before AS one JOIN refused_records AS bearer ON bearer.person = one.person
            JOIN customers.members AS member ON member.record_id = bearer.record_id
            WHERE NOT EXISTS (SELECT 1 FROM refused_after AS after WHERE after.person = member.profile_id AND {stands})
        )
        SELECT person, CASE WHEN length(channel) > {_LONGEST_CHANNEL} THEN '' ELSE channel END AS channel, name
        FROM names
        WHERE NOT EXISTS (
            SELECT 1 FROM refusal_list AS listed
            WHERE listed.value_hash = sha256(names.name) AND listed.channel IN ('', names.channel)
        )
        """
    )
    kept = KeptRefusals(people=count(connection, "SELECT count(DISTINCT person) FROM refusals_lost"))
    for channel, name in connection.execute("SELECT DISTINCT channel, name FROM refusals_lost").fetchall():
        kept.values.setdefault(str(channel), set()).add(str(name))
    for table in (*_TABLES, "refused_after"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    return kept
