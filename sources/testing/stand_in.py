"""What stands in for a vendor while its source is tested, besides the vendor's API itself."""

from __future__ import annotations

from typing import Protocol

import orjson
from dlt.sources.helpers import requests


class StandIn(Protocol):
    """What the suite needs of the thing that stands in for the vendor, besides its API."""

    def throttle(self, *, times: int, seconds: int) -> None:
        """Answer some requests with 429 and ``Retry-After``."""

    def stumble(self, *, every: int) -> None:
        """Answer every nth request with a server error, and cut some bodies short."""

    def rename(self, field: str, to: str) -> None:
        """Give a field of the records another name."""

    def drop(self, field: str) -> None:
        """Leave a field out of the records."""

    def forget_everything(self) -> None:
        """Answer as an account without any records."""

    def speak_html(self) -> None:
        """Answer with a web page under status 200."""

    def expire_token(self) -> None:
        """Refuse the tokens issued so far."""

    def requests_seen(self) -> int:
        """Requests to the vendor since the last call of ``clear``."""

    def clear(self) -> None:
        """Behave again."""


class SandboxStandIn:
    """The sandbox, steered through its control routes.

    Args:
        url: Where the sandbox listens.
        system: The vendor's name there.
    """

    def __init__(self, url: str, system: str) -> None:
        self._control = f"{url}/_sandbox"
        self._system = system

    def throttle(self, *, times: int, seconds: int) -> None:
        """Answer some requests with 429 and ``Retry-After``."""
        self._fault(kind="rate_limited", times=times, seconds=seconds)

    def stumble(self, *, every: int) -> None:
        """Answer every nth request with a server error, and cut some bodies short."""
        self._fault(kind="server_error", every=every, status=503)
        self._fault(kind="truncated", every=every + 1)

    def rename(self, field: str, to: str) -> None:
        """Give a field of the records another name."""
        self._control_fault({"kind": "rename_field", "from": field, "to": to})

    def drop(self, field: str) -> None:
        """Leave a field out of the records."""
        self._fault(kind="drop_field", field=field)

    def forget_everything(self) -> None:
        """Answer as an account without any records."""
        self._fault(kind="empty")

    def speak_html(self) -> None:
        """Answer with a web page under status 200."""
        self._fault(kind="html")

    def expire_token(self) -> None:
        """Refuse the tokens issued so far."""
        self._fault(kind="expire_token")

    def requests_seen(self) -> int:
        """Requests to the vendor since the last call of ``clear``."""
        systems = orjson.loads(requests.get(f"{self._control}/requests").content)["systems"]
        return sum(entry["count"] for entry in systems.get(self._system, []))

    def clear(self) -> None:
        """Behave again, and count from zero."""
        requests.delete(f"{self._control}/faults")
        requests.delete(f"{self._control}/requests")

    def _fault(self, **facts: object) -> None:
        self._control_fault(facts)

    def _control_fault(self, facts: dict[str, object]) -> None:
        body = orjson.dumps({"system": self._system, **facts})
        requests.post(f"{self._control}/faults", data=body, headers={"Content-Type": "application/json"})
