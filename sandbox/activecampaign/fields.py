"""Custom fields: their definitions, where they are shown and what can be chosen."""

from __future__ import annotations

import re
import time
from collections.abc import Container
from dataclasses import dataclass, field

from millstream.sandbox.activecampaign.errors import missing, missing_attribute, unprocessable
from millstream.sandbox.activecampaign.shapes import inner, links, moment, needed_number, number_in, page, text_in
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

FIELD_TYPES = ("dropdown", "hidden", "checkbox", "date", "text", "datetime", "textarea", "listbox", "radio")
OPENED_MS = 1_600_000_000_000


@dataclass(slots=True)
class Field:
    """A custom field, where it is shown, and what can be chosen."""

    number: int
    title: str
    kind: str
    perstag: str
    shown_in: dict[int, int] = field(default_factory=dict)
    options: list[JsonObject] = field(default_factory=list)


class Fields:
    """Handlers for custom fields.

    Attributes:
        by_number: The fields by id.
    """

    def __init__(self) -> None:
        self.reset(())

    def reset(self, lists: Container[int]) -> None:
        """Back to the fields the account had before any sync; `lists` are the ids of lists there are."""
        first = (("City", "text"), ("Birthday", "date"), ("Interests", "checkbox"), ("Shop id", "text"))
        self._lists = lists
        self.by_number = {
            number: Field(number, title, kind, _perstag(title), {0: number})
            for number, (title, kind) in enumerate((*first, ("Last visit", "datetime"), ("Plan", "dropdown")), 1)
        }
        self._options = 0
        self._relations = len(self.by_number)
        for number, values in ((3, ("Coffee", "Tea", "Kettles")), (6, ("Basic", "Pro"))):
            for value in values:
                self._add_option(number, {"value": value, "label": value})

    def routes(self) -> list[Route]:
        """The endpoints about fields; a tag says what a user must be allowed to do."""
        return [
            route("GET", "/api/3/fields", self.list_fields),
            route("POST", "/api/3/fields", self.create_field, "create fields"),
            route("GET", "/api/3/fields/{number}", self.get_field),
            route("POST", "/api/3/fieldRels", self.show_field, "create fields"),
            route("POST", "/api/3/fieldOption/bulk", self.add_options, "create fields"),
        ]

    def list_fields(self, call: Call) -> Answer:
        """All fields, or the one with a personalisation tag."""
        perstag = call.query.get("filters[perstag]")
        found = [one for one in self.by_number.values() if perstag is None or one.perstag == perstag.upper()]
        options = [option for one in found for option in one.options]
        relations = [row for one in found for row in _relations(one)]
        rows = [_field_body(call, one) for one in found]
        return Answer(page(call, rows, "fields", fieldOptions=options, fieldRels=relations))

    def get_field(self, call: Call) -> Answer:
        """One field."""
        found = self._field(call.params["number"])
        body = {"fieldOptions": found.options, "fieldRels": _relations(found), "field": _field_body(call, found)}
        return Answer(body)

    def create_field(self, call: Call) -> Answer:
        """A new field, which no list shows before it is told to."""
        wanted = inner(call, "field")
        title, kind = text_in(wanted, "title").strip(), text_in(wanted, "type")
        if not title:
            raise missing_attribute("title")
        if kind not in FIELD_TYPES:
            raise unprocessable(f"{kind!r} is not a field type", "field_invalid", "type")
        perstag = text_in(wanted, "perstag").strip().upper() or _perstag(title)
        if any(one.title.lower() == title.lower() for one in self.by_number.values()):
            detail = f"There is already a field named '{title}' -- choose another name"
            raise unprocessable("There is already a field with this title", "duplicate", detail=detail)
        if any(one.perstag == perstag for one in self.by_number.values()):
            raise unprocessable("There is already a field with this personalization tag", "duplicate")
        number = max(self.by_number) + 1
        self.by_number[number] = Field(number, title, kind, perstag)
        return Answer({"field": _field_body(call, self.by_number[number])}, 201)

    def show_field(self, call: Call) -> Answer:
        """Let a list show a field, or all lists where `relid` is 0."""
        wanted = inner(call, "fieldRel")
        found, relid = self._field(needed_number(wanted, "field")), needed_number(wanted, "relid")
        if relid and relid not in self._lists:
            raise missing("_List", relid)
        if relid not in found.shown_in:
            self._relations += 1
            found.shown_in[relid] = self._relations
        row = {"relid": relid, "field": found.number, "cdate": moment(int(time.time() * 1000)), "links": []}
        return Answer({"fieldRel": {**row, "id": str(found.shown_in[relid])}}, 201)

    def add_options(self, call: Call) -> Answer:
        """Values that a field offers, many at once."""
        body = call.json()
        rows = body.get("fieldOptions") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
            refused = unprocessable("")
            refused.answer.body = {
                "errors": "Bulk operation failed. Request must contain an array of fieldOption objects."
            }
            raise refused
        made = []
        for row in rows:
            if not text_in(row, "value"):
                raise missing_attribute("value")
            made.append(self._add_option(self._field(needed_number(row, "field")).number, row))
        return Answer({"fieldOptions": made}, 201)

    def _add_option(self, number: int, row: JsonObject) -> JsonObject:
        self._options += 1
        made: JsonObject = {
            "field": str(number),
            "orderid": str(row.get("orderid") or len(self.by_number[number].options) + 1),
            "value": text_in(row, "value"),
            "label": text_in(row, "label") or text_in(row, "value"),
            "isdefault": "0",
            "id": str(self._options),
        }
        self.by_number[number].options.append(made)
        return made

    def _field(self, number: object) -> Field:
        found = self.by_number.get(number_in(number) or 0)
        if found is None:
            raise missing("Field", number)
        return found


def _perstag(title: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", title.upper()).strip("_")


def _relations(one: Field) -> list[JsonObject]:
    return [
        {"field": str(one.number), "relid": str(relid), "dorder": "0", "links": [], "id": str(number)}
        for relid, number in one.shown_in.items()
    ]


def _field_body(call: Call, one: Field) -> JsonObject:
    return {
        "title": one.title,
        "descript": "",
        "type": one.kind,
        "isrequired": "0",
        "perstag": one.perstag,
        "defval": "",
        "visible": "1",
        "service": "",
        "ordernum": str(one.number),
        "cdate": moment(OPENED_MS),
        "udate": moment(OPENED_MS),
        "options": [option["id"] for option in one.options],
        "relations": [str(number) for number in one.shown_in.values()],
        "links": links(call, f"fields/{one.number}", "options", "relations"),
        "id": str(one.number),
    }
