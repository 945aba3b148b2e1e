"""Tags, and the subscriptions that a contact can leave."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.intercom.book import Book, Entry
from millstream.sandbox.intercom.errors import invalid, refusal
from millstream.sandbox.intercom.paging import check_names
from millstream.sandbox.intercom.people import TAGS
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

FIRST_NEW = 7101
NEWSLETTERS = "201"


class Tagged(BaseModel):
    """One contact to be tagged."""

    model_config = ConfigDict(extra="forbid")

    id: str


class TagBody(BaseModel):
    """Body of `POST /tags`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    id: str | None = None
    users: list[Tagged] = Field(default_factory=list)


class TagOfContact(BaseModel):
    """Body of `POST /contacts/{id}/tags`."""

    model_config = ConfigDict(extra="forbid")

    id: str | int


class Choice(BaseModel):
    """Body of `POST /contacts/{id}/subscriptions`."""

    model_config = ConfigDict(extra="forbid")

    id: str | int
    consent_type: str


class Tags:
    """All tags, and the endpoints about them."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.names = dict(TAGS)
        self._next_id = FIRST_NEW

    def routes(self) -> list[Route]:
        """The endpoints."""
        of_contact = "/contacts/{contact_id}"
        return [
            route("GET", "/tags", self._list),
            route("POST", "/tags", self._write, "write"),
            route("GET", "/tags/{tag_id}", self._get),
            route("DELETE", "/tags/{tag_id}", self._delete, "write"),
            route("GET", f"{of_contact}/tags", self._of_contact),
            route("POST", f"{of_contact}/tags", self._tag, "write"),
            route("DELETE", f"{of_contact}/tags/{{tag_id}}", self._untag, "write"),
            route("GET", "/subscription_types", self._subscription_types),
            route("GET", f"{of_contact}/subscriptions", self._subscriptions),
            route("POST", f"{of_contact}/subscriptions", self._choose, "write"),
            route("DELETE", f"{of_contact}/subscriptions/{{subscription_id}}", self._rejoin, "write"),
        ]

    # Tags

    def _list(self, call: Call) -> Answer:
        check_names(call.query, set())
        return Answer({"type": "list", "data": [self._shown(tag_id) for tag_id in self.names]})

    def _get(self, call: Call) -> Answer:
        return Answer(self._shown(self._known(call.params["tag_id"])))

    def _write(self, call: Call) -> Answer:
        """Make a tag or find the one of that name, give it another name, or tag a list of contacts."""
        try:
            body = TagBody.model_validate(call.json())
        except ValueError as error:
            raise invalid("invalid tag parameters") from error
        entries = [self._contact(user.id) for user in body.users]
        tag_id = self._named(body.name)
        if body.id is not None:
            if tag_id is not None and tag_id != body.id:
                raise invalid("a tag of that name exists")
            tag_id = self._known(body.id)
            self.names[tag_id] = body.name
        if tag_id is None:
            tag_id = str(self._next_id)
            self.names[tag_id] = body.name
            self._next_id += 1
        for entry in entries:
            self._put(entry, tag_id)
        return Answer(self._shown(tag_id))

    def _delete(self, call: Call) -> Answer:
        """Drop a tag that no contact has any more, or that some have: it leaves them all."""
        tag_id = self._known(call.params["tag_id"])
        for entry in [entry for entry in self._book.listed() if tag_id in entry.tags]:
            entry.tags = [tag for tag in entry.tags if tag != tag_id]
            self._book.keep(entry, changed=False)
        del self.names[tag_id]
        return Answer({})

    def _of_contact(self, call: Call) -> Answer:
        entry = self._contact(call.params["contact_id"])
        return Answer({"type": "list", "data": [self._applied(tag_id) for tag_id in entry.tags]})

    def _tag(self, call: Call) -> Answer:
        """Tag one contact; doing it twice changes nothing."""
        entry = self._contact(call.params["contact_id"])
        tag_id = self._known(str(call.body_as(TagOfContact).id))
        self._put(entry, tag_id)
        return Answer(self._applied(tag_id))

    def _untag(self, call: Call) -> Answer:
        """Take a tag off one contact; where it has none, nothing happens."""
        entry, tag_id = self._contact(call.params["contact_id"]), self._known(call.params["tag_id"])
        if tag_id in entry.tags:
            entry.tags = [tag for tag in entry.tags if tag != tag_id]
            self._book.keep(entry)
        return Answer(self._applied(tag_id))

    def _put(self, entry: Entry, tag_id: str) -> None:
        if tag_id not in entry.tags:
            entry.tags = [*entry.tags, tag_id]
            self._book.keep(entry)

    def _named(self, name: str) -> str | None:
        return next((tag_id for tag_id, own in self.names.items() if own.lower() == name.lower()), None)

    def _known(self, tag_id: str) -> str:
        if tag_id not in self.names:
            raise refusal(404, "not_found", "Resource Not Found")
        return tag_id

    def _contact(self, contact_id: str) -> Entry:
        entry = self._book.get(contact_id)
        if entry is None or entry.state != "active":
            raise refusal(404, "not_found", "User Not Found")
        return entry

    def _shown(self, tag_id: str) -> JsonObject:
        return {"type": "tag", "id": tag_id, "name": self.names[tag_id]}

    def _applied(self, tag_id: str) -> JsonObject:
        by = {"type": "admin", "id": "814860"}
        return {**self._shown(tag_id), "applied_at": int(time.time()), "applied_by": by}

    # Subscriptions

    @staticmethod
    def _subscription() -> JsonObject:
        told = {"name": "Newsletters", "description": "News of the shop", "locale": "en"}
        return {
            "type": "subscription",
            "id": NEWSLETTERS,
            "state": "live",
            "consent_type": "opt_out",
            "default_translation": told,
            "translations": [told],
            "content_types": ["email"],
        }

    def _subscription_types(self, call: Call) -> Answer:
        check_names(call.query, set())
        return Answer({"type": "list", "data": [self._subscription()]})

    def _subscriptions(self, call: Call) -> Answer:
        """The subscriptions a contact has left."""
        left = self._contact(call.params["contact_id"]).opted_out
        return Answer({"type": "list", "data": [self._subscription()] if left else []})

    def _choose(self, call: Call) -> Answer:
        choice = call.body_as(Choice)
        if choice.consent_type not in {"opt_in", "opt_out"}:
            raise invalid("consent_type must be opt_in or opt_out")
        return self._chosen(call, str(choice.id), out=choice.consent_type == "opt_out")

    def _rejoin(self, call: Call) -> Answer:
        return self._chosen(call, call.params["subscription_id"], out=False)

    def _chosen(self, call: Call, subscription_id: str, *, out: bool) -> Answer:
        entry = self._contact(call.params["contact_id"])
        if subscription_id != NEWSLETTERS:
            raise refusal(404, "not_found", "Resource Not Found")
        if entry.opted_out and not out:
            self._book.resubscribed.append(entry.contact_id)
        entry.opted_out = {NEWSLETTERS} if out else set()
        self._book.keep(entry)
        return Answer(self._subscription())
