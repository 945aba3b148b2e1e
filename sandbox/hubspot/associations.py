"""Links between contacts, companies and deals."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from millstream.sandbox import facts
from millstream.sandbox.hubspot import bodies
from millstream.sandbox.hubspot.errors import OBJECT_NOT_FOUND, invalid, missing_object, row_error
from millstream.sandbox.hubspot.tables import FIRST_COMPANY_ID, PEOPLE_PER_COMPANY
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

if TYPE_CHECKING:
    from millstream.sandbox.hubspot.portal import Portal

PAGE = 500
# Type id and name of each kind of link, by the types at its ends.
LINKS = {
    ("contacts", "companies"): (279, "contact_to_company"),
    ("contacts", "deals"): (4, "contact_to_deal"),
    ("companies", "contacts"): (280, "company_to_contact"),
    ("companies", "deals"): (342, "company_to_deal"),
    ("deals", "contacts"): (3, "deal_to_contact"),
    ("deals", "companies"): (341, "deal_to_company"),
}


def linked_ids(portal: Portal, start: str, record_id: int, end: str) -> list[int]:
    """Ids of the records of type `end` that a record is linked to, ascending, archived ones left out."""
    ids = [
        found
        for index in _people_of(portal, start, record_id)
        for found in _of_person(portal, index, start, record_id, end)
    ]
    table = portal.table(end)
    return sorted({found for found in ids if table.is_live(found)})


def _people_of(portal: Portal, start: str, record_id: int) -> range:
    company = portal.company
    if start == "companies":
        return portal.companies.people(record_id)
    if start == "deals":
        index = (record_id - facts.FIRST_DEAL_ID) // facts.DEALS_PER_PERSON
    else:
        person = company.find_by_contact_id(record_id)
        index = -1 if person is None else person.index
    return range(index, index + 1) if 0 <= index < company.population else range(0)


def _of_person(portal: Portal, index: int, start: str, record_id: int, end: str) -> list[int]:
    company = portal.company
    contacts = company.person(index).contact_ids
    if end == "companies":
        return [FIRST_COMPANY_ID + index // PEOPLE_PER_COMPANY] if contacts else []
    if end == "deals":
        return [deal.deal_id for deal in company.deals(index) if start == "companies" or deal.contact_id == record_id]
    if start == "deals":
        return [deal.contact_id for deal in company.deals(index) if deal.deal_id == record_id]
    return list(contacts)


def embedded(portal: Portal, start: str, record_id: int, ends: list[str]) -> JsonObject:
    """The `associations` object of a record on a page."""
    links: JsonObject = {}
    for name in ends:
        end = portal.table(name).name
        kind = _kind(start, end)[1]
        ids = linked_ids(portal, start, record_id, end)
        if ids:
            links[end] = {"results": [{"id": str(found), "type": kind} for found in ids]}
    return links


def _kind(start: str, end: str) -> tuple[int, str]:
    if (start, end) not in LINKS:
        raise invalid(f"there are no associations from {start} to {end}", where="toObjectType")
    return LINKS[start, end]


class Associations:
    """Handlers of the v4 endpoints."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def routes(self) -> list[Route]:
        """The endpoints."""
        one = "/crm/v4/objects/{from}/{id}/associations/{to}"
        many = "/crm/v4/associations/{from}/{to}/batch/read"
        return [route("GET", one, self.of_one, "records"), route("POST", many, self.of_many, "records")]

    def of_one(self, call: Call) -> Answer:
        """Links of one record, page by page."""
        start, end, type_id = self._ends(call)
        text = call.params["id"]
        record_id = int(text) if text.isascii() and text.isdigit() else -1
        if self._portal.table(start).read(record_id) is None:
            raise missing_object(f"{self._portal.table(start).singular} {text}")
        after, limit = call.query.get("after", "0"), call.query.get("limit", str(PAGE))
        if not (after.isdigit() and limit.isdigit() and 1 <= int(limit) <= PAGE):
            raise invalid(f"limit must be 1 to {PAGE} and after a cursor of an earlier page")
        size = call.page_limit(int(limit))
        results, following = self._page(start, record_id, end, type_id=type_id, after=int(after), size=size)
        answer: JsonObject = {"results": results}
        if following is not None:
            answer["paging"] = {"next": {"after": following}}
        return Answer(answer)

    def of_many(self, call: Call) -> Answer:
        """Links of many records; records without any make the answer a 207."""
        start, end, type_id = self._ends(call)
        results, errors = [], []
        for one in call.body_as(bodies.AssociationsRead).inputs:
            record_id = int(one.id) if one.id.isascii() and one.id.isdigit() else -1
            after = int(one.after) if one.after and one.after.isdigit() else 0
            links, following = self._page(start, record_id, end, type_id=type_id, after=after, size=PAGE)
            if not links:
                message = f"No {end[:-1]} is associated with {start[:-1]} {one.id}."
                error = row_error(OBJECT_NOT_FOUND, message, ids=[one.id])
                errors.append({**error, "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"})
                continue
            result: JsonObject = {"from": {"id": one.id}, "to": links}
            if following is not None:
                result["paging"] = {"next": {"after": following}}
            results.append(result)
        body: JsonObject = {"status": "COMPLETE", "results": results}
        if errors:
            return Answer({**body, "numErrors": len(errors), "errors": errors}, 207)
        return Answer(body)

    def _ends(self, call: Call) -> tuple[str, str, int]:
        start, end = self._portal.table(call.params["from"]).name, self._portal.table(call.params["to"]).name
        return start, end, _kind(start, end)[0]

    def _page(
        self, start: str, record_id: int, end: str, *, type_id: int, after: int, size: int
    ) -> tuple[list[JsonObject], str | None]:
        ids = [found for found in linked_ids(self._portal, start, record_id, end) if found > after]
        kind: JsonObject = {"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": None}
        page: list[JsonObject] = [{"toObjectId": found, "associationTypes": [kind]} for found in islice(ids, size)]
        return page, str(ids[size - 1]) if len(ids) > size else None
