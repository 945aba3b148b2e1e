"""Static lists: which there are, who is on them, and the lead database's endpoints about them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.company import Company
from millstream.sandbox.marketo.answers import RowRefused, done, lead_not_found, refused
from millstream.sandbox.marketo.people import first_members
from millstream.sandbox.marketo.register import Register, stamp
from millstream.sandbox.system import Answer, Call, JsonObject

FIRST_LISTS = {1001: "Newsletter", 1002: "Webinar guests"}
FIRST_NEW_ID = 1021
FOLDER_ID, PROGRAM_ID = 13, 1034


class LeadId(BaseModel):
    """A lead by its id."""

    model_config = ConfigDict(extra="forbid")

    id: int


class ListOperation(BaseModel):
    """A body of ids."""

    model_config = ConfigDict(extra="forbid")

    input: list[LeadId]


@dataclass(slots=True)
class StaticList:
    """One list.

    Attributes:
        list_id: Its id.
        name: Its name, unique in the instance.
        description: What somebody wrote about it.
        folder: Where it stands: id and type.
        created_ms: When it was made.
        updated_ms: When its name or description last changed.
        touched: Leads that clients put on it.
    """

    list_id: int
    name: str
    description: str | None
    folder: tuple[int, str]
    created_ms: int
    updated_ms: int
    touched: set[int] = field(default_factory=set)
    _members: set[int] = field(default_factory=set)
    _ordered: list[int] | None = None

    def holds(self, lead_id: int) -> bool:
        """Whether somebody is on it."""
        return lead_id in self._members

    def fill(self, lead_ids: set[int]) -> None:
        """Put on it who was there before any client came."""
        self._members, self._ordered = lead_ids, None

    def add(self, lead_id: int) -> None:
        """Put a lead on it."""
        self._members.add(lead_id)
        self.touched.add(lead_id)
        self._ordered = None

    def remove(self, lead_id: int) -> None:
        """Take a lead off it."""
        self._members.discard(lead_id)
        self.touched.discard(lead_id)
        self._ordered = None

    def ordered(self) -> list[int]:
        """Who is on it, by id."""
        if self._ordered is None:
            self._ordered = sorted(self._members)
        return self._ordered


class Lists:
    """All static lists. Who was on the first ones from the start is worked out when one of them is asked for."""

    def __init__(self, company: Company, register: Register) -> None:
        self._company = company
        self._register = register
        made = company.today_ms - 400 * 86_400_000
        self.all = {
            number: StaticList(number, name, None, (FOLDER_ID, "Folder"), made, made)
            for number, name in FIRST_LISTS.items()
        }
        self._unfilled = set(FIRST_LISTS)
        self._next_id = FIRST_NEW_ID

    def find(self, list_id: int) -> StaticList | None:
        """One list by id."""
        found = self.all.get(list_id)
        if found is not None and list_id in self._unfilled:
            self._unfilled.discard(list_id)
            found.fill(first_members(self._company, list(FIRST_LISTS).index(list_id)) - self._register.deleted)
        return found

    def get(self, text: str) -> StaticList:
        """One list by the id in a path; refused if there is none."""
        found = self.find(int(text)) if text.isdecimal() else None
        if found is None:
            raise refused(1013, f"List with id '{text}' not found")
        return found

    def create(self, name: str, description: str | None, folder: tuple[int, str]) -> StaticList:
        """A new, empty list."""
        now = int(time.time() * 1000)
        made = StaticList(self._next_id, name, description, folder, now, now)
        self.all[made.list_id] = made
        self._next_id += 1
        return made

    def delete(self, list_id: int) -> None:
        """Delete a list; its members stay leads."""
        del self.all[list_id]
        self._unfilled.discard(list_id)

    def drop(self, lead_id: int) -> None:
        """Take a lead off every list."""
        for one in self.all.values():
            one.remove(lead_id)

    # Membership

    def change(self, call: Call, members: StaticList, lead_id: int, *, add: bool) -> JsonObject:
        """Put one lead on a list or take it off: its place in `result`."""
        lead = self._register.get(lead_id)
        if lead is None:
            return lead_not_found().skipped(id=lead_id)
        if call.refuses(lead.email):
            return RowRefused(1003, "Invalid data").skipped(id=lead_id)
        if add:
            status = "memberof" if members.holds(lead_id) else "added"
            members.add(lead_id)
            return {"id": lead_id, "status": status}
        if not members.holds(lead_id):
            return RowRefused(1015, "Lead not in list").skipped(id=lead_id)
        members.remove(lead_id)
        return {"id": lead_id, "status": "removed"}

    def membership(self, members: StaticList, lead_id: int) -> JsonObject:
        """Whether a lead is on a list."""
        if self._register.get(lead_id) is None:
            return lead_not_found().skipped(id=lead_id)
        return {"id": lead_id, "status": "memberof" if members.holds(lead_id) else "notmemberof"}

    # The lead database's reading of lists

    def list_lists(self, call: Call) -> Answer:
        """Lists by ids or names, both separated by commas."""
        ids, names = call.query.get("id"), call.query.get("name")
        rows = [
            _row(one)
            for one in self.all.values()
            if (ids is None or str(one.list_id) in ids.split(",")) and (names is None or one.name in names.split(","))
        ]
        return done(rows)

    def get_list(self, call: Call) -> Answer:
        """One list."""
        return done([_row(self.get(call.params["list_id"]))])


def _row(one: StaticList) -> JsonObject:
    return {
        "id": one.list_id,
        "name": one.name,
        **({} if one.description is None else {"description": one.description}),
        "workspaceName": "Default",
        "createdAt": stamp(one.created_ms),
        "updatedAt": stamp(one.updated_ms),
    }
