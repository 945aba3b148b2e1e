"""What stands in for a vendor while its connector is tested, besides the vendor's API itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import requests
from requests.auth import AuthBase

from millstream.destinations.http import Http
from millstream.state.http import RateLimit


class StandIn(Protocol):
    """What the suite needs of the thing that stands in for the vendor, besides its API."""

    def throttle(self, *, times: int, seconds: int) -> None:
        """Answer the next requests with 429 and ``Retry-After``."""

    def lose_answers(self, *, times: int) -> None:
        """Carry out the next writes, then close the connection without an answer."""

    def standings(self) -> Mapping[str, str]:
        """How each person stands with the vendor by match value: ``subscribed``, ``unsubscribed``, ..."""

    def fields(self) -> Mapping[str, Mapping[str, object]] | None:
        """Fields of each person by match value; None where it cannot tell."""

    def clear(self) -> None:
        """Behave again."""


class _Open(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class SandboxStandIn:
    """The sandbox, steered through its control routes.

    Args:
        url: Where the sandbox listens.
        system: The vendor's name there.
        standings: Reads how people stand, from the answer of ``GET /_sandbox/state/<system>``.
        fields: Reads people's fields from the same.
    """

    def __init__(
        self,
        url: str,
        system: str,
        standings: Callable[[Any], Mapping[str, str]],
        fields: Callable[[Any], Mapping[str, Mapping[str, object]]] | None = None,
    ) -> None:
        limit = RateLimit(requests=1000, seconds=1.0)
        self._http = Http(system="sandbox", base_url=f"{url}/_sandbox", auth=_Open(), limit=limit)
        self._system = system
        self._standings = standings
        self._fields = fields

    def throttle(self, *, times: int, seconds: int) -> None:
        """Answer the next requests with 429 and ``Retry-After``."""
        self._fault(kind="rate_limited", times=times, seconds=seconds)

    def lose_answers(self, *, times: int) -> None:
        """Carry out the next writes, then close the connection without an answer."""
        self._fault(kind="reset", when="after", method="POST", times=times)

    def standings(self) -> Mapping[str, str]:
        """How each person stands with the vendor by match value."""
        return self._standings(self._http.get(f"/state/{self._system}"))

    def fields(self) -> Mapping[str, Mapping[str, object]] | None:
        """Fields of each person by match value."""
        return self._fields(self._http.get(f"/state/{self._system}")) if self._fields else None

    def clear(self) -> None:
        """Take all faults back."""
        self._http.request("DELETE", "/faults")

    def _fault(self, **facts: object) -> None:
        self._http.post("/faults", {"system": self._system, **facts})
