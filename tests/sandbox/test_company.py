"""The made-up company is deterministic, has the promised proportions, and hides nobody beyond reach."""

from __future__ import annotations

from collections import Counter
from datetime import date

import numpy as np
import phonenumbers
import pytest

from millstream.sandbox import facts, truth
from millstream.sandbox.company import Company

TODAY = date(2026, 11, 20)
PEOPLE = 4000


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(PEOPLE, seed=7, today=TODAY)


def test_people_follow_from_seed_and_index_alone(company: Company) -> None:
    smaller = Company(10, seed=7, today=TODAY)
    assert [smaller.person(index) for index in range(10)] == [company.person(index) for index in range(10)]
    assert Company(10, seed=8, today=TODAY).person(3) != company.person(3)


def test_identifiers_are_unique(company: Company) -> None:
    people = [company.person(index) for index in range(PEOPLE)]
    emails = [email for person in people for email in person.emails]
    phones = [person.phone for person in people if person.phone is not None]
    devices = [device.device_id for index in range(PEOPLE) for device in company.devices(index)]
    devices += [company.anonymous_device(number).device_id for number in range(company.anonymous_devices)]
    for values in (emails, phones, devices):
        assert len(set(values)) == len(values)


def test_phone_numbers_are_valid_and_their_spellings_equal(company: Company) -> None:
    for index in range(1000):
        person = company.person(index)
        if person.phone is None:
            continue
        assert phonenumbers.is_valid_number(phonenumbers.parse(person.phone))
        if person.contact_phone is not None:
            parsed = phonenumbers.parse(person.contact_phone, person.country_code)
            assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == person.phone


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no contact", 0.09),
        ("two contacts", 0.06),
        ("subscribed", 0.60),
        ("unsubscribed", 0.15),
        ("phone", 0.80),
        ("customer id", 0.70),
        ("nps", 0.30),
        ("mailchimp", 0.40),
        ("deals", 0.35 * 0.91),
    ],
)
def test_proportions_are_as_promised(company: Company, name: str, expected: float) -> None:
    columns = company.columns
    people = [company.person(index) for index in range(PEOPLE)]
    found = {
        "no contact": columns.contact_count == 0,
        "two contacts": columns.contact_count == 2,
        "subscribed": columns.subscription == 0,
        "unsubscribed": columns.subscription == 1,
        "phone": [person.phone is not None for person in people],
        "customer id": [person.customer_id is not None for person in people],
        "nps": columns.nps_ms > 0,
        "mailchimp": columns.mailchimp,
        "deals": columns.deal_count > 0,
    }
    assert np.mean(found[name]) == pytest.approx(expected, abs=0.025)


def test_columns_agree_with_single_people(company: Company) -> None:
    columns = company.columns
    for index in range(PEOPLE):
        person = company.person(index)
        answered = {answer.survey: answer.answered_ms for answer in company.survey_answers(index)}
        assert {
            "contacts": int(columns.contact_count[index]),
            "created": int(columns.created_ms[index]),
            "modified": int(columns.modified_ms[index]),
            "second created": int(columns.duplicate_created_ms[index]),
            "second modified": int(columns.duplicate_modified_ms[index]),
            "subscription": facts.SUBSCRIPTIONS[columns.subscription[index]],
            "customer": bool(columns.customer[index]),
            "attendee": bool(columns.event_attendee[index]),
            "deals": int(columns.deal_count[index]),
            "devices": int(columns.device_count[index]),
            "nps": int(columns.nps_ms[index]),
            "satisfaction": int(columns.satisfaction_ms[index]),
            "mailchimp": bool(columns.mailchimp[index]),
        } == {
            "contacts": len(person.contact_ids),
            "created": person.created_ms,
            "modified": person.modified_ms,
            "second created": person.duplicate_created_ms,
            "second modified": person.duplicate_modified_ms,
            "subscription": person.subscription,
            "customer": person.lifecycle_stage == "customer",
            "attendee": person.event_attendee,
            "deals": len(company.deals(index)),
            "devices": len(company.devices(index)),
            "nps": answered.get("nps", -1),
            "satisfaction": answered.get("satisfaction", -1),
            "mailchimp": company.mailchimp_member(index) is not None,
        }


def test_nothing_is_younger_than_the_start_of_today(company: Company) -> None:
    for index in range(1000):
        person = company.person(index)
        times = [person.modified_ms, person.duplicate_modified_ms]
        times += [event.occurred_ms for event in company.email_events(index)]
        times += [answer.answered_ms for answer in company.survey_answers(index)]
        times += [deal.modified_ms for deal in company.deals(index)]
        assert max(times) < company.today_ms
        assert person.created_ms <= person.modified_ms
        for deal in company.deals(index):
            assert person.created_ms <= deal.created_ms <= deal.modified_ms


def test_everybody_is_found_by_their_identifiers(company: Company) -> None:
    for index in range(500):
        person = company.person(index)
        for email in person.emails:
            assert company.find_by_email(email.upper()) == person
        for contact_id in person.contact_ids:
            assert company.find_by_contact_id(contact_id) == person
        if person.customer_id is not None:
            assert company.find_by_customer_id(person.customer_id) == person
    assert company.find_by_email("nobody.17@box.example") is None
    assert company.find_by_email("nobody@box.example") is None
    assert company.find_by_contact_id(12) is None
    assert company.find_by_customer_id("C-999999") is None


def test_every_response_of_a_person_with_a_contact_leads_to_them(company: Company) -> None:
    links: Counter[str] = Counter()
    for index in range(PEOPLE):
        person = company.person(index)
        for answer in company.survey_answers(index):
            links[answer.link] += 1
            if not person.contact_ids:
                assert answer.link in {"email", "mailbox", "none"}
                continue
            if answer.link == "crm_id":
                assert answer.crm_id in {str(contact_id) for contact_id in person.contact_ids}
            else:
                assert answer.link in {"email", "recipient"}
                assert answer.email is not None
                assert answer.email.lower() in person.emails
            if answer.link == "recipient":
                contact = company.survey_contact(index)
                assert contact is not None
                assert contact.email == answer.email
    assert {"email", "crm_id", "recipient", "none"} <= links.keys()


def test_the_first_device_knows_the_customer(company: Company) -> None:
    owners = [index for index in range(PEOPLE) if company.devices(index)]
    customers = sum(company.person(index).customer_id is not None for index in range(PEOPLE))
    assert len(owners) / customers == pytest.approx(0.60, abs=0.03)
    for index in owners:
        assert company.devices(index)[0].user_id == company.person(index).customer_id
        assert "All users" in company.ga4_audiences(index)


def test_advance_changes_about_the_share_and_adds_newcomers() -> None:
    company = Company(2000, today=TODAY)
    assert len(company.columns.nps_ms) == 2000
    at_ms = company.today_ms + 3_600_000
    counts = company.advance(0.05, seed=1, at_ms=at_ms)
    assert 60 < counts["changed"] < 140
    assert counts["newcomers"] == 10
    assert company.population == 2010
    assert len(company.columns.contact_count) == 2010
    changed = [index for index in range(2000) if company.person(index).modified_ms == at_ms]
    assert len(changed) == counts["contacts"]
    assert all(company.person(index) != company.original(index) for index in changed)
    newcomer = company.person(2005)
    assert (newcomer.created_ms, len(newcomer.contact_ids)) == (at_ms, 1)
    history = [*company.deals(2005), *company.email_events(2005), *company.survey_answers(2005)]
    assert history == []
    company.reset()
    assert company.population == 2000
    assert company.person(changed[0]) == company.original(changed[0])


def test_advance_is_deterministic_and_goes_on() -> None:
    one, other = Company(500, today=TODAY), Company(500, today=TODAY)
    for company in (one, other):
        company.advance(0.1, seed=3, at_ms=company.today_ms + 1)
        company.advance(0.1, seed=3, at_ms=company.today_ms + 2)
    assert one.changes == other.changes
    moments = {change.modified_ms for change in one.changes.values()}
    assert {one.today_ms + 1, one.today_ms + 2} <= moments


def test_advance_keeps_duplicates_recognisable() -> None:
    company = Company(3000, today=TODAY)
    for _ in range(3):
        company.advance(0.5, at_ms=company.today_ms + 1)
    phones = [company.person(index).phone for index in range(company.population)]
    known = [phone for phone in phones if phone is not None]
    assert len(set(known)) == len(known)
    for index in range(3000):
        if len(company.person(index).contact_ids) == 2:
            assert company.person(index).phone == company.original(index).phone


def test_columns_follow_changes() -> None:
    company = Company(1000, today=TODAY)
    company.columns  # noqa: B018 - made before the change, so that the change has to reach it
    company.advance(0.3, at_ms=company.today_ms + 1)
    fresh = Company(1000, today=TODAY)
    fresh.advance(0.3, at_ms=fresh.today_ms + 1)
    for name, column in vars(company.columns).items():
        if isinstance(column, np.ndarray):
            assert np.array_equal(column, getattr(fresh.columns, name)), name


def test_the_truth_tells_everything(company: Company) -> None:
    record = truth.record(company, 0)
    person = company.person(0)
    assert record["person_id"] == "person-000001"
    assert record["emails"] == list(person.emails)
    assert record["hubspot_contact_ids"] == [str(contact_id) for contact_id in person.contact_ids]
    assert sum(1 for _ in truth.lines(company)) == PEOPLE
