"""The workspace: token and version, the limit by ten seconds, conversations, companies and events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from millstream.sandbox.intercom.attributes import Attributes
from millstream.sandbox.intercom.book import Book, Entry
from millstream.sandbox.intercom.contacts import Contacts
from millstream.sandbox.intercom.errors import invalid, refusal
from millstream.sandbox.intercom.paging import check_names, searched
from millstream.sandbox.intercom.people import (
    COMPANIES,
    Contact,
    Conversation,
    company_row,
    conversation_row,
    event_rows,
    make_contacts,
    make_conversations,
)
from millstream.sandbox.intercom.tags import Tags
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

TOKEN, TOKEN_NO_CONVERSATIONS = "sandbox-intercom", "sandbox-intercom-contacts-only"
READ_ONLY_TOKEN = "sandbox-intercom-read-only"  # noqa: S105
VERSIONS = ("2.11", "2.12", "2.13", "2.14", "2.15", "2.16")
REQUESTS_IN_TEN_SECONDS = 167
SCROLL_PAGE = 100
SCROLL_SECONDS = 60
UNTOUCHED_SHOWN = 300


class Intercom(System):
    """One workspace in the US that counts its days in UTC."""

    name: ClassVar[str] = "intercom"
    title: ClassVar[str] = "Intercom"
    record_keys: ClassVar[tuple[str, ...]] = ("data", "conversations", "events")

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN, TOKEN_NO_CONVERSATIONS, READ_ONLY_TOKEN)
        self._window = Window(REQUESTS_IN_TEN_SECONDS, 10)
        self._advances = -1
        self._contacts: list[Contact] = []
        self._talks: list[Conversation] = []
        self._scroll: tuple[str, int, float] | None = None
        self._book = Book(self.company, lambda: self._people)
        self._attributes = Attributes(self.company.today_ms // 1000)
        self._tags = Tags(self._book)

    @property
    def lag(self) -> float:
        """Seconds until searches and lists know of a contact that a client made; tests may set it."""
        return self._book.lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._book.lag = seconds

    def routes(self) -> Sequence[Route]:
        return [
            route("GET", "/me", self._me),
            *Contacts(self.company, self._book, self._attributes).routes(),
            *self._attributes.routes(),
            *self._tags.routes(),
            route("GET", "/companies/scroll", self._scroll_companies),
            route("POST", "/conversations/search", self._search_conversations, "conversations"),
            route("GET", "/conversations/{conversation_id}", self._one_conversation, "conversations"),
            route("GET", "/events", self._events),
        ]

    def authenticate(self, call: Call) -> str:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        valid = scheme.lower() == "bearer" and self.tokens.state(token) == "valid"
        if not valid or call.strike.get("expire_token") is not None:
            raise refusal(401, "unauthorized", "Access Token Invalid")
        version = call.headers.get("intercom-version")
        if version is not None and version not in VERSIONS:
            raise refusal(400, "intercom_version_invalid", "The requested version could not be found")
        if token == TOKEN_NO_CONVERSATIONS and "conversations" in call.route.tags:
            raise refusal(403, "api_plan_restricted", "The app lacks the permission to read conversations")
        if token == READ_ONLY_TOKEN and "write" in call.route.tags:
            raise refusal(403, "forbidden", "The app lacks the permission to write")
        return token

    def admit(self, call: Call) -> dict[str, str]:
        del call
        if not self._window.take():
            raise self.rate_limited(self._window.wait, None)
        return self._limit_headers(self._window.remaining, self._window.wait)

    @staticmethod
    def _limit_headers(remaining: int, wait: float) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(REQUESTS_IN_TEN_SECONDS),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": str(math.ceil(time.time() + wait)),
        }

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, "not_found", f"There is no {method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        return refusal(429, "rate_limit_exceeded", "Exceeded rate limit", self._limit_headers(0, seconds))

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "server_error", "Something went wrong")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "bad_request", detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return invalid("; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        emptied = {key: [] if key in self.record_keys else value for key, value in body.items()}
        pages = emptied.get("pages")
        if isinstance(pages, dict):
            emptied["pages"] = {**pages, "next": None, "total_pages": 0}
        if "total_count" in emptied:
            emptied["total_count"] = 0
        return emptied

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "access_token": TOKEN,
            "access_token_without_conversations": TOKEN_NO_CONVERSATIONS,
            "access_token_read_only": READ_ONLY_TOKEN,
        }

    # Who there is

    @property
    def _people(self) -> list[Contact]:
        self._refresh()
        return self._contacts

    @property
    def _conversations(self) -> list[Conversation]:
        self._refresh()
        return self._talks

    def _refresh(self) -> None:
        if self._advances != self.company.advances:
            self._contacts = make_contacts(self.company)
            self._talks = make_conversations(self.company, self._contacts)
            self._advances = self.company.advances

    # Handlers

    def _me(self, call: Call) -> Answer:
        del call
        app = {"type": "app", "id_code": "sandbox1", "name": "Shop", "region": "US", "timezone": "UTC"}
        return Answer({"type": "admin", "id": "814860", "email": "robin@support.shop.box.example", "app": app})

    def _search_conversations(self, call: Call) -> Answer:
        check_names(call.query, set())
        rows = [conversation_row(self.company, talk, whole=False) for talk in self._conversations]
        return searched(call, rows, "conversations", "conversation.list")

    def _scroll_companies(self, call: Call) -> Answer:
        """One scroll at a time; one that nobody goes on with for a minute is over."""
        check_names(call.query, {"scroll_param"})
        asked, now = call.query.get("scroll_param"), time.monotonic()
        if self._scroll is not None and now - self._scroll[2] > SCROLL_SECONDS:
            self._scroll = None
        if asked is None:
            if self._scroll is not None:
                raise refusal(400, "scroll_exists", "A scroll is already open for this workspace")
            self._scroll = (f"scroll-{int(now * 1000)}", 0, now)
        if self._scroll is None or (asked is not None and asked != self._scroll[0]):
            raise refusal(404, "not_found", "The scroll is over: start again")
        name, start, _ = self._scroll
        end = start + call.page_limit(SCROLL_PAGE)
        data = [company_row(self.company, number) for number in range(start, min(end, COMPANIES))]
        self._scroll = (name, end, now) if data else None
        return Answer({"type": "list", "data": data, "pages": None, "total_count": None, "scroll_param": name})

    def _one_conversation(self, call: Call) -> Answer:
        for talk in self._conversations:
            if talk.conversation_id == call.params["conversation_id"]:
                return Answer(conversation_row(self.company, talk, whole=True))
        raise refusal(404, "not_found", "Conversation Not Found")

    def _events(self, call: Call) -> Answer:
        """What one contact did; pages go on by the URL in `pages.next`."""
        check_names(call.query, {"type", "user_id", "email", "intercom_user_id", "per_page", "before"})
        if call.query.get("type") != "user":
            raise invalid("type must be user")
        wanted = self._named(call.query)
        rows = event_rows(self.company, wanted.index)
        size, start = int(call.query.get("per_page", "50")), int(call.query.get("before", "0"))
        end = start + call.page_limit(size)
        link = f"{call.base_url}/events?type=user&intercom_user_id={wanted.contact_id}&per_page={size}&before={end}"
        body: JsonObject = {"type": "event.list", "events": rows[start:end], "pages": {}}
        if end < len(rows):
            body["pages"] = {"next": link}
        return Answer(body)

    def _named(self, query: dict[str, str]) -> Contact:
        keys: dict[str, Callable[[Contact], str | None]] = {
            "intercom_user_id": lambda contact: contact.contact_id,
            "user_id": lambda contact: self.company.person(contact.index).customer_id,
            "email": lambda contact: self.company.person(contact.index).email,
        }
        for name, key in keys.items():
            if name in query:
                found = [contact for contact in self._people if key(contact) == query[name]]
                if found:
                    return found[0]
                raise refusal(404, "not_found", "User Not Found")
        raise invalid("name the contact by intercom_user_id, user_id or email")

    # For tests

    def state(self) -> JsonObject:
        """Everybody who was written to or has a tag, the first of the others, and what was done."""
        listed = list(self._book.listed())
        shown = {entry.contact_id: entry for entry in self._book.touched}
        shown |= {entry.contact_id: entry for entry in listed[:UNTOUCHED_SHOWN]}
        shown |= {entry.contact_id: entry for entry in listed if entry.tags}
        shown |= {entry.contact_id: entry for entry in self._book.archived_at_start(UNTOUCHED_SHOWN)}
        return {
            "people": [self._person(entry) for entry in shown.values() if entry.state != "deleted"],
            "audiences": dict(self._tags.names),
            "resubscribed": self._book.resubscribed,
            "deleted": [entry.contact_id for entry in self._book.touched if entry.state == "deleted"],
        }

    def _person(self, entry: Entry) -> JsonObject:
        row = self._book.row(entry)
        return {
            "match": {name: row[name] for name in ("email", "external_id", "phone")},
            "id": entry.contact_id,
            "standing": _standing(entry, row),
            "fields": {**{name: row[name] for name in ("role", "name")}, **_object(row["custom_attributes"])},
            "audiences": [self._tags.names[tag_id] for tag_id in entry.tags if tag_id in self._tags.names],
            "written": entry.written,
        }


def _standing(entry: Entry, row: JsonObject) -> str:
    if entry.state != "active":
        return entry.state
    if row["unsubscribed_from_emails"]:
        return "unsubscribed"
    if row["has_hard_bounced"]:
        return "bounced"
    return "unsubscribed_from_newsletters" if entry.opted_out else "subscribed"


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}
