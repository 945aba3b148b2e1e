"""What HubSpot's endpoints take, as models: an unknown field or a wrong type is refused."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Filter(_Body):
    """One condition of a search."""

    property_name: str = Field(alias="propertyName")
    operator: Literal[
        "EQ",
        "NEQ",
        "LT",
        "LTE",
        "GT",
        "GTE",
        "BETWEEN",
        "IN",
        "NOT_IN",
        "HAS_PROPERTY",
        "NOT_HAS_PROPERTY",
        "CONTAINS_TOKEN",
        "NOT_CONTAINS_TOKEN",
    ]
    value: str | int | None = None
    high_value: str | int | None = Field(None, alias="highValue")
    values: list[str] | None = None


class FilterGroup(_Body):
    """Conditions that must all hold."""

    filters: list[Filter] = Field(max_length=10)


class Sort(_Body):
    """Order of a search."""

    property_name: str = Field(alias="propertyName")
    direction: Literal["ASCENDING", "DESCENDING"] = "ASCENDING"


class Search(_Body):
    """POST /crm/v3/objects/{type}/search. Groups are alternatives."""

    filter_groups: list[FilterGroup] = Field(default_factory=list, alias="filterGroups", max_length=6)
    sorts: list[Sort | str] = Field(default_factory=list, max_length=1)
    query: str | None = Field(None, max_length=3000)
    properties: list[str] = Field(default_factory=list)
    limit: int = Field(10, ge=0, le=200)
    after: str | int | None = None


class Id(_Body):
    """One record to read or archive."""

    id: str


class BatchRead(_Body):
    """POST .../batch/read."""

    inputs: list[Id] = Field(max_length=100)
    properties: list[str] = Field(default_factory=list)
    properties_with_history: list[str] = Field(default_factory=list, alias="propertiesWithHistory")
    id_property: str | None = Field(None, alias="idProperty")


class BatchIds(_Body):
    """POST .../batch/archive."""

    inputs: list[Id] = Field(max_length=100)


class AssociationInput(_Body):
    """One record whose associations are wanted, from a position on."""

    id: str
    after: str | None = None


class AssociationsRead(_Body):
    """POST /crm/v4/associations/{from}/{to}/batch/read."""

    inputs: list[AssociationInput] = Field(max_length=1000)


class RowWrite(_Body):
    """One row of a batch upsert or update. Values are strings, as in the vendor's model."""

    id: str = Field(min_length=1)
    id_property: str | None = Field(None, alias="idProperty")
    properties: dict[str, str]
    trace_id: str | None = Field(None, alias="objectWriteTraceId")


class BatchWrite(_Body):
    """POST .../batch/upsert and .../batch/update."""

    inputs: list[RowWrite] = Field(max_length=100, min_length=1)


class AssociationType(_Body):
    """Which kind of link a new record gets."""

    association_category: str = Field(alias="associationCategory")
    association_type_id: int = Field(alias="associationTypeId")


class AssociationTarget(_Body):
    """Where a link of a new record leads."""

    to: Id
    types: list[AssociationType]


class RowCreate(_Body):
    """One row of a batch create."""

    properties: dict[str, str]
    associations: list[AssociationTarget] = Field(default_factory=list, max_length=0)
    trace_id: str | None = Field(None, alias="objectWriteTraceId")


class BatchCreate(_Body):
    """POST .../batch/create."""

    inputs: list[RowCreate] = Field(max_length=100, min_length=1)


class PropertiesWrite(_Body):
    """POST and PATCH of a single record."""

    properties: dict[str, str]
    associations: list[AssociationTarget] = Field(default_factory=list, max_length=0)
    trace_id: str | None = Field(None, alias="objectWriteTraceId")


class GdprDelete(_Body):
    """POST .../gdpr-delete."""

    object_id: str = Field(alias="objectId", min_length=1)
    id_property: str | None = Field(None, alias="idProperty")


class Option(_Body):
    """One allowed value of an enumeration."""

    label: str
    value: str
    display_order: int = Field(-1, alias="displayOrder")
    hidden: bool = False
    description: str | None = None


class PropertyCreate(_Body):
    """POST /crm/v3/properties/{type}."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    label: str = Field(min_length=1)
    group_name: str = Field(alias="groupName")
    type: Literal["bool", "date", "datetime", "enumeration", "number", "string", "phone_number"]
    field_type: Literal[
        "text",
        "textarea",
        "number",
        "date",
        "select",
        "radio",
        "checkbox",
        "booleancheckbox",
        "html",
        "file",
        "phonenumber",
    ] = Field(alias="fieldType")
    options: list[Option] = Field(default_factory=list)
    has_unique_value: bool = Field(False, alias="hasUniqueValue")
    description: str | None = None
    display_order: int = Field(-1, alias="displayOrder")
    hidden: bool = False
    form_field: bool = Field(False, alias="formField")


class PropertiesCreate(_Body):
    """POST /crm/v3/properties/{type}/batch/create."""

    inputs: list[PropertyCreate] = Field(max_length=100, min_length=1)


class ListSearch(_Body):
    """POST /crm/v3/lists/search."""

    query: str | None = None
    offset: int = Field(0, ge=0)
    count: int = Field(20, ge=1, le=500)
    processing_types: list[Literal["MANUAL", "DYNAMIC", "SNAPSHOT"]] = Field(
        default_factory=list, alias="processingTypes"
    )
    additional_properties: list[str] = Field(default_factory=list, alias="additionalProperties")
    list_ids: list[str] = Field(default_factory=list, alias="listIds")
    sort: str | None = None


class ListCreate(_Body):
    """POST /crm/v3/lists."""

    name: str = Field(min_length=1)
    object_type_id: str = Field(alias="objectTypeId")
    processing_type: Literal["MANUAL", "DYNAMIC", "SNAPSHOT"] = Field(alias="processingType")


class MembershipChange(_Body):
    """PUT /crm/v3/lists/{id}/memberships/add-and-remove."""

    record_ids_to_add: list[str | int] = Field(default_factory=list, alias="recordIdsToAdd", max_length=100_000)
    record_ids_to_remove: list[str | int] = Field(default_factory=list, alias="recordIdsToRemove", max_length=100_000)


class Subscribers(_Body):
    """E-mail addresses whose consent is asked for or withdrawn."""

    inputs: list[str] = Field(max_length=100, min_length=1)


class StatusWrite(_Body):
    """One consent to be recorded."""

    subscriber_id: str = Field(alias="subscriberIdString")
    subscription_id: int = Field(alias="subscriptionId")
    status_state: Literal["SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"] = Field(alias="statusState")
    channel: Literal["EMAIL"] = "EMAIL"
    legal_basis: str | None = Field(None, alias="legalBasis")
    legal_basis_explanation: str | None = Field(None, alias="legalBasisExplanation")


class StatusesWrite(_Body):
    """POST /communication-preferences/v4/statuses/batch/write."""

    inputs: list[StatusWrite] = Field(max_length=100, min_length=1)
