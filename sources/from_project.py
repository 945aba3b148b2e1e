"""Streams that the project file declares, for sources whose tables are the user's own: files and databases.

The words are those of ``millstream.state.model.declarations``; a column stands at the left, what it says at the right::

    primary_key: [customer_no]
    columns: {birthday: date}
    people:
      identifiers: {mail: email, customer_no: till_customer_id}
      traits: {given_name: first_name, points: {name: loyalty_points, type: number}}
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from millstream.sources.contract import Column, ColumnType
from millstream.sources.typed_values import Format, typed
from millstream.state.errors import SchemaError
from millstream.state.model.declarations import Consent, ConsentStatus, Event, Identifier, People, Trait, TraitType
from millstream.state.names import NAME_PATTERN

DELETED = "_deleted"
"""Column that says whether a row is gone, of every stream that can tell."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "o", "å": "a", "ł": "l"})
_OF_TRAIT: Mapping[TraitType, ColumnType] = {
    "number": "double",
    "boolean": "bool",
    "date": "date",
    "timestamp": "timestamp",
}
_ALSO_FITS: Mapping[ColumnType, tuple[ColumnType, ...]] = {"timestamp": ("date",), "double": ("bigint",)}


def column_name(text: str) -> str:
    """A name as the store has it: ``E-Mail`` as ``e_mail``, ``customerNo`` as ``customer_no``; may end up empty."""
    split = _CAMEL.sub("_", text.strip()).lower().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", split).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return f"c_{name}" if name[:1].isdigit() else name


def column_names(texts: list[str]) -> list[str]:
    """Names of a whole header: what has none is numbered, and so is what stands twice."""
    names: list[str] = []
    for number, text in enumerate(texts, 1):
        name = stem = column_name(text) or f"column_{number}"
        again = 2
        while name in names:
            name, again = f"{stem}_{again}", again + 1
        names.append(name)
    return names


def _column(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = column_name(value)
    if not name:
        raise ValueError(f"{value!r} is no column's name: it has neither letters nor digits")
    return name


ColumnName = Annotated[str, BeforeValidator(_column)]
StreamName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=60)]
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Declared(BaseModel):
    """A part of a declaration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IdentifierSettings(Declared):
    """What a column's value identifies."""

    kind: Kind = Field(description="email, phone, user_id, device_id, or an id of the system's own: till_customer_id.")
    split: str | None = Field(default=None, description="Separator, where one value holds several identifiers.")
    beside: tuple[ColumnName, ...] = Field(
        default=(),
        alias="with",
        description="Columns that belong to it, as the postcode and the town to a street; each must have a value.",
    )
    merges: bool = Field(default=True, description="False: kept, but joins no records.")


class TraitSettings(Declared):
    """What a column's value says of a person."""

    name: Kind = Field(description="The trait's name in the whole project.")
    type: TraitType = Field(default="text", description="How the value is read.")


class ConsentSettings(Declared):
    """What a column's value says about addressing a person."""

    channel: Literal["email", "sms", "push", "phone", "post", "ads"] = Field(description="Where they may be addressed.")
    statuses: Mapping[str, ConsentStatus] = Field(
        description="The column's values (case is ignored) and what they mean; any other value says nothing."
    )
    topic: str = Field(default="marketing", description="What the consent is for.")


class WhenSettings(Declared):
    """Which rows are the event."""

    column: ColumnName = Field(description="The column to look at.")
    values: tuple[str, ...] = Field(min_length=1, description="Its values; case is ignored.")


class EventSettings(Declared):
    """Something a person did, one for each row."""

    at: ColumnName = Field(description="Column with the time it happened.")
    name: str | None = Field(default=None, description="The event's name, where it is always the same.")
    name_column: ColumnName | None = Field(default=None, description="Column that names the event otherwise.")
    names: Mapping[str, str] = Field(default_factory=dict, description="Values of name_column and the events' names.")
    when: WhenSettings | None = Field(default=None, description="Only such rows are the event; all when left out.")
    properties: tuple[ColumnName, ...] = Field(default=(), description="Columns kept with the event.")
    value: ColumnName | None = Field(default=None, description="Column with an amount.")
    currency: ColumnName | None = Field(default=None, description="Column with the currency's ISO 4217 code.")
    channel: str | None = Field(default=None, description="Channel, where it is always the same.")
    campaign: ColumnName | None = Field(default=None, description="Column that names the campaign.")

    @model_validator(mode="after")
    def _named(self) -> EventSettings:
        if (self.name is None) == (self.name_column is None):
            raise ValueError("an event has either name (always the same) or name_column")
        return self


class PeopleSettings(Declared):
    """What the rows say about people."""

    identifiers: Mapping[ColumnName, Kind | IdentifierSettings] = Field(
        min_length=1, description="Column: the kind of identifier it holds, or {kind, with, split, merges}."
    )
    traits: Mapping[ColumnName, Kind | TraitSettings] = Field(
        default_factory=dict, description="Column: the trait's name, or {name, type}."
    )
    consents: Mapping[ColumnName, ConsentSettings] = Field(
        default_factory=dict, description="Column: {channel, statuses, topic}."
    )
    events: tuple[EventSettings, ...] = Field(default=(), description="What people did, by these rows.")
    record: Literal["row", "subject"] = Field(
        default="row", description="row: each row is a record of a person; subject: rows only name one, as sales do."
    )
    repeats: bool = Field(
        default=False, description="Whether a person may well have several rows, as of answers: they are no duplicates."
    )
    observed_at: ColumnName | None = Field(default=None, description="Column with the time at which the row was true.")
    country: ColumnName | None = Field(default=None, description="Column with the country, for reading phone numbers.")

    @model_validator(mode="after")
    def _rows_have_traits(self) -> PeopleSettings:
        if self.record == "subject" and (self.traits or self.consents):
            raise ValueError("rows that only name a person (record: subject) have no traits and no consents")
        return self

    def people(self, *, deleted: bool) -> People:
        """The same as a declaration."""
        return People(
            identifiers=tuple(_identifier(column, said) for column, said in self.identifiers.items()),
            traits=tuple(
                Trait(name=said, column=column)
                if isinstance(said, str)
                else Trait(name=said.name, column=column, type=said.type)
                for column, said in self.traits.items()
            ),
            consents=tuple(
                Consent(
                    channel=said.channel,
                    column=column,
                    statuses={value.lower(): status for value, status in said.statuses.items()},
                    topic=said.topic,
                )
                for column, said in self.consents.items()
            ),
            events=tuple(_event(event) for event in self.events),
            record=self.record,
            repeats=self.repeats,
            observed_at=self.observed_at,
            deleted=DELETED if deleted else None,
            country=self.country,
        )

    def needed_types(self) -> Iterator[tuple[str, ColumnType]]:
        """The columns that must be of a type, because of what they say."""
        if self.observed_at:
            yield self.observed_at, "timestamp"
        for event in self.events:
            yield event.at, "timestamp"
            if event.value:
                yield event.value, "double"
        for column, trait in self.traits.items():
            if isinstance(trait, TraitSettings) and trait.type in _OF_TRAIT:
                yield column, _OF_TRAIT[trait.type]


def _identifier(column: str, said: str | IdentifierSettings) -> Identifier:
    if isinstance(said, str):
        return Identifier(kind=said, column=column)
    if said.beside:
        return Identifier(kind=said.kind, columns=(column, *said.beside), split=said.split, merges=said.merges)
    return Identifier(kind=said.kind, column=column, split=said.split, merges=said.merges)


def _event(said: EventSettings) -> Event:
    return Event(
        at=said.at,
        name=said.name,
        name_column=said.name_column,
        names={value.lower(): name for value, name in said.names.items()},
        when=(said.when.column, tuple(value.lower() for value in said.when.values)) if said.when else None,
        properties=said.properties,
        value=said.value,
        currency=said.currency,
        channel=said.channel,
        campaign=said.campaign,
    )


class DeletedSettings(Declared):
    """Which rows are marked as deleted."""

    column: ColumnName = Field(description="The column that marks them.")
    values: tuple[str, ...] = Field(min_length=1, description="Its values that mean deleted; case is ignored.")


def deleted_rows(
    said: str | DeletedSettings | None, columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int
) -> pa.Array | pa.ChunkedArray:
    """Which rows are deleted: by a value, by yes and no, or by a time at which it happened.

    Raises:
        SchemaError: The column holds something else than yes and no.
    """
    import pyarrow.compute as pc

    column = columns.get(said if isinstance(said, str) else said.column) if said else None
    if column is None or said is None:
        return pa.array([False] * rows, pa.bool_())
    if isinstance(said, DeletedSettings):
        words = pa.array([value.lower() for value in said.values], pa.string())
        return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string()))), words)
    if pa.types.is_temporal(column.type):
        return column.is_valid()
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column, False)
    found, wrong = typed(column.to_pylist(), Format("bool"))
    if wrong:
        raise SchemaError(
            f"{len(wrong)} of {rows} values of {said!r} are neither yes nor no, so that they tell of no deletion.",
            remedy=f"name those that do, as deleted: {{column: {said}, values: [...]}}; if it is a time, say so: "
            f"columns: {{{said}: timestamp}}.",
        )
    return pc.fill_null(found, False)


class StreamSettings(Declared):
    """A table that the project file declares. Sources add where it comes from."""

    description: str = Field(default="", description="What one row is.")
    constants: Mapping[ColumnName, str] = Field(
        default_factory=dict, description="Columns that every row gets with the same value, as currency: EUR."
    )
    people: PeopleSettings | None = Field(default=None, description="What the rows say about people.")

    def given_types(self) -> Mapping[str, ColumnType]:
        """Columns whose type the project file says."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _types_fit(self) -> StreamSettings:
        given = self.given_types()
        for column, needed in self.people.needed_types() if self.people else ():
            fits = (needed, *_ALSO_FITS.get(needed, ()))
            if column in given and given[column] not in fits:
                raise ValueError(
                    f"column {column!r} is declared as {given[column]}, and what it says of people needs "
                    + " or ".join(fits)
                )
        return self

    def types(self) -> dict[str, ColumnType]:
        """The types of columns that are given, or follow from what the columns say of people."""
        needed = dict(self.people.needed_types()) if self.people else {}
        return {**needed, **self.given_types()}

    def columns_needed(self) -> tuple[str, ...]:
        """Columns that must be there for what is declared."""
        from millstream.state.model.incoming import columns_said

        said = columns_said(self.people.people(deleted=False)) if self.people else []
        return tuple(dict.fromkeys([*said, *self.types()]))

    def declared_columns(
        self, primary_key: tuple[str, ...], *, otherwise: ColumnType | None = None
    ) -> tuple[Column, ...]:
        """Columns as a stream declares them; those not named here are stored as they come.

        Args:
            primary_key: The columns that must have a value.
            otherwise: Type of a column whose type nothing says; None leaves it out, and its table says the type.
        """
        types = self.types()
        names = dict.fromkeys([*primary_key, *self.columns_needed(), *self.constants])
        return tuple(
            Column(name, kind, required=name in primary_key, optional=True)
            for name in names
            if (kind := types.get(name, otherwise))
        )
