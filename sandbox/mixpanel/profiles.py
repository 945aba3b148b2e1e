"""Profiles and cohorts: the Query API's `engage` and `cohorts/list`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import orjson

from millstream.sandbox.company import Company
from millstream.sandbox.mixpanel.behaviour import people_in_app, profile_row
from millstream.sandbox.mixpanel.errors import refusal
from millstream.sandbox.mixpanel.export import Export
from millstream.sandbox.system import Answer, Call, JsonObject

FIELDS = {"page", "session_id", "where", "output_properties", "filter_by_cohort", "include_all_users"}
COHORTS = {4001: "Plus plan", 4002: "No address"}
LAST_SEEN = re.compile(r'properties\["\$last_seen"\]\s*(>=|>)\s*"([0-9T:.\-]+)"')


class Profiles:
    """Handlers for profiles.

    Attributes:
        page_size: Profiles on a page; the vendor gives 1,000, and says so in each answer as this does.
    """

    def __init__(self, company: Company, export: Export) -> None:
        self._company = company
        self._export = export
        self._sessions: dict[str, tuple[tuple[str, ...], list[JsonObject]]] = {}
        self.page_size = 200

    def engage(self, call: Call) -> Answer:
        """`POST /api/query/engage`: a session keeps the answer to the first page's question."""
        form = call.form()
        unknown = sorted(set(form) - FIELDS)
        if unknown:
            raise refusal(400, f"Unknown parameter: {unknown[0]}")
        page = form.get("page", "0")
        if not page.isdigit():
            raise refusal(400, "page must be a whole number")
        question = tuple(form.get(name, "") for name in ("where", "filter_by_cohort", "output_properties"))
        session = form.get("session_id")
        if session is None:
            if page != "0":
                raise refusal(400, "session_id is required for pages after the first")
            session = f"{len(self._sessions) + 1_767_430_000}-Sandbox"
            self._sessions[session] = (question, self._found(form))
        kept = self._sessions.get(session)
        if kept is None or kept[0] != question:
            raise refusal(400, "Tried to fetch a page of an uncached query")
        start = int(page) * self.page_size
        return Answer(
            {
                "page": int(page),
                "page_size": self.page_size,
                "session_id": session,
                "status": "ok",
                "total": len(kept[1]),
                "results": kept[1][start : start + self.page_size],
            }
        )

    def forget_sessions(self) -> None:
        """Let all sessions expire."""
        self._sessions.clear()

    def _found(self, form: dict[str, str]) -> list[JsonObject]:
        rows = self._everybody()
        if form.get("where"):
            rows = _seen_since(rows, form["where"])
        if form.get("filter_by_cohort"):
            rows = _in_cohort(rows, form["filter_by_cohort"])
        if form.get("output_properties"):
            wanted = set(orjson.loads(form["output_properties"]))
            rows = [_with_only(row, wanted) for row in rows]
        return rows

    def _everybody(self) -> list[JsonObject]:
        """A profile for each person who ever signed in."""
        events = self._export.events
        last = np.zeros(self._company.people, np.int64)
        np.maximum.at(last, events.index, events.time)
        rows = []
        for index in people_in_app(self._company).tolist():
            if self._company.person(index).customer_id is not None:
                seen = datetime.fromtimestamp(int(last[index]), UTC).strftime("%Y-%m-%dT%H:%M:%S")
                rows.append(profile_row(self._company, index, seen))
        return rows

    def cohorts(self, call: Call) -> Answer:
        """`POST /api/query/cohorts/list`."""
        del call
        everybody = self._everybody()
        rows = [
            {
                "id": cohort_id,
                "name": name,
                "description": "",
                "count": len(_in_cohort(everybody, orjson.dumps({"id": cohort_id}).decode())),
                "is_visible": 1,
                "created": "2026-01-05 10:00:00",
                "project_id": 2_195_193,
            }
            for cohort_id, name in COHORTS.items()
        ]
        return Answer(rows)


def _properties(row: JsonObject) -> JsonObject:
    properties = row["$properties"]
    assert isinstance(properties, dict)
    return properties


def _with_only(row: JsonObject, wanted: set[str]) -> JsonObject:
    kept = {key: value for key, value in _properties(row).items() if key in wanted}
    return {**row, "$properties": kept}


def _seen_since(rows: list[JsonObject], where: str) -> list[JsonObject]:
    match = LAST_SEEN.fullmatch(where.strip())
    if match is None:
        raise refusal(400, 'The sandbox understands only properties["$last_seen"] >= "..." in where')
    edge = match[2][:19]
    return [
        row
        for row in rows
        if str(_properties(row)["$last_seen"]) > edge
        or (match[1] == ">=" and str(_properties(row)["$last_seen"]) == edge)
    ]


def _in_cohort(rows: list[JsonObject], text: str) -> list[JsonObject]:
    try:
        cohort_id = orjson.loads(text)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise refusal(400, 'filter_by_cohort must be {"id": number}') from error
    if cohort_id not in COHORTS:
        raise refusal(404, "cohort not found")
    if COHORTS[cohort_id] == "Plus plan":
        return [row for row in rows if _properties(row)["plan"] == "plus"]
    return [row for row in rows if _properties(row)["$email"] == "undefined"]
