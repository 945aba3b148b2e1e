"""The service: who may ask, how often, and who answers which path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from millstream.sandbox.adobe_analytics import catalogue
from millstream.sandbox.adobe_analytics.dimensions import Facts
from millstream.sandbox.adobe_analytics.errors import gateway_refusal, invalid, refusal, token_refusal
from millstream.sandbox.adobe_analytics.reports import Report, dimension_name
from millstream.sandbox.adobe_analytics.requests import ReportRequest, whole_number
from millstream.sandbox.adobe_analytics.visits import ZONE
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

CLIENT_ID = "sandbox-adobe"
CLIENT_WITHOUT_REVENUE = "sandbox-adobe-no-revenue"
CLIENT_WITHOUT_PROFILE = "sandbox-adobe-no-profile"
CLIENT_SECRET = "p8e-sandbox-adobe"  # noqa: S105  made up, and printed in the README
SCOPES = frozenset({"openid", "AdobeID", "additional_info.projectedProductContext"})
MORE_SCOPES = frozenset({"read_organizations", "additional_info.job_function"})
LIMIT, SECONDS = 12, 6.0


class AdobeAnalytics(System):
    """One company with a web shop's report suite."""

    name: ClassVar[str] = "adobe_analytics"
    title: ClassVar[str] = "Adobe Analytics"

    def reset(self) -> None:
        self.tokens = Tokens(expires_in=86_399)
        self._clients: dict[str, str] = {}
        self._windows: dict[str, Window] = {}
        self._facts: Facts | None = None
        self._advances = -1

    def routes(self) -> Sequence[Route]:
        api = "/api/{company}"
        suites = f"{api}/reportsuites/collections/suites"
        return [
            route("POST", "/ims/token/v3", self._token, "public"),
            route("GET", "/discovery/me", self._discovery),
            route("GET", suites, self._suites),
            route("GET", f"{suites}/{{rsid}}", self._suite),
            route("GET", f"{api}/dimensions", self._dimensions),
            route("GET", f"{api}/metrics", self._metrics),
            route("GET", f"{api}/segments", self._segments),
            route("POST", f"{api}/reports", self._report),
            route("GET", f"{api}/reports/topItems", self._top_items),
        ]

    # Who may ask

    def _token(self, call: Call) -> Answer:
        form = call.form()
        if form.get("grant_type") != "client_credentials":
            raise token_refusal("unsupported_grant_type", "The grant_type must be client_credentials")
        client = form.get("client_id", "")
        known = client in {CLIENT_ID, CLIENT_WITHOUT_REVENUE, CLIENT_WITHOUT_PROFILE}
        if not known or form.get("client_secret") != CLIENT_SECRET:
            raise token_refusal("invalid_client", "invalid client_id or client_secret parameter", 401)
        scopes = set(form.get("scope", "").replace(",", " ").split())
        if not scopes >= SCOPES or scopes - SCOPES - MORE_SCOPES:
            raise token_refusal("invalid_scope", f"The scopes of this project are {','.join(sorted(SCOPES))}")
        token = self.tokens.issue("eyJhbGciOiJSUzI1NiJ9.sandbox")
        self._clients[token] = client
        return Answer({"access_token": token, "token_type": "bearer", "expires_in": int(self.tokens.expires_in)})

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if not call.headers.get("x-api-key"):
            raise gateway_refusal(403, "403000", "Api Key is required")
        if scheme.lower() != "bearer" or not token:
            raise gateway_refusal(401, "401010", "Oauth token is missing")
        if self.tokens.state(token) != "valid":
            raise gateway_refusal(401, "401013", "Oauth token is not valid")
        client = self._clients[token]
        if call.headers["x-api-key"] != client:
            raise gateway_refusal(403, "403003", "Api Key is invalid")
        if client == CLIENT_WITHOUT_PROFILE:
            raise gateway_refusal(403, "403025", "Profile is not valid")
        company = call.params.get("company", catalogue.COMPANY_ID)
        sent = call.headers.get("x-proxy-global-company-id", company)
        if company != catalogue.COMPANY_ID or sent != company:
            raise refusal(403, "insufficient_access", "Cannot find proper global company ID")
        return client

    def admit(self, call: Call) -> dict[str, str]:
        if "public" not in call.route.tags:
            window = self._windows.setdefault(call.caller, Window(LIMIT, SECONDS))
            if not window.take():
                raise self.rate_limited(window.wait, None)
        return {}

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, "resource_not_found", f"There is no {method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Nothing in the answer says how long to wait."""
        del seconds, policy
        return gateway_refusal(429, "429050", "Too many requests")

    def server_error(self, status: int) -> ApiError:
        if status == 504:
            return gateway_refusal(504, "504000", "Gateway timeout")
        return refusal(status, "resource_temporarily_unavailable", "The service is not available")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "invalid_json_input", detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return invalid("; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        if "summaryData" not in body:
            return body
        gone: JsonObject = {"totalPages": 0, "lastPage": True, "numberOfElements": 0, "totalElements": 0, "rows": []}
        return {**body, **{name: value for name, value in gone.items() if name in body}}

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "token_url": f"{base_url}/ims/token/v3",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": ",".join(sorted(SCOPES)),
            "global_company_id": catalogue.COMPANY_ID,
            "rsid": catalogue.SUITE,
        }

    # What is set up

    def _discovery(self, call: Call) -> Answer:
        company: JsonObject = {
            "globalCompanyId": catalogue.COMPANY_ID,
            "companyName": catalogue.COMPANY_NAME,
            "apiRateLimitPolicy": "aa_api_tier10_tp",
        }
        user = f"{call.caller}@techacct.adobe.com"
        return Answer({"imsUserId": user, "imsOrgs": [{"imsOrgId": catalogue.ORG_ID, "companies": [company]}]})

    def _suites(self, call: Call) -> Answer:
        wanted = call.query.get("rsids")
        part = call.query.get("rsidContains", "")
        rows = [
            _expanded(row, call)
            for rsid, row in catalogue.SUITES.items()
            if part in rsid and (wanted is None or rsid in wanted.split(","))
        ]
        start, size = _page(call)
        return Answer(rows[start : start + size])

    def _suite(self, call: Call) -> Answer:
        return Answer(_expanded(catalogue.SUITES[self._check_suite(call.params["rsid"], 403)], call))

    def _dimensions(self, call: Call) -> Answer:
        self._check_suite(call.query.get("rsid"), 401)
        return Answer([catalogue.dimension_row(one) for one in catalogue.DIMENSIONS.values()])

    def _metrics(self, call: Call) -> Answer:
        self._check_suite(call.query.get("rsid"), 403)
        hidden = _hidden(call)
        return Answer([catalogue.metric_row(one) for name, one in catalogue.METRICS.items() if name not in hidden])

    def _segments(self, call: Call) -> Answer:
        rsids = call.query.get("rsids", catalogue.SUITE).split(",")
        found = [catalogue.segment_row(one) for one in catalogue.SEGMENTS] if catalogue.SUITE in rsids else []
        start, size = _page(call)
        pages = math.ceil(len(found) / size)
        rows = found[start : start + size]
        return Answer(
            {
                "content": rows,
                "totalPages": pages,
                "firstPage": start == 0,
                "lastPage": start + size >= len(found),
                "numberOfElements": len(rows),
                "number": start // size,
                "totalElements": len(found),
                "size": size,
            }
        )

    @staticmethod
    def _check_suite(rsid: str | None, status: int) -> str:
        if not rsid:
            raise invalid("The parameter rsid is required")
        if rsid not in catalogue.SUITES:
            raise refusal(status, "insufficient_access", f"User does not have access to the report suite {rsid}")
        return rsid

    # Reports

    @property
    def facts(self) -> Facts:
        """What has been received by now."""
        if self._facts is None or self._advances != self.company.advances:
            self._facts, self._advances = Facts(self.company), self.company.advances
        return self._facts

    def _now(self) -> datetime:
        day, clock = self.company.today, datetime.now(ZONE).time()
        return datetime.combine(day, clock, tzinfo=UTC)

    def _report(self, call: Call) -> Answer:
        request = call.body_as(ReportRequest)
        self._check_suite(request.rsid, 403)
        return Report(self.facts, request, self._now(), _hidden(call)).answer(call)

    def _top_items(self, call: Call) -> Answer:
        rsid = self._check_suite(call.query.get("rsid"), 403)
        name = dimension_name(call.query.get("dimension", ""))
        start, _, end = call.query.get("dateRange", "").partition("/")
        days = f"{start}T00:00:00.000/{end}T23:59:59.999" if end else "td-89d/td+1d"
        request = ReportRequest.model_validate(
            {
                "rsid": rsid,
                "dimension": name,
                "globalFilters": [{"type": "dateRange", "dateRange": days}],
                "metricContainer": {"metrics": [{"id": "metrics/occurrences"}]},
                "search": {"clause": call.query.get("search-clause")},
                "settings": {"limit": call.query.get("limit", "10"), "page": call.query.get("page", "0")},
            }
        )
        answer = Report(self.facts, request, self._now(), frozenset()).answer(call)
        return Answer(_without_numbers(answer.body), answer.status)


def _without_numbers(body: object) -> object:
    if not isinstance(body, dict):
        return body
    rows = body.get("rows")
    shown = [{"itemId": row["itemId"], "value": row["value"]} for row in rows] if isinstance(rows, list) else []
    left = {name: value for name, value in body.items() if name not in {"columns", "summaryData"}}
    return {**left, "dimension": body["columns"]["dimension"], "rows": shown}


def _hidden(call: Call) -> frozenset[str]:
    return frozenset({"revenue"}) if call.caller == CLIENT_WITHOUT_REVENUE else frozenset()


def _page(call: Call) -> tuple[int, int]:
    size = call.page_limit(whole_number(call.query.get("limit", "10"), "limit", 1, 1000))
    return whole_number(call.query.get("page", "0"), "page", 0, 10**6) * size, size


def _expanded(row: JsonObject, call: Call) -> JsonObject:
    wanted = set(call.query.get("expansion", "").split(","))
    extras = {name: value for name, value in catalogue.SUITE_EXTRAS.items() if name in wanted}
    return {**row, **extras}
