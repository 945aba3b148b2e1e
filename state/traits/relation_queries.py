"""The queries behind the relations that trait sets compute from (``relations.py``), in DuckDB's dialect.

Their definitions are those that docs/traits.md tells. They read ``events`` and each other by these bare names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millstream.state.profiles.columns import SQL_TYPES, existing_columns
from millstream.state.sql import json_path, literal, number, quoted

if TYPE_CHECKING:
    from millstream.state.model.declarations import TraitType
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

OUTGOING = (
    "Email Sent", "Email Processed", "Email Delivered", "Email Deferred", "Email Dropped", "Email Suppressed",
    "Email Bounced", "SMS Sent", "SMS Delivered", "Push Notification Received", "Push Notification Bounced",
    "Campaign Joined",
)  # fmt: skip
"""Events that are messages on their way to somebody: they tell nothing of what the person did."""

NOT_BEHAVIOUR = (
    *OUTGOING, "Analytics Audience Member", "Analytics Cohort Member", "Ticket Answered", "Task Completed",
    "Call Logged", "Email Logged", "Deal Created", "Deal Lost", "Order Cancelled", "Order Refunded", "Order Updated",
    "Email Clicked By Program", "Email Opened By Program",
)  # fmt: skip
"""Events that others did: machines, staff, lists."""

MESSAGES = {
    "Email Sent": ("email", "sent"),
    "Email Delivered": ("email", "delivered"),
    "Email Opened": ("email", "opened"),
    "Email Link Clicked": ("email", "clicked"),
    "Email Bounced": ("email", "bounced"),
    "Email Marked as Spam": ("email", "complained"),
    "Unsubscribed": ("email", "unsubscribed"),
    "SMS Sent": ("sms", "sent"),
    "SMS Delivered": ("sms", "delivered"),
    "SMS Link Clicked": ("sms", "clicked"),
    "Push Notification Received": ("push", "delivered"),
    "Push Notification Tapped": ("push", "tapped"),
    "Push Notification Bounced": ("push", "bounced"),
}
"""Events of messages, with the channel and what became of the message."""


@dataclass(frozen=True)
class Scope:
    """What relations are made for: the rules, the time of the run, and what sets read of the profiles."""

    rules: TraitRules
    as_of: datetime
    profile_traits: Mapping[str, TraitType] = field(default_factory=dict)

    @property
    def until(self) -> str:
        """The time of the run as SQL; a view cannot have bound values."""
        return f"CAST({literal(self.as_of.astimezone(UTC).isoformat(timespec='microseconds'))} AS TIMESTAMPTZ)"


def _among(names: Iterable[str]) -> str:
    return f"({', '.join(literal(name) for name in names)})"


def _property(*names: str) -> str:
    """The first of these properties that has a value, as text."""
    texts = [f"nullif(trim(json_extract_string(properties, {literal(json_path(name))})), '')" for name in names]
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _read_as(sql_type: str, text: str) -> str:
    """A text as a value of a type; NULL where it is none."""
    return number(text) if sql_type == "DOUBLE" else f"TRY_CAST({text} AS {sql_type})"


def profiles_query(connection: Connection, scope: Scope) -> str:
    """The golden profiles, with every column that sets read of them, in the type they read it as."""
    existing = existing_columns(connection)
    wanted = {name: SQL_TYPES[kind] for name, kind in scope.profile_traits.items()}
    columns = [
        f"{_read_as(wanted[name], f'CAST({quoted(name)} AS TEXT)')} AS {quoted(name)}"
        if name in wanted and wanted[name] != sql_type
        else quoted(name)
        for name, sql_type in existing.items()
    ]
    missing = [
        f"CAST(NULL AS {sql_type}) AS {quoted(name)}" for name, sql_type in wanted.items() if name not in existing
    ]
    return f"SELECT {', '.join([*columns, *missing])} FROM customers.profiles"


def events_query(_: Connection, scope: Scope) -> str:
    return f"""
        SELECT member.profile_id, event.event_id, event.source, event.name, event.happened_at, event.value_base,
               event.channel, event.campaign, event.properties
        FROM customers.events AS event JOIN customers.members AS member ON member.record_id = event.record_id
        WHERE event.happened_at <= {scope.until}
        """


def behaviour_query(connection: Connection, scope: Scope) -> str:
    return f"{events_query(connection, scope)} AND event.name NOT IN {_among(NOT_BEHAVIOUR)}"


def _orders(names: Iterable[str], *more: str) -> str:
    """One row an order: what the latest of these events says of it counts, and cancelled ones are none."""
    order_id = _property("order_id", "deal_id")
    columns = ", ".join(f"told.{name}" for name in ("profile_id", "order_id", "happened_at", "value", *more))
    return f"""
        WITH cancelled AS (
            SELECT DISTINCT profile_id, {order_id} AS order_id FROM events WHERE name = 'Order Cancelled'
        ),
        told AS (
            SELECT *, value_base AS value, coalesce({order_id}, event_id) AS order_id
            FROM events WHERE name IN {_among(names)}
        ),
        ranked AS (
            SELECT *, row_number() OVER (
                PARTITION BY profile_id, order_id ORDER BY happened_at DESC, event_id DESC) AS rank
            FROM told
        )
        SELECT {columns}
        FROM ranked AS told LEFT JOIN cancelled
          ON cancelled.profile_id = told.profile_id AND cancelled.order_id = told.order_id
        WHERE told.rank = 1 AND cancelled.order_id IS NULL
        """


def purchases_query(_: Connection, scope: Scope) -> str:
    """One row an order that was bought and not cancelled."""
    return _orders(scope.rules.purchases, "channel", "campaign", "properties")


def refunds_query(_: Connection, __: Scope) -> str:
    """One row a refunded order; what a cancelled one is given back was never counted as bought."""
    return _orders(["Order Refunded"])


def line_items_query(_: Connection, __: Scope) -> str:
    """The products of each purchase."""
    return f"""
        WITH items AS (
            SELECT profile_id, order_id, happened_at,
                   unnest(TRY_CAST(json_extract(properties, '$.products') AS JSON[])) AS properties
            FROM purchases
        )
        SELECT profile_id, order_id, happened_at, {_property("product_id", "sku", "id", "name")} AS product_id,
               {_property("name")} AS name, {_property("category")} AS category,
               coalesce({number(_property("quantity"))}, 1) AS quantity,
               {number(_property("price"))} AS price
        FROM items
        """


def messages_query(_: Connection, __: Scope) -> str:
    """Messages and what became of them; where a vendor tells of no sending, what was delivered was sent."""
    channels = " ".join(f"WHEN {literal(name)} THEN {literal(channel)}" for name, (channel, _) in MESSAGES.items())
    kinds = " ".join(f"WHEN {literal(name)} THEN {literal(kind)}" for name, (_, kind) in MESSAGES.items())
    return f"""
        WITH told AS (
            SELECT profile_id, happened_at,
                   CASE WHEN name = 'Unsubscribed' AND channel IS NOT NULL THEN channel
                        ELSE CASE name {channels} END END AS channel,
                   CASE name {kinds} END AS kind, campaign
            FROM events WHERE name IN {_among(MESSAGES)}
        ),
        senders AS (SELECT DISTINCT profile_id, channel FROM told WHERE kind = 'sent')
        SELECT profile_id, happened_at, channel, kind, campaign FROM told
        UNION ALL
        SELECT told.profile_id, told.happened_at, told.channel, 'sent', told.campaign
        FROM told LEFT JOIN senders ON senders.profile_id = told.profile_id AND senders.channel = told.channel
        WHERE told.kind = 'delivered' AND senders.profile_id IS NULL
        """


def _host(address: str) -> str:
    """The host of a web address, or the address itself where it is no more than that."""
    rest = f"CASE WHEN strpos({address}, '://') > 0 THEN split_part({address}, '://', 2) ELSE {address} END"
    for end in "/?#:":
        rest = f"split_part({rest}, '{end}', 1)"
    return f"nullif(lower({rest}), '')"


def touches_query(_: Connection, __: Scope) -> str:
    """Events that tell where somebody came from.

    The page before is none where it is of the same site. How somebody came in the very beginning is told by some
    vendors with all later events, too, and counts at the first of them.
    """
    speaks = "(CAST(properties AS TEXT) LIKE '%utm_%' OR CAST(properties AS TEXT) LIKE '%referrer%')"
    return f"""
        WITH likely AS (
            SELECT profile_id, happened_at, event_id, nullif(trim(channel), '') AS event_channel,
                   nullif(trim(campaign), '') AS event_campaign,
                   -- Reading documents is slow: most have none of these words, and the others are read once.
                   CASE WHEN {speaks} THEN json_extract_string(properties, [
                       '$.utm_medium', '$.utm_source', '$.utm_campaign', '$.referrer', '$.first_referrer', '$.url'
                   ]) END AS found
            FROM events
            WHERE name NOT IN {_among(OUTGOING)} AND (campaign IS NOT NULL OR {speaks})
        ),
        read AS (
            SELECT profile_id, happened_at, event_id, event_channel, event_campaign,
                   nullif(trim(found[1]), '') AS medium, nullif(trim(found[2]), '') AS utm_source,
                   nullif(trim(found[3]), '') AS utm_campaign, nullif(trim(found[4]), '') AS referrer,
                   nullif(nullif(trim(found[5]), ''), '$direct') AS first_referrer, nullif(trim(found[6]), '') AS url
            FROM likely
        ),
        beginnings AS (
            SELECT profile_id, first(event_id ORDER BY happened_at, event_id) AS event_id
            FROM read WHERE first_referrer IS NOT NULL GROUP BY profile_id
        ),
        told AS (
            SELECT read.profile_id, read.happened_at, read.event_id, read.event_channel, read.event_campaign,
                   read.medium, read.utm_source, read.utm_campaign,
                   CASE WHEN {_host("read.referrer")} <> coalesce({_host("read.url")}, '') THEN read.referrer
                        WHEN beginnings.event_id IS NOT NULL THEN read.first_referrer END AS referrer
            FROM read LEFT JOIN beginnings
              ON beginnings.profile_id = read.profile_id AND beginnings.event_id = read.event_id
        )
        SELECT profile_id, happened_at, event_id,
               coalesce(medium, event_channel, CASE WHEN referrer IS NOT NULL THEN 'referral' END) AS channel,
               coalesce(utm_source, {_host("referrer")}) AS source,
               coalesce(event_campaign, utm_campaign) AS campaign, referrer
        FROM told
        WHERE coalesce(event_campaign, medium, utm_source, utm_campaign, referrer) IS NOT NULL
        """


def survey_answers_query(_: Connection, __: Scope) -> str:
    """Answers and ratings; a rating from 1 to 5 becomes a share, good and bad are 1 and 0."""
    rating = f"TRY_CAST({_property('rating')} AS DOUBLE)"
    satisfaction = f"TRY_CAST({_property('satisfaction')} AS DOUBLE)"
    return f"""
        SELECT profile_id, happened_at, event_id, source, {_property("survey_id")} AS survey_id,
               {number(_property("nps_score"))} AS nps_score,
               CASE WHEN {satisfaction} BETWEEN 0 AND 1 THEN {satisfaction}
                    WHEN name = 'Satisfaction Rated' AND {_property("score")} LIKE 'good%' THEN 1
                    WHEN name = 'Satisfaction Rated' AND {_property("score")} LIKE 'bad%' THEN 0
                    WHEN name = 'Satisfaction Rated' AND {rating} BETWEEN 1 AND 5 THEN ({rating} - 1) / 4
               END AS satisfaction,
               {_property("comment", "remark")} AS comment
        FROM events WHERE name IN ('Survey Responded', 'Satisfaction Rated')
        """


def tickets_query(_: Connection, __: Scope) -> str:
    """One row a ticket; it is open from its first word to the first solution that was not taken back."""
    return f"""
        WITH told AS (
            SELECT profile_id, source, name, happened_at,
                   coalesce({_property("ticket_id", "id")}, event_id) AS ticket_id
            FROM events WHERE name IN ('Ticket Opened', 'Ticket Solved', 'Ticket Closed', 'Ticket Reopened')
        ),
        ever AS (
            SELECT profile_id, source, ticket_id, min(happened_at) AS opened_at,
                   max(CASE WHEN name = 'Ticket Reopened' THEN happened_at END) AS reopened_at,
                   count(*) FILTER (WHERE name = 'Ticket Reopened') AS reopened
            FROM told GROUP BY profile_id, source, ticket_id
        ),
        solved AS (
            SELECT told.profile_id, told.source, told.ticket_id, min(told.happened_at) AS solved_at
            FROM told JOIN ever ON ever.profile_id = told.profile_id AND ever.source = told.source
              AND ever.ticket_id = told.ticket_id
            WHERE told.name IN ('Ticket Solved', 'Ticket Closed')
              AND (ever.reopened_at IS NULL OR told.happened_at >= ever.reopened_at)
            GROUP BY told.profile_id, told.source, told.ticket_id
        )
        SELECT ever.profile_id, ever.ticket_id, ever.opened_at, solved.solved_at, ever.reopened
        FROM ever LEFT JOIN solved ON solved.profile_id = ever.profile_id AND solved.source = ever.source
          AND solved.ticket_id = ever.ticket_id
        """
