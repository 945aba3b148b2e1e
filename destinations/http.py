"""HTTP for destinations: the engine's session with a base URL and parsed answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import requests
from requests.auth import AuthBase

from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.http import Answer, Budget, Caution, Classify, Pacer, RateLimit, Retries, VendorSession


class Unsigned(AuthBase):
    """No credential."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


class Form(dict[str, str]):
    """A body that is sent as an HTML form is."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A body that is a file.

    Attributes:
        content: Its bytes.
        media_type: What they are, such as ``text/csv``.
        part: Name of the part that carries it in a multipart body; the file is the body itself when left out.
        file_name: Its name in a multipart body.
    """

    content: bytes
    media_type: str
    part: str | None = None
    file_name: str = "rows"

    def put_into(self, request: requests.Request) -> None:
        """Make it the request's body."""
        if self.part:
            request.files = {self.part: (self.file_name, self.content, self.media_type)}
        else:
            request.data = self.content
            request.headers = {"Content-Type": self.media_type, **request.headers}

    def told(self) -> str:
        """What it is, without what is in it."""
        return f"{len(self.content):,} bytes of {self.media_type}"


class Recorded(BaseException):
    """A request that was not made, because this is a rehearsal.

    Attributes:
        method: HTTP method.
        url: Where it would have gone, with its query.
        headers: Names of its headers, those of the signature too.
        body: Its body, before it is written as JSON or as a form; of a file, what it is and how large.
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
        caution: What holds where the host is not trusted.
        sleep: Waits before a request, or raises where it is not to be made any more.
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
        caution: Caution | None = None,
        sleep: Callable[[float], None] = sleep_unless_stopped,
    ) -> None:
        self.rehearses = False
        self._repeats = repeats
        longest = (retries or Retries()).longest_retry_after
        self.pacer = Pacer(limit, budget=budget, longest_pause=longest, sleep=sleep)
        self._base_url = base_url.rstrip("/")
        self._session = VendorSession(
            system=system, auth=auth, pacer=self.pacer, classify=classify, retries=retries, caution=caution
        )
        self._unsigned = VendorSession(
            system=system, auth=Unsigned(), pacer=self.pacer, retries=retries, caution=caution
        )

    @property
    def calls(self) -> int:
        """Requests made so far, tries included."""
        return self.pacer.calls

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The parsed answer of a GET; None when it has no body."""
        return self.request("GET", path, params=params)

    def post(
        self,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        replay: bool | None = None,
    ) -> Any:
        """The parsed answer of a POST; see ``request``."""
        return self.request("POST", path, body=body, params=params, headers=headers, replay=replay)

    def query(self, path: str, body: object) -> Any:
        """The parsed answer of a POST that only reads, such as a search: like a GET, it is made in rehearsals, too."""
        answer = self.answer("POST", path, body=body, reads=True)
        return answer.json() if answer.content else None

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        replay: bool | None = None,
    ) -> Any:
        """Make a request and parse its answer.

        Args:
            method: HTTP method.
            path: Appended to the base URL; a whole URL is taken as it is.
            body: Sent as JSON when given; a ``Form`` or an ``Upload`` as what it is.
            params: Query parameters; of a list, each value comes under the same name.
            headers: Headers of this request only.
            replay: Whether it may be repeated when nobody knows if it was carried out. When left out, a GET may, and
                anything else where all of the connector's operations are idempotent: one that has others says True
                for those that are, and for requests that only read.

        Returns:
            The parsed body, or None when it is empty.

        Raises:
            MillstreamError: See ``millstream.state.errors``.
        """
        answer = self.answer(method, path, body=body, params=params, headers=headers, replay=replay)
        return answer.json() if answer.content else None

    def read(
        self, path: str, params: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a GET as it is, for answers that are no JSON, such as CSV."""
        return self.answer("GET", path, params=params, headers={"Accept": "*/*", **(headers or {})}).content

    def download(self, url: str) -> bytes:
        """The bytes at a URL that an answer gave and that is signed by itself: the credential does not go along.

        Such links lead to another host, which is not to see the credential, and which refuses to be signed to twice.
        """
        request = requests.Request("GET", url, headers={"Accept": "*/*"})
        return self._unsigned.send(self._unsigned.prepare_request(request)).content

    def upload(self, url: str, file: Upload) -> None:
        """Put a file at a URL that an answer gave and that is signed by itself: the credential does not go along."""
        request = requests.Request("PUT", url, headers={"Accept": "*/*"})
        file.put_into(request)
        if self.rehearses:
            raise Recorded("PUT", url, tuple(sorted(request.headers)), file.told())
        self._unsigned.send(self._unsigned.prepare_request(request))

    def answer(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        replay: bool | None = None,
        reads: bool = False,
    ) -> Answer:
        """As ``request``, and the answer as it is: for those that may be anything. Say so with ``Accept: */*``.

        What is said to read changes nothing, whatever its method is.
        """
        reads = reads or method == "GET"
        url = path if path.startswith(("http://", "https://")) else f"{self._base_url}/{path.lstrip('/')}"
        request = requests.Request(method, url, params=dict(params or {}), headers=dict(headers or {}))
        if isinstance(body, Form):
            request.data = dict(body)
        elif isinstance(body, Upload):
            body.put_into(request)
        elif body is not None:
            request.data = orjson.dumps(body)
            request.headers = {"Content-Type": "application/json", **request.headers}
        prepared = self._session.prepare_request(request)
        if self.rehearses and not reads:
            names = tuple(sorted({*prepared.headers, "Authorization"}))
            raise Recorded(method, prepared.url or url, names, body.told() if isinstance(body, Upload) else body)
        repeated = (reads or self._repeats) if replay is None else replay
        return self._session.deliver(prepared, replay=repeated)
