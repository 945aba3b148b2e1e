"""Contacts: who they are, and what a contact says about a person."""

from __future__ import annotations

import re

from millstream.sources.hubspot.crm import CrmObject, Property
from millstream.sources.hubspot.settings import ExtraTrait, HubSpotSettings
from millstream.state.model.declarations import Consent, Identifier, People, Trait

CONTACT_ID = "hubspot_contact_id"
"""Identifier kind of a contact's record id."""

_OWN = (
    Property(name="email", column="email", description="Primary e-mail address."),
    Property(
        name="hs_additional_emails",
        column="additional_emails",
        description="Other e-mail addresses, `;` between them.",
        optional=True,
    ),
    Property(name="phone", column="phone", description="Phone number as typed."),
    Property(name="mobilephone", column="mobile_phone", description="Mobile number as typed.", optional=True),
    Property(name="firstname", column="first_name", description="Given name."),
    Property(name="lastname", column="last_name", description="Family name."),
    Property(name="city", column="city", optional=True),
    Property(name="state", column="region", description="State or region.", optional=True),
    Property(name="zip", column="postal_code", optional=True),
    Property(name="country", column="country", optional=True),
    Property(name="company", column="company", description="Company name as typed.", optional=True),
    Property(name="jobtitle", column="job_title", optional=True),
    Property(name="hs_language", column="language", description="Preferred language.", optional=True),
    Property(name="lifecyclestage", column="lifecycle_stage", description="Internal name of the stage."),
    Property(name="hs_lead_status", column="lead_status", optional=True),
    Property(name="hubspot_owner_id", column="owner_id", description="Who looks after it.", optional=True),
    Property(name="associatedcompanyid", column="company_id", description="Primary company.", optional=True),
    Property(
        name="hs_email_optout",
        column="email_opted_out",
        description="Unsubscribed from all e-mail; empty says nothing.",
        type="bool",
    ),
    Property(
        name="hs_merged_object_ids",
        column="merged_ids",
        description="Ids of contacts that were merged into this one, `;` between them.",
        optional=True,
    ),
)

_TRAITS = (
    Trait(name="first_name", column="first_name"),
    Trait(name="last_name", column="last_name"),
    Trait(name="city", column="city"),
    Trait(name="region", column="region"),
    Trait(name="postal_code", column="postal_code"),
    Trait(name="country", column="country"),
    Trait(name="company", column="company"),
    Trait(name="job_title", column="job_title"),
    Trait(name="language", column="language"),
    Trait(name="lifecycle_stage", column="lifecycle_stage"),
    Trait(name="lead_status", column="lead_status"),
    Trait(name="created_at", column="created_at", type="timestamp"),
)

_COLUMN_OF = {p.name: p.column for p in _OWN}
_TAKEN = frozenset({*_COLUMN_OF.values(), "id", "created_at", "modified_at", "archived_at", "deleted"})


def column_of(name: str) -> str:
    """The column of a contact property, the connector's own or one that the settings name."""
    if name in _COLUMN_OF:
        return _COLUMN_OF[name]
    column = re.sub(r"_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).strip("_").lower()
    return f"property_{column}" if column in _TAKEN else column


def contact_object(settings: HubSpotSettings) -> CrmObject:
    """The contact object with the properties that the settings add."""
    extra = tuple(
        Property(name=name, column=column_of(name), description="Asked for in the settings.", optional=True)
        for name in settings.extra_properties
        if name not in _COLUMN_OF
    )
    return CrmObject(type="contacts", modified="lastmodifieddate", properties=(*_OWN, *extra))


def contact_people(settings: HubSpotSettings) -> People:
    """What a contact says about a person."""
    return People(
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind="email", column="additional_emails", split=";"),
            Identifier(kind=CONTACT_ID, column="id"),
            Identifier(kind=CONTACT_ID, column="merged_ids", split=";"),
            Identifier(kind="phone", column="phone"),
            Identifier(kind="phone", column="mobile_phone"),
            *(Identifier(kind=kind, column=column_of(name)) for name, kind in settings.identifiers.items()),
        ),
        traits=(*_TRAITS, *(_trait(name, trait) for name, trait in settings.traits.items())),
        # "false" and empty only mean that nobody unsubscribed from everything, which is not a consent.
        consents=tuple(
            Consent(channel="email", column="email_opted_out", statuses={"true": "denied"}, topic=topic)
            for topic in topics(settings)
        ),
        observed_at="modified_at",
        deleted="deleted",
        country="country",
    )


def topics(settings: HubSpotSettings) -> tuple[str, ...]:
    """Every consent topic of the account's e-mail subscriptions."""
    return tuple(dict.fromkeys(("marketing", *settings.email_topics.values())))


def _trait(name: str, trait: str | ExtraTrait) -> Trait:
    extra = ExtraTrait(name=trait) if isinstance(trait, str) else trait
    return Trait(name=extra.name, column=column_of(name), type=extra.type)
