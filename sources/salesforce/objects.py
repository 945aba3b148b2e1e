"""What an object of Salesforce is here: its fields, their columns, and how a record becomes a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, ColumnType, Row
from millstream.sources.from_project import TraitSettings, column_name
from millstream.state.model.declarations import Identifier, People, Trait

if TYPE_CHECKING:
    from millstream.sources.salesforce.settings import MoreFields

CONTACT_ID, LEAD_ID = "salesforce_contact_id", "salesforce_lead_id"
"""Identifier kinds of records' ids."""

_TYPES: Mapping[str, ColumnType] = {
    "number": "double", "boolean": "bool", "date": "date", "timestamp": "timestamp",
}  # fmt: skip


@dataclass(frozen=True)
class ApiField:
    """A field of an object, and its column."""

    name: str
    column: str
    type: ColumnType = "text"
    description: str = ""
    required: bool = False

    def as_column(self) -> Column:
        """The column. That it stands in every row is checked where the user may see the field at all."""
        return Column(self.column, self.type, self.description, required=self.required)


_COMMON = (
    ApiField("Id", "id", description="Record id, 18 characters.", required=True),
    ApiField("CreatedDate", "created_at", "timestamp", required=True),
    ApiField("LastModifiedDate", "modified_at", "timestamp", "Last change by a user."),
    ApiField("SystemModstamp", "system_modstamp", "timestamp", "Last change by anybody or anything.", required=True),
    ApiField("IsDeleted", "deleted", "bool", "In the recycle bin, or merged into another record."),
)
MASTER = ApiField("MasterRecordId", "master_id", description="The record into which this one was merged.")
GONE = Column("gone", "bool", "Deleted, and not because it was merged into another record.")
DESCRIBED_AT = Column(
    "described_at",
    "timestamp",
    "As of when its values hold: the last change, or of a record that was merged away its creation, so that the "
    "values of the one that stayed count.",
)


@dataclass(frozen=True, kw_only=True)
class SObject:
    """An object that the connector reads anyway.

    Attributes:
        api_name: Salesforce's name.
        stream: Name of the stream.
        description: What a row is.
        own: Its fields, besides those that every object has.
        derived: Columns that `shape` adds.
        shape: Adds what follows from several fields to a row.
        people: What it says of people, given what the settings add.
        expected: Fields that matter so much that a pull warns if the user may not see them.
    """

    api_name: str
    stream: str
    description: str
    own: tuple[ApiField, ...]
    derived: tuple[Column, ...] = ()
    shape: Callable[[Row], Row] | None = None
    people: People | None = None
    expected: tuple[str, ...] = ()
    more: tuple[ApiField, ...] = field(default=())

    @property
    def fields(self) -> tuple[ApiField, ...]:
        """Every field to read."""
        return (*_COMMON, *self.own, *self.more)

    def columns(self) -> tuple[Column, ...]:
        """The stream's columns."""
        return (*(one.as_column() for one in self.fields), *self.derived)

    def row(self, record: Mapping[str, Any], asked: frozenset[str]) -> Row:
        """A record as a row: a field that was asked for and is not there has no column, so that it is noticed."""
        row: Row = {
            one.column: record.get(one.name) for one in self.fields if one.name not in asked or one.name in record
        }
        return self.shape(row) if self.shape else row

    def gone(self, row: Mapping[str, Any], at: datetime) -> Row:
        """A stored row whose record is no longer there."""
        found = {**row, "deleted": True, "system_modstamp": at}
        return self.shape(found) if self.shape else found


def with_more(known: SObject, more: MoreFields) -> SObject:
    """An object with the fields that the settings add."""
    from dataclasses import replace

    have = {one.name for one in known.fields}
    fields = tuple(_extra(known, name, more) for name in more.names if name not in have)
    column_of = {one.name: one.column for one in (*known.fields, *fields)}
    people = known.people
    if people is not None:
        people = replace(
            people,
            identifiers=(
                *people.identifiers,
                *(Identifier(kind=kind, column=column_of[name]) for name, kind in more.identifiers.items()),
            ),
            traits=(*people.traits, *(_trait(column_of[name], said) for name, said in more.traits.items())),
        )
    return replace(known, more=fields, people=people)


def _extra(known: SObject, name: str, more: MoreFields) -> ApiField:
    said = more.traits.get(name)
    kind = _TYPES.get(said.type, "text") if isinstance(said, TraitSettings) else "text"
    column, taken = column_name(name), {one.column for one in known.fields} | {one.name for one in known.derived}
    return ApiField(name, f"field_{column}" if column in taken else column, kind, "Asked for in the settings.")


def _trait(column: str, said: str | TraitSettings) -> Trait:
    if isinstance(said, str):
        return Trait(name=said, column=column)
    return Trait(name=said.name, column=column, type=said.type)


def is_true(value: object) -> bool:
    """Whether a field is set; JSON has booleans, CSV words."""
    return value is True or str(value).lower() == "true"


def shape_person(row: Row) -> Row:
    """Tell deleted records from those merged into another one, whose id still leads to the same person."""
    merged = bool(row.get("master_id"))
    row["gone"] = is_true(row.get("deleted")) and not merged
    row["described_at"] = row.get("created_at") if merged else row.get("system_modstamp")
    return row
