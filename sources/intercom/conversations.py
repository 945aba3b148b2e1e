"""Conversations: who talked with the team, how it stands, and how it was rated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Page, Row
from millstream.sources.intercom.contacts import CONTACT_ID
from millstream.sources.intercom.gone import marked
from millstream.sources.intercom.search import CONVERSATIONS, FOUNDED, Found, moment
from millstream.sources.intercom.walk import ROWS_A_PART, Walk, moment_noted, start_of
from millstream.sources.pull import records_at
from millstream.state.errors import NotFoundError, RefusedError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.intercom.settings import IntercomSettings
    from millstream.sources.pull import Pull

DELETED = Endpoint(path="conversations/deleted", records="conversations")
DELETED_A_PAGE = 60
_DELETED_SINCE = "deleted_since"
CONTACT_TYPES = ("user", "lead", "contact", "visitor")
"""Types of authors who are no members of the team."""

_FIELDS = (
    "id",
    "title",
    "state",
    "open",
    "read",
    "priority",
    "admin_assignee_id",
    "team_assignee_id",
    "created_at",
    "updated_at",
    "custom_attributes",
)
_STATISTICS = (
    "first_contact_reply_at",
    "first_admin_reply_at",
    "first_close_at",
    "last_close_at",
    "time_to_admin_reply",
    "time_to_first_close",
    "count_reopens",
)
COLUMNS = (
    Column("id", description="Conversation id.", required=True),
    Column("contact_id", description="The contact it is with; the first one, if they are several."),
    Column("contact_ids", "json", "All contacts that take part."),
    Column("channel", description="conversation, email, sms, whatsapp, phone_call, ..."),
    Column("delivered_as", description="customer_initiated, admin_initiated, campaigns_initiated, ..."),
    Column("url", description="Page on which it began, without parameters.", optional=True),
    Column("title", optional=True),
    Column("subject", description="Of the first message, where texts are kept.", optional=True),
    Column("text", description="The first message, where texts are kept.", optional=True),
    Column("state", description="open, closed or snoozed."),
    Column("open", "bool"),
    Column("read", "bool", optional=True),
    Column("priority", optional=True),
    Column("admin_assignee_id", optional=True),
    Column("team_assignee_id", optional=True),
    Column("tags", "json", "Names of tags.", optional=True),
    Column("custom_attributes", "json", optional=True),
    Column("rating", "bigint", "1 to 5; empty until it is given."),
    Column("rated_at", "timestamp", optional=True),
    Column("remark", description="Said with the rating, where texts are kept.", optional=True),
    Column("first_contact_reply_at", "timestamp", optional=True),
    Column("first_admin_reply_at", "timestamp", optional=True),
    Column("first_close_at", "timestamp", optional=True),
    Column("last_close_at", "timestamp", optional=True),
    Column("time_to_admin_reply", "bigint", "Seconds, in office hours.", optional=True),
    Column("time_to_first_close", "bigint", "Seconds, in office hours.", optional=True),
    Column("count_reopens", "bigint", optional=True),
    Column("began_by", description="contact or team; names the event."),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", required=True),
    Column("deleted_at", "timestamp", optional=True),
    Column("deleted", "bool"),
)
PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=CONTACT_ID, column="contact_id"),),
    events=(
        Event(
            at="created_at",
            name_column="began_by",
            names={"contact": "Live Chat Conversation Started", "team": "Live Chat Message Received"},
            properties=("id", "channel", "delivered_as", "state"),
        ),
        Event(
            at="rated_at",
            name="Satisfaction Rated",
            when=("rating", ("1", "2", "3", "4", "5")),
            value="rating",
            properties=("id", "channel", "rating", "remark"),
        ),
    ),
    observed_at="updated_at",
    deleted="deleted",
)


def read_conversations(pull: Pull, settings: IntercomSettings) -> Iterator[Page | pa.Table]:
    """Pages of conversations as rows, then the stored ones that were deleted since."""
    rows = 0
    _note_deletions(pull)
    for batch in Walk(pull, settings, first=start_of(settings)).batches(CONVERSATIONS):
        batch.keep_place(pull)
        yield [shape_conversation(one, settings) for one in batch.rows]
        rows += len(batch.rows)
        if rows >= ROWS_A_PART:
            rows = 0
            yield pull.until_loaded()
    deleted_since = None if pull.is_backfill else moment_noted(pull, _DELETED_SINCE)
    if deleted_since is not None:
        deleted = _deleted_since(pull, deleted_since - timedelta(minutes=settings.lookback_minutes))
        del pull.state[_DELETED_SINCE]
        yield from marked(pull, "conversations", dict.fromkeys(deleted))


def _note_deletions(pull: Pull) -> None:
    """Keep from when on deletions are to be asked for until they were: the place among the changes moves before."""
    if pull.is_backfill:
        return
    since = pull.state.get("since")
    is_read_anew = since is None and "load" not in pull.state
    if is_read_anew and pull.stored is not None and pull.stored.columns("conversations"):
        since = FOUNDED.isoformat()  # what is stored may have been deleted at any time
    if since is not None:
        pull.state.setdefault(_DELETED_SINCE, since)


def shape_conversation(conversation: Mapping[str, Any], settings: IntercomSettings) -> Row:
    """A conversation as a row."""
    row: Row = {name: conversation[name] for name in _FIELDS if name in conversation}
    source = conversation.get("source") or {}
    rating = conversation.get("conversation_rating") or {}
    statistics = conversation.get("statistics") or {}
    contacts = contact_ids(conversation)
    row |= {name: statistics.get(name) for name in _STATISTICS}
    row |= {
        "contact_id": contacts[0] if contacts else None,
        "contact_ids": contacts,
        "channel": source.get("type"),
        "delivered_as": source.get("delivered_as"),
        "url": str(source["url"]).split("?")[0] if source.get("url") else None,
        "tags": [tag.get("name") for tag in (conversation.get("tags") or {}).get("tags") or []],
        "rating": rating.get("rating"),
        "rated_at": (rating.get("updated_at") or rating.get("created_at")) if rating.get("rating") else None,
        "began_by": "contact" if (source.get("author") or {}).get("type") in CONTACT_TYPES else "team",
        "deleted": False,
    }
    if settings.texts:
        row |= {"subject": source.get("subject"), "text": source.get("body"), "remark": rating.get("remark")}
    return row


def contact_ids(conversation: Mapping[str, Any]) -> list[str]:
    """Who takes part, of the contacts."""
    return [str(one["id"]) for one in (conversation.get("contacts") or {}).get("contacts") or []]


def _deleted_since(pull: Pull, since: datetime) -> list[str]:
    """Conversations deleted since a moment, from the list that begins with the latest."""
    deleted: list[str] = []
    page = 1
    while rows := _page_of_deleted(pull, page):
        news = [str(row["id"]) for row in rows if moment(row, "deleted_at") >= since]
        deleted.extend(news)
        if not news or len(rows) < DELETED_A_PAGE:
            break
        page += 1
    return deleted


def _page_of_deleted(pull: Pull, page: int) -> Found:
    try:
        body = pull.get(DELETED.path, {"page": page, "per_page": DELETED_A_PAGE, "order": "desc"})
    except (NotFoundError, RefusedError) as error:
        pull.warn(f"Deleted conversations are not told, so that they stay as they were: {error.what}")
        return []
    return records_at(body, DELETED)
