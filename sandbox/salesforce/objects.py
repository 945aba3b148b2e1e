"""The org's objects and their fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.system import JsonObject


@dataclass(frozen=True, slots=True)
class Sobject:
    """One object: its key prefix, its fields in order, and whether records of it can be merged."""

    name: str
    prefix: str
    fields: tuple[Field, ...]
    mergeable: bool = False
    _by_name: dict[str, Field] = field(init=False, repr=False)
    _blank: dict[str, bool | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {one.name.lower(): one for one in self.fields})
        blank = {one.name: False if one.type == "boolean" else None for one in self.fields}
        object.__setattr__(self, "_blank", blank)

    def field(self, name: str) -> Field | None:
        """The field of this name, whatever its case."""
        return self._by_name.get(name.lower())

    def blank(self) -> dict[str, bool | None]:
        """A record in which nothing was filled in."""
        return self._blank.copy()

    def summary(self, root: str) -> JsonObject:
        """The object in the list of all objects."""
        path = f"{root}/sobjects/{self.name}"
        return {
            "name": self.name,
            "label": self.name,
            "labelPlural": f"{self.name}s",
            "keyPrefix": self.prefix,
            "custom": False,
            "queryable": True,
            "retrieveable": True,
            "replicateable": True,
            "searchable": True,
            "createable": True,
            "updateable": True,
            "deletable": True,
            "undeletable": True,
            "mergeable": self.mergeable,
            "deprecatedAndHidden": False,
            "urls": {"sobject": path, "describe": f"{path}/describe", "rowTemplate": f"{path}/{{ID}}"},
        }


def _sobject(name: str, prefix: str, fields: str, *, mergeable: bool = False) -> Sobject:
    """An object from one line a field: name, type, and marks.

    Marks: `>` target, `in:` compound field, `!` required, `default` filled in by the org, `key` a unique external id,
    `once` not changed later, `fixed` never written, `=a;b` the only values of a picklist.
    """
    begin = "Id id\nIsDeleted boolean\n" + (f"MasterRecordId reference >{name}\n" if mergeable else "")
    end = "\nCreatedDate datetime\nLastModifiedDate datetime\nSystemModstamp datetime"
    return Sobject(name, prefix, tuple(_field(line) for line in (begin + fields.strip() + end).split("\n")), mergeable)


def _field(line: str) -> Field:
    name, kind, *marks = line.split()
    return Field(
        name,
        kind,
        target=next((mark[1:] for mark in marks if mark[0] == ">"), ""),
        part_of=next((mark[3:] for mark in marks if mark.startswith("in:")), ""),
        required="!" in marks,
        defaulted="default" in marks,
        external="key" in marks,
        unique="key" in marks,
        createable="fixed" not in marks,
        updateable="fixed" not in marks and "once" not in marks,
        options=next((tuple(mark[1:].split(";")) for mark in marks if mark[0] == "="), ()),
    )


ACCOUNT = _sobject(
    "Account",
    "001",
    """
Name string !
Type picklist
Industry picklist
Phone phone
Website url
BillingStreet textarea in:BillingAddress
BillingCity string in:BillingAddress
BillingCountry string in:BillingAddress
BillingAddress address fixed
NumberOfEmployees int
OwnerId reference >User ! default
""",
    mergeable=True,
)
PERSON = """
LastName string !
FirstName string
Email email
Phone phone
MobilePhone phone
HasOptedOutOfEmail boolean
HasOptedOutOfFax boolean
DoNotCall boolean
EmailBouncedReason string
EmailBouncedDate datetime
LeadSource picklist
Title string
Description textarea
IndividualId reference >Individual
OwnerId reference >User ! default
"""
CUSTOM = """
Vip__c boolean
Loyalty_Points__c double
Last_Order__c date
Audiences__c multipicklist =VIP;Newsletter;Winback
"""
CONTACT = _sobject(
    "Contact",
    "003",
    f"""
AccountId reference >Account
{PERSON.strip()}
IsEmailBounced boolean fixed
Birthdate date
MailingCity string in:MailingAddress
MailingCountry string in:MailingAddress
MailingAddress address fixed
Customer_Id__c string key
{CUSTOM.strip()}
""",
    mergeable=True,
)
LEAD = _sobject(
    "Lead",
    "00Q",
    f"""
{PERSON.strip()}
Company string !
City string in:Address
Country string in:Address
Address address fixed
Status picklist ! default
Rating picklist
IsConverted boolean fixed
ConvertedDate date fixed
ConvertedAccountId reference >Account fixed
ConvertedContactId reference >Contact fixed
ConvertedOpportunityId reference >Opportunity fixed
Customer_Id__c string key
{CUSTOM.strip()}
""",
    mergeable=True,
)
OPPORTUNITY = _sobject(
    "Opportunity",
    "006",
    """
AccountId reference >Account
Name string !
StageName picklist !
Amount currency
Probability double
CloseDate date !
Type picklist
IsClosed boolean fixed
IsWon boolean fixed
LeadSource picklist
CampaignId reference >Campaign
OwnerId reference >User ! default
""",
)
CONTACT_ROLE = _sobject(
    "OpportunityContactRole",
    "00K",
    """
OpportunityId reference >Opportunity !
ContactId reference >Contact !
Role picklist
IsPrimary boolean
""",
)
CAMPAIGN = _sobject(
    "Campaign",
    "701",
    """
Name string !
Type picklist
Status picklist
IsActive boolean
StartDate date
EndDate date
BudgetedCost currency
OwnerId reference >User ! default
""",
)
CAMPAIGN_MEMBER = _sobject(
    "CampaignMember",
    "00v",
    """
CampaignId reference >Campaign ! once
LeadId reference >Lead once
ContactId reference >Contact once
LeadOrContactId reference >Lead/Contact fixed
Status picklist
HasResponded boolean fixed
FirstRespondedDate date fixed
""",
)
TASK = _sobject(
    "Task",
    "00T",
    """
WhoId reference >Contact/Lead
WhatId reference >Account/Opportunity/Campaign
AccountId reference >Account
Subject string
ActivityDate date
Status picklist ! default
Priority picklist ! default
Type picklist
TaskSubtype picklist
CallDurationInSeconds int
Description textarea
IsClosed boolean fixed
IsArchived boolean fixed
CompletedDateTime datetime fixed
OwnerId reference >User ! default
""",
)
OBJECTS = {
    one.name: one for one in (ACCOUNT, CAMPAIGN, CAMPAIGN_MEMBER, CONTACT, LEAD, OPPORTUNITY, CONTACT_ROLE, TASK)
}
