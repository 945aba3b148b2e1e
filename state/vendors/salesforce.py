"""Salesforce's organization: how an app signs in, and what error answers mean whoever asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    UnavailableError,
)
from millstream.state.http import Answer, BearerAuth, client_credentials_auth, refresh_token_auth
from millstream.state.http.jwt_bearer import jwt_bearer_auth
from millstream.state.project_root import at_project_root

if TYPE_CHECKING:
    from requests import Response
    from requests.auth import AuthBase

TOKEN_PATH = "services/oauth2/token"  # noqa: S105 - a path
ASSERTION_LIFE = 180
"""Seconds; Salesforce wants assertions that end within some minutes."""

_SESSION = (
    "check the app's consumer key and secret (or certificate and user) and that the user is active; a session given "
    "as access_token ends within hours."
)
_API = (
    "give the user's profile or a permission set `API Enabled`; editions without API access (Essentials, Professional) "
    "need it as an add-on."
)
_USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")
_QUOTA = "what was done so far is kept; the limit counts the last 24 hours, so run again tomorrow, or have it raised."


class SalesforceOrganization(BaseModel):
    """A connection to Salesforce, to be mixed into a connector's settings.

    It signs in by an app's client credentials, a signed assertion, a refresh token, or with a session.
    """

    base_url: str = Field(description="My Domain address of the organization: https://<domain>.my.salesforce.com.")
    client_id: str | None = Field(default=None, description="Consumer key of the external client app.")
    client_secret: SecretStr | None = Field(default=None, description="Consumer secret of the app.")
    username: str | None = Field(default=None, description="JWT bearer flow: the user whom the assertion speaks for.")
    private_key: SecretStr | None = Field(
        default=None, description="JWT bearer flow: RSA key, as PEM, to the certificate that the app knows."
    )
    audience: str = Field(
        default="https://login.salesforce.com",
        description="JWT bearer flow: whom the assertion is for; https://test.salesforce.com for a sandbox.",
    )
    refresh_token: SecretStr | None = Field(default=None, description="Refresh token of a user who allowed the app.")
    refresh_token_file: str | None = Field(
        default=None,
        description="File in which the newest refresh token is kept, where the app rotates them; a relative path "
        "starts at the project file's folder.",
    )
    access_token: SecretStr | None = Field(default=None, description="A session, for a try; it ends within hours.")
    token_url: str | None = Field(
        default=None, description="The token endpoint; that of the My Domain address when left out."
    )
    version: str = Field(default="66.0", pattern=r"^\d+\.0$", description="Version of the API to speak.")
    quota_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of the organization's requests of 24 hours after which a run ends, so that the rest is left "
        "to others.",
    )
    requests_per_second: int = Field(default=20, ge=1, description="Pace; Salesforce itself has no such limit.")

    def credential(self) -> AuthBase:
        """The credential, as something that signs requests."""
        if self.access_token is not None:
            return BearerAuth(self.access_token)
        url = self.token_url or f"{self.base_url.rstrip('/')}/{TOKEN_PATH}"
        assert self.client_id is not None
        if self.private_key is not None:
            claims = {"iss": self.client_id, "sub": self.username or "", "aud": self.audience}
            return jwt_bearer_auth(url, self.private_key, claims, life=ASSERTION_LIFE, classify=refused_sign_in)
        assert self.client_secret is not None
        if self.refresh_token is not None:
            kept_in = Path(self.refresh_token_file) if self.refresh_token_file else None
            return refresh_token_auth(
                url,
                self.client_id,
                self.client_secret,
                self.refresh_token,
                kept_in=kept_in,
                classify=refused_sign_in,
            )
        return client_credentials_auth(url, self.client_id, self.client_secret, classify=refused_sign_in)

    @field_validator("refresh_token_file")
    @classmethod
    def _from_the_project(cls, value: str | None, info: ValidationInfo) -> str | None:
        return at_project_root(value, info) if value else None

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        signed, asked = (self.username, self.private_key), self.client_id is not None
        by_secret = asked and self.client_secret is not None and not any(signed)
        by_key = asked and all(signed) and self.client_secret is None and self.refresh_token is None
        session = self.access_token is not None
        if [by_secret, by_key, session].count(True) != 1:
            raise ValueError(
                "give client_id with client_secret (and refresh_token, if there is one), or client_id with username "
                "and private_key, or access_token"
            )
        return self


def refused_sign_in(answer: Response) -> MillstreamError | None:
    """The error that a refusal of the token endpoint stands for: an error's name, and words that tell what is wrong."""
    if answer.status_code not in (400, 401, 403):
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    if not isinstance(body, dict) or not body.get("error"):
        return None
    name, words = str(body["error"]), str(body.get("error_description") or "no reason given")[:300]
    remedy = next((told for sign, told in _SIGN_INS.items() if sign in f"{name} {words}".lower()), _SESSION)
    return AuthenticationError(f"Salesforce's token endpoint refused the app ({name}: {words}).", remedy=remedy)


def error_of(answer: Answer) -> tuple[str, str]:
    """Code and words of an error answer; empty where it has none."""
    return code_and_words(answer.said())


def code_and_words(body: object) -> tuple[str, str]:
    """The same, of its parsed body: a list of errors, of which the first is told."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("errorCode") or ""), str(first.get("message") or "")[:300]


def requests_used(answer: Answer) -> tuple[int, int] | None:
    """Requests of the last 24 hours and those allowed, of everybody in the organization, where an answer tells."""
    found = _USAGE.search(answer.headers.get("Sforce-Limit-Info", ""))
    return (int(found[1]), int(found[2])) if found else None


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, of those that have nothing to do with what was asked."""
    if answer.status_code < 400:
        return None
    code, words = error_of(answer)
    made = _BY_CODE.get(code)
    if made is not None:
        return made(words)
    if answer.status_code == 406:
        # Seen now and then under load; the same request is answered a little later.
        return UnavailableError(f"Salesforce answered HTTP 406: {words}")
    return None


_SIGN_INS = {
    "hasn't approved": "let the user use the app without asking: in the app's policies set permitted users to those "
    "pre-authorized, and add the user's profile or permission set.",
    "audience": "set `audience` to the login host: https://login.salesforce.com, or https://test.salesforce.com for a "
    "sandbox.",
    "assertion": "check that private_key belongs to the certificate uploaded to the app, that username is right, and "
    "that this machine's clock is.",
    "client credentials user": "name a user whom the app runs as, in its policies for the client credentials flow.",
    "not supported on this domain": "give the My Domain address as base_url: this flow works there only.",
    "refresh token": "the refresh token was revoked or has expired: allow the app again and give the new one. If "
    "the app rotates refresh tokens, set refresh_token_file.",
    "invalid_client_id": "check client_id, the app's consumer key; a new app works after some ten minutes.",
    "invalid_client": "check client_secret, the app's consumer secret.",
    "inactive": "the user or the organization is not active: take another user.",
    "ip restricted": "relax the app's IP restrictions, or allow this machine's address.",
}
"""What to do, by what stands in the refusal, lower case; the first that fits."""


def _session(words: str) -> MillstreamError:
    return AuthenticationError(f"Salesforce does not accept the session: {words}", remedy=_SESSION)


def _limit(words: str) -> MillstreamError:
    if "concurrent" in words.lower():
        return RateLimitedError(f"Salesforce has too many long requests of this organization: {words}")
    return QuotaExhaustedError(f"Salesforce's daily limit of requests is used up: {words}", remedy=_QUOTA)


def _no_api(words: str) -> MillstreamError:
    return PermissionDeniedError(f"Salesforce does not let this user use the API: {words}", remedy=_API)


_BY_CODE: dict[str, Callable[[str], MillstreamError]] = {
    "INVALID_SESSION_ID": _session,
    "INVALID_AUTH_HEADER": _session,
    "REQUEST_LIMIT_EXCEEDED": _limit,
    "EXCEEDED_QUOTA": _limit,
    "API_DISABLED_FOR_ORG": _no_api,
    "API_CURRENTLY_DISABLED": _no_api,
}
