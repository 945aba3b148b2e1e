"""Contacts one by one: sync, create, read, search, delete, their field values, lists and tags."""

from __future__ import annotations

from collections.abc import Callable

from millstream.sandbox.activecampaign.definitions import Definitions
from millstream.sandbox.activecampaign.errors import missing, missing_attribute, unprocessable
from millstream.sandbox.activecampaign.register import Contact, Register, fits
from millstream.sandbox.activecampaign.shapes import inner, needed_number, number_in, text_in, window
from millstream.sandbox.activecampaign.writing import (
    check_address,
    contact_body,
    contact_list_row,
    contact_tag_rows,
    field_value_rows,
    set_values,
    values_by_field,
)
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, route

NAMES = (("firstName", "first_name"), ("lastName", "last_name"), ("phone", "phone"))
LIST_STATUSES = (1, 2)


class Contacts:
    """Handlers for single contacts."""

    def __init__(self, register: Register, definitions: Definitions) -> None:
        self._register = register
        self._definitions = definitions

    def routes(self) -> list[Route]:
        """The endpoints about contacts."""
        one = "/api/3/contacts/{number}"
        return [
            route("POST", "/api/3/contact/sync", self.sync),
            route("POST", "/api/3/contacts", self.create),
            route("GET", "/api/3/contacts", self.list_contacts),
            route("GET", one, self.get),
            route("PUT", one, self.update),
            route("DELETE", one, self.delete, "delete contacts"),
            route("GET", f"{one}/fieldValues", self.list_values_of),
            route("GET", f"{one}/contactLists", self.list_lists_of),
            route("GET", f"{one}/contactTags", self.list_tags_of),
            route("POST", "/api/3/fieldValues", self.set_value),
            route("POST", "/api/3/contactLists", self.set_list),
            route("POST", "/api/3/contactTags", self.add_tag),
            route("DELETE", "/api/3/contactTags/{number}", self.remove_tag),
        ]

    # Writing

    def sync(self, call: Call) -> Answer:
        """Create or update by address: 201 for a new contact, 200 for one that was there."""
        wanted = inner(call, "contact")
        email = self._checked_email(call, wanted)
        found = self._register.by_email(email)
        contact = found or self._register.create(email)
        return self._write(call, contact, wanted, 201 if found is None else 200)

    def create(self, call: Call) -> Answer:
        """Create only: an address that is there is refused."""
        wanted = inner(call, "contact")
        email = self._checked_email(call, wanted)
        if self._register.by_email(email) is not None:
            raise unprocessable("Email address already exists in the system", "duplicate", "email")
        return self._write(call, self._register.create(email), wanted, 201)

    def update(self, call: Call) -> Answer:
        """Update by id, the address too."""
        contact, wanted = self._contact(call.params["number"]), inner(call, "contact")
        if "email" in wanted:
            email = self._checked_email(call, wanted)
            other = self._register.by_email(email)
            if other is not None and other.number != contact.number:
                raise unprocessable("Email address already exists in the system", "duplicate", "email")
            self._register.rename(contact, email)
        return self._write(call, contact, wanted, 200)

    def delete(self, call: Call) -> Answer:
        """Delete for good."""
        self._register.forget(self._contact(call.params["number"], "contact"))
        return Answer({})

    def _checked_email(self, call: Call, wanted: JsonObject) -> str:
        email = check_address(wanted.get("email"))
        if call.refuses(email.lower()):
            raise unprocessable("The contact cannot be saved.", "field_invalid", "email")
        return email

    def _write(self, call: Call, contact: Contact, wanted: JsonObject, status: int) -> Answer:
        values = values_by_field(wanted.get("fieldValues"), "field", self._definitions.fields)
        for name, attribute in NAMES:
            if name in wanted:
                setattr(contact, attribute, text_in(wanted, name))
        set_values(contact, values)
        self._register.keep(contact)
        rows = field_value_rows(call, contact)
        body = {**contact_body(call, contact), "fieldValues": [row["id"] for row in rows]}
        return Answer({"fieldValues": rows, "contact": body}, status)

    def set_value(self, call: Call) -> Answer:
        """Write one field of one contact."""
        wanted = inner(call, "fieldValue")
        contact = self._contact(needed_number(wanted, "contact"))
        if "value" not in wanted:
            raise missing_attribute("value")
        set_values(contact, values_by_field([wanted], "field", self._definitions.fields))
        self._register.keep(contact)
        rows = [row for row in field_value_rows(call, contact) if row["field"] == str(wanted["field"])]
        return Answer({"contacts": [contact_body(call, contact)], "fieldValue": rows[0] if rows else None})

    # Lists and tags of a contact

    def set_list(self, call: Call) -> Answer:
        """Subscribe or unsubscribe. The vendor does what it is told: who had left is brought back."""
        wanted = inner(call, "contactList")
        number, status = needed_number(wanted, "list"), needed_number(wanted, "status")
        contact = self._contact(needed_number(wanted, "contact"))
        if number not in self._definitions.lists:
            raise missing("_List", number)
        if status not in LIST_STATUSES:
            raise unprocessable("The status must be 1 or 2", "field_invalid", "status")
        if call.refuses(contact.email.lower()):
            raise unprocessable("The contact's list cannot be changed.", "field_invalid", "contact")
        self._register.set_list(contact, number, status)
        self._register.keep(contact)
        # Here, and only here, the status is a number.
        row: JsonObject = {**contact_list_row(call, contact, number), "status": status}
        return Answer({"contacts": [contact_body(call, contact)], "contactList": row})

    def add_tag(self, call: Call) -> Answer:
        """Tag a contact; to do so twice changes nothing."""
        wanted = inner(call, "contactTag")
        contact = self._register.contact(needed_number(wanted, "contact"))
        tag = needed_number(wanted, "tag")
        if contact is None or tag not in self._definitions.tags:
            what = "Contact" if contact is None else "Tag"
            problem = {"status": 404, "title": "Not Found", "detail": f"{what} not found"}
            raise ApiError(404, {"errors": [problem]})
        if call.refuses(contact.email.lower()):
            raise unprocessable("The contact cannot be tagged.", "field_invalid", "contact")
        number = self._register.add_tag(contact, tag)
        self._register.keep(contact)
        row = next(row for row in contact_tag_rows(call, contact) if row["id"] == str(number))
        return Answer({"contactTag": row}, 201)

    def remove_tag(self, call: Call) -> Answer:
        """Take a tag off, by the id of the contact's tag."""
        found = self._register.by_contact_tag(number_in(call.params["number"]) or 0)
        if found is None:
            raise missing("SubscriberTag", call.params["number"])
        contact, tag = found
        if call.refuses(contact.email.lower()):
            raise unprocessable("The tag cannot be removed.", "field_invalid", "contact")
        self._register.remove_tag(contact, tag)
        self._register.keep(contact)
        return Answer({})

    # Reading

    def list_contacts(self, call: Call) -> Answer:
        """Contacts by list, status, tag, address or search, by offset or after an id."""
        numbers = self._found(call)
        for name, later in (("id_greater", True), ("id_less", False)):
            edge = number_in(call.query.get(name, ""))
            if edge is not None:
                numbers = [number for number in numbers if (number > edge if later else number < edge)]
        if call.query.get("orders[id]", "ASC").upper() == "DESC":
            numbers.reverse()
        start, end = window(call)
        contacts = [self._contact(number) for number in numbers[start:end]]
        asked: JsonObject = {"limit": end - start, "offset": start, "status": call.query.get("status", -1)}
        body: JsonObject = {
            "scoreValues": [],
            **self._included(call, contacts),
            "contacts": [contact_body(call, contact) for contact in contacts],
            "meta": {"total": str(len(numbers)), "page_input": asked},
        }
        return Answer(body)

    def _found(self, call: Call) -> list[int]:
        given = call.query
        listid, tag = number_in(given.get("listid", "")), number_in(given.get("tagid", ""))
        # -1 stands for any status, and so does none at all.
        status = number_in(given.get("status", ""))
        ids = {number_in(value) for name, value in call.query_list if name in {"ids[]", "ids"}}
        if ids or "email" in given:
            mine = self._register.by_email(given["email"]) if "email" in given else None
            wanted = {mine.number} if mine is not None else set() if "email" in given else ids
            found = [one for one in (self._register.contact(number or 0) for number in wanted) if one is not None]
            return sorted(one.number for one in found if fits(one, listid, status, tag))
        part = given.get("search", given.get("email_like", "")).lower()
        return self._register.matching(listid, status, tag, _holding(part) if part else None)

    def _included(self, call: Call, contacts: list[Contact]) -> JsonObject:
        made: JsonObject = {}
        asked = call.query.get("include", "").split(",")
        if "fieldValues" in asked:
            made["fieldValues"] = [row for one in contacts for row in field_value_rows(call, one)]
        if "contactLists" in asked:
            made["contactLists"] = [contact_list_row(call, one, number) for one in contacts for number in one.lists]
        if "contactTags" in asked:
            made["contactTags"] = [row for one in contacts for row in contact_tag_rows(call, one)]
        return made

    def get(self, call: Call) -> Answer:
        """One contact, with its lists and field values."""
        contact = self._contact(call.params["number"])
        body: JsonObject = {
            "contactLists": [contact_list_row(call, contact, number) for number in contact.lists],
            "fieldValues": field_value_rows(call, contact),
            "contact": contact_body(call, contact),
        }
        return Answer(body)

    def list_values_of(self, call: Call) -> Answer:
        """One contact's field values, whole."""
        return Answer({"fieldValues": field_value_rows(call, self._contact(call.params["number"]))})

    def list_lists_of(self, call: Call) -> Answer:
        """One contact's lists, whole."""
        contact = self._contact(call.params["number"])
        return Answer({"contactLists": [contact_list_row(call, contact, number) for number in contact.lists]})

    def list_tags_of(self, call: Call) -> Answer:
        """One contact's tags."""
        return Answer({"contactTags": contact_tag_rows(call, self._contact(call.params["number"]))})

    def _contact(self, number: object, kind: str = "Subscriber") -> Contact:
        found = self._register.contact(number_in(number) or 0)
        if found is None:
            raise missing(kind, number)
        return found


def _holding(part: str) -> Callable[[Contact], bool]:
    return lambda one: part in f"{one.email} {one.first_name} {one.last_name} {one.phone}".lower()
