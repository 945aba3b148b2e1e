"""The Mixpanel stand-in, over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

PROJECT = 2195193
SECRET = "sandbox-mixpanel"
ACCOUNT = ("millstream.sandbox.mp-service-account", SECRET)
FREE = ("millstream.free.mp-service-account", SECRET)
UNNAMED = {"undefined", None}


def export(sandbox: Sandbox, first: str, last: str, **params: Any) -> requests.Response:
    url = f"{sandbox.system_url('mixpanel')}/api/2.0/export"
    query = {"project_id": PROJECT, "from_date": first, "to_date": last, **params}
    return requests.get(url, auth=ACCOUNT, params=query, timeout=30)


def events(sandbox: Sandbox, days_ago: int = 90, **params: Any) -> list[dict[str, Any]]:
    first = sandbox.company.today - timedelta(days=days_ago)
    answer = export(sandbox, first.isoformat(), datetime.now(UTC).date().isoformat(), **params)
    answer.raise_for_status()
    return [json.loads(line) for line in answer.text.splitlines()]


def query(sandbox: Sandbox, path: str, account: tuple[str, str] = ACCOUNT, **form: Any) -> requests.Response:
    url = f"{sandbox.system_url('mixpanel')}/api/query/{path}"
    return requests.post(url, auth=account, params={"project_id": PROJECT}, data=form, timeout=10)


def profiles(sandbox: Sandbox, **form: Any) -> Iterator[dict[str, Any]]:
    page, body = 0, query(sandbox, "engage", **form).json()
    yield from body["results"]
    while len(body["results"]) == body["page_size"]:
        page += 1
        body = query(sandbox, "engage", page=page, session_id=body["session_id"], **form).json()
        yield from body["results"]


def test_the_export_is_gzipped_json_lines_by_day(sandbox: Sandbox) -> None:
    rows = events(sandbox)
    times = [row["properties"]["time"] for row in rows]
    assert times == sorted(times)
    day = (sandbox.company.today - timedelta(days=3)).isoformat()
    answer = export(sandbox, day, day)
    assert answer.headers["Content-Encoding"] == "gzip"
    of_day = [json.loads(line) for line in answer.text.splitlines()]
    assert of_day == [
        row for row in rows if row["properties"]["time"] // 86400 == of_day[0]["properties"]["time"] // 86400
    ]


def test_some_events_come_twice_and_some_late() -> None:
    with Sandbox(people=1000, limits=False) as sandbox:
        rows = [row["properties"] for row in events(sandbox)]
    ids = Counter((row["distinct_id"], row["time"], row["$insert_id"]) for row in rows)
    assert max(ids.values()) == 2
    delays = [row["mp_processing_time_ms"] / 1000 - row["time"] for row in rows]
    assert min(delays) >= 0
    assert 2 * 86400 < max(delays) < 5 * 86400


def test_new_events_arrive_late_too(fresh_sandbox: Sandbox) -> None:
    before = {row["properties"]["$insert_id"] for row in events(fresh_sandbox)}
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
    new = [row["properties"] for row in events(fresh_sandbox) if row["properties"]["$insert_id"] not in before]
    ages = {round((row["mp_processing_time_ms"] / 1000 - row["time"]) / 86400) for row in new}
    assert ages == {0, 2}


def test_names_and_limits_narrow_the_export(sandbox: Sandbox) -> None:
    assert {row["event"] for row in events(sandbox, event='["Signed Up"]')} == {"Signed Up"}
    assert len(events(sandbox, limit=3)) == 3
    assert events(sandbox, limit=1, time_in_ms="true")[0]["properties"]["time"] > 10**12


def test_profiles_are_paged_in_a_session(fresh_sandbox: Sandbox) -> None:
    rows = list(profiles(fresh_sandbox))
    fresh_sandbox.systems["mixpanel"].profiles.page_size = 7  # type: ignore[attr-defined]
    assert list(profiles(fresh_sandbox)) == rows
    assert len({row["$distinct_id"] for row in rows}) == len(rows) > 10
    lost = query(fresh_sandbox, "engage", page=1, session_id="none")
    assert (lost.status_code, "uncached" in lost.json()["error"]) == (400, True)


def test_profiles_by_last_seen_and_by_cohort(sandbox: Sandbox) -> None:
    rows = list(profiles(sandbox))
    edge = sorted(row["$properties"]["$last_seen"] for row in rows)[len(rows) // 2]
    late = list(profiles(sandbox, where=f'properties["$last_seen"] >= "{edge}"'))
    assert late == [row for row in rows if row["$properties"]["$last_seen"] >= edge]
    cohorts = {row["name"]: row for row in query(sandbox, "cohorts/list").json()}
    plus = list(profiles(sandbox, filter_by_cohort=json.dumps({"id": cohorts["Plus plan"]["id"]})))
    assert len(plus) == cohorts["Plus plan"]["count"] > 0
    assert {row["$properties"]["plan"] for row in plus} == {"plus"}


def test_events_and_profiles_are_whose_the_truth_says(sandbox: Sandbox) -> None:
    owner = {sandbox.truth(index)["mixpanel_distinct_id"]: index for index in range(sandbox.company.people)}
    for row in events(sandbox):
        person = sandbox.company.person(owner[row["properties"]["distinct_id"]])
        assert row["properties"].get("$user_id") in (None, person.customer_id)
    for row in profiles(sandbox):
        person = sandbox.company.person(owner[row["$distinct_id"]])
        assert row["$properties"]["$email"].lower() in {*UNNAMED, person.email}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"project_id": None}, 400),
        ({"project_id": 5}, 400),
        ({"from_date": "yesterday"}, 400),
        ({"to_date": "2999-01-01"}, 400),
        ({"limit": 100_001}, 400),
        ({"where": "true"}, 400),
        ({"event": "Signed Up"}, 400),
    ],
)
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, change: dict[str, Any], status: int) -> None:
    day = sandbox.company.today.isoformat()
    assert export(sandbox, **{"first": day, "last": day, **change}).status_code == status


def test_credentials_and_plans_are_checked(sandbox: Sandbox) -> None:
    assert query(sandbox, "engage", (ACCOUNT[0], "wrong")).status_code == 401
    assert query(sandbox, "engage", FREE).status_code == 402


def test_sixty_queries_an_hour_and_three_exports_a_second() -> None:
    with Sandbox(people=10) as sandbox:
        day = sandbox.company.today.isoformat()
        statuses = [export(sandbox, day, day).status_code for _ in range(5)]
        assert 429 in statuses
        queries = [query(sandbox, "cohorts/list") for _ in range(61)]
        assert [answer.status_code for answer in queries] == [200] * 60 + [429]
        assert int(queries[-1].headers["Retry-After"]) > 3000
