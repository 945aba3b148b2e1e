"""The organisation: tokens by data centre, scopes, credits, and who answers which path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens
from millstream.sandbox.zoho_crm.bulk import BulkReads
from millstream.sandbox.zoho_crm.errors import bad_scope, bad_token, invalid, missing, refusal
from millstream.sandbox.zoho_crm.listing import (
    check_query,
    count_records,
    list_deleted,
    list_records,
    module_of,
    one_record,
)
from millstream.sandbox.zoho_crm.people import MODULES, Record, make_records
from millstream.sandbox.zoho_crm.rows import field_rows, module_rows, user_rows

CLIENT_ID, CLIENT_SECRET = "sandbox-client", "sandbox-secret"
REFRESH_TOKEN, REFRESH_TOKEN_NARROW, REFRESH_TOKEN_EU = (
    "sandbox-refresh", "sandbox-refresh-contacts-only", "sandbox-refresh-eu",
)  # fmt: skip
ALL_SCOPES = "ZohoCRM.modules.ALL ZohoCRM.settings.READ ZohoCRM.users.READ ZohoCRM.bulk.READ"
NARROW_SCOPES = "ZohoCRM.modules.contacts.READ ZohoCRM.settings.fields.READ"
# Which data centre a refresh token belongs to, and what may be done with it.
GRANTS = {
    REFRESH_TOKEN: ("", ALL_SCOPES),
    REFRESH_TOKEN_NARROW: ("", NARROW_SCOPES),
    REFRESH_TOKEN_EU: ("/eu", ALL_SCOPES),
}
TOKEN_SECONDS = 3600
TOKENS_IN_TEN_MINUTES, DOWNLOADS_A_MINUTE, CONCURRENCY, CREDITS = 10, 10, 20, 50_000


class ZohoCrm(System):
    """One organisation in the US data centre, and the same one again in the EU's below `/eu`.

    Attributes:
        bulk: The export jobs.
    """

    name: ClassVar[str] = "zoho_crm"
    title: ClassVar[str] = "Zoho CRM"
    record_keys: ClassVar[tuple[str, ...]] = ("data",)

    def reset(self) -> None:
        self.tokens = Tokens(expires_in=TOKEN_SECONDS)
        self._grants: dict[str, tuple[str, str]] = {}
        self._refreshes = {token: Window(TOKENS_IN_TEN_MINUTES, 600) for token in GRANTS}
        self._downloads = Window(DOWNLOADS_A_MINUTE, 60)
        self.credits = Window(CREDITS, 86_400)
        self._advances = -1
        self._records: dict[str, list[Record]] = {}
        self.bulk = BulkReads(self)

    def routes(self) -> Sequence[Route]:
        return [made for centre in ("", "/eu") for made in self._routes_of(centre)]

    def _routes_of(self, centre: str) -> list[Route]:
        data = f"{centre}/crm/v8"
        return [
            route("POST", f"{centre}/oauth/v2/token", self._token, "public"),
            route("GET", f"{data}/settings/modules", self._modules, "settings.modules"),
            route("GET", f"{data}/settings/fields", self._fields, "settings.fields"),
            route("GET", f"{data}/users", self._users, "users"),
            route("POST", f"{centre}/crm/bulk/v8/read", self.bulk.create, "bulk"),
            route("GET", f"{centre}/crm/bulk/v8/read/{{job_id}}/result", self.bulk.result, "bulk", "download"),
            route("GET", f"{centre}/crm/bulk/v8/read/{{job_id}}", self.bulk.status, "bulk"),
            route("GET", f"{data}/{{module}}", lambda call: list_records(self, call), "module"),
            route("GET", f"{data}/{{module}}/deleted", lambda call: list_deleted(self, call), "module"),
            route("GET", f"{data}/{{module}}/actions/count", lambda call: count_records(self, call), "module"),
            route("GET", f"{data}/{{module}}/{{record_id}}", lambda call: one_record(self, call), "module"),
        ]

    def of(self, module: str) -> Sequence[Record]:
        """The records of a module, the deleted too."""
        if self._advances != self.company.advances:
            self._records = make_records(self.company)
            self._advances = self.company.advances
        return self._records[module]

    # Who calls

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("zoho-oauthtoken", "bearer"):
            raise refusal(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        if self.tokens.state(token) != "valid" or call.strike.get("expire_token") is not None:
            raise bad_token()
        centre, scopes = self._grants[token]
        if call.path.startswith("/eu/") != (centre == "/eu"):
            raise bad_token()
        self._check_scope(call, scopes.lower().split())
        return token

    @staticmethod
    def _check_scope(call: Call, scopes: Sequence[str]) -> None:
        for tag in call.route.tags & {"settings.modules", "settings.fields", "users", "bulk", "module"}:
            needed = f"modules.{call.params['module'].lower()}" if tag == "module" else tag
            area = needed.partition(".")[0]
            allowed = {f"zohocrm.{part}.{kind}" for part in (needed, area) for kind in ("all", "read")}
            if not allowed & set(scopes):
                raise bad_scope()

    def admit(self, call: Call) -> dict[str, str]:
        if "public" in call.route.tags:
            return {}
        if self.in_flight > CONCURRENCY or not self.credits.take():
            raise self.rate_limited(0, None)
        if "download" in call.route.tags and not self._downloads.take():
            raise self.rate_limited(0, None)
        if self.credits.remaining * 2 > self.credits.allowed:
            return {}
        return {"X-API-CREDITS-REMAINING": str(max(0, self.credits.remaining))}

    def _token(self, call: Call) -> Answer:
        """Trade the refresh token for an access token. Wrong credentials are answered with 200."""
        given = {**call.query, **call.form()}
        if given.get("grant_type") != "refresh_token":
            return Answer({"error": "unsupported_grant_type"})
        if (given.get("client_id"), given.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return Answer({"error": "invalid_client"})
        refresh = given.get("refresh_token", "")
        centre, scopes = GRANTS.get(refresh, (None, ""))
        if centre is None or call.path.startswith("/eu/") != (centre == "/eu"):
            return Answer({"error": "invalid_code"})
        if self.environment.options.limits and not self._refreshes[refresh].take():
            description = "You have made too many requests continuously. Please try again after some time."
            body = {"error": "Access Denied", "error_description": description, "status": "failure"}
            raise ApiError(400, body)
        token = self.tokens.issue("1000.zoho")
        self._grants[token] = (centre, scopes)
        return Answer(
            {
                "access_token": token,
                "scope": scopes,
                "api_domain": f"{call.base_url}{centre}",
                "token_type": "Bearer",
                "expires_in": int(self.tokens.expires_in),
            }
        )

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        del method, path
        return refusal(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del seconds, policy
        return refusal(429, "TOO_MANY_REQUESTS", "You have exceeded the maximum number of API calls allowed.")

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "INTERNAL_ERROR", "Internal server error occurred.")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "REQUEST_BODY_NOT_READABLE", detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, "INVALID_REQUEST", "; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        emptied = {key: [] if key in self.record_keys else value for key, value in body.items()}
        info = emptied.get("info")
        if isinstance(info, dict):
            emptied["info"] = {**info, "count": 0, "more_records": False, "next_page_token": None}
        return emptied

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "accounts_url": base_url,
            "accounts_url_eu": f"{base_url}/eu",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "refresh_token_contacts_only": REFRESH_TOKEN_NARROW,
            "refresh_token_eu": REFRESH_TOKEN_EU,
        }

    # Settings

    @staticmethod
    def _modules(call: Call) -> Answer:
        check_query(call, "status")
        return Answer({"modules": module_rows()})

    @staticmethod
    def _fields(call: Call) -> Answer:
        check_query(call, "module", "type")
        module = call.query.get("module")
        if module is None:
            raise missing("module")
        call.params["module"] = module
        kind = call.query.get("type", "all")
        if kind not in ("all", "unused"):
            raise invalid("type")
        rows = field_rows(module_of(call))
        return Answer({"fields": rows}) if kind == "all" else Answer(status=204)

    @staticmethod
    def _users(call: Call) -> Answer:
        check_query(call, "type", "page", "per_page")
        rows = user_rows()
        info = {"per_page": 200, "count": len(rows), "page": 1, "more_records": False}
        return Answer({"users": rows, "info": info})

    def state(self) -> JsonObject:
        return {module: len(self.of(module)) for module in MODULES}
