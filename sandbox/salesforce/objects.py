"""The org's objects and their fields, and how `describe` tells of them."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.sandbox.system import JsonObject

TEXTS = frozenset({"string", "email", "phone", "picklist", "textarea", "url", "id", "reference"})
LENGTHS = {"id": 18, "reference": 18, "email": 80, "phone": 40, "picklist": 255, "url": 255, "textarea": 32_000}
UNFILTERED = frozenset({"address", "textarea"})
"""Types that cannot stand in WHERE and ORDER BY."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `target` is the object that a reference leads to; `part_of` the compound field it belongs to."""

    name: str
    type: str
    target: str = ""
    part_of: str = ""
    required: bool = False
    external: bool = False

    def described(self) -> JsonObject:
        """The field in the words of `describe`."""
        is_text, system = self.type in TEXTS, self.name in SYSTEM_FIELDS
        return {
            "name": self.name,
            "label": self.name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": LENGTHS.get(self.type, 255) if is_text else 0,
            "byteLength": LENGTHS.get(self.type, 255) * 3 if is_text else 0,
            "precision": 18 if self.type in {"currency", "double"} else 0,
            "scale": 2 if self.type in {"currency", "double"} else 0,
            "digits": 8 if self.type == "int" else 0,
            "nillable": not (self.required or system or self.type == "boolean"),
            "custom": self.name.endswith("__c"),
            "calculated": False,
            "createable": not system,
            "updateable": not system,
            "filterable": self.type not in UNFILTERED,
            "sortable": self.type not in UNFILTERED,
            "groupable": self.type not in UNFILTERED | {"datetime"},
            "externalId": self.external,
            "unique": self.external,
            "idLookup": self.external or self.type in {"id", "email"},
            "compoundFieldName": self.part_of or None,
            "referenceTo": self.target.split("/") if self.target else [],
            "relationshipName": self.name.removesuffix("Id") if self.target else None,
            "picklistValues": [],
            "deprecatedAndHidden": False,
        }


@dataclass(frozen=True, slots=True)
class Sobject:
    """One object: its key prefix, its fields in order, and whether records of it can be merged."""

    name: str
    prefix: str
    fields: tuple[Field, ...]
    mergeable: bool = False

    def field(self, name: str) -> Field | None:
        """The field of this name, whatever its case."""
        return next((field for field in self.fields if field.name.lower() == name.lower()), None)

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


SYSTEM_FIELDS = ("Id", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp", "MasterRecordId")


def _sobject(name: str, prefix: str, fields: str, *, mergeable: bool = False) -> Sobject:
    """An object from one line a field: name, type, then `>` target, `in` compound field, `!` required, `key`."""
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
        external="key" in marks,
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
BillingAddress address
NumberOfEmployees int
OwnerId reference >User !
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
OwnerId reference >User !
"""
CONTACT = _sobject(
    "Contact",
    "003",
    f"""
AccountId reference >Account
{PERSON.strip()}
IsEmailBounced boolean
Birthdate date
MailingCity string in:MailingAddress
MailingCountry string in:MailingAddress
MailingAddress address
Customer_Id__c string key
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
Address address
Status picklist !
Rating picklist
IsConverted boolean
ConvertedDate date
ConvertedAccountId reference >Account
ConvertedContactId reference >Contact
ConvertedOpportunityId reference >Opportunity
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
IsClosed boolean
IsWon boolean
LeadSource picklist
CampaignId reference >Campaign
OwnerId reference >User !
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
OwnerId reference >User !
""",
)
CAMPAIGN_MEMBER = _sobject(
    "CampaignMember",
    "00v",
    """
CampaignId reference >Campaign !
LeadId reference >Lead
ContactId reference >Contact
LeadOrContactId reference >Lead/Contact
Status picklist
HasResponded boolean
FirstRespondedDate date
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
Status picklist !
Priority picklist !
Type picklist
TaskSubtype picklist
CallDurationInSeconds int
Description textarea
IsClosed boolean
IsArchived boolean
CompletedDateTime datetime
OwnerId reference >User !
""",
)
OBJECTS = {
    one.name: one for one in (ACCOUNT, CAMPAIGN, CAMPAIGN_MEMBER, CONTACT, LEAD, OPPORTUNITY, CONTACT_ROLE, TASK)
}
