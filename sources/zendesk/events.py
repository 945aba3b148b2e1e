"""Events of tickets: every change and every comment, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.zendesk.exports import Export, Exports, in_parts
from millstream.sources.zendesk.users import USER_ID
from millstream.state.errors import SchemaError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zendesk.requesters import Requesters
    from millstream.sources.zendesk.settings import ZendeskSettings

EXPORT = Export(
    path="api/v2/incremental/ticket_events.json",
    records="ticket_events",
    at="timestamp",
    params={"include": "comment_events"},
)
COLUMNS = (
    Column("id", description="Id of the single change.", required=True),
    Column("audit_id", description="Id of the update that it is part of.", required=True),
    Column("ticket_id", required=True),
    Column("requester_id", description="The user who asks in the ticket; none if the ticket is gone."),
    Column("author_id", description="Who did it; negative or none: the system."),
    Column("kind", description="Create, Change, Comment, Notification, ..."),
    Column("status", description="The ticket's new status, where it changed.", optional=True),
    Column("previous_value", description="What stood before, where it is a status.", optional=True),
    Column("is_public", "bool", "Of a comment: whether the requester sees it.", optional=True),
    Column("text", description="Of a comment, where texts are kept.", optional=True),
    Column("via", description="How it came in.", optional=True),
    Column("interaction", description="What it was to the requester, if anything; names the event.", optional=True),
    Column("created_at", "timestamp", required=True),
)
PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=USER_ID, column="requester_id"),),
    events=(
        Event(
            at="created_at",
            name_column="interaction",
            names={
                "solved": "Ticket Solved",
                "closed": "Ticket Closed",
                "reopened": "Ticket Reopened",
                "commented": "Ticket Commented",
                "answered": "Ticket Answered",
            },
            properties=("ticket_id", "via"),
        ),
    ),
    observed_at="created_at",
)
_DONE = ("solved", "closed")


def read_events(pull: Pull, exports: Exports, settings: ZendeskSettings, requesters: Requesters) -> Iterator[Page]:
    """Pages of events as rows, with those whom the tickets are about."""

    def pages() -> Iterator[Page]:
        for read in exports.by_time(pull, EXPORT):
            who = requesters.find(pull, {str(audit.get("ticket_id")) for audit in read.rows})
            yield [
                row for audit in read.rows for row in event_rows(audit, who.get(str(audit.get("ticket_id"))), settings)
            ]

    return in_parts(pull, pages())


def event_rows(audit: Mapping[str, Any], requester: str | None, settings: ZendeskSettings) -> Page:
    """An update of a ticket as rows, one for each of its changes.

    Raises:
        SchemaError: It does not list its changes.
    """
    children = audit.get("child_events")
    if not isinstance(children, list):
        raise SchemaError(
            "A ticket's event has no list of child_events.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        )
    is_first = any(_kind(child) == "Create" for child in children)
    rows = []
    for number, child in enumerate(children):
        row = _row(audit, child, number) | {"requester_id": requester}
        row["interaction"] = _interaction(row, is_own=str(row["author_id"]) == requester, is_first=is_first)
        if settings.texts and row["kind"] == "Comment":
            row["text"] = child.get("plain_body") or child.get("body")
        rows.append(row)
    return rows


def _row(audit: Mapping[str, Any], child: Mapping[str, Any], number: int) -> Row:
    via = audit.get("via")
    return {
        "id": child.get("id") or f"{audit.get('id')}.{number}",
        "audit_id": audit.get("id"),
        "ticket_id": audit.get("ticket_id"),
        "author_id": child.get("author_id") or audit.get("updater_id"),
        "kind": _kind(child),
        "status": child.get("status"),
        # Of other fields it may be a text that somebody wrote.
        "previous_value": child.get("previous_value") if "status" in child else None,
        "is_public": child.get("comment_public", child.get("public")),
        "via": via if isinstance(via, str) else None,
        "created_at": audit.get("created_at"),
    }


def _kind(child: Mapping[str, Any]) -> str | None:
    return child.get("event_type") or child.get("type")


def _interaction(row: Row, *, is_own: bool, is_first: bool) -> str | None:
    """What a change is to the requester; the first message is the ticket's opening itself."""
    status, before = row["status"], row["previous_value"]
    if row["kind"] == "Comment":
        if is_first or row["is_public"] is False:
            return None
        return "commented" if is_own else "answered"
    if row["kind"] != "Change" or status is None or status == before:
        return None
    if status in _DONE:
        return str(status)
    return "reopened" if before in _DONE else None
