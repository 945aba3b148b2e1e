"""The vocabulary in which a stream says what it knows about people.

A stream's columns are facts of a vendor. These declarations turn them into the five things the store keeps of
people: records, identifiers, traits, events and consents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

TraitType = Literal["text", "number", "boolean", "date", "timestamp"]
ConsentStatus = Literal["granted", "denied", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Identifier:
    """A column that holds something by which a person is known.

    Attributes:
        kind: ``email``, ``phone``, ``user_id``, ``device_id``, ``cookie_id``, ``anonymous_id``, ``address``, or a
            vendor's own id named after it, as ``hubspot_contact_id``. Equal kind and equal normalised value mean
            the same person.
        column: Where it stands; text.
        columns: Where its parts stand, as street and postcode of an address; each of them must have a value.
        split: Separator, where one column holds several values.
        merges: Whether it may join records; otherwise it is only kept beside them.
    """

    kind: str
    column: str = ""
    columns: tuple[str, ...] = ()
    split: str | None = None
    merges: bool = True

    def __post_init__(self) -> None:
        if bool(self.column) == bool(self.columns):
            raise ValueError(f"an identifier of kind {self.kind!r} should name either its column or its columns")

    def names(self) -> tuple[str, ...]:
        """The columns it is made of."""
        return self.columns or (self.column,)


@dataclass(frozen=True, kw_only=True)
class Trait:
    """A column that says what is true of a person, under the project-wide ``name``."""

    name: str
    column: str
    type: TraitType = "text"


@dataclass(frozen=True, kw_only=True)
class Consent:
    """A column that says whether a person may be addressed.

    Attributes:
        channel: ``email``, ``sms``, ``push``, ``phone``, ``post``, ``ads``.
        column: Where the vendor's status stands; compared as lower-case text.
        statuses: The vendor's lower-case values and what they mean; any other value says nothing.
        topic: What the consent is for.
    """

    channel: str
    column: str
    statuses: Mapping[str, ConsentStatus]
    topic: str = "marketing"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something a person did or that happened to them, one for each row (or each element of ``each``).

    Attributes:
        at: Column with the time it happened.
        name: The event's name where it is always the same.
        name_column: Column that names the event otherwise.
        names: Names by the lower-case value of ``name_column``; other values are kept as the vendor wrote them.
        when: Column and its lower-case values: only such rows are the event. Empty means all rows.
        properties: Columns kept as properties, under their own names.
        properties_from: JSON column whose members are properties too; one of the same name counts more than a column.
        value: Column with an amount.
        currency: Column with the amount's ISO 4217 code.
        channel: Channel, where it is always the same.
        campaign: Column that names the campaign.
    """

    at: str
    name: str | None = None
    name_column: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    when: tuple[str, tuple[str, ...]] | None = None
    properties: tuple[str, ...] = ()
    properties_from: str | None = None
    value: str | None = None
    currency: str | None = None
    channel: str | None = None
    campaign: str | None = None


@dataclass(frozen=True, kw_only=True)
class People:
    """What the rows of a stream say about people.

    Attributes:
        record: ``row``: each row is a record of a person. ``subject``: a row only names a person (an event does);
            all rows naming the same one, by the first identifier that has a value, are one record.
        repeats: Whether a person may well have several such records, as of answers and orders; none is a duplicate.
        observed_at: Column with the time at which the row's traits and consents were true.
        deleted: Boolean column that marks a record the vendor has deleted.
        country: Column with the person's country (ISO 3166 code or English name), for reading phone numbers.
    """

    identifiers: tuple[Identifier, ...]
    traits: tuple[Trait, ...] = ()
    consents: tuple[Consent, ...] = ()
    events: tuple[Event, ...] = ()
    record: Literal["row", "subject"] = "row"
    repeats: bool = False
    observed_at: str | None = None
    deleted: str | None = None
    country: str | None = None


class ModelledStream(Protocol):
    """What the model needs to know of a stream; a source's ``Stream`` is one."""

    @property
    def name(self) -> str:
        """Name of the raw table."""

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns that make a row unique."""

    @property
    def people(self) -> People | None:
        """What the rows say about people."""
