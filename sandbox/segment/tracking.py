"""The HTTP Tracking API: takes nearly everything with 200, and drops in silence what it cannot use."""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from collections import Counter
from datetime import UTC, datetime

import orjson

from millstream.sandbox.segment.errors import tracking_refusal
from millstream.sandbox.segment.people import People, stamp_now
from millstream.sandbox.system import Answer, Call, JsonObject

WRITE_KEY = "sandbox-segment-write-key"
OAUTH_TOKEN = "sandbox-segment-oauth"  # noqa: S105  made up, and printed in the README
KINDS = ("identify", "track", "page", "screen", "group", "alias")
LARGEST_BATCH, LARGEST_EVENT = 500 * 1024, 32 * 1024
MOST_EVENTS = 2500
LONGEST_MESSAGE_ID = 100
DEDUPED_SECONDS = 86_400.0


class Tracking:
    """Handlers of the Tracking API.

    Attributes:
        refuses_wrong_keys: Whether a write key that is not known is refused with 401. By default it is not, as at
            Segment: the answer is 200 and nothing arrives. Tests may change it.
        dropped: Why events were dropped, counted: what the debugger of a source would show.
    """

    def __init__(self, people: People) -> None:
        self._people = people
        self._seen: dict[str, float] = {}
        self.refuses_wrong_keys = False
        self.dropped: Counter[str] = Counter()
        self.accepted = 0

    def one(self, call: Call) -> Answer:
        """`POST /v1/<kind>`: one event."""
        if len(call.body) > LARGEST_EVENT:
            raise tracking_refusal(400, "Exceeded payload limit")
        body = self._body(call)
        if self._is_known(call, body):
            event = {name: value for name, value in body.items() if name not in ("writeKey", "type")}
            self._take(call, {**event, "type": call.route.template.rpartition("/")[2]})
        return Answer({"success": True})

    def batch(self, call: Call) -> Answer:
        """`POST /v1/batch`: up to 2,500 events; of more, none arrives, and nothing tells."""
        if len(call.body) > LARGEST_BATCH:
            raise tracking_refusal(400, "Exceeded payload limit")
        body = self._body(call)
        events = body.get("batch")
        if not isinstance(events, list):
            raise tracking_refusal(400, "batch must be a list")
        if any(len(orjson.dumps(event)) > LARGEST_EVENT for event in events):
            raise tracking_refusal(400, "Exceeded payload limit")
        if not self._is_known(call, body):
            return Answer({"success": True})
        if len(events) > MOST_EVENTS:
            self.dropped["too many events"] += len(events)
            return Answer({"success": True})
        outer = body.get("context")
        for event in events:
            if isinstance(event, dict):
                inner = event.get("context")
                merged = (outer if isinstance(outer, dict) else {}) | (inner if isinstance(inner, dict) else {})
                self._take(call, {**event, "context": merged})
            else:
                self.dropped["not an object"] += 1
        return Answer({"success": True})

    def _body(self, call: Call) -> JsonObject:
        if not call.headers.get("content-type", "").lower().startswith("application/json"):
            raise tracking_refusal(400, "content-type must be application/json")
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError as error:
            raise tracking_refusal(400, "malformed JSON") from error
        if not isinstance(body, dict):
            raise tracking_refusal(400, "malformed JSON")
        return body

    def _is_known(self, call: Call, body: JsonObject) -> bool:
        """Whether the write key is one of the workspace's; a token of OAuth must be right besides."""
        scheme, _, rest = call.headers.get("authorization", "").partition(" ")
        key = str(body.get("writeKey") or "")
        if scheme.lower() == "bearer" and rest.strip() != OAUTH_TOKEN:
            raise tracking_refusal(401, "Unauthorized")
        if scheme.lower() == "basic":
            key = _user(rest) or key
        if key == WRITE_KEY:
            return True
        if self.refuses_wrong_keys:
            raise tracking_refusal(401, "Unauthorized")
        self.dropped["unknown write key"] += 1
        return False

    def _take(self, call: Call, event: JsonObject) -> None:
        reason = self._flaw(event) or ("refused" if call.refuses(str(event.get("userId"))) else "")
        if reason:
            self.dropped[reason] += 1
            return
        event["messageId"] = str(event.get("messageId") or uuid.uuid4())
        event["timestamp"] = _moment(event.get("timestamp"))
        self._seen[str(event["messageId"])] = time.monotonic()
        self.accepted += 1
        self._people.take(event)

    def _flaw(self, event: JsonObject) -> str:
        """Why an event is dropped; empty where it is taken."""
        kind, user_id = event.get("type"), event.get("userId")
        if kind not in KINDS:
            return "unknown type"
        if not _is_id(user_id) and not _is_id(event.get("anonymousId")):
            return "no identifier"
        if kind == "track" and not event.get("event"):
            return "no event name"
        if (kind == "group" and not event.get("groupId")) or (kind == "alias" and not event.get("previousId")):
            return "no other identifier"
        message_id = event.get("messageId")
        if message_id is not None and len(str(message_id)) >= LONGEST_MESSAGE_ID:
            return "message id too long"
        seen = self._seen.get(str(message_id))
        if seen is not None and time.monotonic() - seen < DEDUPED_SECONDS:
            return "seen before"
        return "suppressed" if user_id is not None and self._people.is_suppressed(str(user_id)) else ""


def _moment(given: object) -> str:
    """When it happened; a time that cannot be read counts as now."""
    try:
        at = datetime.fromisoformat(str(given))
    except ValueError:
        return stamp_now()
    return at.replace(tzinfo=at.tzinfo or UTC).isoformat()


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip() != ""


def _user(encoded: str) -> str:
    """The user of basic credentials; without the colon that must follow it, it is not read."""
    try:
        user, colon, _ = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return user if colon else ""
