"""The account: its keys, scopes, revisions and refusals, and who answers which path."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import ClassVar

from millstream.sandbox.klaviyo.consent import Subscriptions
from millstream.sandbox.klaviyo.errors import invalid_many, problem, refusal
from millstream.sandbox.klaviyo.imports import Imports
from millstream.sandbox.klaviyo.limits import Limits
from millstream.sandbox.klaviyo.lists import Lists
from millstream.sandbox.klaviyo.profiles import Profiles
from millstream.sandbox.klaviyo.register import Register
from millstream.sandbox.klaviyo.suppressions import Deletions, Suppressions
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

KEY, KEY_READ, KEY_NO_LISTS = "pk_sandbox_klaviyo", "pk_sandbox_klaviyo_read", "pk_sandbox_klaviyo_no_lists"
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "sandbox-client", "sandbox-secret", "sandbox-refresh"
REVISIONS = (
    "2025-01-15", "2025-04-15", "2025-07-15", "2025-10-15", "2026-01-15", "2026-04-15", "2026-07-15",
)  # fmt: skip
MEDIA_TYPES = ("application/vnd.api+json", "application/json")
OPT_OUT = "x-klaviyo-revision-fall-forward-opt-out"
READS = ("accounts:read", "profiles:read", "lists:read", "subscriptions:read")
WRITES = ("profiles:write", "lists:write", "subscriptions:write", "data-privacy:write")
SCOPES = {
    KEY: frozenset((*READS, *WRITES)),
    KEY_READ: frozenset(READS),
    KEY_NO_LISTS: frozenset((*READS, "profiles:write")),
}
UNTOUCHED_SHOWN = 300


class Klaviyo(System):
    """One account."""

    name: ClassVar[str] = "klaviyo"
    title: ClassVar[str] = "Klaviyo"
    record_keys: ClassVar[tuple[str, ...]] = ("data",)

    def reset(self) -> None:
        self.tokens = Tokens(*SCOPES, expires_in=3600)
        self.later = Later()
        self._limits = Limits()
        self._register = Register(self.company)
        self._profiles = Profiles(self._register)
        self._lists = Lists(self._register, self._profiles)
        self.imports = Imports(self._register, self._lists, self.later)
        self._subscriptions = Subscriptions(self._register, self._lists, self.later)
        self._suppressions = Suppressions(self._register, self._lists, self.later)
        self._deletions = Deletions(self._register, self._lists, self.later)

    def routes(self) -> Sequence[Route]:
        return [
            route("POST", "/oauth/token", self._token, "public"),
            route("GET", "/api/accounts", self._accounts, "XS", "accounts:read"),
            *self._profile_routes(),
            *self._list_routes(),
            *self._job_routes(),
        ]

    def _profile_routes(self) -> list[Route]:
        profiles, one = self._profiles, "/api/profiles/{id}"
        return [
            route("GET", "/api/profiles", profiles.list_profiles, "L", "profiles:read"),
            route("POST", "/api/profiles", profiles.create_profile, "L", "profiles:write"),
            route("POST", "/api/profile-import", profiles.import_profile, "L", "profiles:write"),
            route("GET", one, profiles.get_profile, "L", "profiles:read"),
            route("PATCH", one, profiles.update_profile, "L", "profiles:write"),
            route("GET", f"{one}/lists", self._lists.lists_of, "S", "lists:read", "profiles:read"),
            route("GET", f"{one}/relationships/lists", self._lists.lists_of, "S", "lists:read", "profiles:read"),
        ]

    def _list_routes(self) -> list[Route]:
        lists, one = self._lists, "/api/lists/{id}"
        members, write = f"{one}/relationships/profiles", ("M", "lists:write", "profiles:write")
        return [
            route("GET", "/api/lists", lists.list_lists, "L", "lists:read"),
            route("POST", "/api/lists", lists.create_list, "M", "daily", "lists:write"),
            route("GET", one, lists.get_list, "L", "lists:read"),
            route("PATCH", one, lists.update_list, "M", "lists:write"),
            route("DELETE", one, lists.delete_list, "M", "lists:write"),
            route("GET", f"{one}/profiles", lists.list_members, "L", "lists:read", "profiles:read"),
            route("GET", members, lists.list_member_ids, "L", "lists:read", "profiles:read"),
            route("POST", members, lists.add_members, *write),
            route("DELETE", members, lists.remove_members, *write),
        ]

    def _job_routes(self) -> list[Route]:
        imports, jobs = self.imports, "/api/profile-bulk-import-jobs"
        consent = ("L", "lists:write", "profiles:write", "subscriptions:write")
        suppress, release = "/api/profile-suppression-bulk-create-jobs", "/api/profile-suppression-bulk-delete-jobs"
        return [
            route("GET", jobs, imports.list_jobs, "M", "lists:read", "profiles:read"),
            route("POST", jobs, imports.create, "M", "lists:write", "profiles:write"),
            route("GET", f"{jobs}/{{id}}", imports.get, "M", "lists:read", "profiles:read"),
            route("GET", f"{jobs}/{{id}}/import-errors", imports.errors, "M", "profiles:read"),
            route("GET", f"{jobs}/{{id}}/profiles", imports.profiles, "M", "profiles:read"),
            route("GET", f"{jobs}/{{id}}/relationships/profiles", imports.profiles, "M", "profiles:read"),
            route("GET", f"{jobs}/{{id}}/relationships/lists", imports.lists, "M", "lists:read"),
            route("POST", "/api/profile-subscription-bulk-create-jobs", self._subscriptions.subscribe, *consent),
            route("POST", "/api/profile-subscription-bulk-delete-jobs", self._subscriptions.unsubscribe, *consent),
            route("POST", suppress, self._suppressions.create, "L", "profiles:write", "subscriptions:write"),
            route("GET", f"{suppress}/{{id}}", self._suppressions.get, "L", "subscriptions:read"),
            route("POST", release, self._suppressions.create, "L", "subscriptions:write"),
            route("GET", f"{release}/{{id}}", self._suppressions.get, "L", "subscriptions:read"),
            route("POST", "/api/data-privacy-deletion-jobs", self._deletions.create, "S", "data-privacy:write"),
        ]

    # Who may do what

    def authenticate(self, call: Call) -> str:
        self.later.work_off()
        if "public" in call.route.tags:
            return ""
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        is_app = scheme.lower() == "bearer"
        fits = is_app != (key in SCOPES) and scheme.lower() in {"bearer", "klaviyo-api-key"}
        if not fits or self.tokens.state(key) != "valid" or call.strike.get("expire_token") is not None:
            wrong = "Incorrect authentication credentials."
            code = "authentication_failed" if key else "not_authenticated"
            raise refusal([problem(401, code, wrong, wrong, "/data/")])
        missing = {tag for tag in call.route.tags if ":" in tag} - SCOPES.get(key, SCOPES[KEY])
        if missing:
            title = "You do not have permission to perform this action."
            detail = f"The key lacks a scope: {', '.join(sorted(missing))}."
            raise refusal([problem(403, "permission_denied", title, detail, "/data/")])
        self._check_revision(call)
        self._check_media_type(call)
        return f"{'app' if is_app else 'key'}:{key}"

    @staticmethod
    def _check_revision(call: Call) -> None:
        revision = call.headers.get("revision", "")
        if revision.partition(".")[0] in REVISIONS:
            return
        is_date = re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.\w+)?", revision) is not None
        if is_date and revision < REVISIONS[0]:
            # A retired revision is answered like the oldest one that lives, unless the client does not want that.
            if call.headers.get(OPT_OUT) == "1":
                raise refusal([problem(410, "gone", "Gone.", f"Revision {revision} has been retired.", "/data/")])
            return
        detail = f"'{revision}' is not a valid revision." if revision else "The header 'revision' is required."
        raise refusal([problem(400, "invalid", "Invalid revision.", detail, "/data/")])

    @staticmethod
    def _check_media_type(call: Call) -> None:
        media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if call.body and media_type not in MEDIA_TYPES:
            detail = f"Unsupported media type '{media_type}' in request."
            raise refusal([problem(415, "unsupported_media_type", "Unsupported media type.", detail)])

    def admit(self, call: Call) -> dict[str, str]:
        headers, wait = self._limits.take(call)
        if wait is not None:
            raise self.rate_limited(wait, None)
        return headers

    # Refusals

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal([problem(404, "not_found", "Not found.", f"There is no {method} {path}.")])

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        whole = math.ceil(seconds)
        title = "Request was throttled."
        entry = problem(429, "throttled", title, f"{title} Expected available in {whole} seconds.")
        return refusal([entry], {"Retry-After": str(whole)})

    def server_error(self, status: int) -> ApiError:
        return refusal([problem(status, "error", "A server error occurred.", "A server error occurred.", "/data/")])

    def malformed_json(self, detail: str) -> ApiError:
        return refusal([problem(400, "parse_error", "Malformed request.", f"JSON parse error: {detail}")])

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return invalid_many([_pointed(where, what) for where, what in problems])

    def empty(self, body: JsonObject) -> JsonObject:
        if not isinstance(body.get("data"), list):
            return body
        given = body.get("links")
        return {**body, "data": [], "links": {**(given if isinstance(given, dict) else {}), "next": None}}

    # What tests see

    def state(self) -> JsonObject:
        self.later.work_off()
        audiences: dict[int, list[str]] = {}
        for one in self._lists.all.values():
            for index in one.members().tolist():
                audiences.setdefault(index, []).append(one.name)
        indexes = {*self._register.kept, *audiences, *self._register.first[:UNTOUCHED_SHOWN].tolist()}
        people = [
            {
                "match": {
                    "email": profile.identifiers.get("email"),
                    "external_id": profile.identifiers.get("external_id"),
                    "phone": profile.identifiers.get("phone_number"),
                },
                "id": profile.profile_id,
                "standing": profile.standing,
                "sms": profile.sms_consent.state.lower(),
                "fields": {**profile.fields, **profile.location, **profile.properties},
                "audiences": audiences.get(profile.index, []),
                "written": profile.written,
            }
            for profile in self._register.profiles(sorted(indexes))
        ]
        return {"people": people, "audiences": {one.list_id: one.name for one in self._lists.all.values()}}

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "api_key": KEY,
            "api_key_that_only_reads": KEY_READ,
            "api_key_without_lists": KEY_NO_LISTS,
            "revision": REVISIONS[-1],
            "token_url": f"{base_url}/oauth/token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
        }

    # Endpoints of the account itself

    def _token(self, call: Call) -> Answer:
        form, client = call.form(), _basic(call.headers.get("authorization", ""))
        if client != f"{CLIENT_ID}:{CLIENT_SECRET}":
            return Answer({"error": "invalid_client"}, 401)
        if form.get("grant_type") != "refresh_token":
            return Answer({"error": "unsupported_grant_type"}, 400)
        if form.get("refresh_token") != REFRESH_TOKEN:
            return Answer({"error": "invalid_grant"}, 400)
        return Answer(
            {
                "access_token": self.tokens.issue("sandbox-klaviyo"),
                "token_type": "Bearer",
                "expires_in": int(self.tokens.expires_in),
                "refresh_token": REFRESH_TOKEN,
                "scope": " ".join(sorted(SCOPES[KEY])),
            }
        )

    def _accounts(self, call: Call) -> Answer:
        own = f"{call.base_url}/api/accounts/SaNdBx"
        contact = {"organization_name": "Example Shop", "default_sender_email": "news@shop.box.example"}
        attributes = {
            "test_account": True,
            "contact_information": contact,
            "industry": "Ecommerce",
            "timezone": "UTC",
            "preferred_currency": "EUR",
            "public_api_key": "SaNdBx",
            "locale": "en-US",
        }
        account = {"type": "account", "id": "SaNdBx", "attributes": attributes, "links": {"self": own}}
        return Answer({"data": [account], "links": {"self": f"{call.base_url}/api/accounts", "next": None}})


def _pointed(where: str, what: str) -> tuple[str, str]:
    parts = where.split(".") if where else []
    if what.startswith("Extra inputs"):
        kind = "profile" if "profiles" in parts or parts[:2] == ["data", "attributes"] else "request"
        what = f"'{parts[-1]}' is not a valid field for the resource '{kind}'."
    return "/" + "/".join(parts), what


def _basic(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
