"""Who answered which form when, and what they said: a pure function of the company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, cut, draw, mix, share, topic
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject
from millstream.sandbox.typeform.forms import (
    CALL_BACK,
    CALL_FIRST,
    CALL_LAST,
    CALL_NEWS,
    CALL_PHONE,
    CALL_TOPIC,
    FORMS,
    NPS,
    NPS_EMAIL,
    NPS_REASON,
    NPS_SCORE,
    Form,
)

TAKES = {form.form_id: topic(540 + number) for number, form in enumerate(FORMS)}
AGAIN = topic(549)
AGAIN_CUT = cut(0.25)
PARTIAL_CUT = cut(0.1)
SPAN_DAYS = 150
COMMENTS = ("Quick delivery", "Too expensive", "Friendly staff", "The size was wrong", "")


@dataclass(frozen=True, slots=True)
class Submission:
    """One person's pass through a form.

    Attributes:
        form: Which form.
        index: Whose it is, as only the truth knows.
        token: Its id.
        landed_ms: When the form was opened.
        submitted_ms: When it was sent, in whole seconds; None for one left half way.
        bits: What the answers are made of.
    """

    form: Form
    index: int
    token: str
    landed_ms: int
    submitted_ms: int | None
    bits: int

    @property
    def at_ms(self) -> int:
        """The time that filters look at: sent, or opened for one that was not."""
        return self.landed_ms if self.submitted_ms is None else self.submitted_ms


def submissions(company: Company, form: Form) -> list[Submission]:
    """Every submission of a form, oldest first; ties in the order of their tokens."""
    found = [_first(company, form, index) for index in _takers(company, form)]
    if form is NPS:
        found += [again for again in (_again(company, index) for index in company.changes) if again is not None]
    return sorted(found, key=lambda one: (one.at_ms, one.token))


def tokens_of(company: Company, index: int) -> list[str]:
    """The tokens of one person's responses, for the truth."""
    tokens = []
    if index < company.people:
        takes = {form: share(draw(company.base(index), TAKES[form.form_id]), 0) for form in FORMS}
        tokens = [_first(company, form, index).token for form in FORMS if takes[form] < cut(form.taken)]
    again = _again(company, index) if index in company.changes else None
    return tokens if again is None else [*tokens, again.token]


def _takers(company: Company, form: Form) -> list[int]:
    bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
    taken = share(draw(bases, TAKES[form.form_id]), 0) < cut(form.taken)
    return [int(index) for index in np.flatnonzero(taken)]


def _first(company: Company, form: Form, index: int) -> Submission:
    bits = draw(company.base(index), TAKES[form.form_id])
    landed = company.today_ms - (share(bits, 1) % SPAN_DAYS + 1) * DAY_MS + share(bits, 2) * 1000
    landed -= landed % 1000
    partial = share(bits, 3) < PARTIAL_CUT
    return Submission(form, index, _token(form, index, bits), landed, None if partial else landed + 90_000, mix(bits))


def _again(company: Company, index: int) -> Submission | None:
    """A submission that came with the last change of a person, while the sandbox runs."""
    changed_ms = company.changes[index].modified_ms
    bits = draw(company.base(index), AGAIN)
    if changed_ms is None or share(bits, 0) >= AGAIN_CUT:
        return None
    at_ms = changed_ms - changed_ms % 1000
    return Submission(NPS, index, _token(NPS, index, bits), at_ms - 60_000, at_ms, mix(bits))


def _token(form: Form, index: int, bits: int) -> str:
    return f"{form.form_id[:3]}{index:07d}{bits & 0xFFFFFFFF:08x}"


def hidden(person: Person, submission: Submission) -> JsonObject:
    """The values its address carried: a shop id in half of those sent out from the shop."""
    values: JsonObject = dict.fromkeys(submission.form.hidden, "")
    if "customer_id" in values and person.customer_id is not None and share(submission.bits, 1) & 1:
        values["customer_id"] = person.customer_id
    if "utm_source" in values:
        values["utm_source"] = ("newsletter", "shop", "")[submission.bits % 3]
    return values


def answers(person: Person, submission: Submission) -> list[JsonObject]:
    """What was answered; questions passed over are left out."""
    if submission.submitted_ms is None:
        return []
    if submission.form is CALL_BACK:
        return _call_back(person, submission.bits)
    return _nps(person, submission.bits)


def _nps(person: Person, bits: int) -> list[JsonObject]:
    said: list[JsonObject] = [
        {"field": NPS_SCORE.head(), "type": "number", "number": min(10, share(bits, 0) % 13)},
    ]
    comment = COMMENTS[share(bits, 2) % len(COMMENTS)]
    if comment:
        said.append({"field": NPS_REASON.head(), "type": "text", "text": comment})
    if share(bits, 3) % 10 < 7:
        email = person.emails[-1] if share(bits, 3) & 1 else person.email
        spelled = email.title() if share(bits, 2) & 1 else email
        said.append({"field": NPS_EMAIL.head(), "type": "email", "email": spelled})
    return said


def _call_back(person: Person, bits: int) -> list[JsonObject]:
    said: list[JsonObject] = [
        {"field": CALL_FIRST.head(), "type": "text", "text": person.first_name},
        {"field": CALL_LAST.head(), "type": "text", "text": person.last_name},
    ]
    if person.phone is not None:
        said.append({"field": CALL_PHONE.head(), "type": "phone_number", "phone_number": person.phone})
    chosen = CALL_TOPIC.choice(share(bits, 0) % len(CALL_TOPIC.choices))
    said.append({"field": CALL_TOPIC.head(), "type": "choice", "choice": chosen})
    if person.subscription == "SUBSCRIBED" or share(bits, 3) & 1:
        wants = person.subscription == "SUBSCRIBED"
        said.append({"field": CALL_NEWS.head(), "type": "boolean", "boolean": wants})
    return said
