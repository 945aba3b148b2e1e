"""Survey responses: who answered when, filtered, sorted and written out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.company import Company
from millstream.sandbox.draws import UInts, bases_of, draw, mix, share, topic
from millstream.sandbox.person import Survey, SurveyAnswer
from millstream.sandbox.surveymonkey.errors import refusal
from millstream.sandbox.surveymonkey.forms import (
    FREQUENCY,
    ORDER_FREQUENCIES,
    REASON,
    RECOMMEND,
    SATISFACTION,
    Form,
    Question,
    find_form,
    form_of_collector,
)
from millstream.sandbox.surveymonkey.pages import Page, check_query, moment, one_of, stamp
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

DURATION = topic(510)
FILTERS = (
    "start_created_at",
    "end_created_at",
    "start_modified_at",
    "end_modified_at",
    "status",
    "email",
    "sort_by",
    "sort_order",
    "collector_ids",
)
BULK_FILTERS = (*FILTERS, "simple", "page_ids", "question_ids")
STATUSES = ("completed", "partial", "overquota", "disqualified")
BULK_MAXIMUM = 100

# As in `facts.make_answer`, which has the last word; tests compare.
INVITED_FROM = 192
DRAWS: dict[Survey, tuple[int, int]] = {
    "nps": (facts.NPS, facts.NPS_CUT),
    "satisfaction": (facts.SATISFACTION, facts.SATISFACTION_CUT),
}

Indexes = NDArray[np.int64]
Flags = NDArray[np.bool_]


def answered_by_invitation(bases: UInts, survey: Survey) -> Flags:
    """Who of many people answered a survey through an invitation, if they have a contact."""
    of_topic, edge = DRAWS[survey]
    bits = draw(bases, of_topic)
    by_mail = ((mix(bits) >> 16) & 0xFF) >= INVITED_FROM
    return np.asarray(by_mail & (share(bits, 0) < edge), dtype=np.bool_)


class Responses:
    """Handlers for responses of surveys and of collectors."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.forget()

    def forget(self) -> None:
        """Drop what was worked out about the company."""
        self._advances = -1
        self._by_time: dict[str, Indexes] = {}
        self._invited: dict[str, Indexes] = {}

    def routes(self) -> list[Route]:
        """The endpoints with the scope each needs; only the bulk and single ones give answers."""
        made = []
        for owner in ("/v3/surveys/{survey_id}", "/v3/collectors/{collector_id}"):
            made += [
                route("GET", f"{owner}/responses/bulk", self.bulk, "responses_read_detail"),
                route("GET", f"{owner}/responses", self.thin, "responses_read"),
                route("GET", f"{owner}/responses/{{response_id}}", self.one, "responses_read"),
                route(
                    "GET",
                    f"{owner}/responses/{{response_id}}/details",
                    self.one_detailed,
                    "responses_read_detail",
                ),
            ]
        return made

    # Who answered

    def respondents(self, form: Form) -> Indexes:
        """People who answered, by the time of their answer."""
        self._refresh()
        if form.survey is None:
            return np.empty(0, dtype=np.int64)
        if form.survey_id not in self._by_time:
            times = self._times(form)
            people = np.flatnonzero(times >= 0)
            self._by_time[form.survey_id] = people[np.argsort(times[people], kind="stable")]
        return self._by_time[form.survey_id]

    def invited(self, form: Form) -> Indexes:
        """People who answered through an invitation by e-mail, by index."""
        self._refresh()
        if form.survey is None:
            return self.respondents(form)
        if form.survey_id not in self._invited:
            people = np.sort(self.respondents(form))
            people = people[people < self._company.people]
            bases = bases_of(self._company.key, people.astype(np.uint64))
            found = set(people[answered_by_invitation(bases, form.survey) & self._has_contact(people)].tolist())
            for index in self._company.changes:
                answers = (one for one in self._company.survey_answers(index) if one.survey == form.survey)
                (found.add if any(one.link == "recipient" for one in answers) else found.discard)(index)
            self._invited[form.survey_id] = np.asarray(sorted(found), dtype=np.int64)
        return self._invited[form.survey_id]

    def _has_contact(self, people: Indexes) -> Flags:
        return np.asarray(self._company.columns.contact_count[people] > 0, dtype=np.bool_)

    def count(self, form: Form, collector_id: str | None = None) -> int:
        """How many responses a survey or one of its collectors has."""
        total = len(self.respondents(form))
        if collector_id is None or form.survey is None:
            return total
        invited = len(self.invited(form))
        return invited if collector_id == form.email_collector else total - invited

    def answer(self, form: Form, index: int) -> SurveyAnswer:
        """What one person answered to a survey they did answer."""
        return next(answer for answer in self._company.survey_answers(index) if answer.survey == form.survey)

    def _times(self, form: Form) -> Indexes:
        columns = self._company.columns
        return columns.nps_ms if form.survey == "nps" else columns.satisfaction_ms

    def _refresh(self) -> None:
        if self._advances != self._company.advances:
            self.forget()
            self._advances = self._company.advances

    # Endpoints

    def bulk(self, call: Call) -> Answer:
        """Whole responses, at most 100 a page."""
        check_query(call, *BULK_FILTERS)
        form, people = self._selected(call)
        page = Page(call, len(people), maximum=BULK_MAXIMUM)
        return page.answer([self._response(call, form, int(index)) for index in people[page.rows]])

    def thin(self, call: Call) -> Answer:
        """Ids only."""
        check_query(call, *FILTERS)
        form, people = self._selected(call)
        page = Page(call, len(people))
        rows = [self.answer(form, int(index)).response_id for index in people[page.rows]]
        return page.answer(
            [{"id": str(row), "href": f"{call.base_url}/v3/surveys/{form.survey_id}/responses/{row}"} for row in rows]
        )

    def one_detailed(self, call: Call) -> Answer:
        """One whole response."""
        form, index = self._find(call)
        return Answer(self._response(call, form, index))

    def one(self, call: Call) -> Answer:
        """One response without its answers."""
        form, index = self._find(call)
        return Answer({name: value for name, value in self._response(call, form, index).items() if name != "pages"})

    def _find(self, call: Call) -> tuple[Form, int]:
        form, people = self._owner(call)
        first = facts.NPS_RESPONSE_ID if form.survey == "nps" else facts.SATISFACTION_RESPONSE_ID
        text = call.params["response_id"]
        index = int(text) - first if text.isascii() and text.isdigit() else -1
        if not np.any(people == index):
            raise refusal(1020, f"There is no response {text}.")
        return form, index

    # Selection

    def _owner(self, call: Call) -> tuple[Form, Indexes]:
        if "survey_id" in call.params:
            form = find_form(call.params["survey_id"])
            return form, self.respondents(form)
        form = form_of_collector(call.params["collector_id"])
        return form, self._of_collectors(form, {call.params["collector_id"]})

    def _of_collectors(self, form: Form, collectors: set[str]) -> Indexes:
        people = self.respondents(form)
        invited = np.isin(people, self.invited(form))
        wanted = np.zeros(len(people), dtype=np.bool_)
        if form.email_collector in collectors:
            wanted |= invited
        if form.weblink_collector in collectors:
            wanted |= ~invited
        return people[wanted]

    def _selected(self, call: Call) -> tuple[Form, Indexes]:
        form, people = self._owner(call)
        if one_of(call, "status", STATUSES, "completed") != "completed" or form.survey is None:
            people = people[:0]
        if "collector_ids" in call.query:
            wanted = {part.strip() for part in call.query["collector_ids"].split(",")}
            people = people[np.isin(people, self._of_collectors(form, wanted))]
        if form.survey is not None:
            people = self._between(call, form, people)
        if "email" in call.query:
            people = self._of_address(call.query["email"], form, people)
        one_of(call, "sort_by", ("date_modified",), "date_modified")
        # The newest come first unless the client says otherwise, so that careless paging shows.
        order = one_of(call, "sort_order", ("ASC", "DESC"), "ASC" if "sort_by" in call.query else "DESC")
        return form, people if order == "ASC" else people[::-1]

    def _between(self, call: Call, form: Form, people: Indexes) -> Indexes:
        modified = self._times(form)[people] // 1000
        created = modified
        if {"start_created_at", "end_created_at"} & set(call.query):
            created = modified - np.fromiter((self._seconds(int(index)) for index in people), np.int64, len(people))
        kept = np.ones(len(people), dtype=np.bool_)
        for name, values in (("created", created), ("modified", modified)):
            start, end = moment(call, f"start_{name}_at"), moment(call, f"end_{name}_at")
            if start is not None:
                kept &= values > start
            if end is not None:
                kept &= values < end
        return people[kept]

    def _of_address(self, email: str, form: Form, people: Indexes) -> Indexes:
        wanted = email.lower()
        kept = [index for index in people.tolist() if (self.answer(form, index).email or "").lower() == wanted]
        return np.asarray(kept, dtype=np.int64)

    # Writing out

    def _seconds(self, index: int) -> int:
        """How long the person took to answer."""
        return 30 + draw(self._company.base(index), DURATION) % 300

    def _response(self, call: Call, form: Form, index: int) -> JsonObject:
        answer = self.answer(form, index)
        collector = form.email_collector if answer.link == "recipient" else form.weblink_collector
        named = answer.link in {"email", "mailbox"}
        # Without a recipient the vendor writes "0" in some answers and nothing in others.
        nobody = "0" if index % 2 else ""
        return {
            "id": str(answer.response_id),
            "survey_id": form.survey_id,
            "collector_id": collector,
            "recipient_id": nobody if answer.recipient_id is None else str(answer.recipient_id),
            "response_status": "completed",
            "collection_mode": "default",
            "date_created": stamp(answer.answered_ms - self._seconds(index) * 1000),
            "date_modified": stamp(answer.answered_ms),
            "total_time": self._seconds(index),
            "ip_address": f"192.0.2.{index % 254 + 1}",
            "custom_value": "",
            "custom_variables": {} if answer.crm_id is None else {"crm_id": answer.crm_id},
            # Real answers have these three; they are empty in what was seen of them.
            **dict.fromkeys(("first_name", "last_name", "email_address"), ""),
            "metadata": {"contact": {"email": {"type": "string", "value": answer.email}}} if named else {},
            "logic_path": {},
            "page_path": [],
            "edit_url": f"https://surveys.example.com/r/?sm={answer.response_id}",
            "analyze_url": f"https://surveys.example.com/analyze/browse/?respondent_id={answer.response_id}",
            "href": f"{call.base_url}/v3/surveys/{form.survey_id}/responses/{answer.response_id}",
            "pages": self._pages(call, form, index, answer),
        }

    def _pages(self, call: Call, form: Form, index: int, answer: SurveyAnswer) -> list[JsonObject]:
        given = self._given(index, answer)
        simple = call.query.get("simple", "").lower() == "true"
        wanted_pages, wanted_questions = _listed(call, "page_ids"), _listed(call, "question_ids")
        pages: list[JsonObject] = []
        for number, questions in enumerate(form.pages):
            page_id = form.page_id(number)
            if wanted_pages and page_id not in wanted_pages:
                continue
            pages.append(
                {
                    "id": page_id,
                    "questions": [
                        _question(question, given[question], simple=simple)
                        for question in questions
                        if question in given and (not wanted_questions or str(question.question_id) in wanted_questions)
                    ],
                }
            )
        return pages

    def _given(self, index: int, answer: SurveyAnswer) -> dict[Question, JsonObject]:
        if answer.survey == "satisfaction":
            often = draw(self._company.base(index), DURATION) >> 32
            return {
                SATISFACTION: SATISFACTION.chosen(answer.score - 1),
                FREQUENCY: FREQUENCY.chosen(often % len(ORDER_FREQUENCIES)),
            }
        given = {RECOMMEND: RECOMMEND.chosen(answer.score)}
        return given if answer.comment is None else {**given, REASON: {"text": answer.comment}}


def _listed(call: Call, name: str) -> set[str]:
    return {part.strip() for part in call.query.get(name, "").split(",") if part.strip()}


def _question(question: Question, answer: JsonObject, *, simple: bool) -> JsonObject:
    if not simple:
        return {"id": str(question.question_id), "answers": [answer]}
    return {
        "id": str(question.question_id),
        "family": question.family,
        "subtype": question.subtype,
        "heading": question.heading,
        "answers": [{**answer, "simple_text": question.simple_text(answer)}],
    }
