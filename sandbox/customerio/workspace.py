"""The workspace: the keys of its two APIs, their limits and refusals, and what tests may look at."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import ClassVar

from millstream.sandbox.customerio.app import App
from millstream.sandbox.customerio.errors import app, bare
from millstream.sandbox.customerio.people import SUPPRESSED, Profile
from millstream.sandbox.customerio.register import Register
from millstream.sandbox.customerio.segments import Segments
from millstream.sandbox.customerio.track import Track
from millstream.sandbox.customerio.writing import Writer
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

SITE_ID, TRACK_KEY = "sandbox-site", "sandbox-customerio-track"
EU_SITE_ID, EU_TRACK_KEY = "sandbox-site-eu", "sandbox-customerio-track-eu"
APP_KEY, APP_KEY_NO_SEGMENTS = "sandbox-customerio-app", "sandbox-customerio-app-no-segments"
TRACK_REQUESTS, APP_REQUESTS = 100, 10
UNTOUCHED_SHOWN = 300


class CustomerIO(System):
    """One workspace in the US, whose people have an id, an address, or both."""

    name: ClassVar[str] = "customerio"
    title: ClassVar[str] = "Customer.io"
    record_keys: ClassVar[tuple[str, ...]] = ("segments", "identifiers", "ids", "results", "customers", "topics")

    def reset(self) -> None:
        self.tokens = Tokens(f"{SITE_ID}:{TRACK_KEY}", f"{EU_SITE_ID}:{EU_TRACK_KEY}", APP_KEY, APP_KEY_NO_SEGMENTS)
        self._windows = {"track": Window(TRACK_REQUESTS, 1), "app": Window(APP_REQUESTS, 1)}
        self._register = Register(self.company)
        self._writer = Writer(self._register)
        self._segments = Segments(self.company, self._register)
        self._track = Track(self._register, self._writer, self._segments)
        self._app = App(self._register, self._segments)

    @property
    def lag(self) -> float:
        """Seconds until somebody whom a client made is worked off; tests may set it."""
        return self._register.lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._register.lag = seconds

    @property
    def email_updates(self) -> bool:
        """Whether an address may be changed by whoever names the id; tests may set it."""
        return self._writer.email_updates

    @email_updates.setter
    def email_updates(self, allowed: bool) -> None:
        self._writer.email_updates = allowed

    def routes(self) -> Sequence[Route]:
        region = route("GET", "/track/api/v1/accounts/region", self._region, "region")
        return [region, *self._track.routes(), *self._app.routes()]

    def authenticate(self, call: Call) -> str:
        is_app = call.path.startswith("/app")
        key = _key(call.headers.get("authorization", ""), "bearer" if is_app else "basic")
        known = self.tokens.state(key) == "valid" and is_app == (":" not in key)
        if not known or call.strike.get("expire_token") is not None:
            raise app(401, "unauthorized") if is_app else bare(401, "Unauthorized request")
        if key.startswith(f"{EU_SITE_ID}:") and "region" not in call.route.tags:
            raise bare(401, "Unauthorized request")
        if key == APP_KEY_NO_SEGMENTS and "segments" in call.route.tags:
            raise bare(403, "The API key may not use segments")
        return key

    def admit(self, call: Call) -> dict[str, str]:
        host = "app" if "app" in call.route.tags else "track"
        if not self._windows[host].take():
            raise self.rate_limited(self._windows[host].wait, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return app(404, f"There is no {method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Without a word about how long to wait, unless the policy is `retry_after`."""
        refused = bare(429, "Too many requests")
        if policy == "retry_after":
            refused.answer.headers["Retry-After"] = str(max(1, round(seconds)))
        return refused

    def server_error(self, status: int) -> ApiError:
        return bare(status, "Something went wrong")

    def malformed_json(self, detail: str) -> ApiError:
        return app(400, f"malformed JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return app(400, "; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        emptied = {key: [] if key in self.record_keys else value for key, value in body.items()}
        return {**emptied, "next": ""} if "next" in body else emptied

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "track_url": f"{base_url}/track",
            "app_url": f"{base_url}/app",
            "site_id": SITE_ID,
            "track_api_key": TRACK_KEY,
            "app_api_key": APP_KEY,
            "eu_site_id": EU_SITE_ID,
            "eu_track_api_key": EU_TRACK_KEY,
            "app_api_key_without_segments": APP_KEY_NO_SEGMENTS,
        }

    def _region(self, call: Call) -> Answer:
        """Where the keys are at home. Asked with those of the other region it still answers."""
        place = ("eu", "-eu") if call.caller.startswith(f"{EU_SITE_ID}:") else ("us", "")
        return Answer({"url": f"https://track{place[1]}.customer.io", "region": place[0], "environment_id": 3})

    # For tests

    def state(self) -> JsonObject:
        """Everybody who was written to or is in a segment, the first of the others, and what was done."""
        members = {segment.segment_id: self._segments.members(segment) for segment in self._segments.all()}
        shown = {number for segment, who in members.items() if segment != 1 for number in who}
        shown |= {profile.number for profile in self._register.kept} | set(range(UNTOUCHED_SHOWN))
        profiles = [profile for profile in map(self._register.at, sorted(shown)) if profile is not None]
        suppressed = self._register.suppressed(UNTOUCHED_SHOWN)
        return {
            "people": [*map(self._person, profiles), *(_nobody(*each) for each in suppressed)],
            "audiences": {str(segment.segment_id): segment.name for segment in self._segments.all()},
            "failures": self._writer.failures,
            "events": self._track.events,
            "resubscribed": self._register.resubscribed,
            "deleted": self._register.deleted,
        }

    def _person(self, profile: Profile) -> JsonObject:
        phone = profile.attributes.get("phone")
        return {
            "match": {"email": profile.email, "external_id": profile.id, "phone": phone},
            "id": profile.cio_id,
            "standing": profile.standing,
            "fields": profile.attributes,
            "audiences": [segment.name for segment in self._segments.of(profile) if segment.is_manual],
            "written": profile.written,
        }


def _nobody(kind: str, value: str, written: bool) -> JsonObject:
    match: JsonObject = {"email": None, "external_id": None, "phone": None}
    match["external_id" if kind == "id" else kind] = value
    return {"match": match, "id": None, "standing": SUPPRESSED, "fields": {}, "audiences": [], "written": written}


def _key(authorization: str, wanted: str) -> str:
    """The token, or `site:key`; empty where the scheme is not the API's own."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != wanted:
        return ""
    if wanted == "bearer":
        return rest.strip()
    try:
        return base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
