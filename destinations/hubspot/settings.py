"""What a project says about the HubSpot account it writes to."""

from __future__ import annotations

from pydantic import Field, SecretStr, model_validator

from millstream.destinations.contract import DestinationSettings


class HubSpotSettings(DestinationSettings):
    """Settings of a HubSpot connection: an access token, or an OAuth app's three values."""

    base_url: str = Field(
        default="https://api.hubapi.com", description="Root of the API; one host serves all accounts."
    )
    access_token: SecretStr | None = Field(
        default=None, description="Access token of a private app or a service key (starts with `pat-`)."
    )
    client_id: str | None = Field(default=None, description="OAuth: the app's client id.")
    client_secret: SecretStr | None = Field(default=None, description="OAuth: the app's client secret.")
    refresh_token: SecretStr | None = Field(default=None, description="OAuth: the account's refresh token.")
    token_url: str | None = Field(default=None, description="OAuth: the token endpoint; below base_url when left out.")
    requests_per_10_seconds: int = Field(
        default=180,
        ge=1,
        description="Pace of requests; 190 are allowed on Professional and Enterprise, 250 with the capacity pack. "
        "Cheaper accounts are held back by HubSpot's own counter.",
    )

    @model_validator(mode="after")
    def _one_credential(self) -> HubSpotSettings:
        app = (self.client_id, self.client_secret, self.refresh_token)
        if self.access_token is None and not all(app):
            raise ValueError("give access_token, or client_id, client_secret and refresh_token")
        if self.access_token is not None and any(app):
            raise ValueError("give access_token or the OAuth values, not both")
        return self
