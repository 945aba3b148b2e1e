"""Writing contacts: batch upsert, create, update and archive, single records, and erasure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.sandbox.hubspot import bodies
from millstream.sandbox.hubspot.errors import (
    CONFLICT,
    OBJECT_NOT_FOUND,
    VALIDATION_ERROR,
    invalid,
    missing_object,
    refusal,
    row_error,
)
from millstream.sandbox.hubspot.reads import now_iso, shown
from millstream.sandbox.hubspot.tables import Record
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

if TYPE_CHECKING:
    from millstream.sandbox.hubspot.portal import Portal

# Faults in the shape of a row refuse the whole batch; faults in a value refuse the row.
_WHOLE_BATCH = {"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"}


class Writes:
    """Handlers for contacts; the other types cannot be written here."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._contacts = portal.contacts

    def routes(self) -> list[Route]:
        """The endpoints."""
        contacts = "/crm/v3/objects/contacts"
        return [
            route("POST", f"{contacts}/batch/upsert", self.upsert, "contacts.write"),
            route("POST", f"{contacts}/batch/create", self.create_many, "contacts.write"),
            route("POST", f"{contacts}/batch/update", self.update_many, "contacts.write"),
            route("POST", f"{contacts}/batch/archive", self.archive_many, "contacts.write"),
            route("POST", f"{contacts}/gdpr-delete", self.erase, "contacts.write"),
            route("POST", contacts, self.create, "contacts.write"),
            route("PATCH", f"{contacts}/{{id}}", self.update, "contacts.write"),
            route("DELETE", f"{contacts}/{{id}}", self.archive, "contacts.write"),
        ]

    def upsert(self, call: Call) -> Answer:
        """Create or update by a unique property, row by row."""
        rows = call.body_as(bodies.BatchWrite).inputs
        self._check_batch(call, rows)
        batch = _Batch()
        for row in rows:
            record_id = self._contacts.find(row.id_property, row.id)
            if record_id is None and row.id_property in {None, "hs_object_id"}:
                batch.refuse(row, OBJECT_NOT_FOUND, f"contact {row.id} does not exist")
                continue
            properties = dict(row.properties)
            if record_id is None:
                properties.setdefault(row.id_property or "", row.id)
            self._write(call, batch, row, record_id, properties)
        return batch.answer()

    def update_many(self, call: Call) -> Answer:
        """Update contacts that exist."""
        rows = call.body_as(bodies.BatchWrite).inputs
        self._check_batch(call, rows)
        batch = _Batch()
        for row in rows:
            record_id = self._contacts.find(row.id_property, row.id)
            if record_id is None:
                batch.refuse(row, OBJECT_NOT_FOUND, f"contact {row.id} does not exist")
            else:
                self._write(call, batch, row, record_id, row.properties)
        return batch.answer()

    def create_many(self, call: Call) -> Answer:
        """Create contacts; one that exists refuses the whole batch."""
        rows = call.body_as(bodies.BatchCreate).inputs
        self._check_properties([row.properties for row in rows])
        emails = [row.properties.get("email", "").lower() for row in rows]
        named = [email for email in emails if email]
        if len(set(named)) < len(named):
            raise invalid("Duplicate values for the unique property email in one batch")
        for email in named:
            self._refuse_existing(email)
        batch = _Batch()
        for row, email in zip(rows, emails, strict=True):
            as_write = bodies.RowWrite(id=email or "(no email)", properties=row.properties, trace_id=row.trace_id)
            self._write(call, batch, as_write, None, row.properties)
        return batch.answer(created=True)

    def create(self, call: Call) -> Answer:
        """Create one contact."""
        order = call.body_as(bodies.PropertiesWrite)
        self._check_properties([order.properties])
        email = order.properties.get("email", "").lower()
        if email:
            self._refuse_existing(email)
        return Answer(self._write_one(call, None, order.properties, email), 201)

    def update(self, call: Call) -> Answer:
        """Update one contact."""
        order = call.body_as(bodies.PropertiesWrite)
        self._check_properties([order.properties])
        return Answer(self._write_one(call, self._named(call), order.properties, call.params["id"]))

    def archive(self, call: Call) -> Answer:
        """Archive one contact; 204 also when there is none."""
        record_id = self._contacts.find(None, call.params["id"])
        if record_id is not None:
            self._contacts.archive(record_id)
        return Answer(None, 204)

    def archive_many(self, call: Call) -> Answer:
        """Archive contacts; unknown ones are passed over."""
        for one in call.body_as(bodies.BatchIds).inputs:
            record_id = self._contacts.find(None, one.id)
            if record_id is not None:
                self._contacts.archive(record_id)
        return Answer(None, 204)

    def erase(self, call: Call) -> Answer:
        """Erase for good. An address that no contact has is only blocked."""
        order = call.body_as(bodies.GdprDelete)
        if order.id_property not in {None, "email", "hs_object_id"}:
            raise invalid(f"gdpr-delete takes no idProperty {order.id_property}", where="idProperty")
        record_id = self._contacts.find(order.id_property, order.object_id)
        if record_id is not None:
            self._contacts.erase(record_id)
        elif order.id_property == "email":
            self._contacts.blocked_emails.add(order.object_id.strip().lower())
        else:
            raise missing_object(f"contact {order.object_id}")
        return Answer(None, 204)

    def _named(self, call: Call) -> int:
        id_property = call.query.get("idProperty")
        self._portal.check_id_property(id_property)
        record_id = self._contacts.find(id_property, call.params["id"])
        if record_id is None:
            raise missing_object(f"contact {call.params['id']}")
        return record_id

    def _check_batch(self, call: Call, rows: Sequence[bodies.RowWrite]) -> None:
        if len({row.id_property for row in rows}) > 1:
            raise invalid("all inputs must use the same idProperty", where="idProperty")
        self._portal.check_id_property(rows[0].id_property)
        keys = [row.id.strip().lower() for row in rows]
        if len(set(keys)) < len(keys):
            raise invalid("Duplicate IDs found in batch input", code="DUPLICATE_IDS", where="inputs")
        self._check_properties([row.properties for row in rows])
        refusal_order = call.refusal()
        if refusal_order is not None and refusal_order.whole_batch:
            bad = [row for row in rows if call.refuses(row.id.lower())]
            if bad:
                # The whole-batch refusal does not say which row it was: that is what makes it hard.
                raise invalid("Property values were not valid", code="INVALID_OPTION")

    def _check_properties(self, rows: Sequence[dict[str, str]]) -> None:
        definitions = self._portal.properties["contacts"]
        for properties in rows:
            for name, value in properties.items():
                problem = (
                    definitions[name].problem(value)
                    if name in definitions
                    else ("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
                )
                if problem is not None and problem[0] in _WHOLE_BATCH:
                    raise invalid(f"Property values were not valid: {problem[1]}", code=problem[0], where=name)

    def _refuse_existing(self, email: str) -> None:
        existing = self._contacts.find("email", email)
        if existing is not None:
            raise refusal(409, CONFLICT, f"Contact already exists. Existing ID: {existing}")

    def _problem(self, call: Call, key: str, properties: dict[str, str]) -> tuple[str, str, str] | None:
        """Why a row cannot be written: code, message, property; or None."""
        definitions = self._portal.properties["contacts"]
        for name, value in properties.items():
            found = definitions[name].problem(value)
            if found is not None:
                return (*found, name)
        if properties.get("email", "").strip().lower() in self._contacts.blocked_emails - {""}:
            return "CONTACT_DELETED_FOR_GDPR", "This address was permanently deleted and is blocked", "email"
        if call.refuses(key.lower()):
            return "INVALID_OPTION", f"A value of {key} was not one of the allowed options", "lifecyclestage"
        return None

    def _write(
        self,
        call: Call,
        batch: _Batch,
        row: bodies.RowWrite,
        record_id: int | None,
        properties: dict[str, str],
    ) -> None:
        problem = self._problem(call, row.id, properties)
        if problem is not None:
            batch.refuse(row, VALIDATION_ERROR, problem[1], problem[0], problem[2])
            return
        taken = self._contacts.find("email", properties["email"]) if properties.get("email") else None
        if taken is not None and taken != record_id:
            batch.refuse(row, CONFLICT, f"Contact already exists. Existing ID: {taken}", field="email")
            return
        written_id = self._contacts.write(record_id, properties)
        record = self._contacts.read(written_id)
        if record is not None:
            batch.accept(row, self._written(record, properties), new=record_id is None)

    def _write_one(self, call: Call, record_id: int | None, properties: dict[str, str], key: str) -> JsonObject:
        problem = self._problem(call, key, properties)
        if problem is not None:
            raise invalid(f"Property values were not valid: {problem[1]}", code=problem[0], where=problem[2])
        record = self._contacts.read(self._contacts.write(record_id, properties))
        if record is None:
            raise missing_object(f"contact {key}")
        return self._written(record, properties)

    def _written(self, record: Record, properties: dict[str, str]) -> JsonObject:
        return shown(self._contacts, record, ("email", *properties))


class _Batch:
    """Collects the outcomes of a batch."""

    def __init__(self) -> None:
        self._started = now_iso()
        self._results: list[JsonObject] = []
        self._errors: list[JsonObject] = []

    def accept(self, row: bodies.RowWrite, record: JsonObject, *, new: bool) -> None:
        """Note a row that was written."""
        trace = {} if row.trace_id is None else {"objectWriteTraceId": row.trace_id}
        self._results.append({**record, "new": new, **trace})

    def refuse(
        self,
        row: bodies.RowWrite,
        category: str,
        message: str,
        code: str | None = None,
        field: str | None = None,
    ) -> None:
        """Note a row that was not written."""
        error = row_error(category, message, ids=[row.id], trace_id=row.trace_id, code=code, field=field)
        self._errors.append(error)

    def answer(self, *, created: bool = False) -> Answer:
        """200 (201 for a create) where all rows were written, else 207."""
        body: JsonObject = {
            "status": "COMPLETE",
            "results": self._results,
            "startedAt": self._started,
            "completedAt": now_iso(),
        }
        if self._errors:
            return Answer({**body, "numErrors": len(self._errors), "errors": self._errors}, 207)
        return Answer(body, 201 if created else 200)
