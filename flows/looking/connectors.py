"""What the installed connectors declare, for `millstream connectors` and the docs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, TypedDict, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from millstream.destinations.registry import DESTINATIONS, AnyDestination
from millstream.flows.project.secrets import is_secret
from millstream.sources.contract import Stream
from millstream.sources.registry import SOURCES, AnySource
from millstream.state.errors import ConfigurationError, MillstreamError
from millstream.state.suggestions import did_you_mean

_CREDENTIALS: Mapping[str, str] = {
    "api_key": "API key",
    "api_token": "API token",
    "client_secret": "OAuth",
    "refresh_token": "OAuth",
    "secret_url": "URL",
}
"""What a secret setting stands for, where its name does not say it."""
_TYPE_NAMES: Mapping[object, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    tuple: "list",
    list: "list",
    dict: "mapping",
    Path: "path",
    Mapping: "mapping",
}
"""What a type is called in the project file."""


class SettingFacts(TypedDict):
    """A setting of a connector."""

    name: str
    type: str
    required: bool
    secret: bool
    default: str | None
    description: str


class StreamFacts(TypedDict):
    """A stream of a source."""

    name: str
    description: str
    incremental: bool
    cursor: str | None
    scope: str | None


class SourceFacts(TypedDict):
    """A source."""

    name: str
    title: str
    category: str
    package: str
    api_version: str
    docs_url: str
    auth: list[str]
    streams: list[StreamFacts]
    settings: list[SettingFacts]


class DestinationFacts(TypedDict):
    """A destination."""

    name: str
    title: str
    package: str
    api_version: str
    docs_url: str
    modes: list[str]
    match_keys: list[str]
    fields: list[str]
    custom_fields: bool
    batch_size: int
    settings: list[SettingFacts]


class Connectors(TypedDict):
    """Everything installed."""

    sources: list[SourceFacts]
    destinations: list[DestinationFacts]
    failed: list[str]


def describe_connectors(names: Collection[str] | None = None) -> Connectors:
    """What is installed, or the part of it with these names.

    Raises:
        ConfigurationError: A name that no installed package offers.
    """
    known = {*SOURCES.names(), *DESTINATIONS.names()}
    for name in names or ():
        if name not in known:
            raise ConfigurationError(
                f"There is no connector {name!r}.", allowed=sorted(known), remedy=did_you_mean(name, known)
            )
    sources, destinations = SOURCES.load_all(), DESTINATIONS.load_all()
    return {
        "sources": [
            _source_facts(source, sources.packages[name])
            for name, source in sources.loaded.items()
            if names is None or name in names
        ],
        "destinations": [
            _destination_facts(destination, destinations.packages[name])
            for name, destination in destinations.loaded.items()
            if names is None or name in names
        ],
        "failed": [str(error) for error in (*sources.failed, *destinations.failed)],
    }


def _source_facts(source: type[AnySource], package: str) -> SourceFacts:
    return {
        "name": source.name,
        "title": source.title,
        "category": source.category,
        "package": package,
        "api_version": source.api_version,
        "docs_url": source.docs_url,
        "auth": _auth(source.Settings),
        "streams": [
            {
                "name": stream.name,
                "description": stream.description,
                "incremental": stream.cursor is not None or stream.resumable,
                "cursor": _cursor(stream),
                "scope": stream.scope,
            }
            for stream in usual_streams(source)
        ],
        "settings": setting_facts(source.Settings),
    }


def _cursor(stream: Stream) -> str | None:
    """Where a stream goes on from: a column, or a place of the vendor's or the connector's own."""
    if stream.cursor is not None:
        return stream.cursor.column
    return "place" if stream.resumable else None


def _auth(settings: type[BaseModel]) -> list[str]:
    """The kinds of credential, by the secrets among the settings."""
    secrets = [name for name, field in settings.model_fields.items() if is_secret(field.annotation)]
    return list(dict.fromkeys(_CREDENTIALS.get(name, name.replace("_", " ")) for name in secrets))


def usual_streams(source: type[AnySource]) -> tuple[Stream, ...]:
    """The streams of a source with its default settings; none where they depend on settings that are required."""
    required = {
        name: SecretStr("0") if is_secret(field.annotation) else "0"
        for name, field in source.Settings.model_fields.items()
        if field.is_required()
    }
    try:
        return source(source.Settings.model_construct(None, **required)).streams()
    except (AttributeError, TypeError, ValueError, MillstreamError):
        return ()


def _destination_facts(destination: type[AnyDestination], package: str) -> DestinationFacts:
    return {
        "name": destination.name,
        "title": destination.title,
        "package": package,
        "api_version": destination.api_version,
        "docs_url": destination.docs_url,
        "modes": sorted(mode.value for mode in destination.modes),
        "match_keys": list(destination.match_keys),
        "fields": [field.name for field in destination.fields],
        "custom_fields": destination.custom_fields,
        "batch_size": destination.batch_size,
        "settings": setting_facts(destination.Settings),
    }


def setting_facts(settings: type[BaseModel]) -> list[SettingFacts]:
    """The settings of a connector, the required ones first."""
    facts: list[SettingFacts] = [
        {
            "name": name,
            "type": "secret" if is_secret(field.annotation) else _type_name(field.annotation),
            "required": field.is_required(),
            "secret": is_secret(field.annotation),
            "default": _default(field),
            "description": field.description or "",
        }
        for name, field in settings.model_fields.items()
    ]
    return sorted(facts, key=lambda setting: not setting["required"])


def _type_name(kind: object) -> str:
    """``str | None`` as ``text``, in the words of the project file."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join(_type_name(one) for one in arguments if one is not type(None))
    named = origin or kind
    return _TYPE_NAMES.get(named, getattr(named, "__name__", str(named)))


def _default(field: FieldInfo) -> str | None:
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined or default in ("", (), {}):
        return None
    if isinstance(default, tuple):
        return ", ".join(str(item.name if hasattr(item, "name") else item) for item in default)
    return str(default)


def streams_with_cursors(source: SourceFacts) -> str:
    """A source's streams, each with what it goes on from."""
    shown = [f"{one['name']} ({one['cursor']})" if one["cursor"] else one["name"] for one in source["streams"]]
    return ", ".join(shown) or "as set in the project file"
