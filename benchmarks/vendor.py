"""The sandbox in a process of its own, so that what it costs is not counted."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import requests
from pydantic import SecretStr

from millstream.destinations.hubspot import HubSpot as HubSpotDestination
from millstream.destinations.hubspot import HubSpotSettings as DestinationSettings
from millstream.destinations.sending import AnyDestination

if TYPE_CHECKING:
    from millstream.sources.hubspot import HubSpot as HubSpotSource

TOKEN = "pat-sandbox-hubspot"
_UNPACED = 1_000_000
"""Requests a second: so many that pacing never decides."""


class Vendor:
    """HubSpot as the sandbox has it, without its limits.

    Args:
        people: Size of the company.
        latency_ms: Every answer is held back for so long.
    """

    def __init__(self, *, people: int, latency_ms: float = 0) -> None:
        command = ["-m", "millstream.sandbox", "--no-limits", "--port", "0", "--people", str(people)]
        self._process = subprocess.Popen(
            [sys.executable, *command, "--latency-ms", str(latency_ms)], stderr=subprocess.PIPE, text=True
        )
        self.root = self._address()
        self.url = f"{self.root}/hubspot"

    def source(self, *streams: str) -> HubSpotSource:
        """Our source; all streams when none is named. It is imported here: delivering needs no memory for it."""
        from millstream.sources.hubspot import HubSpot as HubSpotSource
        from millstream.sources.hubspot import HubSpotSettings as SourceSettings

        return HubSpotSource(
            SourceSettings(
                base_url=self.url,
                access_token=SecretStr(TOKEN),
                streams=streams or None,
                requests_per_second=_UNPACED,
                searches_per_second=_UNPACED,
            )
        )

    def destination(self) -> AnyDestination:
        """Our destination."""
        token = SecretStr(TOKEN)
        settings = DestinationSettings(base_url=self.url, access_token=token, requests_per_10_seconds=_UNPACED)
        return cast(AnyDestination, HubSpotDestination(settings))

    def session(self, connections: int = 1) -> requests.Session:
        """A plain session for the floor, signed in."""
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=connections))
        return session

    def reset(self) -> None:
        """Put everything back to the start, and let the sandbox build again what it looks contacts up by."""
        requests.post(f"{self.root}/_sandbox/reset", timeout=60).raise_for_status()
        self.cities_of(["nobody@box.example"])

    def members_of(self, name: str) -> int:
        """How many contacts are on a list."""
        with self.session() as session:
            answer = session.post(f"{self.url}/crm/v3/lists/search", json={"query": name}, timeout=60)
        answer.raise_for_status()
        found = next(one for one in answer.json()["lists"] if one["name"] == name)
        return int(found["additionalProperties"]["hs_list_size"])

    def cities_of(self, emails: list[str]) -> list[str]:
        """The cities of up to 100 contacts, sorted."""
        body: dict[str, Any] = {
            "idProperty": "email",
            "properties": ["city"],
            "propertiesWithHistory": [],
            "inputs": [{"id": email} for email in emails],
        }
        with self.session() as session:
            answer = session.post(f"{self.url}/crm/v3/objects/contacts/batch/read", json=body, timeout=60)
        answer.raise_for_status()
        return sorted(str(one["properties"]["city"]) for one in answer.json()["results"])

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate(timeout=30)

    def _address(self) -> str:
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the sandbox did not start: {line}{self._process.communicate()[1]}")
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(f"{found[0]}/_sandbox/health", timeout=60).raise_for_status()
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return found[0]

    def __enter__(self) -> Vendor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
