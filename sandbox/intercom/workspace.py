"""The workspace: token and version, the limit by ten seconds, lists, search and scroll."""

from __future__ import annotations

import base64
import binascii
import math
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from millstream.sandbox.intercom.errors import invalid, refusal
from millstream.sandbox.intercom.people import (
    COMPANIES,
    TAGS,
    Contact,
    Conversation,
    company_row,
    contact_row,
    conversation_row,
    event_rows,
    index_of,
    make_contacts,
    make_conversations,
    role,
)
from millstream.sandbox.intercom.search import compiled, ordering
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, Tokens, Window, route

TOKEN, TOKEN_NO_CONVERSATIONS = "sandbox-intercom", "sandbox-intercom-contacts-only"
VERSIONS = ("2.11", "2.12", "2.13", "2.14", "2.15", "2.16")
REQUESTS_IN_TEN_SECONDS = 167
LARGEST_PAGE, SCROLL_PAGE = 150, 100
SCROLL_SECONDS = 60


class Intercom(System):
    """One workspace in the US that counts its days in UTC."""

    name: ClassVar[str] = "intercom"
    title: ClassVar[str] = "Intercom"
    record_keys: ClassVar[tuple[str, ...]] = ("data", "conversations", "events")

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN, TOKEN_NO_CONVERSATIONS)
        self._window = Window(REQUESTS_IN_TEN_SECONDS, 10)
        self._advances = -1
        self._contacts: list[Contact] = []
        self._talks: list[Conversation] = []
        self._scroll: tuple[str, int, float] | None = None

    def routes(self) -> Sequence[Route]:
        return [
            route("GET", "/me", self._me),
            route("POST", "/contacts/search", self._search_contacts),
            route("GET", "/contacts", self._list_contacts),
            route("GET", "/contacts/{contact_id}", self._one_contact),
            route("GET", "/contacts/{contact_id}/merge_history", self._merge_history),
            route("GET", "/companies/scroll", self._scroll_companies),
            route("POST", "/conversations/search", self._search_conversations, "conversations"),
            route("GET", "/conversations/{conversation_id}", self._one_conversation, "conversations"),
            route("GET", "/tags", self._tags),
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

    def _contact(self, call: Call) -> Contact:
        index = index_of(call.params["contact_id"])
        for contact in self._people if index is not None else ():
            if contact.index == index:
                return contact
        raise refusal(404, "not_found", "User Not Found")

    # Handlers

    def _me(self, call: Call) -> Answer:
        del call
        app = {"type": "app", "id_code": "sandbox1", "name": "Shop", "region": "US", "timezone": "UTC"}
        return Answer({"type": "admin", "id": "814860", "email": "robin@support.shop.example.com", "app": app})

    def _search_contacts(self, call: Call) -> Answer:
        history = call.query.get("include_merge_history") == "true"
        _check(call.query, {"include_merge_history"})

        def row(contact: Contact) -> JsonObject:
            made = contact_row(self.company, contact)
            return {**made, "merge_history": _history(contact)} if history and contact.merged else made

        return self._searched(call, [row(contact) for contact in self._people], "data", "list")

    def _search_conversations(self, call: Call) -> Answer:
        _check(call.query, set())
        rows = [conversation_row(self.company, talk, whole=False) for talk in self._conversations]
        return self._searched(call, rows, "conversations", "conversation.list")

    def _searched(self, call: Call, rows: list[JsonObject], name: str, kind: str) -> Answer:
        body = call.json()
        if not isinstance(body, dict):
            raise invalid("the body must be an object")
        _check(body, {"query", "pagination", "sort"})
        found = list(filter(compiled(body.get("query")), rows))
        field, descending = ordering(body.get("sort"))
        found.sort(key=lambda row: (str(row.get(field) or "").zfill(12), str(row["id"])), reverse=descending)
        pagination = body.get("pagination") or {}
        if not isinstance(pagination, dict):
            raise invalid("pagination must be an object")
        _check(pagination, {"per_page", "starting_after", "page"})
        return self._page(call, found, (name, kind), {"per_page": 20, **pagination})

    def _list_contacts(self, call: Call) -> Answer:
        _check(call.query, {"per_page", "starting_after"})
        rows = [contact_row(self.company, contact) for contact in self._people]
        return self._page(call, rows, ("data", "list"), {"per_page": 50, **call.query})

    @staticmethod
    def _page(call: Call, rows: list[JsonObject], named: tuple[str, str], asked: dict[str, object]) -> Answer:
        """A page by cursor, under the name and kind of the listing."""
        size, after = asked["per_page"], asked.get("starting_after")
        if not str(size).isdigit() or not 1 <= int(str(size)) <= LARGEST_PAGE:
            raise invalid(f"per_page must be from 1 to {LARGEST_PAGE}")
        limit, start = call.page_limit(int(str(size))), _decoded(after)
        end = start + limit
        following = {"page": end // limit + 1, "starting_after": _encoded(end)} if end < len(rows) else None
        return Answer(
            {
                "type": named[1],
                named[0]: rows[start:end],
                "total_count": len(rows),
                "pages": {
                    "type": "pages",
                    "page": start // limit + 1,
                    "per_page": limit,
                    "total_pages": math.ceil(len(rows) / limit),
                    "next": following,
                },
            }
        )

    def _one_contact(self, call: Call) -> Answer:
        return Answer(contact_row(self.company, self._contact(call)))

    def _merge_history(self, call: Call) -> Answer:
        contact = self._contact(call)
        if role(self.company.person(contact.index)) != "user":
            raise refusal(404, "not_found", "Merge history is kept for users only")
        rows = _history(contact)
        pages = {"type": "cursor_pages", "per_page": 50, "next": None}
        return Answer({"type": "list", "data": rows, "total_count": len(rows), "pages": pages})

    def _scroll_companies(self, call: Call) -> Answer:
        """One scroll at a time; one that nobody goes on with for a minute is over."""
        _check(call.query, {"scroll_param"})
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

    def _tags(self, call: Call) -> Answer:
        _check(call.query, set())
        return Answer({"type": "list", "data": [{"type": "tag", "id": key, "name": name} for key, name in TAGS]})

    def _events(self, call: Call) -> Answer:
        """What one contact did; pages go on by the URL in `pages.next`."""
        _check(call.query, {"type", "user_id", "email", "intercom_user_id", "per_page", "before"})
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


def _history(contact: Contact) -> list[JsonObject]:
    return [
        {"type": "merge_history", "source_contact_id": lead, "target_contact_id": contact.contact_id,
         "merged_at": contact.created + 60}
        for lead in contact.merged
    ]  # fmt: skip


def _check(given: dict[str, object] | dict[str, str], allowed: set[str]) -> None:
    for name in sorted(set(given) - allowed):
        raise invalid(f"unknown parameter {name}")


def _encoded(place: int) -> str:
    return base64.urlsafe_b64encode(f"after {place}".encode()).decode()


def _decoded(cursor: object) -> int:
    if cursor is None:
        return 0
    try:
        word, _, place = base64.urlsafe_b64decode(str(cursor)).decode().partition(" ")
        if word == "after":
            return int(place)
    except (binascii.Error, ValueError) as error:
        raise invalid("starting_after is not a cursor") from error
    raise invalid("starting_after is not a cursor")
