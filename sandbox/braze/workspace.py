"""The workspace: its keys, limits and refusals, and who answers which path."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from millstream.sandbox.braze.attributes import Attributes
from millstream.sandbox.braze.cohorts import IMPORT_KEY, PARTNER_KEY, Cohorts
from millstream.sandbox.braze.consent import Consent
from millstream.sandbox.braze.errors import fatal
from millstream.sandbox.braze.exports import Exports
from millstream.sandbox.braze.people import GROUPS, NEWS, PRODUCTS, SUBSCRIBED, TEXTS
from millstream.sandbox.braze.profiles import Profile, Profiles
from millstream.sandbox.braze.queue import Queue
from millstream.sandbox.braze.subscriptions import Subscriptions
from millstream.sandbox.braze.users import Users
from millstream.sandbox.limits import Window
from millstream.sandbox.system import ApiError, Call, JsonObject, Route, System
from millstream.sandbox.tokens import Tokens

KEY, LIMITED_KEY = "sandbox-braze", "sandbox-braze-track-only"
LIMITED_TO = {"users.track", "segments.list"}
# Requests and seconds by permission; everything else shares the last.
LIMITS = {
    "users.track": (3000, 3.0),
    "users.export.ids": (250, 60.0),
    "subscription.status.set": (5000, 60.0),
    "users.delete": (20_000, 60.0),
    "custom_attributes.get": (1000, 3600.0),
}
EVERYTHING_ELSE = (250_000, 3600.0)
MOST_BYTES = 4 * 1024 * 1024
SHOWN_UNTOUCHED = 500


class Braze(System):
    """One workspace; a key has the permissions it was given."""

    name: ClassVar[str] = "braze"
    title: ClassVar[str] = "Braze"
    record_keys: ClassVar[tuple[str, ...]] = ("users", "segments", "attributes")

    def reset(self) -> None:
        self.tokens = Tokens(KEY, LIMITED_KEY)
        self._windows = {name: Window(*limit) for name, limit in LIMITS.items()}
        self._shared = Window(*EVERYTHING_ELSE)
        for part in (self._profiles, self.attributes, self.queue, self.exports, self._cohorts):
            part.reset()
        self.consent.resubscribes = True

    # The parts are made once, so that the routes can hold on to them; `reset` empties them.

    @cached_property
    def _profiles(self) -> Profiles:
        return Profiles(self.company)

    @cached_property
    def consent(self) -> Consent:
        """The rules of subscription states."""
        return Consent(self._profiles)

    @cached_property
    def attributes(self) -> Attributes:
        """The catalogue of custom attributes."""
        return Attributes(self._profiles, self.consent)

    @cached_property
    def queue(self) -> Queue:
        """What was accepted and not yet done."""
        return Queue()

    @cached_property
    def exports(self) -> Exports:
        """Segments and their exports."""
        return Exports(self._profiles, self.attributes)

    @cached_property
    def _cohorts(self) -> Cohorts:
        return Cohorts(self._profiles, self.queue)

    def routes(self) -> Sequence[Route]:
        return [
            *Users(self._profiles, self.attributes, self.queue).routes(),
            *Subscriptions(self._profiles, self.consent, self.queue).routes(),
            *self.exports.routes(),
            *self._cohorts.routes(),
        ]

    def authenticate(self, call: Call) -> str:
        self.queue.work_off()
        if call.method == "POST" and "json" not in call.headers.get("content-type", ""):
            raise fatal(415, "Unsupported Media Type")
        if len(call.body) > MOST_BYTES:
            raise fatal(413, "Request Entity Too Large")
        if "public" in call.route.tags:
            return ""
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        valid = scheme.lower() == "bearer" and self.tokens.state(key) == "valid"
        if not valid or call.strike.get("expire_token") is not None:
            raise fatal(401, "Invalid API Key")
        if key == LIMITED_KEY and not call.route.tags <= LIMITED_TO:
            raise fatal(403, f"This API key does not have the permission {min(call.route.tags)}")
        return key

    def admit(self, call: Call) -> dict[str, str]:
        if "public" in call.route.tags:
            return {}
        window = next((self._windows[tag] for tag in call.route.tags if tag in self._windows), self._shared)
        if not window.take():
            raise fatal(429, "Rate limit exceeded", (), _limit_headers(window))
        return _limit_headers(window)

    def not_found(self, method: str, path: str) -> ApiError:
        del method, path
        return fatal(404, "Invalid URL")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Policy `active_users`: the plan by monthly active users, which says how long to wait."""
        reset = str(math.ceil(time.time() + seconds))
        headers = {"X-RateLimit-Limit": "250000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
        if policy == "active_users":
            headers["X-Ratelimit-Retry-After"] = str(math.ceil(seconds))
        return fatal(429, "Rate limit exceeded", (), headers)

    def server_error(self, status: int) -> ApiError:
        return fatal(status, "Internal server error, please retry")

    def malformed_json(self, detail: str) -> ApiError:
        del detail
        return fatal(400, "The request body is not valid JSON")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return fatal(400, "; ".join(f"'{where}': {what}" for where, what in problems))

    def state(self) -> JsonObject:
        self.queue.finish()
        people = []
        untouched = 0
        for profile in self._profiles.everybody():
            untouched += not profile.written
            if untouched > SHOWN_UNTOUCHED:
                break
            people.append(self._shown(profile))
        groups = {group: name for group, (name, _) in GROUPS.items()}
        return {
            "people": people,
            "audiences": groups | self._cohorts.names,
            "custom_attributes": {one.name: one.kind for one in self.attributes.catalogue.values()},
        }

    def _shown(self, profile: Profile) -> JsonObject:
        flags = [name for name, value in profile.custom.items() if value is True]
        elements = [
            one for value in profile.custom.values() if isinstance(value, list) for one in value if isinstance(one, str)
        ]
        groups = [GROUPS[group][0] for group, state in profile.groups.items() if state == SUBSCRIBED]
        return {
            "match": {"email": profile.email, "external_id": profile.external_id, "phone": profile.phone},
            "id": profile.braze_id,
            "standing": profile.standing,
            "fields": {**profile.standard, **profile.custom},
            "audiences": [*flags, *elements, *groups, *(self._cohorts.names[one] for one in profile.cohorts)],
            "aliases": profile.aliases,
            "groups": {GROUPS[group][0]: state for group, state in profile.groups.items()},
            "events": profile.events,
            "resubscribed": profile.resubscribed,
            "written": profile.written,
        }

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "api_key": KEY,
            "limited_api_key": LIMITED_KEY,
            "partner_api_key": PARTNER_KEY,
            "data_import_key": IMPORT_KEY,
            "subscription_group_ids": {"news": NEWS, "products": PRODUCTS, "texts": TEXTS},
        }


def _limit_headers(window: Window) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(window.allowed),
        "X-RateLimit-Remaining": str(max(0, window.remaining)),
        "X-RateLimit-Reset": str(math.ceil(time.time() + window.wait)),
    }
