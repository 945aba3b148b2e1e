"""What happened: opportunities, campaigns with their members, and tasks. Accounts stand here, too: they are nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Row
from millstream.sources.salesforce.objects import CONTACT_ID, LEAD_ID, MASTER, ApiField, SObject, is_true
from millstream.state.model.declarations import Event, Identifier, People
from millstream.state.model.known_events import deal_events

if TYPE_CHECKING:
    from millstream.sources.salesforce.settings import SalesforceSettings

_CONTACT_PREFIX, _LEAD_PREFIX = "003", "00Q"
"""With which ids of these objects start, in every organization."""

_WHO = (Identifier(kind=CONTACT_ID, column="contact_id"), Identifier(kind=LEAD_ID, column="lead_id"))

ACCOUNTS = SObject(
    api_name="Account",
    stream="accounts",
    description="An account: a company, or a household.",
    own=(
        MASTER,
        ApiField("Name", "name"),
        ApiField("Type", "type"),
        ApiField("Industry", "industry"),
        ApiField("ParentId", "parent_id"),
        ApiField("Phone", "phone"),
        ApiField("Website", "website"),
        ApiField("NumberOfEmployees", "employees", "bigint"),
        ApiField("AnnualRevenue", "annual_revenue", "double"),
        ApiField("BillingCity", "city"),
        ApiField("BillingCountry", "country"),
        ApiField("OwnerId", "owner_id"),
    ),
)
CAMPAIGNS = SObject(
    api_name="Campaign",
    stream="campaigns",
    description="A campaign.",
    own=(
        ApiField("Name", "name"),
        ApiField("Type", "type"),
        ApiField("Status", "status"),
        ApiField("IsActive", "is_active", "bool"),
        ApiField("ParentId", "parent_id"),
        ApiField("StartDate", "starts_on", "date"),
        ApiField("EndDate", "ends_on", "date"),
        ApiField("OwnerId", "owner_id"),
    ),
)
CAMPAIGN_MEMBERS = SObject(
    api_name="CampaignMember",
    stream="campaign_members",
    description="A contact or lead in a campaign.",
    own=(
        ApiField("CampaignId", "campaign_id"),
        ApiField("LeadId", "lead_id"),
        ApiField("ContactId", "contact_id"),
        ApiField("Status", "status", description="How far they got, in the campaign's own words."),
        ApiField("HasResponded", "has_responded", "bool"),
        ApiField("FirstRespondedDate", "first_responded_at", "timestamp", "The day of the first response."),
    ),
    people=People(
        record="subject",
        identifiers=_WHO,
        events=(
            Event(name="Campaign Joined", at="created_at", campaign="campaign_id", properties=("status",)),
            Event(
                name="Campaign Responded",
                at="first_responded_at",
                when=("has_responded", ("true",)),
                campaign="campaign_id",
                properties=("status",),
            ),
        ),
        observed_at="created_at",
        deleted="deleted",
    ),
)
CONTACT_ROLES = SObject(
    api_name="OpportunityContactRole",
    stream="opportunity_contact_roles",
    description="What a contact is to an opportunity.",
    own=(
        ApiField("OpportunityId", "opportunity_id"),
        ApiField("ContactId", "contact_id"),
        ApiField("Role", "role"),
        ApiField("IsPrimary", "is_primary", "bool"),
    ),
)
_ABOUT = ("name", "stage", "deal_type", "lead_source")


def opportunities() -> SObject:
    """The object Opportunity. It names its primary contact only, so that an amount counts once."""
    return SObject(
        api_name="Opportunity",
        stream="opportunities",
        description="An opportunity: a sale, or the hope of one.",
        own=(
            ApiField("Name", "name"),
            ApiField("AccountId", "account_id"),
            ApiField("ContactId", "first_contact_id", description="The contact it was made with, where that is kept."),
            ApiField("StageName", "stage"),
            ApiField("Amount", "amount", "double"),
            ApiField("CurrencyIsoCode", "currency", description="ISO 4217."),
            ApiField("Probability", "probability", "double"),
            ApiField("CloseDate", "closed_at", "timestamp", "The day it was closed, or when that is expected."),
            ApiField("Type", "deal_type"),
            ApiField("IsClosed", "is_closed", "bool"),
            ApiField("IsWon", "is_won", "bool"),
            ApiField("LeadSource", "lead_source"),
            ApiField("CampaignId", "campaign_id", description="The campaign that it is ascribed to."),
            ApiField("OwnerId", "owner_id"),
        ),
        derived=(
            Column("outcome", description="`open`, `won`, `lost` or `deleted`."),
            Column("contact_id", description="Its primary contact, by the contact roles."),
        ),
        people=People(
            record="subject",
            identifiers=(Identifier(kind=CONTACT_ID, column="contact_id"),),
            events=deal_events(
                created=("id", "name", "deal_type", "lead_source"), closed=("id", *_ABOUT), campaign="campaign_id"
            ),
            observed_at="created_at",
        ),
    )


def shape_opportunity(row: Row, contact: str | None, settings: SalesforceSettings) -> Row:
    """Add whose opportunity it is, and how it stands."""
    row["contact_id"] = contact or row.get("first_contact_id")
    row["currency"] = row.get("currency") or settings.default_currency
    row["outcome"] = _outcome(row)
    return row


def _outcome(row: Row) -> str:
    if is_true(row.get("deleted")):
        return "deleted"
    if is_true(row.get("is_won")):
        return "won"
    return "lost" if is_true(row.get("is_closed")) else "open"


def _shape_task(row: Row) -> Row:
    """Tell whom it is about, and when it was done."""
    who, done = str(row.get("who_id") or ""), is_true(row.get("is_closed"))
    row["contact_id"] = who if who.startswith(_CONTACT_PREFIX) else None
    row["lead_id"] = who if who.startswith(_LEAD_PREFIX) else None
    row["done_at"] = (row.get("completed_at") or row.get("due_on") or row.get("created_at")) if done else None
    row["interaction"] = str(row.get("subtype") or "task").lower() if done else None
    return row


TASKS = SObject(
    api_name="Task",
    stream="tasks",
    description="A task: a call, an e-mail or something else that was or is to be done.",
    own=(
        ApiField("WhoId", "who_id", description="The contact or lead."),
        ApiField("WhatId", "what_id", description="What it is about: an account, an opportunity, ..."),
        ApiField("AccountId", "account_id"),
        ApiField("Subject", "subject"),
        ApiField("ActivityDate", "due_on", "date"),
        ApiField("Status", "status"),
        ApiField("Priority", "priority"),
        ApiField("Type", "type"),
        ApiField("TaskSubtype", "subtype", description="Task, Email, Call, ..."),
        ApiField("CallDurationInSeconds", "call_seconds", "bigint"),
        ApiField("IsClosed", "is_closed", "bool"),
        ApiField("CompletedDateTime", "completed_at", "timestamp"),
        ApiField("OwnerId", "owner_id"),
    ),
    derived=(
        Column("contact_id", description="Whom it is about, if that is a contact."),
        Column("lead_id", description="Whom it is about, if that is a lead."),
        Column("done_at", "timestamp", "When it was done, as far as Salesforce knows."),
        Column("interaction", description="Of a task that is done, what it was; names the event."),
    ),
    shape=_shape_task,
    people=People(
        record="subject",
        identifiers=_WHO,
        events=(
            Event(
                at="done_at",
                name_column="interaction",
                names={
                    "task": "Task Completed",
                    "call": "Call Logged",
                    "email": "Email Logged",
                    "listemail": "Email Logged",
                    "cadence": "Task Completed",
                    "linkedin": "Task Completed",
                },
                properties=("subject", "type", "status", "call_seconds"),
            ),
        ),
        observed_at="created_at",
        deleted="deleted",
    ),
)
