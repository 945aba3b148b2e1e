"""How requests to Zoho are signed, and where they go: the token's answer says which host serves the account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from millstream.sources.zoho_crm.settings import DATA_CENTERS, TOKEN_PATH, ZohoCrmSettings
from millstream.state.errors import AuthenticationError, MillstreamError, RateLimitedError
from millstream.state.http import TokenGrantAuth

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

_MINUTES_FOR_TOO_MANY_TOKENS = 2
_REMEDIES = {
    "invalid_client": "check client_id and client_secret, and that data_center is where the account lives.",
    "invalid_client_secret": "check the client_secret of the connection.",
    "invalid_code": "check the refresh_token (a new grant or the user's leaving revokes it), and that data_center is "
    "where the account lives.",
}


class ZohoAuth(TokenGrantAuth):
    """Access tokens by the refresh token, which lasts; and the host that they are good for.

    Args:
        settings: The connection.
    """

    def __init__(self, settings: ZohoCrmSettings) -> None:
        hosts = DATA_CENTERS[settings.data_center]
        super().__init__(
            settings.token_url or f"{hosts.accounts}/{TOKEN_PATH}",
            lambda: _form(settings),
            granted=self._learn_host,
            scheme="Zoho-oauthtoken",
            classify=refused_token,
        )
        self._declared = hosts.api
        self._host: str | None = None

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request, and send it to the host that serves the account; another root in the settings stays."""
        request = super().__call__(request)
        if self._host and request.url and request.url.startswith(f"{self._declared}/"):
            request.url = self._host + request.url.removeprefix(self._declared)
        return request

    def _learn_host(self, body: Mapping[str, object]) -> None:
        domain = body.get("api_domain")
        if isinstance(domain, str) and domain.startswith("https://"):
            self._host = domain.rstrip("/")


def _form(settings: ZohoCrmSettings) -> Mapping[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.get_secret_value(),
        "refresh_token": settings.refresh_token.get_secret_value(),
    }


def refused_token(answer: Response) -> MillstreamError | None:
    """The error of a token endpoint that answers 200 to a wrong credential, and 400 to too many requests."""
    try:
        body = answer.json()
    except ValueError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, str):
        return None
    if error.lower() == "access denied":
        return RateLimitedError(
            "Zoho gives no more access tokens for now: ten in ten minutes are allowed for a refresh token.",
            retry_after=60.0 * _MINUTES_FOR_TOO_MANY_TOKENS,
        )
    return AuthenticationError(
        f"Zoho refuses the credential ({error[:60]}).",
        remedy=_REMEDIES.get(error, "check client_id, client_secret, refresh_token and data_center of the connection."),
    )
