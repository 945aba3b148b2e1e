"""Lists by ``page[after]``, a hundred rows a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from millstream.sources.contract import Endpoint, Page
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

ROWS_A_PAGE = 100


def listed(pull: Pull, endpoint: Endpoint) -> Iterator[Page]:
    """Pages of a list.

    Raises:
        IncompleteError: There is more, and the vendor does not say where.
    """
    params = {**endpoint.params, "page[size]": ROWS_A_PAGE}
    while True:
        body = pull.get(endpoint.path, params)
        yield records_at(body, endpoint)
        meta = body.get("meta") or {}
        if not meta.get("has_more"):
            return
        after = meta.get("after_cursor")
        if not after or after == params.get("page[after]"):
            raise IncompleteError(
                f"Zendesk says that there is more at {endpoint.path} and not where.",
                remedy="run again; the stream's place was not moved, so that nothing is missed.",
            )
        params["page[after]"] = after
