"""What a project says about its Klaviyo account."""

from __future__ import annotations

from pydantic import Field, SecretStr
from requests.auth import AuthBase

from millstream.destinations.contract import DestinationSettings
from millstream.state.http import BearerAuth, TokenOrOAuthSettings
from millstream.state.http.credentials import refresh_token_auth


class KlaviyoSettings(TokenOrOAuthSettings, DestinationSettings):
    """Settings of a Klaviyo connection: a private API key, or an OAuth app's three values."""

    base_url: str = Field(
        default="https://a.klaviyo.com/api", description="Root of the API; one host serves all accounts."
    )
    access_token: SecretStr | None = Field(default=None, description="Private API key of the account (`pk_...`).")
    revision: str = Field(
        default="2026-07-15",
        pattern=r"\d{4}-\d{2}-\d{2}(\.\w+)?",
        description="Revision of the API that is spoken; Klaviyo ends each two years after it came out.",
    )

    job_ids: bool = Field(
        default=True,
        description="Read the profile ids of people who come by a job, a request for 100. Whoever changes their "
        "address at Klaviyo is found by it when they are to leave.",
    )

    def credential(self, vendors_token_url: str) -> AuthBase:
        """The private key in Klaviyo's own scheme, or access tokens of the app, which signs in by HTTP Basic."""
        if self.access_token is not None:
            return BearerAuth(self.access_token, scheme="Klaviyo-API-Key")
        assert self.client_id is not None
        assert self.client_secret is not None
        assert self.refresh_token is not None
        return refresh_token_auth(
            self.token_url or vendors_token_url, self.client_id, self.client_secret, self.refresh_token, basic=True
        )
