"""Who answered which survey when, what they said, and how an export writes it: a pure function of the company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, cut, draw, mix, share, topic
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.person import Person
from millstream.sandbox.qualtrics.contacts import Contact, card, contacts_of
from millstream.sandbox.qualtrics.surveys import NPS, SERVICE, SURVEYS, Survey, stamp
from millstream.sandbox.system import JsonObject

TAKES = {survey.survey_id: topic(653 + number) for number, survey in enumerate(SURVEYS)}
AGAIN, LATER = topic(657), topic(658)
AGAIN_CUT, EDITED_CUT, DELETED_CUT = cut(0.3), cut(0.3), cut(0.1)
PARTIAL_CUT = cut(0.1)
SPAN_DAYS = 120
COMMENTS = ("Quick delivery", "Too expensive", "Friendly staff", "The size was wrong", "")


@dataclass(frozen=True, slots=True)
class Response:
    """One recorded response.

    Attributes:
        survey: To which survey.
        index: Whose it is, as only the truth knows.
        response_id: Its id.
        recorded_ms: When its session was closed.
        modified_ms: When it was last changed: recorded, or edited later.
        finished: False for one that was left half way, and recorded when its time was over.
        bits: What the answers are made of.
    """

    survey: Survey
    index: int
    response_id: str
    recorded_ms: int
    modified_ms: int
    finished: bool
    bits: int


def responses(company: Company, survey: Survey) -> list[Response]:
    """Every response of a survey, the oldest first."""
    bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
    takers = np.flatnonzero(share(draw(bases, TAKES[survey.survey_id]), 0) < cut(survey.taken))
    found = [one for index in takers.tolist() if (one := _first(company, survey, index)) is not None]
    if survey is NPS:
        found += [again for index in company.changes if (again := _again(company, index)) is not None]
    return sorted(found, key=lambda one: (one.recorded_ms, one.response_id))


def response_ids_of(company: Company, index: int) -> list[str]:
    """The ids of one person's responses, for the truth."""
    found = []
    for survey in SURVEYS if index < company.people else ():
        taken = share(draw(company.base(index), TAKES[survey.survey_id]), 0) < cut(survey.taken)
        one = _first(company, survey, index) if taken else None
        found += [] if one is None else [one.response_id]
    again = _again(company, index) if index in company.changes else None
    return found if again is None else [*found, again.response_id]


def _first(company: Company, survey: Survey, index: int) -> Response | None:
    bits = draw(company.base(index), TAKES[survey.survey_id])
    recorded = company.today_ms - (share(bits, 1) % SPAN_DAYS + 1) * DAY_MS + share(bits, 2) * 1000 + (bits & 0x1FF)
    finished = share(bits, 3) >= PARTIAL_CUT
    changed_ms = company.changes[index].modified_ms if index in company.changes else None
    modified = recorded
    if changed_ms is not None:
        # When life goes on, some responses are deleted and some edited.
        later = draw(company.base(index), LATER)
        if share(later, 0) < DELETED_CUT:
            return None
        modified = changed_ms if share(later, 1) < EDITED_CUT else recorded
    return Response(survey, index, _id(survey, index, bits), recorded, modified, finished, mix(bits))


def _again(company: Company, index: int) -> Response | None:
    """A response that came with the last change of a person, while the sandbox runs."""
    changed_ms = company.changes[index].modified_ms
    bits = draw(company.base(index), AGAIN)
    if changed_ms is None or share(bits, 0) >= AGAIN_CUT:
        return None
    return Response(NPS, index, _id(NPS, index, bits), changed_ms, changed_ms, True, mix(bits))


def _id(survey: Survey, index: int, bits: int) -> str:
    return f"R_{SURVEYS.index(survey)}{index:07d}{bits & 0xFFFFFFFF:08x}"


def invited(company: Company, response: Response) -> Contact | None:
    """The directory's entry that was invited; who has none answers through the survey's public link."""
    entries = contacts_of(company, response.index)
    return entries[0] if entries and response.survey is NPS else None


def record(company: Company, response: Response) -> JsonObject:
    """The response as an export writes it."""
    person = company.original(response.index) if response.index < company.people else company.person(response.index)
    metadata = {**_metadata(response), **_recipient(company, response)}
    answers = _answers(response, person)
    embedded = {**_embedded(response, person)}
    fields = [field for question in response.survey.questions for field in question.fields]
    beside = response.survey.metadata_beside
    made: JsonObject = {"responseId": response.response_id}
    if beside:
        made |= metadata
    return made | {
        "values": {**({} if beside else metadata), **answers, **embedded},
        "labels": {"status": "IP Address", "finished": str(response.finished), **_labels(response.survey, answers)},
        "displayedFields": fields,
        "displayedValues": _displayed(response.survey),
    }


def _metadata(response: Response) -> JsonObject:
    seconds = 30 + response.bits % 300
    ended = response.recorded_ms - 1000 if response.finished else response.recorded_ms - 7 * DAY_MS
    return {
        "startDate": stamp(ended - seconds * 1000),
        "endDate": stamp(ended),
        "status": 0,
        "ipAddress": f"203.0.113.{response.bits >> 8 & 0xFF}",
        "progress": 100 if response.finished else 50,
        "duration": seconds,
        "finished": int(response.finished),
        "recordedDate": stamp(response.recorded_ms, fraction=True),
        "_recordId": response.response_id,
        "locationLatitude": f"{response.bits % 90}.1",
        "locationLongitude": f"{response.bits % 180}.2",
        "distributionChannel": "anonymous",
        "userLanguage": "EN",
    }


def _recipient(company: Company, response: Response) -> JsonObject:
    contact = invited(company, response)
    if contact is None:
        return {}
    entry = card(company, contact)
    made = {
        "recipientFirstName": entry.person.first_name,
        "recipientLastName": entry.person.last_name,
        "recipientEmail": entry.email,
        "externalDataReference": entry.reference,
        "distributionChannel": "email" if entry.email else "sms",
    }
    return {name: value for name, value in made.items() if value}


def _embedded(response: Response, person: Person) -> JsonObject:
    """What the address of the survey carried; who is edited later gets the shop's id in any case."""
    edited = response.modified_ms != response.recorded_ms
    made: JsonObject = {}
    if person.customer_id is not None and (edited or share(response.bits, 1) & 1):
        made["customer_id"] = person.customer_id
    if response.survey is NPS and person.contact_ids and share(response.bits, 1) & 2:
        made["crm_id"] = str(person.contact_ids[-1])
    return made


def _answers(response: Response, person: Person) -> JsonObject:
    bits = response.bits
    if response.survey is SERVICE:
        grades: JsonObject = {"QID1": 1 + share(bits, 0) % 5}
        parts: JsonObject = {"QID2_1": 1 + share(bits, 2) % 5, "QID2_2": 1 + share(bits, 3) % 5}
        return grades | parts if response.finished else grades
    score = min(10, share(bits, 0) % 13)
    said: JsonObject = {"QID1": score, "QID1_NPS_GROUP": 3 if score > 8 else 2 if score > 6 else 1}
    if not response.finished:
        return said
    comment = COMMENTS[share(bits, 2) % len(COMMENTS)]
    if comment:
        said["QID2_TEXT"] = comment
    if share(bits, 3) % 10 < 5:
        said["QID3_TEXT"] = person.emails[-1] if share(bits, 3) & 1 else person.email
    return said


def _labels(survey: Survey, answers: JsonObject) -> JsonObject:
    labels: JsonObject = {}
    for question in survey.questions:
        choices = dict(question.choices)
        labels |= {field: choices[str(answers[field])] for field in question.fields if choices and field in answers}
    return labels


def _displayed(survey: Survey) -> JsonObject:
    return {
        field: [int(value) for value, _ in question.choices]
        for question in survey.questions
        for field in question.fields
        if question.choices
    }
