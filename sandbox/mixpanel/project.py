"""The project: service accounts, limits, and who answers which path."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from typing import ClassVar

from millstream.sandbox.limits import Window
from millstream.sandbox.mixpanel.errors import refusal
from millstream.sandbox.mixpanel.export import Export
from millstream.sandbox.mixpanel.profiles import Profiles
from millstream.sandbox.system import ApiError, Call, JsonObject, Route, System, route

PROJECT_ID = "2195193"
USERNAME, SECRET = "millstream.sandbox.mp-service-account", "sandbox-mixpanel"
FREE_USERNAME = "millstream.free.mp-service-account"
EXPORTS_AN_HOUR, EXPORTS_A_SECOND, QUERIES_AN_HOUR = 60, 3, 60


class Mixpanel(System):
    """One US project that keeps its times in UTC."""

    name: ClassVar[str] = "mixpanel"
    title: ClassVar[str] = "Mixpanel"
    record_keys: ClassVar[tuple[str, ...]] = ("results",)

    def reset(self) -> None:
        self._windows = {
            "export": (Window(EXPORTS_A_SECOND, 1), Window(EXPORTS_AN_HOUR, 3600)),
            "query": (Window(QUERIES_AN_HOUR, 3600),),
        }
        self._export = Export(self.company)
        self.profiles = Profiles(self.company, self._export)

    def routes(self) -> Sequence[Route]:
        return [
            route("GET", "/api/2.0/export", self._export.answer, "export"),
            route("POST", "/api/query/engage", self.profiles.engage, "query"),
            route("POST", "/api/query/cohorts/list", self.profiles.cohorts, "query"),
        ]

    def authenticate(self, call: Call) -> str:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        try:
            user, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise refusal(401, "Invalid service account credentials") from error
        if scheme.lower() != "basic" or user not in (USERNAME, FREE_USERNAME) or secret != SECRET:
            raise refusal(401, "Invalid service account credentials")
        if call.strike.get("expire_token") is not None:
            raise refusal(401, "Invalid service account credentials")
        if "project_id" not in call.query:
            raise refusal(400, "project_id is a required parameter for service accounts")
        if call.query["project_id"] != PROJECT_ID:
            raise refusal(400, "Unable to authenticate request")
        if user == FREE_USERNAME and "query" in call.route.tags:
            raise refusal(402, "This API is not part of the project's plan")
        return user

    def admit(self, call: Call) -> dict[str, str]:
        for tag in call.route.tags:
            for window in self._windows.get(tag, ()):
                if not window.take():
                    raise self.rate_limited(window.wait, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, f"There is no {method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        return refusal(429, "Query rate limit exceeded", {"Retry-After": str(max(1, math.ceil(seconds)))})

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "Internal error")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, "; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        return {**body, "results": [], "total": 0} if "results" in body else body

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "data_url": f"{base_url}/api/2.0",
            "query_url": f"{base_url}/api/query",
            "project_id": int(PROJECT_ID),
            "username": USERNAME,
            "secret": SECRET,
            "username_without_profiles": FREE_USERNAME,
        }
