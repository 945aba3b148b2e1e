"""Data attributes: which custom attributes a contact may have, and of what type."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.intercom.errors import invalid, refusal
from millstream.sandbox.intercom.paging import check_names
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

TYPES = ("string", "integer", "float", "boolean", "date", "datetime", "options")
MODELS = ("contact", "company", "conversation")
STANDARD = (("name", "string"), ("email", "string"), ("phone", "string"), ("external_id", "string"))
LONGEST_NAME, LONGEST_VALUE, MOST_ATTRIBUTES = 190, 255, 250
_NAME = re.compile(r"[\w \-£€¥]+")


class Option(BaseModel):
    """One value of a list."""

    model_config = ConfigDict(extra="forbid")

    value: str


class NewAttribute(BaseModel):
    """Body of `POST /data_attributes`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    model: str
    data_type: str
    description: str = ""
    messenger_writable: bool = False
    options: list[Option] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A custom attribute of contacts or companies."""

    attribute_id: int
    name: str
    model: str
    data_type: str
    options: tuple[str, ...]
    description: str
    created: int

    def shown(self) -> JsonObject:
        """As the API gives it."""
        row: JsonObject = {
            "id": self.attribute_id,
            "type": "data_attribute",
            "name": self.name,
            "full_name": f"custom_attributes.{self.name}",
            "label": self.name,
            "description": self.description,
            "data_type": "string" if self.data_type == "options" else self.data_type,
            "api_writable": True,
            "ui_writable": False,
            "messenger_writable": False,
            "custom": True,
            "archived": False,
            "admin_id": "814860",
            "created_at": self.created,
            "updated_at": self.created,
            "model": self.model,
        }
        return {**row, "options": list(self.options)} if self.options else row


class Attributes:
    """All data attributes, and the check of what is written into them."""

    def __init__(self, made: int) -> None:
        plan = Attribute(36, "plan", "contact", "string", (), "The customer's plan", made)
        self._all: dict[tuple[str, str], Attribute] = {("contact", "plan"): plan}
        self._next_id = 37

    def routes(self) -> list[Route]:
        """The endpoints about them."""
        return [
            route("GET", "/data_attributes", self._list),
            route("POST", "/data_attributes", self._create, "write"),
        ]

    def _list(self, call: Call) -> Answer:
        check_names(call.query, {"model", "include_archived"})
        model = call.query.get("model")
        if model is not None and model not in MODELS:
            raise invalid("model is not one of contact, company, conversation")
        rows = [_standard(name, kind) for name, kind in STANDARD] if model in {None, "contact"} else []
        rows += [one.shown() for one in self._all.values() if model in {None, one.model}]
        return Answer({"type": "list", "data": rows})

    def _create(self, call: Call) -> Answer:
        """Make an attribute; its name and type stay for ever."""
        new = call.body_as(NewAttribute)
        if new.model not in MODELS[:2]:
            raise invalid("The Data Attribute model field must be either contact or company")
        if new.data_type not in TYPES:
            raise invalid("Data Type isn't an option")
        if not _NAME.fullmatch(new.name):
            letters = "alphanumeric characters, currency symbols, and hyphens"
            raise invalid(f"Your name for this attribute must only contain {letters}")
        if new.data_type == "options" and len(new.options) < 2:
            raise invalid("You must have at least two options on a list type data attribute")
        self._refuse_taken(new)
        made = Attribute(
            self._next_id,
            new.name,
            new.model,
            new.data_type,
            tuple(option.value for option in new.options) if new.data_type == "options" else (),
            new.description,
            int(time.time()),
        )
        self._all[new.model, new.name] = made
        self._next_id += 1
        return Answer(made.shown())

    def _refuse_taken(self, new: NewAttribute) -> None:
        told = {"contact": "people", "company": "company"}
        different = f"To save this as new {told[new.model]} data, use a different name."
        if new.model == "contact" and new.name.lower() in {name for name, _ in STANDARD}:
            raise invalid(f"'{new.name}' is one of our standard attributes for your people data. {different}")
        for taken in self._all.values():
            if taken.name.lower() == new.name.lower():
                raise invalid(f"You already have '{taken.name}' in your {told[taken.model]} data. {different}")
        if sum(taken.model == new.model for taken in self._all.values()) >= MOST_ATTRIBUTES:
            raise invalid(f"You have reached the limit of {MOST_ATTRIBUTES} attributes")

    def check(self, given: JsonObject) -> None:
        """Refuse custom attributes of a contact that are unknown or of another type."""
        for name, value in given.items():
            attribute = self._all.get(("contact", name))
            if attribute is None:
                raise refusal(400, "parameter_not_found", f"Custom attribute '{name}' does not exist")
            if value is not None and not _fits(attribute, value):
                raise invalid(f"Custom attribute '{name}' must be of type {attribute.data_type}")


def _fits(attribute: Attribute, value: object) -> bool:
    if attribute.data_type in {"string", "options"}:
        listed = not attribute.options or value in attribute.options
        return isinstance(value, str) and len(value) <= LONGEST_VALUE and listed
    if attribute.data_type == "boolean":
        return isinstance(value, bool)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (attribute.data_type == "float" and isinstance(value, float))


def _standard(name: str, kind: str) -> JsonObject:
    return {
        "type": "data_attribute",
        "name": name,
        "full_name": name,
        "label": name,
        "description": "",
        "data_type": kind,
        "api_writable": True,
        "ui_writable": True,
        "messenger_writable": True,
        "custom": False,
        "archived": False,
        "model": "contact",
    }
