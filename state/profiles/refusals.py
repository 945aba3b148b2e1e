"""Who may be addressed again because what knew of their refusal is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.store import Connection


def remember_refusals(connection: Connection) -> None:
    """``refusals_before (record_id, channel, topic)``: what the people of each record have refused by now."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE refusals_before AS
        SELECT member.record_id, consent.channel, consent.topic
        FROM customers.profile_consents AS consent JOIN customers.members AS member
          ON member.profile_id = consent.profile_id
        WHERE consent.status = 'denied'
        """
    )


def count_lost_refusals(connection: Connection) -> int:
    """How many people had refused to be addressed when they were remembered, and have agreed by now."""
    lost = count(
        connection,
        """
        SELECT count(DISTINCT member.profile_id)
        FROM refusals_before AS before
        JOIN customers.members AS member ON member.record_id = before.record_id
        JOIN customers.profile_consents AS consent
          ON consent.profile_id = member.profile_id AND consent.channel = before.channel
         AND consent.topic = before.topic AND consent.status = 'granted'
        """,
    )
    connection.execute("DROP TABLE refusals_before")
    return lost
