"""A space of Segment's Unify: its token, its limit of a hundred requests a second, and one profile at a time."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, TypeVar
from urllib.parse import quote

from millstream.sandbox.segment.profiles import TYPES, Profiles, seconds_of
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, Tokens, Window, route

TOKEN = "sandbox-segment-profile"  # noqa: S105  made up, and printed in the README
SPACE_ID = "spa_sandbox"
REQUESTS_A_SECOND = 100
LARGEST_PAGE = 200
CODES = {401: "authentication_error", 404: "not_found", 429: "rate_limit_error"}


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal in Segment's envelope."""
    code = CODES.get(status, "validation_error" if status == 400 else "invalid_request_error")
    return ApiError(status, {"error": {"code": code, "message": message}}, headers)


class Segment(System):
    """One space in the US."""

    name: ClassVar[str] = "segment"
    title: ClassVar[str] = "Segment Profile API"
    record_keys: ClassVar[tuple[str, ...]] = ("data",)

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN)
        self._second = Window(REQUESTS_A_SECOND, 1)
        self._profiles = Profiles(self.company)

    def routes(self) -> Sequence[Route]:
        one = "/v1/spaces/{space_id}/collections/users/profiles/{name}"
        return [
            route("GET", f"{one}/traits", self._traits),
            route("GET", f"{one}/external_ids", self._external_ids),
            route("GET", f"{one}/events", self._events),
            route("GET", f"{one}/metadata", self._metadata),
        ]

    def authenticate(self, call: Call) -> str:
        valid = self.tokens.state(_user(call.headers.get("authorization", ""))) == "valid"
        if not valid or call.strike.get("expire_token") is not None:
            raise refusal(401, "The access token is not one of this space.")
        if call.params["space_id"] != SPACE_ID:
            raise refusal(404, "There is no such space.")
        return TOKEN

    def admit(self, call: Call) -> dict[str, str]:
        if not self._second.take():
            raise self.rate_limited(self._second.wait, None)
        return {"Request-Id": f"req-{call.path.__hash__() & 0xFFFFFFFF:08x}"}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, f"There is no {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        return refusal(429, "Too many requests for this space.", {"Retry-After": str(max(1, math.ceil(seconds)))})

    def server_error(self, status: int) -> ApiError:
        return ApiError(status, {"error": {"code": "internal_error", "message": "Something went wrong on our side."}})

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, f"The body is not JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, f"{problems[0][0]}: {problems[0][1]}")

    def credentials(self, base_url: str) -> JsonObject:
        return {"base_url": base_url, "space_id": SPACE_ID, "token": TOKEN}

    def _index(self, call: Call) -> int:
        kind, colon, value = call.params["name"].partition(":")
        if not colon or kind not in TYPES:
            raise refusal(400, f"The profile is named as type:id, with one of {', '.join(TYPES)}.")
        if value != value.lower():
            raise refusal(400, "Identifiers are looked up in lower case.")
        index = self._profiles.find(kind, value)
        if index is None:
            raise refusal(404, "The profile does not exist.")
        return index

    def _traits(self, call: Call) -> Answer:
        _check(call, "limit", "include", "class", "verbose", "next")
        of_class = call.query.get("class")
        if of_class not in (None, "audience", "computed_trait"):
            raise refusal(400, "class is audience or computed_trait.")
        traits = self._profiles.traits(self._index(call), of_class)
        wanted = call.query.get("include")
        names = [name for name in traits if wanted is None or name in wanted.split(",")]
        shown, cursor = _page(call, names)
        return Answer({"traits": {name: traits[name] for name in shown}, "cursor": cursor})

    def _external_ids(self, call: Call) -> Answer:
        _check(call, "limit", "include", "verbose", "next")
        wanted = call.query.get("include")
        ids = self._profiles.external_ids(self._index(call))
        shown, cursor = _page(call, [one for one in ids if wanted is None or one["type"] in wanted.split(",")])
        return Answer({"data": shown, "cursor": cursor})

    def _events(self, call: Call) -> Answer:
        _check(call, "limit", "include", "exclude", "start", "end", "sort", "next")
        start, end = _moment(call, "start"), _moment(call, "end")
        events = self._profiles.events(self._index(call))
        found = [one for one in events if _in_time(one, start, end) and _is_wanted(call, one)]
        if call.query.get("sort", "desc") == "desc":
            found.reverse()
        shown, cursor = _page(call, found)
        return Answer({"data": shown, "cursor": cursor})

    def _metadata(self, call: Call) -> Answer:
        _check(call, "verbose")
        return Answer({"metadata": self._profiles.metadata(self._index(call))})


def _user(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return "" if password else user


def _check(call: Call, *allowed: str) -> None:
    unknown = sorted(set(call.query) - set(allowed))
    if unknown:
        raise refusal(400, f"{unknown[0]} is not a parameter of this endpoint.")


Row = TypeVar("Row")


def _page(call: Call, rows: Sequence[Row]) -> tuple[list[Row], JsonObject]:
    limit, after = call.query.get("limit", "10"), call.query.get("next", "0")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= LARGEST_PAGE):
        raise refusal(400, f"limit is a whole number from 1 to {LARGEST_PAGE}.")
    if not (after.isascii() and after.isdigit()):
        raise refusal(400, "next is not a cursor of this endpoint.")
    end = int(after) + call.page_limit(int(limit))
    more = end < len(rows)
    path = f"{quote(call.path, safe='/:%')}?next={end}" if more else ""
    cursor: JsonObject = {"url": path, "has_more": more, "next": str(end) if more else "", "limit": int(limit)}
    return list(rows[int(after) : end]), cursor


def _moment(call: Call, name: str) -> float | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise refusal(400, f"{name} is not an ISO 8601 time.") from error


def _in_time(event: JsonObject, start: float | None, end: float | None) -> bool:
    at = seconds_of(event)
    return (start is None or at >= start) and (end is None or at < end)


def _is_wanted(call: Call, event: JsonObject) -> bool:
    include, exclude = call.query.get("include"), call.query.get("exclude")
    name = str(event["event"])
    return (include is None or name in include.split(",")) and (exclude is None or name not in exclude.split(","))
