"""Stand-ins that know people by hashes alone: who of the people of a test is a member is told by their hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import requests

from millstream.destinations.testing import SandboxStandIn


class HashedStandIn(SandboxStandIn):
    """A system of the sandbox whose state lists members of audiences by their hashes.

    Args:
        url: Where the sandbox listens.
        system: The vendor's name there.
        known: Match values that the tests have made up so far.
        hashed: The hash that the vendor has of one.
    """

    def __init__(self, url: str, system: str, known: Iterable[str], hashed: Callable[[str], str | None]) -> None:
        super().__init__(url, system, lambda _: {})
        self._state = f"{url}/_sandbox/state/{system}"
        self._known = known
        self._hashed = hashed

    def members(self, audience_id: str) -> set[str] | None:
        """Match values of an audience's members; hashes that are nobody's of the tests as they are."""
        audience = requests.get(self._state, timeout=30).json()["audiences"][audience_id]
        names = {self._hashed(match_value): match_value for match_value in self._known}
        return {next((names[cell] for cell in cells if cell in names), str(cells)) for cells in audience["members"]}
