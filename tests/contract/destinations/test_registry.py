"""Every destination that is registered has its contract here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from millstream.destinations.registry import DESTINATIONS
from tests.contract.destinations.ground import SandboxContract


def test_every_registered_destination_is_here() -> None:
    modules = [
        import_module(f"tests.contract.destinations.{path.stem}") for path in Path(__file__).parent.glob("test_*.py")
    ]
    classes = [found for module in modules for found in vars(module).values() if isinstance(found, type)]
    contracts = [found for found in classes if issubclass(found, SandboxContract) and hasattr(found, "connector")]
    assert {found.connector.name for found in contracts} == set(DESTINATIONS.names())
