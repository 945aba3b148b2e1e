"""Channels by HTTP: a signed webhook, and Slack's incoming webhooks.

The signature is that of the Standard Webhooks specification (https://www.standardwebhooks.com), for which receivers
find libraries in most languages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr
from requests import PreparedRequest, Request
from requests.auth import AuthBase

from millstream.state.alerts.messages import Message, headline
from millstream.state.errors import ConfigurationError, MillstreamError, RefusedError, UnavailableError
from millstream.state.http import Pacer, RateLimit, Retries, VendorSession

_RETRIES = Retries(attempts=3, first_wait=0.5, longest_wait=5.0, longest_retry_after=10.0)
_LIMIT = RateLimit(requests=5, seconds=1.0, concurrency=1)
_TIMEOUT = (5.0, 10.0)
_IS_BASE64 = "whsec_"


class Channel(Protocol):
    """A way to tell people."""

    def tell(self, messages: Sequence[Message]) -> None:
        """Tell of these changes.

        Raises:
            MillstreamError: They were not told, or nobody knows.
        """


class _Unsigned(AuthBase):
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class Signature(AuthBase):
    """Signs a request's id, its time and its body, anew at each try.

    Args:
        secret: Shared with the receiver; ``whsec_`` and base64, or any text.

    Raises:
        ConfigurationError: It begins like one in base64, and is none.
    """

    def __init__(self, secret: SecretStr) -> None:
        value = secret.get_secret_value()
        if not value.startswith(_IS_BASE64):
            self._key = value.encode()
            return
        try:
            self._key = base64.b64decode(value.removeprefix(_IS_BASE64), validate=True)
        except binascii.Error as error:
            raise ConfigurationError(f"A webhook's secret that begins with {_IS_BASE64} is base64.") from error

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers of the signature."""
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        at = str(int(time.time()))
        signed = f"{request.headers['webhook-id']}.{at}.".encode() + body
        digest = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        request.headers.update({"webhook-timestamp": at, "webhook-signature": f"v1,{digest}"})
        return request


class Webhook:
    """Posts each change as JSON to a URL.

    Args:
        url: Where to.
        secret: Signs what is sent; without one nothing is signed.
    """

    def __init__(self, url: str, secret: SecretStr | None = None) -> None:
        self._url = url
        self._session = _session(Signature(secret) if secret else _Unsigned())

    def tell(self, messages: Sequence[Message]) -> None:
        """One request for each change."""
        for message in messages:
            body = {"type": f"millstream.alert.{message.alert.state}", "data": message.as_json()}
            _post(self._session, self._url, body, {"webhook-id": message.id})


class Slack:
    """Posts changes as one message to an incoming webhook of Slack.

    Args:
        url: Slack's URL, which is a secret: who has it may post.
    """

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._session = _session(_Unsigned())

    def tell(self, messages: Sequence[Message]) -> None:
        """One message."""
        texts = [f"*{_escaped(headline(messages))}*"] if len(messages) > 1 else []
        for message in messages:
            title, *rest = map(_escaped, message.lines())
            project = f"[{_escaped(message.project)}] " if not texts else ""
            sign = ":red_circle:" if message.firing else ":large_green_circle:"
            texts.append("\n".join([f"{sign} *{project}{title}*", *rest]))
        _post(self._session, self._url.get_secret_value(), {"text": "\n\n".join(texts)}, {})


def _escaped(text: str) -> str:
    """Slack's three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _session(auth: AuthBase) -> VendorSession:
    return VendorSession(system="alerts", auth=auth, pacer=Pacer(_LIMIT), retries=_RETRIES, timeout=_TIMEOUT)


def _post(session: VendorSession, url: str, body: object, headers: dict[str, str]) -> None:
    """Post; what goes wrong is said without the URL, of which any part may be a secret."""
    headers = {"Content-Type": "application/json", "Accept": "*/*", **headers}
    try:
        session.send(session.prepare_request(Request("POST", url, data=orjson.dumps(body), headers=headers)))
    except MillstreamError as error:
        status = f" {error.status}" if isinstance(error, RefusedError) else ""
        raise UnavailableError(
            f"{urlsplit(url).hostname} did not take the message ({type(error).__name__}{status}).",
            remedy="check the channel's URL and secret.",
        ) from None
    except ValueError:
        raise ConfigurationError("The channel's URL is none.", remedy="write https://host/path.") from None
