"""Lists by ``page[after]``, a hundred rows a page."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Endpoint, Page
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, RefusedError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

ROWS_A_PAGE = 100
_AFTER = "after"


def listed(pull: Pull, endpoint: Endpoint, notes: MutableMapping[str, Any] | None = None) -> Iterator[Page]:
    """Pages of a list.

    Args:
        pull: The pull.
        endpoint: The list.
        notes: Keeps the place of the next page, in step with each; a list that was begun goes on there.

    Raises:
        IncompleteError: There is more, and the vendor does not say where.
    """
    notes = {} if notes is None else notes
    params = {**endpoint.params, "page[size]": ROWS_A_PAGE}
    body = _first(pull, endpoint, params, notes)
    while True:
        meta = body.get("meta") or {}
        after = meta.get("after_cursor")
        if not meta.get("has_more"):
            notes.pop(_AFTER, None)
        elif after:
            notes[_AFTER] = after
        yield records_at(body, endpoint)
        if not meta.get("has_more"):
            return
        if not after or after == params.get("page[after]"):
            raise IncompleteError(
                f"Zendesk says that there is more at {endpoint.path} and not where.",
                remedy="run again; the stream's place was not moved, so that nothing is missed.",
            )
        params["page[after]"] = after
        body = pull.get(endpoint.path, params)


def _first(pull: Pull, endpoint: Endpoint, params: dict[str, Any], notes: MutableMapping[str, Any]) -> Any:
    """The first page, or the one where a pull before was ended, if the vendor still knows that place."""
    if _AFTER in notes:
        try:
            return pull.get(endpoint.path, params | {"page[after]": notes[_AFTER]})
        except RefusedError as error:
            if error.status not in (400, 422):
                raise
            del notes[_AFTER]
    return pull.get(endpoint.path, params)
