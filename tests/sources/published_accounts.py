"""Accounts with next to nothing in them, which give one published answer each. All their other answers are ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import requests
import responses
from pydantic import SecretStr

from millstream.sources.contract import Source
from millstream.sources.ga4 import GoogleAnalytics4, GoogleAnalytics4Settings, Report
from millstream.sources.hubspot import HubSpot, HubSpotSettings
from millstream.sources.surveymonkey import SurveyMonkey, SurveyMonkeySettings
from tests.sources.published import EXPORTS, Example, Json, surveymonkey_list

ROOT = "https://published.test"
SECRET = SecretStr("not-a-real-credential")


def make_source(vendor: str, **settings: Any) -> Source[Any]:
    """The connector, pointed at the account below."""
    if vendor == "hubspot":
        return HubSpot(HubSpotSettings(base_url=ROOT, access_token=SECRET, **settings))
    if vendor == "surveymonkey":
        return SurveyMonkey(SurveyMonkeySettings(base_url=ROOT, access_token=SECRET, **settings))
    report = Report(name="by_day", dimensions=(), metrics=("activeUsers", "newUsers", "totalRevenue"))
    return GoogleAnalytics4(
        GoogleAnalytics4Settings(
            base_url=ROOT,
            token_url=f"{ROOT}/token",
            property_id="1234567",
            client_id="ours",
            client_secret=SECRET,
            refresh_token=SECRET,
            reports=(report,),
            audience_dimensions=("deviceId",),
            export_poll_seconds=0.01,
            **settings,
        )
    )


class Account:
    """An account with next to nothing in it, which gives one published answer once, at its endpoint."""

    def __init__(self, vendor: responses.RequestsMock, example: Example, folder: Path) -> None:
        self.served = 0
        self._example = example
        self._folder = folder
        anything = re.compile(re.escape(ROOT) + "/.*")
        for method in (responses.GET, responses.POST):
            vendor.add_callback(method, anything, callback=self._answer)

    def _answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(request.url or "")
        query = dict(parse_qsl(url.query))
        example = self._example
        asked_for = (request.method, url.path) == (example.method, example.path) and "archived" not in query
        if asked_for and not self.served:
            self.served += 1
            found = example.read(self._folder)
            return 200, {}, orjson.dumps(example.envelope(orjson.loads(found))) if example.envelope else found
        if url.path == example.refused:
            return 403, {}, orjson.dumps({"status": "error", "category": "MISSING_SCOPES", "message": "ours"})
        ours = {"hubspot": _our_hubspot, "ga4": _our_ga4, "surveymonkey": _our_surveymonkey}[example.vendor]
        body = ours(url.path, query, request)
        return (404, {}, b"{}") if body is None else (200, {}, orjson.dumps(body))


def _our_hubspot(path: str, query: Mapping[str, str], _: requests.PreparedRequest) -> Json:
    if path.startswith("/crm/v3/objects/") and not path.endswith("/search"):
        # HubSpot gives every property that is asked for, null where it has no value; the published answers were
        # asked for fewer than we do. Our own records have them all.
        now = datetime.now(UTC).isoformat()
        record = {"createdAt": now, "updatedAt": now, "archived": False}
        record["properties"] = dict.fromkeys(query.get("properties", "").split(",")) | {"email": "own@box.example"}
        if query.get("archived") == "true":
            return {"results": [record | {"id": "1", "archived": True, "archivedAt": now}]}
        return {"results": [] if "after" in query else [record | {"id": number} for number in ("33451", "29851")]}
    if path == "/crm/v3/lists/search":
        return {"lists": [{"listId": "611", "name": "Ours", "objectTypeId": "0-1"}], "hasMore": False}
    if path == "/email/public/v1/events":
        return {"events": [], "hasMore": False}
    return {"results": [], "total": 0}


def _our_ga4(path: str, _: Mapping[str, str], request: requests.PreparedRequest) -> Json:
    export = f"{EXPORTS}/123".removeprefix("/v1beta/")
    audience = {"name": "properties/1234567/audiences/12345", "displayName": "Ours"}
    if path == "/token":
        return {"access_token": "ours", "expires_in": 3600, "token_type": "Bearer"}
    if path.endswith(":runReport"):
        return {"metadata": {"timeZone": "UTC"}}
    if path.endswith(":batchRunReports"):
        return {"reports": [{} for _ in orjson.loads(request.body or b"")["requests"]]}
    if path.endswith("/audiences"):
        return {"audiences": [audience]}
    if path == EXPORTS:
        return {} if request.method == "GET" else {"response": {"name": export}}
    if path == f"{EXPORTS}/123":
        return {"name": export, "state": "ACTIVE", "beginCreatingTime": "2026-01-01T00:00:00Z"}
    if path == f"{EXPORTS}/123:query":
        return {"audienceRows": [{"dimensionValues": [{"value": "1.2"}]}], "rowCount": 1}
    return None


def _our_surveymonkey(path: str, _: Mapping[str, str], __: requests.PreparedRequest) -> Json:
    now = "2026-01-01T00:00:00+00:00"
    empty = {"data": [], "page": 1, "per_page": 100, "total": 0, "links": {}}
    if path == "/surveys":
        return surveymonkey_list({"id": "1234", "title": "Ours", "date_modified": now, "date_created": now})
    if path == "/surveys/1234/details":
        return {"id": "1234", "pages": []}
    if path == "/surveys/1234/responses/bulk":
        times = {"date_created": now, "date_modified": now, "total_time": 1, "response_status": "completed"}
        one = {"id": "9", "collector_id": "77", "recipient_id": "1234", "pages": []} | times
        return {**empty, "data": [one, one | {"id": "10", "recipient_id": "1235"}], "total": 2}
    return {} if "/recipients/" in path else empty
