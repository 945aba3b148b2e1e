"""What the org's objects are for whom, and the custom fields that are added to them through the Tooling API."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.salesforce.errors import not_found, refusal
from millstream.sandbox.salesforce.fields import Field as ObjectField
from millstream.sandbox.salesforce.ids import record_id
from millstream.sandbox.salesforce.objects import OBJECTS, Sobject
from millstream.sandbox.salesforce.tokens import FULL, LIMITED
from millstream.sandbox.system import Answer, Call

HIDDEN_OBJECTS = frozenset({"Lead", "Task"})
HIDDEN_FIELDS = {"Contact": frozenset({"HasOptedOutOfEmail", "Birthdate"})}
TYPES = {
    "Checkbox": "boolean",
    "Text": "string",
    "Email": "email",
    "Phone": "phone",
    "Url": "url",
    "Number": "double",
    "Currency": "currency",
    "Date": "date",
    "DateTime": "datetime",
    "LongTextArea": "textarea",
    "Picklist": "picklist",
    "MultiselectPicklist": "multipicklist",
}
KEY_TYPES = frozenset({"Text", "Email", "Number"})
FULL_NAME = re.compile(r"(\w+)\.([A-Za-z](?:_?[A-Za-z0-9])*)__c")
LONGEST_TEXT = 255


class _Option(BaseModel):
    model_config = ConfigDict(extra="ignore")

    fullName: str = ""  # noqa: N815  the vendor's names, here and below
    valueName: str = ""  # noqa: N815


class _Definition(BaseModel):
    model_config = ConfigDict(extra="ignore")

    value: list[_Option] = Field(default_factory=list)


class _ValueSet(BaseModel):
    model_config = ConfigDict(extra="ignore")

    restricted: bool = False
    valueSetDefinition: _Definition = Field(default_factory=_Definition)  # noqa: N815


class _Metadata(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    label: str = ""
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    visibleLines: int | None = None  # noqa: N815
    externalId: bool = False  # noqa: N815
    unique: bool = False
    required: bool = False
    defaultValue: str | bool | None = None  # noqa: N815
    valueSet: _ValueSet | None = None  # noqa: N815


class NewField(BaseModel):
    """Body of `POST /tooling/sobjects/CustomField`."""

    model_config = ConfigDict(extra="forbid")

    FullName: str
    Metadata: _Metadata
    ManageableState: Literal["unmanaged"] = "unmanaged"


class Schema:
    """The objects with their fields as they are now.

    Attributes:
        grants_new_fields: Whether the users see a field that was just made. In an org where nobody has been granted a
            new field it is there, and yet unknown to everybody; tests may set that.
    """

    def __init__(self) -> None:
        self.grants_new_fields = True
        self.objects: dict[str, Sobject] = dict(OBJECTS)
        self._by_lower = {name.lower(): name for name in self.objects}
        self._added: dict[str, tuple[str, str]] = {}
        self._ungranted: dict[str, frozenset[str]] = {}

    def find(self, name: str) -> Sobject | None:
        """An object by its name in any case."""
        return self.objects.get(self._by_lower.get(name.lower(), ""))

    def by_id(self, text: str) -> Sobject | None:
        """The object whose records have such ids."""
        return next((one for one in self.objects.values() if text.startswith(one.prefix)), None)

    def visible_to(self, user: str) -> Callable[[str], Sobject | None]:
        """What a user may see of an object, by its name in any case."""

        def visible(name: str) -> Sobject | None:
            found = self.find(name)
            if found is None:
                return None
            hidden = self._ungranted.get(found.name, frozenset())
            if user == LIMITED:
                hidden = hidden | HIDDEN_FIELDS.get(found.name, frozenset())
                found = None if found.name in HIDDEN_OBJECTS else found
            if found is None or not hidden:
                return found
            return replace(found, fields=tuple(field for field in found.fields if field.name not in hidden))

        return visible

    def create_field(self, call: Call) -> Answer:
        """`POST /tooling/sobjects/CustomField`: a field, for those who may customize the application."""
        if call.caller != FULL:
            raise refusal(403, "INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id")
        new = call.body_as(NewField)
        match = FULL_NAME.fullmatch(new.FullName)
        sobject = None if match is None else self.find(match.group(1))
        if match is None or sobject is None:
            raise refusal(400, "INVALID_FULL_NAME", f"{new.FullName} is not the full name of a field", ["FullName"])
        name = f"{match.group(2)}__c"
        if sobject.field(name) is not None:
            text = f"There is already a field named {match.group(2)} on {sobject.name}."
            raise refusal(400, "DUPLICATE_DEVELOPER_NAME", text, ["DeveloperName"])
        fields = [field for field in sobject.fields if field.name not in _LAST]
        last = [field for field in sobject.fields if field.name in _LAST]
        made = _field(name, new.Metadata)
        self.objects[sobject.name] = replace(sobject, fields=(*fields, made, *last))
        if not self.grants_new_fields:
            self._ungranted[sobject.name] = self._ungranted.get(sobject.name, frozenset()) | {name}
        field_id = record_id("00N", len(self._added) + 1)
        self._added[field_id] = (sobject.name, name)
        return Answer({"id": field_id, "success": True, "errors": [], "warnings": [], "infos": []}, 201)

    def delete_field(self, call: Call) -> Answer:
        """`DELETE /tooling/sobjects/CustomField/<id>`, for fields that were added here."""
        if call.caller != FULL:
            raise refusal(403, "INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id")
        sobject_name, name = self._added.pop(call.params["field_id"], ("", ""))
        sobject = self.objects.get(sobject_name)
        if sobject is None:
            raise not_found()
        kept = tuple(field for field in sobject.fields if field.name != name)
        self.objects[sobject_name] = replace(sobject, fields=kept)
        return Answer(status=204)


_LAST = ("CreatedDate", "LastModifiedDate", "SystemModstamp")


def _field(name: str, metadata: _Metadata) -> ObjectField:
    kind = TYPES.get(metadata.type)
    if kind is None or not metadata.label:
        missing = "label" if kind else "type"
        raise refusal(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{missing}]", ["Metadata"])
    lacking = _lacking(metadata)
    if lacking:
        text = f"Must specify {lacking} for a CustomField of type {metadata.type}"
        raise refusal(400, "FIELD_INTEGRITY_EXCEPTION", text)
    if metadata.externalId and metadata.type not in KEY_TYPES:
        text = f"Cannot set externalId on a CustomField of type {metadata.type}"
        raise refusal(400, "FIELD_INTEGRITY_EXCEPTION", text)
    options: tuple[str, ...] = ()
    if metadata.valueSet is not None and metadata.valueSet.restricted:
        options = tuple(one.fullName or one.valueName for one in metadata.valueSet.valueSetDefinition.value)
    return ObjectField(
        name,
        kind,
        required=metadata.required,
        external=metadata.externalId,
        unique=metadata.unique,
        options=options,
        own_length=metadata.length or 0,
        label=metadata.label,
    )


def _lacking(metadata: _Metadata) -> str:
    """What a field of this type cannot be made without."""
    if metadata.type == "Checkbox" and metadata.defaultValue is None:
        return "'defaultValue'"
    if metadata.type == "Text" and not 1 <= (metadata.length or 0) <= LONGEST_TEXT:
        return "'length'"
    if metadata.type == "Number" and (metadata.precision is None or metadata.scale is None):
        return "'precision' and 'scale'"
    if metadata.type == "MultiselectPicklist" and metadata.visibleLines is None:
        return "'visibleLines'"
    return "'valueSet'" if "icklist" in metadata.type and metadata.valueSet is None else ""
