"""The account: tokens, scopes, the limit of two requests a second, and who answers which path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens
from millstream.sandbox.typeform.errors import invalid, refusal
from millstream.sandbox.typeform.forms import FORMS, WORKSPACE_ID, Form, find_form
from millstream.sandbox.typeform.responses import Responses

TOKEN = "tfp_sandbox"  # noqa: S105  made up, and printed in the README
TOKEN_NO_RESPONSES = "tfp_sandbox_no_responses"  # noqa: S105
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "sandbox-client", "sandbox-secret", "sandbox-refresh"
SCOPES = ("accounts:read", "forms:read", "responses:read", "responses:write", "workspaces:read")
REQUESTS_A_SECOND = 2
LARGEST_PAGE_OF_FORMS = 200
WEEK_SECONDS = 604_800
ERASE = "responses:write"


class Typeform(System):
    """One account in the US data centre."""

    name: ClassVar[str] = "typeform"
    title: ClassVar[str] = "Typeform"
    record_keys: ClassVar[tuple[str, ...]] = ("items",)

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN, TOKEN_NO_RESPONSES, expires_in=WEEK_SECONDS)
        self._refresh_token = REFRESH_TOKEN
        self._refreshed = 0
        self._second = Window(REQUESTS_A_SECOND, 1)
        self._responses = Responses(self.company)

    def routes(self) -> Sequence[Route]:
        responses = self._responses
        return [
            route("POST", "/oauth/token", self._token, "public"),
            route("GET", "/me", self._me, "accounts:read"),
            route("GET", "/workspaces", self._workspaces, "workspaces:read"),
            route("GET", "/forms", self._forms, "forms:read"),
            route("GET", "/forms/{form_id}", self._form, "forms:read"),
            route("GET", "/forms/{form_id}/responses", responses.listing, "responses:read"),
            route("DELETE", "/forms/{form_id}/responses", responses.erase, ERASE),
        ]

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        valid = scheme.lower() == "bearer" and self.tokens.state(token) == "valid"
        if not valid or call.strike.get("expire_token") is not None:
            raise refusal(401, "AUTHENTICATION_FAILED", "The access token is missing, invalid or expired.")
        if token == TOKEN_NO_RESPONSES and call.route.tags & {"responses:read", ERASE}:
            raise refusal(403, "AUTHENTICATION_FAILED", "The token lacks the scope for this request.")
        return token

    def admit(self, call: Call) -> dict[str, str]:
        if "public" not in call.route.tags and not self._second.take():
            raise self.rate_limited(self._second.wait, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, "NOT_FOUND", f"There is no {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        waits = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return refusal(429, "TOO_MANY_REQUESTS", "Too many requests for this account.", headers=waits)

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "INTERNAL_ERROR", "Something went wrong on our side.")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "BAD_REQUEST", f"The body is not JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return invalid(*problems[0], place="body")

    def empty(self, body: JsonObject) -> JsonObject:
        return {**body, "items": [], "total_items": 0, "page_count": 0} if "items" in body else body

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "access_token": TOKEN,
            "access_token_without_responses": TOKEN_NO_RESPONSES,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": self._refresh_token,
        }

    def state(self) -> JsonObject:
        return {"erased_tokens": sorted(self._responses.erased)}

    def _token(self, call: Call) -> Answer:
        """Trade the refresh token for an access token; the refresh token changes with it."""
        form = call.form()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise ApiError(401, {"error": "invalid_client", "error_description": "unknown client"})
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self._refresh_token:
            raise ApiError(400, {"error": "invalid_grant", "error_description": "unknown or used refresh token"})
        self._refreshed += 1
        self._refresh_token = f"{REFRESH_TOKEN}-{self._refreshed}"
        return Answer(
            {
                "access_token": self.tokens.issue("tft"),
                "refresh_token": self._refresh_token,
                "expires_in": int(self.tokens.expires_in),
                "token_type": "bearer",
                "scope": " ".join((*SCOPES, "offline")),
            }
        )

    def _me(self, call: Call) -> Answer:
        del call
        return Answer(
            {"user_id": "usr00001", "email": "owner@shop.box.example", "alias": "Sandbox Owner", "language": "en"}
        )

    def _workspaces(self, call: Call) -> Answer:
        del call
        workspace = {"id": WORKSPACE_ID, "name": "Shop", "default": True, "shared": False}
        return Answer({"items": [workspace], "page_count": 1, "total_items": 1})

    def _forms(self, call: Call) -> Answer:
        allowed = {"page", "page_size", "search", "workspace_id", "sort_by", "order_by"}
        for name in sorted(set(call.query) - allowed):
            raise invalid(name, "is not a parameter of this endpoint")
        page = whole(call, "page", 1, 1, 2**31)
        size = whole(call, "page_size", 10, 1, LARGEST_PAGE_OF_FORMS)
        words = call.query.get("search", "").lower()
        wanted = [form for form in FORMS if words in form.title.lower()]
        if call.query.get("workspace_id", WORKSPACE_ID) != WORKSPACE_ID:
            wanted = []
        start = (page - 1) * size
        items = [form.item(call.base_url, *self._stamps(form)) for form in wanted[start : start + size]]
        return Answer({"items": items, "page_count": math.ceil(len(wanted) / size), "total_items": len(wanted)})

    def _form(self, call: Call) -> Answer:
        form = find_form(call.params["form_id"])
        return Answer(form.definition(call.base_url, *self._stamps(form)))

    def _stamps(self, form: Form) -> tuple[str, str]:
        ages = (form.created_age, form.updated_age)
        created, updated = (datetime.fromtimestamp((self.company.today_ms - age * DAY_MS) / 1000, UTC) for age in ages)
        return f"{created:%Y-%m-%dT%H:%M:%SZ}", f"{updated:%Y-%m-%dT%H:%M:%SZ}"


def whole(call: Call, name: str, default: int, least: int, most: int) -> int:
    """A whole number among the query's parameters."""
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise invalid(name, f"must be a whole number from {least} to {most}")
    return int(text)
