"""The HubSpot system: authentication, scopes, limits, and the endpoints that are not about records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from millstream.sandbox.hubspot import errors
from millstream.sandbox.hubspot.associations import Associations
from millstream.sandbox.hubspot.consent import Consents
from millstream.sandbox.hubspot.email_events import EmailEvents
from millstream.sandbox.hubspot.lists import Lists
from millstream.sandbox.hubspot.portal import PORTAL_ID, Portal, now_ms
from millstream.sandbox.hubspot.properties import OWNER_IDS
from millstream.sandbox.hubspot.reads import Reads, now_iso, page_link, whole_number
from millstream.sandbox.hubspot.tables import iso
from millstream.sandbox.hubspot.writes import Writes
from millstream.sandbox.limits import Window
from millstream.sandbox.names import FIRST_NAMES, LAST_NAMES
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

# Obviously made up: they open nothing but this sandbox.
STATIC_TOKEN = "pat-sandbox-hubspot"  # noqa: S105
NO_LISTS_TOKEN = "pat-sandbox-no-lists"  # noqa: S105
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105
REFRESH_TOKEN = "sandbox-refresh"  # noqa: S105
ACCESS_TOKEN_SECONDS = 1800

INTERVAL_SECONDS = 10
PRIVATE_APP_BURST = 190
OAUTH_BURST = 110
DAILY_REQUESTS = 650_000
SEARCHES_A_SECOND = 5

# Scope that a route's tag asks for.
SCOPES = {
    "records": "crm.objects.contacts.read",
    "contacts.write": "crm.objects.contacts.write",
    "schemas": "crm.schemas.contacts.read",
    "schemas.write": "crm.schemas.contacts.write",
    "owners": "crm.objects.owners.read",
    "consent": "communication_preferences.read_write",
    "lists": "crm.lists.read",
    "lists.write": "crm.lists.write",
    "content": "content",
}
WITHHELD = {"lists", "lists.write", "content"}
# The dated paths take the same bodies as the numbered ones.
DATED = {
    "/crm/v3/objects": "/crm/objects/{version}",
    "/crm/v3/lists": "/crm/lists/{version}",
    "/crm/v3/properties": "/crm/properties/{version}",
}


class HubSpot(System):
    """A stand-in for api.hubapi.com."""

    name = "hubspot"
    title = "HubSpot"
    record_keys = ("results", "lists", "events")

    def reset(self) -> None:
        """A portal as on the first day, with unspent limits."""
        self.tokens = Tokens(STATIC_TOKEN, NO_LISTS_TOKEN, expires_in=ACCESS_TOKEN_SECONDS)
        self.portal = Portal(self.company)
        self.lists = Lists(self.portal, now_ms)
        self._reads = Reads(self.portal)
        self._writes = Writes(self.portal)
        self._associations = Associations(self.portal)
        self._events = EmailEvents(self.company, PORTAL_ID)
        self._consents = Consents(self.portal, now_ms)
        self._bursts: dict[str, Window] = {}
        self._days: dict[str, Window] = {}
        self._searches = Window(SEARCHES_A_SECOND, 1)

    def routes(self) -> Sequence[Route]:
        """All endpoints."""
        made = [
            *self._own_routes(),
            *self._writes.routes(),
            *self.lists.routes(),
            *self._reads.routes(),
            *self._associations.routes(),
            *self._events.routes(),
            *self._consents.routes(),
        ]
        dated = [
            replace(one, template=one.template.replace(old, new, 1))
            for one in made
            for old, new in DATED.items()
            if one.template.startswith(old)
        ]
        return [*made, *dated]

    def _own_routes(self) -> list[Route]:
        return [
            route("POST", "/oauth/v1/token", self.token, "public"),
            route("POST", "/oauth/v3/token", self.token, "public"),
            route("GET", "/account-info/v3/details", self.account),
            route("GET", "/account-info/v3/api-usage/daily/private-apps", self.usage),
            route("GET", "/crm/v3/owners", self.owners, "owners"),
            route("GET", "/crm/v3/owners/{id}", self.owner, "owners"),
        ]

    def authenticate(self, call: Call) -> str:
        """The bearer token, if it is good for the route."""
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        state = self.tokens.state(token.strip()) if scheme.lower() == "bearer" else "unknown"
        if state == "valid" and call.strike.get("expire_token") is not None and token in self.tokens.fixed:
            state = "expired"
        if state == "unknown":
            message = "Authentication credentials not found or not valid."
            raise errors.refusal(401, "INVALID_AUTHENTICATION", message)
        if state == "expired":
            message = "The OAuth token used to make this call expired."
            raise errors.refusal(401, "EXPIRED_AUTHENTICATION", message)
        missing = call.route.tags & WITHHELD
        if token == NO_LISTS_TOKEN and missing:
            scopes = [SCOPES[tag] for tag in sorted(missing)]
            message = "This app hasn't been granted all required scopes to make this call."
            detail: JsonObject = {"message": message, "context": {"requiredGranularScopes": scopes}}
            raise errors.refusal(403, "MISSING_SCOPES", message, errors=[detail])
        return token

    def admit(self, call: Call) -> dict[str, str]:
        """Searches have a limit of their own; the rest a burst and, for private apps, a daily limit."""
        if "public" in call.route.tags:
            return {}
        if "search" in call.route.tags and not self._searches.take():
            raise errors.rate_limit("SECONDLY", None)
        private = call.caller in self.tokens.fixed
        allowed = PRIVATE_APP_BURST if private else OAUTH_BURST
        burst = self._bursts.setdefault(call.caller, Window(allowed, INTERVAL_SECONDS))
        day = self._days.setdefault(call.caller, Window(DAILY_REQUESTS, 86_400))
        if private and not day.take():
            raise errors.rate_limit("DAILY", None)
        taken = burst.take()
        headers = {
            "X-HubSpot-RateLimit-Max": str(allowed),
            "X-HubSpot-RateLimit-Remaining": str(burst.remaining),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(INTERVAL_SECONDS * 1000),
        }
        if private:
            headers["X-HubSpot-RateLimit-Daily"] = str(DAILY_REQUESTS)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(day.remaining)
        if not taken:
            error = errors.rate_limit("TEN_SECONDLY_ROLLING", None)
            error.answer.headers.update(headers)
            raise error
        return {} if "search" in call.route.tags else headers

    def not_found(self, method: str, path: str) -> ApiError:
        """No such endpoint."""
        return errors.refusal(404, errors.OBJECT_NOT_FOUND, f"No route for {method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """An ordered 429, with Retry-After."""
        return errors.rate_limit(policy or "TEN_SECONDLY_ROLLING", seconds)

    def server_error(self, status: int) -> ApiError:
        """HubSpot's own failure; gateways in front of it answer without JSON."""
        if status in {502, 504}:
            return ApiError(status, b"<html><body>Bad gateway</body></html>", {})
        return errors.refusal(status, "INTERNAL_ERROR", "internal error")

    def malformed_json(self, detail: str) -> ApiError:
        """The body is not JSON."""
        return errors.invalid(f"Invalid input JSON: {detail}", code="INVALID_JSON")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        """The body does not fit the endpoint."""
        listed: list[JsonObject] = [{"message": what, "in": where} for where, what in problems]
        message = "Invalid input JSON: " + "; ".join(f"{where}: {what}" for where, what in problems)
        return errors.refusal(400, errors.VALIDATION_ERROR, message, errors=listed)

    def credentials(self, base_url: str) -> JsonObject:
        """What works here."""
        return {
            "base_url": base_url,
            "access_token": STATIC_TOKEN,
            "access_token_without_lists": NO_LISTS_TOKEN,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
        }

    def state(self) -> JsonObject:
        """Lists with their members' record ids, the contacts written through the API, blocked addresses."""
        contacts = self.portal.contacts
        written = []
        for record_id, write in contacts.written.items():
            written.append(
                {
                    "id": str(record_id),
                    "properties": write.properties,
                    "created": write.created_ms is not None,
                    "archived": write.archived_ms is not None,
                    "erased": write.erased,
                    "writes": write.writes,
                }
            )
        lists = [
            {
                "listId": one.list_id,
                "name": one.name,
                "processingType": one.processing_type,
                "recordIds": [str(record_id) for record_id in self.lists.member_ids(one)],
            }
            for one in self.lists.lists.values()
        ]
        return {"lists": lists, "contacts": written, "blocked_emails": sorted(contacts.blocked_emails)}

    def token(self, call: Call) -> Answer:
        """Trade the refresh token for an access token."""
        form = call.form()
        known = form.get("client_id") == CLIENT_ID and form.get("client_secret") == CLIENT_SECRET
        if not known:
            raise _oauth_error("BAD_CLIENT_ID", "missing or unknown client id or secret")
        if form.get("grant_type") != "refresh_token":
            raise _oauth_error("BAD_GRANT_TYPE", "missing or unknown grant type")
        if form.get("refresh_token") != REFRESH_TOKEN:
            raise _oauth_error("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        body: JsonObject = {
            "access_token": self.tokens.issue("sandbox-access"),
            "refresh_token": REFRESH_TOKEN,
            "expires_in": int(self.tokens.expires_in),
            "token_type": "bearer",
            "hub_id": PORTAL_ID,
            "user_id": 70_001,
            "scopes": sorted(SCOPES.values()),
        }
        return Answer(body)

    def account(self, call: Call) -> Answer:
        """Facts about the account."""
        del call
        return Answer(
            {
                "portalId": PORTAL_ID,
                "accountType": "DEVELOPER_TEST",
                "timeZone": "UTC",
                "companyCurrency": "EUR",
                "additionalCurrencies": ["USD"],
                "utcOffset": "+00:00",
                "utcOffsetMilliseconds": 0,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "eu1",
            }
        )

    def usage(self, call: Call) -> Answer:
        """How much of the daily limit is used up."""
        day = self._days.get(call.caller)
        used = 0 if day is None else DAILY_REQUESTS - day.remaining
        usage = {
            "name": "private-apps-api-calls-daily",
            "usageLimit": DAILY_REQUESTS,
            "currentUsage": used,
            "collectedAt": now_iso(),
            "fetchStatus": "SUCCESS",
        }
        return Answer({"results": [usage]})

    def owners(self, call: Call) -> Answer:
        """The people who look after contacts."""
        after = whole_number(call, "after", 0, 10**9, 0)
        limit = call.page_limit(whole_number(call, "limit", 100, 500))
        email = call.query.get("email")
        wanted = [
            owner
            for owner in (self._owner(number) for number in range(len(OWNER_IDS)))
            if int(str(owner["id"])) > after and email in {None, owner["email"]}
        ]
        if call.query.get("archived") == "true":
            wanted = []
        answer: JsonObject = {"results": wanted[:limit]}
        if len(wanted) > limit:
            answer["paging"] = page_link(call, wanted[limit - 1]["id"])
        return Answer(answer)

    def owner(self, call: Call) -> Answer:
        """One of them."""
        if call.params["id"] not in OWNER_IDS:
            raise errors.missing_object(f"owner {call.params['id']}")
        return Answer(self._owner(OWNER_IDS.index(call.params["id"])))

    def _owner(self, number: int) -> JsonObject:
        first, last = FIRST_NAMES[number * 3], LAST_NAMES[number * 5]
        made = iso(self.company.today_ms - 1_000 * 86_400_000)
        return {
            "id": OWNER_IDS[number],
            "email": f"{first}.{last}@shop.box.example".lower(),
            "firstName": first,
            "lastName": last,
            "userId": int(OWNER_IDS[number]) + 1_000,
            "type": "PERSON",
            "teams": [],
            "createdAt": made,
            "updatedAt": made,
            "archived": False,
        }


def _oauth_error(status: str, message: str) -> ApiError:
    return ApiError(400, {"status": status, "message": message, "correlationId": str(uuid4())})
