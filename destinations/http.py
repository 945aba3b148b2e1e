"""HTTP for destinations: the engine's session with a base URL and parsed answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import requests
from requests.auth import AuthBase

from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.http import Answer, Budget, Classify, Pacer, RateLimit, Retries, VendorSession


class _Unsigned(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Recorded(BaseException):
    """A request that was not made, because this is a rehearsal.

    Attributes:
        method: HTTP method.
        url: Where it would have gone, with its query.
        headers: Names of its headers, those of the signature too.
        body: Its body, before it is written as JSON.
    """

    def __init__(self, method: str, url: str, headers: tuple[str, ...], body: object) -> None:
        super().__init__(method, url)
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body


class Http:
    """Calls one vendor.

    Attributes:
        rehearses: Whether requests that could change something are given back as ``Recorded`` instead of being made.

    Args:
        system: The vendor's name in messages.
        base_url: Paths are appended to it.
        auth: Signs requests.
        limit: The vendor's limits.
        classify: The connector's own reading of answers.
        retries: How often and how long to try.
        budget: Shares the limits with others who use the credential.
        repeats: Whether requests other than GET may be repeated when nobody knows if they were carried out, unless
            one says otherwise.
    """

    def __init__(
        self,
        *,
        system: str,
        base_url: str,
        auth: AuthBase,
        limit: RateLimit,
        classify: Classify | None = None,
        retries: Retries | None = None,
        budget: Budget | None = None,
        repeats: bool = True,
    ) -> None:
        self.rehearses = False
        self._repeats = repeats
        longest = (retries or Retries()).longest_retry_after
        self.pacer = Pacer(limit, budget=budget, longest_pause=longest, sleep=sleep_unless_stopped)
        self._base_url = base_url.rstrip("/")
        self._session = VendorSession(system=system, auth=auth, pacer=self.pacer, classify=classify, retries=retries)
        self._unsigned = VendorSession(system=system, auth=_Unsigned(), pacer=self.pacer, retries=retries)

    @property
    def calls(self) -> int:
        """Requests made so far, tries included."""
        return self.pacer.calls

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The parsed answer of a GET; None when it has no body."""
        return self.request("GET", path, params=params)

    def post(
        self, path: str, body: object = None, *, params: Mapping[str, Any] | None = None, replay: bool | None = None
    ) -> Any:
        """The parsed answer of a POST; see ``request``."""
        return self.request("POST", path, body=body, params=params, replay=replay)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, Any] | None = None,
        replay: bool | None = None,
    ) -> Any:
        """Make a request and parse its answer.

        Args:
            method: HTTP method.
            path: Appended to the base URL; a whole URL is taken as it is.
            body: Sent as JSON when given.
            params: Query parameters.
            replay: Whether it may be repeated when nobody knows if it was carried out. When left out, a GET may, and
                anything else where all of the connector's operations are idempotent: one that has others says True
                for those that are, and for requests that only read.

        Returns:
            The parsed body, or None when it is empty.

        Raises:
            MillstreamError: See ``millstream.state.errors``.
        """
        answer = self._deliver(method, path, body, params, replay)
        return answer.json() if answer.content else None

    def download(self, url: str) -> bytes:
        """The bytes at a URL that an answer gave and that is signed by itself: the credential does not go along.

        Such links lead to another host, which is not to see the credential, and which refuses to be signed to twice.
        """
        request = requests.Request("GET", url, headers={"Accept": "*/*"})
        return self._unsigned.send(self._unsigned.prepare_request(request)).content

    def _deliver(
        self, method: str, path: str, body: object, params: Mapping[str, Any] | None, replay: bool | None
    ) -> Answer:
        url = path if path.startswith(("http://", "https://")) else f"{self._base_url}/{path.lstrip('/')}"
        request = requests.Request(
            method,
            url,
            params=dict(params or {}),
            data=None if body is None else orjson.dumps(body),
            headers={} if body is None else {"Content-Type": "application/json"},
        )
        prepared = self._session.prepare_request(request)
        if self.rehearses and method != "GET":
            names = tuple(sorted({*prepared.headers, "Authorization"}))
            raise Recorded(method, prepared.url or url, names, body)
        repeated = (method == "GET" or self._repeats) if replay is None else replay
        return self._session.deliver(prepared, replay=repeated)
