"""Webhooks: who signed them, and how a delivery becomes messages.

A vendor signs a text with a secret (HMAC, RFC 2104). Most sign the body; those that also sign a time keep others from
sending an old delivery again. What comes twice within that time has the same id, and so becomes the same row.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from millstream.sources.receiving import Incoming, Message, RefusedRequestError

_PARTS = frozenset({"body", "first", "timestamp", "method", "url"})
_MILLISECONDS = 100_000_000_000


class WebhookSettings(BaseModel):
    """One webhook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr = Field(description="The shared secret.")
    old_secret: SecretStr | None = Field(
        default=None, description="The secret before, which is still taken while the new one is rolled out."
    )
    header: str = Field(default="X-Signature", description="The header with the signature.")
    algorithm: Literal["sha1", "sha256", "sha512"] = Field(default="sha256", description="The HMAC's hash.")
    encoding: Literal["hex", "base64"] = Field(default="hex", description="How the signature is written.")
    prefix: str = Field(default="", description="What stands before the signature, as sha256=.")
    signature_part: str | None = Field(
        default=None, description="Where the header is a list (t=…,v1=…): the name of the signature in it, as v1."
    )
    timestamp_header: str | None = Field(default=None, description="The header with the time of sending.")
    timestamp_part: str | None = Field(default=None, description="Or its name in the list, as t.")
    signed: str = Field(
        default="{body}",
        description="The text that is signed, of {body}, {first} (the first element of a list), {timestamp}, {method} "
        "and {url}.",
    )
    tolerance_seconds: int = Field(default=300, ge=1, description="How old a delivery may be, and how early.")
    url: str | None = Field(default=None, description="The address that the vendor sends to, where that is signed.")
    id: str | None = Field(
        default=None, description="Where a delivery's id stands, as data.id; left out: a hash of what was sent."
    )
    contains: Literal["anything", "messages"] = Field(
        default="anything", description="messages: Segment's own calls (identify, track, …), by its webhooks."
    )

    @property
    def has_time(self) -> bool:
        """Whether the time of sending comes with a delivery."""
        return bool(self.timestamp_header or self.timestamp_part)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        parts = {name for _, name, _, _ in Formatter().parse(self.signed) if name is not None}
        if not parts <= _PARTS or not parts & {"body", "first"}:
            raise ValueError(f"`signed` holds {{body}} or {{first}}, and of others only {', '.join(sorted(_PARTS))}")
        if self.has_time != ("timestamp" in parts):
            raise ValueError(
                "a time proves nothing unless it is signed: say where it stands, and {timestamp} in `signed`"
            )
        if self.timestamp_part and not self.signature_part:
            raise ValueError("`timestamp_part` is of a list: name its `signature_part` too")
        if "url" in parts and self.url is None:
            raise ValueError("`signed` holds {url}: give it as `url`")
        return self


def check_signature(how: WebhookSettings, request: Incoming) -> None:
    """See that a delivery was signed with the secret, and lately.

    Raises:
        RefusedRequestError: It was not.
    """
    found = request.headers.get(how.header.lower(), "")
    listed = dict(part.strip().partition("=")[::2] for part in found.split(",")) if how.signature_part else {}
    signature = listed.get(how.signature_part or "", "") if how.signature_part else found
    if not signature.startswith(how.prefix) or signature == how.prefix:
        raise RefusedRequestError(401, f"There is no signature in {how.header}.")
    timestamp = ""
    if how.has_time:
        of_header = request.headers.get((how.timestamp_header or "").lower(), "")
        timestamp = listed.get(how.timestamp_part, "") if how.timestamp_part else of_header
    text = _signed_text(how, request, timestamp)
    given = signature.removeprefix(how.prefix).encode()
    secrets = [secret for secret in (how.secret, how.old_secret) if secret is not None]
    if not any(hmac.compare_digest(given, _signature(how, secret, text)) for secret in secrets):
        raise RefusedRequestError(401, "The signature is wrong.")
    if how.has_time:
        _check_time(timestamp, request.received_at, timedelta(seconds=how.tolerance_seconds))


def _signature(how: WebhookSettings, secret: SecretStr, text: bytes) -> bytes:
    made = hmac.new(secret.get_secret_value().encode(), text, getattr(hashlib, how.algorithm))
    return base64.b64encode(made.digest()) if how.encoding == "base64" else made.hexdigest().encode()


def _signed_text(how: WebhookSettings, request: Incoming, timestamp: str) -> bytes:
    parts = []
    for text, name, _, _ in Formatter().parse(how.signed):
        parts.append(text.encode())
        match name:
            case "body":
                parts.append(request.body)
            case "first":
                parts.append(first_element(request.body))
            case "timestamp":
                parts.append(timestamp.encode())
            case "method":
                parts.append(request.method.encode())
            case "url":
                parts.append((how.url or "").encode())
    return b"".join(parts)


def first_element(body: bytes) -> bytes:
    """The first element of a JSON list, as it was written; of anything else, the whole."""
    text = body.lstrip()
    if not text.startswith(b"["):
        return body
    try:
        whole = text[1:].decode().lstrip()
        _, end = json.JSONDecoder().raw_decode(whole)
    except (ValueError, RecursionError) as error:
        raise RefusedRequestError(400, "The body is not JSON.") from error
    return whole[:end].encode()


def _check_time(text: str, now: datetime, tolerance: timedelta) -> None:
    try:
        sent = _moment(text)
    except (ValueError, OverflowError, OSError) as error:
        raise RefusedRequestError(401, "The time of sending cannot be read.") from error
    if abs(now - sent) > tolerance:
        raise RefusedRequestError(401, "It was sent too long ago, or by a clock that is wrong.")


def _moment(text: str) -> datetime:
    """Seconds or milliseconds since 1970, or ISO 8601."""
    if text.lstrip("-").isdigit():
        number = int(text)
        return datetime.fromtimestamp(number / 1000 if abs(number) >= _MILLISECONDS else number, UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def deliveries(name: str, how: WebhookSettings, request: Incoming) -> Iterator[Message]:
    """A delivery as messages, one for each element where it is a list.

    Raises:
        RefusedRequestError: It is not JSON that can be kept.
    """
    try:
        body = orjson.loads(request.body)
        orjson.dumps([body])  # nested deeper than this it could be read, and not be kept
    except orjson.JSONDecodeError as error:
        raise RefusedRequestError(400, "The body is not JSON.") from error
    except orjson.JSONEncodeError as error:
        raise RefusedRequestError(400, "The body is nested too deeply.") from error
    for one in body if isinstance(body, list) else [body]:
        yield Message(
            "webhook",
            {
                "received_at": request.received_at.isoformat(),
                "webhook": name,
                "id": _found(one, how.id) or hashlib.sha256(orjson.dumps(one)).hexdigest()[:32],
                "body": one,
            },
        )


def _found(body: Any, path: str | None) -> str | None:
    for part in path.split(".") if path else ():
        body = body.get(part) if isinstance(body, Mapping) else None
    return str(body) if path and isinstance(body, str | int) else None
