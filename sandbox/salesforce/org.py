"""The org: who may call, what it counts, what its objects are, and who answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from millstream.sandbox.limits import Window
from millstream.sandbox.salesforce.errors import invalid_session, not_found, refusal
from millstream.sandbox.salesforce.ingest import Ingest
from millstream.sandbox.salesforce.jobs import Jobs
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.queries import Queries
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.schema import Schema
from millstream.sandbox.salesforce.standing import people
from millstream.sandbox.salesforce.tokens import (
    CLIENT_ID,
    CLIENT_SECRET,
    FIXED,
    FULL,
    LIMITED_CLIENT_ID,
    NO_API,
    REFRESH_TOKEN,
    USERNAME,
    TokenEndpoint,
    app_key_pem,
)
from millstream.sandbox.salesforce.writer import Writer
from millstream.sandbox.salesforce.writes import Writes
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

TOKEN_SECONDS = 7200
DAILY_REQUESTS, DAILY_QUERY_JOBS, DAILY_BATCHES = 100_000, 10_000, 15_000
OLDEST_VERSION, NEWEST_VERSION = 31, 67
VERSION = re.compile(r"v(\d\d)\.0")


class Salesforce(System):
    """One org in Enterprise Edition."""

    name: ClassVar[str] = "salesforce"
    title: ClassVar[str] = "Salesforce"
    record_keys: ClassVar[tuple[str, ...]] = ("records", "deletedRecords", "ids")

    def reset(self) -> None:
        self.tokens = Tokens(*FIXED, expires_in=TOKEN_SECONDS)
        self.token_endpoint = TokenEndpoint(self.tokens)
        self.requests = Window(DAILY_REQUESTS, 86_400)
        self.schema = Schema()
        self._records = Records(self.company, self.schema)
        self.queries = Queries(self._records, self._visible)
        self.jobs = Jobs(self._records, self._visible)
        self.writer = Writer(self._records)
        self.writes = Writes(self._records, self.writer, self._visible)
        self.ingest = Ingest(self._records, self.writer, self._visible)

    def routes(self) -> Sequence[Route]:
        queries, jobs = self.queries, self.jobs
        return [
            route("POST", "/services/oauth2/token", self.token_endpoint.issue, "public"),
            route("GET", "/services/data", self._versions, "public"),
            *_of_version("GET", "/limits", self._limits),
            *_of_version("GET", "/query", queries.query),
            *_of_version("GET", "/queryAll", queries.query_all),
            *_of_version("GET", "/query/{locator}", queries.more),
            *_of_version("GET", "/queryAll/{locator}", queries.more),
            *_of_version("GET", "/sobjects", self._sobjects),
            *_of_version("GET", "/sobjects/{object}/describe", self._describe),
            *_of_version("GET", "/sobjects/{object}/deleted", queries.deleted),
            *_of_version("GET", "/sobjects/{object}/updated", queries.updated),
            *_of_version("POST", "/jobs/query", jobs.create),
            *_of_version("GET", "/jobs/query", jobs.everything),
            *_of_version("GET", "/jobs/query/{job}", jobs.look),
            *_of_version("PATCH", "/jobs/query/{job}", jobs.stop),
            *_of_version("DELETE", "/jobs/query/{job}", jobs.delete),
            *_of_version("GET", "/jobs/query/{job}/results", jobs.results),
            *self._writing(),
            *self._ingesting(),
        ]

    def _writing(self) -> Sequence[Route]:
        writes, one, many = self.writes, "/sobjects/{object}", "/composite/sobjects"
        return [
            *_of_version("POST", many, writes.insert_many),
            *_of_version("PATCH", many, writes.update_many),
            *_of_version("DELETE", many, writes.delete_many),
            *_of_version("GET", f"{many}/{{object}}", writes.read_many),
            *_of_version("POST", f"{many}/{{object}}", writes.read_many),
            *_of_version("PATCH", f"{many}/{{object}}/{{field}}", writes.upsert_many),
            *_of_version("POST", one, writes.insert_one),
            *_of_version("GET", f"{one}/{{record}}", writes.read_one),
            *_of_version("PATCH", f"{one}/{{record}}", writes.update_one),
            *_of_version("DELETE", f"{one}/{{record}}", writes.delete_one),
            *_of_version("GET", f"{one}/{{field}}/{{value}}", writes.read_by_key),
            *_of_version("PATCH", f"{one}/{{field}}/{{value}}", writes.upsert_one),
            *_of_version("POST", "/tooling/sobjects/CustomField", self.schema.create_field),
            *_of_version("DELETE", "/tooling/sobjects/CustomField/{field_id}", self.schema.delete_field),
        ]

    def _ingesting(self) -> Sequence[Route]:
        ingest, job = self.ingest, "/jobs/ingest/{job}"
        return [
            *_of_version("POST", "/jobs/ingest", ingest.create),
            *_of_version("GET", "/jobs/ingest", ingest.everything),
            *_of_version("PUT", f"{job}/batches", ingest.upload),
            *_of_version("GET", job, ingest.look),
            *_of_version("PATCH", job, ingest.change),
            *_of_version("DELETE", job, ingest.delete),
            *_of_version("GET", f"{job}/successfulResults", ingest.successful),
            *_of_version("GET", f"{job}/failedResults", ingest.failures),
            *_of_version("GET", f"{job}/unprocessedrecords", ingest.untried),
        ]

    def authenticate(self, call: Call) -> str:
        self.ingest.work_off()
        if "public" in call.route.tags:
            return ""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme not in ("Bearer", "OAuth") or self.tokens.state(token) != "valid":
            raise invalid_session()
        if call.strike.get("expire_token") is not None:
            self.tokens.expire_issued()
            raise invalid_session()
        user = self.token_endpoint.user(token)
        if user == NO_API:
            raise refusal(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner")
        _check_version(call.params.get("version"))
        return user

    def admit(self, call: Call) -> dict[str, str]:
        if "public" in call.route.tags:
            return {}
        if not self.requests.take():
            raise self.rate_limited(self.requests.wait, None)
        return {"Sforce-Limit-Info": f"api-usage={DAILY_REQUESTS - self.requests.remaining}/{DAILY_REQUESTS}"}

    def not_found(self, method: str, path: str) -> ApiError:
        del method, path
        return not_found()

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """The day's requests are used up, or too many long ones run; nothing says for how long to wait."""
        del seconds
        kind = "ConcurrentRequests (Concurrent API Requests)" if policy == "concurrent" else "TotalRequests"
        return refusal(403, "REQUEST_LIMIT_EXCEEDED", f"{kind} Limit exceeded.")

    def server_error(self, status: int) -> ApiError:
        if status == 503:
            return refusal(503, "SERVER_UNAVAILABLE", "We are down for maintenance. Please try again later.")
        return refusal(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "JSON_PARSER_ERROR", detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        where, what = problems[0]
        return refusal(400, "JSON_PARSER_ERROR", f"{what} at [{where}]")

    def empty(self, body: JsonObject) -> JsonObject:
        emptied = {key: [] if key in self.record_keys else value for key, value in body.items()}
        if "totalSize" in emptied:
            emptied |= {"totalSize": 0, "done": True}
            emptied.pop("nextRecordsUrl", None)
        return emptied

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "client_id": CLIENT_ID,
            "client_id_of_a_limited_user": LIMITED_CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "rotating_refresh_token": self.token_endpoint.rotating,
            "username": USERNAME,
            "private_key": app_key_pem(),
            "access_token": next(token for token, user in FIXED.items() if user == FULL),
        }

    def state(self) -> JsonObject:
        self.ingest.work_off()
        counts: JsonObject = {name: len(self._records.table(name)) for name in self.schema.objects}
        return counts | {"jobs": self.jobs.made, **people(self._records)}

    # What the org is

    def _visible(self, call: Call) -> Callable[[str], Sobject | None]:
        """What the caller may see of an object, by its name in any case."""
        return self.schema.visible_to(call.caller)

    def _versions(self, call: Call) -> Answer:
        del call
        return Answer(
            [
                {"label": f"Release {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
                for number in range(OLDEST_VERSION, NEWEST_VERSION + 1)
            ]
        )

    def _limits(self, call: Call) -> Answer:
        del call
        limits = {
            "DailyApiRequests": (DAILY_REQUESTS, self.requests.remaining),
            "DailyBulkApiBatches": (DAILY_BATCHES, DAILY_BATCHES - self.ingest.batches),
            "DailyBulkV2QueryFileStorageMB": (976_562, 976_562),
            "DailyBulkV2QueryJobs": (DAILY_QUERY_JOBS, DAILY_QUERY_JOBS - self.jobs.made),
        }
        return Answer({name: {"Max": most, "Remaining": left} for name, (most, left) in limits.items()})

    def _sobjects(self, call: Call) -> Answer:
        root = f"/services/data/{call.params['version']}"
        seen = [one for one in map(self._visible(call), self.schema.objects) if one is not None]
        return Answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [one.summary(root) for one in seen]})

    def _describe(self, call: Call) -> Answer:
        found = self._visible(call)(call.params["object"])
        if found is None:
            raise not_found()
        root = f"/services/data/{call.params['version']}"
        fields = [field.described() for field in found.fields]
        return Answer(found.summary(root) | {"fields": fields, "childRelationships": [], "recordTypeInfos": []})


def _of_version(method: str, path: str, handler: Callable[[Call], Answer]) -> list[Route]:
    return [route(method, f"/services/data/{{version}}{path}", handler)]


def _check_version(version: str | None) -> None:
    if version is None:
        return
    match = VERSION.fullmatch(version)
    if match is None or int(match.group(1)) > NEWEST_VERSION:
        raise not_found()
    if int(match.group(1)) < OLDEST_VERSION:
        raise refusal(410, "UNSUPPORTED_API_VERSION", "The requested API version has been retired")
