"""The service: who may ask, what it costs, and who answers which path."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from millstream.sandbox.ga4.audiences import EXPORT_COST, Audiences
from millstream.sandbox.ga4.errors import refusal
from millstream.sandbox.ga4.fields import DIMENSIONS, METRICS, FieldFacts, compatible, dimension, metric
from millstream.sandbox.ga4.filters import fields_of
from millstream.sandbox.ga4.quota import NAMES, Quota, exhausted
from millstream.sandbox.ga4.reports import Report, check_compatible
from millstream.sandbox.ga4.requests import (
    AudienceQuery,
    BatchRequest,
    CompatibilityRequest,
    NewAudienceExport,
    ReportRequest,
)
from millstream.sandbox.ga4.tokens import (
    CLIENT_ID,
    CLIENT_SECRET,
    READING_SCOPES,
    REFRESH_TOKEN,
    SCOPE_ROOT,
    TokenEndpoint,
    service_account,
)
from millstream.sandbox.ga4.traffic import Traffic
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

PROPERTY_ID = "350000001"
PROPERTY_WITHOUT_ACCESS = "350000002"


class GoogleAnalytics4(System):
    """One property that the sandbox's credentials can read."""

    name: ClassVar[str] = "ga4"
    title: ClassVar[str] = "Google Analytics 4"

    def reset(self) -> None:
        self.tokens = Tokens(expires_in=3600)
        self._endpoint = TokenEndpoint(self.tokens, {REFRESH_TOKEN: frozenset({f"{SCOPE_ROOT}analytics.readonly"})})
        self.quota = Quota()
        self.audiences.reset()

    @cached_property
    def audiences(self) -> Audiences:
        """Audiences and their exports."""
        return Audiences(self.company)

    @cached_property
    def _traffic(self) -> Traffic:
        return Traffic(self.company)

    def routes(self) -> Sequence[Route]:
        data, admin = "/v1beta/properties/{property_id}", "/v1alpha/properties/{property_id}"
        exports = f"{data}/audienceExports"
        return [
            route("POST", "/token", self._token, "public"),
            route("POST", f"{data}:runReport", self._run_report),
            route("POST", f"{data}:batchRunReports", self._batch_run_reports),
            route("POST", f"{data}:checkCompatibility", self._check_compatibility),
            route("GET", f"{data}/metadata", self._metadata, "metadata"),
            route("POST", exports, self._create_export),
            route("GET", exports, self.audiences.list_exports),
            route("GET", f"{exports}/{{export_id}}", self.audiences.get_export),
            route("POST", f"{exports}/{{export_id}}:query", self._query_export),
            route("GET", f"{admin}/audiences", self.audiences.list_audiences),
            route("GET", f"{admin}/audiences/{{audience_id}}", self.audiences.get_audience),
        ]

    # Who may ask

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.tokens.state(token) != "valid":
            message = "Request had invalid authentication credentials. Expected an OAuth 2 access token."
            raise refusal("UNAUTHENTICATED", message)
        if not self._endpoint.scopes(token) & READING_SCOPES:
            raise refusal("PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        self._check_property(call)
        return token

    @staticmethod
    def _check_property(call: Call) -> None:
        property_id = call.params.get("property_id", PROPERTY_ID)
        if not (property_id.isascii() and property_id.isdigit()):
            message = "A numeric property id is needed, not a measurement id"
            raise refusal("INVALID_ARGUMENT", f"{message}: {property_id}.")
        common_fields = property_id == "0" and "metadata" in call.route.tags
        if property_id != PROPERTY_ID and not common_fields:
            raise refusal("PERMISSION_DENIED", "User does not have sufficient permissions for this property.")

    def admit(self, call: Call) -> dict[str, str]:
        if "public" not in call.route.tags:
            self.quota.check(self.in_flight)
        return {}

    def _token(self, call: Call) -> Answer:
        return self._endpoint.issue(call)

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal("NOT_FOUND", f"Method not found: {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Policy: name of the exhausted bucket as in `propertyQuota` (concurrentRequests if none is given)."""
        del seconds
        return exhausted(policy if policy in NAMES else "concurrentRequests")

    def server_error(self, status: int) -> ApiError:
        self.quota.count_server_error()
        kind = "INTERNAL" if status == 500 else "UNAVAILABLE"
        return refusal(kind, "The service is currently unavailable.", code=status)

    def malformed_json(self, detail: str) -> ApiError:
        return refusal("INVALID_ARGUMENT", f"Invalid JSON payload received. {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        violations = [{"field": where, "description": f"{where}: {what}"} for where, what in problems]
        message = "Invalid JSON payload received. " + "; ".join(str(one["description"]) for one in violations)
        kind = "type.googleapis.com/google.rpc.BadRequest"
        return refusal("INVALID_ARGUMENT", message, [{"@type": kind, "fieldViolations": violations}])

    def empty(self, body: JsonObject) -> JsonObject:
        gone = {"rows", "rowCount", "totals", "minimums", "maximums", "audienceRows", "audiences", "audienceExports"}
        left = {name: value for name, value in body.items() if name not in gone}
        reports = left.get("reports")
        if isinstance(reports, list):
            left["reports"] = [self.empty(report) for report in reports]
        return left

    def credentials(self, base_url: str) -> JsonObject:
        """A whole service account file, with what else a client needs beside it."""
        return {
            **service_account(f"{base_url}/token"),
            "sandbox": {
                "property_id": PROPERTY_ID,
                "oauth_client_id": CLIENT_ID,
                "oauth_client_secret": CLIENT_SECRET,
                "refresh_token": REFRESH_TOKEN,
            },
        }

    # Reports

    def _run_report(self, call: Call) -> Answer:
        return Answer(self._report(call, call.body_as(ReportRequest)))

    def _batch_run_reports(self, call: Call) -> Answer:
        requests = call.body_as(BatchRequest).requests
        wanted = f"properties/{call.params['property_id']}"
        for request in requests:
            if request.property not in {None, "", wanted}:
                raise refusal("INVALID_ARGUMENT", f"All requests of a batch must be about {wanted}.")
        reports = [self._report(call, request) for request in requests]
        return Answer({"reports": reports, "kind": "analyticsData#batchRunReports"})

    def _report(self, call: Call, request: ReportRequest) -> JsonObject:
        report = Report(self._traffic, request, self.company.today)
        body = report.answer(call)
        self.quota.charge(report.cost)
        if request.return_property_quota:
            body["propertyQuota"] = self.quota.shown(report.cost, self.in_flight)
        return body

    def _metadata(self, call: Call) -> Answer:
        common = call.params["property_id"] == "0"
        dimensions = [_described(one) for one in DIMENSIONS.values() if not (common and one.custom)]
        metrics = [{**_described(one), "type": one.type} for one in METRICS.values()]
        name = f"properties/{call.params['property_id']}/metadata"
        return Answer({"dimensions": dimensions, "metrics": metrics, "name": name})

    def _check_compatibility(self, call: Call) -> Answer:
        request = call.body_as(CompatibilityRequest)
        asked = [dimension(one.name) for one in request.dimensions]
        asked += [dimension(name) for name in fields_of(request.dimension_filter)]
        asked += [metric(one.name) for one in request.metrics]
        asked += [metric(name) for name in fields_of(request.metric_filter)]
        check_compatible(asked)
        answer: JsonObject = {}
        for key, kind, fields in (
            ("dimensionCompatibilities", "dimensionMetadata", DIMENSIONS),
            ("metricCompatibilities", "metricMetadata", METRICS),
        ):
            rows = []
            for one in fields.values():
                fits = all(compatible(one, other) for other in asked if other.name != one.name)
                verdict = "COMPATIBLE" if fits else "INCOMPATIBLE"
                if request.compatibility_filter in {verdict, "COMPATIBILITY_UNSPECIFIED"}:
                    typed: JsonObject = {"type": one.type} if one.type else {}
                    rows.append({"compatibility": verdict, kind: {**_described(one), **typed}})
            answer |= {key: rows} if rows else {}
        return Answer(answer)

    # Audience exports

    def _create_export(self, call: Call) -> Answer:
        answer = self.audiences.create(call, call.body_as(NewAudienceExport))
        self.quota.charge(EXPORT_COST)
        return answer

    def _query_export(self, call: Call) -> Answer:
        return self.audiences.query(call, call.body_as(AudienceQuery) if call.body else AudienceQuery())


def _described(one: FieldFacts) -> JsonObject:
    described: JsonObject = {
        "apiName": one.name,
        "uiName": one.title,
        "description": f"{one.title}.",
        "category": one.category,
    }
    if one.former_names:
        described["deprecatedApiNames"] = list(one.former_names)
    return {**described, "customDefinition": True} if one.custom else described
