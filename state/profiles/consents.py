"""Consents: the most restrictive of what any record says of a person, and every denial that reaches them.

A denial holds for the address or number it was given for, on whichever profile that stands: also one that is shared,
or that joins nothing. And the denial of a deleted record holds for whoever else bears one of its identifiers, so that
deleting a contact does not take an opt-out back.

What is denied is worked out anew in every run, which is little. Only the profiles that bear a value which came to be
denied or ceased to be, and those that changed themselves, are written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection


def merge_consents(connection: Connection, *, full: bool) -> None:
    """Bring ``customers.profile_consents`` in step with the records.

    Whoever changes consents, identifiers or members has this done before anybody reads consents again.

    Args:
        connection: The open store.
        full: Write all profiles anew; else those in ``describe_scope`` and those that other denials reach by now.
    """
    _collect_denied(connection)
    if full:
        connection.execute("DELETE FROM customers.profile_consents")
        _insert(connection, "customers.members")
    else:
        _collect_reached(connection)
        connection.execute(
            "DELETE FROM customers.profile_consents WHERE profile_id IN (SELECT profile_id FROM consent_scope)"
        )
        _insert(connection, "consent_members")
    _keep_denied(connection)
    for table in ("consent_denied", "consent_turned", "consent_scope", "consent_members"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def _collect_denied(connection: Connection) -> None:
    """``consent_denied (channel, topic, kind, value)``: the values that a denial was given for."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE consent_denied AS
        WITH denials AS (
            SELECT consent.record_id, consent.channel, consent.topic, record.deleted
            FROM customers.consents AS consent JOIN customers.records AS record ON record.record_id = consent.record_id
            WHERE consent.status = 'denied'
        )
        SELECT DISTINCT denial.channel, denial.topic, identifier.kind, identifier.value
        FROM denials AS denial
        JOIN customers.identifiers AS identifier ON identifier.record_id = denial.record_id
        LEFT JOIN customers.blocked_values AS blocked
          ON blocked.kind = identifier.kind AND blocked.value = identifier.value
        WHERE (denial.channel = 'email' AND identifier.kind = 'email')
           OR (denial.channel IN ('sms', 'phone') AND identifier.kind = 'phone')
           OR (denial.deleted AND identifier.merges AND blocked.kind IS NULL)
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE consent_turned AS
        SELECT coalesce(now.channel, before.channel) AS channel, coalesce(now.topic, before.topic) AS topic,
               coalesce(now.kind, before.kind) AS kind, coalesce(now.value, before.value) AS value,
               now.channel IS NOT NULL AS denied
        FROM consent_denied AS now
        FULL JOIN customers.denied_values AS before
          ON before.channel = now.channel AND before.topic = now.topic
         AND before.kind = now.kind AND before.value = now.value
        WHERE now.channel IS NULL OR before.channel IS NULL
        """
    )


def _collect_reached(connection: Connection) -> None:
    """``consent_scope (profile_id)``: whose consents may have changed; ``consent_members``: their records."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE consent_scope AS
        SELECT profile_id FROM describe_scope
        UNION
        SELECT member.profile_id
        FROM (SELECT DISTINCT kind, value FROM consent_turned) AS turned
        JOIN customers.identifiers AS identifier ON identifier.kind = turned.kind AND identifier.value = turned.value
        JOIN customers.members AS member ON member.record_id = identifier.record_id
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE consent_members AS
        SELECT member.record_id, member.profile_id
        FROM customers.members AS member JOIN consent_scope AS scope ON scope.profile_id = member.profile_id
        """
    )


def _insert(connection: Connection, members: str) -> None:
    """The consents of the profiles that these members make up."""
    connection.execute(
        f"""
        INSERT INTO customers.profile_consents (profile_id, channel, topic, status)
        WITH said AS (
            SELECT member.profile_id, consent.channel, consent.topic,
                   CASE consent.status WHEN 'denied' THEN 2 WHEN 'granted' THEN 1 ELSE 0 END AS weight
            FROM customers.consents AS consent JOIN {members} AS member ON member.record_id = consent.record_id
            UNION ALL
            SELECT member.profile_id, denied.channel, denied.topic, 2 AS weight
            FROM consent_denied AS denied
            JOIN customers.identifiers AS identifier
              ON identifier.kind = denied.kind AND identifier.value = denied.value
            JOIN {members} AS member ON member.record_id = identifier.record_id
        )
        SELECT profile_id, channel, topic,
               CASE max(weight) WHEN 2 THEN 'denied' WHEN 1 THEN 'granted' ELSE 'unknown' END AS status
        FROM said GROUP BY profile_id, channel, topic
        """
    )


def _keep_denied(connection: Connection) -> None:
    """``customers.denied_values``: what is denied by now."""
    connection.execute(
        """
        DELETE FROM customers.denied_values WHERE EXISTS (
            SELECT 1 FROM consent_turned AS turned
            WHERE NOT turned.denied AND turned.channel = denied_values.channel AND turned.topic = denied_values.topic
              AND turned.kind = denied_values.kind AND turned.value = denied_values.value)
        """
    )
    connection.execute(
        "INSERT INTO customers.denied_values SELECT channel, topic, kind, value FROM consent_turned WHERE denied"
    )
