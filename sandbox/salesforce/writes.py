"""Records written by REST: up to 200 at a time below `/composite/sobjects`, one by one below `/sobjects`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.salesforce.errors import no_such_field, not_found, refusal
from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.intake import Given, read_json
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.queries import Visible, shown
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row
from millstream.sandbox.salesforce.values import RowRefused
from millstream.sandbox.salesforce.writer import Hand, Writer, hand_of
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject

MOST_WRITTEN, MOST_READ = 200, 2000
Work = Callable[[], JsonObject]
Made = TypeVar("Made")


class Collection(BaseModel):
    """The body that writes many records."""

    model_config = ConfigDict(extra="forbid")

    records: list[dict[str, object]]
    allOrNone: bool = False  # noqa: N815  the vendor's name


class Wanted(BaseModel):
    """The body that asks for many records."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str]
    fields: list[str]


class Writes:
    """Handlers of the resources that write records and read them back by id."""

    def __init__(self, records: Records, writer: Writer, visible: Visible) -> None:
        self._records = records
        self._writer = writer
        self._visible = visible

    # Many

    def insert_many(self, call: Call) -> Answer:
        """`POST /composite/sobjects`, records of any objects."""
        hand, body = self._hand(call), _collection(call)
        work = [self._each(hand, record, self._writer.insert) for record in body.records]
        return self._done(work, all_or_none=body.allOrNone)

    def update_many(self, call: Call) -> Answer:
        """`PATCH /composite/sobjects`, each record with its id."""
        hand, body = self._hand(call), _collection(call)

        def update(hand: Hand, sobject: Sobject, given: Given) -> str:
            identity = next((field for field in given if field.name == "Id"), None)
            if identity is None or given[identity] is None:
                raise RowRefused("MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
            rest = {field: value for field, value in given.items() if field is not identity}
            return self._writer.update(hand, sobject, str(given[identity]), rest)

        work = [self._each(hand, record, update) for record in body.records]
        return self._done(work, all_or_none=body.allOrNone)

    def upsert_many(self, call: Call) -> Answer:
        """`PATCH /composite/sobjects/<object>/<external id field>`, all of one object."""
        hand, body = self._hand(call), _collection(call)
        sobject, key = self._key(call)
        for record in body.records:
            if _type_of(record).lower() != sobject.name.lower():
                raise refusal(400, "INVALID_TYPE", f"All records must be of type {sobject.name}")
        keys = Counter(str(_value_of(record, key.name) or "").lower() for record in body.records)

        def upsert(hand: Hand, sobject: Sobject, given: Given) -> tuple[str, bool]:
            value = given.get(key)
            if value is not None and keys[str(value).lower()] > 1:
                raise RowRefused("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [key.name])
            return self._writer.upsert(hand, sobject, key, given)

        work = [self._each(hand, record, upsert) for record in body.records]
        return self._done(work, all_or_none=body.allOrNone)

    def delete_many(self, call: Call) -> Answer:
        """`DELETE /composite/sobjects?ids=`."""
        hand = self._hand(call)
        ids = [text for text in call.query.get("ids", "").split(",") if text]
        if not ids:
            raise refusal(400, "MALFORMED_ID", "ids must be given")
        _check_count(len(ids), MOST_WRITTEN)

        def delete(text: str) -> Work:
            def work() -> JsonObject:
                sobject = self._records.schema.by_id(text)
                if sobject is None or hand.visible(sobject.name) is None:
                    raise RowRefused("MALFORMED_ID", f"malformed id {text}")
                return {"id": self._writer.delete(hand, sobject, text), "success": True, "errors": []}

            return work

        whole = call.query.get("allOrNone", "false").lower() == "true"
        return self._done([delete(text) for text in ids], all_or_none=whole)

    def read_many(self, call: Call) -> Answer:
        """`GET` or `POST /composite/sobjects/<object>`: records by id, null for those that are not there."""
        sobject = self._object(call)
        if call.method == "POST":
            wanted = call.body_as(Wanted)
            ids, names = wanted.ids, wanted.fields
        else:
            ids = [text for text in call.query.get("ids", "").split(",") if text]
            names = [text for text in call.query.get("fields", "").split(",") if text]
        _check_count(len(ids), MOST_READ)
        fields = _fields(sobject, names)
        rows = [self._records.by_id(sobject, text) for text in ids]
        there = [None if row is None or row["IsDeleted"] else row for row in rows]
        return Answer([None if row is None else self._body(call, sobject, row, fields) for row in there])

    # One

    def insert_one(self, call: Call) -> Answer:
        """`POST /sobjects/<object>`."""
        sobject, hand = self._object(call), self._hand(call)
        made = _alone(lambda: self._writer.insert(hand, sobject, self._given(call, sobject)))
        return Answer({"id": made, "success": True, "errors": []}, 201)

    def read_one(self, call: Call) -> Answer:
        """`GET /sobjects/<object>/<id>`."""
        sobject = self._object(call)
        row = self._records.by_id(sobject, call.params["record"])
        if row is None or row["IsDeleted"]:
            raise not_found()
        names = [text for text in call.query.get("fields", "").split(",") if text]
        fields = _fields(sobject, names) if names else sobject.fields
        return Answer(self._body(call, sobject, row, fields))

    def update_one(self, call: Call) -> Answer:
        """`PATCH /sobjects/<object>/<id>`."""
        sobject, hand, text = self._object(call), self._hand(call), call.params["record"]
        _alone(lambda: self._writer.update(hand, sobject, text, self._given(call, sobject)))
        return Answer(status=204)

    def delete_one(self, call: Call) -> Answer:
        """`DELETE /sobjects/<object>/<id>`."""
        sobject, hand = self._object(call), self._hand(call)
        _alone(lambda: self._writer.delete(hand, sobject, call.params["record"]))
        return Answer(status=204)

    def upsert_one(self, call: Call) -> Answer:
        """`PATCH /sobjects/<object>/<external id field>/<value>`; 300 where several records match."""
        (sobject, key), hand, value = self._key(call), self._hand(call), call.params["value"]
        if key.name != "Id":
            self._check_one(call, sobject, key, value)
        given = self._given(call, sobject)
        if any(field.name in (key.name, "Id") for field in given):
            text = f"The {key.name} field should not be specified in the sobject data."
            raise refusal(400, "INVALID_FIELD", text, [key.name])
        made, created = _alone(lambda: self._writer.upsert(hand, sobject, key, {**given, key: value}))
        return Answer({"id": made, "success": True, "errors": [], "created": created}, 201 if created else 200)

    def read_by_key(self, call: Call) -> Answer:
        """`GET /sobjects/<object>/<external id field>/<value>`."""
        sobject, key = self._key(call)
        found = self._check_one(call, sobject, key, call.params["value"])
        if not found:
            raise not_found()
        return Answer(self._body(call, sobject, found[0], sobject.fields))

    def _check_one(self, call: Call, sobject: Sobject, key: Field, value: str) -> list[Row]:
        found = self._records.with_value(sobject.name, key.name, value)
        if len(found) > 1:
            raise ApiError(300, [self._url(call, sobject, row) for row in found])
        return found

    # What they share

    def _hand(self, call: Call) -> Hand:
        return hand_of(call, self._visible(call))

    def _object(self, call: Call) -> Sobject:
        sobject = self._visible(call)(call.params["object"])
        if sobject is None:
            raise not_found()
        return sobject

    def _key(self, call: Call) -> tuple[Sobject, Field]:
        sobject = self._object(call)
        key = sobject.field(call.params["field"])
        if key is None or not (key.external or key.name == "Id"):
            text = f"Provided external ID field does not exist or is not accessible: {call.params['field']}"
            raise refusal(404, "NOT_FOUND", text)
        return sobject, key

    def _given(self, call: Call, sobject: Sobject) -> Given:
        record = call.json()
        if not isinstance(record, dict):
            raise refusal(400, "JSON_PARSER_ERROR", "The body must be one record")
        return read_json(self._records, sobject, record)

    def _each(
        self, hand: Hand, record: Mapping[str, object], write: Callable[[Hand, Sobject, Given], str | tuple[str, bool]]
    ) -> Work:
        """The work on one record, which has been read already: what cannot be read refuses the whole request."""
        name = _type_of(record)
        sobject = hand.visible(name)
        if sobject is None:
            return _refusing(RowRefused("INVALID_TYPE", f"sObject type '{name}' is not supported."))
        try:
            given = read_json(self._records, sobject, record)
        except RowRefused as refused:
            return _refusing(refused)

        def work() -> JsonObject:
            made = write(hand, sobject, given)
            if isinstance(made, str):
                return {"id": made, "success": True, "errors": []}
            return {"id": made[0], "success": True, "errors": [], "created": made[1]}

        return work

    def _done(self, work: Sequence[Work], *, all_or_none: bool) -> Answer:
        self._records.overlay.begin()
        answers, refusals = [], 0
        for one in work:
            try:
                answers.append(one())
            except RowRefused as refused:
                refusals += 1
                answers.append(refused.in_collection())
        undo = all_or_none and refusals > 0
        self._records.overlay.finish(undo=undo)
        if undo:
            text = "Record rolled back because not all records were valid and the request was using AllOrNone header"
            back = RowRefused("ALL_OR_NONE_OPERATION_ROLLED_BACK", text).in_collection()
            answers = [back if answer["success"] else answer for answer in answers]
        return Answer(answers)

    def _url(self, call: Call, sobject: Sobject, row: Row) -> str:
        return f"/services/data/{call.params['version']}/sobjects/{sobject.name}/{row['Id']}"

    def _body(self, call: Call, sobject: Sobject, row: Row, fields: Sequence[Field]) -> JsonObject:
        attributes = {"type": sobject.name, "url": self._url(call, sobject, row)}
        return {"attributes": attributes} | {field.name: shown(field, row[field.name]) for field in fields}


def _alone(work: Callable[[], Made]) -> Made:
    try:
        return work()
    except RowRefused as refused:
        raise refused.alone() from refused


def _refusing(refused: RowRefused) -> Work:
    def work() -> JsonObject:
        raise refused

    return work


def _collection(call: Call) -> Collection:
    body = call.body_as(Collection)
    _check_count(len(body.records), MOST_WRITTEN)
    for record in body.records:
        if not _type_of(record):
            raise refusal(400, "INVALID_TYPE", "Must specify the type of each record in its attributes")
    return body


def _check_count(count: int, most: int) -> None:
    if count > most:
        text = f"record limit reached. cannot submit more than {most} records into this call"
        raise refusal(400, "EXCEEDED_ID_LIMIT", text)


def _type_of(record: Mapping[str, object]) -> str:
    attributes = record.get("attributes")
    return str(attributes.get("type") or "") if isinstance(attributes, dict) else ""


def _value_of(record: Mapping[str, object], name: str) -> object:
    return next((value for key, value in record.items() if key.lower() == name.lower()), None)


def _fields(sobject: Sobject, names: Sequence[str]) -> tuple[Field, ...]:
    found = []
    for name in dict.fromkeys(("Id", *names)):
        field = sobject.field(name)
        if field is None:
            raise no_such_field(name, sobject.name)
        found.append(field)
    return tuple(dict.fromkeys(found))
