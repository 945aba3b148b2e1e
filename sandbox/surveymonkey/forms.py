"""The company's three surveys: their structure, and how an answer is written down in it.

The net promoter question is shaped as the vendor's question bank makes it: the labels at both ends carry words
beside the number, and `weight` is not the score but -100, 0 or 100.
"""

from __future__ import annotations

from dataclasses import dataclass

from millstream.sandbox.person import Survey
from millstream.sandbox.surveymonkey.errors import refusal
from millstream.sandbox.system import JsonObject

NPS_ID, SATISFACTION_ID, UNANSWERED_ID = "400000101", "400000102", "400000103"
ORDER_FREQUENCIES = ("Every month", "Every few months", "Once a year", "This was my first order")
SATISFACTION_LABELS = ("Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied")


@dataclass(frozen=True, slots=True)
class Question:
    """One question; ids of rows and choices follow from its own id."""

    question_id: int
    family: str
    subtype: str
    heading: str
    rows: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()

    def row_id(self, position: int) -> str:
        """Id of a row, counted from 0."""
        return str(self.question_id * 100 + 80 + position)

    def choice_id(self, position: int) -> str:
        """Id of a choice, counted from 0."""
        return str(self.question_id * 100 + position)

    def described(self, position: int, base_url: str, survey_id: str, page_id: str) -> JsonObject:
        """The question as it stands in a survey's details."""
        question: JsonObject = {
            "id": str(self.question_id),
            "position": position,
            "visible": True,
            "family": self.family,
            "subtype": self.subtype,
            "layout": None,
            "sorting": None,
            "required": None,
            "validation": None,
            "forced_ranking": False,
            "headings": [{"heading": self.heading}],
            "href": f"{base_url}/v3/surveys/{survey_id}/pages/{page_id}/questions/{self.question_id}",
        }
        if self.choices:
            question["answers"] = self._answers()
        return question

    def _answers(self) -> JsonObject:
        choices: list[JsonObject] = []
        for place, text in enumerate(self.choices):
            choice: JsonObject = {
                "id": self.choice_id(place),
                "text": text,
                "position": place + 1,
                "visible": True,
                "description": "",
            }
            if self.weights:
                choice |= {"weight": self.weights[place], "is_na": False}
            choices.append(choice)
        rows = [
            {"id": self.row_id(place), "text": text, "position": place + 1, "visible": True}
            for place, text in enumerate(self.rows)
        ]
        return {"rows": rows, "choices": choices} if rows else {"choices": choices}

    def chosen(self, position: int) -> JsonObject:
        """One answer: the choice at a position, in the first row if the question has rows."""
        answer: JsonObject = {"choice_id": self.choice_id(position)}
        return {**answer, "row_id": self.row_id(0)} if self.rows else answer

    def simple_text(self, answer: JsonObject) -> str:
        """What `simple=true` adds to an answer: its words."""
        if "choice_id" not in answer:
            return str(answer["text"])
        choice = self.choices[int(str(answer["choice_id"])) % 100]
        row = self.rows[0] if self.rows else ""
        return f"{row} | {choice}" if row else choice


RECOMMEND = Question(
    700000101,
    "matrix",
    "rating",
    "How likely is it that you would recommend our shop to a friend or colleague?",
    ("",),
    ("Not at all likely - 0", *(str(score) for score in range(1, 10)), "Extremely likely - 10"),
    (-100,) * 7 + (0,) * 2 + (100,) * 2,
)
REASON = Question(700000102, "open_ended", "essay", "What is the main reason for your score?")
SATISFACTION = Question(
    700000201,
    "matrix",
    "rating",
    "How satisfied are you with the product you bought?",
    ("Overall",),
    SATISFACTION_LABELS,
    (1, 2, 3, 4, 5),
)
FREQUENCY = Question(700000202, "single_choice", "vertical", "How often do you order from us?", (), ORDER_FREQUENCIES)
NEWSLETTER = Question(700000301, "single_choice", "vertical", "Do you like our newsletter?", (), ("Yes", "No"))


@dataclass(frozen=True, slots=True)
class Form:
    """One survey. `created_age` and `modified_age` are days before the company's present."""

    survey_id: str
    title: str
    survey: Survey | None
    pages: tuple[tuple[Question, ...], ...]
    created_age: int
    modified_age: int
    custom_variables: tuple[str, ...] = ()

    @property
    def weblink_collector(self) -> str:
        """Id of the collector behind a public link."""
        return f"5{self.survey_id[-3:]}00001"

    @property
    def email_collector(self) -> str:
        """Id of the collector that invites recipients by e-mail."""
        return f"5{self.survey_id[-3:]}00002"

    @property
    def collectors(self) -> tuple[str, str]:
        """Ids of both collectors."""
        return self.weblink_collector, self.email_collector

    def page_id(self, number: int) -> str:
        """Id of a page, counted from 0."""
        return f"6{self.survey_id[-3:]}{number:05d}"

    @property
    def questions(self) -> dict[str, Question]:
        """All questions by id."""
        return {str(question.question_id): question for page in self.pages for question in page}


FORMS = (
    Form(NPS_ID, "How are we doing?", "nps", ((RECOMMEND,), (REASON,)), 400, 130, ("crm_id",)),
    Form(SATISFACTION_ID, "Product satisfaction", "satisfaction", ((SATISFACTION, FREQUENCY),), 300, 125, ("crm_id",)),
    Form(UNANSWERED_ID, "Newsletter feedback", None, ((NEWSLETTER,),), 20, 10),
)


def find_form(survey_id: str) -> Form:
    """The survey with this id, or the vendor's refusal."""
    for form in FORMS:
        if form.survey_id == survey_id:
            return form
    raise refusal(1020, f"There is no survey {survey_id}.")


def form_of_collector(collector_id: str) -> Form:
    """The survey a collector belongs to, or the vendor's refusal."""
    for form in FORMS:
        if collector_id in form.collectors:
            return form
    raise refusal(1020, f"There is no collector {collector_id}.")
