"""The account: tokens, scopes, limits, and who answers which path."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from typing import ClassVar

from millstream.sandbox.limits import Window
from millstream.sandbox.qualtrics.directory import Directory
from millstream.sandbox.qualtrics.envelope import check_query, page, refusal, result
from millstream.sandbox.qualtrics.exports import Exports
from millstream.sandbox.qualtrics.surveys import ORGANIZATION_ID, OWNER_ID, SURVEYS, find_survey
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

API_TOKEN, API_TOKEN_SURVEYS = "sandbox-qualtrics", "sandbox-qualtrics-surveys"
CLIENT_ID, CLIENT_SECRET = "sandbox-client", "sandbox-secret"
SCOPES = (
    "read:surveys", "read:survey_responses", "read:directories", "read:directory_contacts", "read:mailing_lists",
    "read:mailing_list_contacts", "read:distributions", "read:users",
)  # fmt: skip
"""Scopes by the vendor's scheme; `manage:all` holds them all."""
TOKEN_SECONDS = 3600
REQUESTS_A_MINUTE, EXPORTS_A_MINUTE, EXPORTS_AT_ONCE = 3000, 15, 20


class Qualtrics(System):
    """One brand with one directory."""

    name: ClassVar[str] = "qualtrics"
    title: ClassVar[str] = "Qualtrics"
    record_keys: ClassVar[tuple[str, ...]] = ("elements",)

    def reset(self) -> None:
        self.tokens = Tokens(expires_in=TOKEN_SECONDS)
        self._scopes: dict[str, frozenset[str]] = {}
        self._minute = Window(REQUESTS_A_MINUTE, 60)
        self._starts = Window(EXPORTS_A_MINUTE, 60)
        self._exports = Exports(self.company)
        self._directory = Directory(self.company, self._exports)

    def routes(self) -> Sequence[Route]:
        exports, directory = self._exports, self._directory
        one, members = "/directories/{directory_id}", "/directories/{directory_id}/mailinglists/{list_id}/contacts"
        jobs = "/surveys/{survey_id}/export-responses"
        listed = [
            ("GET", "/whoami", self._whoami, ()),
            ("GET", "/surveys", self._surveys, ("read:surveys",)),
            ("GET", "/surveys/{survey_id}", self._survey, ("read:surveys",)),
            ("GET", "/survey-definitions/{survey_id}", self._definition, ("read:surveys",)),
            ("POST", jobs, exports.start, ("read:survey_responses", "start")),
            ("GET", f"{jobs}/{{progress_id}}", exports.progress, ("read:survey_responses",)),
            ("GET", f"{jobs}/{{file_id}}/file", exports.file, ("read:survey_responses",)),
            ("GET", "/surveys/{survey_id}/responses/{response_id}", exports.one, ("read:survey_responses",)),
            ("GET", "/directories", directory.directories, ("read:directories",)),
            ("GET", f"{one}/contacts", directory.listing, ("read:directory_contacts",)),
            ("GET", f"{one}/contacts/optedOutContacts", directory.opted_out, ("read:directory_contacts",)),
            ("GET", f"{one}/contacts/bouncedContacts", directory.bounced, ("read:directory_contacts",)),
            ("GET", f"{one}/contacts/{{contact_id}}", directory.one, ("read:directory_contacts",)),
            ("GET", f"{one}/mailinglists", directory.lists, ("read:mailing_lists",)),
            ("GET", members, directory.members, ("read:mailing_list_contacts",)),
            ("GET", f"{members}/optedOutContacts", directory.members_opted_out, ("read:mailing_list_contacts",)),
            ("GET", "/distributions", directory.distributions, ("read:distributions",)),
            ("GET", "/distributions/{distribution_id}/history", directory.history, ("read:distributions",)),
        ]
        api = [route(method, f"/API/v3{path}", handler, *tags) for method, path, handler, tags in listed]
        return [route("POST", "/oauth2/token", self._token, "public"), *api]

    def authenticate(self, call: Call) -> str:
        if "public" in call.route.tags:
            return ""
        needed = {tag for tag in call.route.tags if ":" in tag}
        scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._check_bearer(call, bearer, needed)
        token = call.headers.get("x-api-token", "")
        if token not in (API_TOKEN, API_TOKEN_SURVEYS) or call.strike.get("expire_token") is not None:
            raise refusal(401, "AUTH_6.0", "The X-API-TOKEN is missing or unrecognized.")
        if token == API_TOKEN_SURVEYS and not needed <= {"read:surveys", "read:survey_responses"}:
            raise refusal(403, "AUTH_9.0", "The user of this token lacks the permission for XM Directory.")
        return token

    def _check_bearer(self, call: Call, bearer: str, needed: set[str]) -> str:
        if self.tokens.state(bearer) != "valid" or call.strike.get("expire_token") is not None:
            raise refusal(401, "AUTH_7.0", "The OAuth token is invalid or has expired.")
        held = self._scopes[bearer]
        if "manage:all" not in held and not needed <= held:
            raise refusal(403, "AUTH_8.0", f"The OAuth token lacks the scope {' '.join(sorted(needed - held))}.")
        return bearer

    def admit(self, call: Call) -> dict[str, str]:
        if not self._minute.take():
            raise self.rate_limited(self._minute.wait, None)
        if "start" in call.route.tags:
            if self._exports.running >= EXPORTS_AT_ONCE:
                raise self.rate_limited(1, None)
            if not self._starts.take():
                raise self.rate_limited(self._starts.wait, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, "RP_1.1", f"There is no {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        waits = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return refusal(429, "QUAL_429", "Too many requests.", waits)

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "ISE_1", "An internal server error occurred.")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, "RP_0.3", f"The body is not JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        where, what = problems[0]
        return refusal(400, "RP_0.1", f"Invalid parameter '{where}': {what}")

    def empty(self, body: JsonObject) -> JsonObject:
        found = body.get("result")
        if not isinstance(found, dict) or "elements" not in found:
            return body
        return {**body, "result": {**found, "elements": [], "nextPage": None}}

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "api_token": API_TOKEN,
            "api_token_for_surveys_only": API_TOKEN_SURVEYS,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scopes": " ".join(SCOPES),
        }

    def state(self) -> JsonObject:
        return {
            "contacts": len(self._directory.contacts),
            "responses": {survey.survey_id: len(self._exports.of(survey)) for survey in SURVEYS},
        }

    # Handlers

    def _token(self, call: Call) -> Answer:
        """Client credentials for a token with some scopes. OAuth's answers have no envelope."""
        check_query(call)
        if _basic(call) != (CLIENT_ID, CLIENT_SECRET):
            raise ApiError(401, {"error": "invalid_client"})
        form = call.form()
        if form.get("grant_type") != "client_credentials":
            raise ApiError(400, {"error": "unsupported_grant_type"})
        asked = frozenset(form.get("scope", "").split())
        if not asked or asked - {*SCOPES, "manage:all"}:
            raise ApiError(400, {"error": "invalid_scope"})
        token = self.tokens.issue("qualtrics")
        self._scopes[token] = asked
        return Answer(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(self.tokens.expires_in),
                "scope": " ".join(sorted(asked)),
            }
        )

    def _whoami(self, call: Call) -> Answer:
        check_query(call)
        return result(
            {
                "brandId": ORGANIZATION_ID,
                "userId": OWNER_ID,
                "userName": "owner@shop.box.example",
                "firstName": "Sandbox",
                "lastName": "Owner",
                "email": "owner@shop.box.example",
                "accountType": "UT_BRANDADMIN",
            }
        )

    def _surveys(self, call: Call) -> Answer:
        check_query(call, "pageSize", "skipToken")
        today = self.company.today_ms
        return page(call, SURVEYS, lambda survey: survey.survey_id, lambda survey: survey.element(today))

    def _survey(self, call: Call) -> Answer:
        check_query(call)
        survey = find_survey(call.params["survey_id"])
        return result(survey.metadata(self.company.today_ms, len(self._exports.of(survey))))

    def _definition(self, call: Call) -> Answer:
        check_query(call)
        return result(find_survey(call.params["survey_id"]).definition(self.company.today_ms))


def _basic(call: Call) -> tuple[str, str]:
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
