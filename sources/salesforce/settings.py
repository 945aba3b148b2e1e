"""What a project says about its Salesforce organization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from millstream.sources.contract import ColumnType, SourceSettings
from millstream.sources.from_project import Declared, Kind, StreamName, StreamSettings, TraitSettings
from millstream.state.vendors.salesforce import SalesforceOrganization

ApiName = Literal[
    "Account", "Campaign", "CampaignMember", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task"
]
_PEOPLE = ("Contact", "Lead")


class MoreFields(Declared):
    """Fields to read of an object besides those that the connector reads anyway."""

    identifiers: Mapping[str, Kind] = Field(
        default_factory=dict, description="Field to identifier kind, as {Customer_Id__c: user_id}."
    )
    traits: Mapping[str, Kind | TraitSettings] = Field(
        default_factory=dict, description="Field: the trait's name, or {name, type}."
    )
    kept: tuple[str, ...] = Field(default=(), description="Fields that are stored as text and say nothing of people.")

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits, *self.kept)))


class ObjectSettings(StreamSettings):
    """Another object to read, by its API name; a field's column is its name in snake_case."""

    stream: StreamName | None = Field(default=None, description="Name of the stream; the object's own by default.")
    fields: tuple[str, ...] | None = Field(
        default=None, description="Fields to read; all that the credential may see when left out."
    )

    def given_types(self) -> Mapping[str, ColumnType]:
        """None: Salesforce describes the types."""
        return {}


class SalesforceSettings(SalesforceOrganization, SourceSettings):
    """Settings of a Salesforce connection, and of what is read from it."""

    fields: Mapping[ApiName, MoreFields] = Field(
        default_factory=dict,
        description="More fields of objects that are read anyway, as {Contact: {identifiers: {Customer_Id__c: "
        "user_id}}}.",
    )
    objects: Mapping[str, ObjectSettings] = Field(
        default_factory=dict, description="More objects to read, by API name, as {Case: {}, Order__c: {people: ...}}."
    )
    business_phones: Literal["identify", "kept_only"] = Field(
        default="identify",
        description="Whether the field Phone tells people apart; kept_only where it holds numbers of switchboards.",
    )
    default_currency: str | None = Field(
        default=None, description="ISO 4217 code of amounts, where the organization has only one currency."
    )
    lookback_minutes: int = Field(
        default=10, ge=0, description="Minutes read again at each pull, for changes that were written late."
    )
    sweep_days: int | None = Field(
        default=None,
        ge=1,
        description="Every so many days all ids are compared with those stored, to find what was deleted for good; "
        "left out: only where the last pull was longer ago than the recycle bin keeps things.",
    )
    bulk_from_rows: int = Field(
        default=2_000, ge=0, description="More rows than this are exported by a bulk job instead of paged through."
    )
    rows_a_result: int = Field(default=25_000, ge=1, description="Rows a request of a bulk job's result.")
    bulk_patience_minutes: float = Field(
        default=240, gt=0, description="How long to wait for a bulk job; the next pull goes on waiting for it."
    )

    def more(self, api_name: str) -> MoreFields:
        """What the settings add to an object."""
        return next((more for name, more in self.fields.items() if name == api_name), MoreFields())

    @model_validator(mode="after")
    def _known_objects(self) -> Self:
        for name, more in self.fields.items():
            if name not in _PEOPLE and (more.identifiers or more.traits):
                raise ValueError(f"{name} is nobody: only {' and '.join(_PEOPLE)} have identifiers and traits")
        own = [name for name in self.objects if name in ApiName.__args__]  # type: ignore[attr-defined]
        if own:
            raise ValueError(f"{own[0]} is read anyway: name what else to read of it under `fields`")
        return self
