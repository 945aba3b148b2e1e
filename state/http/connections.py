"""Connections to a vendor's hosts. What ``requests`` works out anew for each request is worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from millstream.state.http.answer import Answer
from millstream.state.http.caution import PUBLIC_POOLS


class Connections(HTTPAdapter):
    """The connections of one session, which uses no proxies.

    Args:
        at_once: Requests that may be in flight at once.
        public_only: Whether to connect to hosts on the internet only.
    """

    def __init__(self, *, at_once: int, public_only: bool = False) -> None:
        super().__init__(pool_maxsize=max(10, at_once))
        if public_only:
            self.poolmanager.pool_classes_by_scheme = dict(PUBLIC_POOLS)
        self._latest: tuple[tuple[object, ...], Any] | None = None

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: Any = None,
    ) -> Any:
        """The connections to a host, with its certificates. Nearly all requests go where the one before went."""
        parts = urlsplit(request.url)
        wanted = (parts.scheme, parts.netloc, verify, cert)
        latest = self._latest
        if latest is not None and latest[0] == wanted:
            return latest[1]
        found = super().get_connection_with_tls_context(request, verify, proxies, cert)
        super().cert_verify(found, request.url, verify, cert)  # type: ignore[no-untyped-call]
        self._latest = (wanted, found)
        return found

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Nothing: it was done when the connections were looked up."""

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Path and query: only proxies are told more."""
        return request.path_url

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Answer:
        """The answer, whose body is not read yet."""
        answer = Answer()
        answer.status_code = resp.status
        answer.headers = CaseInsensitiveDict(resp.headers)
        answer.encoding = get_encoding_from_headers(answer.headers)
        answer.raw, answer.reason = resp, resp.reason
        answer.url, answer.request = req.url or "", req
        answer.connection = self
        if "Set-Cookie" in answer.headers:
            extract_cookies_to_jar(answer.cookies, req, resp)  # type: ignore[no-untyped-call]
        return answer
