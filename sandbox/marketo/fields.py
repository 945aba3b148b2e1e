"""Which fields a lead has, what may be written into them, and the endpoints that tell and extend them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.marketo.answers import RowRefused, done, missing, refused
from millstream.sandbox.marketo.values import TEXTS, Value, checked
from millstream.sandbox.system import Answer, Call, JsonObject

CREATABLE = (
    "boolean", "currency", "date", "datetime", "email", "float", "integer", "percent", "phone", "score", "string",
    "url",
)  # fmt: skip
SEARCHABLE_TYPES = ("string", "email", "integer")
MOST_CREATED = 100
LARGEST_PAGE = 300
_NAME, _TITLE = re.compile(r"[A-Za-z]\w*", re.ASCII), re.compile(r"[\w .()/-]+")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the lead.

    Attributes:
        name: Its name in the API.
        title: Its name for people.
        kind: Its data type.
        read_only: Whether no client may write it.
        of_company: Whether it belongs to the company, which another endpoint writes.
        searchable: Whether leads can be looked up by it.
        custom: Whether somebody added it.
        by_api: Whether the API added it.
    """

    name: str
    title: str
    kind: str = "string"
    read_only: bool = False
    of_company: bool = False
    searchable: bool = False
    custom: bool = False
    by_api: bool = False
    description: str | None = None
    hidden: bool = False

    @property
    def length(self) -> int | None:
        """How long a value may be, where the type has a limit."""
        return 30_000 if self.kind == "text" else 255 if self.kind in TEXTS else None


STANDARD = (
    Field("id", "Id", "integer", read_only=True, searchable=True),
    Field("email", "Email Address", "email", searchable=True),
    Field("firstName", "First Name"),
    Field("lastName", "Last Name"),
    Field("phone", "Phone Number", "phone"),
    Field("mobilePhone", "Mobile Phone Number", "phone"),
    Field("title", "Job Title"),
    Field("dateOfBirth", "Date of Birth", "date"),
    Field("city", "City"),
    Field("country", "Country"),
    Field("postalCode", "Postal Code"),
    Field("leadSource", "Lead Source"),
    Field("leadScore", "Lead Score", "score"),
    Field("company", "Company Name", of_company=True),
    Field("website", "Website", "url", of_company=True),
    Field("annualRevenue", "Annual Revenue", "currency", of_company=True),
    Field("unsubscribed", "Unsubscribed", "boolean"),
    Field("unsubscribedReason", "Unsubscribed Reason", "text"),
    Field("emailInvalid", "Email Invalid", "boolean"),
    Field("emailInvalidCause", "Email Invalid Cause"),
    Field("blackListed", "Black Listed", "boolean"),
    Field("marketingSuspended", "Marketing Suspended", "boolean"),
    Field("doNotCall", "Do Not Call", "boolean"),
    Field("doNotCallReason", "Do Not Call Reason", "text"),
    Field("sfdcLeadId", "SFDC Lead Id", searchable=True),
    Field("sfdcContactId", "SFDC Contact Id", searchable=True),
    Field("leadPartitionId", "Lead Partition Id", "integer", read_only=True, searchable=True),
    Field("createdAt", "Created At", "datetime", read_only=True),
    Field("updatedAt", "Updated At", "datetime", read_only=True),
    Field("customerId", "Customer Id", searchable=True, custom=True),
    Field("lifetimeValue", "Lifetime Value", "currency", custom=True),
    Field("lastOrderAt", "Last Order At", "datetime", custom=True),
    Field("shopCustomer", "Shop Customer", "boolean", custom=True),
)


class NewField(BaseModel):
    """One field to be added."""

    model_config = ConfigDict(extra="forbid")

    displayName: str | None = None  # noqa: N815  the vendor's name
    name: str | None = None
    dataType: str | None = None  # noqa: N815
    description: str | None = None
    isHidden: bool = False  # noqa: N815
    isHtmlEncodingInEmail: bool = True  # noqa: N815
    isSensitive: bool = False  # noqa: N815


class NewFields(BaseModel):
    """Body of a request that adds fields."""

    model_config = ConfigDict(extra="forbid")

    input: list[NewField]


class Schema:
    """All fields there are now."""

    def __init__(self) -> None:
        self._fields = {field.name: field for field in STANDARD}

    @property
    def names(self) -> list[str]:
        """All field names, in order."""
        return list(self._fields)

    def get(self, name: str) -> Field | None:
        """One field by its API name, whose case matters."""
        return self._fields.get(name)

    def lookup_field(self, name: str) -> Field:
        """A field that leads can be looked up by."""
        field = self.get(name)
        if field is None:
            raise refused(1006, f"Field '{name}' not found")
        if not field.searchable:
            raise refused(1011, f"Field '{name}' not supported")
        return field

    def writable(self, row: Mapping[str, object], *, company: bool = False) -> dict[str, Value]:
        """The checked values of a row; `company` lets fields of the company through, as imports do."""
        values: dict[str, Value] = {}
        for name, value in row.items():
            field = self.get(name)
            if field is None:
                raise RowRefused(1006, f"Field '{name}' not found")
            if name == "id":
                continue
            if field.read_only:
                raise RowRefused(1003, f"Field '{name}' is read only")
            if field.of_company and not company:
                raise RowRefused(1021, "Company update not allowed")
            values[name] = checked(field.kind, value)
        return values

    # Endpoints

    def describe(self, call: Call) -> Answer:
        """All fields, each with what the API may do to it."""
        del call
        return done([_described(number, field) for number, field in enumerate(self._fields.values(), 1)])

    def describe_search(self, call: Call) -> Answer:
        """The fields once more, and those that leads can be looked up by."""
        del call
        fields = [
            {
                "name": field.name,
                "displayName": field.title,
                "dataType": field.kind,
                **({} if field.length is None else {"length": field.length}),
                "updateable": not field.read_only,
                "crmManaged": False,
            }
            for field in self._fields.values()
        ]
        searchable = [[field.name] for field in self._fields.values() if field.searchable]
        return done([{"name": "API Lead", "searchableFields": searchable, "fields": fields}])

    def list_fields(self, call: Call) -> Answer:
        """A page of the fields; the token is the place to go on at."""
        start, asked = call.query.get("nextPageToken", "0"), call.query.get("batchSize", str(LARGEST_PAGE))
        if not (start.isdecimal() and asked.isdecimal()):
            raise refused(1001, f"Invalid value '{start} {asked}'. Required of type 'integer'")
        first, size = int(start), call.page_limit(min(int(asked), LARGEST_PAGE))
        rows = [_schema_row(field) for field in self._fields.values()]
        more = first + size < len(rows)
        page = rows[first : first + size]
        return done(page, moreResult=more, **({"nextPageToken": str(first + size)} if more else {}))

    def get_field(self, call: Call) -> Answer:
        """One field."""
        field = self.get(call.params["name"])
        if field is None:
            raise refused(1006, f"Field '{call.params['name']}' not found")
        return done([_schema_row(field)])

    def create_fields(self, call: Call) -> Answer:
        """Add fields: all of the request or none, since rows have no refusals of their own here."""
        rows = call.body_as(NewFields).input
        if not rows:
            raise missing("input")
        made: list[Field] = []
        for row in rows:
            made.append(self._new_field(row, [*self._fields.values(), *made]))
        if sum(field.by_api for field in self._fields.values()) + len(made) > MOST_CREATED:
            raise refused(1028, "Max field limit reached")
        self._fields |= {field.name: field for field in made}
        return done([{"name": field.name, "status": "created"} for field in made])

    @staticmethod
    def _new_field(row: NewField, there: Sequence[Field]) -> Field:
        for parameter in ("displayName", "name", "dataType"):
            if not getattr(row, parameter):
                raise missing(parameter)
        name, title, kind = row.name or "", row.displayName or "", row.dataType or ""
        if kind not in CREATABLE:
            raise refused(1001, f"Invalid value '{kind}'. Required of type 'dataType'")
        if not _NAME.fullmatch(name) or not _TITLE.fullmatch(title):
            raise refused(1003, f"Invalid data: '{name}' ('{title}') cannot be the name of a field")
        if any(name.lower() == field.name.lower() or title.lower() == field.title.lower() for field in there):
            raise refused(1017, f"Object already exists: field '{name}'")
        return Field(
            name, title, kind, searchable=kind in SEARCHABLE_TYPES, custom=True, by_api=True,
            description=row.description, hidden=row.isHidden,
        )  # fmt: skip


def _described(number: int, field: Field) -> JsonObject:
    uses = {"name": field.name, "readOnly": field.read_only}
    length = {} if field.length is None else {"length": field.length}
    head: JsonObject = {"id": number, "displayName": field.title, "dataType": field.kind, **length}
    return head if field.hidden else head | {"rest": uses}


def _schema_row(field: Field) -> JsonObject:
    return {
        "displayName": field.title,
        "name": field.name,
        "description": field.description,
        "dataType": field.kind,
        **({} if field.length is None else {"length": field.length}),
        "isHidden": field.hidden,
        "isHtmlEncodingInEmail": field.kind in TEXTS,
        "isSensitive": False,
        "isCustom": field.custom,
        "isApiCreated": field.by_api,
    }
