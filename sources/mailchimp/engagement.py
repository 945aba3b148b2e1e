"""What people did with campaigns: read campaign by campaign, several requests at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.mailchimp.paging import pages, sent_at, written
from millstream.sources.parallel import in_order
from millstream.state.errors import NotFoundError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.mailchimp.settings import MailchimpSettings
    from millstream.sources.pull import Pull

Report = Mapping[str, Any]
Shape = Callable[[Report, Mapping[str, Any]], list[Row]]

_EMAIL = (Identifier(kind="email", column="email"),)
_OF_CAMPAIGN = (
    Column("list_id", optional=True),
    Column("campaign_title", optional=True),
    Column("subject", optional=True),
)
ACTIVITY_COLUMNS = (
    Column("campaign_id", required=True),
    Column("email_id", description="The vendor's id of the address.", required=True),
    Column("email", description="The address it was sent to."),
    Column("action", description="open, click or bounce.", required=True),
    Column("at", "timestamp", "When it happened.", required=True),
    Column("url", description="Of a click: the link; empty else.", required=True),
    Column("bounce_type", description="Of a bounce: hard or soft.", optional=True),
    *_OF_CAMPAIGN,
)
ACTIVITY_PEOPLE = People(
    record="subject",
    identifiers=_EMAIL,
    events=(
        Event(
            at="at",
            name_column="action",
            names={"open": "Email Opened", "click": "Email Link Clicked", "bounce": "Email Bounced"},
            properties=("campaign_title", "subject", "url", "bounce_type"),
            channel="email",
            campaign="campaign_id",
        ),
    ),
    observed_at="at",
)
DELIVERY_COLUMNS = (
    Column("campaign_id", required=True),
    Column("email_id", required=True),
    Column("email"),
    Column("status", description="sent, or how it bounced: hard or soft."),
    Column("at", "timestamp", "When the campaign was sent; the vendor knows no other time.", required=True),
    *_OF_CAMPAIGN,
)
DELIVERY_PEOPLE = People(
    record="subject",
    identifiers=_EMAIL,
    events=(
        Event(
            at="at",
            name="Email Delivered",
            when=("status", ("sent",)),
            properties=("campaign_title", "subject"),
            channel="email",
            campaign="campaign_id",
        ),
    ),
    observed_at="at",
)
UNSUBSCRIBE_COLUMNS = (
    Column("campaign_id", required=True),
    Column("email_id", required=True),
    Column("email"),
    Column("at", "timestamp", "When they left.", required=True),
    Column("reason", description="Why, in Mailchimp's words or their own.", optional=True),
    *_OF_CAMPAIGN,
)
UNSUBSCRIBE_PEOPLE = People(
    record="subject",
    identifiers=_EMAIL,
    events=(
        Event(
            at="at",
            name="Unsubscribed",
            properties=("campaign_title", "subject", "reason"),
            channel="email",
            campaign="campaign_id",
        ),
    ),
    observed_at="at",
)
LINK_COLUMNS = (
    Column("campaign_id", required=True),
    Column("id", description="Id of the link in the campaign.", required=True),
    Column("url"),
    Column("clicks", "bigint"),
    Column("unique_clicks", "bigint", "People who clicked it.", optional=True),
    Column("last_click_at", "timestamp", optional=True),
)
ROWS_A_PART = 20_000
"""Rows after which what was read is stored, at the end of a campaign."""

DELIVERY_DAYS = 3
"""Days after its sending in which a mail may still bounce."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """A part of a campaign's report.

    Attributes:
        path: Below the report.
        records: Where its rows stand.
        shape: A report and one of the part's rows as rows of the stream.
        by_time: Whether the vendor gives what happened since a moment.
        a_recipient: Whether it has a row for each mail that was sent, so that the number of its pages is known.
        days: How long after the sending it changes; None leaves it to the settings.
    """

    path: str
    records: str
    shape: Shape
    by_time: bool = False
    a_recipient: bool = False
    days: int | None = None


@dataclass(frozen=True)
class _Piece:
    """Some pages of a campaign's part; the last piece goes on to the end."""

    report: Report
    since: datetime | None
    first: int
    last: int | None


def read_detail(pull: Pull, settings: MailchimpSettings, reports: list[Report], detail: Detail) -> Iterator[Page]:
    """Rows of every campaign that may have new ones; its place moves when all its pages were read."""
    places = pull.noted_of("campaigns", {_id(report) for report in reports})

    def read(piece: _Piece) -> Page | None:
        return _rows(pull, settings, piece, detail)

    pieces = [piece for report in reports for piece in _pieces(pull, settings, report, detail, places)]
    pull.expect_requests(len(pieces))
    unstored = 0
    for piece, rows in in_order(read, pieces, at_once=settings.connections):
        if rows is None:
            pull.warn(f"Campaign {_id(piece.report)} was deleted while it was read.")
        if piece.last is None:
            places[_id(piece.report)] = pull.pulled_at.isoformat()
        yield rows or []
        unstored += len(rows or ())
        if piece.last is None and unstored >= ROWS_A_PART:
            unstored = 0
            yield pull.until_loaded()


def _id(report: Report) -> str:
    return str(report.get("id"))


def _pieces(
    pull: Pull, settings: MailchimpSettings, report: Report, detail: Detail, places: Mapping[str, str]
) -> Iterator[_Piece]:
    kept = places.get(_id(report))
    if not _may_have_rows(pull, settings, report, detail, kept):
        return
    since = pull.since if pull.is_backfill else None
    if kept:
        since = datetime.fromisoformat(kept) - timedelta(minutes=settings.overlap_minutes)
    last = 0
    if detail.a_recipient and not (since and detail.by_time):
        while last + settings.page_size < int(report.get("emails_sent") or 0):
            yield _Piece(report, since, last, last + settings.page_size)
            last += settings.page_size
    yield _Piece(report, since, last, None)


def _may_have_rows(pull: Pull, settings: MailchimpSettings, report: Report, detail: Detail, kept: str | None) -> bool:
    """Whether a campaign may have what was not read: it goes on being sent, or was young when it was last read."""
    sent = sent_at(report)
    if sent is None:
        return False
    quiet = sent + timedelta(days=detail.days or settings.recheck_days)
    if pull.until is not None:
        return (pull.since is None or quiet >= pull.since) and sent < pull.until
    if kept is None:
        return settings.start_date is None or sent.date() >= settings.start_date
    return str(report.get("type")).startswith("auto") or datetime.fromisoformat(kept) <= quiet


def _rows(pull: Pull, settings: MailchimpSettings, piece: _Piece, detail: Detail) -> Page | None:
    """The rows of a piece; None where the campaign is gone."""
    params = {"since": written(piece.since)} if piece.since and detail.by_time else {}
    path = f"reports/{piece.report.get('id')}/{detail.path}"
    found: Page = []
    try:
        for page in pages(
            pull, path, detail.records, params, size=settings.page_size, first=piece.first, last=piece.last
        ):
            found += [row for one in page.rows for row in detail.shape(piece.report, one)]
    except NotFoundError:
        return None
    return [row for row in found if _in_window(pull, row)]


def _in_window(pull: Pull, row: Row) -> bool:
    if pull.until is None or not row.get("at"):
        return True
    at = datetime.fromisoformat(str(row["at"]))
    return (pull.since is None or at >= pull.since) and at < pull.until


def _of(report: Report, found: Mapping[str, Any]) -> Row:
    return {
        "campaign_id": report.get("id"),
        "email_id": found.get("email_id"),
        "email": found.get("email_address"),
        "list_id": found.get("list_id") or report.get("list_id"),
        "campaign_title": report.get("campaign_title"),
        "subject": report.get("subject_line"),
    }


def activity_rows(report: Report, found: Mapping[str, Any]) -> list[Row]:
    """What one recipient did."""
    return [
        {
            **_of(report, found),
            "action": one.get("action"),
            "at": one.get("timestamp"),
            "url": one.get("url") or "",
            "bounce_type": one.get("type") if one.get("action") == "bounce" else None,
        }
        for one in found.get("activity") or ()
    ]


def delivery_rows(report: Report, found: Mapping[str, Any]) -> list[Row]:
    """What became of one mail."""
    return [{**_of(report, found), "status": found.get("status"), "at": report.get("send_time")}]


def unsubscribe_rows(report: Report, found: Mapping[str, Any]) -> list[Row]:
    """Somebody who left."""
    return [{**_of(report, found), "at": found.get("timestamp"), "reason": found.get("reason")}]


def link_rows(report: Report, found: Mapping[str, Any]) -> list[Row]:
    """A link of a campaign."""
    fields = {"id": "id", "url": "url", "total_clicks": "clicks", "unique_clicks": "unique_clicks"}
    row = {column: found[name] for name, column in fields.items() if name in found}
    return [row | {"campaign_id": report.get("id"), "last_click_at": found.get("last_click") or None}]


ACTIVITY = Detail(path="email-activity", records="emails", shape=activity_rows, by_time=True, a_recipient=True)
DELIVERIES = Detail(path="sent-to", records="sent_to", shape=delivery_rows, a_recipient=True, days=DELIVERY_DAYS)
UNSUBSCRIBES = Detail(path="unsubscribed", records="unsubscribes", shape=unsubscribe_rows)
LINKS = Detail(path="click-details", records="urls_clicked", shape=link_rows)
