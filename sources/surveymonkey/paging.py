"""Listings: numbered pages, of which each says how many rows there are in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from millstream.sources.contract import Endpoint
from millstream.state.errors import MalformedAnswerError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull


@dataclass(frozen=True)
class Listing:
    """One page of a listing.

    Attributes:
        rows: The vendor's rows.
        total: Rows in all pages.
        next: Parameters of the next page, or None on the last one.
    """

    rows: list[Any]
    total: int
    next: Mapping[str, str] | None


def listing(pull: Pull, path: str, params: Mapping[str, Any]) -> Listing:
    """One page.

    Raises:
        MalformedAnswerError: The answer is not a page.
    """
    from millstream.sources.pull import records_at

    body = pull.get(path, params)
    rows = records_at(body, Endpoint(path=path, records="data"))
    total = body.get("total")
    if not isinstance(total, int):
        raise MalformedAnswerError(
            f"GET {path} answered a page without a total.",
            remedy="the API may have changed: update the connector, or check the base_url.",
        )
    link = (body.get("links") or {}).get("next")
    # Only the link's parameters are followed: the token goes to no host but ours, and a proxy stays in between.
    return Listing(rows, total, dict(parse_qsl(urlsplit(link).query)) if link else None)


def listings(pull: Pull, path: str, params: Mapping[str, Any]) -> Iterator[Listing]:
    """All pages of a listing that does not change while it is read."""
    page = listing(pull, path, params)
    yield page
    while page.rows and page.next is not None:
        page = listing(pull, path, page.next)
        yield page
