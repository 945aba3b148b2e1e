"""Contacts: reading them, and every way of writing to one."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.company import Company
from millstream.sandbox.intercom.attributes import Attributes
from millstream.sandbox.intercom.book import Book, Entry, State
from millstream.sandbox.intercom.errors import invalid, refusal
from millstream.sandbox.intercom.paging import check_names, page, search_body, searched
from millstream.sandbox.intercom.people import Contact, make_contact
from millstream.sandbox.intercom.search import narrowed
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, route

_ADDRESS = re.compile(r"[^@\s,;<>\"']+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{4,24}")
NAMED_BY = ("email", "external_id", "role")


class ContactBody(BaseModel):
    """Body of `POST /contacts` and `PUT /contacts/{id}`."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "lead"] | None = None
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    avatar: str | None = None
    signed_up_at: int | None = None
    last_seen_at: int | None = None
    owner_id: int | None = None
    unsubscribed_from_emails: bool | None = None
    custom_attributes: dict[str, object] | None = None


class Contacts:
    """The endpoints about contacts, their tags apart."""

    def __init__(self, company: Company, book: Book, attributes: Attributes) -> None:
        self._company = company
        self._book = book
        self._attributes = attributes

    def routes(self) -> list[Route]:
        """The endpoints; the more particular paths stand first."""
        one = "/contacts/{contact_id}"
        return [
            route("POST", "/contacts/search", self._search),
            route("GET", "/contacts", self._list),
            route("POST", "/contacts", self._create, "write"),
            route("GET", "/contacts/find_by_external_id/{external_id}", self._by_external_id),
            route("GET", one, self._one),
            route("PUT", one, self._update, "write"),
            route("DELETE", one, self._delete, "write"),
            route("POST", f"{one}/archive", self._archive, "write"),
            route("POST", f"{one}/unarchive", self._unarchive, "write"),
            route("POST", f"{one}/block", self._block, "write"),
            route("GET", f"{one}/merge_history", self._merge_history),
        ]

    # Reading

    def _search(self, call: Call) -> Answer:
        check_names(call.query, {"include_merge_history"})
        history = call.query.get("include_merge_history") == "true"
        found = narrowed(search_body(call).get("query"), self._look_up)
        entries = self._book.listed() if found is None else filter(self._book.is_listed, found.values())
        return searched(call, [self._row(entry, history=history) for entry in entries], "data", "list")

    def _look_up(self, field: str, value: str) -> dict[str, Entry] | None:
        """The only contacts that can have a value, or None where that is not known without looking at all."""
        found: list[Entry] | None = None
        if field == "id":
            entry = self._book.get(value)
            found = [] if entry is None else [entry]
        elif field == "external_id":
            found = self._book.with_external_id(value)
        elif field == "email":
            found = self._book.with_email(value)
        elif field == "tag_id":
            found = self._book.tagged(value)
        return None if found is None else {entry.contact_id: entry for entry in found}

    def _row(self, entry: Entry, *, history: bool = False) -> JsonObject:
        row, merges = self._book.row(entry), self._merges(entry) if history else []
        return {**row, "merge_history": merges} if merges else row

    def _list(self, call: Call) -> Answer:
        check_names(call.query, {"per_page", "starting_after"})
        rows = [self._book.row(entry) for entry in self._book.listed()]
        return page(call, rows, ("data", "list"), {"per_page": 50, **call.query})

    def _by_external_id(self, call: Call) -> Answer:
        for entry in self._book.with_external_id(call.params["external_id"]):
            if entry.state == "active":
                return Answer(self._book.row(entry))
        raise _not_found()

    def _one(self, call: Call) -> Answer:
        return Answer(self._book.row(self._active(call)))

    def _merge_history(self, call: Call) -> Answer:
        entry = self._active(call)
        if self._book.row(entry)["role"] != "user":
            raise refusal(404, "not_found", "Merge history is kept for users only")
        rows = self._merges(entry)
        pages = {"type": "cursor_pages", "per_page": 50, "next": None}
        return Answer({"type": "list", "data": rows, "total_count": len(rows), "pages": pages})

    def _merges(self, entry: Entry) -> list[JsonObject]:
        return [] if entry.index is None else _history(make_contact(self._company, entry.index))

    def _active(self, call: Call) -> Entry:
        entry = self._book.get(call.params["contact_id"])
        if entry is None or entry.state != "active":
            raise _not_found()
        return entry

    # Writing

    def _create(self, call: Call) -> Answer:
        """Make a contact. One who is there already, archived or not, is refused and named by id."""
        body = call.body_as(ContactBody)
        if all(getattr(body, name) is None for name in NAMED_BY):
            raise invalid("one of email, external_id or role is required")
        entry = self._book.create()
        entry.changes["role"] = body.role or "user"
        return self._written(call, entry, body)

    def _update(self, call: Call) -> Answer:
        entry = self._active(call)
        return self._written(call, entry, call.body_as(ContactBody))

    def _written(self, call: Call, entry: Entry, body: ContactBody) -> Answer:
        before = self._book.row(entry)
        given = body.model_dump(exclude_unset=True)
        custom = given.pop("custom_attributes", None) or {}
        after = {**before, **given}
        if call.refuses(str(after["external_id"] or after["email"]).lower()):
            raise invalid("This contact cannot be saved")
        self._check(before, given, after)
        self._attributes.check(custom)
        self._refuse_conflict(entry, after)
        if before["unsubscribed_from_emails"] and given.get("unsubscribed_from_emails") is False:
            self._book.resubscribed.append(entry.contact_id)
        if given.get("unsubscribed_from_emails", 0) is None:
            del given["unsubscribed_from_emails"]
        entry.changes.update(given)
        entry.custom.update(custom)
        self._book.keep(entry)
        return Answer(self._book.row(entry))

    @staticmethod
    def _check(before: JsonObject, given: JsonObject, after: JsonObject) -> None:
        email, phone = given.get("email"), given.get("phone")
        if email and not _ADDRESS.fullmatch(str(email)):
            raise invalid("Email is not a valid email address")
        if phone and not _PHONE.fullmatch(str(phone)):
            raise invalid("Phone is not a valid phone number")
        if "role" in given and given["role"] is None:
            raise invalid("role must be user or lead")
        if before["role"] == "user" and after["role"] == "lead" and before.get("external_id") is not None:
            raise invalid("a user cannot become a lead")
        if after["role"] == "lead" and given.get("external_id") is not None:
            raise invalid("external_id can be given to users only")

    def _refuse_conflict(self, entry: Entry, after: JsonObject) -> None:
        """Two users can share neither the client's id nor the address; leads may share an address."""
        if after["role"] != "user":
            return
        others: list[Entry] = []
        if after["external_id"]:
            others += self._book.with_external_id(str(after["external_id"]))
        if after["email"]:
            others += self._book.with_email(str(after["email"]))
        for other in others:
            if other.contact_id == entry.contact_id or self._book.row(other)["role"] != "user":
                continue
            which = "A" if other.state == "active" else "An archived"
            message = f"{which} contact matching those details already exists with id={other.contact_id}"
            raise refusal(409, "conflict", message)

    def _archive(self, call: Call) -> Answer:
        return self._moved(call, "archived", {"archived": True})

    def _unarchive(self, call: Call) -> Answer:
        return self._moved(call, "active", {"archived": False})

    def _block(self, call: Call) -> Answer:
        return self._moved(call, "blocked", {"blocked": True})

    def _delete(self, call: Call) -> Answer:
        """Take a contact out for good, archived ones too."""
        return self._moved(call, "deleted", {"deleted": True})

    def _moved(self, call: Call, state: State, told: JsonObject) -> Answer:
        entry = self._book.get(call.params["contact_id"])
        if entry is None or entry.state == "deleted" or (entry.state == "blocked" and state != "deleted"):
            raise _not_found()
        entry.state = state
        self._book.keep(entry)
        named: JsonObject = {"type": "contact", "id": entry.contact_id}
        return Answer({**named, "external_id": self._book.row(entry)["external_id"], **told})


def _not_found() -> ApiError:
    return refusal(404, "not_found", "User Not Found")


def _history(contact: Contact) -> list[JsonObject]:
    return [
        {"type": "merge_history", "source_contact_id": lead, "target_contact_id": contact.contact_id,
         "merged_at": contact.created + 60}
        for lead in contact.merged
    ]  # fmt: skip
