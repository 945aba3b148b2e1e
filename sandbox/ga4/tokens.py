"""The token endpoint: refresh tokens of users, and signed assertions of a service account."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from functools import lru_cache

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from millstream.sandbox.ga4.errors import token_refusal
from millstream.sandbox.system import Answer, Call, JsonObject
from millstream.sandbox.tokens import Tokens

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105  made up, and printed in the README
REFRESH_TOKEN = "sandbox-refresh"  # noqa: S105
ACCOUNT_EMAIL = "sandbox@millstream-sandbox.iam.gserviceaccount.com"
KEY_ID = "5a4db0c5"
REFRESH_GRANT = "refresh_token"
ASSERTION_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE_ROOT = "https://www.googleapis.com/auth/"
READING_SCOPES = frozenset({f"{SCOPE_ROOT}analytics.readonly", f"{SCOPE_ROOT}analytics"})
LONGEST_LIFE = 3600
CLOCK_SKEW = 60


@lru_cache(maxsize=1)
def account_key() -> rsa.RSAPrivateKey:
    """The service account's key, made once in a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(token_uri: str) -> JsonObject:
    """The JSON file that Google's console gives out for a service account."""
    pem = account_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "millstream-sandbox",
        "private_key_id": KEY_ID,
        "private_key": pem.decode(),
        "client_email": ACCOUNT_EMAIL,
        "client_id": "100000000000000000001",
        "auth_uri": token_uri.removesuffix("token") + "auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }


class TokenEndpoint:
    """Hands out access tokens and remembers what each may do.

    Args:
        tokens: Where the tokens are kept.
        granted: What a user has granted, by refresh token.
    """

    def __init__(self, tokens: Tokens, granted: Mapping[str, frozenset[str]]) -> None:
        self._tokens = tokens
        self._granted = granted
        self._scopes: dict[str, frozenset[str]] = {}

    def scopes(self, token: str) -> frozenset[str]:
        """What a token was issued for."""
        return self._scopes.get(token, frozenset())

    def issue(self, call: Call) -> Answer:
        """One access token for one grant."""
        form = call.form()
        grant = form.get("grant_type", "")
        if grant == REFRESH_GRANT:
            scopes = self._check_refresh(form)
        elif grant == ASSERTION_GRANT:
            scopes = self._check_assertion(form.get("assertion", ""), f"{call.base_url}/token")
        else:
            raise token_refusal("unsupported_grant_type", f"Invalid grant_type: {grant}")
        token = self._tokens.issue("ya29.sandbox")
        self._scopes[token] = scopes
        answer: JsonObject = {
            "access_token": token,
            "expires_in": int(self._tokens.expires_in),
            "token_type": "Bearer",
        }
        return Answer({**answer, "scope": " ".join(sorted(scopes))} if grant == REFRESH_GRANT else answer)

    def _check_refresh(self, form: dict[str, str]) -> frozenset[str]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise token_refusal("invalid_client", "The OAuth client was not found.", 401)
        granted = self._granted.get(form.get("refresh_token", ""))
        if granted is None:
            raise token_refusal("invalid_grant", "Token has been expired or revoked.")
        return granted

    @staticmethod
    def _check_assertion(assertion: str, audience: str) -> frozenset[str]:
        header, claims = _verified(assertion)
        issued, expires = claims.get("iat"), claims.get("exp")
        now = time.time()
        if header.get("alg") != "RS256" or header.get("kid", KEY_ID) != KEY_ID:
            raise token_refusal("invalid_grant", "Invalid JWT: unknown algorithm or key.")
        if claims.get("iss") != ACCOUNT_EMAIL:
            raise token_refusal("invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") != audience:
            raise token_refusal("invalid_grant", f"Invalid JWT: the audience must be {audience}.")
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise token_refusal("invalid_grant", "Invalid JWT: iat and exp must be whole numbers.")
        if not (issued - CLOCK_SKEW <= now < expires + CLOCK_SKEW and 0 < expires - issued <= LONGEST_LIFE):
            raise token_refusal("invalid_grant", "Invalid JWT: must be short-lived, and valid now.")
        scopes = frozenset(str(claims.get("scope", "")).split())
        if not scopes or any(not scope.startswith(SCOPE_ROOT) for scope in scopes):
            raise token_refusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return scopes


def _verified(assertion: str) -> tuple[JsonObject, JsonObject]:
    head, _, rest = assertion.partition(".")
    payload, _, signature = rest.partition(".")
    try:
        account_key().public_key().verify(
            _decoded(signature), f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        header, claims = orjson.loads(_decoded(head)), orjson.loads(_decoded(payload))
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise token_refusal("invalid_grant", "Invalid JWT Signature.") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise token_refusal("invalid_grant", "Invalid JWT.")
    return header, claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
