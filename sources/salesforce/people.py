"""Contacts and leads: who they are, and whether they may be written to or called."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from millstream.sources.salesforce.objects import (
    CONTACT_ID,
    DESCRIBED_AT,
    GONE,
    LEAD_ID,
    MASTER,
    ApiField,
    SObject,
    shape_person,
)
from millstream.state.model.declarations import Consent, Event, Identifier, People, Trait

if TYPE_CHECKING:
    from millstream.sources.salesforce.settings import SalesforceSettings

_PERSON = (
    MASTER,
    ApiField("FirstName", "first_name"),
    ApiField("LastName", "last_name"),
    ApiField("Email", "email"),
    ApiField("Phone", "phone", description="Business number as typed."),
    ApiField("MobilePhone", "mobile_phone", description="Mobile number as typed."),
    ApiField("Title", "job_title"),
    ApiField("LeadSource", "lead_source", description="Where the person came from."),
    ApiField("HasOptedOutOfEmail", "email_opted_out", "bool", "Wants no e-mail; false says nothing."),
    ApiField("DoNotCall", "do_not_call", "bool", "Wants no calls; false says nothing."),
    ApiField("IsEmailBounced", "email_bounced", "bool", "The last e-mail came back."),
    ApiField("EmailBouncedDate", "email_bounced_at", "timestamp"),
    ApiField("IndividualId", "individual_id", description="The person's record of data privacy wishes."),
    ApiField("OwnerId", "owner_id", description="Who looks after the record."),
)
_OPT_OUTS = ("HasOptedOutOfEmail", "DoNotCall")
_CONSENTS = (
    Consent(channel="email", column="email_opted_out", statuses={"true": "denied"}),
    Consent(channel="phone", column="do_not_call", statuses={"true": "denied"}),
)
_TRAITS = (
    Trait(name="first_name", column="first_name"),
    Trait(name="last_name", column="last_name"),
    Trait(name="job_title", column="job_title"),
    Trait(name="lead_source", column="lead_source"),
    Trait(name="city", column="city"),
    Trait(name="region", column="region"),
    Trait(name="postal_code", column="postal_code"),
    Trait(name="country", column="country"),
    Trait(name="email_bounced", column="email_bounced", type="boolean"),
    Trait(name="created_at", column="created_at", type="timestamp"),
)


def _reached_by(settings: SalesforceSettings) -> tuple[Identifier, ...]:
    return (
        Identifier(kind="email", column="email"),
        Identifier(kind="phone", column="mobile_phone"),
        Identifier(kind="phone", column="phone", merges=settings.business_phones == "identify"),
    )


def contacts(settings: SalesforceSettings) -> SObject:
    """The object Contact. The record of a contact that was merged away still says which one it became."""
    return SObject(
        api_name="Contact",
        stream="contacts",
        description="A contact: a person at an account, or a person account's own.",
        own=(
            *_PERSON,
            ApiField("AccountId", "account_id"),
            ApiField("Birthdate", "birth_date", "date"),
            ApiField("MailingCity", "city"),
            ApiField("MailingState", "region", description="State or region."),
            ApiField("MailingPostalCode", "postal_code"),
            ApiField("MailingCountry", "country"),
        ),
        derived=(GONE, DESCRIBED_AT),
        shape=shape_person,
        people=People(
            identifiers=(
                *_reached_by(settings),
                Identifier(kind=CONTACT_ID, column="id"),
                Identifier(kind=CONTACT_ID, column="master_id"),
            ),
            traits=(*_TRAITS, Trait(name="birth_date", column="birth_date", type="date")),
            consents=_CONSENTS,
            observed_at="described_at",
            deleted="gone",
            country="country",
        ),
        expected=("Email", *_OPT_OUTS),
    )


def leads(settings: SalesforceSettings) -> SObject:
    """The object Lead. One that was converted is the contact that it became."""
    lead = contacts(settings)
    return replace(
        lead,
        api_name="Lead",
        stream="leads",
        description="A lead: a person whom nobody knows well yet, or the trace of one who became a contact.",
        own=(
            *_PERSON,
            ApiField("Company", "company", description="Company name as typed."),
            ApiField("City", "city"),
            ApiField("State", "region", description="State or region."),
            ApiField("PostalCode", "postal_code"),
            ApiField("Country", "country"),
            ApiField("Status", "lead_status"),
            ApiField("Rating", "rating"),
            ApiField("IsConverted", "is_converted", "bool"),
            ApiField("ConvertedDate", "converted_at", "timestamp", "The day of the conversion."),
            ApiField("ConvertedContactId", "converted_contact_id", description="The contact that it became."),
            ApiField("ConvertedAccountId", "converted_account_id"),
            ApiField("ConvertedOpportunityId", "converted_opportunity_id"),
        ),
        people=People(
            identifiers=(
                *_reached_by(settings),
                Identifier(kind=CONTACT_ID, column="converted_contact_id"),
                Identifier(kind=LEAD_ID, column="id"),
                Identifier(kind=LEAD_ID, column="master_id"),
            ),
            traits=(
                *_TRAITS,
                Trait(name="company", column="company"),
                Trait(name="lead_status", column="lead_status"),
            ),
            consents=_CONSENTS,
            events=(
                Event(
                    name="Lead Converted",
                    at="converted_at",
                    when=("is_converted", ("true",)),
                    properties=("lead_source", "converted_opportunity_id"),
                ),
            ),
            observed_at="described_at",
            deleted="gone",
            country="country",
        ),
    )
