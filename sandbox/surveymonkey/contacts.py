"""The address book, its lists, and the recipients of invitations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, choose_many, cut, cuts, draw, share
from millstream.sandbox.surveymonkey.errors import refusal
from millstream.sandbox.surveymonkey.forms import Form, form_of_collector
from millstream.sandbox.surveymonkey.pages import Page, check_query, includes, one_of
from millstream.sandbox.surveymonkey.responses import Responses, answered_by_invitation
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

STATUSES = ("active", "optout", "bounced")
FIELDS = ("Customer number", "City", "Custom 3", "Custom 4", "Custom 5", "Custom 6")
EVERYBODY, SHOP_CUSTOMERS = "30000001", "30000002"
LISTS = {EVERYBODY: "Everybody", SHOP_CUSTOMERS: "Shop customers"}
LISTING = ("status", "sort_by", "sort_order", "search_by", "search")
SORT_FIELDS = ("email", "first_name", "last_name")
RECIPIENT_EXTRAS = (
    "survey_response_status",
    "mail_status",
    "custom_fields",
    "remove_link",
    "extra_fields",
    "survey_link",
)

# As in `facts.make_survey_contact`, which has the last word; a test compares.
KNOWN_CUT = cut(0.20)
STATUS_CUTS = cuts(0.06, 0.04)
STATUS_ORDER = ("optout", "bounced", "active")

Indexes = NDArray[np.int64]


class AddressBook:
    """Handlers for contacts, contact lists and recipients."""

    def __init__(self, company: Company, responses: Responses) -> None:
        self._company = company
        self._responses = responses
        self.forget()

    def forget(self) -> None:
        """Drop what was worked out about the company."""
        self._advances = -1
        self._by_status: dict[str, Indexes] = {}

    def routes(self) -> list[Route]:
        """The endpoints with the scope each needs."""
        inside_list = "/v3/contact_lists/{list_id}"
        collector = "/v3/collectors/{collector_id}"
        return [
            route("GET", "/v3/contact_fields", self.fields, "contacts_read"),
            route("GET", "/v3/contact_lists", self.lists, "contacts_read"),
            route("GET", inside_list, self.one_list, "contacts_read"),
            route("GET", f"{inside_list}/contacts/bulk", self.bulk, "contacts_read"),
            route("GET", f"{inside_list}/contacts", self.thin, "contacts_read"),
            route("GET", "/v3/contacts/bulk", self.bulk, "contacts_read"),
            route("GET", "/v3/contacts", self.thin, "contacts_read"),
            route("GET", "/v3/contacts/{contact_id}", self.one, "contacts_read"),
            route("GET", f"{collector}/messages", self.messages, "collectors_read"),
            route(
                "GET",
                f"{collector}/messages/{{message_id}}/recipients",
                self.recipients,
                "collectors_read",
            ),
            route("GET", f"{collector}/recipients", self.recipients, "collectors_read"),
            route(
                "GET",
                f"{collector}/recipients/{{recipient_id}}",
                self.one_recipient,
                "collectors_read",
            ),
        ]

    # Contacts

    def fields(self, call: Call) -> Answer:
        """Labels of the six custom fields."""
        check_query(call)
        page = Page(call, len(FIELDS))
        rows: list[JsonObject] = [
            {"id": str(number), "label": label, "href": f"{call.base_url}/v3/contact_fields/{number}"}
            for number, label in enumerate(FIELDS, start=1)
        ]
        return page.answer(rows[page.rows])

    def lists(self, call: Call) -> Answer:
        """Both contact lists; whoever is on the second is on the first as well."""
        check_query(call)
        page = Page(call, len(LISTS))
        return page.answer([self._list(call, list_id) for list_id in list(LISTS)[page.rows]])

    def one_list(self, call: Call) -> Answer:
        """One contact list."""
        return Answer(self._list(call, call.params["list_id"]))

    def _list(self, call: Call, list_id: str) -> JsonObject:
        if list_id not in LISTS:
            raise refusal(1020, f"There is no contact list {list_id}.")
        return {"id": list_id, "name": LISTS[list_id], "href": f"{call.base_url}/v3/contact_lists/{list_id}"}

    def thin(self, call: Call) -> Answer:
        """Contacts without their custom fields."""
        return self._listing(call, whole=False)

    def bulk(self, call: Call) -> Answer:
        """Contacts with their custom fields."""
        return self._listing(call, whole=True)

    def one(self, call: Call) -> Answer:
        """One contact with all fields."""
        text = call.params["contact_id"]
        index = int(text) - facts.SURVEY_CONTACT_ID if text.isascii() and text.isdigit() else -1
        if not 0 <= index < self._company.population or self._company.survey_contact(index) is None:
            raise refusal(1020, f"There is no contact {text}.")
        return Answer(self._contact(call, index, whole=True))

    def _listing(self, call: Call, *, whole: bool) -> Answer:
        check_query(call, *LISTING)
        people = self._with_status(one_of(call, "status", STATUSES, "active"))
        if "list_id" in call.params:
            self._list(call, call.params["list_id"])
            if call.params["list_id"] == SHOP_CUSTOMERS:
                people = people[self._shop_customers(people)]
        people = self._sorted_and_searched(call, people)
        page = Page(call, len(people))
        return page.answer([self._contact(call, int(index), whole=whole) for index in people[page.rows]])

    def _sorted_and_searched(self, call: Call, people: Indexes) -> Indexes:
        order = one_of(call, "sort_order", ("ASC", "DESC"), "ASC")
        if "sort_by" in call.query or "search" in call.query:
            by = one_of(call, "sort_by", SORT_FIELDS, "email")
            where = one_of(call, "search_by", SORT_FIELDS, "email")
            needle = call.query.get("search", "").lower()
            rows = [(index, self._contact(call, index, whole=False)) for index in people.tolist()]
            found = [(str(row[by]), index) for index, row in rows if needle in str(row[where]).lower()]
            people = np.asarray([index for _, index in sorted(found)], dtype=np.int64)
        return people if order == "ASC" else people[::-1]

    def _contact(self, call: Call, index: int, *, whole: bool) -> JsonObject:
        entry, person = self._company.survey_contact(index), self._company.person(index)
        if entry is None:
            raise refusal(1020)
        contact: JsonObject = {
            "id": str(entry.contact_id),
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": entry.email,
            "phone_number": person.phone,
            "href": f"{call.base_url}/v3/contacts/{entry.contact_id}",
        }
        return {**contact, "custom_fields": self._custom_fields(index)} if whole else contact

    def _custom_fields(self, index: int) -> dict[str, str]:
        person = self._company.person(index)
        city = {"2": person.city}
        return city if person.customer_id is None else {"1": person.customer_id, **city}

    # Who is in the address book

    def _with_status(self, status: str) -> Indexes:
        if self._advances != self._company.advances:
            self._advances = self._company.advances
            self._by_status = self._read_everybody()
        return self._by_status[status]

    def _read_everybody(self) -> dict[str, Indexes]:
        company = self._company
        bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
        bits = draw(bases, facts.SURVEYS)
        reachable = company.columns.contact_count[: company.people] > 0
        invited = answered_by_invitation(bases, "nps") | answered_by_invitation(bases, "satisfaction")
        known = (share(bits, 0) < KNOWN_CUT) | (invited & reachable)
        for index in company.changes:
            if index < company.people:
                known[index] = company.survey_contact(index) is not None
        places = choose_many(STATUS_CUTS, share(bits, 1))
        return {
            status: np.flatnonzero(known & (places == place)).astype(np.int64)
            for place, status in enumerate(STATUS_ORDER)
        }

    def _shop_customers(self, people: Indexes) -> NDArray[np.bool_]:
        bases = bases_of(self._company.key, people.astype(np.uint64))
        return np.asarray(share(draw(bases, facts.LINKS), 1) < facts.CUSTOMER_CUT, dtype=np.bool_)

    # Invitations

    def messages(self, call: Call) -> Answer:
        """The one invitation of an e-mail collector; a web link has none."""
        check_query(call)
        form = form_of_collector(call.params["collector_id"])
        invites = [form.email_collector] if call.params["collector_id"] == form.email_collector else []
        page = Page(call, len(invites))
        return page.answer(
            [
                {
                    "id": f"9{collector_id}",
                    "type": "invite",
                    "status": "sent",
                    "href": f"{call.base_url}/v3/collectors/{collector_id}/messages/9{collector_id}",
                }
                for collector_id in invites[page.rows]
            ]
        )

    def recipients(self, call: Call) -> Answer:
        """Who was invited through a collector."""
        check_query(call, "include")
        extras = includes(call, RECIPIENT_EXTRAS)
        form = form_of_collector(call.params["collector_id"])
        if call.params.get("message_id", f"9{form.email_collector}") != f"9{form.email_collector}":
            raise refusal(1020, f"There is no message {call.params['message_id']}.")
        people = self._invited_to(call, form)
        page = Page(call, len(people))
        shown = {"id", "email", "phone_number", "href"} | extras
        rows = [self._recipient(call, form, index) for index in people[page.rows].tolist()]
        return page.answer([{name: value for name, value in row.items() if name in shown} for row in rows])

    def one_recipient(self, call: Call) -> Answer:
        """One recipient with all fields."""
        form = form_of_collector(call.params["collector_id"])
        text = call.params["recipient_id"]
        index = int(text) - facts.RECIPIENT_ID if text.isascii() and text.isdigit() else -1
        if not np.any(self._invited_to(call, form) == index):
            raise refusal(1020, f"There is no recipient {text}.")
        return Answer(self._recipient(call, form, index))

    def _invited_to(self, call: Call, form: Form) -> Indexes:
        people = self._responses.invited(form)
        return people if call.params["collector_id"] == form.email_collector else people[:0]

    def _recipient(self, call: Call, form: Form, index: int) -> JsonObject:
        person, answer = self._company.person(index), self._responses.answer(form, index)
        return {
            "id": str(answer.recipient_id),
            "email": answer.email,
            "phone_number": None,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "href": f"{call.base_url}/v3/collectors/{form.email_collector}/recipients/{answer.recipient_id}",
            "survey_response_status": "completely_responded",
            "mail_status": "sent",
            "custom_fields": self._custom_fields(index),
            "extra_fields": {},
            "remove_link": f"https://surveys.example.com/optout?sm={answer.recipient_id}",
            "survey_link": f"https://surveys.example.com/r/?sm={answer.recipient_id}",
        }
