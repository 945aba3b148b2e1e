"""How a webhook knows that a request is ours."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from pydantic import SecretStr
from requests import PreparedRequest
from requests.auth import AuthBase

from millstream.destinations.webhook.settings import WebhookSettings
from millstream.state.http import BasicAuth, BearerAuth, TimedAuth


class Signature(AuthBase):
    """``X-Signature: t=<seconds since 1970>,v1=<hex>``, an HMAC-SHA256 of ``t.body``; made anew at each try."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        at = str(int(time.time()))
        body = request.body or b""
        signed = at.encode() + b"." + (body.encode() if isinstance(body, str) else body)
        digest = hmac.new(self._secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
        request.headers["X-Signature"] = f"t={at},v1={digest}"
        return request


class Headers(AuthBase):
    """Headers of one's own."""

    def __init__(self, headers: Mapping[str, SecretStr]) -> None:
        self._headers = headers

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add them."""
        request.headers.update({name: value.get_secret_value() for name, value in self._headers.items()})
        return request


class Credentials(TimedAuth):
    """All that the settings name, together."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._parts: list[AuthBase] = [Headers(settings.headers)]
        if settings.bearer_token:
            self._parts.append(BearerAuth(settings.bearer_token))
        if settings.username is not None and settings.password is not None:
            self._parts.append(BasicAuth(settings.username, settings.password))
        if settings.signing_secret:
            self._parts.append(Signature(settings.signing_secret))

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        for part in self._parts:
            part(request)
        return request
