"""Google's ways to a token: a service account's signed assertion, or a user's refresh token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, Field, SecretStr, model_validator

from millstream.state.errors import ConfigurationError
from millstream.state.http import TokenGrantAuth, refresh_token_auth
from millstream.state.http.jwt_bearer import assertion_form

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
ASSERTION_LIFE = 3600
"""Seconds; Google accepts an hour at most."""


class GoogleCredential(BaseModel):
    """A service account, or a user who allowed an OAuth client; to be mixed into a connector's settings."""

    token_url: str = Field(default=TOKEN_URL, description="OAuth 2.0 token endpoint.")
    service_account: SecretStr | None = Field(
        default=None, description="The service account's key file, its JSON as text."
    )
    client_id: str | None = Field(default=None, description="OAuth client id, with a refresh token.")
    client_secret: SecretStr | None = Field(default=None, description="OAuth client secret.")
    refresh_token: SecretStr | None = Field(default=None, description="The user's OAuth refresh token.")

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        user = (self.client_id, self.client_secret, self.refresh_token)
        if (self.service_account is None) == (None in user):
            raise ValueError("give either service_account, or client_id, client_secret and refresh_token together")
        if self.service_account is not None and any(part is not None for part in user):
            raise ValueError("give service_account or client_id, client_secret and refresh_token, not both")
        return self

    def credential(self, scope: str) -> TokenGrantAuth:
        """The credential, as something that signs requests.

        Args:
            scope: What a service account asks for; a refresh token has the scopes that its user granted.

        Raises:
            ConfigurationError: The service account's key cannot be read.
        """
        if self.service_account is not None:
            form = service_account_form(self.service_account, self.token_url, scope)
            return TokenGrantAuth(self.token_url, form)
        assert self.client_secret is not None
        assert self.refresh_token is not None
        return refresh_token_auth(self.token_url, self.client_id or "", self.client_secret, self.refresh_token)


def service_account_form(key: SecretStr, token_url: str, scope: str) -> Callable[[], Mapping[str, str]]:
    """The form of a JWT-bearer grant (RFC 7523), signed anew each time it is made.

    Raises:
        ConfigurationError: The text is not a service account's key.
    """
    email, key_id, private_key = _read_key(key)
    claims = {"iss": email, "scope": scope, "aud": token_url}
    return assertion_form(private_key, claims, life=ASSERTION_LIFE, key_id=key_id)


def _read_key(key: SecretStr) -> tuple[str, str | None, rsa.RSAPrivateKey]:
    remedy = "paste the whole key file of the service account, as Google made it, into the secret."
    try:
        found = orjson.loads(key.get_secret_value())
        email, pem = str(found["client_email"]), str(found["private_key"])
        private_key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        # The cause is left out of the message: it may quote the key.
        raise ConfigurationError(
            f"The service account's key cannot be read ({type(error).__name__}).", remedy=remedy
        ) from None
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise ConfigurationError("The service account's key is not an RSA key.", remedy=remedy)
    key_id = found.get("private_key_id")
    return email, str(key_id) if key_id else None, private_key
