"""The endpoints that are used, each with the limits that it has of its own.

None of them can subscribe, unsubscribe or suppress anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from millstream.destinations.http import Http
from millstream.state.http import RateLimit

LARGEST_PAGE = 100


def _limit(requests_a_second: int, *, side_by_side: int, daily: int | None = None) -> RateLimit:
    """The limit of a second, which we keep ourselves; the headers count those of a minute."""
    return RateLimit(
        requests=requests_a_second,
        seconds=1.0,
        concurrency=side_by_side,
        remaining="RateLimit-Remaining",
        reset="RateLimit-Reset",
        daily=daily,
    )


LARGE = _limit(75, side_by_side=10)
_MEDIUM = _limit(10, side_by_side=4)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path.

    Attributes:
        part: Names its share of the limits.
        method: HTTP method.
        path: Below the API's root; ``{id}`` stands for an id.
        limit: Its limits.
    """

    part: str
    method: str
    path: str
    limit: RateLimit = LARGE


IMPORT_ONE = Endpoint(part="", method="POST", path="/profile-import")
CHANGE_ONE = Endpoint(part="profile", method="PATCH", path="/profiles/{id}")
FIND = Endpoint(part="profiles", method="GET", path="/profiles")
IMPORT_MANY = Endpoint(part="imports", method="POST", path="/profile-bulk-import-jobs", limit=_MEDIUM)
IMPORT_STATUS = Endpoint(part="import", method="GET", path="/profile-bulk-import-jobs/{id}", limit=_MEDIUM)
IMPORT_ERRORS = Endpoint(
    part="import errors", method="GET", path="/profile-bulk-import-jobs/{id}/import-errors", limit=_MEDIUM
)
IMPORTED = Endpoint(part="imported", method="GET", path="/profile-bulk-import-jobs/{id}/profiles", limit=_MEDIUM)
FIND_LIST = Endpoint(part="lists", method="GET", path="/lists")
MAKE_LIST = Endpoint(part="new lists", method="POST", path="/lists", limit=_limit(10, side_by_side=1, daily=150))
ADD_TO_LIST = Endpoint(part="joining", method="POST", path="/lists/{id}/relationships/profiles", limit=_MEDIUM)
TAKE_FROM_LIST = Endpoint(part="leaving", method="DELETE", path="/lists/{id}/relationships/profiles", limit=_MEDIUM)
READ_LIST = Endpoint(part="members", method="GET", path="/lists/{id}/profiles")
ERASE = Endpoint(part="erasure", method="POST", path="/data-privacy-deletion-jobs", limit=_limit(3, side_by_side=3))
ACCOUNT = Endpoint(part="account", method="GET", path="/accounts", limit=_limit(1, side_by_side=1))


class Api:
    """Calls endpoints.

    Args:
        http_of: The engine's HTTP for an endpoint.
        revision: Revision of the API.
    """

    def __init__(self, http_of: Callable[[Endpoint], Http], revision: str) -> None:
        self._http_of = http_of
        self._headers = {"revision": revision}

    def call(
        self, endpoint: Endpoint, *, of: str = "", body: object = None, params: Mapping[str, Any] | None = None
    ) -> Any:
        """The parsed answer; None when it has no body.

        Args:
            endpoint: What is called.
            of: The id in its path.
            body: Sent as JSON.
            params: Query parameters.
        """
        typed = {"Content-Type": "application/vnd.api+json"} if body is not None else {}
        return self._http_of(endpoint).request(
            endpoint.method,
            endpoint.path.replace("{id}", quote(of, safe="")),
            body=body,
            params=params,
            headers=self._headers | typed,
        )

    def pages(
        self, endpoint: Endpoint, *, of: str = "", params: Mapping[str, Any] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Resources of all pages. Of the link to the next one only the cursor is taken: it names the vendor's host."""
        query = {"page[size]": LARGEST_PAGE, **(params or {})}
        while True:
            answer = self.call(endpoint, of=of, params=query)
            yield from answer["data"]
            following = (answer.get("links") or {}).get("next")
            cursor = parse_qs(urlsplit(str(following)).query).get("page[cursor]") if following else None
            if not cursor:
                return
            query = {**query, "page[cursor]": cursor[0]}
