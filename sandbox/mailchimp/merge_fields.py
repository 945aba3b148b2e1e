"""Merge fields: the columns of the list, and which values they take."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.mailchimp.listing import check_query, flag, one_of, page_of, shaped
from millstream.sandbox.mailchimp.problems import RowRefused, invalid_fields, problem
from millstream.sandbox.system import Answer, Call, JsonObject

FieldType = Literal[
    "text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip"
]
TYPES: tuple[str, ...] = FieldType.__args__  # type: ignore[attr-defined]
MAXIMUM = 30
LONGEST_TAG = 10
LONGEST_TEXT = 255
RESERVED = frozenset({"EMAIL", "EMAIL_TYPE", "UNSUB", "ARCHIVE", "REWARDS", "MC_PREVIEW", "INTERESTS"})
_TAG = re.compile(r"[A-Z0-9_]+")
_PATTERNS = {
    "number": re.compile(r"-?\d+(\.\d+)?"),
    "date": re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}"),
    "birthday": re.compile(r"(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])"),
    "url": re.compile(r"https?://\S+"),
    "imageurl": re.compile(r"https?://\S+"),
    "zip": re.compile(r"\d{5}"),
}
ADDRESS_PARTS = ("addr1", "city", "state", "zip")


class NewMergeField(BaseModel):
    """Body of `POST /lists/{list_id}/merge-fields`."""

    model_config = ConfigDict(extra="forbid")

    tag: str | None = None
    name: Annotated[str, Field(min_length=1)]
    type: FieldType
    required: bool = False
    default_value: str = ""
    public: bool = False
    display_order: int | None = None
    options: dict[str, object] = Field(default_factory=dict)
    help_text: str = ""


class MergeFields:
    """All merge fields of the list and the endpoints about them."""

    def __init__(self, list_id: str) -> None:
        self._list_id = list_id
        self.reset()

    def reset(self) -> None:
        """Back to the fields every list has."""
        self._fields: dict[str, JsonObject] = {}
        for tag, name, kind in (
            ("FNAME", "First Name", "text"),
            ("LNAME", "Last Name", "text"),
            ("PHONE", "Phone Number", "phone"),
        ):
            self._add(tag, NewMergeField.model_validate({"name": name, "type": kind}))

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags, in the order of the fields."""
        return tuple(self._fields)

    def _add(self, tag: str, new: NewMergeField) -> JsonObject:
        number = len(self._fields) + 1
        options: JsonObject = {"size": 25} if new.type == "text" else {}
        self._fields[tag] = {
            "merge_id": number,
            "tag": tag,
            **new.model_dump(exclude={"tag"}),
            "display_order": new.display_order or number + 1,
            "options": {**options, **new.options},
            "list_id": self._list_id,
        }
        return self._fields[tag]

    def list_fields(self, call: Call) -> Answer:
        """All merge fields."""
        check_query(call, "type", "required")
        kind = one_of(call, "type", TYPES)
        rows = [
            one
            for one in self._fields.values()
            if (kind is None or one["type"] == kind) and (not flag(call, "required") or one["required"])
        ]
        page = {"merge_fields": list(page_of(call, rows)), "list_id": self._list_id, "total_items": len(rows)}
        return shaped(call, page)

    def create_field(self, call: Call) -> Answer:
        """A new merge field; without a tag it gets a numbered one."""
        new = call.body_as(NewMergeField)
        tag = new.tag if new.tag is not None else f"MMERGE{len(self._fields) + 1}"
        if len(tag) > LONGEST_TAG:
            raise invalid_fields(("tag", f"This value is too long. It should have {LONGEST_TAG} characters or less."))
        if not _TAG.fullmatch(tag) or tag in RESERVED:
            raise invalid_fields(
                ("tag", f"{tag!r} cannot be a merge tag: capital letters, digits and underscores only.")
            )
        if tag in self._fields:
            raise problem(400, "Invalid Resource", f'A Merge Field with the tag "{tag}" already exists for this list.')
        if len(self._fields) >= MAXIMUM:
            raise problem(400, "Bad Request", f"This list already has {MAXIMUM} merge fields, the most it can have.")
        if new.type in {"radio", "dropdown"} and not new.options.get("choices"):
            raise invalid_fields(("options.choices", "This field needs choices."))
        return Answer(self._add(tag, new))

    def merged(
        self, before: dict[str, object], given: dict[str, object], *, skip_validation: bool
    ) -> dict[str, object]:
        """A member's values after a write: unknown tags are passed over, null changes nothing.

        Raises:
            RowRefused: A value does not fit its field, or a required field stays empty.
        """
        after = dict(before)
        for tag, value in given.items():
            merge_field = self._fields.get(tag)
            if merge_field is not None and value is not None:
                after[tag] = self._checked(merge_field, value)
        if not skip_validation:
            missing = [tag for tag, one in self._fields.items() if one["required"] and not after.get(tag)]
            if missing:
                raise _refused(missing[0], "Please enter a value")
        return after

    def _checked(self, merge_field: JsonObject, value: object) -> object:
        tag, kind = str(merge_field["tag"]), str(merge_field["type"])
        if kind == "address" and isinstance(value, dict):
            missing = [part for part in ADDRESS_PARTS if not value.get(part)]
            if missing:
                raise _refused(tag, f"Please enter a complete address ({', '.join(missing)} missing)")
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _refused(tag, "Data did not match any of the schemas described in anyOf")
        text = str(value)
        if text == "":
            return ""
        if len(text.encode()) > LONGEST_TEXT:
            raise _refused(tag, f"Please enter at most {LONGEST_TEXT} bytes")
        pattern = _PATTERNS.get(kind)
        if pattern is not None and not pattern.fullmatch(text):
            raise _refused(tag, f"Please enter a valid {kind}")
        options = merge_field["options"]
        if kind in {"radio", "dropdown"} and isinstance(options, dict) and text not in options["choices"]:
            raise _refused(tag, "Please enter one of the field's choices")
        return float(text) if kind == "number" else text


def _refused(tag: str, message: str) -> RowRefused:
    return RowRefused("Invalid Resource", f"Your merge fields were invalid. {tag}: {message}.", tag)
