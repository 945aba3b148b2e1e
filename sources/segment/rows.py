"""Received messages as rows: common columns first, then what each call has of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from millstream.sources.contract import Row

_MILLISECONDS = 100_000_000_000
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MISFITS = (ValueError, TypeError, OverflowError, OSError)


def moment(value: Any) -> datetime | None:
    """ISO 8601, or seconds or milliseconds since 1970; None for what is neither."""
    if value is None or isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            found = datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS else value, UTC)
        else:
            found = datetime.fromisoformat(str(value).strip())
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except _MISFITS:
        return None


def happened_at(record: Mapping[str, Any]) -> datetime:
    """When a message's call was made, by our clock.

    ``receivedAt - (sentAt - originalTimestamp)``: sending takes next to no time, so that what sender's and our clock
    differ by shows there. Without ``sentAt`` the time that was given counts. What Segment passes on it has corrected.
    """
    received_at = datetime.fromisoformat(record["received_at"])
    # A sender cannot have seen the future: what seems so comes of a wrong clock.
    return min(_happened_at(record, received_at), received_at)


def _happened_at(record: Mapping[str, Any], received_at: datetime) -> datetime:
    message = record["message"]
    if record.get("passed_on"):
        return moment(message.get("timestamp")) or moment(message.get("receivedAt")) or received_at
    original, sent = original_timestamp(message), moment(message.get("sentAt"))
    if original is None or sent is None:
        return original or received_at
    try:
        return received_at - (sent - original)
    except OverflowError:
        return received_at


def text(value: Any) -> str | None:
    """Text of an id or a plain value; nothing of what is nested or empty."""
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() or None


def number(value: Any) -> float | None:
    """A number, also one that is written as text."""
    if value is None or isinstance(value, bool | dict | list):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def part(message: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """An object inside of a message; an empty one where there is none."""
    found: Any = message
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def original_timestamp(message: Mapping[str, Any]) -> datetime | None:
    """When the call was made, by the sender's clock; senders say it in ``timestamp``, which Segment renames."""
    return moment(message.get("originalTimestamp")) or moment(message.get("timestamp"))


def common(record: Mapping[str, Any]) -> Row:
    """The columns that all calls have."""
    message = record["message"]
    context = part(message, "context")
    return {
        "message_id": str(message["messageId"]),
        "user_id": text(message.get("userId")),
        "anonymous_id": text(message.get("anonymousId")),
        "timestamp": happened_at(record),
        "received_at": record["received_at"],
        "sent_at": moment(message.get("sentAt")),
        "original_timestamp": original_timestamp(message),
        "email": email(message),
        "device_id": text(part(context, "device").get("id")),
        "campaign": text(part(context, "campaign").get("name")),
        "library": text(part(context, "library").get("name")),
        "via": record.get("via"),
        "context": context or None,
    }


def email(message: Mapping[str, Any]) -> str | None:
    """The address among the traits: of the call itself, or those that come along with others."""
    own = part(message, "traits") if message.get("type") == "identify" else {}
    return text(own.get("email")) or text(part(message, "context", "traits").get("email"))


def surroundings(message: Mapping[str, Any]) -> Row:
    """On what, where, and by which campaign's link somebody did something, as the context tells it."""
    context = part(message, "context")
    campaign, location = part(context, "campaign"), part(context, "location")
    return {
        "os": text(part(context, "os").get("name")),
        "device_type": text(part(context, "device").get("type")),
        "utm_source": text(campaign.get("source")),
        "utm_medium": text(campaign.get("medium")),
        **{name: text(location.get(name)) for name in ("country", "region", "city")},
    }


def identify_row(record: dict[str, Any]) -> list[Row]:
    """An identify call."""
    return [{**common(record), "traits": part(record["message"], "traits")}]


def track_row(record: dict[str, Any]) -> list[Row]:
    """A track call; what it is worth is its revenue, or else its value."""
    message = record["message"]
    properties = part(message, "properties")
    revenue, value = number(properties.get("revenue")), number(properties.get("value"))
    own: Row = {
        "event": str(message["event"]).strip(),
        "value": revenue if revenue is not None else value,
        "currency": text(properties.get("currency")),
        "properties": properties,
    }
    return [{**common(record), **surroundings(message), **own}]


def page_row(record: dict[str, Any]) -> list[Row]:
    """A page call; where its properties do not say which page, its context does."""
    message = record["message"]
    properties, page = part(message, "properties"), part(message, "context", "page")
    own: Row = {
        name: text(properties.get(name)) or text(page.get(name)) for name in ("url", "path", "title", "referrer")
    }
    own |= {"name": text(message.get("name")), "category": text(message.get("category")), "properties": properties}
    return [{**common(record), **surroundings(message), **own}]


def screen_row(record: dict[str, Any]) -> list[Row]:
    """A screen call."""
    message = record["message"]
    own = {"name": text(message.get("name")), "category": text(message.get("category"))}
    return [{**common(record), **surroundings(message), **own, "properties": part(message, "properties")}]


def group_row(record: dict[str, Any]) -> list[Row]:
    """A group call."""
    message = record["message"]
    traits = part(message, "traits")
    return [
        {**common(record), "group_id": text(message["groupId"]), "name": text(traits.get("name")), "traits": traits}
    ]


def alias_row(record: dict[str, Any], previous_ids: str) -> list[Row]:
    """An alias call; what the previous id is, an anonymous one or a user's, decides which records it joins."""
    message = record["message"]
    previous = str(message["previousId"]).strip()
    is_anonymous = previous_ids == "anonymous_id"
    if previous_ids == "guess":
        is_anonymous = bool(_UUID.fullmatch(previous)) or previous == text(message.get("anonymousId"))
    own = {
        "previous_id": previous,
        "previous_anonymous_id": previous if is_anonymous else None,
        "previous_user_id": None if is_anonymous else previous,
    }
    return [{**common(record), **own}]


def rejected_row(record: dict[str, Any]) -> list[Row]:
    """A message of a batch that was wrong."""
    return [{name: record.get(name) for name in ("id", "received_at", "via", "reason", "text")}]


def webhook_row(record: dict[str, Any]) -> list[Row]:
    """A delivery of a webhook."""
    return [{name: record[name] for name in ("webhook", "id", "received_at", "body")}]
