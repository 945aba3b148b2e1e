"""The account: its key, limits and refusals, and who answers which path."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from millstream.sandbox.mailchimp.audience import Audience
from millstream.sandbox.mailchimp.batches import Batches, Operation
from millstream.sandbox.mailchimp.campaigns import Campaigns
from millstream.sandbox.mailchimp.members import Register
from millstream.sandbox.mailchimp.merge_fields import MergeFields
from millstream.sandbox.mailchimp.problems import bare, invalid_fields, not_found, problem
from millstream.sandbox.mailchimp.tags import Tags
from millstream.sandbox.mailchimp.writing import Writer
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

KEY = "sandbox-mailchimp-us1"
DISABLED_KEY = "sandbox-mailchimp-disabled-us1"
LIST_ID = "a1b2c3d4e5"
CONNECTIONS = 10
TITLES = {500: "InternalServerError", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


class Mailchimp(System):
    """One account with one list."""

    name: ClassVar[str] = "mailchimp"
    title: ClassVar[str] = "Mailchimp"
    record_keys: ClassVar[tuple[str, ...]] = (
        "lists", "members", "segments", "tags", "merge_fields", "batches", "campaigns", "reports", "emails", "sent_to",
        "unsubscribes", "urls_clicked",
    )  # fmt: skip

    def reset(self) -> None:
        self.tokens = Tokens(KEY, DISABLED_KEY)
        self._register.reset()
        self._merge_fields.reset()
        self._tags.reset()
        self.batches.reset()

    # The parts are made once, so that the routes can hold on to them; `reset` empties them.

    @cached_property
    def _register(self) -> Register:
        return Register(self.company)

    @cached_property
    def _merge_fields(self) -> MergeFields:
        return MergeFields(LIST_ID)

    @cached_property
    def _tags(self) -> Tags:
        return Tags(self._register, LIST_ID, self.company.today_ms)

    @cached_property
    def _audience(self) -> Audience:
        writer = Writer(self._register, self._merge_fields, self._tags)
        return Audience(LIST_ID, self._register, self._tags, writer)

    @cached_property
    def _campaigns(self) -> Campaigns:
        return Campaigns(self.company, self._register, LIST_ID)

    @cached_property
    def batches(self) -> Batches:
        """Asynchronous jobs."""
        return Batches(self._run)

    def routes(self) -> Sequence[Route]:
        one = "/3.0/lists/{list_id}"
        member = f"{one}/members/{{member}}"
        segment = f"{one}/segments/{{segment_id}}"
        return [
            *self._campaigns.routes(),
            route("GET", "/3.0", self._root),
            route("GET", "/3.0/ping", lambda _: Answer({"health_status": "Everything's Chimpy!"})),
            route("GET", "/3.0/lists", self._audience.list_lists),
            route("POST", "/3.0/lists", self._audience.create_list),
            route("GET", one, self._audience.get_list),
            route("POST", one, self._audience.upsert_batch),
            route("GET", f"{one}/members", self._audience.list_members),
            route("POST", f"{one}/members", self._audience.create_member),
            route("GET", member, self._audience.get_member),
            route("PUT", member, self._audience.put_member),
            route("PATCH", member, self._audience.patch_member),
            route("DELETE", member, self._audience.archive_member),
            route("POST", f"{member}/actions/delete-permanent", self._audience.forget_member),
            route("GET", f"{member}/tags", self._audience.list_member_tags),
            route("POST", f"{member}/tags", self._audience.change_member_tags),
            route("GET", f"{one}/tag-search", self._tags.search),
            route("GET", f"{one}/segments", self._tags.list_segments),
            route("POST", f"{one}/segments", self._tags.create_segment),
            route("GET", segment, self._tags.get_segment),
            route("POST", segment, self._tags.change_segment),
            route("DELETE", segment, self._tags.delete_segment),
            route("GET", f"{segment}/members", self._tags.list_members),
            route("GET", f"{one}/merge-fields", self._merge_fields.list_fields),
            route("POST", f"{one}/merge-fields", self._merge_fields.create_field),
            route("POST", "/3.0/batches", self.batches.create),
            route("GET", "/3.0/batches", self.batches.list_jobs),
            route("GET", "/3.0/batches/{job_id}", self.batches.get),
            route("DELETE", "/3.0/batches/{job_id}", self.batches.delete),
            route("GET", "/batch-results/{job_id}.tar.gz", self.batches.download, "public"),
        ]

    def authenticate(self, call: Call) -> str:
        self.batches.work_off(call)
        if "public" in call.route.tags:
            return ""
        key = _key(call.headers.get("authorization", ""))
        if self.tokens.state(key) != "valid" or call.strike.get("expire_token") is not None:
            detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
            raise problem(401, "API Key Invalid", detail)
        if key == DISABLED_KEY:
            raise problem(403, "User Disabled", "This account has been disabled.")
        self._check_list(call)
        return key

    @staticmethod
    def _check_list(call: Call) -> None:
        if call.params.get("list_id", LIST_ID) != LIST_ID:
            raise not_found(f"list {call.params['list_id']}")

    def admit(self, call: Call) -> dict[str, str]:
        if "public" not in call.route.tags and self.in_flight > CONNECTIONS:
            raise bare(429)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return not_found(f"{method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Without headers, as the vendor does. Policy `bare`: no body; `forbidden`: 403 without a body."""
        del seconds
        if policy in {"bare", "forbidden"}:
            return bare(429 if policy == "bare" else 403)
        detail = f"You have exceeded the limit of {CONNECTIONS} simultaneous connections."
        return problem(429, "Too Many Requests", detail)

    def server_error(self, status: int) -> ApiError:
        return problem(status, TITLES.get(status, "InternalServerError"), "An unexpected error has occurred.")

    def malformed_json(self, detail: str) -> ApiError:
        return problem(400, "JSONParseError", f"We encountered an unspecified JSON parsing error: {detail}.")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return invalid_fields(*problems)

    def state(self) -> JsonObject:
        return {
            **self._audience.state(),
            "merge_fields": list(self._merge_fields.tags),
        }

    def credentials(self, base_url: str) -> JsonObject:
        return {"base_url": f"{base_url}/3.0", "api_key": KEY, "list_id": LIST_ID}

    def _root(self, call: Call) -> Answer:
        del call
        return Answer(
            {
                "account_id": "8d3a3db4d97663a9074efcc16",
                "account_name": "Example Shop",
                "email": "owner@shop.box.example",
                "role": "owner",
                "total_subscribers": 0,
            }
        )

    def _run(self, outer: Call, operation: Operation) -> Answer:
        """Carry out one operation of a batch, as if it had come alone."""
        address = urlsplit(operation.path)
        path = f"/3.0{address.path}"
        found, params = self._match(operation.method, path)
        given = [(name, _text(value)) for name, value in operation.params.items()]
        call = Call(
            system=self,
            method=operation.method,
            path=path,
            params=params,
            query_list=[*parse_qsl(address.query), *given],
            headers={},
            body=operation.body.encode(),
            route=found,
            strike=self.environment.faults.strike(self.name, operation.method, path),
            base_url=outer.base_url,
        )
        try:
            self._check_list(call)
            return found.handler(call)
        except ApiError as error:
            return error.answer


def _key(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
