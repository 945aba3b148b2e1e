"""How a request says who it is. Secrets stay inside ``SecretStr`` until a header is written."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping

import requests
from pydantic import SecretStr
from requests.auth import AuthBase

from millstream.state.errors import (
    AuthenticationError,
    MalformedAnswerError,
    MillstreamError,
    UnavailableError,
    UnreachableError,
)
from millstream.state.http.pacing import retry_after
from millstream.state.http.redirects import GuardedRedirects


class BearerAuth(AuthBase):
    """``Authorization: Bearer <token>`` with a token that does not expire."""

    def __init__(self, token: SecretStr, *, scheme: str = "Bearer") -> None:
        self._token = token
        self._scheme = scheme

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        request.headers["Authorization"] = f"{self._scheme} {self._token.get_secret_value()}"
        return request


class BasicAuth(AuthBase):
    """HTTP Basic with a fixed user name and a secret password."""

    def __init__(self, user: str, password: SecretStr) -> None:
        self._user = user
        self._password = password

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        pair = f"{self._user}:{self._password.get_secret_value()}".encode()
        request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return request


class TimedAuth(AuthBase):
    """A credential that holds the time, so is made anew right before a request goes out, after all waiting."""


class RefreshableAuth(AuthBase):
    """A credential that the session may renew once when the vendor answers 401."""

    def renew(self) -> None:
        """Forget the current token, so that the next request fetches a new one."""
        raise NotImplementedError


Refusal = Callable[[requests.Response], MillstreamError | None]
"""A vendor's own reading of a token endpoint's answer; None leaves it to its HTTP status."""


class TokenGrantAuth(RefreshableAuth):
    """OAuth 2.0: fetch an access token from ``token_url`` and renew it before it ends.

    Args:
        token_url: The token endpoint.
        form: Makes the form to post, for instance a refresh-token or JWT-bearer grant.
        early: Seconds before the announced end at which a token counts as over.
        timeout: Seconds to wait for the token endpoint.
        granted: Told of each answer that holds a token, before the token is used.
        scheme: The word before the token in the header.
        classify: The vendor's own way of refusing, asked first; some say so under status 200.
        client: Signs the request to the token endpoint, where the client is not named in the form.
    """

    def __init__(
        self,
        token_url: str,
        form: Callable[[], Mapping[str, str]],
        *,
        early: float = 60.0,
        timeout: float = 30.0,
        granted: Callable[[Mapping[str, object]], None] | None = None,
        scheme: str = "Bearer",
        classify: Refusal | None = None,
        client: AuthBase | None = None,
    ) -> None:
        self._token_url = token_url
        self._form = form
        self._early = early
        self._timeout = timeout
        self._granted = granted
        self._scheme = scheme
        self._classify = classify
        self._client = client
        self._token: str | None = None
        self._ends = 0.0
        self._lock = threading.Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request with a token that is still good."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._ends - self._early:
                self._fetch()
            request.headers["Authorization"] = f"{self._scheme} {self._token}"
        return request

    def renew(self) -> None:
        """Forget the token."""
        with self._lock:
            self._token = None

    def _fetch(self) -> None:
        try:
            with GuardedRedirects("token endpoint") as session:
                form = dict(self._form())
                answer = session.post(self._token_url, data=form, auth=self._client, timeout=self._timeout)
        except requests.RequestException as error:
            raise UnreachableError(
                f"The token endpoint cannot be reached ({type(error).__name__}).",
                remedy="check the network and the base_url of the connection.",
            ) from error
        problem = self._classify(answer) if self._classify else None
        if problem is not None:
            raise problem
        if answer.status_code == 429 or answer.status_code >= 500:
            raise UnavailableError(
                f"The token endpoint answered HTTP {answer.status_code}.", retry_after=retry_after(answer.headers)
            )
        if answer.status_code != 200:
            raise AuthenticationError(
                f"The token endpoint refused the credential (HTTP {answer.status_code}).",
                remedy="check client id, client secret and refresh token or key of the connection.",
            )
        try:
            body = answer.json()
            token = str(body["access_token"])
            ends = time.monotonic() + float(body.get("expires_in", 3600))
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedAnswerError(
                "The token endpoint answered without JSON that holds an access token.",
                remedy="check the token_url of the connection; a proxy may answer in its place.",
            ) from error
        if self._granted:
            self._granted(body)
        self._token, self._ends = token, ends
