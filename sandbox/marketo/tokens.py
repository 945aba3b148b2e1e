"""The identity endpoint: one token for each service, the same one again until it expires."""

from __future__ import annotations

import time
from dataclasses import dataclass

from millstream.sandbox.system import Answer, ApiError, Call
from millstream.sandbox.tokens import Tokens

CLIENT_ID, READ_ONLY_ID, LEADS_ONLY_ID = "sandbox-marketo", "sandbox-marketo-read-only", "sandbox-marketo-leads-only"
CLIENT_SECRET = "sandbox-marketo-secret"  # noqa: S105  made up, and printed in the README
TOKEN_SECONDS = 3600
READ, WRITE, READ_ASSETS, WRITE_ASSETS, SCHEMA = "lead", "lead:write", "asset", "asset:write", "schema"
ROLES = {
    CLIENT_ID: frozenset({READ, WRITE, READ_ASSETS, WRITE_ASSETS, SCHEMA}),
    READ_ONLY_ID: frozenset({READ, READ_ASSETS}),
    LEADS_ONLY_ID: frozenset({READ, WRITE}),
}
PERMISSIONS = frozenset({READ, WRITE, READ_ASSETS, WRITE_ASSETS, SCHEMA})


@dataclass(frozen=True, slots=True)
class Grant:
    """A token of one service and when it ends, by the monotonic clock."""

    token: str
    ends: float


class Identity:
    """Hands out tokens and remembers whose they are."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._grants: dict[str, Grant] = {}
        self._services: dict[str, str] = {}

    def service(self, token: str) -> str:
        """Whose token this is."""
        return self._services[token]

    def issue(self, call: Call) -> Answer:
        """The token of a service. Wrong credentials are refused with status 401, unlike all else."""
        given = {**call.query, **call.form()}
        client = given.get("client_id", "")
        if given.get("grant_type") != "client_credentials":
            raise ApiError(400, {"error": "unsupported_grant_type", "error_description": "Unsupported grant type"})
        if client not in ROLES:
            description = f"No client with requested id: {client}"
            raise ApiError(401, {"error": "unauthorized", "error_description": description})
        if given.get("client_secret") != CLIENT_SECRET:
            raise ApiError(401, {"error": "invalid_client", "error_description": "Bad client credentials"})
        grant = self._grants.get(client)
        if grant is None or self._tokens.state(grant.token) != "valid":
            grant = Grant(self._tokens.issue("cdf01657-sandbox"), time.monotonic() + self._tokens.expires_in)
            self._grants[client], self._services[grant.token] = grant, client
        return Answer(
            {
                "access_token": grant.token,
                "token_type": "bearer",
                "expires_in": max(0, int(grant.ends - time.monotonic())),
                "scope": f"{client}@shop.box.example",
            }
        )
