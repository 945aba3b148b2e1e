"""The account: its keys, its one limit and its refusals, and who answers which path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from millstream.sandbox.activecampaign.contacts import Contacts
from millstream.sandbox.activecampaign.definitions import Definitions
from millstream.sandbox.activecampaign.errors import message, not_permitted, unprocessable
from millstream.sandbox.activecampaign.imports import Imports
from millstream.sandbox.activecampaign.people import ACTIVE, standing_of
from millstream.sandbox.activecampaign.register import Contact, Register
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

KEY, LIMITED_KEY = "sandbox-activecampaign", "sandbox-activecampaign-limited"
REQUESTS_A_SECOND = 5
SHOWN_UNTOUCHED = 500
STATUS_WORDS = {0: "unconfirmed", 1: "subscribed", 2: "unsubscribed", 3: "bounced"}


class ActiveCampaign(System):
    """One account; a key is a user's, and may what the user may."""

    name: ClassVar[str] = "activecampaign"
    title: ClassVar[str] = "ActiveCampaign"
    record_keys: ClassVar[tuple[str, ...]] = (
        "contacts", "lists", "tags", "fields", "fieldValues", "fieldOptions", "fieldRels", "contactLists",
        "contactTags", "outstanding", "recentlyCompleted",
    )  # fmt: skip

    def reset(self) -> None:
        self.tokens = Tokens(KEY, LIMITED_KEY)
        self._window = Window(REQUESTS_A_SECOND, 1)
        self._register.reset()
        self._definitions.reset()
        self.imports.reset()

    # The parts are made once, so that the routes can hold on to them; `reset` empties them.

    @cached_property
    def _register(self) -> Register:
        return Register(self.company)

    @cached_property
    def _definitions(self) -> Definitions:
        return Definitions()

    @cached_property
    def imports(self) -> Imports:
        """Asynchronous imports."""
        return Imports(self._register, self._definitions, lambda: self.environment.options.limits)

    def routes(self) -> Sequence[Route]:
        return [
            route("GET", "/api/3/users/me", self._me),
            *self.imports.routes(),
            *Contacts(self._register, self._definitions).routes(),
            *self._definitions.routes(),
        ]

    def authenticate(self, call: Call) -> str:
        self.imports.work_off()
        key = call.headers.get("api-token", "")
        if self.tokens.state(key) != "valid" or call.strike.get("expire_token") is not None:
            raise message(403, "Forbidden")
        if key == LIMITED_KEY and call.route.tags:
            raise not_permitted(min(call.route.tags))
        return key

    def admit(self, call: Call) -> dict[str, str]:
        del call
        if not self._window.take():
            raise self.rate_limited(self._window.wait, None)
        return {
            "RateLimit-Limit": str(REQUESTS_A_SECOND),
            "RateLimit-Remaining": str(max(0, self._window.remaining)),
        }

    def not_found(self, method: str, path: str) -> ApiError:
        del method
        return message(404, f"No Result found for {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Policy `forbidden`: 403 without a body, as the vendor's front gives under load."""
        if policy == "forbidden":
            return ApiError(403, None)
        headers = {
            "Retry-After": str(max(1, math.ceil(seconds))),
            "RateLimit-Limit": str(REQUESTS_A_SECOND),
            "RateLimit-Remaining": "0",
        }
        return ApiError(429, {"message": "You have reached the limit of requests per second."}, headers)

    def server_error(self, status: int) -> ApiError:
        return message(status, "Something went wrong.")

    def malformed_json(self, detail: str) -> ApiError:
        del detail
        return message(400, "The request body is not valid JSON.")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        where, what = problems[0]
        return unprocessable(what, "field_invalid", where)

    def empty(self, body: JsonObject) -> JsonObject:
        emptied = super().empty(body)
        if emptied != body and "meta" in emptied:
            emptied["meta"] = {"total": "0"}
        return emptied

    def state(self) -> JsonObject:
        self.imports.work_off()
        everybody = {contact.number: contact for contact in self._register.kept}
        for number in self._register.matching(None, None, None):
            if len(everybody) >= SHOWN_UNTOUCHED:
                break
            contact = self._register.contact(number)
            if contact is not None:
                everybody.setdefault(number, contact)
        definitions = self._definitions
        return {
            "people": [self._shown(contact) for contact in everybody.values()],
            "audiences": {f"list:{one.number}": one.name for one in definitions.lists.values()}
            | {f"tag:{one.number}": one.name for one in definitions.tags.values()},
            "fields": {one.perstag: str(one.number) for one in definitions.fields.values()},
            "automations": dict(self._register.automations),
            "callbacks": list(self.imports.callbacks),
        }

    def _shown(self, contact: Contact) -> JsonObject:
        lists, tags = self._definitions.lists, self._definitions.tags
        names = {"first_name": contact.first_name, "last_name": contact.last_name, "phone": contact.phone}
        values = {self._definitions.fields[number].perstag: value for number, value in contact.fields.items()}
        return {
            "match": {"email": contact.email, "external_id": None, "phone": contact.phone or None},
            "id": str(contact.number),
            "standing": standing_of(contact.lists),
            "fields": {**{name: value for name, value in names.items() if value}, **values},
            "audiences": [lists[number].name for number, status in contact.lists.items() if status == ACTIVE]
            + [tags[tag].name for tag in contact.tags],
            "lists": {lists[number].name: STATUS_WORDS[status] for number, status in contact.lists.items()},
            "resubscribed": sorted(lists[number].name for number in contact.resubscribed),
            "written": contact.written,
        }

    def credentials(self, base_url: str) -> JsonObject:
        return {"base_url": f"{base_url}/api/3", "api_key": KEY, "limited_api_key": LIMITED_KEY}

    def _me(self, call: Call) -> Answer:
        user: JsonObject = {
            "username": "robin",
            "firstName": "Robin",
            "lastName": "Agent",
            "email": "robin@shop.box.example",
            "links": {"lists": f"{call.base_url}/api/3/users/1/lists"},
            "id": "1",
        }
        return Answer({"user": user})
