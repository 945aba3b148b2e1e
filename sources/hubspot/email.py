"""E-mail: what happened to each message, and who has agreed to get which kind."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from millstream.sources.contract import Column, Cursor, Endpoint, Row
from millstream.sources.hubspot.contacts import topics
from millstream.sources.hubspot.crm import milliseconds
from millstream.sources.pull import records_at
from millstream.state.errors import (
    IncompleteError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    SchemaError,
)
from millstream.state.model.declarations import Consent, ConsentStatus, Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.hubspot.settings import HubSpotSettings
    from millstream.sources.pull import Pull

EVENTS_PATH = "email/public/v1/events"
EVENT_LIMIT = 1_000
FIRST_EVENTS = timedelta(days=365)
STATUSES_PATH = "communication-preferences/v4/statuses/batch/read?channel=EMAIL"
STATUS_PATH = "communication-preferences/v4/statuses"
STATUS_BATCH = 100

CONSENT_EVENTS = frozenset({"STATUSCHANGE", "SPAMREPORT"})
"""Events after which an address may have other subscriptions."""

_log = logging.getLogger(__name__)

EVENT_COLUMNS = (
    Column("id", description="Random id; unique together with the time.", required=True),
    Column("created_at", "timestamp", "When it happened.", required=True),
    Column("type", description="HubSpot's event type."),
    Column("action", description="The type in lower case; says subscribed or unsubscribed, and filtered."),
    Column("email", description="The recipient."),
    Column("campaign_id", description="The e-mail campaign that the message is part of."),
    Column("campaign_group_id", optional=True),
    Column("app_name", description="The HubSpot application that sent the message.", optional=True),
    Column("subject", description="Subject line, where the event carries it.", optional=True),
    Column("url", description="The link that was clicked.", optional=True),
    Column("bounce_category", description="Why a message bounced.", optional=True),
    Column("drop_reason", description="Why a message was not sent.", optional=True),
    Column("response", description="The receiving server's answer.", optional=True),
    Column("portal_status", description="SUBSCRIBED or UNSUBSCRIBED from all e-mail.", optional=True),
    Column("subscriptions", "json", "Subscription types changed by the event.", optional=True),
    Column("location", "json", "Where it happened, by address.", optional=True),
    Column("device_type", optional=True),
    Column("sent_event_id", description="Id of the message's SENT event.", optional=True),
    Column("filtered", "bool", "HubSpot takes a program for the reader.", optional=True),
)

_FIELDS = {
    "id": "id",
    "created": "created_at",
    "type": "type",
    "recipient": "email",
    "emailCampaignId": "campaign_id",
    "emailCampaignGroupId": "campaign_group_id",
    "appName": "app_name",
    "subject": "subject",
    "url": "url",
    "category": "bounce_category",
    "dropReason": "drop_reason",
    "response": "response",
    "portalSubscriptionStatus": "portal_status",
    "subscriptions": "subscriptions",
    "location": "location",
    "deviceType": "device_type",
    "filteredEvent": "filtered",
}

_EVENT_NAMES = {
    "sent": "Email Sent",
    "processed": "Email Processed",
    "delivered": "Email Delivered",
    "deferred": "Email Deferred",
    "dropped": "Email Dropped",
    "suppressed": "Email Suppressed",
    "bounce": "Email Bounced",
    "unbounce": "Email Unbounced",
    "open": "Email Opened",
    "click": "Email Clicked",
    "print": "Email Printed",
    "forward": "Email Forwarded",
    "spamreport": "Email Marked As Spam",
    "statuschange": "Email Preferences Changed",
    "subscribed": "Email Subscribed",
    "unsubscribed": "Email Unsubscribed",
    "open filtered": "Email Opened By Program",
    "click filtered": "Email Clicked By Program",
}

EVENT_PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind="email", column="email"),),
    # An old campaign's address is no newer for being read today.
    observed_at="created_at",
    events=(
        Event(
            at="created_at",
            name_column="action",
            names=_EVENT_NAMES,
            channel="email",
            campaign="campaign_id",
            properties=("subject", "url", "bounce_category", "drop_reason", "device_type"),
        ),
    ),
)

_MEANING: Mapping[str, ConsentStatus] = {
    "subscribed": "granted",
    "unsubscribed": "denied",
    "not_specified": "unknown",
}
_STRICTEST_FIRST = ("UNSUBSCRIBED", "SUBSCRIBED", "NOT_SPECIFIED")


def email_events_cursor(settings: HubSpotSettings) -> Cursor:
    """How e-mail events are read incrementally."""
    return Cursor(column="created_at", lookback=timedelta(days=settings.email_events_lookback_days))


def read_email_events(pull: Pull, settings: HubSpotSettings) -> Iterator[list[Row]]:
    """Pages of e-mail events of the pull's window, newest first as HubSpot gives them."""
    endpoint = Endpoint(path=EVENTS_PATH, records="events")
    since = pull.since or _first_moment(pull, settings)
    params: dict[str, Any] = {"startTimestamp": milliseconds(since), "limit": EVENT_LIMIT}
    if pull.until:
        params["endTimestamp"] = milliseconds(pull.until) - 1
    while True:
        body = pull.get(EVENTS_PATH, params)
        yield records_at(body, endpoint)
        if not body.get("hasMore"):
            return
        if not body.get("offset") or body["offset"] == params.get("offset"):
            raise IncompleteError(
                "HubSpot says that there are more e-mail events and does not say where.",
                remedy="run again; the stream's place was not moved, so that nothing is missed.",
            )
        params["offset"] = body["offset"]


def shape_email_event(event: Mapping[str, Any]) -> Row:
    """An e-mail event as a row."""
    row: Row = {column: event[name] for name, column in _FIELDS.items() if name in event}
    row["sent_event_id"] = (event.get("sentBy") or {}).get("id")
    action = str(event.get("type") or "").lower()
    status = str(event.get("portalSubscriptionStatus") or "").lower()
    if action == "statuschange" and status in ("subscribed", "unsubscribed"):
        action = status
    row["action"] = f"{action} filtered" if event.get("filteredEvent") is True else action or None
    return row


def read_statuses(pull: Pull, emails: Sequence[str]) -> Iterator[list[Row]]:
    """Pages of e-mail subscription statuses of addresses, an address each.

    Batches are for Marketing Hub Enterprise; an account that refuses them is asked about one address after the other.
    """
    in_batches = True
    for start in range(0, len(emails), STATUS_BATCH):
        some = emails[start : start + STATUS_BATCH]
        if in_batches:
            try:
                yield _statuses(pull, some)
                continue
            except PermissionDeniedError as error:
                in_batches = False
                _log.warning(
                    "HubSpot gives no subscriptions in batches; asking for %s one by one: %s", len(emails), error
                )
        yield [found for email in some for found in _status(pull, email)]


def status_columns(settings: HubSpotSettings) -> tuple[Column, ...]:
    """Columns of subscription statuses: one for each topic beside what HubSpot says of each subscription type."""
    return (
        Column("email", description="The address.", required=True),
        *(
            Column(topic_column(topic), description=f"Status of the types that count to {topic}.", optional=True)
            for topic in topics(settings)
        ),
        Column("statuses", "json", "Each subscription type with its status, legal basis, source and time."),
        Column("changed_at", "timestamp", "When one of them last changed.", optional=True),
    )


def topic_column(topic: str) -> str:
    """The column with the status of a topic."""
    return "topic_" + re.sub(r"[^a-z0-9]+", "_", topic.lower()).strip("_")


def shape_status(one: Mapping[str, Any], settings: HubSpotSettings) -> Row:
    """The statuses of an address as a row; of the types that count to one topic, a refusal outweighs a consent."""
    statuses: Sequence[Mapping[str, Any]] = one.get("statuses") or ()
    if any("status" not in status for status in statuses):
        raise SchemaError(
            "A subscription comes without its status.",
            remedy="the API may have changed: update the connector; no consent is read until then.",
        )
    row: Row = {"email": one.get("subscriberIdString")}
    if "statuses" in one:
        row["statuses"] = statuses
    row["changed_at"] = max((str(s["timestamp"]) for s in statuses if s.get("timestamp")), default=None)
    for topic in topics(settings):
        said = {str(s["status"]).upper() for s in statuses if _topic(s, settings) == topic}
        # A status that nobody knows may be a refusal: then nothing is said, which grants nothing.
        known = said.issubset(_STRICTEST_FIRST)
        row[topic_column(topic)] = next((s for s in _STRICTEST_FIRST if known and s in said), None)
    return row


def status_people(settings: HubSpotSettings) -> People:
    """What subscription statuses say: consent by topic."""
    return People(
        identifiers=(Identifier(kind="email", column="email"),),
        consents=tuple(
            Consent(channel="email", column=topic_column(topic), statuses=_MEANING, topic=topic)
            for topic in topics(settings)
        ),
        observed_at="changed_at",
    )


def _topic(status: Mapping[str, Any], settings: HubSpotSettings) -> str:
    by_id = settings.email_topics.get(str(status.get("subscriptionId")))
    return by_id or settings.email_topics.get(str(status.get("subscriptionName")), "marketing")


def _first_moment(pull: Pull, settings: HubSpotSettings) -> datetime:
    if settings.start_date:
        return datetime.combine(settings.start_date, time.min, UTC)
    return pull.pulled_at - FIRST_EVENTS


def _status(pull: Pull, email: str) -> list[Row]:
    """Statuses of one address, in the form of a batch's answer; none where HubSpot does not know it."""
    endpoint = Endpoint(path=f"{STATUS_PATH}/{quote(email, safe='@')}", records="results")
    try:
        found = records_at(pull.get(endpoint.path, {"channel": "EMAIL"}), endpoint)
    except (NotFoundError, RefusedError):
        _log.warning("HubSpot refuses to say the subscriptions of one address: no consent is known for it.")
        return []
    named = next((one["subscriberIdString"] for one in found if one.get("subscriberIdString")), email)
    return [{"subscriberIdString": named, "statuses": found}]


def _statuses(pull: Pull, emails: Sequence[str]) -> list[Row]:
    """Statuses of a batch; one refused whole is halved until the address at fault stands alone."""
    endpoint = Endpoint(path=STATUSES_PATH, records="results", method="POST")
    try:
        body = pull.post(STATUSES_PATH, {"inputs": list(emails)})
    except RefusedError:
        if len(emails) == 1:
            _log.warning("HubSpot refuses to say the subscriptions of one address: no consent is known for it.")
            return []
        half = len(emails) // 2
        return [*_statuses(pull, emails[:half]), *_statuses(pull, emails[half:])]
    found = records_at(body, endpoint)
    if body.get("errors"):
        _log.warning("HubSpot did not say the subscriptions of some of %s addresses.", len(emails))
    return found
