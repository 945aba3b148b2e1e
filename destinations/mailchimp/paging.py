"""How Mailchimp pages its lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millstream.destinations.http import Http

LARGEST_PAGE = 1000


def pages(http: Http, path: str, records: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Records of all pages; ``fields`` of the query has to name ``total_items``, too."""
    offset = 0
    while True:
        answer = http.get(path, {**query, "count": LARGEST_PAGE, "offset": offset})
        found = answer.get(records) or ()
        yield from found
        offset += len(found)
        if not found or offset >= int(answer["total_items"]):
            return
