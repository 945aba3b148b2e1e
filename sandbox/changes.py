"""Life going on: what `POST /_sandbox/advance` does to the company."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from millstream.sandbox import facts, names
from millstream.sandbox.draws import bases_of, cut, draw, mix, share, topic
from millstream.sandbox.person import (
    EmailEvent,
    LifecycleStage,
    Person,
    SubscriptionStatus,
    SurveyAnswer,
)

if TYPE_CHECKING:
    from millstream.sandbox.company import Company

CHOSEN, WHAT = topic(300), topic(301)
STAGES: tuple[LifecycleStage, ...] = ("subscriber", "lead", "opportunity", "customer")
OPEN_CUT, UNSUBSCRIBE_CUT, ANSWER_CUT = cut(0.30), cut(0.10), cut(0.10)
# A second number for a person comes from the half of the pool that no first number uses.
NEW_PHONE_SERIAL = names.PHONE_POOL // 2


@dataclass(frozen=True, slots=True)
class PersonChange:
    """What is different about a person since the sandbox started; None means as it was."""

    modified_ms: int | None = None
    newcomer: bool = False
    city: str | None = None
    new_phone: bool = False
    lifecycle_stage: LifecycleStage | None = None
    subscription: SubscriptionStatus | None = None
    email_events: tuple[EmailEvent, ...] = ()
    nps: SurveyAnswer | None = None

    def applied_to(self, person: Person) -> Person:
        """The person as they are now."""
        if self.newcomer:
            person = _as_newcomer(person, self.modified_ms or 0)
        if self.new_phone:
            person = _with_new_phone(person)
        return replace(
            person,
            city=self.city or person.city,
            lifecycle_stage=self.lifecycle_stage or person.lifecycle_stage,
            subscription=self.subscription or person.subscription,
            modified_ms=self.modified_ms or person.modified_ms,
        )


def advance(
    company: Company, portion: float, seed: int, at_ms: int
) -> tuple[int, dict[int, PersonChange], dict[str, int]]:
    """Work out the next changes without applying them.

    Args:
        company: As it is now.
        portion: About which share of the people changes.
        seed: With the number of earlier advances, decides who changes and how.
        at_ms: When it happens.

    Returns:
        The number of newcomers, each changed person's whole change, and how many of each kind there are.
    """
    key = mix(seed + 1_000_003 * (company.advances + 1))
    bases = bases_of(key, np.arange(company.population, dtype=np.uint64))
    chosen = np.flatnonzero(draw(bases, CHOSEN) < np.uint64(min(int(portion * 2**64), 2**64 - 1)))
    counts = dict.fromkeys(("changed", "contacts", "email_events", "unsubscribed", "survey_answers"), 0)
    changes = {}
    for index in chosen.tolist():
        change = _next_change(company, index, draw(int(bases[index]), WHAT), at_ms, counts)
        if change is not None:
            changes[index] = change
            counts["changed"] += 1
    newcomers = max(1, round(portion * company.population / 10)) if portion > 0 else 0
    for index in range(company.population, company.population + newcomers):
        changes[index] = PersonChange(modified_ms=at_ms, newcomer=True, lifecycle_stage="lead")
    return newcomers, changes, {**counts, "newcomers": newcomers}


def _next_change(company: Company, index: int, bits: int, at_ms: int, counts: dict[str, int]) -> PersonChange | None:
    person = company.person(index)
    before = company.changes.get(index, PersonChange())
    change = before
    if person.contact_ids:
        change = _changed_contact(change, person, bits, at_ms)
        counts["contacts"] += 1
    if person.contact_ids and person.subscription == "SUBSCRIBED":
        if share(bits, 1) < OPEN_CUT:
            change = replace(change, email_events=(*change.email_events, _opening(company, person, at_ms)))
            counts["email_events"] += 1
        elif share(bits, 1) < OPEN_CUT + UNSUBSCRIBE_CUT:
            change = replace(change, subscription="UNSUBSCRIBED")
            counts["unsubscribed"] += 1
    answered = any(answer.survey == "nps" for answer in company.survey_answers(index))
    if not answered and share(bits, 2) < ANSWER_CUT:
        change = replace(change, nps=facts.make_answer("nps", bits, person, at_ms))
        counts["survey_answers"] += 1
    return None if change is before else change


def _changed_contact(change: PersonChange, person: Person, bits: int, at_ms: int) -> PersonChange:
    change = replace(change, modified_ms=at_ms)
    kind = (bits >> 56) % 3
    # A duplicate may be recognised by its phone number alone, so only people with one contact get a new one.
    if kind == 0 and person.phone is not None and len(person.contact_ids) == 1 and not change.new_phone:
        return replace(change, new_phone=True)
    if kind == 1:
        later = STAGES[STAGES.index(person.lifecycle_stage) + 1 :]
        if later:
            return replace(change, lifecycle_stage=later[0])
    country = next(country for country in names.COUNTRIES if country.title == person.country)
    cities = [city for city, _ in country.cities if city != person.city]
    return replace(change, city=cities[(bits >> 48) % len(cities)])


def _opening(company: Company, person: Person, at_ms: int) -> EmailEvent:
    number = 100 + company.advances
    sent_ms = at_ms - facts.DAY_MS
    sent_id, event_id = (facts.email_event_id(person.index, number, order) for order in (0, 2))
    return EmailEvent(event_id, "OPEN", person.email, 4_999, at_ms, sent_ms, sent_id)


def _with_new_phone(person: Person) -> Person:
    country = next(country for country in names.COUNTRIES if country.title == person.country)
    start = next(start for _, start in country.cities)
    national = names.national_number(country, start, NEW_PHONE_SERIAL + person.index)
    phone = f"+{country.calling_code}{national}"
    return replace(person, phone=phone, phone_national=national, contact_phone=phone)


def _as_newcomer(person: Person, at_ms: int) -> Person:
    return replace(
        person,
        contact_ids=(facts.FIRST_CONTACT_ID + person.index,),
        duplicate_link=None,
        contact_phone=person.phone,
        created_ms=at_ms,
        modified_ms=at_ms,
    )
