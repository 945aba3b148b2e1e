"""Modules and their fields, and how a record becomes a row: from the lists' JSON, or from a line of a bulk file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from millstream.sources.contract import Column, ColumnType, Row
from millstream.state.errors import SchemaError

MODIFIED = "Modified_Time"


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a module by its API name, and the column that keeps it."""

    name: str
    column: str
    description: str = ""
    type: ColumnType = "text"
    optional: bool = True
    custom: bool = False


@dataclass(frozen=True)
class Module:
    """A module.

    Attributes:
        name: API name, as in paths.
        fields: What is asked for beside the id and the times.
        hides_converted: Converted records are left out of lists, unless asked for, and of bulk files.
    """

    name: str
    fields: tuple[Field, ...]
    hides_converted: bool = False

    @property
    def path(self) -> str:
        """Of its records."""
        return f"crm/v8/{self.name}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that ``shape`` fills."""
        return (
            Column("id", description="Zoho's record id.", required=True),
            *(Column(f.column, f.type, f.description, optional=f.optional) for f in self.fields),
            Column("owner_id", description="The user who looks after it.", optional=True),
            Column("created_at", "timestamp", "When the record was made."),
            Column("modified_at", "timestamp", "When it last changed, or was deleted.", required=True),
            Column("deleted", "bool", "Whether it is deleted, or was merged into another.", required=True),
        )

    def with_custom(self, names: Collection[str]) -> Module:
        """The module with fields that the settings name; those it has anyway keep their column."""
        known = {one.name for one in self.fields}
        extra = tuple(
            Field(name=name, column=custom_column(name), description=f"Field {name}.", custom=True)
            for name in names
            if name not in known
        )
        return replace(self, fields=(*self.fields, *extra))

    def column_of(self, name: str) -> str:
        """The column of a field."""
        return next(one.column for one in self.fields if one.name == name)

    def wanted(self, existing: Collection[str]) -> tuple[str, ...]:
        """API names to ask for, of those that the account has.

        Raises:
            SchemaError: It lacks one that nothing can be read without.
        """
        if MODIFIED not in existing:
            raise SchemaError(
                f"Module {self.name} has no field {MODIFIED!r}.",
                remedy="the API may have changed: update the connector, or leave the stream out for now.",
            )
        names = (MODIFIED, "Created_Time", "Owner", *(one.name for one in self.fields))
        return tuple(name for name in names if name in existing)

    def shape(self, record: Mapping[str, Any]) -> Row:
        """A record as a row; a field that it lacks stays out, so that a renamed one is noticed."""
        row: Row = {one.column: plain(record[one.name]) for one in self.fields if one.name in record}
        row["id"] = record.get("id") or record.get("Id")
        for column, name in (("owner_id", "Owner"), ("created_at", "Created_Time"), ("modified_at", MODIFIED)):
            if name in record:
                row[column] = plain(record[name])
        return row | {"deleted": False}

    def gone(self, record_id: Any, at: Any, stored: Mapping[str, Any] | None = None) -> Row:
        """The row of a deleted record: as it was stored, or nothing but that it is gone."""
        known: Row = {column.name: (stored or {}).get(column.name) for column in self.columns}
        return known | {"id": record_id, "modified_at": at, "deleted": True}


def custom_column(name: str) -> str:
    """The column of a field that the settings name."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return "field_" + re.sub(r"_+", "_", snake).strip("_").lower()


def plain(value: Any) -> Any:
    """A value as bulk files have it, too: of a lookup its id, of a list its values with ``;`` between them."""
    if isinstance(value, dict):
        return value.get("id") or value.get("name")
    if isinstance(value, list):
        return ";".join(str(plain(one)) for one in value) or None
    return None if value == "" else value
