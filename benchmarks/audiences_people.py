"""Made-up customers to select audiences of: profiles with traits, identifiers, consents, and events with a long tail.

Everything is written by SQL from hashes of row numbers: equal sizes give equal rows, whatever the number of threads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from millstream.state.audiences import create_audience_tables
from millstream.state.profiles.people_view import create_people_view
from millstream.state.store import Connection
from millstream.state.traits.tables import create_trait_tables

FIRST_DAY = datetime(2026, 6, 1, tzinfo=UTC)
NEXT_DAY = FIRST_DAY + timedelta(days=1)

_WEB = 10
"""Every so many people have a record of the shop's web site too; half of their events are of it."""

# A number from 0 to 999,999 that depends on the row and on what it is for.
_MACRO = (
    "CREATE OR REPLACE TEMP MACRO drawn(row_number, purpose) AS CAST(hash(row_number, purpose) % 1000000 AS INTEGER)"
)

_PROFILE = "'p_' || substr(md5('person ' || {person}), 1, 16)"
_CRM, _SHOP = "'crm.contacts:' || {person}", "'shop.visitors:' || {person}"

_EVENT_NAMES = """CASE
    WHEN drawn({event}, 'name') < 400000 THEN 'Page Viewed'
    WHEN drawn({event}, 'name') < 600000 THEN 'Product Viewed'
    WHEN drawn({event}, 'name') < 700000 THEN 'Product Added'
    WHEN drawn({event}, 'name') < 760000 THEN 'Order Completed'
    WHEN drawn({event}, 'name') < 860000 THEN 'Email Sent'
    WHEN drawn({event}, 'name') < 930000 THEN 'Email Opened'
    WHEN drawn({event}, 'name') < 960000 THEN 'Email Clicked'
    WHEN drawn({event}, 'name') < 975000 THEN 'Ticket Opened'
    WHEN drawn({event}, 'name') < 990000 THEN 'Signed Up'
    ELSE 'Survey Responded' END"""

# The squares make few people do much, and most events recent.
_SOMEBODY = "CAST(power((hash(event, 'who') % 1000000000) / 1e9, 2) * {last} AS BIGINT)"

_EVENTS = f"""
INSERT INTO customers.events
SELECT 'e' || event AS event_id,
       CASE WHEN person % {_WEB} = 0 AND event % 2 = 0 THEN {_SHOP.format(person="person")}
            ELSE {_CRM.format(person="person")} END AS record_id,
       CASE WHEN person % {_WEB} = 0 AND event % 2 = 0 THEN 'shop' ELSE 'crm' END AS source,
       'events' AS stream, name, name AS original_name, happened_at,
       CASE WHEN name = 'Order Completed' THEN amount END AS value,
       CASE WHEN name = 'Order Completed' THEN 'EUR' END AS currency,
       CASE WHEN name LIKE 'Email%' THEN 'email' WHEN event % 3 = 0 THEN 'app' ELSE 'web' END AS channel,
       CASE WHEN event % 5 = 0 THEN 'campaign ' || event % 40 END AS campaign,
       json_object('category', 'category ' || event % 12, 'size', event % 50, 'gift', event % 9 = 0) AS properties,
       'planned' AS plan_status,
       CASE WHEN name = 'Order Completed' THEN amount END AS value_base, NULL AS violations
FROM (
    SELECT event, {_EVENT_NAMES.format(event="event")} AS name, {{person}} AS person, {{happened_at}} AS happened_at,
           5 + drawn(event, 'amount') % 20000 / 100.0 AS amount
    FROM range({{first}}, {{end}}) AS made(event)
)
"""

_PROFILES = f"""
INSERT INTO customers.profiles
SELECT {_PROFILE.format(person="person")} AS profile_id,
       $first_day::TIMESTAMPTZ - to_days(30 + drawn(person, 'known') % 1500) AS first_seen,
       $first_day::TIMESTAMPTZ AS last_seen,
       CASE WHEN person % {_WEB} = 0 THEN 2 ELSE 1 END AS records,
       ['crm'] AS sources,
       CASE WHEN drawn(person, 'email') < 900000 THEN 'person-' || person || '@box.example' END AS email,
       CASE WHEN drawn(person, 'phone') < 400000 THEN '+1' || (2015550100 + person) END AS phone,
       'country ' || CAST(power(drawn(person, 'country') / 1e6, 2) * 30 AS INTEGER) AS country,
       CASE drawn(person, 'plan') % 4 WHEN 0 THEN 'free' WHEN 1 THEN 'basic' WHEN 2 THEN 'plus' END AS plan,
       drawn(person, 'vip') < 30000 AS vip,
       DATE '1940-01-01' + drawn(person, 'born') % 25000 AS birth_date
FROM range({{first}}, {{end}}) AS made(person)
"""

_COMPUTED = f"""
INSERT INTO customers.computed
SELECT {_PROFILE.format(person="person")} AS profile_id,
       CAST(power(drawn(person, 'orders') / 1e6, 4) * 40 AS BIGINT) AS orders,
       CASE WHEN drawn(person, 'orders') > 350000 THEN round(power(drawn(person, 'money') / 1e6, 5) * 8000, 2) END
           AS revenue,
       CASE WHEN drawn(person, 'orders') > 350000 THEN drawn(person, 'since') % 900 END AS days_since_order,
       drawn(person, 'actions') % 60 AS actions_30,
       CASE drawn(person, 'group') % 5 WHEN 0 THEN 'champions' WHEN 1 THEN 'loyal' WHEN 2 THEN 'at_risk'
            WHEN 3 THEN 'dormant' END AS rfm_group,
       CASE WHEN drawn(person, 'answers') < 80000 THEN drawn(person, 'score') % 11 END AS nps
FROM range({{first}}, {{end}}) AS made(person)
"""

_TRAITS = {"country": "TEXT", "plan": "TEXT", "vip": "BOOLEAN", "birth_date": "DATE"}
_COMPUTED_TRAITS = {
    "orders": "DOUBLE", "revenue": "DOUBLE", "days_since_order": "DOUBLE", "actions_30": "DOUBLE", "rfm_group": "TEXT",
    "nps": "DOUBLE",
}  # fmt: skip

_RECORDS = f"""
INSERT INTO customers.records
SELECT record_id, source, stream, source_key, $at, FALSE, $at FROM made_records;
INSERT INTO customers.members SELECT record_id, {_PROFILE.format(person="person")} FROM made_records;
INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact)
SELECT record_id, kind, value, value, TRUE, value FROM (
    SELECT record_id, 'email' AS kind, 'person-' || person || '@box.example' AS value FROM made_records
    WHERE drawn(person, 'email') < 900000
    UNION ALL
    SELECT record_id, 'phone', '+1' || (2015550100 + person) FROM made_records WHERE drawn(person, 'phone') < 400000
    UNION ALL
    SELECT record_id, 'device_id', 'device ' || person FROM made_records WHERE source = 'shop'
)
"""

_RECORDS_OF = f"""
CREATE OR REPLACE TEMP TABLE made_records AS
SELECT person, {_CRM.format(person="person")} AS record_id, 'crm' AS source, 'contacts' AS stream,
       CAST(person AS TEXT) AS source_key
FROM range({{first}}, {{end}}) AS made(person)
UNION ALL
SELECT person, {_SHOP.format(person="person")}, 'shop', 'visitors', CAST(person AS TEXT)
FROM range({{first}}, {{end}}) AS made(person) WHERE person % {_WEB} = 0
"""

_CONSENTS = f"""
INSERT INTO customers.profile_consents
SELECT {_PROFILE.format(person="person")}, channel, 'marketing',
       CASE WHEN drawn(person, channel) < 550000 THEN 'granted' WHEN drawn(person, channel) < 650000 THEN 'denied'
            ELSE 'unknown' END
FROM range({{first}}, {{end}}) AS made(person), (VALUES ('email'), ('sms')) AS channels(channel)
WHERE drawn(person, channel || ' said') < 700000
"""


def make_people(connection: Connection, *, people: int, events: int) -> None:
    """Fill an empty store: the customer model as resolve leaves it."""
    connection.execute(_MACRO)
    create_audience_tables(connection)
    create_trait_tables(connection)
    for trait, kind in _TRAITS.items():
        connection.execute(f"ALTER TABLE customers.profiles ADD COLUMN {trait} {kind}")
    for trait, kind in _COMPUTED_TRAITS.items():
        connection.execute(f"ALTER TABLE customers.computed ADD COLUMN {trait} {kind}")
    create_people_view(connection)
    _add_people(connection, 0, people)
    _add_events(
        connection,
        0,
        events,
        person=_SOMEBODY.format(last=people - 1),
        happened_at="$first_day::TIMESTAMPTZ - to_seconds(power(drawn(event, 'when') / 1e6, 2) * 63072000)",
    )


def add_a_day(connection: Connection, *, people: int, events: int) -> None:
    """What comes in a day: one in a hundred events is new, as is one in a thousand people; others change or go."""
    connection.execute(_MACRO)
    new = max(1, people // 1000)
    _add_people(connection, people, people + new)
    _add_events(
        connection,
        events,
        events + max(1, events // 100),
        person=_SOMEBODY.format(last=people + new - 1),
        happened_at="$first_day::TIMESTAMPTZ + to_seconds(1 + drawn(event, 'when') % 86398)",
    )
    connection.execute(
        """
        UPDATE customers.computed SET orders = orders + 1, revenue = coalesce(revenue, 0) + 40, days_since_order = 0,
            actions_30 = actions_30 + 3, rfm_group = 'loyal'
        WHERE hash(profile_id) % 100 = 1
        """
    )
    # One in a thousand is merged into whoever was merged into before, one in a thousand vanishes.
    connection.execute(
        """
        INSERT INTO customers.profile_aliases (alias_id, profile_id, run_id, changed_at)
        SELECT gone.profile_id, survivor.profile_id, 'merge', $next_day
        FROM (SELECT profile_id, row_number() OVER (ORDER BY profile_id) AS number FROM customers.profiles
              WHERE hash(profile_id) % 1000 = 3) AS gone
        JOIN (SELECT profile_id, row_number() OVER (ORDER BY profile_id) AS number FROM customers.profiles
              WHERE hash(profile_id) % 1000 = 4) AS survivor ON survivor.number = gone.number
        """,
        {"next_day": NEXT_DAY},
    )
    connection.execute(
        "UPDATE customers.members SET profile_id = alias.profile_id FROM customers.profile_aliases AS alias "
        "WHERE alias.alias_id = members.profile_id"
    )
    connection.execute(
        "DELETE FROM customers.profiles WHERE hash(profile_id) % 1000 = 5 "
        "OR profile_id IN (SELECT alias_id FROM customers.profile_aliases)"
    )


def _add_people(connection: Connection, first: int, end: int) -> None:
    connection.execute(_PROFILES.format(first=first, end=end), {"first_day": FIRST_DAY})
    connection.execute(_COMPUTED.format(first=first, end=end))
    connection.execute(_RECORDS_OF.format(first=first, end=end))
    for statement in _RECORDS.split(";\n"):
        connection.execute(statement, {"at": FIRST_DAY} if "$at" in statement else None)
    connection.execute(_CONSENTS.format(first=first, end=end))
    connection.execute("DROP TABLE made_records")


def _add_events(connection: Connection, first: int, end: int, *, person: str, happened_at: str) -> None:
    connection.execute(
        _EVENTS.format(first=first, end=end, person=person, happened_at=happened_at), {"first_day": FIRST_DAY}
    )
