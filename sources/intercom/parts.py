"""Parts of conversations: each message, note, assignment and closing, read one conversation at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Page, Row
from millstream.sources.intercom.contacts import CONTACT_ID
from millstream.sources.intercom.conversations import CONTACT_TYPES, contact_ids
from millstream.sources.intercom.search import CONVERSATIONS, Found, count
from millstream.sources.intercom.walk import Walk, start_of
from millstream.sources.parallel import in_order
from millstream.sources.pull import records_at
from millstream.state.errors import NotFoundError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.intercom.settings import IntercomSettings
    from millstream.sources.pull import Pull

CONVERSATIONS_A_PART = 2_000
"""Conversations after which what was read is stored: each costs a request."""

MOST_PARTS = 500
_RECORDS = "conversation_parts.conversation_parts"
_FIELDS = ("id", "part_type", "state", "redacted", "created_at", "updated_at")
_INTERNAL = ("note", "note_and_reopen")

COLUMNS = (
    Column("id", required=True),
    Column("conversation_id", required=True),
    Column("contact_id", description="Whom it is about: its author, else the contact of the conversation."),
    Column("part_type", description="comment, note, assignment, close, open, snoozed, ..."),
    Column("author_type", description="user, lead, admin, bot or team."),
    Column("author_id", optional=True),
    Column("state", description="The conversation's state at that moment.", optional=True),
    Column("redacted", "bool", optional=True),
    Column("has_text", "bool"),
    Column("text", description="What was written, where texts are kept.", optional=True),
    Column("interaction", description="What it was to the contact, if anything; names the event.", optional=True),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", optional=True),
)
PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=CONTACT_ID, column="contact_id"),),
    events=(
        Event(
            at="created_at",
            name_column="interaction",
            names={
                "sent": "Live Chat Message Sent",
                "received": "Live Chat Message Received",
                "ended": "Live Chat Conversation Ended",
            },
            properties=("conversation_id", "part_type", "author_type"),
        ),
    ),
    observed_at="created_at",
)


def read_parts(pull: Pull, settings: IntercomSettings) -> Iterator[Page]:
    """Pages of parts as rows, of the conversations that changed."""
    asked = 0
    walk = Walk(pull, settings, first=start_of(settings), with_details=True)
    if walk.begins:
        conversations = count(pull, CONVERSATIONS, since=start_of(settings))
        pull.say_how_long(conversations, per_minute=settings.requests_per_minute)
    for batch in walk.batches(CONVERSATIONS):
        rows = list(_parts_of(pull, batch.rows, settings))
        batch.keep_place(pull)
        yield rows
        asked += len(batch.rows)
        if asked >= CONVERSATIONS_A_PART:
            asked = 0
            yield pull.until_loaded()


def shape_part(part: Mapping[str, Any], conversation: Mapping[str, Any], settings: IntercomSettings) -> Row:
    """A part as a row."""
    row: Row = {name: part[name] for name in _FIELDS if name in part}
    author = part.get("author") or {}
    is_contact = author.get("type") in CONTACT_TYPES
    contacts = contact_ids(conversation)
    row |= {
        "conversation_id": conversation.get("id"),
        "author_type": author.get("type"),
        "author_id": author.get("id"),
        "contact_id": author.get("id") if is_contact else next(iter(contacts), None),
        "has_text": bool(part.get("body")),
    }
    row["interaction"] = _interaction(row, is_contact=is_contact)
    if settings.texts:
        row["text"] = part.get("body")
    return row


def _interaction(row: Row, *, is_contact: bool) -> str | None:
    """What a part is to the contact; notes are for the team alone."""
    if row.get("part_type") in _INTERNAL:
        return None
    if row.get("part_type") == "close":
        return "ended"
    if not row["has_text"]:
        return None
    return "sent" if is_contact else "received"


def _parts_of(pull: Pull, conversations: Found, settings: IntercomSettings) -> Iterator[Row]:
    asked = in_order(partial(_ask, pull), conversations, at_once=settings.requests_at_once)
    for conversation, details in asked:
        if details is None:
            continue
        parts = records_at(details, Endpoint(path=_path(conversation), records=_RECORDS))
        if int((details.get("conversation_parts") or {}).get("total_count") or 0) > max(len(parts), MOST_PARTS):
            pull.warn(f"Conversation {conversation.get('id')} has more parts than Intercom gives: the latest 500.")
        for part in parts:
            yield shape_part(part, conversation, settings)


def _ask(pull: Pull, conversation: Mapping[str, Any]) -> Any:
    try:
        return pull.get(_path(conversation))
    except NotFoundError:
        return None  # deleted since it was found


def _path(conversation: Mapping[str, Any]) -> str:
    return f"conversations/{conversation.get('id')}"
