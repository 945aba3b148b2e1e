"""A report suite in a test's own hands: it answers reports of its figures, one dimension a request."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import requests
import responses

from millstream.sources.adobe_analytics import AdobeAnalytics, AdobeAnalyticsSettings

ROOT = "https://analytics.adobe.test"
TOKEN = "https://ims.adobe.test/ims/token/v3"
SUITE = f"{ROOT}/api/acme0/reportsuites/collections/suites/shop"
REPORTS = f"{ROOT}/api/acme0/reports"
Json = dict[str, Any]
Items = tuple[str, ...]


def adobe(*reports: Json, **settings: Any) -> AdobeAnalytics:
    """The connector, at the report suite."""
    facts: Json = {
        "base_url": ROOT,
        "token_url": TOKEN,
        "client_id": "an-id",
        "client_secret": "a-secret",
        "rsid": "shop",
        "global_company_id": "acme0",
        "timezone": "Europe/Berlin",
        "requests_per_minute": 60_000,
        "requests_at_once": 2,
        "reports": reports,
    }
    return AdobeAnalytics(AdobeAnalyticsSettings(**{**facts, **settings}))


def item_id(value: str) -> str:
    """Adobe's id of an item, by its name."""
    return str(sum(ord(letter) * (place + 1) for place, letter in enumerate(value)))


@dataclass
class ReportSuite:
    """Figures by day and items, of the first dimensions of a report; every metric has the same."""

    mock: responses.RequestsMock
    days: dict[date, dict[Items, float]] = field(default_factory=dict)
    asked: list[Json] = field(default_factory=list)
    more: int = 0

    def __post_init__(self) -> None:
        self.mock.post(TOKEN, json={"access_token": "fresh", "expires_in": 86_399})
        self.mock.add_callback(responses.POST, REPORTS, self._answer)

    def _answer(self, request: requests.PreparedRequest) -> tuple[int, Json, str]:
        body = json.loads(request.body or "{}")
        self.asked.append(body)
        metrics = body["metricContainer"]["metrics"]
        day = date.fromisoformat(body["globalFilters"][0]["dateRange"][:10])
        above = tuple(one["itemId"] for one in body["metricContainer"].get("metricFilters", []))
        counted: dict[str, float] = defaultdict(float)
        for items, figure in self.days.get(day, {}).items():
            if tuple(map(item_id, items[: len(above)])) == above:
                counted[items[len(above)] if "dimension" in body else ""] += figure
        columns = {"columnIds": [one["columnId"] for one in metrics]}
        if "dimension" not in body:
            return _ok({"columns": columns, "summaryData": {"totals": [sum(counted.values())] * len(metrics)}})
        by_rank = "sort" in metrics[0]
        ordered = sorted(counted.items(), key=lambda one: (-one[1], one[0]) if by_rank else (0.0, one[0]))
        size, start = body["settings"]["limit"], body["settings"]["limit"] * body["settings"]["page"]
        rows = [
            {"itemId": item_id(value), "value": value, "data": [figure] * len(metrics)}
            for value, figure in ordered[start : start + size]
        ]
        last = start + size >= len(ordered)
        return _ok({"columns": columns, "rows": rows, "lastPage": last, "totalElements": len(ordered) + self.more})


def _ok(body: Json) -> tuple[int, Json, str]:
    return 200, {}, json.dumps(body)
