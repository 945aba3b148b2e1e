"""Lists of Mailchimp: by offset, each page of which says how many rows there are in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Endpoint, Page
from millstream.state.errors import MalformedAnswerError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull


@dataclass(frozen=True)
class Listed:
    """A page.

    Attributes:
        rows: The vendor's rows.
        total: Rows in all pages.
    """

    rows: Page
    total: int


def listed(pull: Pull, path: str, records: str, params: Mapping[str, Any]) -> Listed:
    """One page of a list.

    Raises:
        MalformedAnswerError: The answer is no page.
    """
    from millstream.sources.pull import records_at

    # Links to other calls are half of an answer.
    fields = {} if "fields" in params else {"exclude_fields": f"{records}._links,_links"}
    body = pull.get(path, {**fields, **params})
    rows = records_at(body, Endpoint(path=path, records=records))
    total = body.get("total_items")
    if not isinstance(total, int):
        raise MalformedAnswerError(
            f"GET {path} does not say how many rows there are.",
            remedy="the API may have changed: update the connector, or check the base_url.",
        )
    return Listed(rows, total)


def pages(
    pull: Pull,
    path: str,
    records: str,
    params: Mapping[str, Any],
    *,
    size: int,
    first: int = 0,
    last: int | None = None,
) -> Iterator[Listed]:
    """Pages of a list that only grows while it is read.

    Args:
        pull: The stream's.
        path: Below the root.
        records: Where the rows stand.
        params: Filters and order.
        size: Rows a page.
        first: Offset of the first page.
        last: Offset to end before; None reads to the end.
    """
    offset = first
    while last is None or offset < last:
        count = size if last is None else min(size, last - offset)
        page = listed(pull, path, records, {**params, "count": count, "offset": offset})
        yield page
        offset += len(page.rows)
        if not page.rows or offset >= page.total:
            return


def moment_of(row: Mapping[str, Any], field: str) -> datetime:
    """A time that a row must have.

    Raises:
        SchemaError: It has none.
    """
    try:
        return datetime.fromisoformat(str(row[field])).astimezone(UTC)
    except (KeyError, ValueError) as error:
        raise SchemaError(
            f"A row of Mailchimp has no readable {field!r}.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        ) from error


def sent_at(campaign: Mapping[str, Any]) -> datetime | None:
    """When a campaign was sent; None if it was not."""
    return moment_of(campaign, "send_time") if campaign.get("send_time") else None


def written(moment: datetime) -> str:
    """A time as the API takes it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
