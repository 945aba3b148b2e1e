"""Tags, which are static segments: who has which, and the endpoints about them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox import facts
from millstream.sandbox.mailchimp.listing import check_query, flag, one_of, page_of, shaped, stamp
from millstream.sandbox.mailchimp.members import (
    ARCHIVED,
    CLEANED,
    SUBSCRIBED,
    TRANSACTIONAL,
    UNSUBSCRIBED,
    Member,
    Register,
)
from millstream.sandbox.mailchimp.problems import not_found, problem
from millstream.sandbox.mailchimp.writing import member_body
from millstream.sandbox.system import Answer, Call, JsonObject

FIRST_TAG_ID = 4001
SAVED_SEGMENT_ID = 3901
LARGEST_CHANGE = 500
Emails = Annotated[list[str], Field(default_factory=list, max_length=LARGEST_CHANGE)]


class NewSegment(BaseModel):
    """Body of `POST /lists/{list_id}/segments`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    static_segment: list[str] | None = None
    options: dict[str, object] | None = None


class SegmentChange(BaseModel):
    """Body of `POST /lists/{list_id}/segments/{segment_id}`."""

    model_config = ConfigDict(extra="forbid")

    members_to_add: Emails
    members_to_remove: Emails


class TagSetting(BaseModel):
    """One tag to be set or taken away."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    status: Literal["active", "inactive"]


class TagSettings(BaseModel):
    """Body of `POST /lists/{list_id}/members/{member}/tags`."""

    model_config = ConfigDict(extra="forbid")

    tags: list[TagSetting]
    is_syncing: bool = False


@dataclass(slots=True)
class Tag:
    """One tag. `positions` are the members that have it."""

    tag_id: int
    name: str
    positions: set[int]
    created_ms: int
    updated_ms: int


class Tags:
    """All tags of the list."""

    def __init__(self, register: Register, list_id: str, today_ms: int) -> None:
        self._register = register
        self._list_id = list_id
        self._today_ms = today_ms
        self.reset()

    def reset(self) -> None:
        """Back to the tags the company had before any sync."""
        self._tags: dict[int, Tag] = {}
        self._next_id = FIRST_TAG_ID
        self._pages: tuple[tuple[object, ...], list[int]] | None = None
        for slot, name in enumerate(facts.MAILCHIMP_TAGS):
            tag = self.add(name, self._today_ms - 200 * facts.DAY_MS)
            tag.positions = self._register.first_tagged(slot)

    # Tags of members

    def all(self) -> list[Tag]:
        """All tags, oldest first."""
        return list(self._tags.values())

    def of(self, member: Member) -> list[Tag]:
        """Tags of one member."""
        return [tag for tag in self._tags.values() if member.position in tag.positions]

    def named(self, name: str) -> Tag | None:
        """A tag by name; case does not count."""
        return next((tag for tag in self._tags.values() if tag.name.lower() == name.lower()), None)

    def add(self, name: str, at_ms: int | None = None) -> Tag:
        """A new tag nobody has."""
        now = at_ms if at_ms is not None else int(time.time() * 1000)
        tag = Tag(self._next_id, name, set(), now, now)
        self._next_id += 1
        self._tags[tag.tag_id] = tag
        return tag

    def set_tags(self, member: Member, names: Iterable[str], *, replace: bool = False) -> None:
        """Give a member tags by name; unknown ones are made. `replace` takes all others away."""
        wanted = [self.named(name) or self.add(name) for name in names]
        for tag in self.of(member) if replace else ():
            tag.positions.discard(member.position)
        for tag in wanted:
            tag.positions.add(member.position)

    def drop(self, member: Member) -> None:
        """Take a member who is gone out of all tags."""
        for tag in self._tags.values():
            tag.positions.discard(member.position)

    def of_member(self, call: Call, member: Member) -> Answer:
        """The tags of one member."""
        check_query(call)
        tags = self.of(member)
        rows = [
            {"id": tag.tag_id, "name": tag.name, "date_added": stamp(tag.created_ms)} for tag in page_of(call, tags)
        ]
        return shaped(call, {"tags": rows, "total_items": len(tags)})

    def change_of_member(self, call: Call, member: Member) -> Answer:
        """Set and take away tags of one member."""
        for setting in call.body_as(TagSettings).tags:
            if setting.status == "active":
                self.set_tags(member, [setting.name])
            elif (tag := self.named(setting.name)) is not None:
                tag.positions.discard(member.position)
        self._register.keep(member)
        return Answer(None, 204)

    # Segments

    def search(self, call: Call) -> Answer:
        """Tags whose name contains `name`: more than one may, so a client must compare."""
        check_query(call, "name")
        wanted = call.query.get("name", "").lower()
        rows = [{"id": tag.tag_id, "name": tag.name} for tag in self._tags.values() if wanted in tag.name.lower()]
        return shaped(call, {"tags": list(page_of(call, rows)), "total_items": len(rows)})

    def list_segments(self, call: Call) -> Answer:
        """All segments: tags, and one that is saved conditions."""
        check_query(call, "type", "include_cleaned", "include_transactional", "include_unsubscribed")
        kind = one_of(call, "type", ("saved", "static", "fuzzy"))
        rows = [self._saved()] if kind in {None, "saved"} else []
        if kind in {None, "static"}:
            rows += [self._segment(tag) for tag in self._tags.values()]
        page = {"segments": list(page_of(call, rows)), "list_id": self._list_id, "total_items": len(rows)}
        return shaped(call, page)

    def get_segment(self, call: Call) -> Answer:
        """One segment."""
        if call.params["segment_id"] == str(SAVED_SEGMENT_ID):
            return shaped(call, self._saved())
        return shaped(call, self._segment(self._tag(call)))

    def create_segment(self, call: Call) -> Answer:
        """A new tag, with members from the start if addresses are given."""
        new = call.body_as(NewSegment)
        if new.static_segment is None:
            raise problem(400, "Bad Request", "Give static_segment; conditions (options) are not part of the sandbox.")
        if self.named(new.name) is not None:
            raise problem(400, "Bad Request", "Sorry, that tag already exists.")
        tag = self.add(new.name)
        for email in new.static_segment:
            member = self._on_list(email)
            if member is not None:
                tag.positions.add(member.position)
                self._register.keep(member)
        return Answer(self._segment(tag))

    def delete_segment(self, call: Call) -> Answer:
        """Delete a tag; its members stay on the list."""
        del self._tags[self._tag(call).tag_id]
        return Answer(None, 204)

    def change_segment(self, call: Call) -> Answer:
        """Add and remove members; addresses that are not on the list are passed over in silence."""
        tag, change = self._tag(call), call.body_as(SegmentChange)
        added, refused = self._apply(call, tag, change.members_to_add, add=True)
        removed, refused_too = self._apply(call, tag, change.members_to_remove, add=False)
        emails = refused + refused_too
        errors = [{"email_addresses": emails, "error": "Could not be changed now."}] if emails else []
        tag.updated_ms = int(time.time() * 1000)
        return Answer(
            {
                "members_added": added,
                "members_removed": removed,
                "errors": errors,
                "total_added": len(added),
                "total_removed": len(removed),
                "error_count": len(emails),
            }
        )

    def _apply(self, call: Call, tag: Tag, emails: Sequence[str], *, add: bool) -> tuple[list[JsonObject], list[str]]:
        done: list[JsonObject] = []
        refused = []
        for email in emails:
            member = self._on_list(email)
            if member is None or (not add and member.position not in tag.positions):
                continue
            if call.refuses(email.lower()):
                refused.append(email)
                continue
            if add != (member.position in tag.positions):
                (tag.positions.add if add else tag.positions.discard)(member.position)
                self._register.keep(member)
            done.append(member_body(member, self.of(member), self._list_id))
        return done, refused

    def list_members(self, call: Call) -> Answer:
        """Members of a tag; only subscribed ones unless more is asked for."""
        check_query(call, "include_unsubscribed", "include_cleaned", "include_transactional")
        tag = self._tag(call)
        codes = [SUBSCRIBED]
        for name, code in (
            ("include_unsubscribed", UNSUBSCRIBED),
            ("include_cleaned", CLEANED),
            ("include_transactional", TRANSACTIONAL),
        ):
            codes += [code] if flag(call, name) else []
        positions = self._members(tag, tuple(codes))
        rows = [self._register.member(position) for position in page_of(call, positions)]
        members = [member_body(member, self.of(member), self._list_id) for member in rows]
        return shaped(call, {"members": members, "total_items": len(positions)})

    def _members(self, tag: Tag, codes: tuple[int, ...]) -> list[int]:
        # The pages of one listing follow each other, so the last one that was worked out is kept.
        key = (tag.tag_id, codes, self._register.version, len(tag.positions))
        if self._pages is None or self._pages[0] != key:
            positions = np.sort(np.fromiter(tag.positions, np.int64, len(tag.positions)))
            wanted = np.isin(self._register.statuses[positions], codes)
            self._pages = key, positions[wanted].tolist()
        return self._pages[1]

    def _tag(self, call: Call) -> Tag:
        text = call.params["segment_id"]
        if text == str(SAVED_SEGMENT_ID):
            raise problem(400, "Bad Request", "Members of a saved segment follow from its conditions.")
        tag = self._tags.get(int(text)) if text.isascii() and text.isdigit() else None
        if tag is None:
            raise not_found(f"segment {text}")
        return tag

    def _on_list(self, email: str) -> Member | None:
        member = self._register.by_email(email)
        return None if member is None or member.status == "archived" else member

    def _segment(self, tag: Tag) -> JsonObject:
        positions = np.fromiter(tag.positions, np.int64, len(tag.positions))
        return {
            "id": tag.tag_id,
            "name": tag.name,
            "member_count": int(np.count_nonzero(self._register.statuses[positions] != ARCHIVED)),
            "type": "static",
            "created_at": stamp(tag.created_ms),
            "updated_at": stamp(tag.updated_ms),
            "options": {"match": "any", "conditions": []},
            "list_id": self._list_id,
        }

    def _saved(self) -> JsonObject:
        return {
            "id": SAVED_SEGMENT_ID,
            "name": "Subscribed",
            "member_count": int(np.count_nonzero(self._register.statuses == SUBSCRIBED)),
            "type": "saved",
            "created_at": stamp(self._today_ms - 300 * facts.DAY_MS),
            "updated_at": stamp(self._today_ms - 300 * facts.DAY_MS),
            "options": {"match": "all", "conditions": [{"field": "status", "op": "is", "value": "subscribed"}]},
            "list_id": self._list_id,
        }
