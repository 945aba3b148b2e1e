"""The project: its passcodes, region and refusals, and who answers which path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from millstream.sandbox.clevertap.consent import Consent
from millstream.sandbox.clevertap.errors import refusal
from millstream.sandbox.clevertap.people import Profile, index_of
from millstream.sandbox.clevertap.register import Register
from millstream.sandbox.clevertap.segments import Segments
from millstream.sandbox.clevertap.uploads import Uploads
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens

ACCOUNT, PASSCODE = "SBX-123-456Z", "sandbox-clevertap"
PASSCODE_NO_SEGMENTS = "sandbox-clevertap-no-segments"
REGION, OTHER_REGIONS = "eu1", ("in1", "us1", "sg1", "aps3", "mec1")
PARALLEL = 15
UNTOUCHED_SHOWN = 300


class CleverTap(System):
    """One project, in Europe."""

    name: ClassVar[str] = "clevertap"
    title: ClassVar[str] = "CleverTap"
    record_keys: ClassVar[tuple[str, ...]] = ("unprocessed",)

    def reset(self) -> None:
        self.tokens = Tokens(PASSCODE, PASSCODE_NO_SEGMENTS)
        self.later = Later()
        self._register = Register(self.company)
        self._segments = Segments(self._register, self.later)
        self._uploads = Uploads(self._register, self._segments)
        self._consent = Consent(self._register, self._segments, self.later)

    def routes(self) -> Sequence[Route]:
        segments = self._segments
        table: list[tuple[str, str, Callable[[Call], Answer], str]] = [
            ("POST", "/1/upload", self._uploads.upload, ""),
            ("GET", "/1/profile.json", self._profile, ""),
            ("POST", "/1/subscribe", self._consent.subscribe, ""),
            ("POST", "/1/disassociate", self._consent.disassociate, ""),
            ("POST", "/1/delete/profiles.json", self._consent.delete, ""),
            ("POST", "/api/createSegment", segments.create, "segments"),
            ("POST", "/api/updateSegment", segments.update, "segments"),
            ("POST", "/get_custom_list_segment_url", segments.place, ""),
            ("POST", "/upload_custom_list_segment_completed", segments.finish, ""),
        ]
        # Each region has its own host; here it has its own path, and the project's region needs none.
        places = ["", f"/{REGION}", *(f"/{region}" for region in OTHER_REGIONS)]
        return [
            *(
                route(method, f"{place}{path}", handler, *filter(None, (tag, place.strip("/"))))
                for place in places
                for method, path, handler, tag in table
            ),
            route("PUT", "/custom-lists/{key}", segments.put_file, "public"),
        ]

    def authenticate(self, call: Call) -> str:
        self.later.work_off()
        if "public" in call.route.tags:
            return ""
        account = call.headers.get("x-clevertap-account-id", "")
        passcode = call.headers.get("x-clevertap-passcode", "")
        known = account == ACCOUNT and self.tokens.state(passcode) == "valid"
        if not known or call.route.tags & set(OTHER_REGIONS) or call.strike.get("expire_token") is not None:
            raise refusal(401, "Unauthorized: the credentials or the region's URL are not valid.")
        if "segments" in call.route.tags and passcode == PASSCODE_NO_SEGMENTS:
            raise refusal(403, "API segments are not enabled for this account.")
        return account

    def admit(self, call: Call) -> dict[str, str]:
        if "public" not in call.route.tags and self.in_flight > PARALLEL:
            raise self.rate_limited(0, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, f"There is no {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Without any header: the vendor counts what is under way, not time."""
        del seconds, policy
        return refusal(429, "Too many concurrent requests")

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "Internal server error")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, f"Malformed request: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, "; ".join(f"{where}: {what}" for where, what in problems))

    def empty(self, body: JsonObject) -> JsonObject:
        return {**body, "record": {}} if "record" in body else body

    def _profile(self, call: Call) -> Answer:
        """One profile, by whatever names it; who is not there has an empty record."""
        query = call.query
        if len({"email", "identity", "objectId"} & query.keys()) != 1:
            raise refusal(400, "One of email, identity and objectId is needed.")
        if "email" in query:
            found = self._register.by_email(query["email"])
        elif "identity" in query:
            identity = query["identity"]
            found = self._register.by_identity(identity)
            found = found or (self._register.by_email(identity) if "@" in identity else None)
        else:
            found = self._register.get(index_of(query["objectId"]))
        return Answer({"status": "success", "record": {} if found is None else _shape(found)})

    def state(self) -> JsonObject:
        self.later.work_off()
        audiences: dict[int, list[str]] = {}
        for segment in self._segments.all.values():
            for index in segment.members:
                audiences.setdefault(index, []).append(segment.name)
        indexes = {*self._register.kept, *audiences, *self._register.first[:UNTOUCHED_SHOWN].tolist()}
        people = [
            {
                "match": {
                    "email": profile.email,
                    "external_id": next((one for one in profile.identities if one[:1] != "+" and "@" not in one), None),
                    "phone": profile.phone,
                },
                "id": profile.object_id,
                "identities": profile.identities,
                "standing": self._register.standing(profile),
                "fields": profile.data,
                "events": {name: len(times) for name, times in profile.events.items()},
                "audiences": audiences.get(profile.index, []),
                "written": profile.written,
            }
            for profile in self._register.profiles(sorted(indexes))
        ]
        names = {str(one.segment_id): one.name for one in self._segments.all.values()}
        return {"people": people, "audiences": names, "error_stream": self._segments.error_stream}

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": base_url,
            "account_id": ACCOUNT,
            "passcode": PASSCODE,
            "passcode_without_segments": PASSCODE_NO_SEGMENTS,
            "region": REGION,
        }


def _shape(profile: Profile) -> JsonObject:
    system = {"Name": "name", "Email": "email", "Phone": "phone"}
    return {
        "objectId": profile.object_id,
        "identity": profile.identities[0] if profile.identities else None,
        **{shown: profile.data[name] for name, shown in system.items() if name in profile.data},
        "profileData": {name: value for name, value in profile.data.items() if name not in system},
        "events": {
            name: {"count": len(times), "first_seen": min(times), "last_seen": max(times)}
            for name, times in profile.events.items()
        },
        "platformInfo": [{"platform": "Web", "objectId": profile.object_id}],
    }
