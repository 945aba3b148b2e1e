"""The truth about who is who, which no system of the sandbox tells. Only tests read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson

from millstream.sandbox.activecampaign import people as activecampaign
from millstream.sandbox.adobe_analytics import visits as adobe_analytics
from millstream.sandbox.braze import people as braze
from millstream.sandbox.clevertap import people as clevertap
from millstream.sandbox.company import Company
from millstream.sandbox.customerio import people as customerio
from millstream.sandbox.intercom import people as intercom
from millstream.sandbox.klaviyo import people as klaviyo
from millstream.sandbox.marketo import people as marketo
from millstream.sandbox.mixpanel import behaviour as mixpanel
from millstream.sandbox.person import Person, SurveyAnswer
from millstream.sandbox.qualtrics import contacts as qualtrics
from millstream.sandbox.qualtrics import responses as qualtrics_responses
from millstream.sandbox.salesforce import rows as salesforce
from millstream.sandbox.shift4shop import trade as shift4shop
from millstream.sandbox.system import JsonObject
from millstream.sandbox.typeform import people as typeform
from millstream.sandbox.vero import profiles as vero
from millstream.sandbox.zendesk import people as zendesk
from millstream.sandbox.zoho_crm import people as zoho_crm


def record(company: Company, index: int) -> JsonObject:
    """Everything a test may want to know about person `index`. Times are in ms since 1970 (UTC)."""
    person = company.person(index)
    answers = company.survey_answers(index)
    return {
        "person_id": person.person_id,
        "index": index,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "hubspot_contact_ids": [str(contact_id) for contact_id in person.contact_ids],
        "duplicate_link": person.duplicate_link,
        "emails": list(person.emails),
        "phones": [] if person.phone is None else [person.phone],
        "contact_phone": person.contact_phone,
        "customer_id": person.customer_id,
        "country": person.country,
        "city": person.city,
        "created_ms": person.created_ms,
        "modified_ms": person.modified_ms,
        "lifecyclestages": _lifecycle_stages(person),
        "subscription": person.subscription,
        "email_optout": person.email_optout,
        "event_attendee": person.event_attendee,
        "ga4_devices": [
            {"device_id": device.device_id, "user_id": device.user_id} for device in company.devices(index)
        ],
        "adobe_visitors": adobe_analytics.visitors_of(company, index),
        "ga4_audiences": list(company.ga4_audiences(index)),
        "deals": _deals(company, index),
        "survey_responses": [_survey_response(answer) for answer in answers],
        "nps_score": next((answer.score for answer in answers if answer.survey == "nps"), None),
        "surveymonkey_contact": _survey_contact(company, index),
        "mailchimp": _mailchimp(company, index),
        "customerio": customerio.entry_of(company, index),
        "activecampaign": activecampaign.contact_of(company, index),
        "braze": braze.profile_of(company, index),
        "intercom_contacts": intercom.contact_ids_of(company, index),
        "marketo": marketo.truth_of(company, index),
        "clevertap_profile": clevertap.object_id_of_person(company, index),
        "klaviyo_profile": klaviyo.profile_id_of(company, index),
        "mixpanel_distinct_id": mixpanel.distinct_id_of(company, index),
        "qualtrics_contacts": qualtrics.contact_ids_of(company, index),
        "qualtrics_responses": qualtrics_responses.response_ids_of(company, index),
        "salesforce": salesforce.record_ids_of(company, index),
        "shift4shop": shift4shop.shop_ids_of(company, index),
        "typeform_responses": typeform.tokens_of(company, index),
        "vero": vero.truth_of(company, index),
        "zendesk_users": zendesk.user_ids_of(company, index),
        "zoho_crm": zoho_crm.ids_of(company, index),
        "email_events": _email_events(company, index),
    }


def lines(company: Company) -> Iterator[bytes]:
    """The truth as JSON Lines, one person a line."""
    for index in range(company.population):
        yield orjson.dumps(record(company, index), option=orjson.OPT_APPEND_NEWLINE)


def write(company: Company, file: Path) -> None:
    """Write the truth to a file."""
    with file.open("wb") as handle:
        handle.writelines(lines(company))


def _lifecycle_stages(person: Person) -> dict[str, str]:
    stages = (person.lifecycle_stage, person.duplicate_lifecycle_stage)
    return {str(contact_id): stage for contact_id, stage in zip(person.contact_ids, stages, strict=False)}


def _deals(company: Company, index: int) -> list[JsonObject]:
    return [
        {
            "id": str(deal.deal_id),
            "stage": deal.stage,
            "amount": deal.amount,
            "created_ms": deal.created_ms,
            "close_ms": deal.close_ms,
            "contact_id": str(deal.contact_id),
        }
        for deal in company.deals(index)
    ]


def _survey_response(answer: SurveyAnswer) -> JsonObject:
    return {
        "survey": answer.survey,
        "response_id": str(answer.response_id),
        "score": answer.score,
        "link": answer.link,
        "linked": answer.link not in {"mailbox", "none"},
        "answered_ms": answer.answered_ms,
    }


def _survey_contact(company: Company, index: int) -> JsonObject | None:
    contact = company.survey_contact(index)
    if contact is None:
        return None
    return {"id": str(contact.contact_id), "email": contact.email, "status": contact.status}


def _mailchimp(company: Company, index: int) -> JsonObject | None:
    member = company.mailchimp_member(index)
    if member is None:
        return None
    return {"email": member.email_address, "status": member.status, "tags": list(member.tags)}


def _email_events(company: Company, index: int) -> JsonObject:
    events = sorted(company.email_events(index), key=lambda event: event.occurred_ms)
    return {
        "counts": dict(Counter(event.type for event in events)),
        "last_ms": {event.type: event.occurred_ms for event in events},
    }
