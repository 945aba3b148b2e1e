"""What a project says about the Salesforce organization it writes to."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from millstream.destinations.contract import DestinationSettings
from millstream.state.vendors.salesforce import SalesforceOrganization

_API_NAME = r"^[A-Za-z]\w*$"


class SalesforceSettings(SalesforceOrganization, DestinationSettings):
    """Settings of a Salesforce connection, and of what people and audiences are there."""

    object: Literal["Contact", "Lead"] = Field(default="Contact", description="What people are in Salesforce.")
    external_id_field: str = Field(
        pattern=_API_NAME,
        description="Field of the object, marked External ID, that holds the match value: Customer_Id__c.",
    )
    audience_as: Literal["campaign", "checkbox", "picklist"] = Field(
        default="campaign",
        description="What a sync's audience is: a campaign with members, a checkbox field, or a value of the "
        "multi-select picklist that picklist_field names.",
    )
    picklist_field: str | None = Field(
        default=None, pattern=r"^[A-Za-z]\w*__c$", description="Custom multi-select picklist that holds the audiences."
    )
    member_status: str | None = Field(
        default=None, description="Status of people put into a campaign; the campaign's own default when left out."
    )
    placeholder: str | None = Field(
        default=None,
        min_length=1,
        description="Stands for a last name or company that is not known, as [unknown]; when left out, such people "
        "are rejected, because Salesforce takes nobody without.",
    )
    permission_set: str | None = Field(
        default=None,
        pattern=_API_NAME,
        description="API name of a permission set that gets access to fields that are made, which else nobody sees.",
    )
    allow_duplicates: bool = Field(
        default=False, description="Save people whom a duplicate rule only warns of, instead of rejecting them."
    )
    assignment_rules: bool = Field(
        default=False,
        description="Let the organization's assignment rules give leads that are written to other owners.",
    )

    @model_validator(mode="after")
    def _has_picklist(self) -> Self:
        if (self.audience_as == "picklist") != (self.picklist_field is not None):
            raise ValueError("give picklist_field with audience_as: picklist, and only then")
        return self
