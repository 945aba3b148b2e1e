"""The contract of every destination, for tests that go through all of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from tests.contract.destinations.ground import SandboxContract


def all_contracts() -> Mapping[str, type[SandboxContract]]:
    """For each connector the class that tests it with its usual settings, by the connector's name."""
    modules = [
        import_module(f"tests.contract.destinations.{path.stem}")
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
    ]
    classes = [found for module in modules for found in vars(module).values() if isinstance(found, type)]
    return {found.connector.name: found for found in classes if SandboxContract in found.__bases__}
