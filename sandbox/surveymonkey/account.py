"""The account: tokens, scopes, limits, refusals, and who answers which path."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar

from millstream.sandbox.limits import Window
from millstream.sandbox.surveymonkey.contacts import AddressBook
from millstream.sandbox.surveymonkey.errors import refusal
from millstream.sandbox.surveymonkey.responses import Responses
from millstream.sandbox.surveymonkey.surveys import Surveys
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

TOKEN = "sandbox-surveymonkey"  # noqa: S105  made up, and printed in the README
TOKEN_NO_DETAILS = "sandbox-surveymonkey-no-details"  # noqa: S105
TOKEN_EUROPE = "sandbox-surveymonkey-eu"  # noqa: S105

MINUTE_LIMIT = 120
DAY_LIMIT = 500
SCOPES = ("collectors_read", "contacts_read", "responses_read", "responses_read_detail", "surveys_read", "users_read")


class SurveyMonkey(System):
    """A private app of one US account.

    Attributes:
        day_limit: Requests a day, until midnight in UTC; tests may lower it.
    """

    name: ClassVar[str] = "surveymonkey"
    title: ClassVar[str] = "SurveyMonkey"
    record_keys: ClassVar[tuple[str, ...]] = ("data",)

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN, TOKEN_NO_DETAILS, TOKEN_EUROPE)
        self.day_limit = DAY_LIMIT
        self._minute = Window(MINUTE_LIMIT, 60)
        self._day_used = 0
        self._day_ends = time.monotonic() + _seconds_to_midnight()
        self._responses.forget()
        self._address_book.forget()

    @cached_property
    def _responses(self) -> Responses:
        return Responses(self.company)

    @cached_property
    def _address_book(self) -> AddressBook:
        return AddressBook(self.company, self._responses)

    def routes(self) -> Sequence[Route]:
        return [
            route("GET", "/v3/users/me", self._me, "users_read"),
            *Surveys(self.company, self._responses).routes(),
            *self._responses.routes(),
            *self._address_book.routes(),
        ]

    def authenticate(self, call: Call) -> str:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise refusal(1010)
        if self.tokens.state(token) != "valid":
            raise refusal(1011)
        if call.strike.get("expire_token") is not None:
            raise refusal(1012)
        if token == TOKEN_EUROPE:
            raise refusal(1018)
        missing = call.route.tags - set(self._granted(token))
        if missing:
            raise refusal(1014, f"Missing: {', '.join(sorted(missing))}.")
        return token

    @staticmethod
    def _granted(token: str) -> list[str]:
        return [scope for scope in SCOPES if token != TOKEN_NO_DETAILS or scope != "responses_read_detail"]

    def admit(self, call: Call) -> dict[str, str]:
        del call
        if time.monotonic() >= self._day_ends:
            self._day_used = 0
            self._day_ends += 86_400
        if self._day_used >= self.day_limit or not self._minute.take():
            raise refusal(1040, headers=self._limit_headers())
        self._day_used += 1
        return self._limit_headers()

    def _limit_headers(self) -> dict[str, str]:
        minute = (MINUTE_LIMIT, self._minute.remaining, self._minute.wait)
        day = (self.day_limit, self.day_limit - self._day_used, self._day_ends - time.monotonic())
        return {**_limit("Minute", *minute), **_limit("Day", *day)}

    def not_found(self, method: str, path: str) -> ApiError:
        del method
        return refusal(1020, f"{path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Policy `day`: the day's budget is used up; otherwise the minute's."""
        day = policy == "day"
        headers = {
            **_limit("Minute", MINUTE_LIMIT, MINUTE_LIMIT if day else 0, 0 if day else seconds),
            **_limit("Day", self.day_limit, 0 if day else self.day_limit - self._day_used, seconds if day else 3600),
        }
        return refusal(1040, headers=headers)

    def server_error(self, status: int) -> ApiError:
        return refusal({502: 1054, 503: 1051}.get(status, 1050))

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(1001, detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(1002, "; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        if "links" not in body:
            return body
        return {**body, "data": [], "total": 0, "links": {"self": _links(body)["self"]}}

    def credentials(self, base_url: str) -> JsonObject:
        return {"base_url": f"{base_url}/v3", "access_token": TOKEN}

    def _me(self, call: Call) -> Answer:
        return Answer(
            {
                "id": "90001",
                "username": "sandbox",
                "first_name": "Sandbox",
                "last_name": "Owner",
                "account_type": "enterprise_platinum",
                "language": "en",
                "email": "owner@shop.box.example",
                "email_verified": True,
                "href": f"{call.base_url}/v3/users/me",
                "date_created": "2020-01-01T00:00:00+00:00",
                "scopes": {"available": list(SCOPES), "granted": self._granted(call.caller)},
            }
        )


def _links(body: JsonObject) -> dict[str, str]:
    links = body["links"]
    return {str(name): str(link) for name, link in links.items()} if isinstance(links, dict) else {}


def _limit(span: str, limit: int, remaining: int, wait: float) -> dict[str, str]:
    start = f"X-Ratelimit-App-Global-{span}"
    return {
        f"{start}-Limit": str(limit),
        f"{start}-Remaining": str(max(0, remaining)),
        f"{start}-Reset": str(math.ceil(wait)),
    }


def _seconds_to_midnight() -> float:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds()
