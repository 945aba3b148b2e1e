"""The account's surveys: their questions, and both ways to describe a survey."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.qualtrics.envelope import unknown
from millstream.sandbox.system import JsonObject

OWNER_ID, ORGANIZATION_ID = "UR_sandboxOwner001", "sandboxbrand"


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        question_id: `QID1` and so on.
        export_tag: The name its author gave it.
        text: What is asked, with the vendor's HTML left in.
        type: `MC` (choices), `TE` (text) or `Matrix`.
        selector: The kind of its type.
        choices: What can be chosen, by the value a response carries.
        rows: The statements of a matrix, by number.
    """

    question_id: str
    export_tag: str
    text: str
    type: str
    selector: str
    choices: tuple[tuple[str, str], ...] = ()
    rows: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The keys a response has for it."""
        if self.type == "TE":
            return (f"{self.question_id}_TEXT",)
        if self.type == "Matrix":
            return tuple(f"{self.question_id}_{number}" for number in range(1, len(self.rows) + 1))
        return (self.question_id,)

    def definition(self) -> JsonObject:
        """As `/survey-definitions` has it."""
        choices = {value: {"Display": label} for value, label in self.choices}
        rows = {str(number): {"Display": row} for number, row in enumerate(self.rows, start=1)}
        made: JsonObject = {
            "QuestionID": self.question_id,
            "DataExportTag": self.export_tag,
            "QuestionText": self.text,
            "QuestionDescription": self.export_tag,
            "QuestionType": self.type,
            "Selector": self.selector,
        }
        if self.type == "Matrix":
            return made | {"Choices": rows, "Answers": choices}
        return made | {"Choices": choices} if choices else made

    def metadata(self) -> JsonObject:
        """As `/surveys/{id}` has it."""
        kind = {"type": self.type, "selector": self.selector, "subSelector": None}
        made: JsonObject = {"questionType": kind, "questionText": self.text, "questionName": self.export_tag}
        if self.choices:
            made["choices"] = {
                value: {"recode": value, "description": label, "choiceText": label, "imageDescription": None}
                for value, label in self.choices
            }
        if self.rows:
            made["subQuestions"] = {
                str(number): {"recode": str(number), "description": row, "choiceText": row}
                for number, row in enumerate(self.rows, start=1)
            }
        return made


SCORES = tuple((str(score), str(score)) for score in range(11))
GRADES = (("1", "Very bad"), ("2", "Bad"), ("3", "Neither"), ("4", "Good"), ("5", "Very good"))

NPS_SCORE = Question("QID1", "nps", "How likely are you to <b>recommend</b> us?", "MC", "NPS", SCORES)
NPS_REASON = Question("QID2", "reason", "What is the main reason for your score?", "TE", "ML")
NPS_EMAIL = Question("QID3", "email", "May we write to you about it?", "TE", "SL")
SERVICE_GRADE = Question("QID1", "service", "How good was our service?", "MC", "SAVR", GRADES)
SERVICE_PARTS = Question("QID2", "parts", "And in detail?", "Matrix", "Likert", GRADES, ("Speed", "Friendliness"))
IDEA_TEXT = Question("QID1", "idea", "What should we sell?", "TE", "ESTB")


@dataclass(frozen=True, slots=True)
class Survey:
    """One survey. Ages are days before the company's present; `taken` is the share of people who answered.

    `metadata_beside` says where a response's metadata stands in an export, since reports of it differ: among the
    `values`, or beside them.
    """

    survey_id: str
    name: str
    questions: tuple[Question, ...]
    embedded: tuple[str, ...]
    created_age: int
    modified_age: int
    active: bool
    taken: float
    metadata_beside: bool = False

    def created(self, today_ms: int) -> str:
        """When it was made."""
        return stamp(today_ms - self.created_age * DAY_MS)

    def modified(self, today_ms: int) -> str:
        """When it was last changed."""
        return stamp(today_ms - self.modified_age * DAY_MS)

    def element(self, today_ms: int) -> JsonObject:
        """As the listing shows it."""
        return {
            "id": self.survey_id,
            "name": self.name,
            "ownerId": OWNER_ID,
            "lastModified": self.modified(today_ms),
            "creationDate": self.created(today_ms),
            "isActive": self.active,
        }

    def definition(self, today_ms: int) -> JsonObject:
        """As `GET /survey-definitions/{id}` gives it."""
        elements = [{"Type": "Question", "QuestionID": question.question_id} for question in self.questions]
        block = {"Type": "Default", "Description": "Questions", "ID": "BL_1", "BlockElements": elements}
        embedded = [{"Description": name, "Type": "Recipient", "Field": name} for name in self.embedded]
        flow = [
            {"Type": "EmbeddedData", "FlowID": "FL_2", "EmbeddedData": embedded},
            {"Type": "Standard", "ID": "BL_1", "FlowID": "FL_3"},
        ]
        return {
            "SurveyID": self.survey_id,
            "SurveyName": self.name,
            "SurveyStatus": "Active" if self.active else "Inactive",
            "OwnerID": OWNER_ID,
            "CreatorID": OWNER_ID,
            "LastModified": self.modified(today_ms),
            "LastAccessed": self.modified(today_ms),
            "QuestionCount": str(len(self.questions)),
            "Questions": {question.question_id: question.definition() for question in self.questions},
            "Blocks": {"BL_1": block},
            "SurveyFlow": {"FlowID": "FL_1", "Type": "Root", "Flow": flow},
            "SurveyOptions": {"BackButton": "false", "SurveyLanguage": "EN"},
        }

    def metadata(self, today_ms: int, responses: int) -> JsonObject:
        """As `GET /surveys/{id}` gives it."""
        return {
            "id": self.survey_id,
            "name": self.name,
            "ownerId": OWNER_ID,
            "organizationId": ORGANIZATION_ID,
            "isActive": self.active,
            "creationDate": self.created(today_ms),
            "lastModifiedDate": self.modified(today_ms),
            "expiration": {"startDate": None, "endDate": None},
            "questions": {question.question_id: question.metadata() for question in self.questions},
            "exportColumnMap": {question.export_tag: {"question": question.question_id} for question in self.questions},
            "blocks": {"BL_1": {"description": "Questions", "elements": []}},
            "flow": [{"id": "BL_1", "type": "Block"}],
            "embeddedData": [{"name": name} for name in self.embedded],
            "responseCounts": {"auditable": responses, "generated": 0, "deleted": 0},
        }


NPS = Survey(
    "SV_sandboxNps00001",
    "Would you recommend us?",
    (NPS_SCORE, NPS_REASON, NPS_EMAIL),
    ("customer_id", "crm_id"),
    400,
    130,
    active=True,
    taken=0.15,
)
SERVICE = Survey(
    "SV_sandboxService1",
    "How was our service?",
    (SERVICE_GRADE, SERVICE_PARTS),
    ("customer_id",),
    250,
    125,
    active=True,
    taken=0.06,
    metadata_beside=True,
)
IDEAS = Survey("SV_sandboxIdeas001", "What should we sell?", (IDEA_TEXT,), (), 30, 30, active=False, taken=0.0)
SURVEYS = (IDEAS, NPS, SERVICE)


def find_survey(survey_id: str) -> Survey:
    """The survey with this id, or the vendor's refusal."""
    for survey in SURVEYS:
        if survey.survey_id == survey_id:
            return survey
    raise unknown("survey", survey_id)


def stamp(ms: int, fraction: bool = False) -> str:
    """A time as Qualtrics writes it, in UTC."""
    text = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms % 1000:03d}Z" if fraction else f"{text}Z"
