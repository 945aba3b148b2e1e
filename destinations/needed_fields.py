"""Fields that a sync fills: refused where they carry consent, made where the account lacks them and the sync asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from millstream.destinations.contract import Destination, FieldType
from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL")


def ensure_fields(destination: Destination[Any], name: str, sync: Sync, columns: Mapping[str, str]) -> None:
    """Make sure that the account has every mapped field.

    Args:
        destination: The connector.
        name: Name of the sync.
        sync: What is mapped, and whether fields may be made.
        columns: Types in the store of the mapped columns.

    Raises:
        ConfigurationError: One carries consent; or one is missing, and is not to be made.
    """
    mappings = sync.mappings()
    if refused := consent_fields_among(type(destination), mappings):
        raise ConfigurationError(
            f"{refused[0]!r} carries consent or billing at {destination.title}; a sync does not write it.",
            where=f"sync {name}",
            remedy="take it out of the sync's fields.",
        )
    field = destination.audience_field(sync.audience_name) if sync.audience_name else None
    if field is not None:
        _check_audience_field(destination, name, field, mappings)
    missing = destination.missing_fields(sorted(mappings)) if mappings else []
    if not missing:
        return
    if not sync.create_fields:
        can = destination.codes("create_field")
        raise ConfigurationError(
            f"{destination.title} has no field {', '.join(repr(field) for field in missing)}.",
            where=f"sync {name}",
            remedy=f"create it in {destination.title}, or map another"
            + (", or say create_fields: true to have it made." if can else "."),
        )
    for field in missing:
        destination.create_field(field, field_type_of(columns.get(mappings[field].column, "")))


def _check_audience_field(destination: Destination[Any], name: str, field: str, mapped: Iterable[str]) -> None:
    """Stop where coming into an audience, or leaving it, would write a field that means something else.

    Raises:
        ConfigurationError: It carries consent, is a standard field, or is filled by the sync.
    """
    taken = {known.name.lower() for known in destination.fields} | {one.lower() for one in mapped}
    if field.lower() in taken or consent_fields_among(type(destination), [field]):
        raise ConfigurationError(
            f"At {destination.title} the audience would be the field {field!r}, which is there for something else.",
            where=f"sync {name}",
            remedy="give the sync another name in 'into'.",
        )


def consent_fields_among(destination: type[Destination[Any]], names: Iterable[str]) -> list[str]:
    """Those of these fields that no sync may write; vendors take names in upper and lower case alike."""
    patterns = [pattern.lower() for pattern in destination.consent_fields]
    return sorted(name for name in names if any(fnmatchcase(name.lower(), pattern) for pattern in patterns))


def field_type_of(column_type: str) -> FieldType:
    """The kind of field that holds a column of the store."""
    kind = column_type.upper()
    if kind.startswith(_NUMBERS):
        return "number"
    if kind == "BOOLEAN":
        return "boolean"
    if kind == "DATE":
        return "date"
    return "timestamp" if kind.startswith("TIMESTAMP") else "text"
