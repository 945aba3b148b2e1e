"""The Tracking API: who sends, which calls it has, and what of them is kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from pydantic import SecretStr

from millstream.sources.receiving import Message, RefusedRequestError, Taken

TYPES = ("identify", "track", "page", "screen", "group", "alias")
REJECTED = "rejected"
_SHORT = {name[0]: name for name in TYPES}
"""``/v1/t`` is how analytics.js writes ``/v1/track``."""

_BATCHES = ("batch", "b", "import")
_NEEDED = {"track": "event", "group": "groupId", "alias": "previousId"}
_LONGEST_ID = 255
_KILOBYTE = 1024


def call_of(path: str) -> str | None:
    """The call that a path names: one of the types, ``batch``, or None where it names none."""
    version, _, name = path.strip("/").partition("/")
    if version != "v1":
        return None
    if name in _BATCHES:
        return "batch"
    name = _SHORT.get(name, name)
    return name if name in TYPES else None


class Senders:
    """Those who may send, by their write keys.

    Args:
        keys: Keys by the name for whom each was given to.
    """

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = {name: key.get_secret_value().encode() for name, key in keys.items()}

    def name_of(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
        """Whose key a request has: as the user of HTTP Basic, or as ``writeKey`` in the body.

        Raises:
            RefusedRequestError: It has none, or one that is nobody's.
        """
        given = _basic_user(headers.get("authorization", "")) or body.get("writeKey")
        if not isinstance(given, str) or not given:
            raise RefusedRequestError(401, "Give the write key, as the user of HTTP Basic or as writeKey in the body.")
        found = [name for name, key in self._keys.items() if hmac.compare_digest(key, given.encode())]
        if not found:
            raise RefusedRequestError(401, "The write key is not known.")
        return found[0]


def _basic_user(header: str) -> str | None:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None


def parsed(body: bytes) -> dict[str, Any]:
    """The body of a call.

    Raises:
        RefusedRequestError: It is no JSON object.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedRequestError(400, "The body is not JSON.") from error
    if not isinstance(found, dict):
        raise RefusedRequestError(400, "The body is no JSON object.")
    return found


def take_calls(call: str, body: dict[str, Any], *, via: str, received_at: datetime, message_kb: int) -> Taken:
    """The messages of a call. Of a batch, those that are wrong are kept apart, with the reason.

    Raises:
        RefusedRequestError: All of it is wrong.
    """
    received = {"received_at": received_at.isoformat(), "via": via}
    if call != "batch":
        try:
            text = _ready({**body, "type": call}, message_kb)
        except _WrongMessageError as error:
            raise RefusedRequestError(400, str(error)) from error
        return Taken((Message(call, {**received, "message": text}),))
    found = body.get("batch")
    if not isinstance(found, list) or not found:
        raise RefusedRequestError(400, "A batch has a list of messages in `batch`.")
    shared: dict[str, Any] = {name: body[name] for name in ("sentAt", "context", "integrations") if name in body}
    return taken_of([_with_shared(one, shared) for one in found], received, message_kb)


def taken_of(found: list[Any], received: Mapping[str, Any], message_kb: int) -> Taken:
    """Messages that came together.

    Args:
        found: The messages.
        received: What is kept beside each.
        message_kb: Largest message.

    Raises:
        RefusedRequestError: All are wrong.
    """
    kept, faults = [], []
    for index, message in enumerate(found):
        try:
            text = _ready(message, message_kb)
        except _WrongMessageError as error:
            faults.append({"index": index, "reason": str(error)})
            kept.append(Message(REJECTED, {**received, **_rejected(message, str(error))}))
        else:
            kept.append(Message(message["type"], {**received, "message": text}))
    if len(faults) == len(found):
        raise RefusedRequestError(400, f"Every message is wrong; the first: {faults[0]['reason']}")
    return Taken(tuple(kept), {"success": True, "rejected": faults} if faults else {"success": True})


def _with_shared(message: Any, shared: Mapping[str, Any]) -> Any:
    """A message of a batch with what the batch says for all; what it says itself counts more."""
    if not isinstance(message, dict):
        return message
    whole = {**shared, **message}
    if isinstance(shared.get("context"), dict) and isinstance(message.get("context"), dict):
        whole["context"] = {**shared["context"], **message["context"]}
    return whole


class _WrongMessageError(Exception):
    """Why a message is not kept."""


def _ready(message: Any, message_kb: int) -> orjson.Fragment:
    """A message as it is kept: with an id, and without the key. It is written as JSON only this once.

    Raises:
        _WrongMessageError: It is not as Segment's spec says.
    """
    if not isinstance(message, dict):
        raise _WrongMessageError("A message is a JSON object.")
    message.pop("writeKey", None)
    kind = message.get("type")
    if kind not in TYPES:
        raise _WrongMessageError(f"`type` is one of {', '.join(TYPES)}.")
    if not (_is_id(message.get("userId")) or _is_id(message.get("anonymousId"))):
        raise _WrongMessageError("`userId` or `anonymousId` is missing.")
    needed = _NEEDED.get(kind)
    if needed and not _is_id(message.get(needed)):
        raise _WrongMessageError(f"`{needed}` is missing.")
    given = message.get("messageId")
    try:
        if not _is_id(given) or len(str(given)) > _LONGEST_ID:
            message["messageId"] = _made_id(message)
        text = orjson.dumps(message)
    except orjson.JSONEncodeError as error:  # what was read may be nested deeper than what can be written
        raise _WrongMessageError("A message is nested too deeply.") from error
    if len(text) > message_kb * _KILOBYTE:
        raise _WrongMessageError(f"A message has {message_kb} KB at most.")
    return orjson.Fragment(text)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _made_id(message: Mapping[str, Any]) -> str:
    """An id for a message without one: the same when it is sent again, where it says when it happened."""
    if not (message.get("timestamp") or message.get("originalTimestamp")):
        return f"made-{uuid.uuid4()}"
    said = {name: value for name, value in message.items() if name not in ("sentAt", "messageId")}
    return f"hash-{hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:40]}"


def _rejected(message: Any, reason: str) -> dict[str, Any]:
    """What is kept of a wrong message; one that is too large is cut, and of one too deep what is flat."""
    try:
        text = orjson.dumps(message)
    except orjson.JSONEncodeError:
        facts = message.items() if isinstance(message, dict) else ()
        text = orjson.dumps({name: value for name, value in facts if not isinstance(value, dict | list)})
    return {
        "reason": reason,
        "id": hashlib.sha256(text).hexdigest()[:32],
        "text": text[:2000].decode("utf-8", "ignore"),
    }
