"""Where requests go: to the host they are for, and past it only by answers that lead elsewhere.

Those are followed, and neither credential nor customer data goes to another host.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from millstream.state.errors import FatalError
from millstream.state.http.problems import place_of

_PUBLIC_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "user-agent"}
)
_WITH_BODY = frozenset({307, 308})
"""Statuses that have the same request made at the other place, its body with it (RFC 9110, 15.4.8 and 15.4.9)."""

_READS = frozenset({"GET", "HEAD"})

_SEE_OTHER = 303
"""The work was done, and its result is to be read at the other place."""


class GuardedRedirects(requests.Session):
    """A session of ``requests``, which asks these methods before it follows a redirect.

    Args:
        system: The vendor's name in messages.
    """

    def __init__(self, system: str) -> None:
        super().__init__()
        self._system = system
        self.trust_env = False  # no proxy of the environment's, and no sign-in of a .netrc in place of the credential

    def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Refuse to take a write to another host, and to make it into a request that writes nothing.

        Raises:
            FatalError: Nothing was sent to where the answer leads.
        """
        method = prepared_request.method
        super().rebuild_method(prepared_request, response)
        writes = method not in _READS or prepared_request.body
        if writes and self._leads_elsewhere(prepared_request, response):
            raise self._is_a_strangers(prepared_request, response)
        if response.status_code in _WITH_BODY:
            return
        if response.status_code != _SEE_OTHER and (prepared_request.body or prepared_request.method != method):
            # ``requests`` would read there, or write nothing, and the answer would be taken for the write's.
            raise FatalError(
                f"{place_of(response.request)} answered HTTP {response.status_code}, which leads elsewhere.",
                where=self._system,
                remedy="nothing was written: put the address that it leads to into the connection, as base_url.",
            )

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the credential off a redirect to another host, also where it stands in a header of the vendor's own."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        if self._leads_elsewhere(prepared_request, response):
            for name in [name for name in prepared_request.headers if name.lower() not in _PUBLIC_HEADERS]:
                del prepared_request.headers[name]

    def _leads_elsewhere(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> bool:
        """Whether it is another host or port, or the same one without encryption."""
        return bool(
            self.should_strip_auth(response.request.url, prepared_request.url)  # type: ignore[no-untyped-call]
        )

    def _is_a_strangers(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> FatalError:
        parts = urlsplit(prepared_request.url or "")
        host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return FatalError(
            f"{place_of(response.request)} answered HTTP {response.status_code}, which leads to another host, {host}: "
            "the data in the request does not follow it there, nor is that host's word taken for it.",
            where=self._system,
            remedy="nothing was written. If that host is the vendor's, put it into the connection, as base_url; "
            "if not, look who answers at the address that stands there now.",
        )
