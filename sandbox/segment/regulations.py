"""The Public API's regulations: people are suppressed or deleted, by up to 5,000 user ids at a time, after a while."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.segment.errors import public_refusal
from millstream.sandbox.segment.people import SOURCE_ID, People
from millstream.sandbox.system import Answer, Call, JsonObject

WORKSPACE_ID = "sandboxWorkspace"
MOST_SUBJECTS = 5000
MEDIA_TYPE = "application/vnd.segment.v1+json"
Kind = Literal[
    "DELETE_INTERNAL",
    "DELETE_ONLY",
    "SUPPRESS_ONLY",
    "SUPPRESS_WITH_DELETE",
    "SUPPRESS_WITH_DELETE_INTERNAL",
    "UNSUPPRESS",
]


class NewRegulation(BaseModel):
    """Body of `POST /regulations` and `POST /regulations/sources/<id>`."""

    model_config = ConfigDict(extra="forbid")

    regulationType: Kind  # noqa: N815  the vendor's names
    subjectType: Literal["USER_ID"]  # noqa: N815
    subjectIds: Annotated[list[str], Field(min_length=1, max_length=MOST_SUBJECTS)]  # noqa: N815


@dataclass(slots=True)
class Regulation:
    """One regulation and how far it is."""

    regulation_id: str
    kind: Kind
    subjects: list[str]
    source_id: str | None
    created: float
    created_at: str
    finished_at: str | None = None


class Regulations:
    """Handlers of the regulations.

    Attributes:
        seconds: How long a regulation takes (days, at Segment); tests may change it.
    """

    def __init__(self, people: People) -> None:
        self._people = people
        self.made: dict[str, Regulation] = {}
        self.seconds = 0.3

    def work_off(self) -> None:
        """Finish what has waited long enough. Called with every request."""
        for one in self.made.values():
            if one.finished_at is None and time.monotonic() - one.created >= self.seconds:
                for user_id in one.subjects:
                    self._people.regulate(one.kind, user_id)
                one.finished_at = _now()

    def create(self, call: Call) -> Answer:
        """`POST /regulations`, or of one source."""
        source_id = call.params.get("source_id")
        if source_id not in (None, SOURCE_ID):
            raise public_refusal(404, f"There is no source {source_id}.")
        new = call.body_as(NewRegulation)
        if call.refusal() is not None and any(call.refuses(one) for one in new.subjectIds):
            raise public_refusal(422, "A subject cannot be regulated.", "subjectIds")
        made = Regulation(
            secrets.token_hex(13), new.regulationType, new.subjectIds, source_id, time.monotonic(), _now()
        )
        self.made[made.regulation_id] = made
        return _answer({"regulateId": made.regulation_id})

    def get(self, call: Call) -> Answer:
        """`GET /regulations/<id>`."""
        return _answer({"regulation": self._shown(self._one(call))})

    def everything(self, call: Call) -> Answer:
        """`GET /regulations`, or of one source; by status, page by page."""
        source_id, status = call.params.get("source_id"), call.query.get("status")
        shown = [self._shown(one) for one in self.made.values() if source_id in (None, one.source_id)]
        rows = [one for one in shown if status in (None, one["overallStatus"])]
        return _page(call, "regulations", rows)

    def delete(self, call: Call) -> Answer:
        """`DELETE /regulations/<id>`, as long as it has not begun."""
        one = self._one(call)
        if self._status(one) != "INITIALIZED":
            raise public_refusal(422, "Only a regulation that has not begun can be deleted.")
        del self.made[one.regulation_id]
        return _answer({"status": "SUCCESS"})

    def suppressions(self, call: Call) -> Answer:
        """`GET /suppressions`: who is suppressed now."""
        ids = self._people.suppressions()
        rows: list[JsonObject] = [{"subjectType": "USER_ID", "subjectIds": [one]} for one in ids]
        return _page(call, "suppressed", rows)

    def _one(self, call: Call) -> Regulation:
        one = self.made.get(call.params["regulation_id"])
        if one is None:
            raise public_refusal(404, "There is no such regulation.")
        return one

    def _status(self, one: Regulation) -> str:
        if one.finished_at is not None:
            return "FINISHED"
        return "INITIALIZED" if time.monotonic() - one.created < self.seconds / 2 else "RUNNING"

    def _shown(self, one: Regulation) -> JsonObject:
        status = self._status(one)
        stream: JsonObject = {"id": one.source_id or SOURCE_ID, "destinationStatus": []}
        shown: JsonObject = {
            "id": one.regulation_id,
            "workspaceId": WORKSPACE_ID,
            "overallStatus": status,
            "createdAt": one.created_at,
            "streamStatus": [stream],
        }
        return shown | {"finishedAt": one.finished_at} if one.finished_at else shown


def _answer(data: JsonObject) -> Answer:
    return Answer({"data": data}, media_type=MEDIA_TYPE)


def _page(call: Call, name: str, rows: list[JsonObject]) -> Answer:
    count, cursor = call.query.get("pagination.count", "100"), call.query.get("pagination.cursor", "0")
    if not (count.isdigit() and 1 <= int(count) <= 1000 and cursor.isdigit()):
        raise public_refusal(422, "pagination.count is a number from 1 to 1000.", "pagination")
    start, end = int(cursor), int(cursor) + call.page_limit(int(count))
    page: JsonObject = {"current": cursor, "totalEntries": len(rows)}
    if end < len(rows):
        page["next"] = str(end)
    return _answer({name: rows[start:end], "pagination": page})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
