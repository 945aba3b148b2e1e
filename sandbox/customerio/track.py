"""The Track API: everything that writes. Accepting is not working off; see `writing`."""

from __future__ import annotations

import orjson

from millstream.sandbox.customerio.errors import Problem, track, track_v2
from millstream.sandbox.customerio.operations import LARGEST_OPERATION, Operation, read_operation
from millstream.sandbox.customerio.register import Register
from millstream.sandbox.customerio.segments import Segment, Segments
from millstream.sandbox.customerio.writing import Writer
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

LARGEST_BATCH = 500_000
MOST_IDS = 1000
ID_TYPES = ("id", "email", "cio_id")


class Track:
    """Handlers of the Track API."""

    def __init__(self, register: Register, writer: Writer, segments: Segments) -> None:
        self._register = register
        self._writer = writer
        self._segments = segments
        self.events: list[JsonObject] = []

    def routes(self) -> list[Route]:
        """Its endpoints."""
        customer = "/track/api/v1/customers/{identifier}"
        segment = "/track/api/v1/segments/{segment_id}"
        return [
            route("PUT", customer, self._put_customer),
            route("DELETE", customer, self._delete_customer),
            route("POST", f"{customer}/suppress", self._suppress_customer),
            route("POST", f"{customer}/unsuppress", self._unsuppress_customer),
            route("POST", f"{customer}/events", self._customer_event),
            route("POST", f"{segment}/add_customers", self._add_customers),
            route("POST", f"{segment}/remove_customers", self._remove_customers),
            route("POST", "/track/api/v2/entity", self._entity),
            route("POST", "/track/api/v2/batch", self._batch),
        ]

    # The second version

    def _batch(self, call: Call) -> Answer:
        """Work off what is right, and say by its place what is not."""
        if len(call.body) > LARGEST_BATCH:
            raise track_v2(Problem("too_large", "batch", "the request must be smaller than 500kb"))
        body = _json_v2(call)
        rows = body.get("batch") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not rows:
            raise track_v2(Problem("required", "batch", "must not be empty"))
        order = call.refusal()
        if order is not None and order.whole_batch and any(call.refuses(_name_of(row)) for row in rows):
            raise track_v2(Problem("invalid", "batch", "the request holds an operation that cannot be accepted"))
        errors: list[JsonObject] = []
        for index, row in enumerate(rows):
            try:
                self._work(self._checked(call, row))
            except Problem as problem:
                errors.append({"batch_index": index, **problem.shown()})
        return Answer({"errors": errors}, 207) if errors else Answer({})

    def _entity(self, call: Call) -> Answer:
        """One operation of the same form."""
        if len(call.body) > LARGEST_OPERATION:
            raise track_v2(Problem("too_large", "body", "the request must be 32kb or smaller"))
        try:
            self._work(self._checked(call, _json_v2(call)))
        except Problem as problem:
            raise track_v2(problem) from problem
        return Answer({})

    @staticmethod
    def _checked(call: Call, row: object) -> Operation:
        operation = read_operation(row)
        if call.refuses(operation.value.lower()):
            raise Problem("invalid", "attributes", "this operation cannot be accepted")
        return operation

    def _work(self, operation: Operation) -> None:
        kind, value = operation.kind, operation.value
        if operation.action == "identify":
            self._writer.identify(kind, value, operation.attributes, operation.at)
        elif operation.action == "delete":
            self._writer.delete(kind, value)
        elif operation.action == "suppress":
            self._register.suppress(kind, value)
        elif operation.action == "unsuppress":
            self._register.unsuppress(kind, value)
        else:
            self.events.append({"name": operation.name, kind: value, "attributes": operation.attributes})

    # The first version

    def _put_customer(self, call: Call) -> Answer:
        """Make or change one person; the body is their attributes."""
        kind, value = _identifier(call)
        attributes = _json_v1(call)
        if len(call.body) > LARGEST_OPERATION:
            raise track(400, "the request must be 32kb or smaller")
        if call.refuses(value.lower()):
            raise track(400, "this person cannot be accepted")
        at = attributes.get("_timestamp")
        self._writer.identify(kind, value, attributes, at if isinstance(at, int) else None)
        return Answer({})

    def _delete_customer(self, call: Call) -> Answer:
        self._writer.delete(*_identifier(call))
        return Answer({})

    def _suppress_customer(self, call: Call) -> Answer:
        self._register.suppress(*_identifier(call))
        return Answer({})

    def _unsuppress_customer(self, call: Call) -> Answer:
        self._register.unsuppress(*_identifier(call))
        return Answer({})

    def _customer_event(self, call: Call) -> Answer:
        kind, value = _identifier(call)
        body = _json_v1(call)
        if not isinstance(body.get("name"), str) or not body["name"]:
            raise track(400, "name is required")
        self.events.append({"name": body["name"], kind: value, "attributes": body.get("data") or {}})
        return Answer({})

    # Segments

    def _add_customers(self, call: Call) -> Answer:
        """Put people into a manual segment. An identifier that nobody has is passed over in silence."""
        segment, kind, values = self._asked(call)
        for value in values:
            profile = self._register.find_ready(kind, value)
            if profile is not None:
                self._segments.add(segment, profile)
        return Answer({})

    def _remove_customers(self, call: Call) -> Answer:
        """Take people out of a manual segment, with the same silence."""
        segment, kind, values = self._asked(call)
        for value in values:
            profile = self._register.find_ready(kind, value)
            if profile is not None:
                self._segments.remove(segment, profile)
        return Answer({})

    def _asked(self, call: Call) -> tuple[Segment, str, list[str]]:
        kind = call.query.get("id_type", "id")
        if kind not in ID_TYPES:
            raise track(400, f"id_type must be one of {', '.join(ID_TYPES)}")
        segment = self._segments.get(call.params["segment_id"])
        if segment is None:
            raise track(400, "segment not found")
        if not segment.is_manual:
            raise track(400, "people cannot be added to or removed from a data-driven segment")
        ids = _json_v1(call).get("ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_IDS:
            raise track(400, f"ids must hold 1 to {MOST_IDS} values")
        if not all(isinstance(value, str) for value in ids):
            raise track(400, "ids must be strings")
        return segment, kind, ids


def _identifier(call: Call) -> tuple[str, str]:
    """What the path names somebody by: an address has an @, the vendor's own ids a prefix."""
    value = call.params["identifier"]
    if value.startswith("cio_"):
        return "cio_id", value.removeprefix("cio_")
    return ("email" if "@" in value else "id"), value


def _json_v1(call: Call) -> JsonObject:
    try:
        body = orjson.loads(call.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise track(400, "malformed JSON") from error
    if not isinstance(body, dict):
        raise track(400, "the body must be an object")
    return body


def _json_v2(call: Call) -> object:
    try:
        body: object = orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        raise track_v2(Problem("parse", "body", "malformed JSON")) from error
    return body


def _name_of(row: object) -> str:
    identifiers = row.get("identifiers") if isinstance(row, dict) else None
    return str(next(iter(identifiers.values()), "")).lower() if isinstance(identifiers, dict) else ""
