"""What can be read back: profiles by id, whole segments as files, segments and custom attributes."""

from __future__ import annotations

import base64
import binascii
import io
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from millstream.sandbox.braze.attributes import Attributes
from millstream.sandbox.braze.errors import bad
from millstream.sandbox.braze.profiles import Profile, Profiles
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

MOST_USERS = 50
ATTRIBUTES_A_PAGE, SEGMENTS_A_PAGE = 50, 100
FIELD_NAMES = (
    "apps attributed_campaign attributed_source attributed_adgroup attributed_ad braze_id country created_at "
    "custom_attributes custom_events devices dob email external_id first_name gender home_city language "
    "last_coordinates last_name phone purchases random_bucket time_zone total_revenue uninstalled_at user_aliases "
    "email_subscribe push_subscribe email_opted_in_at email_unsubscribed_at email_hard_bounced_at push_tokens sessions "
    "campaigns_received canvases_received cards_clicked"
)
FIELDS = frozenset(FIELD_NAMES.split())


@dataclass(slots=True)
class Segment:
    """A segment, as somebody made it in the dashboard."""

    segment_id: str
    name: str
    holds: Callable[[Profile], bool]


@dataclass(slots=True)
class SegmentExport:
    """One export of a segment, which is a file once its time has come."""

    segment: Segment
    fields: list[str]
    attributes: list[str]
    started: float


class Exports:
    """Handlers for reading.

    Attributes:
        seconds: How long the export of a segment takes; tests may change it.
        segments: The segments by id; tests may add some.
    """

    def __init__(self, profiles: Profiles, attributes: Attributes) -> None:
        self._profiles = profiles
        self._attributes = attributes
        self.reset()

    def reset(self) -> None:
        """Back to the segments of the start, with no export."""
        self._exports: dict[str, SegmentExport] = {}
        self.seconds = 0.3
        self.segments: dict[str, Segment] = {}
        self.define("5e9f0000-0000-4000-8000-000000000001", "Everybody", _is_anybody)
        self.define("5e9f0000-0000-4000-8000-000000000002", "Very important", _is_vip)

    def define(self, segment_id: str, name: str, holds: Callable[[Profile], bool]) -> None:
        """Make a segment, as the dashboard does and the API cannot."""
        self.segments[segment_id] = Segment(segment_id, name, holds)

    def routes(self) -> list[Route]:
        """The endpoints for reading."""
        return [
            route("POST", "/users/export/ids", self.export_ids, "users.export.ids"),
            route("POST", "/users/export/segment", self.export_segment, "users.export.segment"),
            route("GET", "/exports/{export_id}.zip", self.download, "public"),
            route("GET", "/segments/list", self.list_segments, "segments.list"),
            route("GET", "/custom_attributes", self.list_attributes, "custom_attributes.get"),
        ]

    # Profiles

    def export_ids(self, call: Call) -> Answer:
        """Profiles by id or alias, or of one address, number or profile id."""
        body = call.json()
        if not isinstance(body, dict):
            raise bad("The body must be an object")
        fields = _checked_fields(body.get("fields_to_export"), needed=False)
        found, unknown = self._named(body)
        answer: JsonObject = {"message": "success", "users": [_row(one, fields) for one in found]}
        return Answer({**answer, "invalid_user_ids": unknown} if unknown else answer, 201)

    def _named(self, body: JsonObject) -> tuple[list[Profile], list[object]]:
        found: list[Profile] = []
        unknown: list[object] = []
        ids, aliases = body.get("external_ids") or [], body.get("user_aliases") or []
        if not isinstance(ids, list) or not isinstance(aliases, list):
            raise bad("'external_ids' and 'user_aliases' must be arrays")
        if len(ids) > MOST_USERS or len(aliases) > MOST_USERS:
            raise bad(f"Max input length exceeded: at most {MOST_USERS} users may be given")
        for value in ids:
            one = self._profiles.by_external_id(str(value))
            found, unknown = ([*found, one], unknown) if one is not None else (found, [*unknown, value])
        for alias in aliases:
            if not isinstance(alias, dict) or not {"alias_name", "alias_label"} <= alias.keys():
                raise bad("Each of 'user_aliases' needs alias_name and alias_label")
            one = self._profiles.by_alias(alias["alias_label"], alias["alias_name"])
            found, unknown = ([*found, one], unknown) if one is not None else (found, [*unknown, alias])
        email, phone, braze_id = (body.get(name) for name in ("email_address", "phone", "braze_id"))
        if not ids and not aliases and email is None and phone is None and braze_id is None:
            raise bad("One of external_ids, user_aliases, braze_id, email_address, phone is required")
        found += self._profiles.all_by_email(str(email)) if email is not None else []
        found += self._profiles.all_by_phone(str(phone)) if phone is not None else []
        one = self._profiles.by_braze_id(str(braze_id)) if braze_id is not None else None
        found += [] if one is None else [one]
        return found, unknown

    # Segments

    def list_segments(self, call: Call) -> Answer:
        """The segments, a hundred a page."""
        page = call.query.get("page", "0")
        if not (page.isascii() and page.isdigit()):
            raise bad("'page' must be a number")
        rows: list[JsonObject] = [
            {"id": one.segment_id, "name": one.name, "analytics_tracking_enabled": False, "tags": []}
            for one in self.segments.values()
        ]
        if call.query.get("sort_direction") == "desc":
            rows.reverse()
        start = int(page) * SEGMENTS_A_PAGE
        return Answer({"message": "success", "segments": rows[start : start + SEGMENTS_A_PAGE]})

    def export_segment(self, call: Call) -> Answer:
        """Have a segment written to a file; the answer says where it will be."""
        body = call.json()
        if not isinstance(body, dict):
            raise bad("The body must be an object")
        segment = self.segments.get(str(body.get("segment_id")))
        if segment is None:
            raise bad("'segment_id' is not a segment of the workspace")
        fields = _checked_fields(body.get("fields_to_export"), needed=True)
        named = body.get("custom_attributes_to_export") or []
        if not isinstance(named, list):
            raise bad("'custom_attributes_to_export' must be an array")
        for other in self._exports.values():
            if other.segment.segment_id == segment.segment_id and not self._is_ready(other):
                raise bad("An export of this segment is already running")
        export_id = str(uuid.uuid4())
        self._exports[export_id] = SegmentExport(segment, fields, [str(one) for one in named], time.monotonic())
        prefix = f"segment-export/{segment.segment_id}/{datetime.now(UTC).date()}/{export_id}"
        return Answer(
            {"message": "success", "object_prefix": prefix, "url": f"{call.base_url}/exports/{export_id}.zip"}, 201
        )

    def download(self, call: Call) -> Answer:
        """The file of an export, a profile a line. It is nowhere before it is ready."""
        export = self._exports.get(call.params["export_id"])
        if export is None or not self._is_ready(export):
            return Answer(b"<Error><Code>NoSuchKey</Code></Error>", 404, {}, "application/xml")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            found = [one for one in self._profiles.everybody() if export.segment.holds(one)]
            lines = b"".join(
                orjson.dumps(_row(one, export.fields, export.attributes), option=orjson.OPT_APPEND_NEWLINE)
                for one in found
            )
            archive.writestr(f"{call.params['export_id']}.txt", lines)
        return Answer(packed.getvalue(), 200, {}, "application/zip")

    def _is_ready(self, export: SegmentExport) -> bool:
        return time.monotonic() - export.started >= self.seconds

    # Custom attributes

    def list_attributes(self, call: Call) -> Answer:
        """The custom attributes by name; the next page stands in the header `Link`."""
        start = _place(call.query.get("cursor"))
        names = sorted(self._attributes.catalogue)
        end = start + call.page_limit(ATTRIBUTES_A_PAGE)
        rows: list[JsonObject] = [
            {"array_length": 500 if one.kind == "Array" else None, "data_type": one.kind, "description": "",
             "name": one.name, "status": one.status, "tag_names": []}
            for one in (self._attributes.catalogue[name] for name in names[start:end])
        ]  # fmt: skip
        headers = {}
        if end < len(names):
            cursor = base64.urlsafe_b64encode(f"skip:{end}".encode()).decode().rstrip("=")
            headers["Link"] = f'<{call.base_url}/custom_attributes?cursor={cursor}>; rel="next"'
        return Answer({"message": "success", "attributes": rows}, 200, headers)


def _is_anybody(profile: Profile) -> bool:
    del profile
    return True


def _is_vip(profile: Profile) -> bool:
    return profile.custom.get("vip") is True


def _checked_fields(given: object, *, needed: bool) -> list[str]:
    if given is None and not needed:
        return sorted(FIELDS)
    if not isinstance(given, list) or (needed and not given):
        raise bad("'fields_to_export' must be an array of field names")
    unknown = [name for name in given if str(name) not in FIELDS]
    if unknown:
        raise bad(f"'fields_to_export' holds what is no field: {', '.join(map(str, unknown))}")
    return [str(name) for name in given]


def _row(profile: Profile, fields: list[str], attributes: list[str] | None = None) -> JsonObject:
    """A profile, with only those fields that have a value."""
    whole: JsonObject = {
        **profile.standard,
        "braze_id": profile.braze_id,
        "external_id": profile.external_id,
        "created_at": _moment(profile.created_ms),
        "user_aliases": [{"alias_label": label, "alias_name": name} for label, name in profile.aliases.items()],
        "custom_attributes": profile.custom,
        "custom_events": [{"name": name, "count": count} for name, count in profile.events.items()],
        "purchases": [{"name": name, "count": count} for name, count in profile.purchases.items()],
        "push_subscribe": profile.push_state,
        "email_subscribe": profile.email_state if profile.email else None,
        "email_unsubscribed_at": _moment(profile.unsubscribed_ms),
        "email_hard_bounced_at": _moment(profile.unsubscribed_ms) if profile.bounced else None,
    }
    chosen = {name: whole[name] for name in fields if whole.get(name)}
    if attributes and "custom_attributes" not in chosen:
        chosen["custom_attributes"] = {name: profile.custom[name] for name in attributes if name in profile.custom}
    return chosen


def _moment(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        word, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        return int(place) if word == "skip" else 0
    except (binascii.Error, ValueError) as error:
        raise bad("'cursor' is not valid") from error
