"""Data events: what the company's own systems say a contact did, asked for one contact at a time.

Intercom lists only events of the last 90 days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from millstream.sources.contract import Column, Endpoint, Page, Row
from millstream.sources.intercom.contacts import CONTACT_ID
from millstream.sources.intercom.search import CONTACTS, Found, count, moment, one
from millstream.sources.intercom.walk import Walk, moment_noted
from millstream.sources.parallel import in_order
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, NotFoundError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.intercom.settings import IntercomSettings
    from millstream.sources.pull import Pull

EVENTS = Endpoint(path="events", records="events")
EVENTS_A_PAGE = 50
LISTED = timedelta(days=90)
_ASKED_SINCE = "asked_since"
CONTACTS_A_PART = 2_000
COLUMNS = (
    Column("id", description="Hash of the contact, the event's name and its time.", required=True),
    Column("contact_id", required=True),
    Column("event_name", required=True),
    Column("metadata", "json", "What was sent with it."),
    Column("value", "double", "The first amount among the metadata, in whole units.", optional=True),
    Column("currency", description="Its currency (ISO 4217).", optional=True),
    Column("created_at", "timestamp", required=True),
)
PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=CONTACT_ID, column="contact_id"),),
    events=(
        Event(
            at="created_at",
            name_column="event_name",
            properties_from="metadata",
            value="value",
            currency="currency",
        ),
    ),
    observed_at="created_at",
)


def read_events(pull: Pull, settings: IntercomSettings) -> Iterator[Page]:
    """Pages of events as rows: first those of every contact, then the latest of those who changed, or of all."""
    # Kept until all were asked: the place among the contacts moves before, with each of their pages.
    since = _since(pull, settings)
    if not pull.is_backfill:
        since = datetime.fromisoformat(pull.state.setdefault(_ASKED_SINCE, since.isoformat()))
    walk = Walk(pull, settings, always=settings.events_of == "all", with_details=True)
    if walk.begins:
        pull.say_how_long(count(pull, CONTACTS), per_minute=settings.requests_per_minute)
    asked = 0
    for batch in walk.batches(CONTACTS):
        ids = [str(contact.get("id")) for contact in batch.rows]
        found = in_order(partial(_events_since, pull, since), ids, at_once=settings.requests_at_once)
        rows = [shape_event(event, contact) for contact, events in found for event in events]
        batch.keep_place(pull)
        yield rows
        asked += len(ids)
        if asked >= CONTACTS_A_PART:
            asked = 0
            yield pull.until_loaded()
    pull.state.pop(_ASKED_SINCE, None)


def shape_event(event: Mapping[str, Any], contact_id: str) -> Row:
    """An event as a row. Intercom keeps one event of a name and a second for each contact, so these make its key."""
    row: Row = {name: event[name] for name in ("event_name", "created_at") if name in event}
    metadata = event.get("metadata") or {}
    key = "\x1f".join([contact_id, str(event.get("event_name")), str(event.get("created_at"))])
    amount: Mapping[str, Any] = next((each for each in metadata.values() if _is_amount(each)), {})
    return row | {
        "id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "contact_id": contact_id,
        "metadata": metadata,
        "value": amount["amount"] / 100 if amount else None,
        "currency": str(amount["currency"]).upper() if amount else None,
    }


def _is_amount(value: Any) -> bool:
    """Whether a value is an amount: in hundredths, with its currency."""
    return isinstance(value, dict) and isinstance(value.get("amount"), int | float) and bool(value.get("currency"))


def _since(pull: Pull, settings: IntercomSettings) -> datetime:
    if pull.is_backfill:
        assert pull.since is not None
        return pull.since
    noted = moment_noted(pull, "since")
    return noted - timedelta(days=settings.events_lookback_days) if noted else pull.pulled_at - LISTED


def _events_since(pull: Pull, since: datetime, contact_id: str) -> Found:
    """A contact's events, which come latest first."""
    params: dict[str, Any] = {"type": "user", "intercom_user_id": contact_id, "per_page": EVENTS_A_PAGE}
    found: Found = []
    while params:
        try:
            body = pull.get(EVENTS.path, params)
        except NotFoundError:
            return found  # merged or deleted since the contact was found
        events = records_at(body, EVENTS)
        news = [event for event in events if moment(event, "created_at") >= since]
        found.extend(event for event in news if pull.until is None or moment(event, "created_at") < pull.until)
        following = (body.get("pages") or {}).get("next") if news else None
        # Only what it asks for is taken over: the token goes to no host but the connection's.
        before, params = params, dict(parse_qsl(urlsplit(str(following or "")).query))
        if params == before:
            raise IncompleteError("A page of events leads to itself.", remedy="run again; nothing is missed.")
    return found


def look(pull: Pull) -> None:
    """Ask for the events of one contact, to see whether the credential may."""
    for contact in one(pull, CONTACTS):
        pull.get(EVENTS.path, {"type": "user", "intercom_user_id": str(contact.get("id")), "per_page": 1})
