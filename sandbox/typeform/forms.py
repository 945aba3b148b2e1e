"""The account's forms: their fields, and what people can answer."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.sandbox.system import JsonObject
from millstream.sandbox.typeform.errors import refusal

WORKSPACE_ID = "wrk001"


@dataclass(frozen=True, slots=True)
class Field:
    """One question; `ref` is the name its author gave it."""

    field_id: str
    ref: str
    type: str
    title: str
    choices: tuple[str, ...] = ()
    steps: int | None = None

    def definition(self) -> JsonObject:
        """The field as the form's definition has it."""
        properties: JsonObject = {}
        if self.choices:
            properties["choices"] = [
                {"id": f"{self.field_id}c{place}", "ref": f"{self.ref}-{place}", "label": label}
                for place, label in enumerate(self.choices)
            ]
        if self.steps is not None:
            properties |= {"steps": self.steps, "start_at_one": self.steps != 11}
        return {
            "id": self.field_id,
            "ref": self.ref,
            "title": self.title,
            "type": self.type,
            "properties": properties,
            "validations": {"required": False},
        }

    def head(self) -> JsonObject:
        """The field as an answer names it."""
        return {"id": self.field_id, "type": self.type, "ref": self.ref}

    def choice(self, place: int) -> JsonObject:
        """One of its choices as an answer gives it."""
        return {"id": f"{self.field_id}c{place}", "ref": f"{self.ref}-{place}", "label": self.choices[place]}


NPS_SCORE = Field("tfNps1", "nps", "opinion_scale", "How likely are you to recommend us?", steps=11)
NPS_REASON = Field("tfNps2", "reason", "long_text", "What is the main reason for your score?")
NPS_EMAIL = Field("tfNps3", "email", "email", "May we write to you about it?")
CALL_FIRST = Field("tfCal1", "first-name", "short_text", "Your first name")
CALL_LAST = Field("tfCal2", "last-name", "short_text", "Your last name")
CALL_PHONE = Field("tfCal3", "phone", "phone_number", "Which number may we call?")
CALL_TOPIC = Field("tfCal4", "topic", "multiple_choice", "What is it about?", ("An order", "A return", "Advice"))
CALL_NEWS = Field("tfCal5", "newsletter", "yes_no", "Would you like our newsletter?")
IDEA_TEXT = Field("tfIde1", "idea", "long_text", "What should we sell?")


@dataclass(frozen=True, slots=True)
class Form:
    """One form. Ages are days before the company's present; `taken` is the share of people who answered."""

    form_id: str
    title: str
    fields: tuple[Field, ...]
    hidden: tuple[str, ...]
    created_age: int
    updated_age: int
    taken: float

    def definition(self, base_url: str, created: str, updated: str) -> JsonObject:
        """What `GET /forms/{id}` answers."""
        return {
            "id": self.form_id,
            "type": "form",
            "title": self.title,
            "workspace": {"href": f"{base_url}/workspaces/{WORKSPACE_ID}"},
            "settings": {"language": "en", "is_public": True},
            "hidden": list(self.hidden),
            "fields": [field.definition() for field in self.fields],
            "thankyou_screens": [],
            "created_at": created,
            "last_updated_at": updated,
            "_links": {"display": f"https://shop.example.com/to/{self.form_id}"},
        }

    def item(self, base_url: str, created: str, updated: str) -> JsonObject:
        """What the listing shows of it."""
        return {
            "id": self.form_id,
            "type": "form",
            "title": self.title,
            "created_at": created,
            "last_updated_at": updated,
            "settings": {"is_public": True, "is_trial": False},
            "self": {"href": f"{base_url}/forms/{self.form_id}"},
            "theme": {"href": f"{base_url}/themes/default"},
            "_links": {
                "display": f"https://shop.example.com/to/{self.form_id}",
                "responses": f"{base_url}/forms/{self.form_id}/responses",
            },
        }


NPS = Form("nps00001", "Would you recommend us?", (NPS_SCORE, NPS_REASON, NPS_EMAIL), ("customer_id",), 300, 120, 0.12)
CALL_BACK = Form(
    "callback1",
    "Call me back",
    (CALL_FIRST, CALL_LAST, CALL_PHONE, CALL_TOPIC, CALL_NEWS),
    ("customer_id", "utm_source"),
    200,
    90,
    0.05,
)
IDEAS = Form("ideas001", "What should we sell?", (IDEA_TEXT,), (), 15, 15, 0.0)
FORMS = (NPS, CALL_BACK, IDEAS)


def find_form(form_id: str) -> Form:
    """The form with this id, or the vendor's refusal."""
    for form in FORMS:
        if form.form_id == form_id:
            return form
    raise refusal(404, "FORM_NOT_FOUND", f"There is no form {form_id}.")
