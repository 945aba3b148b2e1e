"""The Graph API: who may ask, how much, and who answers which path."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import orjson

from millstream.sandbox.limits import Window
from millstream.sandbox.meta_custom_audiences.audiences import (
    ACCOUNT,
    ACCOUNT_NAMES,
    ACCOUNT_WITHOUT_ACCESS,
    ACCOUNT_WITHOUT_TERMS,
    Audiences,
)
from millstream.sandbox.meta_custom_audiences.errors import graph_error, invalid, no_such_object
from millstream.sandbox.meta_custom_audiences.listing import AudienceNodes
from millstream.sandbox.meta_custom_audiences.memberships import Memberships
from millstream.sandbox.meta_custom_audiences.parameters import paged, parameters, selected
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

TOKEN = "EAAsandboxMeta"  # noqa: S105  made up, and printed in the README
READING_TOKEN = "EAAsandboxMetaReadOnly"  # noqa: S105
EXPIRED_TOKEN = "EAAsandboxMetaExpired"  # noqa: S105
PROVEN_TOKEN = "EAAsandboxMetaProof"  # noqa: S105
APP_SECRET = "sandbox-meta-app-secret"  # noqa: S105

OLDEST_VERSION, NEWEST_VERSION = 22, 25
CALLS_PER_HOUR = 5000
THROTTLES = {
    80003: "There have been too many calls to this ad-account. Wait a bit and try again.",
    17: "(#17) User request limit reached",
    4: "(#4) Application request limit reached",
    613: "(#613) Calls to this api have exceeded the rate limit.",
}


class MetaCustomAudiences(System):
    """Two ad accounts with their audiences."""

    name: ClassVar[str] = "meta_custom_audiences"
    title: ClassVar[str] = "Meta Custom Audiences"

    def reset(self) -> None:
        self.tokens = Tokens(TOKEN, READING_TOKEN, PROVEN_TOKEN)
        self.calls = Window(CALLS_PER_HOUR, 3600)
        self.audiences.reset()

    @cached_property
    def audiences(self) -> Audiences:
        """The audiences of all ad accounts."""
        return Audiences(self.company)

    def routes(self) -> Sequence[Route]:
        nodes, members = AudienceNodes(self.audiences), Memberships(self.audiences)
        account, audience = "/{version}/act_{account_id}", "/{version}/{audience_id}"
        return [
            route("GET", "/{version}/me", self._me),
            route("GET", "/{version}/me/permissions", self._permissions),
            route("GET", "/{version}/me/adaccounts", self._accounts),
            route("GET", account, self._account),
            route("GET", f"{account}/customaudiences", nodes.list_audiences),
            route("POST", f"{account}/customaudiences", nodes.create, "writes"),
            route("DELETE", f"{account}/usersofanyaudience", members.remove_everywhere, "writes"),
            route("GET", audience, nodes.get),
            route("POST", audience, nodes.update, "writes"),
            route("DELETE", audience, nodes.delete, "writes"),
            route("POST", f"{audience}/users", members.add, "writes"),
            route("DELETE", f"{audience}/users", members.remove, "writes"),
            route("POST", f"{audience}/usersreplace", members.replace, "writes"),
            route("GET", f"{audience}/sessions", members.list_sessions),
        ]

    # Who may ask

    def authenticate(self, call: Call) -> str:
        _check_version(call)
        token = _token(call)
        if not token:
            raise graph_error(104, "(#104) An access token is required to request this resource.")
        if token == EXPIRED_TOKEN or call.strike.get("expire_token") is not None:
            raise graph_error(190, "Error validating access token: Session has expired.", subcode=463)
        if self.tokens.state(token) != "valid":
            raise graph_error(190, "Invalid OAuth access token - Cannot parse access token")
        self._check_proof(call, token)
        if token == READING_TOKEN and "writes" in call.route.tags:
            message = "Managing advertisements requires an access token with the extended permission for ads_management"
            raise graph_error(294, f"(#294) {message}")
        self._check_account(call)
        return token

    @staticmethod
    def _check_proof(call: Call, token: str) -> None:
        proof = parameters(call).get("appsecret_proof")
        if proof is None:
            if token == PROVEN_TOKEN:
                message = "API calls from the server require an appsecret_proof argument"
                raise graph_error(100, message, kind="GraphMethodException")
        elif proof != hmac.new(APP_SECRET.encode(), token.encode(), hashlib.sha256).hexdigest():
            message = "Invalid appsecret_proof provided in the API argument"
            raise graph_error(100, message, kind="GraphMethodException")

    @staticmethod
    def _check_account(call: Call) -> None:
        account_id = call.params.get("account_id", ACCOUNT)
        if account_id == ACCOUNT_WITHOUT_ACCESS:
            raise graph_error(200, "(#200) Ad account owner has NOT grant ads_management or ads_read permission")
        if account_id not in ACCOUNT_NAMES:
            raise no_such_object(call.method, f"act_{account_id}")

    def admit(self, call: Call) -> dict[str, str]:
        if not self.calls.take():
            raise self.rate_limited(self.calls.wait, None)
        used = 100 - 100 * self.calls.remaining // self.calls.allowed
        return _usage(used, 0)

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        return graph_error(2500, f"Unknown path components: {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Policy: the code (80003 if none is given). There is no Retry-After: a header counts whole minutes."""
        code = int(policy) if policy is not None and policy.isdigit() else 80003
        minutes = math.ceil(seconds / 60) if seconds >= 60 else 0
        transient = code in {4, 17}
        return graph_error(
            code, THROTTLES.get(code, "Too many calls"), transient=transient, headers=_usage(100, minutes),
            subcode=2446079 if code == 17 else None,
        )  # fmt: skip

    def server_error(self, status: int) -> ApiError:
        if status == 500:
            return graph_error(1, "An unknown error occurred", status=status)
        return graph_error(2, "Service temporarily unavailable", status=status, transient=True)

    def malformed_json(self, detail: str) -> ApiError:
        return invalid(f"The body is not valid JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return invalid("; ".join(f"Param {where}: {what}" for where, what in problems))

    def state(self) -> JsonObject:
        return self.audiences.state()

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "version": f"v{NEWEST_VERSION}.0",
            "access_token": TOKEN,
            "app_secret": APP_SECRET,
            "ad_account_id": ACCOUNT,
            "ad_account_without_terms": ACCOUNT_WITHOUT_TERMS,
            "token_that_needs_proof": PROVEN_TOKEN,
        }

    # The caller and the ad accounts

    def _me(self, call: Call) -> Answer:
        return Answer(selected(call, "User", {"id": "122000000000001", "name": "Sandbox system user"}))

    def _permissions(self, call: Call) -> Answer:
        names = ["ads_read"] if call.caller == READING_TOKEN else ["ads_management", "ads_read"]
        return Answer({"data": [{"permission": name, "status": "granted"} for name in names]})

    def _accounts(self, call: Call) -> Answer:
        return paged(call, "AdAccount", [_account_body(account_id) for account_id in ACCOUNT_NAMES])

    def _account(self, call: Call) -> Answer:
        return Answer(selected(call, "AdAccount", _account_body(call.params["account_id"])))


def _account_body(account_id: str) -> JsonObject:
    terms: JsonObject = {} if account_id == ACCOUNT_WITHOUT_TERMS else {"custom_audience_tos": 1}
    return {
        "id": f"act_{account_id}",
        "account_id": account_id,
        "name": ACCOUNT_NAMES[account_id],
        "account_status": 1,
        "currency": "EUR",
        "timezone_name": "Europe/Berlin",
        "tos_accepted": terms,
    }


def _check_version(call: Call) -> None:
    version = re.fullmatch(r"v(\d+)\.\d", call.params.get("version", f"v{NEWEST_VERSION}.0"))
    if version is None or int(version[1]) > NEWEST_VERSION:
        raise graph_error(2500, f"Unknown path components: {call.path}")
    if int(version[1]) < OLDEST_VERSION:
        message = "You are calling a deprecated version of the Ads API."
        raise graph_error(2635, f"(#2635) {message} Please update to the latest version: v{NEWEST_VERSION}.0.")


def _token(call: Call) -> str:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() in {"bearer", "oauth"}:
        return token.strip()
    return str(parameters(call).get("access_token", ""))


def _usage(percent: int, minutes: int) -> dict[str, str]:
    usage = {
        "type": "custom_audience",
        "call_count": percent,
        "total_cputime": min(100, percent // 4),
        "total_time": min(100, percent // 4),
        "estimated_time_to_regain_access": minutes,
    }
    return {"X-Business-Use-Case-Usage": orjson.dumps({ACCOUNT: [usage]}).decode()}
