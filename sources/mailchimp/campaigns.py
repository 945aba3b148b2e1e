"""Lists, campaigns and reports: small catalogues that are read whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.mailchimp.paging import pages

if TYPE_CHECKING:
    from millstream.sources.mailchimp.settings import MailchimpSettings
    from millstream.sources.pull import Pull

LIST_COLUMNS = (
    Column("id", description="List id.", required=True),
    Column("name"),
    Column("created_at", "timestamp"),
    Column("member_count", "bigint", "Members who are subscribed.", optional=True),
    Column("unsubscribe_count", "bigint", optional=True),
    Column("cleaned_count", "bigint", "Members whose address bounces.", optional=True),
    Column("stats", "json", "All counts that the vendor keeps.", optional=True),
)
CAMPAIGN_COLUMNS = (
    Column("id", description="Campaign id.", required=True),
    Column("type", description="regular, automation, absplit, variate, ..."),
    Column("status", description="save, paused, schedule, sending or sent."),
    Column("list_id", optional=True),
    Column("segment", description="Which members of the list it goes to, in words.", optional=True),
    Column("title", optional=True),
    Column("subject", optional=True),
    Column("from_name", optional=True),
    Column("created_at", "timestamp"),
    Column("sent_at", "timestamp"),
    Column("emails_sent", "bigint"),
    Column("link", description="The campaign as a web page.", optional=True),
)
REPORT_COLUMNS = (
    Column("id", description="Campaign id.", required=True),
    Column("type", optional=True),
    Column("list_id", optional=True),
    Column("title", optional=True),
    Column("subject", optional=True),
    Column("sent_at", "timestamp"),
    Column("emails_sent", "bigint"),
    Column("opens", "bigint"),
    Column("unique_opens", "bigint", "People who opened it."),
    Column("clicks", "bigint"),
    Column("unique_clicks", "bigint", "People who clicked in it.", optional=True),
    Column("hard_bounces", "bigint", optional=True),
    Column("soft_bounces", "bigint", optional=True),
    Column("unsubscribed", "bigint"),
    Column("abuse_reports", "bigint", optional=True),
    Column("orders", "bigint", "Orders of a connected shop.", optional=True),
    Column("revenue", "double", "Their value.", optional=True),
)


def fetch_lists(pull: Pull, settings: MailchimpSettings) -> list[Mapping[str, Any]]:
    """The lists that are to be read."""
    found = [row for page in pages(pull, "lists", "lists", {}, size=settings.page_size) for row in page.rows]
    return [row for row in found if settings.list_ids is None or row.get("id") in settings.list_ids]


def fetch_reports(pull: Pull, settings: MailchimpSettings) -> list[Mapping[str, Any]]:
    """The reports of campaigns that went to these lists."""
    found = [row for page in pages(pull, "reports", "reports", {}, size=settings.page_size) for row in page.rows]
    return [row for row in found if settings.list_ids is None or row.get("list_id") in settings.list_ids]


def read_campaigns(pull: Pull, settings: MailchimpSettings) -> Iterator[Page]:
    """Pages of campaigns as rows, the oldest first, so that a new one shifts nothing."""
    order = {"sort_field": "create_time", "sort_dir": "ASC"}
    for page in pages(pull, "campaigns", "campaigns", order, size=settings.page_size):
        rows = [shape_campaign(row) for row in page.rows]
        yield [row for row in rows if settings.list_ids is None or row["list_id"] in settings.list_ids]


def shape_list(found: Mapping[str, Any]) -> Row:
    """A list as a row."""
    stats = found.get("stats") or {}
    counts = ("member_count", "unsubscribe_count", "cleaned_count")
    return {
        "id": found.get("id"),
        **_picked(found, {"name": "name", "date_created": "created_at"}),
        **{name: stats.get(name) for name in counts},
        "stats": stats,
    }


def shape_campaign(found: Mapping[str, Any]) -> Row:
    """A campaign as a row."""
    fields = {
        "id": "id",
        "type": "type",
        "status": "status",
        "create_time": "created_at",
        "send_time": "sent_at",
        "emails_sent": "emails_sent",
        "archive_url": "link",
    }
    recipients, settings = found.get("recipients") or {}, found.get("settings") or {}
    return _picked(found, fields) | {
        "list_id": recipients.get("list_id"),
        "segment": recipients.get("segment_text"),
        "title": settings.get("title"),
        "subject": settings.get("subject_line"),
        "from_name": settings.get("from_name"),
    }


def shape_report(found: Mapping[str, Any]) -> Row:
    """A report as a row."""
    fields = {
        "id": "id",
        "type": "type",
        "list_id": "list_id",
        "campaign_title": "title",
        "subject_line": "subject",
        "send_time": "sent_at",
        "emails_sent": "emails_sent",
        "unsubscribed": "unsubscribed",
        "abuse_reports": "abuse_reports",
    }
    return (
        _picked(found, fields)
        | _picked(found.get("opens") or {}, {"opens_total": "opens", "unique_opens": "unique_opens"})
        | _picked(found.get("clicks") or {}, {"clicks_total": "clicks", "unique_clicks": "unique_clicks"})
        | _picked(found.get("bounces") or {}, {"hard_bounces": "hard_bounces", "soft_bounces": "soft_bounces"})
        | _picked(found.get("ecommerce") or {}, {"total_orders": "orders", "total_revenue": "revenue"})
    )


def _picked(found: Mapping[str, Any], fields: Mapping[str, str]) -> Row:
    return {column: found[name] for name, column in fields.items() if name in found}
