"""What there is to know about one made-up person: plain facts, no logic.

All times are integers: milliseconds since 1970 in UTC. `None` means that the thing does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

LifecycleStage = Literal["subscriber", "lead", "opportunity", "customer"]
SubscriptionStatus = Literal["SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"]
DealStage = Literal["closedwon", "closedlost", "appointmentscheduled"]
EmailEventType = Literal["SENT", "DELIVERED", "OPEN", "CLICK"]
Survey = Literal["nps", "satisfaction"]
SurveyLink = Literal["email", "crm_id", "recipient", "mailbox", "none"]
MailchimpStatus = Literal["subscribed", "unsubscribed", "cleaned"]
SurveyContactStatus = Literal["active", "optout", "bounced"]
DuplicateLink = Literal["phone", "customer_id", "additional_email"]


@dataclass(frozen=True, slots=True)
class Person:
    """One person, as the truth has it; the systems show parts of it in their own shapes.

    Attributes:
        index: 0-based position; everything else is a function of it and of the seed.
        person_id: `person-000001` for index 0.
        email: The main address, lower case, unique in the company.
        second_email: Another address of the same person, unique too.
        phone: E.164, unique, or None.
        phone_national: The same number without calling code, as digits.
        customer_id: The web shop's own user id, `C-000001` for index 0, or None.
        contact_ids: Ids of this person's HubSpot contacts: none, one, or two (a duplicate).
        duplicate_link: What the second contact surely shares with the first.
        contact_phone: What stands in the first contact's phone field (see `company.contact_phone`).
        lifecycle_stage: Of the first contact.
        duplicate_lifecycle_stage: Of the second contact, if there is one.
        subscription: Consent to marketing e-mail, the same for all addresses of the person.
        email_optout: HubSpot's portal-wide flag, only ever true for unsubscribed people.
        created_ms: When the person signed up; a contact's creation time.
        modified_ms: When the first contact last changed.
        duplicate_created_ms: Creation of the second contact (meaningful when there is one).
        duplicate_modified_ms: Last change of the second contact.
    """

    index: int
    person_id: str
    first_name: str
    last_name: str
    email: str
    second_email: str | None
    phone: str | None
    phone_national: str | None
    country: str
    country_code: str
    city: str
    customer_id: str | None
    birth_date: date
    contact_ids: tuple[int, ...]
    duplicate_link: DuplicateLink | None
    contact_phone: str | None
    phone_is_mobile: bool
    lifecycle_stage: LifecycleStage
    duplicate_lifecycle_stage: LifecycleStage
    subscription: SubscriptionStatus
    email_optout: bool
    event_attendee: bool
    created_ms: int
    modified_ms: int
    duplicate_created_ms: int
    duplicate_modified_ms: int

    @property
    def emails(self) -> tuple[str, ...]:
        """All addresses of the person, lower case, the main one first."""
        return (self.email,) if self.second_email is None else (self.email, self.second_email)


@dataclass(frozen=True, slots=True)
class Deal:
    """One sale or attempted sale. `close_ms` is None while the deal is open."""

    deal_id: int
    number: int
    name: str
    stage: DealStage
    amount: str
    created_ms: int
    close_ms: int | None
    modified_ms: int
    contact_id: int


@dataclass(frozen=True, slots=True)
class EmailEvent:
    """One thing that happened to one marketing e-mail; `sent_id` is the id of its SENT event."""

    event_id: str
    type: EmailEventType
    recipient: str
    campaign_id: int
    occurred_ms: int
    sent_ms: int
    sent_id: str


@dataclass(frozen=True, slots=True)
class Device:
    """One browser or phone; `user_id` is the customer id where somebody has signed in."""

    device_id: str
    user_id: str | None
    first_seen_ms: int


@dataclass(frozen=True, slots=True)
class SurveyAnswer:
    """One response to a survey and the one thing in it that says whose it is.

    Attributes:
        score: 0 to 10 for the NPS survey, 1 to 5 for the satisfaction survey.
        link: How the response names the person; `mailbox` and `none` name nobody.
        email: Address in `metadata.contact.email` (link `email` or `mailbox`) or of the recipient.
        crm_id: HubSpot contact id in `custom_variables.crm_id` (link `crm_id`).
        recipient_id: Survey recipient (link `recipient`).
    """

    survey: Survey
    response_id: int
    score: int
    comment: str | None
    answered_ms: int
    link: SurveyLink
    email: str | None
    crm_id: str | None
    recipient_id: int | None


@dataclass(frozen=True, slots=True)
class SurveyContact:
    """The person as an entry in the survey tool's address book."""

    contact_id: int
    email: str
    status: SurveyContactStatus


@dataclass(frozen=True, slots=True)
class MailchimpMember:
    """The person as a member of the Mailchimp list before any sync wrote to it."""

    email_address: str
    status: MailchimpStatus
    tags: tuple[str, ...]
    opted_in_ms: int
    changed_ms: int
