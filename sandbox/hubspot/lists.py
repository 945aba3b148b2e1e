"""Lists and their members."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.hubspot import bodies
from millstream.sandbox.hubspot.errors import invalid, missing_object
from millstream.sandbox.hubspot.reads import page_link, whole_number
from millstream.sandbox.hubspot.tables import Record, iso
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

if TYPE_CHECKING:
    from millstream.sandbox.columns import Columns
    from millstream.sandbox.hubspot.portal import Portal

MEMBERS_PAGE = 250
MAX_MEMBERSHIP_CHANGE = 100_000
FIRST_CREATED_LIST = 101
Ints = NDArray[np.int64]


@dataclass(slots=True)
class ContactList:
    """One list.

    Attributes:
        original: Ids of the members at the start, from the company's columns; None for an empty start.
        rule: For a dynamic list, whether a contact that was written through the API belongs.
        added: Members added through the API, with the time.
        removed: Original members removed through the API.
        version: Counts the changes of membership.
    """

    list_id: str
    name: str
    processing_type: str
    created_ms: int
    original: Callable[[Columns], Ints] | None = None
    rule: Callable[[Record], bool] | None = None
    added: dict[int, int] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    version: int = 0


def standard_lists(today_ms: int) -> list[ContactList]:
    """Two dynamic lists and a manual one."""
    year_ago = today_ms - 365 * facts.DAY_MS
    return [
        ContactList("1", "Newsletter subscribers", "DYNAMIC", year_ago, _subscribers),
        ContactList("2", "Customers", "DYNAMIC", year_ago + 1, _customers, _is_customer),
        ContactList("3", "Event attendees", "MANUAL", year_ago + 2, _attendees),
    ]


def _subscribers(columns: Columns) -> Ints:
    subscribed = columns.subscription == facts.SUBSCRIPTIONS.index("SUBSCRIBED")
    first = np.flatnonzero(subscribed & (columns.contact_count > 0)) + facts.FIRST_CONTACT_ID
    second = np.flatnonzero(subscribed & (columns.contact_count == 2)) + facts.SECOND_CONTACT_ID
    return np.concatenate([first, second])


def _customers(columns: Columns) -> Ints:
    return np.flatnonzero(columns.customer & (columns.contact_count > 0)) + facts.FIRST_CONTACT_ID


def _is_customer(record: Record) -> bool:
    return record.properties.get("lifecyclestage") == "customer"


def _attendees(columns: Columns) -> Ints:
    return np.flatnonzero(columns.event_attendee) + facts.FIRST_CONTACT_ID


class Lists:
    """Handlers of the lists API."""

    def __init__(self, portal: Portal, now_ms: Callable[[], int]) -> None:
        self._portal = portal
        self._now_ms = now_ms
        self.lists = {one.list_id: one for one in standard_lists(portal.company.today_ms)}
        self._next_id = FIRST_CREATED_LIST
        self._originals: dict[str, tuple[int, frozenset[int]]] = {}
        self._members: dict[str, tuple[tuple[int, int, int], list[int]]] = {}

    def routes(self) -> list[Route]:
        """The endpoints."""
        lists = "/crm/v3/lists"
        members = f"{lists}/{{list_id}}/memberships"
        return [
            route("POST", f"{lists}/search", self.search, "lists"),
            route("POST", lists, self.create, "lists.write"),
            route("GET", f"{lists}/object-type-id/{{type_id}}/name/{{name}}", self.by_name, "lists"),
            route("GET", f"{lists}/{{list_id}}", self.one, "lists"),
            route("DELETE", f"{lists}/{{list_id}}", self.delete, "lists.write"),
            route("GET", members, self.members, "lists"),
            route("GET", f"{members}/join-order", self.members_by_time, "lists"),
            route("PUT", f"{members}/add", self.add, "lists.write"),
            route("PUT", f"{members}/remove", self.remove, "lists.write"),
            route("PUT", f"{members}/add-and-remove", self.add_and_remove, "lists.write"),
        ]

    def search(self, call: Call) -> Answer:
        """Lists whose name contains the query, in order of id."""
        order = call.body_as(bodies.ListSearch)
        query = (order.query or "").lower()
        found = [
            one
            for one in self.lists.values()
            if query in one.name.lower()
            and (not order.processing_types or one.processing_type in order.processing_types)
            and (not order.list_ids or one.list_id in order.list_ids)
        ]
        until = order.offset + call.page_limit(order.count)
        page = found[order.offset : until]
        return Answer(
            {
                "lists": [self._described(one, with_size=True) for one in page],
                "hasMore": until < len(found),
                "offset": order.offset + len(page),
                "total": len(found),
            }
        )

    def create(self, call: Call) -> Answer:
        """Create an empty list. Dynamic lists need filters, which this stand-in does not evaluate."""
        order = call.body_as(bodies.ListCreate)
        if order.object_type_id != "0-1":
            raise invalid(f"lists of object type {order.object_type_id} cannot be made", where="objectTypeId")
        if order.processing_type == "DYNAMIC":
            raise invalid("a DYNAMIC list needs a filterBranch", where="filterBranch")
        if any(one.name.lower() == order.name.lower() for one in self.lists.values()):
            message = f"A list named {order.name} already exists"
            raise invalid(message, sub_category="ILS.DUPLICATE_LIST_NAMES", where="name")
        made = ContactList(str(self._next_id), order.name, order.processing_type, self._now_ms())
        self._next_id += 1
        self.lists[made.list_id] = made
        return Answer({"list": self._described(made)})

    def by_name(self, call: Call) -> Answer:
        """One list by its name, whatever the case."""
        name = call.params["name"].lower()
        found = [one for one in self.lists.values() if one.name.lower() == name]
        if not found or call.params["type_id"] != "0-1":
            raise missing_object(f"list named {call.params['name']}")
        return Answer({"list": self._described(found[0])})

    def one(self, call: Call) -> Answer:
        """One list by id."""
        return Answer({"list": self._described(self._list(call))})

    def delete(self, call: Call) -> Answer:
        """Delete a list; its members stay contacts."""
        del self.lists[self._list(call).list_id]
        return Answer(None, 204)

    def members(self, call: Call) -> Answer:
        """Members in order of record id."""
        one = self._list(call)
        ids = self.member_ids(one)
        after = whole_number(call, "after", 0, 10**15, 0)
        limit = call.page_limit(whole_number(call, "limit", 100, MEMBERS_PAGE))
        start = bisect_right(ids, after)
        page = ids[start : start + limit]
        return self._members_answer(call, one, page, len(ids), page[-1] if start + limit < len(ids) else None)

    def members_by_time(self, call: Call) -> Answer:
        """Members in the order in which they joined; `after` is a position."""
        one = self._list(call)
        ids = self.member_ids(one)
        joined = [self._joined_ms(one, record_id) for record_id in ids]
        ordered = [record_id for _, record_id in sorted(zip(joined, ids, strict=True))]
        start = whole_number(call, "after", 0, 10**15, 0)
        until = start + call.page_limit(whole_number(call, "limit", 100, MEMBERS_PAGE))
        following = until if until < len(ordered) else None
        return self._members_answer(call, one, ordered[start:until], len(ids), following)

    def _members_answer(
        self, call: Call, one: ContactList, page: Sequence[int], total: int, following: int | None
    ) -> Answer:
        body: JsonObject = {
            "results": [
                {"recordId": str(member), "membershipTimestamp": iso(self._joined_ms(one, member))} for member in page
            ],
            "total": total,
        }
        if following is not None:
            body["paging"] = page_link(call, following)
        return Answer(body)

    def add(self, call: Call) -> Answer:
        """Add the records whose ids are in a bare JSON array."""
        return self._change(call, self._bare_ids(call), [])

    def remove(self, call: Call) -> Answer:
        """Remove the records whose ids are in a bare JSON array."""
        return self._change(call, [], self._bare_ids(call))

    def add_and_remove(self, call: Call) -> Answer:
        """Add some and remove others."""
        order = call.body_as(bodies.MembershipChange)
        return self._change(call, order.record_ids_to_add, order.record_ids_to_remove)

    def _bare_ids(self, call: Call) -> list[str | int]:
        value = call.json()
        ids = value if isinstance(value, list) else None
        if ids is None or not all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in ids):
            raise invalid("the body must be a JSON array of record ids")
        if len(ids) > MAX_MEMBERSHIP_CHANGE:
            raise invalid(f"at most {MAX_MEMBERSHIP_CHANGE} record ids at once")
        return cast("list[str | int]", ids)

    def _change(self, call: Call, adds: Sequence[str | int], removes: Sequence[str | int]) -> Answer:
        one = self._list(call)
        if one.processing_type == "DYNAMIC":
            message = f"Memberships of list {one.list_id} cannot be changed: it is DYNAMIC"
            raise invalid(message, sub_category="ILS.INVALID_LIST_PROCESSING_TYPE")
        now = self._now_ms()
        original = self._original(one)
        one.version += 1
        added, removed, missing = [], [], []
        for text in map(str, adds):
            record_id = self._portal.contacts.find(None, text)
            if record_id is None or call.refuses(text):
                missing.append(text)
            elif record_id not in one.added and (record_id not in original or record_id in one.removed):
                one.removed.discard(record_id)
                one.added[record_id] = now
                added.append(text)
        for text in map(str, removes):
            record_id = self._portal.contacts.find(None, text)
            if record_id is None:
                missing.append(text)
            elif record_id in one.added or (record_id in original and record_id not in one.removed):
                one.removed.add(record_id)
                one.added.pop(record_id, None)
                removed.append(text)
        # The first of the three names really is spelled this way.
        return Answer({"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing})

    def member_ids(self, one: ContactList) -> list[int]:
        """Ids of the live members, ascending."""
        state = (self._portal.company.advances, self._portal.contacts.version, one.version)
        known = self._members.get(one.list_id)
        if known is None or known[0] != state:
            known = self._members[one.list_id] = (state, self._find_members(one))
        return known[1]

    def _original(self, one: ContactList) -> frozenset[int]:
        advances = self._portal.company.advances
        known = self._originals.get(one.list_id)
        if known is None or known[0] != advances:
            ids = [] if one.original is None else one.original(self._portal.company.columns).tolist()
            known = self._originals[one.list_id] = (advances, frozenset(ids))
        return known[1]

    def _find_members(self, one: ContactList) -> list[int]:
        contacts = self._portal.contacts
        members = (self._original(one) | one.added.keys()) - one.removed
        if one.rule is not None:
            records = {record_id: contacts.read(record_id) for record_id in contacts.written}
            belonging = {number for number, record in records.items() if record and one.rule(record)}
            members = (members - records.keys()) | belonging
        return sorted(members - contacts.gone_ids())

    def _joined_ms(self, one: ContactList, record_id: int) -> int:
        if record_id in one.added:
            return one.added[record_id]
        record = self._portal.contacts.read(record_id)
        return one.created_ms if record is None else max(record.created_ms, one.created_ms)

    def _list(self, call: Call) -> ContactList:
        list_id = call.params["list_id"]
        if list_id not in self.lists:
            raise missing_object(f"List with id {list_id}")
        return self.lists[list_id]

    def _described(self, one: ContactList, *, with_size: bool = False) -> JsonObject:
        body: JsonObject = {
            "listId": one.list_id,
            "listVersion": 1,
            "name": one.name,
            "objectTypeId": "0-1",
            "processingType": one.processing_type,
            "processingStatus": "COMPLETE",
            "createdAt": iso(one.created_ms),
            "updatedAt": iso(max([one.created_ms, *one.added.values()])),
            "filtersUpdatedAt": iso(one.created_ms),
            "createdById": "70001",
            "updatedById": "70001",
        }
        if with_size:
            body["additionalProperties"] = {
                "hs_list_size": str(len(self.member_ids(one))),
                "hs_list_reference_count": "0",
            }
        return body
