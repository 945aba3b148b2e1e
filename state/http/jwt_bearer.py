"""OAuth 2.0 tokens for an assertion that is signed with a private key (JWT bearer grant, RFC 7523)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import SecretStr

from millstream.state.errors import ConfigurationError
from millstream.state.http.auth import Refusal, TokenGrantAuth

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def jwt_bearer_auth(
    token_url: str,
    private_key: SecretStr,
    claims: Mapping[str, str],
    *,
    life: int,
    key_id: str | None = None,
    classify: Refusal | None = None,
) -> TokenGrantAuth:
    """Access tokens by an assertion signed with RS256, a new one for each token.

    Args:
        token_url: The token endpoint.
        private_key: RSA key as PEM text.
        claims: What the assertion says: `iss`, `sub`, `aud`; its times are added.
        life: Seconds that an assertion is good for.
        key_id: The key's id, where the vendor wants it in the head.
        classify: The vendor's own way of refusing.

    Raises:
        ConfigurationError: The key cannot be read.
    """
    form = assertion_form(_rsa_key(private_key), claims, life=life, key_id=key_id)
    return TokenGrantAuth(token_url, form, classify=classify)


def assertion_form(
    signer: rsa.RSAPrivateKey, claims: Mapping[str, str], *, life: int, key_id: str | None = None
) -> Callable[[], Mapping[str, str]]:
    """Makes the form of a JWT bearer grant, its assertion signed anew each time; see ``jwt_bearer_auth``."""

    def form() -> Mapping[str, str]:
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
        signed = f"{_segment(head)}.{_segment({**claims, 'iat': now, 'exp': now + life})}"
        signature = signer.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {"grant_type": JWT_BEARER, "assertion": f"{signed}.{_base64url(signature)}"}

    return form


def _rsa_key(private_key: SecretStr) -> rsa.RSAPrivateKey:
    remedy = "give the whole PEM text of an RSA key without passphrase, from its BEGIN line to its END line."
    try:
        key = serialization.load_pem_private_key(private_key.get_secret_value().encode(), password=None)
    except (ValueError, TypeError) as error:
        # The cause is left out of the message: it may quote the key.
        raise ConfigurationError(f"The private key cannot be read ({type(error).__name__}).", remedy=remedy) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError("The private key is not an RSA key.", remedy=remedy)
    return key


def _segment(value: Mapping[str, object]) -> str:
    return _base64url(orjson.dumps(value))


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
