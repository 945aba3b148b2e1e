"""Reading records of any type: pages, single records, batches, searches, property definitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from millstream.sandbox.hubspot import bodies
from millstream.sandbox.hubspot.associations import embedded
from millstream.sandbox.hubspot.contacts import Contacts
from millstream.sandbox.hubspot.errors import OBJECT_NOT_FOUND, invalid, missing_object, row_error
from millstream.sandbox.hubspot.properties import created_property
from millstream.sandbox.hubspot.search import MAX_RESULTS, search
from millstream.sandbox.hubspot.tables import Record, Table, iso
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

if TYPE_CHECKING:
    from millstream.sandbox.hubspot.portal import Portal

HISTORY_PAGE = 50


def names_in(call: Call, name: str) -> list[str]:
    """A query parameter that is a list: repeated, or separated by commas."""
    return [part for key, value in call.query_list if key == name for part in value.split(",") if part]


def whole_number(call: Call, name: str, default: int, maximum: int, minimum: int = 1) -> int:
    """A query parameter that is a number in a range."""
    text = call.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
        raise invalid(f"{name} must be a whole number from {minimum} to {maximum}, not {text}", where=name)
    return int(text)


def shown(table: Table, record: Record, properties: Sequence[str], history: Sequence[str] = ()) -> JsonObject:
    """A record as answers show it: the properties asked for and the three that always come."""
    values = record.properties
    wanted = properties or table.default_properties
    always = ("createdate", "hs_object_id", table.modified_property)
    body: JsonObject = {
        "id": str(record.record_id),
        "properties": {name: values[name] for name in dict.fromkeys((*wanted, *always)) if name in values},
        "createdAt": iso(record.created_ms),
        "updatedAt": iso(record.modified_ms),
        "archived": record.archived_ms is not None,
    }
    if record.archived_ms is not None:
        body["archivedAt"] = iso(record.archived_ms)
    if history:
        body["propertiesWithHistory"] = {
            name: [{"value": values[name], "timestamp": iso(record.modified_ms), "sourceType": "CRM_UI"}]
            for name in history
            if values.get(name) is not None
        }
    return body


def page_link(call: Call, after: object) -> JsonObject:
    """The `paging` object."""
    return {"next": {"after": str(after), "link": f"{call.base_url}{call.path}?after={after}"}}


class Reads:
    """Handlers for what every object type offers to readers."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def routes(self) -> list[Route]:
        """The endpoints. Paths in the dated style (`/crm/objects/2026-03/...`) are added by the system."""
        objects = "/crm/v3/objects/{type}"
        return [
            route("GET", objects, self.page, "records"),
            route("POST", f"{objects}/search", self.search, "records", "search"),
            route("POST", f"{objects}/batch/read", self.batch_read, "records"),
            route("GET", f"{objects}/{{id}}", self.one, "records"),
            route("GET", "/crm/v3/properties/{type}", self.properties, "schemas"),
            route("GET", "/crm/v3/properties/{type}/{name}", self.one_property, "schemas"),
            route("POST", "/crm/v3/properties/{type}", self.create_property, "schemas.write"),
            route("POST", "/crm/v3/properties/{type}/batch/create", self.create_properties, "schemas.write"),
            route("GET", "/crm/v3/pipelines/{type}", self.pipelines, "schemas"),
        ]

    def page(self, call: Call) -> Answer:
        """One page in order of id."""
        table = self._portal.table(call.params["type"])
        history = names_in(call, "propertiesWithHistory")
        limit = call.page_limit(whole_number(call, "limit", 10, HISTORY_PAGE if history else 100))
        after = whole_number(call, "after", 0, 10**15, 0)
        properties = names_in(call, "properties")
        if call.query.get("archived") == "true":
            ids: Iterable[int] = (one for one in table.archived_ids() if one > after)
        else:
            ids = table.ids_after(after)
        chosen = list(islice(ids, limit + 1))
        results = []
        for record_id in chosen[:limit]:
            record = table.read(record_id)
            if record is not None:
                results.append(shown(table, record, properties, history))
        linked = names_in(call, "associations")
        if linked:
            for body, record_id in zip(results, chosen, strict=False):
                body["associations"] = embedded(self._portal, table.name, record_id, linked)
        answer: JsonObject = {"results": results}
        if len(chosen) > limit:
            answer["paging"] = page_link(call, chosen[limit - 1])
        return Answer(answer)

    def one(self, call: Call) -> Answer:
        """One record by id, or by e-mail where `idProperty` says so."""
        table = self._portal.table(call.params["type"])
        record_id = self._find(table, call.query.get("idProperty"), call.params["id"])
        record = None if record_id is None else table.read(record_id)
        if record is None:
            raise missing_object(f"{table.singular} {call.params['id']}")
        body = shown(table, record, names_in(call, "properties"), names_in(call, "propertiesWithHistory"))
        linked = names_in(call, "associations")
        if linked:
            body["associations"] = embedded(self._portal, table.name, record.record_id, linked)
        return Answer(body)

    def search(self, call: Call) -> Answer:
        """Records that match; no more than the first 10,000 of them can be paged through."""
        table = self._portal.table(call.params["type"])
        order = call.body_as(bodies.Search)
        after = str(order.after or 0)
        if not after.isdigit():
            raise invalid(f"after must be a cursor of an earlier page, not {after}", where="after")
        limit = call.page_limit(order.limit)
        if int(after) + order.limit > MAX_RESULTS:
            raise invalid(f"paging past {MAX_RESULTS} results is not possible", code="PAGING_LIMIT")
        ids = search(table, self._portal.properties[table.name], order)
        until = int(after) + limit
        results = []
        for record_id in ids[int(after) : until].tolist():
            record = table.read(record_id)
            if record is not None:
                results.append(shown(table, record, order.properties))
        answer: JsonObject = {"total": len(ids), "results": results}
        if until < len(ids):
            answer["paging"] = {"next": {"after": str(until)}}
        return Answer(answer)

    def batch_read(self, call: Call) -> Answer:
        """Up to 100 records by id, by e-mail or by a unique property; unknown ones make the answer a 207."""
        table = self._portal.table(call.params["type"])
        order = call.body_as(bodies.BatchRead)
        started = now_iso()
        results, missing = [], []
        for one in order.inputs:
            record_id = self._find(table, order.id_property, one.id)
            record = None if record_id is None else table.read(record_id)
            if record is None:
                missing.append(one.id)
            else:
                results.append(shown(table, record, order.properties, order.properties_with_history))
        body: JsonObject = {
            "status": "COMPLETE",
            "results": results,
            "startedAt": started,
            "completedAt": now_iso(),
        }
        if not missing:
            return Answer(body)
        error = row_error(OBJECT_NOT_FOUND, f"Could not get some {table.name}", ids=missing)
        return Answer({**body, "numErrors": 1, "errors": [error]}, 207)

    def _find(self, table: Table, id_property: str | None, value: str) -> int | None:
        if isinstance(table, Contacts):
            self._portal.check_id_property(id_property)
            return table.find(id_property, value)
        if id_property not in {None, "hs_object_id"}:
            raise invalid(f"{id_property} is not a unique property of {table.name}", where="idProperty")
        return int(value) if value.isascii() and value.isdigit() else None

    def properties(self, call: Call) -> Answer:
        """All property definitions of a type."""
        definitions = self._portal.properties[self._portal.table(call.params["type"]).name]
        if call.query.get("archived") == "true":
            return Answer({"results": []})
        return Answer({"results": [one.described() for one in definitions.values()]})

    def one_property(self, call: Call) -> Answer:
        """One property definition."""
        definitions = self._portal.properties[self._portal.table(call.params["type"]).name]
        if call.params["name"] not in definitions:
            raise missing_object(f"property {call.params['name']}")
        return Answer(definitions[call.params["name"]].described())

    def create_property(self, call: Call) -> Answer:
        """Add a custom property."""
        return Answer(self._create(call.params["type"], call.body_as(bodies.PropertyCreate)), 201)

    def create_properties(self, call: Call) -> Answer:
        """Add several custom properties."""
        order = call.body_as(bodies.PropertiesCreate)
        started = now_iso()
        results = [self._create(call.params["type"], one) for one in order.inputs]
        body = {"status": "COMPLETE", "results": results, "startedAt": started, "completedAt": now_iso()}
        return Answer(body, 201)

    def _create(self, type_name: str, order: bodies.PropertyCreate) -> JsonObject:
        table = self._portal.table(type_name)
        return self._portal.add_property(table.name, created_property(order)).described()

    def pipelines(self, call: Call) -> Answer:
        """Deals have one pipeline; other types have none."""
        table = self._portal.table(call.params["type"])
        if table.name != "deals":
            raise missing_object(f"pipeline of {table.name}")
        stages = self._portal.properties["deals"]["dealstage"].options
        listed = [
            {"id": stage, "label": stage, "displayOrder": order, "archived": False}
            for order, stage in enumerate(stages)
        ]
        pipeline = {"id": "default", "label": "Sales Pipeline", "displayOrder": 0, "archived": False}
        return Answer({"results": [{**pipeline, "stages": listed}]})


def now_iso() -> str:
    """The present moment as the API writes it."""
    return iso(int(datetime.now(UTC).timestamp() * 1000))
