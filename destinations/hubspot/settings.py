"""What a project says about the HubSpot account it writes to."""

from __future__ import annotations

from pydantic import Field, SecretStr

from millstream.destinations.contract import DestinationSettings
from millstream.state.http import TokenOrOAuthSettings


class HubSpotSettings(TokenOrOAuthSettings, DestinationSettings):
    """Settings of a HubSpot connection: an access token, or an OAuth app's three values."""

    base_url: str = Field(
        default="https://api.hubapi.com", description="Root of the API; one host serves all accounts."
    )
    access_token: SecretStr | None = Field(
        default=None, description="Access token of a private app or a service key (starts with `pat-`)."
    )
    requests_per_10_seconds: int = Field(
        default=180,
        ge=1,
        description="Pace of requests; 190 are allowed on Professional and Enterprise, 250 with the capacity pack. "
        "Cheaper accounts are held back by HubSpot's own counter.",
    )
