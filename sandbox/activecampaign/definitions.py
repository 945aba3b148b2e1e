"""What an account defines: custom fields, lists, tags and the groups that may see a list."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from millstream.sandbox.activecampaign.errors import missing, missing_attribute, unprocessable
from millstream.sandbox.activecampaign.fields import OPENED_MS, Field, Fields
from millstream.sandbox.activecampaign.people import CUSTOMERS, NEWSLETTER, VIP, WEBINAR
from millstream.sandbox.activecampaign.shapes import inner, links, moment, needed_number, number_in, page, text_in
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

LIST_NEEDS = ("name", "stringid", "sender_url", "sender_reminder")
ADMIN_GROUP = 3


@dataclass(slots=True)
class AudienceList:
    """A list. Only groups it was shared with see it among the lists."""

    number: int
    name: str
    stringid: str
    groups: set[int] = field(default_factory=set)
    created_ms: int = OPENED_MS


@dataclass(slots=True)
class Tag:
    """A tag."""

    number: int
    name: str
    kind: str = "contact"
    description: str = ""
    created_ms: int = OPENED_MS


class Definitions:
    """Handlers for fields, lists, tags and groups."""

    def __init__(self) -> None:
        self._fields = Fields()
        self.reset()

    def reset(self) -> None:
        """Back to what the account had before any sync."""
        named = ((NEWSLETTER, "Newsletter"), (CUSTOMERS, "Customers"))
        self.lists = {
            number: AudienceList(number, name, name.lower(), {ADMIN_GROUP}, OPENED_MS) for number, name in named
        }
        self.tags = {VIP: Tag(VIP, "vip"), WEBINAR: Tag(WEBINAR, "webinar")}
        self._fields.reset(self.lists)

    @property
    def fields(self) -> dict[int, Field]:
        """The custom fields by id."""
        return self._fields.by_number

    def routes(self) -> list[Route]:
        """The endpoints about definitions; a tag says what a user must be allowed to do."""
        return [
            *self._fields.routes(),
            route("GET", "/api/3/lists", self.list_lists),
            route("POST", "/api/3/lists", self.create_list, "create lists"),
            route("GET", "/api/3/lists/{number}", self.get_list),
            route("POST", "/api/3/listGroups", self.share_list, "create lists"),
            route("GET", "/api/3/groups", self.list_groups),
            route("GET", "/api/3/tags", self.list_tags),
            route("POST", "/api/3/tags", self.create_tag, "create tags"),
            route("GET", "/api/3/tags/{number}", self.get_tag),
        ]

    def tag_named(self, name: str) -> Tag:
        """The tag with this name, made if there is none: a bulk import does so."""
        for tag in self.tags.values():
            if tag.name.lower() == name.strip().lower():
                return tag
        number = max(self.tags) + 1
        self.tags[number] = Tag(number, name.strip(), created_ms=int(time.time() * 1000))
        return self.tags[number]

    # Lists

    def list_lists(self, call: Call) -> Answer:
        """The lists the key's user may see; one that was shared with no group is not among them."""
        named = call.query.get("filters[name]", call.query.get("filters[name][contains]"))
        exactly = call.query.get("filters[name][eq]")
        seen = [one for one in self.lists.values() if ADMIN_GROUP in one.groups]
        if named is not None:
            seen = [one for one in seen if named.lower() in one.name.lower()]
        if exactly is not None:
            seen = [one for one in seen if one.name.lower() == exactly.lower()]
        return Answer(page(call, [_list_body(call, one) for one in seen], "lists"))

    def get_list(self, call: Call) -> Answer:
        """One list."""
        return Answer({"list": _list_body(call, self._list(call.params["number"]))})

    def create_list(self, call: Call) -> Answer:
        """A new list. Two lists may have one name; nobody sees it before it is shared with a group."""
        wanted = inner(call, "list")
        for name in LIST_NEEDS:
            if not text_in(wanted, name).strip():
                raise missing_attribute(name)
        number, now = max(self.lists) + 1, int(time.time() * 1000)
        stringid = re.sub(r"[^a-z0-9]+", "-", text_in(wanted, "stringid").lower()).strip("-")
        if any(one.stringid == stringid for one in self.lists.values()):
            stringid = f"{stringid}-{number}"
        self.lists[number] = AudienceList(number, text_in(wanted, "name").strip(), stringid, set(), now)
        return Answer({"list": _list_body(call, self.lists[number])}, 201)

    def share_list(self, call: Call) -> Answer:
        """Let a group of users see a list."""
        wanted = inner(call, "listGroup")
        found, group = self._list(needed_number(wanted, "listid")), needed_number(wanted, "groupid")
        if group != ADMIN_GROUP:
            raise missing("Group", group)
        found.groups.add(group)
        number = str(found.number * 10 + group)
        shared = {"list": found.number, "group": group, "links": links(call, f"listGroups/{number}", "list", "group")}
        return Answer({"listGroup": {**shared, "id": number}}, 201)

    def list_groups(self, call: Call) -> Answer:
        """The one group of users."""
        row: JsonObject = {"title": "Admin", "descript": "", "id": str(ADMIN_GROUP)}
        return Answer(page(call, [row], "groups"))

    def _list(self, number: object) -> AudienceList:
        found = self.lists.get(number_in(number) or 0)
        if found is None:
            raise missing("_List", number)
        return found

    # Tags

    def list_tags(self, call: Call) -> Answer:
        """Tags whose name contains the text searched for, or is it."""
        part = call.query.get("search", call.query.get("filters[search][contains]", "")).lower()
        exactly = call.query.get("filters[search][eq]")
        found = [one for one in self.tags.values() if part in one.name.lower()]
        if exactly is not None:
            found = [one for one in found if one.name.lower() == exactly.lower()]
        return Answer(page(call, [_tag_body(call, one) for one in found], "tags"))

    def get_tag(self, call: Call) -> Answer:
        """One tag."""
        found = self.tags.get(number_in(call.params["number"]) or 0)
        if found is None:
            raise missing("Tag", call.params["number"])
        return Answer({"tag": _tag_body(call, found)})

    def create_tag(self, call: Call) -> Answer:
        """A new tag; one by that name must not be there."""
        wanted = inner(call, "tag")
        name, kind = text_in(wanted, "tag").strip(), text_in(wanted, "tagType")
        if not name:
            raise missing_attribute("tag")
        if kind not in {"contact", "template"}:
            raise unprocessable("tagType must be contact or template", "field_invalid", "tagType")
        if any(one.name.lower() == name.lower() for one in self.tags.values()):
            raise unprocessable(f"There is already a tag named '{name}'", "duplicate", "tag")
        made = self.tag_named(name)
        made.kind, made.description = kind, text_in(wanted, "description")
        return Answer({"tag": _tag_body(call, made)}, 201)


def _list_body(call: Call, one: AudienceList) -> JsonObject:
    return {
        "stringid": one.stringid,
        "userid": "1",
        "name": one.name,
        "cdate": moment(one.created_ms),
        "udate": moment(one.created_ms),
        "private": "0",
        "sender_url": "https://shop.example.com",
        "sender_reminder": "You signed up in our shop.",
        "deletestamp": None,
        "links": links(call, f"lists/{one.number}", "contactGoalLists", "user", "addressLists"),
        "id": str(one.number),
        "user": "1",
    }


def _tag_body(call: Call, one: Tag) -> JsonObject:
    return {
        "tagType": one.kind,
        "tag": one.name,
        "description": one.description,
        "cdate": moment(one.created_ms),
        "links": links(call, f"tags/{one.number}", "contactGoalTags"),
        "id": str(one.number),
    }
