"""The instance: token, permissions, limits, refusals, and who answers which path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlencode

from millstream.sandbox.limits import Window
from millstream.sandbox.marketo.answers import done, missing, refused, refused_by_gateway
from millstream.sandbox.marketo.assets import Assets
from millstream.sandbox.marketo.fields import Schema
from millstream.sandbox.marketo.imports import Imports
from millstream.sandbox.marketo.leads import Leads
from millstream.sandbox.marketo.lists import FOLDER_ID, Lists
from millstream.sandbox.marketo.register import Lead, Register
from millstream.sandbox.marketo.tokens import (
    CLIENT_ID,
    CLIENT_SECRET,
    LEADS_ONLY_ID,
    PERMISSIONS,
    READ,
    READ_ASSETS,
    READ_ONLY_ID,
    ROLES,
    SCHEMA,
    TOKEN_SECONDS,
    WRITE,
    WRITE_ASSETS,
    Identity,
)
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

CALLS, SECONDS, CONCURRENCY, CALLS_A_DAY = 100, 20, 10, 50_000
LONGEST_ADDRESS, LARGEST_BODY, LARGEST_FILE = 8_192, 1_048_576, 10_485_760
FAILURES = {500: (611, "System error"), 503: (608, "API Temporarily Unavailable"), 504: (604, "Request time-out")}


class Marketo(System):
    """One instance with one partition.

    Attributes:
        imports: The bulk imports; `imports.seconds` is how long one takes.
        quota: The calls of a day, which tests may use up.
    """

    name: ClassVar[str] = "marketo"
    title: ClassVar[str] = "Marketo Engage"
    record_keys: ClassVar[tuple[str, ...]] = ("result",)

    def reset(self) -> None:
        self.tokens = Tokens(expires_in=TOKEN_SECONDS)
        self._identity = Identity(self.tokens)
        self._window, self.quota = Window(CALLS, SECONDS), Window(CALLS_A_DAY, 86_400)
        self._register, self._schema = Register(self.company), Schema()
        self._lists = Lists(self.company, self._register)
        self._leads = Leads(self._register, self._schema, self._lists)
        self._assets = Assets(self._lists)
        self.imports = Imports(self._register, self._schema, self._lists)

    def routes(self) -> Sequence[Route]:
        leads, fields, lists = "/rest/v1/leads", "/rest/v1/leads/schema/fields", "/rest/v1/lists"
        members, one = f"{lists}/{{list_id}}/leads", "/rest/asset/v1/staticList"
        return [
            route("GET", "/identity/oauth/token", self._identity.issue, "public"),
            route("POST", "/identity/oauth/token", self._identity.issue, "public"),
            route("GET", f"{leads}.json", self._leads.find, READ),
            route("POST", f"{leads}.json", self._leads.sync, WRITE),
            route("GET", "/rest/v1/lead/{lead_id}.json", self._leads.get, READ),
            route("POST", f"{leads}/delete.json", self._leads.delete, WRITE),
            route("GET", f"{leads}/describe.json", self._schema.describe, READ),
            route("GET", f"{leads}/describe2.json", self._schema.describe_search, READ),
            route("GET", f"{fields}.json", self._schema.list_fields, SCHEMA),
            route("POST", f"{fields}.json", self._schema.create_fields, SCHEMA),
            route("GET", f"{fields}/{{name}}.json", self._schema.get_field, SCHEMA),
            route("GET", f"{lists}.json", self._lists.list_lists, READ),
            route("GET", f"{lists}/{{list_id}}.json", self._lists.get_list, READ),
            route("GET", f"{members}.json", self._leads.list_members, READ),
            route("POST", f"{members}.json", self._leads.add_members, WRITE),
            route("DELETE", f"{members}.json", self._leads.remove_members, WRITE),
            route("GET", f"{members}/ismember.json", self._leads.are_members, WRITE),
            route("GET", f"{one}/byName.json", self._assets.find, READ_ASSETS),
            route("GET", f"{one}/{{list_id}}.json", self._assets.get, READ_ASSETS),
            route("POST", f"{one}/{{list_id}}.json", self._assets.update, WRITE_ASSETS),
            route("POST", f"{one}/{{list_id}}/delete.json", self._assets.delete, WRITE_ASSETS),
            route("GET", f"{one}s.json", self._assets.browse, READ_ASSETS),
            route("POST", f"{one}s.json", self._assets.create, WRITE_ASSETS),
            route("GET", "/rest/asset/v1/folder/byName.json", self._assets.find_folder, READ_ASSETS),
            route("GET", "/rest/asset/v1/folder/{folder_id}.json", self._assets.get_folder, READ_ASSETS),
            route("GET", "/rest/v1/stats/usage.json", self._usage, READ),
            route("POST", "/bulk/v1/leads.json", self.imports.create, WRITE, "file"),
            route("GET", "/bulk/v1/leads/batch/{batch_id}.json", self.imports.get, WRITE),
            route("GET", "/bulk/v1/leads/batch/{batch_id}/failures.json", self.imports.failures, WRITE),
            route("GET", "/bulk/v1/leads/batch/{batch_id}/warnings.json", self.imports.warnings, WRITE),
        ]

    def authenticate(self, call: Call) -> str:
        self.imports.work_off()
        self._check_size(call)
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise refused(600, "Access token not specified")
        state = self.tokens.state(token)
        if state == "unknown":
            raise refused(601, "Access token invalid")
        if state == "expired" or call.strike.get("expire_token") is not None:
            raise refused(602, "Access token expired")
        client = self._identity.service(token)
        if not call.route.tags & PERMISSIONS <= ROLES[client]:
            raise refused(603, "Access denied")
        return client

    @staticmethod
    def _check_size(call: Call) -> None:
        if len(call.path) + len(urlencode(call.query_list)) > LONGEST_ADDRESS:
            raise refused_by_gateway(414, "Request-URI Too Long")
        if len(call.body) > (LARGEST_FILE if "file" in call.route.tags else LARGEST_BODY):
            raise refused_by_gateway(413, "Request Entity Too Large")

    def admit(self, call: Call) -> dict[str, str]:
        if "public" in call.route.tags:
            return {}
        if self.in_flight > CONCURRENCY:
            raise self.rate_limited(0, "concurrency")
        if self.quota.remaining <= 0:
            raise self.rate_limited(0, "day")
        if not self._window.take():
            raise self.rate_limited(0, None)
        self.quota.take()
        return {}

    def _usage(self, call: Call) -> Answer:
        """How many calls were made today, all by one service."""
        total = self.quota.allowed - self.quota.remaining
        users = [{"userId": f"{call.caller}@shop.box.example", "count": total}]
        return done([{"date": self.company.today.isoformat(), "total": total, "users": users}])

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        others = [other for other in ("GET", "POST", "DELETE") if other != method]
        if any(self._match(other, path)[0].method == other for other in others):
            return refused(605, f"HTTP Method '{method}' not supported")
        return refused(610, "Requested resource not found")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Under status 200 and without headers. Policy `day`: the quota; `concurrency`: too many at once."""
        del seconds
        if policy == "day":
            return refused(607, "Daily quota reached")
        if policy == "concurrency":
            return refused(615, "Concurrent access limit reached")
        return refused(606, f"Max rate limit '{CALLS}' exceeded with in '{SECONDS}' secs")

    def server_error(self, status: int) -> ApiError:
        """Only a bad gateway has a status of its own; the others are codes under status 200."""
        if status in FAILURES:
            return refused(*FAILURES[status])
        return refused_by_gateway(status, "Bad Gateway")

    def malformed_json(self, detail: str) -> ApiError:
        del detail
        return refused(609, "Invalid JSON")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        where, what = problems[0]
        if what == "Field required":
            return missing(where.rpartition(".")[2])
        return refused(609, f"Invalid JSON: {where}")

    def empty(self, body: JsonObject) -> JsonObject:
        if "result" not in body:
            return body
        kept = {name: value for name, value in body.items() if name != "nextPageToken"}
        return kept | {"result": []} | ({"moreResult": False} if "moreResult" in body else {})

    # For tests

    def state(self) -> JsonObject:
        touched = {number for one in self._lists.all.values() for number in one.touched}
        leads = self._register.shown(touched)
        return {
            "people": [self._person(lead) for lead in leads],
            "audiences": {str(one.list_id): one.name for one in self._lists.all.values()},
            "deleted": sorted(self._register.deleted),
        }

    def _person(self, lead: Lead) -> JsonObject:
        lists = [one for number in self._lists.all if (one := self._lists.find(number)) is not None]
        values = lead.values
        return {
            "match": {
                "email": lead.email or None,
                "external_id": values.get("customerId"),
                "phone": values.get("phone"),
            },
            "id": lead.lead_id,
            "standing": lead.standing,
            "fields": {name: value for name, value in values.items() if value is not None},
            "audiences": [one.name for one in lists if one.holds(lead.lead_id)],
            "written": lead.written,
            "resubscribed": lead.resubscribed,
        }

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "rest_url": f"{base_url}/rest",
            "identity_url": f"{base_url}/identity",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "client_id_read_only": READ_ONLY_ID,
            "client_id_leads_only": LEADS_ONLY_ID,
            "folder_id": FOLDER_ID,
        }
