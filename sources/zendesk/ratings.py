"""Satisfaction ratings of the classic kind: good or bad, given once a ticket is solved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Cursor, Endpoint, Page, Row
from millstream.sources.zendesk.errors import RATINGS_PATH
from millstream.sources.zendesk.exports import in_parts
from millstream.sources.zendesk.paging import listed
from millstream.sources.zendesk.users import USER_ID
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zendesk.settings import ZendeskSettings

_FIELDS = (
    "id",
    "ticket_id",
    "requester_id",
    "assignee_id",
    "group_id",
    "score",
    "reason",
    "reason_code",
    "created_at",
    "updated_at",
)
_VALUES = {"good": 1, "bad": 0}
COLUMNS = (
    Column("id", required=True),
    Column("ticket_id"),
    Column("requester_id", description="The user who is asked."),
    Column("assignee_id", optional=True),
    Column("group_id", optional=True),
    Column("score", description="unoffered, offered, good or bad.", required=True),
    Column("satisfaction", "bigint", "1 for good, 0 for bad; empty until it is given."),
    Column("reason", description="Reason picked for a bad one.", optional=True),
    Column("reason_code", "bigint", optional=True),
    Column("comment", description="What was written, where texts are kept.", optional=True),
    Column("created_at", "timestamp", "When it was offered.", required=True),
    Column("updated_at", "timestamp", "When it was given, or changed.", required=True),
)
PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=USER_ID, column="requester_id"),),
    events=(
        Event(
            at="updated_at",
            name="Satisfaction Rated",
            when=("satisfaction", ("0", "1")),
            value="satisfaction",
            properties=("ticket_id", "score", "reason", "comment"),
        ),
    ),
    observed_at="updated_at",
)


def ratings_cursor(settings: ZendeskSettings) -> Cursor:
    """How ratings are read incrementally: an offered one is given days later, in the same row."""
    return Cursor(column="updated_at", lookback=timedelta(days=settings.ratings_lookback_days))


def read_ratings(pull: Pull, settings: ZendeskSettings) -> Iterator[Page]:
    """Pages of ratings as rows."""
    first = settings.start_date
    since = pull.since or (datetime.combine(first, time.min, UTC) if first else None)
    params = {"start_time": int(since.timestamp())} if since else {}
    if pull.until:
        params["end_time"] = int(pull.until.timestamp())
    endpoint = Endpoint(path=RATINGS_PATH, records="satisfaction_ratings", params=params)
    pages = listed(pull, endpoint, None if pull.is_backfill else pull.state)
    yield from in_parts(pull, ([shape_rating(rating, settings) for rating in page] for page in pages))


def shape_rating(rating: Mapping[str, Any], settings: ZendeskSettings) -> Row:
    """A rating as a row; scores of a search, such as ``good_with_comment``, are their plain ones."""
    row: Row = {name: rating[name] for name in _FIELDS if name in rating}
    row["satisfaction"] = _VALUES.get(str(rating.get("score") or "").split("_")[0])
    if settings.texts:
        row["comment"] = rating.get("comment")
    return row
