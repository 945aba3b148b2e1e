"""Google's two ways to a token: a service account's signed assertion, or a user's refresh token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from millstream.sources.ga4.settings import SCOPE
from millstream.state.errors import ConfigurationError
from millstream.state.http import TokenGrantAuth, refresh_token_auth
from millstream.state.http.jwt_bearer import assertion_form

if TYPE_CHECKING:
    from millstream.sources.ga4.settings import GoogleAnalytics4Settings

ASSERTION_LIFE = 3600
"""Seconds; Google accepts an hour at most."""


def google_auth(settings: GoogleAnalytics4Settings) -> TokenGrantAuth:
    """The credential of the settings.

    Raises:
        ConfigurationError: The service account's key cannot be read.
    """
    if settings.service_account is not None:
        return TokenGrantAuth(settings.token_url, service_account_form(settings.service_account, settings.token_url))
    client_secret, refresh_token = settings.client_secret, settings.refresh_token
    assert client_secret is not None
    assert refresh_token is not None
    return refresh_token_auth(settings.token_url, settings.client_id or "", client_secret, refresh_token)


def service_account_form(key: SecretStr, token_url: str) -> Callable[[], Mapping[str, str]]:
    """The form of a JWT-bearer grant (RFC 7523), signed anew each time it is made.

    Raises:
        ConfigurationError: The text is not a service account's key.
    """
    email, key_id, private_key = _read_key(key)
    claims = {"iss": email, "scope": SCOPE, "aud": token_url}
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
            f"The service account's key cannot be read ({type(error).__name__}).", where="source ga4", remedy=remedy
        ) from None
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise ConfigurationError("The service account's key is not an RSA key.", where="source ga4", remedy=remedy)
    key_id = found.get("private_key_id")
    return email, str(key_id) if key_id else None, private_key
