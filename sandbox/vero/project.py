"""The project: its token, and the endpoints that take what clients have to say. Nothing can be read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import orjson

from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens
from millstream.sandbox.vero.profiles import Profile, Profiles

TOKEN = "sandbox-vero"  # noqa: S105  made up, and printed in the README
REQUESTS_A_SECOND = 50
LONGEST = 255
FORM = "application/x-www-form-urlencoded"
_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class Vero(System):
    """One project.

    Attributes:
        pace: The requests of a second, which tests may count longer.
        seconds_remembered: For how long a second identify call that says the same is taken for a repetition and
            dropped; tests may change it.
    """

    name: ClassVar[str] = "vero"
    title: ClassVar[str] = "Vero"

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN)
        self.pace = Window(REQUESTS_A_SECOND, 1)
        self._profiles = Profiles(self.company)
        self._received: dict[bytes, float] = {}
        self.seconds_remembered = 300.0

    def routes(self) -> Sequence[Route]:
        table: list[tuple[str, str, Callable[[Call], Answer]]] = [
            ("POST", "track", self._identify),
            ("PUT", "edit", self._edit),
            ("PUT", "reidentify", self._reidentify),
            ("PUT", "tags/edit", self._tag),
            ("POST", "unsubscribe", self._unsubscribe),
            ("POST", "resubscribe", self._resubscribe),
            ("POST", "delete", self._delete),
        ]
        # The vendor's own clients write `.json` behind every path.
        return [
            route(method, f"/api/v2/users/{path}{ending}", handler)
            for method, path, handler in table
            for ending in ("", ".json")
        ]

    def authenticate(self, call: Call) -> str:
        token = _given(call).get("auth_token")
        if not isinstance(token, str) or self.tokens.state(token) != "valid":
            raise refusal(401, "Unauthorized. The auth_token is missing or invalid.")
        if call.strike.get("expire_token") is not None:
            raise refusal(401, "Unauthorized. The auth_token was revoked.")
        return token

    def admit(self, call: Call) -> dict[str, str]:
        del call
        if not self.pace.take():
            raise self.rate_limited(0, None)
        return {}

    # Endpoints. What is well formed is accepted; whether there is such a user is found out later, and told nobody.

    def _identify(self, call: Call) -> Answer:
        given = _given(call)
        email = _text(given, "email")
        user_id = _identifier(given, "id") if given.get("id") is not None or email is None else email
        if email is not None and (len(email) >= LONGEST or not _ADDRESS.fullmatch(email)):
            raise refusal(400, "email is invalid")
        data, channels = _mapping(given, "data"), given.get("channels") or []
        if not isinstance(channels, list) or not all(isinstance(one, dict) for one in channels):
            raise refusal(400, "channels must be an array of objects")
        phone = _text(given, "phone_number")
        _check_row(call, user_id)
        if data and self._is_repeated(given):
            return _accepted("Request already received.")
        self._profiles.identify(user_id, email, phone, channels, data)
        return _accepted()

    def _is_repeated(self, given: Mapping[str, object]) -> bool:
        now, key = time.monotonic(), orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
        last = self._received.get(key)
        if last is not None and now - last < self.seconds_remembered:
            return True
        self._received[key] = now
        return False

    def _edit(self, call: Call) -> Answer:
        profile = self._named(call)
        changes = _mapping(_given(call), "changes")
        if not changes:
            raise refusal(400, "changes is missing")
        if profile is not None:
            self._profiles.change(profile, changes)
        return _accepted()

    def _reidentify(self, call: Call) -> Answer:
        profile, new_id = self._named(call), _identifier(_given(call), "new_id")
        if profile is not None and profile.user_id != new_id:
            self._profiles.reidentify(profile, new_id)
        return _accepted()

    def _tag(self, call: Call) -> Answer:
        profile, given = self._named(call), _given(call)
        add, remove = _tags(given, "add"), _tags(given, "remove")
        if "add" not in given and "remove" not in given:
            raise refusal(400, "add and remove are missing")
        if profile is not None:
            self._profiles.tag(profile, add, remove)
        return _accepted()

    def _unsubscribe(self, call: Call) -> Answer:
        profile = self._named(call)
        if profile is not None:
            self._profiles.unsubscribe(profile)
        return _accepted()

    def _resubscribe(self, call: Call) -> Answer:
        profile = self._named(call)
        if profile is not None:
            self._profiles.subscribe(profile)
        return _accepted()

    def _delete(self, call: Call) -> Answer:
        profile = self._named(call)
        if profile is not None:
            self._profiles.delete(profile.user_id)
        return _accepted()

    def _named(self, call: Call) -> Profile | None:
        user_id = _identifier(_given(call), "id")
        _check_row(call, user_id)
        return self._profiles.find(user_id)

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        del method, path
        return refusal(404, "Not Found")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Without headers, since none are documented."""
        del seconds, policy
        return refusal(429, "Too Many Requests")

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "Internal server error")

    def malformed_json(self, detail: str) -> ApiError:
        del detail
        return refusal(400, "Bad Request. The body is not valid JSON.")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, "; ".join(f"{where}: {what}" for where, what in problems))

    # For tests

    def state(self) -> JsonObject:
        profiles = self._profiles.shown()
        tags = sorted({tag for profile in profiles for tag in profile.tags})
        return {
            "people": [profile.row() for profile in profiles],
            "audiences": {tag: tag for tag in tags},
            "deleted": sorted(self._profiles.deleted),
        }

    def credentials(self, base_url: str) -> JsonObject:
        return {"base_url": f"{base_url}/api/v2", "auth_token": TOKEN}


def refusal(status: int, message: str) -> ApiError:
    """A refusal in the vendor's one shape."""
    return ApiError(status, {"status": status, "message": message})


def _accepted(message: str = "Success.") -> Answer:
    return Answer({"status": 200, "message": message})


def _check_row(call: Call, user_id: str) -> None:
    if call.refuses(user_id):
        raise refusal(400, "Bad Request. The user cannot be saved.")


def _given(call: Call) -> dict[str, object]:
    """The parameters: those of the query and those of the body, which is JSON or a form with JSON in it."""
    if call.headers.get("content-type", "").lower().startswith(FORM):
        return {**call.query, **{name: _unpacked(name, value) for name, value in call.form().items()}}
    body = call.json() if call.body else {}
    if not isinstance(body, dict):
        raise refusal(400, "Bad Request. The body is not a JSON object.")
    return {**call.query, **body}


def _unpacked(name: str, value: str) -> object:
    if name not in ("data", "changes", "channels", "add", "remove"):
        return value
    try:
        unpacked: object = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise refusal(400, f"{name} is not valid JSON") from error
    return unpacked


def _identifier(given: Mapping[str, object], name: str) -> str:
    value = given.get(name)
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text:
        raise refusal(400, f"{name} is missing")
    if len(text) >= LONGEST:
        raise refusal(400, f"{name} is too long (maximum is {LONGEST} characters)")
    return text


def _text(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise refusal(400, f"{name} must be a string")
    return value or None


def _mapping(given: Mapping[str, object], name: str) -> dict[str, object]:
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refusal(400, f"{name} must be an object")
    return value


def _tags(given: Mapping[str, object], name: str) -> list[str]:
    value = given.get(name) or []
    if not isinstance(value, list) or not all(isinstance(tag, str) and tag.strip() for tag in value):
        raise refusal(400, f"{name} must be an array of strings")
    return value
