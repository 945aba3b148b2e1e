"""Audiences: segments that the API fills member by member, and custom lists that come as a file."""

from __future__ import annotations

import csv
import io
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.clevertap.errors import failed, refusal
from millstream.sandbox.clevertap.people import SEGMENTS, Profile, index_of
from millstream.sandbox.clevertap.register import Register
from millstream.sandbox.draws import bases_of, cut, draw, share
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, ApiError, Call

FIRST_SEGMENT_ID = 1_700_000_000
URL_SECONDS = 24 * 3600
VIP_CUT = cut(0.15)
_NAME = re.compile(r"[A-Za-z0-9 ]{1,100}")


class NewSegment(BaseModel):
    """One entry of `POST /api/createSegment`."""

    model_config = ConfigDict(extra="forbid")

    segment_name: str
    customer_segment_id: Annotated[str, Field(min_length=1)]


class NewSegments(BaseModel):
    """Body of `POST /api/createSegment`, which is a bare list."""

    entries: Annotated[list[NewSegment], Field(min_length=1)]


class Who(BaseModel):
    """Whom a change is about."""

    identity: str | None = None
    guid: str | None = None


class SegmentChange(BaseModel):
    """A segment, and whether to be put into it or out of it."""

    ct_segment_id: int | str | None = None
    customer_segment_id: str | None = None
    action: str


class Change(BaseModel):
    """Changes of some people."""

    user_profiles: list[Who]
    segments: list[SegmentChange]


class Changes(BaseModel):
    """Body of `POST /api/updateSegment`."""

    bulk_profiles: Annotated[list[Change], Field(min_length=1)]


class Uploaded(BaseModel):
    """Body of `POST /upload_custom_list_segment_completed`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    email: str
    filename: str
    creator: str
    url: str
    replace: bool = False


@dataclass(slots=True)
class Segment:
    """One segment; `customer_id` only where the API may change it."""

    segment_id: int
    name: str
    customer_id: str | None = None
    members: set[int] = field(default_factory=set)


@dataclass(slots=True)
class File:
    """A place for a file, and the file once it is there."""

    issued: float
    content: bytes | None = None


class Segments:
    """All segments.

    Attributes:
        error_stream: What was skipped, which only the dashboard shows.
    """

    def __init__(self, register: Register, later: Later) -> None:
        self._register = register
        self._later = later
        self._files: dict[str, File] = {}
        self.error_stream: list[dict[str, object]] = []
        company = register.company
        bits = draw(bases_of(company.key, register.first.astype("uint64")), SEGMENTS)
        vip = set(register.first[share(bits, 0) < VIP_CUT].tolist())
        self.all = {FIRST_SEGMENT_ID: Segment(FIRST_SEGMENT_ID, "VIP", "SEG-VIP", vip)}

    def move(self, old: int, new: int) -> None:
        """Put a profile into the places of another one that it was merged with."""
        for segment in self.all.values():
            if old in segment.members:
                segment.members.discard(old)
                segment.members.add(new)

    def drop_everywhere(self, index: int) -> None:
        """Take a profile out of all segments."""
        for segment in self.all.values():
            segment.members.discard(index)

    def named(self, name: str) -> Segment | None:
        """The segment of this name."""
        return next((one for one in self.all.values() if one.name == name), None)

    def _add(self, name: str, customer_id: str | None) -> Segment:
        segment = Segment(max(self.all) + 1, name, customer_id)
        self.all[segment.segment_id] = segment
        return segment

    # Segments of the API

    def create(self, call: Call) -> Answer:
        """New segments, all or none."""
        given = call.checked(NewSegments, {"entries": call.json()}).entries
        taken = {one.name for one in self.all.values()}, {one.customer_id for one in self.all.values()}
        for entry in given:
            if not _NAME.fullmatch(entry.segment_name):
                raise refusal(400, f"The segment name '{entry.segment_name}' has special characters.")
            if entry.segment_name in taken[0] or entry.customer_segment_id in taken[1]:
                raise refusal(409, f"The segment '{entry.segment_name}' exists already.")
            taken[0].add(entry.segment_name)
            taken[1].add(entry.customer_segment_id)
        made = [self._add(entry.segment_name, entry.customer_segment_id) for entry in given]
        rows = [
            {"segment_name": one.name, "customer_segment_id": one.customer_id, "ct_segment_id": one.segment_id}
            for one in made
        ]
        return Answer({"status": "success", "segments": rows})

    def update(self, call: Call) -> Answer:
        """Put people into segments and out of them. What cannot be done is skipped, and the answer does not say so."""
        for change in call.body_as(Changes).bulk_profiles:
            for who in change.user_profiles:
                for wanted in change.segments:
                    self._change(call, who, wanted)
        return Answer({"status": "success"})

    def _change(self, call: Call, who: Who, wanted: SegmentChange) -> None:
        profile = self._whom(who)
        segment = next((one for one in self.all.values() if _is_meant(one, wanted)), None)
        name = (who.identity or who.guid or "").lower()
        if profile is None or segment is None or wanted.action not in {"add", "remove"} or call.refuses(name):
            self.error_stream.append({"who": who.model_dump(), "segment": wanted.model_dump()})
            return
        (segment.members.add if wanted.action == "add" else segment.members.discard)(profile.index)
        self._register.keep(profile)

    def _whom(self, who: Who) -> Profile | None:
        if who.identity is not None:
            found = self._register.by_identity(who.identity)
            return found or (self._register.by_email(who.identity) if "@" in who.identity else None)
        return self._register.get(index_of(who.guid)) if who.guid is not None else None

    # Custom lists

    def place(self, call: Call) -> Answer:
        """A place to put a file at, for a day."""
        key = secrets.token_hex(8)
        self._files[key] = File(time.monotonic())
        url = (
            f"{call.base_url}/custom-lists/{key}.csv?X-Amz-Signature={secrets.token_hex(8)}&X-Amz-Expires={URL_SECONDS}"
        )
        expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + URL_SECONDS))
        return Answer({"status": "success", "presignedS3URL": url, "expiry": expiry})

    def put_file(self, call: Call) -> Answer:
        """The store of files: asks for no account."""
        file = self._files.get(call.params["key"].removesuffix(".csv"))
        if file is None or "X-Amz-Signature" not in call.query or time.monotonic() - file.issued > URL_SECONDS:
            raise ApiError(403, b"<Error><Code>AccessDenied</Code></Error>")
        file.content = call.body
        return Answer(None, 200)

    def finish(self, call: Call) -> Answer:
        """The file is there: make a list of it, a moment later."""
        given = call.body_as(Uploaded)
        key = given.url.partition("?")[0].rpartition("/")[2].removesuffix(".csv")
        file = self._files.get(key)
        if file is None or file.content is None:
            return Answer(failed("There is no uploaded file at this URL.", 400))
        known = self.named(given.name)
        if known is not None and (not given.replace or known.customer_id is not None):
            return Answer(failed(f"A segment named '{given.name}' exists already.", 409))
        rows = _rows(file.content)
        if rows is None:
            return Answer(failed("The file needs the columns Type and Identity.", 400))
        segment = known or self._add(given.name, None)
        self._later.put(lambda: self._fill(segment, rows))
        return Answer({"Segment ID": segment.segment_id, "status": "success"})

    def _fill(self, segment: Segment, rows: list[tuple[str, str]]) -> None:
        members = set()
        for kind, value in rows:
            profile = self._whom(Who(identity=value) if kind == "i" else Who(guid=value))
            if profile is None:
                self.error_stream.append({"who": value, "segment": segment.name})
            else:
                members.add(profile.index)
                self._register.keep(profile)
        segment.members = members


def _is_meant(segment: Segment, wanted: SegmentChange) -> bool:
    if segment.customer_id is None:
        return False
    if wanted.ct_segment_id is not None:
        return str(segment.segment_id) == str(wanted.ct_segment_id)
    return segment.customer_id == wanted.customer_segment_id


def _rows(content: bytes) -> list[tuple[str, str]] | None:
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"))))
    if not lines or [name.strip().lower() for name in lines[0]] != ["type", "identity"]:
        return None
    return [(line[0].strip().lower(), line[1].strip()) for line in lines[1:] if len(line) == 2]
