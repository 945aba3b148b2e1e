"""The contract of every destination, for tests that go through all of them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from importlib import import_module
from pathlib import Path

import orjson
from pydantic import SecretStr

from millstream.destinations.contract import DestinationSettings
from tests.contract.destinations.ground import SandboxContract


def all_contracts() -> Mapping[str, type[SandboxContract]]:
    """For each connector the class that tests it with its usual settings, by the connector's name."""
    modules = [
        import_module(f"tests.contract.destinations.{path.stem}")
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
    ]
    classes = [found for module in modules for found in vars(module).values() if isinstance(found, type)]
    return {found.connector.name: found for found in classes if SandboxContract in found.__bases__}


def as_a_project_says(
    settings: DestinationSettings, *, prefix: str, secrets: MutableMapping[str, str]
) -> dict[str, object]:
    """The settings that were given, as a project file has them.

    Args:
        settings: Of a connector.
        prefix: What names of variables begin with.
        secrets: Takes up secrets, by the variables that the file names in their place.
    """
    plain: Mapping[str, object] = orjson.loads(settings.model_dump_json())
    said: dict[str, object] = {}
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            variable = f"{prefix}_{name}".upper()
            secrets[variable] = value.get_secret_value()
            said[name] = {"env": variable}
        else:
            said[name] = plain[name]
    return said
