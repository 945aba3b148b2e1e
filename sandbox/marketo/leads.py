"""Leads: sync, look up, delete."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.marketo.answers import RowRefused, done, lead_not_found, missing, refused
from millstream.sandbox.marketo.fields import Field, Schema
from millstream.sandbox.marketo.lists import ListOperation, Lists
from millstream.sandbox.marketo.register import Lead, Register, lead_row
from millstream.sandbox.system import Answer, Call, JsonObject

ACTIONS = ("createOrUpdate", "createOnly", "updateOnly", "createDuplicate")
DEFAULT_FIELDS = ["id", "firstName", "lastName", "email", "updatedAt", "createdAt"]
MOST_ROWS, MOST_MATCHES = 300, 1000
PARTITION = "Default"


class SyncRequest(BaseModel):
    """Body of Sync Leads."""

    model_config = ConfigDict(extra="forbid")

    input: list[dict[str, object]]
    action: str = "createOrUpdate"
    lookupField: str = "email"  # noqa: N815  the vendor's name
    partitionName: str | None = None  # noqa: N815
    asyncProcessing: bool = False  # noqa: N815


class Leads:
    """Handlers of `/rest/v1/leads`."""

    def __init__(self, register: Register, schema: Schema, lists: Lists) -> None:
        self._register = register
        self._schema = schema
        self._lists = lists

    # Writing

    def sync(self, call: Call) -> Answer:
        """Create and update up to 300 leads. With `_method=GET`, the look-up whose query is in the body."""
        if call.query.get("_method") == "GET":
            return self.find(query_in_body(call))
        check_json(call)
        request = call.body_as(SyncRequest)
        field = self._check(request)
        # All rows are looked up before any is written: a key that is new and there twice becomes two leads.
        matches = [self._matches(row, field) for row in request.input]
        rows = zip(request.input, matches, strict=True)
        return done([self._row(call, request, field, row, found) for row, found in rows])

    def _check(self, request: SyncRequest) -> Field:
        if not request.input:
            raise missing("input")
        if len(request.input) > MOST_ROWS:
            raise refused(1003, f"Invalid data: more than {MOST_ROWS} records in a request")
        if request.action not in ACTIONS:
            raise refused(1001, f"Invalid value '{request.action}'. Required of type 'action'")
        if request.partitionName not in (None, PARTITION):
            raise refused(1008, f"Access denied to partition '{request.partitionName}'")
        field = self._schema.lookup_field(request.lookupField)
        if field.name == "id" and request.action != "updateOnly":
            raise refused(1003, f"Invalid data: lookupField 'id' goes with action 'updateOnly', not '{request.action}'")
        return field

    def _matches(self, row: dict[str, object], field: Field) -> list[int]:
        return self._register.find(field.name, str(row.get(field.name) or ""))

    def _row(
        self, call: Call, request: SyncRequest, field: Field, row: dict[str, object], found: list[int]
    ) -> JsonObject:
        try:
            key = str(row.get(field.name) or "")
            if call.refuses(key.lower()):
                raise RowRefused(1003, "Invalid data")
            if "id" in row and request.action != "updateOnly":
                raise RowRefused(1003, f"Invalid data: 'id' is not allowed with action '{request.action}'")
            values = self._schema.writable(row)
            if not key and request.action != "createDuplicate":
                raise RowRefused(1003, f"Value for lookup field '{field.name}' not found")
            if request.action == "createDuplicate":
                found = []
            lead = self._one(found, request.action)
        except RowRefused as refusal:
            return refusal.skipped()
        if lead is None:
            return {"id": self._register.create(values).lead_id, "status": "created"}
        self._register.write(lead, values)
        return {"id": lead.lead_id, "status": "updated"}

    def _one(self, found: list[int], action: str) -> Lead | None:
        if len(found) > 1:
            raise RowRefused(1007, "Multiple lead match lookup criteria")
        if found and action == "createOnly":
            raise RowRefused(1005, "Lead already exists")
        if not found and action == "updateOnly":
            raise lead_not_found()
        return self._register.get(found[0]) if found else None

    def delete(self, call: Call) -> Answer:
        """Delete up to 300 leads, by ids in the body or in the query."""
        result = []
        for lead_id in ids_of(call):
            lead = self._register.get(lead_id)
            if lead is None:
                result.append(lead_not_found().skipped(id=lead_id))
            elif call.refuses(lead.email):
                result.append(RowRefused(1003, "Invalid data").skipped(id=lead_id))
            else:
                self._lists.drop(lead_id)
                self._register.delete(lead)
                result.append({"id": lead_id, "status": "deleted"})
        return done(result)

    # Reading

    def find(self, call: Call) -> Answer:
        """Leads whose field holds one of up to 300 values, in order of id."""
        for parameter in ("filterType", "filterValues"):
            if not call.query.get(parameter):
                raise missing(parameter)
        field = self._schema.lookup_field(call.query["filterType"])
        values = list_of(call, "filterValues")
        if len(values) > MOST_ROWS:
            raise refused(1003, f"Invalid data: more than {MOST_ROWS} filter values")
        found = sorted({number for value in values for number in self._register.find(field.name, value)})
        if len(found) > MOST_MATCHES:
            raise refused(1003, "Too many results match the filter")
        return self._page(call, found)

    def get(self, call: Call) -> Answer:
        """One lead."""
        text = call.params["lead_id"]
        lead = self._register.get(int(text)) if text.isdecimal() else None
        if lead is None:
            raise refused(1004, f"Lead with id '{text}' not found")
        return done([lead_row(lead, self._names(call))])

    def list_members(self, call: Call) -> Answer:
        """Members of a static list, in order of id."""
        call = query_in_body(call) if call.query.get("_method") == "GET" else call
        return self._page(call, self._lists.get(call.params["list_id"]).ordered())

    def add_members(self, call: Call) -> Answer:
        """Put leads on a static list. With `_method=GET`, the reading of the list whose query is in the body."""
        if call.query.get("_method") == "GET":
            return self.list_members(call)
        members = self._lists.get(call.params["list_id"])
        return done([self._lists.change(call, members, lead_id, add=True) for lead_id in ids_of(call)])

    def remove_members(self, call: Call) -> Answer:
        """Take leads off a static list."""
        members = self._lists.get(call.params["list_id"])
        return done([self._lists.change(call, members, lead_id, add=False) for lead_id in ids_of(call)])

    def are_members(self, call: Call) -> Answer:
        """Which leads are on a static list."""
        members = self._lists.get(call.params["list_id"])
        return done([self._lists.membership(members, lead_id) for lead_id in ids_of(call)])

    def _page(self, call: Call, ids: Sequence[int]) -> Answer:
        names, after = self._names(call), _after(call.query.get("nextPageToken"))
        rest = [number for number in ids if number > after]
        page = rest[: call.page_limit(_batch_size(call))]
        leads = [lead for number in page if (lead := self._register.get(number)) is not None]
        more: JsonObject = {"nextPageToken": _token(page[-1])} if len(rest) > len(page) else {}
        return done([lead_row(lead, names) for lead in leads], **more)

    def _names(self, call: Call) -> list[str]:
        names = list_of(call, "fields") or DEFAULT_FIELDS
        unknown = next((name for name in names if self._schema.get(name) is None), None)
        if unknown is not None:
            raise refused(1006, f"Field '{unknown}' not found")
        return names


def check_json(call: Call) -> None:
    """Refuse a body that does not say that it is JSON."""
    if not call.headers.get("content-type", "").lower().startswith("application/json"):
        raise refused(612, "Invalid Content Type")


def query_in_body(call: Call) -> Call:
    """The call with the parameters of its form among those of its query."""
    call.query_list += parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    call.query = dict(call.query_list)
    return call


def list_of(call: Call, parameter: str) -> list[str]:
    """The values of a parameter, repeated or separated by commas."""
    given = [value for name, value in call.query_list if name == parameter]
    return [part for value in given for part in value.split(",") if part]


def ids_of(call: Call) -> list[int]:
    """Up to 300 lead ids, of the query or else of the body."""
    texts = list_of(call, "id")
    if texts:
        wrong = next((text for text in texts if not text.isdecimal()), None)
        if wrong is not None:
            raise refused(1001, f"Invalid value '{wrong}'. Required of type 'integer'")
        ids = [int(text) for text in texts]
    elif call.body:
        check_json(call)
        ids = [row.id for row in call.body_as(ListOperation).input]
    else:
        ids = []
    if not ids:
        raise missing("id")
    if len(ids) > MOST_ROWS:
        raise refused(1003, f"Invalid data: more than {MOST_ROWS} ids in a request")
    return ids


def _batch_size(call: Call) -> int:
    text = call.query.get("batchSize", str(MOST_ROWS))
    if not text.isdecimal() or not int(text):
        raise refused(1001, f"Invalid value '{text}'. Required of type 'integer'")
    return min(int(text), MOST_ROWS)


def _token(last_id: int) -> str:
    return base64.b32encode(f"after {last_id:015d}".encode()).decode()


def _after(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.b32decode(token).decode().removeprefix("after "))
    except (binascii.Error, ValueError) as error:
        raise refused(1003, "Invalid data: nextPageToken") from error
