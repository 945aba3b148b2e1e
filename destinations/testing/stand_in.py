"""What stands in for a vendor while its connector is tested, besides the vendor's API itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    def members(self, audience_id: str) -> set[str] | None:
        """Match values of an audience's members; None where it cannot tell."""

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

    def members(self, audience_id: str) -> set[str] | None:
        """Match values of an audience's members; None where the state does not tell."""
        return None

    def clear(self) -> None:
        """Take all faults back."""
        self._http.request("DELETE", "/faults")

    def _fault(self, **facts: object) -> None:
        self._http.post("/faults", {"system": self._system, **facts})


class PeopleStandIn(SandboxStandIn):
    """A system of the sandbox whose state lists ``people``: how each is found, stands, and in which audiences.

    Args:
        url: Where the sandbox listens.
        system: The vendor's name there.
        match_key: The match key of the tests.
    """

    def __init__(self, url: str, system: str, *, match_key: str = "email") -> None:
        super().__init__(url, system, lambda state: self._by_key(state, "standing"), self._fields_of)
        self._match_key = match_key

    def members(self, audience_id: str) -> set[str] | None:
        """Match values of an audience's members, by its id or by its name."""
        state = self._http.get(f"/state/{self._system}")
        names = {audience_id, state["audiences"].get(audience_id)}
        audiences: Mapping[str, Sequence[str]] = self._by_key(state, "audiences")
        return {match_value for match_value, of_person in audiences.items() if names & set(of_person)}

    def _fields_of(self, state: Any) -> Mapping[str, Mapping[str, object]]:
        return self._by_key(state, "fields")

    def _by_key(self, state: Any, fact: str) -> dict[str, Any]:
        found = {person["match"].get(self._match_key): person[fact] for person in state["people"]}
        return {_folded(match_value): facts for match_value, facts in found.items() if match_value}


def _folded(match_value: str) -> str:
    return match_value.lower() if "@" in match_value else match_value
