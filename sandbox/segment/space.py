"""A workspace of Segment: who may call which of its three APIs, their limits, and one profile at a time."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, TypeVar
from urllib.parse import quote

from millstream.sandbox.limits import Window
from millstream.sandbox.segment.errors import public_refusal, refusal, tracking_refusal
from millstream.sandbox.segment.people import SOURCE_ID, People
from millstream.sandbox.segment.profiles import TYPES, Profiles, seconds_of
from millstream.sandbox.segment.regulations import Regulations
from millstream.sandbox.segment.tracking import KINDS, OAUTH_TOKEN, WRITE_KEY, Tracking
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

TOKEN = "sandbox-segment-profile"  # noqa: S105  made up, and printed in the README
SPACE_ID = "spa_sandbox"
PUBLIC_TOKEN = "sgp_sandbox-segment"  # noqa: S105
READER_TOKEN = "sgp_sandbox-segment-reader"  # noqa: S105
REQUESTS_A_SECOND, EVENTS_A_SECOND, REGULATIONS_A_MINUTE = 100, 1000, 60
LARGEST_PAGE = 200
TRACKING, PUBLIC = "tracking", "public api"


class Segment(System):
    """One workspace in the US, with one space and one HTTP source."""

    name: ClassVar[str] = "segment"
    title: ClassVar[str] = "Segment"
    record_keys: ClassVar[tuple[str, ...]] = ("data", "regulations", "suppressed")

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN)
        self.windows = {
            "": Window(REQUESTS_A_SECOND, 1),
            TRACKING: Window(EVENTS_A_SECOND, 1),
            PUBLIC: Window(REGULATIONS_A_MINUTE, 60),
        }
        self._profiles = Profiles(self.company)
        self.people = People(self.company, self._profiles)
        self.tracking = Tracking(self.people)
        self.regulations = Regulations(self.people)

    def routes(self) -> Sequence[Route]:
        one = "/v1/spaces/{space_id}/collections/users/profiles/{name}"
        tracking, regulations = self.tracking, self.regulations
        return [
            route("GET", f"{one}/traits", self._traits),
            route("GET", f"{one}/external_ids", self._external_ids),
            route("GET", f"{one}/events", self._events),
            route("GET", f"{one}/metadata", self._metadata),
            route("POST", "/v1/batch", tracking.batch, TRACKING),
            route("POST", "/v1/import", tracking.batch, TRACKING),
            *(route("POST", f"/v1/{kind}", tracking.one, TRACKING) for kind in KINDS),
            route("POST", "/regulations", regulations.create, PUBLIC),
            route("GET", "/regulations", regulations.everything, PUBLIC),
            route("POST", "/regulations/sources/{source_id}", regulations.create, PUBLIC),
            route("GET", "/regulations/sources/{source_id}", regulations.everything, PUBLIC),
            route("GET", "/regulations/{regulation_id}", regulations.get, PUBLIC),
            route("DELETE", "/regulations/{regulation_id}", regulations.delete, PUBLIC),
            route("GET", "/suppressions", regulations.suppressions, PUBLIC),
        ]

    def authenticate(self, call: Call) -> str:
        self.regulations.work_off()
        expired = call.strike.get("expire_token") is not None
        if TRACKING in call.route.tags:
            if expired:
                raise tracking_refusal(401, "Unauthorized")
            return TRACKING
        if PUBLIC in call.route.tags:
            scheme, _, token = call.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or token not in (PUBLIC_TOKEN, READER_TOKEN) or expired:
                raise public_refusal(401, "The token is not one of this workspace.")
            if token == READER_TOKEN and call.method != "GET":
                raise public_refusal(403, "The token may only read.")
            return PUBLIC
        valid = self.tokens.state(_user(call.headers.get("authorization", ""))) == "valid"
        if not valid or expired:
            raise refusal(401, "The access token is not one of this space.")
        if call.params["space_id"] != SPACE_ID:
            raise refusal(404, "There is no such space.")
        return TOKEN

    def admit(self, call: Call) -> dict[str, str]:
        kind = next((tag for tag in (TRACKING, PUBLIC) if tag in call.route.tags), "")
        window = self.windows[kind]
        if not window.take():
            raise self.rate_limited(window.wait, kind)
        if kind == PUBLIC:
            left = {"X-RateLimit-Remaining": str(window.remaining)}
            return left | {"X-RateLimit-Consumed": str(window.allowed - window.remaining)}
        return {} if kind else {"Request-Id": f"req-{call.path.__hash__() & 0xFFFFFFFF:08x}"}

    def not_found(self, method: str, path: str) -> ApiError:
        if path.startswith(("/regulations", "/suppressions")):
            return public_refusal(404, f"There is no {method} {path}.")
        return refusal(404, f"There is no {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        wait = str(max(1, math.ceil(seconds)))
        headers = {"Retry-After": wait, "X-RateLimit-Reset": wait}
        if policy == PUBLIC:
            return public_refusal(429, "Too many requests.", headers=headers)
        return refusal(429, "Too many requests for this space.", headers)

    def server_error(self, status: int) -> ApiError:
        return ApiError(status, {"error": {"code": "internal_error", "message": "Something went wrong on our side."}})

    def malformed_json(self, detail: str) -> ApiError:
        return public_refusal(400, f"The body is not JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        where, what = problems[0]
        return public_refusal(422, f"{where}: {what}", where.partition(".")[0])

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "space_id": SPACE_ID,
            "token": TOKEN,
            "write_key": WRITE_KEY,
            "oauth_token": OAUTH_TOKEN,
            "public_token": PUBLIC_TOKEN,
            "source_id": SOURCE_ID,
        }

    def state(self) -> JsonObject:
        self.regulations.work_off()
        return self.people.state() | {"accepted": self.tracking.accepted, "dropped": dict(self.tracking.dropped)}

    def _user_id(self, call: Call) -> str:
        """User id, in lower case, of the profile that the path names."""
        kind, colon, value = call.params["name"].partition(":")
        if not colon or kind not in TYPES:
            raise refusal(400, f"The profile is named as type:id, with one of {', '.join(TYPES)}.")
        if value != value.lower():
            raise refusal(400, "Identifiers are looked up in lower case.")
        user_id = value if kind == "user_id" else self.people.user_of_email(value) if kind == "email" else None
        if user_id is None:
            index = self._profiles.find(kind, value)
            user_id = None if index is None else (self.company.person(index).customer_id or "").lower()
        if user_id is None or not self.people.exists(user_id):
            raise refusal(404, "The profile does not exist.")
        return user_id

    def _traits(self, call: Call) -> Answer:
        _check(call, "limit", "include", "class", "verbose", "next")
        of_class = call.query.get("class")
        if of_class not in (None, "audience", "computed_trait"):
            raise refusal(400, "class is audience or computed_trait.")
        traits = self.people.traits(self._user_id(call), of_class)
        wanted = call.query.get("include")
        names = [name for name in traits if wanted is None or name in wanted.split(",")]
        shown, cursor = _page(call, names)
        return Answer({"traits": {name: traits[name] for name in shown}, "cursor": cursor})

    def _external_ids(self, call: Call) -> Answer:
        _check(call, "limit", "include", "verbose", "next")
        wanted = call.query.get("include")
        ids = self.people.external_ids(self._user_id(call))
        shown, cursor = _page(call, [one for one in ids if wanted is None or one["type"] in wanted.split(",")])
        return Answer({"data": shown, "cursor": cursor})

    def _events(self, call: Call) -> Answer:
        _check(call, "limit", "include", "exclude", "start", "end", "sort", "next")
        start, end = _moment(call, "start"), _moment(call, "end")
        events = self.people.events(self._user_id(call))
        found = [one for one in events if _in_time(one, start, end) and _is_wanted(call, one)]
        if call.query.get("sort", "desc") == "desc":
            found.reverse()
        shown, cursor = _page(call, found)
        return Answer({"data": shown, "cursor": cursor})

    def _metadata(self, call: Call) -> Answer:
        _check(call, "verbose")
        return Answer({"metadata": self.people.metadata(self._user_id(call))})


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
