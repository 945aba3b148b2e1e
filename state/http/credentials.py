"""Settings that many connectors share: an access token, or an OAuth app that fetches one with a refresh token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator
from requests.auth import AuthBase

from millstream.state.http.auth import BasicAuth, BearerAuth, Refusal, TokenGrantAuth
from millstream.state.http.refresh_tokens import KeptRefreshToken


class TokenOrOAuthSettings(BaseModel):
    """A credential, to be mixed into a connector's settings."""

    access_token: SecretStr | None = Field(default=None, description="Access token that does not expire.")
    client_id: str | None = Field(default=None, description="OAuth: the app's client id.")
    client_secret: SecretStr | None = Field(default=None, description="OAuth: the app's client secret.")
    refresh_token: SecretStr | None = Field(default=None, description="OAuth: the account's refresh token.")
    token_url: str | None = Field(
        default=None, description="OAuth: the token endpoint; the vendor's own when left out."
    )

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        app = (self.client_id, self.client_secret, self.refresh_token)
        if self.access_token is None and not all(app):
            raise ValueError("give access_token, or client_id, client_secret and refresh_token")
        if self.access_token is not None and any(app):
            raise ValueError("give access_token or the OAuth values, not both")
        return self

    def credential(self, vendors_token_url: str) -> AuthBase:
        """The credential, as something that signs requests.

        Args:
            vendors_token_url: Where tokens are fetched if the settings name no other place.
        """
        if self.access_token is not None:
            return BearerAuth(self.access_token)
        assert self.client_id is not None
        assert self.client_secret is not None
        assert self.refresh_token is not None
        return refresh_token_auth(
            self.token_url or vendors_token_url, self.client_id, self.client_secret, self.refresh_token
        )


def refresh_token_auth(
    token_url: str,
    client_id: str,
    client_secret: SecretStr,
    refresh_token: SecretStr,
    *,
    kept_in: Path | None = None,
    basic: bool = False,
    classify: Refusal | None = None,
) -> TokenGrantAuth:
    """Access tokens by the refresh-token grant (RFC 6749, 6).

    Args:
        token_url: The token endpoint.
        client_id: The app's client id.
        client_secret: The app's client secret.
        refresh_token: The account's refresh token, or the first of them.
        kept_in: File for the newest refresh token, where the vendor replaces it at each use.
        basic: Whether the client says who it is by HTTP Basic, not in the form.
        classify: The vendor's own way of refusing.
    """
    newest = KeptRefreshToken(refresh_token, kept_in)

    def form() -> Mapping[str, str]:
        client = {} if basic else {"client_id": client_id, "client_secret": client_secret.get_secret_value()}
        return {"grant_type": "refresh_token", **client, "refresh_token": newest.value()}

    client_auth = BasicAuth(client_id, client_secret) if basic else None
    return TokenGrantAuth(token_url, form, granted=newest.replace, classify=classify, client=client_auth)


def client_credentials_auth(
    token_url: str,
    client_id: str,
    client_secret: SecretStr,
    *,
    scope: str | None = None,
    basic: bool = False,
    classify: Refusal | None = None,
) -> TokenGrantAuth:
    """Access tokens by the client-credentials grant (RFC 6749, 4.4).

    Args:
        token_url: The token endpoint.
        client_id: The app's client id.
        client_secret: The app's client secret.
        scope: What to ask for, where the vendor wants to be told.
        basic: Whether the client says who it is by HTTP Basic, not in the form.
        classify: The vendor's own way of refusing.
    """

    def form() -> Mapping[str, str]:
        named = {"scope": scope} if scope else {}
        client = {} if basic else {"client_id": client_id, "client_secret": client_secret.get_secret_value()}
        return {"grant_type": "client_credentials", **client, **named}

    client_auth = BasicAuth(client_id, client_secret) if basic else None
    return TokenGrantAuth(token_url, form, client=client_auth, classify=classify)
