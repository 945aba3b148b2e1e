"""Tickets: what somebody asked of support, and how it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.zendesk.exports import Export, Exports, in_parts
from millstream.sources.zendesk.users import USER_ID
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zendesk.requesters import Requesters
    from millstream.sources.zendesk.settings import ZendeskSettings

EXPORT = Export(
    path="api/v2/incremental/tickets/cursor.json",
    records="tickets",
    # Moves also where the system changes a ticket and leaves updated_at as it is; the export goes by it.
    at="generated_timestamp",
)
_FIELDS = (
    "id",
    "external_id",
    "subject",
    "type",
    "priority",
    "status",
    "requester_id",
    "submitter_id",
    "assignee_id",
    "organization_id",
    "group_id",
    "tags",
    "custom_fields",
    "created_at",
    "updated_at",
    "generated_timestamp",
)
COLUMNS = (
    Column("id", description="Ticket id.", required=True),
    Column("external_id", optional=True),
    Column("subject"),
    Column("description", description="The first message, where texts are kept.", optional=True),
    Column("type", description="question, incident, problem or task.", optional=True),
    Column("priority", optional=True),
    Column("status", description="new, open, pending, hold, solved, closed or deleted."),
    Column("channel", description="How it came in: email, web, chat, voice, ...", optional=True),
    Column("requester_id", description="The user who asks."),
    Column("submitter_id", description="The user who made it, perhaps for the requester.", optional=True),
    Column("assignee_id", optional=True),
    Column("organization_id", optional=True),
    Column("group_id", optional=True),
    Column("satisfaction_score", description="unoffered, offered, good or bad.", optional=True),
    Column("tags", "json", optional=True),
    Column("custom_fields", "json", "Ids and values.", optional=True),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", "Last change that counts as one.", required=True),
    Column("generated_timestamp", "timestamp", "Last change of any kind.", required=True),
    Column("deleted", "bool"),
)
PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=USER_ID, column="requester_id"),),
    events=(
        Event(
            at="created_at",
            name="Ticket Opened",
            properties=("id", "subject", "type", "priority", "channel", "status"),
        ),
    ),
    observed_at="created_at",
    deleted="deleted",
)


def read_tickets(pull: Pull, exports: Exports, settings: ZendeskSettings, requesters: Requesters) -> Iterator[Page]:
    """Pages of tickets as rows; who asked is remembered for the stream of their events."""

    def pages() -> Iterator[Page]:
        for read in exports.by_cursor(pull, EXPORT):
            requesters.learn(pull, read.rows)
            yield [shape_ticket(ticket, settings) for ticket in read.rows]

    return in_parts(pull, pages())


def shape_ticket(ticket: Mapping[str, Any], settings: ZendeskSettings) -> Row:
    """A ticket as a row."""
    row: Row = {name: ticket[name] for name in _FIELDS if name in ticket}
    row["channel"] = (ticket.get("via") or {}).get("channel")
    row["satisfaction_score"] = (ticket.get("satisfaction_rating") or {}).get("score")
    if "status" in ticket:
        row["deleted"] = ticket["status"] == "deleted"
    if settings.texts:
        row["description"] = ticket.get("description")
    return row
