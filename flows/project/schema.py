"""The JSON Schema of the project file, for completion and checking in editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import BaseModel

from millstream.destinations.registry import DESTINATIONS
from millstream.flows.project.models import ProjectFile
from millstream.flows.project.secrets import is_secret, takes_reference
from millstream.sources.registry import SOURCES
from millstream.state.plugins import OWN_PACKAGE

Schema = dict[str, object]
_REFERENCE: Schema = {
    "description": "Where the value is kept: an environment variable, a file, or a Secret block of Prefect.",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "env": {"type": "string", "description": "Name of an environment variable."},
        "file": {"type": "string", "description": "A file; a relative path starts at the project file's folder."},
        "prefect": {"type": "string", "description": "Name of a Secret block of Prefect."},
    },
}
_REFERENCE_AT: Schema = {"$ref": "#/$defs/Reference"}


def write_schema(path: Path, *, plugins: bool = True) -> None:
    """Write the schema to a file, whose folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema_text(plugins=plugins), encoding="utf-8")


def schema_text(*, plugins: bool = True) -> str:
    """The schema as text.

    Args:
        plugins: With the connectors of other packages that are installed here.
    """
    return json.dumps(project_schema(plugins=plugins), indent=2) + "\n"


def project_schema(*, plugins: bool = True) -> Schema:
    """The schema of a project file, with the settings of the installed connectors."""
    schema = ProjectFile.model_json_schema()
    definitions = cast("Schema", schema.setdefault("$defs", {}))
    definitions["Reference"] = _REFERENCE
    sources, destinations = _connectors(plugins=plugins)
    source_settings = {
        name: _settings(model, f"source_{name}_", definitions) for name, model in sorted(sources.items())
    }
    destination_settings = {
        name: _settings(model, f"destination_{name}_", definitions) for name, model in sorted(destinations.items())
    }
    _add_connections(cast("Schema", definitions["Connection"]), source_settings, destination_settings)
    _add_options(cast("Schema", definitions["SourceEntry"]), source_settings)
    _add_options(cast("Schema", definitions["DestinationEntry"]), destination_settings)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Millstream project"}


def _connectors(*, plugins: bool) -> tuple[dict[str, type[BaseModel]], dict[str, type[BaseModel]]]:
    sources, destinations = SOURCES.load_all(), DESTINATIONS.load_all()
    return (
        {n: c.Settings for n, c in sources.loaded.items() if plugins or sources.packages[n] == OWN_PACKAGE},
        {n: c.Settings for n, c in destinations.loaded.items() if plugins or destinations.packages[n] == OWN_PACKAGE},
    )


def _settings(model: type[BaseModel], prefix: str, definitions: Schema) -> Schema:
    """A connector's settings as properties; its own definitions move to the project's under a prefix."""
    schema = _with_prefix(model.model_json_schema(), prefix)
    for name, definition in cast("Schema", schema.get("$defs", {})).items():
        definitions[prefix + name] = definition
    properties = cast("Schema", schema["properties"])
    return {
        name: _referable(cast("Schema", properties[field.alias or name]), field.annotation)
        for name, field in model.model_fields.items()
    }


def _referable(schema: Schema, annotation: object) -> Schema:
    """A setting that is a secret is a reference; one that holds no mapping may be one."""
    described = {"description": schema["description"]} if "description" in schema else {}
    if is_secret(annotation):
        return {**described, **_REFERENCE_AT}
    if not takes_reference(annotation):
        return schema
    return {**described, "anyOf": [{key: schema[key] for key in schema if key != "description"}, _REFERENCE_AT]}


def _with_prefix(schema: Schema, prefix: str) -> Schema:
    text = json.dumps(schema).replace('"$ref": "#/$defs/', f'"$ref": "#/$defs/{prefix}')
    return cast("Schema", json.loads(text))


def _add_connections(schema: Schema, sources: Mapping[str, Schema], destinations: Mapping[str, Schema]) -> None:
    """A connection may have what either side of its system knows."""
    systems = sorted({*sources, *destinations})
    schema.pop("additionalProperties", None)
    properties = cast("Schema", schema["properties"])
    properties["system"] = {**cast("Schema", properties["system"]), "enum": systems}
    schema["allOf"] = [
        {
            "if": {"properties": {"system": {"const": system}}},
            "then": {
                "properties": {"system": True, **destinations.get(system, {}), **sources.get(system, {})},
                "additionalProperties": False,
            },
        }
        for system in systems
    ]


def _add_options(schema: Schema, settings: Mapping[str, Schema]) -> None:
    """An entry's system is known by its connection only, so that editors are offered what any system knows."""
    offered: dict[str, list[object]] = {}
    for known in settings.values():
        for name, setting in known.items():
            variants = offered.setdefault(name, [])
            if setting not in variants:
                variants.append(setting)
    properties = cast("Schema", schema["properties"])
    for name, variants in sorted(offered.items()):
        properties[name] = variants[0] if len(variants) == 1 else {"anyOf": variants}
    schema["additionalProperties"] = False
