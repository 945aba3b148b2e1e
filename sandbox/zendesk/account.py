"""The account: credentials, roles, limits, the lists that are paged by cursor, and who answers which path."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens
from millstream.sandbox.zendesk.errors import forbidden, invalid, not_authenticated, refusal
from millstream.sandbox.zendesk.exports import Exports, check_query, page_size
from millstream.sandbox.zendesk.rows import AGENTS, agent_row, identities_of, rating_row, score_of, user_row

EMAIL, API_TOKEN = "robin@support.shop.box.example", "sandbox-zendesk"
BEARER, BEARER_AGENT = "sandbox-zendesk-oauth", "sandbox-zendesk-agent"
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "sandbox-client", "sandbox-secret", "sandbox-refresh"
TOKEN_SECONDS = 1800
ACCOUNT_LIMIT, EXPORT_LIMIT, USER_EXPORT_LIMIT = 700, 10, 20
LARGEST_PAGE = 100
SCORES = ("offered", "unoffered", "received", "good", "bad")


class Zendesk(System):
    """One account with legacy satisfaction ratings."""

    name: ClassVar[str] = "zendesk"
    title: ClassVar[str] = "Zendesk"
    record_keys: ClassVar[tuple[str, ...]] = (
        "users", "tickets", "organizations", "ticket_events", "satisfaction_ratings", "deleted_users", "identities",
    )  # fmt: skip

    def reset(self) -> None:
        self.tokens = Tokens(BEARER, BEARER_AGENT, expires_in=TOKEN_SECONDS)
        self._refresh_token, self._refreshed = REFRESH_TOKEN, 0
        self._windows = {
            "account": Window(ACCOUNT_LIMIT, 60),
            "export": Window(EXPORT_LIMIT, 60),
            "user_export": Window(USER_EXPORT_LIMIT, 60),
        }
        self._exports = Exports(self.company)

    def routes(self) -> Sequence[Route]:
        exports = self._exports
        made = [route("POST", "/oauth/tokens", self._token, "public")]
        made += _both("/incremental/tickets/cursor", exports.tickets_by_cursor, "export")
        made += _both("/incremental/users/cursor", exports.users_by_cursor, "user_export")
        made += _both("/incremental/organizations", exports.organizations, "export")
        made += _both("/incremental/ticket_events", exports.ticket_events, "export")
        made += _both("/satisfaction_ratings", self._ratings)
        made += _both("/deleted_users", self._deleted_users)
        made += _both("/users/me", self._me)
        made += _both("/users/{user_id}/identities", self._identities)
        return made

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        caller = self._basic(value) if scheme.lower() == "basic" else self._bearer(scheme, value)
        if call.strike.get("expire_token") is not None:
            raise not_authenticated()
        if caller == BEARER_AGENT and call.route.tags & {"export", "user_export"}:
            raise forbidden("You do not have access to this page. Please contact the account owner for help.")
        return caller

    def _basic(self, value: str) -> str:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise not_authenticated() from error
        if (user, password) != (f"{EMAIL}/token", API_TOKEN):
            raise not_authenticated()
        return user

    def _bearer(self, scheme: str, token: str) -> str:
        if scheme.lower() != "bearer" or self.tokens.state(token) != "valid":
            raise not_authenticated()
        return token

    def admit(self, call: Call) -> dict[str, str]:
        if "public" in call.route.tags:
            return {}
        for name in ("account", *(call.route.tags & self._windows.keys())):
            if not self._windows[name].take():
                raise self.rate_limited(self._windows[name].wait, None)
        return self._limit_headers()

    def _limit_headers(self) -> dict[str, str]:
        window = self._windows["account"]
        limit, remaining = str(window.allowed), str(max(0, window.remaining))
        return {
            "X-Rate-Limit": limit,
            "X-Rate-Limit-Remaining": remaining,
            "ratelimit-limit": limit,
            "ratelimit-remaining": remaining,
            "ratelimit-reset": str(math.ceil(window.wait)),
        }

    def not_found(self, method: str, path: str) -> ApiError:
        del method, path
        return ApiError(404, {"error": "InvalidEndpoint", "description": "Not found"})

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        waits = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return refusal(429, "APIRateLimitExceeded", "Too many requests to the API.", waits)

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "InternalError", "Something went wrong.")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "InvalidJson", detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        details = {where: [{"description": what, "error": "InvalidValue"}] for where, what in problems}
        return ApiError(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})

    def empty(self, body: JsonObject) -> JsonObject:
        emptied = {key: [] if key in self.record_keys else value for key, value in body.items()}
        if "count" in emptied:
            emptied["count"] = 0
        if "end_of_stream" in emptied:
            emptied["end_of_stream"] = True
        if "meta" in emptied:
            emptied["meta"] = {"has_more": False, "after_cursor": None, "before_cursor": None}
        return emptied

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "email": EMAIL,
            "api_token": API_TOKEN,
            "access_token": BEARER,
            "access_token_of_an_agent": BEARER_AGENT,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": self._refresh_token,
        }

    # Handlers

    def _token(self, call: Call) -> Answer:
        """Trade the refresh token for an access token; the refresh token changes with it."""
        given = call.form() or {}
        if call.headers.get("content-type", "").startswith("application/json"):
            body = call.json()
            given = {str(key): str(value) for key, value in body.items()} if isinstance(body, dict) else {}
        if (given.get("client_id"), given.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise ApiError(401, {"error": "invalid_client", "error_description": "unknown client"})
        if given.get("grant_type") != "refresh_token" or given.get("refresh_token") != self._refresh_token:
            raise ApiError(400, {"error": "invalid_grant", "error_description": "unknown or used refresh token"})
        self._refreshed += 1
        self._refresh_token = f"{REFRESH_TOKEN}-{self._refreshed}"
        return Answer(
            {
                "access_token": self.tokens.issue("zd"),
                "refresh_token": self._refresh_token,
                "token_type": "bearer",
                "scope": "read",
                "expires_in": int(self.tokens.expires_in),
            }
        )

    def _me(self, call: Call) -> Answer:
        check_query(call)
        number = 1 if call.caller == BEARER_AGENT else 0
        return Answer({"user": agent_row(number, self.company.today_ms // 1000 - 900 * 86_400)})

    def _identities(self, call: Call) -> Answer:
        text = call.params["user_id"]
        known = {int(user_id) for user_id in self._exports.users.ids}
        if not text.isdigit() or int(text) not in known:
            if text in {str(agent) for agent, _ in AGENTS}:
                return self._listed(call, "identities", [])
            raise refusal(404, "RecordNotFound", "Not found")
        return self._listed(call, "identities", identities_of(self.company, int(text)))

    def _deleted_users(self, call: Call) -> Answer:
        users = self._exports.users
        places = sorted(np.flatnonzero(~users.active).tolist(), key=lambda place: int(users.ids[place]))
        return self._listed(call, "deleted_users", [user_row(self.company, users, place) for place in places])

    def _ratings(self, call: Call) -> Answer:
        """Satisfaction ratings, the newest last; those that nobody answered have the score `offered`."""
        tickets = self._exports.tickets
        score = call.query.get("score")
        if score is not None and score not in SCORES:
            raise invalid("score", f"must be one of {', '.join(SCORES)}")
        since, until = (_epoch(call, name) for name in ("start_time", "end_time"))
        places = np.flatnonzero(
            tickets.rated & (tickets.created + 30 >= (since or 0)) & (tickets.created + 30 <= (until or 2**40))
        )
        wanted = [place for place in places.tolist() if score is None or _fits(score, score_of(tickets, place))]
        wanted.sort(key=lambda place: (int(tickets.created[place]), int(tickets.ids[place])))
        return self._listed(call, "satisfaction_ratings", wanted, lambda place: rating_row(tickets, place))

    def _listed(
        self, call: Call, name: str, rows: Sequence[object], made: Callable[[int], JsonObject] | None = None
    ) -> Answer:
        """A page of a list by cursor, which here is the number of rows passed."""
        check_query(call, "page[size]", "page[after]", "start_time", "end_time", "score")
        size = page_size(call, "page[size]", LARGEST_PAGE)
        after = call.query.get("page[after]", "0")
        if not after.isdigit():
            raise refusal(400, "InvalidPaginationParameter", "Invalid cursor")
        end = int(after) + call.page_limit(size)
        page = rows[int(after) : end]
        shown = [made(int(str(place))) for place in page] if made else list(page)
        more = end < len(rows)
        return Answer(
            {
                name: shown,
                "meta": {"has_more": more, "after_cursor": str(end) if more else None, "before_cursor": None},
                "links": {
                    "next": f"{call.base_url}{call.path}?page[size]={size}&page[after]={end}" if more else None,
                    "prev": None,
                },
            }
        )

    def state(self) -> JsonObject:
        return {"users": len(self._exports.users.index), "tickets": len(self._exports.tickets.index)}


def _both(path: str, handler: Callable[[Call], Answer], *tags: str) -> list[Route]:
    """The endpoint with and without `.json` at its end."""
    return [route("GET", f"/api/v2{path}{ending}", handler, *tags) for ending in (".json", "")]


def _fits(asked: str, score: str) -> bool:
    return score in ("good", "bad") if asked == "received" else score == asked


def _epoch(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if text is not None and not text.isdigit():
        raise invalid(name, "must be seconds since 1970")
    return None if text is None else int(text)
