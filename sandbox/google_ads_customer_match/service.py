"""The service: who may ask, how often, and who answers which path."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from millstream.sandbox.ga4.errors import refusal
from millstream.sandbox.ga4.tokens import (
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    SCOPE_ROOT,
    TokenEndpoint,
    service_account,
)
from millstream.sandbox.google_ads_customer_match.accounts import CLIENT_ACCOUNT, MANAGER_ACCOUNT, OWN_ACCOUNT
from millstream.sandbox.google_ads_customer_match.ads_api import (
    DEVELOPER_TOKEN,
    AdsApi,
    check_caller,
    failure,
)
from millstream.sandbox.google_ads_customer_match.errors import RPC, exhausted, missing_scope
from millstream.sandbox.google_ads_customer_match.ingestion import Ingestion
from millstream.sandbox.google_ads_customer_match.lists import NEWSLETTER_LIST, UserLists
from millstream.sandbox.google_ads_customer_match.user_lists import UserListNodes
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

DATA_MANAGER_SCOPE = f"{SCOPE_ROOT}datamanager"
ADS_SCOPE = f"{SCOPE_ROOT}adwords"
REFRESH_TOKEN_ADS_ONLY = "sandbox-refresh-adwords-only"  # noqa: S105  made up, and printed in the README
GRANTED = {
    REFRESH_TOKEN: frozenset({DATA_MANAGER_SCOPE, ADS_SCOPE}),
    REFRESH_TOKEN_ADS_ONLY: frozenset({ADS_SCOPE}),
}
DAY = 86_400
# Requests a minute and a day by what they do; the names are those of the vendor's quota limits.
QUOTAS = {
    "IngestionMutate": (300, 100_000),
    "IngestionRead": (300, 100_000),
    "ManagementMutate": (300, 50_000),
    "ManagementRead": (300, 50_000),
}


class GoogleAdsCustomerMatch(System):
    """An account of one's own, and a manager's account with a client."""

    name: ClassVar[str] = "google_ads_customer_match"
    title: ClassVar[str] = "Google Ads Customer Match"
    record_keys: ClassVar[tuple[str, ...]] = ("userLists", "results", "requestStatusPerDestination")

    def reset(self) -> None:
        self.tokens = Tokens(expires_in=3600)
        self._endpoint = TokenEndpoint(self.tokens, GRANTED)
        self.quotas = {
            f"{name}RequestsPer{span}PerProject": Window(allowed, seconds)
            for name, (a_minute, a_day) in QUOTAS.items()
            for span, allowed, seconds in (("Minute", a_minute, 60), ("Day", a_day, DAY))
        }
        self._lists.reset()
        self.ingestion.reset()

    @cached_property
    def _lists(self) -> UserLists:
        return UserLists(self.company)

    @cached_property
    def ingestion(self) -> Ingestion:
        """Requests that change who is in a list."""
        return Ingestion(self._lists)

    def routes(self) -> Sequence[Route]:
        lists, ads = UserListNodes(self._lists), AdsApi(self._lists)
        parent = "/v1/accountTypes/{account_type}/accounts/{account_id}/userLists"
        customers = "/{version}/customers"
        return [
            route("POST", "/token", self._token, "public"),
            route("POST", "/v1/audienceMembers:ingest", self.ingestion.ingest, "IngestionMutate"),
            route("POST", "/v1/audienceMembers:remove", self.ingestion.remove, "IngestionMutate"),
            route("POST", "/v1/audienceMembers:removeAll", self.ingestion.remove_all, "IngestionMutate"),
            route("GET", "/v1/requestStatus:retrieve", self.ingestion.status, "IngestionRead"),
            route("GET", parent, lists.list_lists, "ManagementRead"),
            route("POST", parent, lists.create, "ManagementMutate"),
            route("GET", f"{parent}/{{list_id}}", lists.get, "ManagementRead"),
            route("PATCH", f"{parent}/{{list_id}}", lists.update, "ManagementMutate"),
            route("DELETE", f"{parent}/{{list_id}}", lists.delete, "ManagementMutate"),
            route("GET", f"{customers}:listAccessibleCustomers", ads.list_accessible, "ads"),
            route("POST", f"{customers}/{{customer_id}}/googleAds:search", ads.search, "ads"),
            route("POST", f"{customers}/{{customer_id}}/googleAds:searchStream", ads.search_stream, "ads"),
            route("POST", f"{customers}/{{customer_id}}/userLists:mutate", ads.mutate, "ads"),
        ]

    # Who may ask

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.tokens.state(token) != "valid":
            message = "Request had invalid authentication credentials. Expected an OAuth 2 access token."
            raise refusal("UNAUTHENTICATED", message)
        of_ads = "ads" in call.route.tags
        if (ADS_SCOPE if of_ads else DATA_MANAGER_SCOPE) not in self._endpoint.scopes(token):
            raise missing_scope()
        if of_ads:
            check_caller(call)
        return token

    def admit(self, call: Call) -> dict[str, str]:
        for name, window in self.quotas.items():
            if any(name.startswith(f"{tag}Requests") for tag in call.route.tags) and not window.take():
                raise exhausted(name, window.wait)
        return {}

    def _token(self, call: Call) -> Answer:
        return self._endpoint.issue(call)

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal("NOT_FOUND", f"Method not found: {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Policy: name of the quota limit, or `google_ads` for a refusal in the Google Ads API's shape."""
        if policy == "google_ads":
            return failure("RESOURCE_EXHAUSTED", "quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", "Too many requests.")
        return exhausted(policy or "IngestionMutateRequestsPerMinutePerProject", seconds)

    def server_error(self, status: int) -> ApiError:
        kinds = {500: "INTERNAL", 504: "DEADLINE_EXCEEDED"}
        return refusal(kinds.get(status, "UNAVAILABLE"), "The service is currently unavailable.", code=status)

    def malformed_json(self, detail: str) -> ApiError:
        return refusal("INVALID_ARGUMENT", f"Invalid JSON payload received. {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        violations = [{"field": where, "description": f"{where}: {what}"} for where, what in problems]
        message = "Invalid JSON payload received. " + "; ".join(one["description"] for one in violations)
        detail: JsonObject = {"@type": f"{RPC}.BadRequest", "fieldViolations": violations}
        return refusal("INVALID_ARGUMENT", message, [detail])

    def state(self) -> JsonObject:
        return self._lists.state()

    def credentials(self, base_url: str) -> JsonObject:
        """A whole service account file, with what else a client needs beside it."""
        return {
            **service_account(f"{base_url}/token"),
            "sandbox": {
                "account_id": OWN_ACCOUNT,
                "manager_account_id": MANAGER_ACCOUNT,
                "client_account_id": CLIENT_ACCOUNT,
                "user_list_id": str(NEWSLETTER_LIST),
                "oauth_client_id": CLIENT_ID,
                "oauth_client_secret": CLIENT_SECRET,
                "refresh_token": REFRESH_TOKEN,
                "developer_token": DEVELOPER_TOKEN,
                "scopes": [DATA_MANAGER_SCOPE, ADS_SCOPE],
            },
        }
