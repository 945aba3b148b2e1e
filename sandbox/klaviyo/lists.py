"""Lists and who is on them. Being on a list says nothing about consent."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.draws import bases_of, cut, draw, share
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.klaviyo.errors import invalid_many, not_found
from millstream.sandbox.klaviyo.listing import (
    AFTER,
    EQUALS,
    Comparison,
    check_query,
    comparisons,
    links,
    names_in,
    page_of,
    picked,
    stamp,
)
from millstream.sandbox.klaviyo.membership import ProfileList
from millstream.sandbox.klaviyo.people import LISTS, Profile, index_of
from millstream.sandbox.klaviyo.profiles import SHAPING, Profiles, meets, shaper
from millstream.sandbox.klaviyo.register import Register, now_ms
from millstream.sandbox.system import Answer, Call, JsonObject

# Lists of the start and the share of the profiles on them: more than one page, so a name must be asked for.
FIRST_LISTS = {"Newsletter": ("NwsLtr", 0.5), "VIP customers": ("VipCst", 0.15)} | {
    f"Event {year}": (f"Ev{year}", 0.0) for year in range(2014, 2026)
}
FIELDS = ("name", "created", "updated", "opt_in_process")
MOST_MEMBERS = 1000
MEMBER_FILTERS = {"email": EQUALS, "phone_number": EQUALS, "joined_group_at": AFTER}
LIST_FILTERS = {"id": EQUALS, "name": EQUALS, "created": ("greater-than",), "updated": ("greater-than",)}
ID_SIGNS = string.ascii_letters + string.digits


class ListAttributes(BaseModel):
    """Attributes of a list."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=255)]
    opt_in_process: Literal["double_opt_in", "single_opt_in"] | None = None


class ListData(BaseModel):
    """A list in a request."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["list"]
    id: str | None = None
    attributes: ListAttributes


class ListBody(BaseModel):
    """Body that makes or renames a list."""

    model_config = ConfigDict(extra="forbid")

    data: ListData


class MemberRef(BaseModel):
    """A reference to a profile."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile"]
    id: str


class MembersBody(BaseModel):
    """Body that changes who is on a list."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[list[MemberRef], Field(min_length=1)]


class Lists:
    """Endpoints below `/lists`."""

    def __init__(self, register: Register, profiles: Profiles) -> None:
        self._register = register
        self._profiles = profiles
        company = register.company
        bits = draw(bases_of(company.key, register.first.astype(np.uint64)), LISTS)
        self.all: dict[str, ProfileList] = {}
        for slot, (name, (list_id, part)) in enumerate(FIRST_LISTS.items()):
            first = register.first[share(bits, slot) < cut(part)] if part else register.first[:0]
            created = company.today_ms - (500 - slot) * DAY_MS
            self.all[list_id] = ProfileList(list_id, name, created, created, first)
        self.all["NwsLtr"].opt_in_process = "double_opt_in"

    def drop_everywhere(self, profile: Profile) -> None:
        """Take a profile off all lists."""
        for one in self.all.values():
            one.remove(profile.index)

    def one(self, call: Call) -> ProfileList:
        """The list that the path names."""
        found = self.all.get(call.params["id"])
        if found is None:
            raise not_found(f"A list with id {call.params['id']}")
        return found

    # Lists

    def list_lists(self, call: Call) -> Answer:
        """Lists that meet a filter, at most ten a page."""
        check_query(call, "fields[list]", "filter", "page[cursor]", "page[size]", "sort")
        conditions = comparisons(call, LIST_FILTERS)
        wanted = [one for one in self.all.values() if all(_meets(one, condition) for condition in conditions)]
        numbered = list(enumerate(wanted))
        page, page_links = page_of(call, lambda after: numbered[after + 1 :], lambda row: row[0], 10, 10)
        return Answer({"data": [self._shape(call, one) for _, one in page], "links": page_links})

    def get_list(self, call: Call) -> Answer:
        """One list; with its size if that is asked for."""
        check_query(call, "fields[list]", "additional-fields[list]", "include")
        found = self.one(call)
        counted = names_in(call, "additional-fields[list]", ("profile_count",))
        more: JsonObject = {"profile_count": len(found.members())} if counted else {}
        return Answer({"data": self._shape(call, found, more), "links": links(call, None)})

    def create_list(self, call: Call) -> Answer:
        """A new list. Names need not be unique: asking twice makes two."""
        given = call.body_as(ListBody).data.attributes
        list_id = "".join(secrets.choice(ID_SIGNS) for _ in range(6))
        process = given.opt_in_process or "single_opt_in"
        self.all[list_id] = ProfileList(list_id, given.name, now_ms(), now_ms(), self._register.first[:0], process)
        return Answer({"data": self._shape(call, self.all[list_id]), "links": links(call, None)}, 201)

    def update_list(self, call: Call) -> Answer:
        """Rename a list."""
        found = self.one(call)
        found.name, found.updated_ms = call.body_as(ListBody).data.attributes.name, now_ms()
        return Answer({"data": self._shape(call, found), "links": links(call, None)})

    def delete_list(self, call: Call) -> Answer:
        """Delete a list; its members stay in the account."""
        del self.all[self.one(call).list_id]
        return Answer(None, 204)

    def _shape(self, call: Call, one: ProfileList, more: JsonObject | None = None) -> JsonObject:
        own = f"{call.base_url}/api/lists/{one.list_id}"
        attributes: JsonObject = {
            "name": one.name,
            "created": stamp(one.created_ms),
            "updated": stamp(one.updated_ms),
            "opt_in_process": one.opt_in_process,
        }
        return {
            "type": "list",
            "id": one.list_id,
            "attributes": {**picked(attributes, names_in(call, "fields[list]", (*FIELDS, "id"))), **(more or {})},
            "relationships": {
                kind: {"links": {"self": f"{own}/relationships/{kind}", "related": f"{own}/{kind}"}}
                for kind in ("profiles", "tags", "flow-triggers")
            },
            "links": {"self": own},
        }

    # Members

    def list_members(self, call: Call) -> Answer:
        """Profiles on a list."""
        check_query(call, *SHAPING, "filter", "page[cursor]", "page[size]", "sort")
        found, shape = self.one(call), shaper(call)
        names = names_in(call, "fields[profile]", _everything(call))
        page, page_links = self._page(call, found)
        rows = []
        for profile in page:
            row = shape(profile)
            if isinstance(row["attributes"], dict) and (names is None or "joined_group_at" in names):
                row["attributes"]["joined_group_at"] = stamp(_joined_ms(found, profile))
            rows.append(row)
        return Answer({"data": rows, "links": page_links})

    def list_member_ids(self, call: Call) -> Answer:
        """Ids of the profiles on a list."""
        check_query(call, "filter", "page[cursor]", "page[size]", "sort")
        page, page_links = self._page(call, self.one(call))
        return Answer({"data": [{"type": "profile", "id": one.profile_id} for one in page], "links": page_links})

    def _page(self, call: Call, found: ProfileList) -> tuple[list[Profile], JsonObject]:
        conditions = comparisons(call, MEMBER_FILTERS)

        def rows(after: int) -> Iterator[Profile]:
            members = found.members()
            start = int(np.searchsorted(members, after, side="right"))
            for profile in self._register.profiles(map(int, members[start:])):
                if all(_member_meets(found, profile, condition) for condition in conditions):
                    yield profile

        return page_of(call, rows, lambda profile: profile.index, 100, 20)

    def add_members(self, call: Call) -> Answer:
        """Put profiles on a list: all of them, or none where one does not exist."""
        found = self.one(call)
        for profile in self._named(call):
            found.add(profile.index)
            self._register.keep(profile)
        return Answer(None, 204)

    def remove_members(self, call: Call) -> Answer:
        """Take profiles off a list; those who are not on it are passed over."""
        found = self.one(call)
        for profile in self._named(call):
            found.remove(profile.index)
            self._register.keep(profile)
        return Answer(None, 204)

    def _named(self, call: Call) -> list[Profile]:
        refs = call.body_as(MembersBody).data
        if len(refs) > MOST_MEMBERS:
            raise invalid_many([("/data", f"At most {MOST_MEMBERS} profiles fit into one request.")])
        found = [self._register.get(index_of(ref.id)) for ref in refs]
        for number, profile in enumerate(found):
            if profile is None:
                raise not_found(f"A profile with id {refs[number].id}", f"/data/{number}/id")
        there = [profile for profile in found if profile is not None]
        refused = [number for number, one in enumerate(there) if call.refuses(_key(one))]
        if refused:
            raise invalid_many([(f"/data/{number}/id", "This profile cannot be changed.") for number in refused])
        return there

    def lists_of(self, call: Call) -> Answer:
        """The lists a profile is on."""
        profile = self._profiles.one(call)
        rows = [self._shape(call, one) for one in self.all.values() if one.has(profile.index)]
        if "relationships" in call.path:
            rows = [{"type": "list", "id": row["id"]} for row in rows]
        return Answer({"data": rows, "links": links(call, None)})


def _key(profile: Profile) -> str:
    return next(iter(profile.identifiers.values()), profile.profile_id).lower()


def _everything(call: Call) -> list[str]:
    return [name.strip() for name in call.query.get("fields[profile]", "").split(",")]


def _joined_ms(found: ProfileList, profile: Profile) -> int:
    return found.added.get(profile.index, max(profile.created_ms, found.created_ms))


def _meets(one: ProfileList, condition: Comparison) -> bool:
    if condition.field in {"id", "name"}:
        return (one.name if condition.field == "name" else one.list_id) in condition.values
    return condition.holds_for(one.created_ms if condition.field == "created" else one.updated_ms)


def _member_meets(found: ProfileList, profile: Profile, condition: Comparison) -> bool:
    if condition.field == "joined_group_at":
        return condition.holds_for(_joined_ms(found, profile))
    return meets(profile, condition)
