"""Every destination that is registered has its contract here."""

from __future__ import annotations

from millstream.destinations.registry import DESTINATIONS
from tests.contract.destinations.all_contracts import all_contracts


def test_every_registered_destination_is_here() -> None:
    assert set(all_contracts()) == set(DESTINATIONS.names())
