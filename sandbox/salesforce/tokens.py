"""The token endpoint: client credentials, assertions signed with the app's certificate, refresh tokens."""

from __future__ import annotations

import base64
import binascii
import time
from functools import lru_cache

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from millstream.sandbox.salesforce.errors import token_refusal
from millstream.sandbox.system import Answer, Call, JsonObject
from millstream.sandbox.tokens import Tokens

CLIENT_ID, LIMITED_CLIENT_ID = "sandbox-client", "sandbox-client-limited"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105  made up, and printed in the README
REFRESH_TOKEN = "sandbox-refresh"  # noqa: S105
ROTATING_TOKEN = "sandbox-refresh-rotating"  # noqa: S105
USERNAME = "integration@shop.box.example"
USER_ID = "0055g00000000000AAA"
ORG_ID = "00D5g0000000001EAA"
FULL, LIMITED, NO_API, READ_ONLY = "full", "limited", "no-api", "read-only"
FIXED = {
    "00D5g0000000001!sandbox-salesforce": FULL,
    "00D5g0000000001!sandbox-limited": LIMITED,
    "00D5g0000000001!sandbox-no-api": NO_API,
    "00D5g0000000001!sandbox-read-only": READ_ONLY,
}
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
LONGEST_LIFE = 3600
ASSERTION_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@lru_cache(maxsize=1)
def app_key() -> rsa.RSAPrivateKey:
    """The key of the certificate that was uploaded to the app, made once in a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def app_key_pem() -> str:
    """The private key as the file that the app's owner keeps."""
    pem = app_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


class TokenEndpoint:
    """Hands out access tokens and remembers whose they are."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._users: dict[str, str] = dict(FIXED)
        self.rotating, self._rotated = ROTATING_TOKEN, 0

    def user(self, token: str) -> str:
        """Who acts with a token: `full`, `limited`, `no-api` or `read-only`."""
        return self._users.get(token, FULL)

    def issue(self, call: Call) -> Answer:
        """One access token for one grant."""
        form = call.form()
        grant = form.get("grant_type", "")
        more: JsonObject = {}
        if grant == "client_credentials":
            _check_client(form, secret_needed=True)
        elif grant == "refresh_token":
            more = self._refreshed(form)
        elif grant == ASSERTION_GRANT:
            form = {"client_id": _check_assertion(form.get("assertion", ""), call.base_url)}
        else:
            raise token_refusal("unsupported_grant_type", "grant type not supported")
        token = self._tokens.issue("00D5g0000000001!issued")
        self._users[token] = LIMITED if form.get("client_id") == LIMITED_CLIENT_ID else FULL
        return Answer(
            {
                "access_token": token,
                "instance_url": call.base_url,
                "id": f"{call.base_url}/id/{ORG_ID}/{USER_ID}",
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
                "signature": "c2FuZGJveA==",
                "scope": "api refresh_token",
                **more,
            }
        )

    def _refreshed(self, form: dict[str, str]) -> JsonObject:
        _check_client(form, secret_needed=False)
        given = form.get("refresh_token")
        if given == REFRESH_TOKEN:
            return {}
        if given != self.rotating:
            raise token_refusal("invalid_grant", "expired access/refresh token")
        self._rotated += 1
        self.rotating = f"{ROTATING_TOKEN}-{self._rotated}"
        return {"refresh_token": self.rotating}


def _check_client(form: dict[str, str], *, secret_needed: bool) -> None:
    """An app may leave its secret out when it renews a token, but may not get it wrong."""
    if form.get("client_id") not in (CLIENT_ID, LIMITED_CLIENT_ID):
        raise token_refusal("invalid_client_id", "client identifier invalid")
    if form.get("client_secret", None if secret_needed else CLIENT_SECRET) != CLIENT_SECRET:
        raise token_refusal("invalid_client", "invalid client credentials")


def _check_assertion(assertion: str, own_host: str) -> str:
    """The app that signed the assertion."""
    header, claims = _verified(assertion)
    if header.get("alg") != "RS256":
        raise token_refusal("invalid_grant", "invalid assertion")
    if claims.get("iss") not in (CLIENT_ID, LIMITED_CLIENT_ID):
        raise token_refusal("invalid_client_id", "client identifier invalid")
    if claims.get("aud") not in (own_host, *LOGIN_HOSTS):
        raise token_refusal("invalid_grant", "audience is invalid")
    if claims.get("sub") != USERNAME:
        raise token_refusal("invalid_grant", "user hasn't approved this consumer")
    expires = claims.get("exp")
    # Some clients write the expiry as text, which Salesforce takes too.
    if not str(expires).isdigit() or not time.time() < int(str(expires)) <= time.time() + LONGEST_LIFE:
        raise token_refusal("invalid_grant", "expired authorization code")
    return str(claims["iss"])


def _verified(assertion: str) -> tuple[JsonObject, JsonObject]:
    head, _, rest = assertion.partition(".")
    payload, _, signature = rest.partition(".")
    try:
        app_key().public_key().verify(
            _decoded(signature), f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        header, claims = orjson.loads(_decoded(head)), orjson.loads(_decoded(payload))
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise token_refusal("invalid_grant", "invalid assertion") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise token_refusal("invalid_grant", "invalid assertion")
    return header, claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
