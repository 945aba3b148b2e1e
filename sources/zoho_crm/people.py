"""Contacts and leads: who they are, and what they say about a person."""

from __future__ import annotations

from millstream.sources.zoho_crm.modules import Field, Module
from millstream.sources.zoho_crm.settings import ExtraTrait, ZohoCrmSettings
from millstream.state.model.declarations import Consent, Identifier, People, Trait

CONTACT_ID = "zoho_contact_id"
"""Identifier kind of a contact's record id."""
LEAD_ID = "zoho_lead_id"
"""Identifier kind of a lead's record id."""
SHARED_BY = frozenset({"Contacts", "Leads"})
"""Modules that the fields of the settings are looked for in; each need be in one of them."""

_BOTH = (
    Field(name="Email", column="email", description="Primary e-mail address.", optional=False),
    Field(name="Secondary_Email", column="secondary_email"),
    Field(name="Phone", column="phone", description="Phone number as typed."),
    Field(name="Mobile", column="mobile_phone", description="Mobile number as typed."),
    Field(name="First_Name", column="first_name", description="Given name."),
    Field(name="Last_Name", column="last_name", description="Family name.", optional=False),
    Field(name="Lead_Source", column="lead_source", description="Where the person came from."),
    Field(
        name="Email_Opt_Out",
        column="email_opted_out",
        type="bool",
        description="No marketing by e-mail; false says nothing.",
    ),
    Field(name="Unsubscribed_Mode", column="unsubscribed_by", description="How they opted out."),
    Field(name="Unsubscribed_Time", column="unsubscribed_at", type="timestamp"),
)
_CONTACT = (
    *_BOTH,
    Field(name="Home_Phone", column="home_phone"),
    Field(name="Other_Phone", column="other_phone"),
    Field(name="Title", column="job_title"),
    Field(name="Date_of_Birth", column="birth_date", type="date"),
    Field(name="Mailing_City", column="city"),
    Field(name="Mailing_State", column="region"),
    Field(name="Mailing_Zip", column="postal_code"),
    Field(name="Mailing_Country", column="country"),
    Field(name="Account_Name", column="account_id", description="The account that the contact belongs to."),
)
_LEAD = (
    *_BOTH,
    Field(name="Company", column="company", description="Company name as typed."),
    Field(name="Designation", column="job_title"),
    Field(name="Lead_Status", column="lead_status"),
    Field(name="City", column="city"),
    Field(name="State", column="region"),
    Field(name="Zip_Code", column="postal_code"),
    Field(name="Country", column="country"),
    Field(name="Converted__s", column="converted", type="bool", description="Has become a contact."),
    Field(name="Converted_Date_Time", column="converted_at", type="timestamp"),
    Field(name="Converted_Contact", column="contact_id", description="The contact that the lead became."),
    Field(name="Converted_Account", column="account_id", description="The account made with it."),
    Field(name="Converted_Deal", column="deal_id", description="The deal made with it."),
)
_TRAITS = (
    "first_name", "last_name", "job_title", "city", "region", "postal_code", "country", "lead_source",
)  # fmt: skip


def contacts(settings: ZohoCrmSettings) -> Module:
    """The module of contacts, with the fields that the settings name."""
    return Module("Contacts", _CONTACT).with_custom(settings.custom_fields)


def leads(settings: ZohoCrmSettings) -> Module:
    """The module of leads, with the fields that the settings name."""
    return Module("Leads", _LEAD, hides_converted=True).with_custom(settings.custom_fields)


def contact_people(module: Module, settings: ZohoCrmSettings) -> People:
    """What a contact says about a person."""
    return _people(
        module,
        settings,
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind=CONTACT_ID, column="id"),
            Identifier(kind="phone", column="home_phone"),
            Identifier(kind="phone", column="other_phone"),
        ),
        traits=(Trait(name="birthday", column="birth_date", type="date"),),
    )


def lead_people(module: Module, settings: ZohoCrmSettings) -> People:
    """What a lead says about a person: once it is converted, it is one person with its contact."""
    return _people(
        module,
        settings,
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind=LEAD_ID, column="id"),
            Identifier(kind=CONTACT_ID, column="contact_id"),
        ),
        traits=(Trait(name="company", column="company"), Trait(name="lead_status", column="lead_status")),
    )


def _people(
    module: Module, settings: ZohoCrmSettings, *, identifiers: tuple[Identifier, ...], traits: tuple[Trait, ...]
) -> People:
    return People(
        identifiers=(
            *identifiers,
            Identifier(kind="email", column="secondary_email"),
            Identifier(kind="phone", column="phone"),
            Identifier(kind="phone", column="mobile_phone"),
            *(Identifier(kind=kind, column=module.column_of(name)) for name, kind in settings.identifiers.items()),
        ),
        traits=(
            *(Trait(name=name, column=name) for name in _TRAITS),
            *traits,
            Trait(name="created_at", column="created_at", type="timestamp"),
            *(_trait(module, name, trait) for name, trait in settings.traits.items()),
        ),
        # "false" is what the box holds before anybody ticks it, which is no consent.
        consents=(Consent(channel="email", column="email_opted_out", statuses={"true": "denied"}),),
        observed_at="modified_at",
        deleted="deleted",
        country="country",
    )


def _trait(module: Module, name: str, trait: str | ExtraTrait) -> Trait:
    extra = ExtraTrait(name=trait) if isinstance(trait, str) else trait
    return Trait(name=extra.name, column=module.column_of(name), type=extra.type)
