"""The same streams read by dlt's ``rest_api`` source and loaded with dlt's defaults: what is written without us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import orjson
import requests
from dlt.sources.rest_api import rest_api_source

from benchmarks.playback import HUBSPOT_TOKEN, MIXPANEL_DAYS, MIXPANEL_USER, ZENDESK_USER
from millstream.sources.hubspot import HubSpotSettings
from millstream.sources.hubspot.contacts import contact_object


def load(folder: Path, name: str, url: str, *, path: Path) -> None:
    """Read one vendor's stream into a DuckDB file, table ``raw_<name>.<stream>``."""
    pipeline = dlt.pipeline(
        pipeline_name=name,
        destination=dlt.destinations.duckdb(str(path)),
        dataset_name=f"raw_{name}",
        pipelines_dir=str(folder / "dlt"),
    )
    pipeline.run(rest_api_source(_CONFIGS[name](url), name=name))


def _hubspot(url: str) -> Any:
    contact = contact_object(HubSpotSettings.model_construct(properties=(), identifiers={}, traits={}))
    query = {"limit": 100, "properties": ",".join(contact.names)}
    paging = {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"}
    endpoint = {"path": "crm/v3/objects/contacts", "params": query, "data_selector": "results", "paginator": paging}
    return {
        "client": {"base_url": url, "auth": {"type": "bearer", "token": HUBSPOT_TOKEN}},
        "resources": [{"name": "contacts", **_MERGED, "primary_key": "id", "endpoint": endpoint}],
    }


def _zendesk(url: str) -> Any:
    query = {"per_page": 1000, "include": "identities", "start_time": 1}
    paging = {"type": "cursor", "cursor_path": "after_cursor", "cursor_param": "cursor"}
    endpoint = {
        "path": "api/v2/incremental/users/cursor.json",
        "params": query,
        "data_selector": "users",
        "paginator": paging,
        # It always names a next cursor; the end is told apart.
        "response_actions": [_end_of_export],
    }
    user, password = ZENDESK_USER
    return {
        "client": {"base_url": url, "auth": {"type": "http_basic", "username": user, "password": password}},
        "resources": [{"name": "users", **_MERGED, "primary_key": "id", "endpoint": endpoint}],
    }


def _mixpanel(url: str) -> Any:
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=number)).isoformat() for number in reversed(range(MIXPANEL_DAYS))]

    @dlt.resource(name="days", selected=False)
    def asked() -> Any:
        yield [{"day": day} for day in days]

    query = {
        "project_id": 2195193,
        "from_date": "{resources.days.day}",
        "to_date": "{resources.days.day}",
        "time_in_ms": "true",
    }
    endpoint = {
        "path": "api/2.0/export",
        "params": query,
        "data_selector": "$",
        "paginator": "single_page",
        "response_actions": [_lines_as_list],
    }
    user, password = MIXPANEL_USER
    return {
        "client": {"base_url": url, "auth": {"type": "http_basic", "username": user, "password": password}},
        "resources": [
            asked,
            {"name": "events", **_MERGED, "primary_key": "insert_id", "endpoint": endpoint},
        ],
    }


def _end_of_export(response: requests.Response, *_: object, **__: object) -> requests.Response:
    body = orjson.loads(response.content)
    if body["end_of_stream"]:
        del body["after_cursor"]
        response._content = orjson.dumps(body)
    return response


def _lines_as_list(response: requests.Response, *_: object, **__: object) -> requests.Response:
    """The file as the JSON list that dlt's client reads, each event with the key that makes it one."""
    events = [orjson.loads(line) for line in response.content.splitlines()]
    for event in events:
        event["insert_id"] = event["properties"]["$insert_id"]
    response._content = orjson.dumps(events)
    return response


_MERGED: Mapping[str, str] = {"write_disposition": "merge"}
_CONFIGS = {"hubspot": _hubspot, "zendesk": _zendesk, "mixpanel": _mixpanel}
