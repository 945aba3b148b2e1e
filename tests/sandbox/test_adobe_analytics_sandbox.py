"""The Adobe Analytics stand-in: reports over HTTP, and the data feed as files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import tarfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.adobe_analytics import write_feed
from tests.sandbox.conftest import TODAY

CLIENT = "sandbox-adobe"
SECRET = "p8e-sandbox-adobe"
SCOPE = "openid,AdobeID,additional_info.projectedProductContext"
METRICS = ("occurrences", "pageviews", "visits", "visitors", "orders", "revenue", "units", "event1")
ADDITIVE = ("occurrences", "pageviews", "orders", "revenue", "units", "event1")
WEEK = (date(2026, 11, 9), date(2026, 11, 16))


def token(sandbox: Sandbox, **changes: str) -> requests.Response:
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET, "scope": SCOPE, **changes}
    return requests.post(f"{sandbox.system_url('adobe_analytics')}/ims/token/v3", data=form, timeout=10)


def headers(sandbox: Sandbox, client: str = CLIENT) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sandbox, client_id=client).json()['access_token']}", "x-api-key": client}


def get(sandbox: Sandbox, path: str, **params: str) -> requests.Response:
    url = f"{sandbox.system_url('adobe_analytics')}{path}"
    return requests.get(url, headers=headers(sandbox), params=params, timeout=10)


def body_of(dimension: str | None = None, days: tuple[date, date] = WEEK, **changes: Any) -> dict[str, Any]:
    stretch = "/".join(f"{day.isoformat()}T00:00:00.000" for day in days)
    body: dict[str, Any] = {
        "rsid": "sandboxshop",
        "globalFilters": [{"type": "dateRange", "dateRange": stretch}],
        "metricContainer": {"metrics": [{"columnId": name, "id": f"metrics/{name}"} for name in METRICS]},
        **changes,
    }
    return body if dimension is None else {**body, "dimension": f"variables/{dimension}"}


def ask(sandbox: Sandbox, body: object, client: str = CLIENT) -> requests.Response:
    url = f"{sandbox.system_url('adobe_analytics')}/api/sandbo0/reports"
    return requests.post(url, headers=headers(sandbox, client), json=body, timeout=10)


def report(sandbox: Sandbox, dimension: str | None = None, **changes: Any) -> dict[str, Any]:
    answer = ask(sandbox, body_of(dimension, **changes))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def sums(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, float]:
    return {name: round(sum(row["data"][METRICS.index(name)] for row in rows), 2) for name in names}


def totals(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    return {name: body["summaryData"]["totals"][METRICS.index(name)] for name in names}


def feed_rows(folder: Path) -> list[dict[str, str]]:
    """All hits of a folder, read as Adobe says: names from the lookups, escapes undone."""
    with tarfile.open(next(folder.glob("*lookup*"))) as archive:
        member = archive.extractfile("column_headers.tsv")
        assert member is not None
        names = member.read().decode().rstrip("\n").split("\t")
    rows = []
    for file in sorted(folder.glob("*.tsv.gz")):
        with gzip.open(file, "rt", newline="") as lines:
            reader = csv.reader(lines, delimiter="\t", escapechar="\\", quoting=csv.QUOTE_NONE)
            rows += [dict(zip(names, row, strict=True)) for row in reader]
    return rows


def test_days_and_items_add_up_to_the_totals(sandbox: Sandbox) -> None:
    whole = report(sandbox)
    assert "rows" not in whole
    by_day = report(sandbox, "daterangeday")
    assert [row["itemId"] for row in by_day["rows"]] == [f"12610{day:02d}" for day in range(9, 16)]
    assert by_day["rows"][0]["value"] == "Nov 9, 2026"
    # No visit goes on past midnight, so these add up too; visitors do not.
    by_visit = ("visits", *ADDITIVE)
    assert sums(by_day["rows"], by_visit) == totals(whole, by_visit) == totals(by_day, by_visit)
    assert sums(by_day["rows"], ("visitors",))["visitors"] > totals(whole, ("visitors",))["visitors"]
    for dimension in ("page", "geocity", "daterangehour", "evar5", "evar6"):
        found = report(sandbox, dimension, settings={"limit": 500})
        assert sums(found["rows"], ADDITIVE) == totals(whole, ADDITIVE), dimension


def test_breakdowns_add_up_to_the_item(sandbox: Sandbox) -> None:
    filters = ["day"]
    metrics = [{"columnId": name, "id": f"metrics/{name}", "filters": filters} for name in METRICS]
    for row in report(sandbox, "daterangeday")["rows"]:
        one = {"id": "day", "type": "breakdown", "dimension": "variables/daterangeday", "itemId": row["itemId"]}
        broken = report(sandbox, "marketingchannel", metricContainer={"metrics": metrics, "metricFilters": [one]})
        assert broken["summaryData"]["totals"] == row["data"]
        assert sums(broken["rows"], ("visits",))["visits"] == row["data"][METRICS.index("visits")]
    by_text = {"id": "day", "type": "breakdown", "dimension": "variables/daterangeday", "itemValue": row["value"]}
    again = report(sandbox, "marketingchannel", metricContainer={"metrics": metrics, "metricFilters": [by_text]})
    assert again["rows"] == broken["rows"]


def test_segments_and_searches_narrow_a_report(sandbox: Sandbox) -> None:
    segments = get(sandbox, "/api/sandbo0/segments").json()
    buyers = next(one["id"] for one in segments["content"] if "order" in one["name"])
    globally = [*body_of()["globalFilters"], {"type": "segment", "segmentId": buyers}]
    bought, whole = report(sandbox, globalFilters=globally), report(sandbox)
    assert totals(bought, ("orders", "revenue")) == totals(whole, ("orders", "revenue"))
    assert totals(bought, ("visits",))["visits"] < totals(whole, ("visits",))["visits"]
    pages = report(sandbox, "page", search={"clause": "'product:'"})
    assert len(pages["rows"]) == 4
    assert all(row["value"].startswith("product:") for row in pages["rows"])
    some = {"itemIds": [row["itemId"] for row in pages["rows"][:2]]}
    chosen = report(sandbox, "page", search=some)
    assert chosen["rows"] == pages["rows"][:2]
    assert len(chosen["summaryData"]["filteredTotals"]) == len(METRICS)


def test_rows_are_paged_and_sorted(sandbox: Sandbox) -> None:
    whole = report(sandbox, "geocity")
    found = []
    for page in range(10):
        part = report(sandbox, "geocity", settings={"limit": 3, "page": page})
        assert (part["number"], part["firstPage"]) == (page, page == 0)
        found += part["rows"]
        if part["lastPage"]:
            break
    assert found == whole["rows"]
    assert part["totalPages"] == page + 1
    numbers = [row["data"][0] for row in found]
    assert numbers == sorted(numbers, reverse=True)
    by_name = report(sandbox, "geocity", settings={"dimensionSort": "asc"})
    assert [row["value"] for row in by_name["rows"]] == sorted(row["value"] for row in found)


def test_formulas_count_from_the_present_of_the_suite(sandbox: Sandbox) -> None:
    week = report(sandbox, days=(TODAY - timedelta(days=7), TODAY))
    formula = [{"type": "dateRange", "dateRange": "td-7d/td"}]
    assert report(sandbox, globalFilters=formula) == week
    with_end = [{"type": "dateRange", "dateRange": f"{TODAY - timedelta(days=7)}T00:00/td-1d+1d"}]
    assert report(sandbox, globalFilters=with_end) == week
    days = report(sandbox, "daterangeday", globalFilters=[{"type": "dateRange", "dateRange": "tm-1m/tm"}])
    assert [days["rows"][0]["value"], days["rows"][-1]["value"]] == ["Oct 1, 2026", "Oct 31, 2026"]


def test_columns_that_may_not_be_seen_are_named_in_a_partial_answer(sandbox: Sandbox) -> None:
    answer = ask(sandbox, body_of("daterangeday"), client="sandbox-adobe-no-revenue")
    columns = answer.json()["columns"]
    assert answer.status_code == 206
    assert columns["columnErrors"][0]["errorCode"] == "unauthorized_metric"
    assert columns["columnIds"] == [name for name in METRICS if name != "revenue"]
    assert {len(row["data"]) for row in answer.json()["rows"]} == {len(METRICS) - 1}
    unknown = ask(sandbox, body_of(metricContainer={"metrics": [{"id": "metrics/event99"}]}))
    assert unknown.status_code == 206
    assert unknown.json()["columns"]["columnErrors"][0]["errorCode"] == "not_enabled_metric"


def test_what_is_set_up_is_listed(sandbox: Sandbox) -> None:
    company = get(sandbox, "/discovery/me").json()["imsOrgs"][0]["companies"][0]["globalCompanyId"]
    suites = get(sandbox, f"/api/{company}/reportsuites/collections/suites", limit="1", page="1").json()
    assert [one["rsid"] for one in suites] == ["sandboxshopdev"]
    suite = get(sandbox, f"/api/{company}/reportsuites/collections/suites/sandboxshop", expansion="currency").json()
    assert (suite["timezoneZoneinfo"], suite["currency"]) == ("Europe/Berlin", "EUR")
    dimensions = get(sandbox, f"/api/{company}/dimensions", rsid="sandboxshop").json()
    for dimension in dimensions:
        name = dimension["id"].removeprefix("variables/")
        assert report(sandbox, name, settings={"limit": 1})["rows"], name
    metrics = get(sandbox, f"/api/{company}/metrics", rsid="sandboxshop").json()
    assert {f"metrics/{name}" for name in METRICS} <= {one["id"] for one in metrics}
    top = get(sandbox, f"/api/{company}/reports/topItems", rsid="sandboxshop", dimension="variables/page").json()
    assert set(top["rows"][0]) == {"itemId", "value"}


def test_an_empty_suite_has_days_without_visits(sandbox: Sandbox) -> None:
    body = report(sandbox, "daterangeday", rsid="sandboxshopdev")
    assert len(body["rows"]) == 7
    assert {number for row in body["rows"] for number in row["data"]} == {0.0}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"rsid": "sandboxhr"}, 403, "insufficient_access"),
        ({"globalFilters": []}, 400, "invalid_parameters"),
        ({"globalFilters": [{"type": "dateRange", "dateRange": "2026-11-01/2026-11-02"}]}, 400, "invalid_parameters"),
        ({"globalFilters": [{"type": "segment", "segmentId": "s1"}]}, 400, "invalid_parameters"),
        ({"settings": {"limit": 50_001}}, 400, "invalid_parameters"),
        ({"dimension": "variables/evar99"}, 400, "invalid_dimension_access"),
        ({"metricContainer": {"metrics": []}}, 400, "invalid_parameters"),
        ({"metricContainer": {"metrics": [{"id": "visits"}]}}, 400, "invalid_metric_access"),
        ({"metricContainer": {"metrics": [{"id": "metrics/visits", "filters": ["0"]}]}}, 400, "invalid_parameters"),
    ],
)
def test_wrong_reports_are_refused(sandbox: Sandbox, change: dict[str, Any], status: int, code: str) -> None:
    answer = ask(sandbox, {**body_of("page"), **change})
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "no"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "openid"}, 400, "invalid_scope"),
    ],
)
def test_wrong_credentials_give_no_token(sandbox: Sandbox, change: dict[str, str], status: int, error: str) -> None:
    answer = token(sandbox, **change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Authorization": "Bearer stale"}, 401, "401013"),
        ({"Authorization": ""}, 401, "401010"),
        ({"x-api-key": ""}, 403, "403000"),
        ({"x-api-key": "sandbox-adobe-no-revenue"}, 403, "403003"),
    ],
)
def test_the_gateway_wants_its_headers(sandbox: Sandbox, change: dict[str, str], status: int, code: str) -> None:
    url = f"{sandbox.system_url('adobe_analytics')}/discovery/me"
    answer = requests.get(url, headers={**headers(sandbox), **change}, timeout=10)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_other_companies_and_accounts_without_a_profile_are_refused(sandbox: Sandbox) -> None:
    assert get(sandbox, "/api/other0/segments").status_code == 403
    answer = ask(sandbox, body_of(), client="sandbox-adobe-no-profile")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "403025")


def test_thirteen_requests_in_six_seconds_are_one_too_many() -> None:
    with Sandbox(people=50, today=TODAY) as sandbox:
        sent = headers(sandbox)
        url = f"{sandbox.system_url('adobe_analytics')}/discovery/me"
        answers = [requests.get(url, headers=sent, timeout=10) for _ in range(13)]
        assert [answer.status_code for answer in answers] == [200] * 12 + [429]
        assert answers[-1].json() == {"error_code": "429050", "message": "Too many requests"}
        other = requests.get(url, headers=headers(sandbox, "sandbox-adobe-no-revenue"), timeout=10)
        assert other.status_code == 200


def test_the_feed_has_the_same_hits_as_the_reports(sandbox: Sandbox, tmp_path: Path) -> None:
    day = date(2026, 11, 11)
    write_feed(sandbox.company, tmp_path, day, files=3)
    rows = feed_rows(tmp_path)
    counted = [row for row in rows if row["exclude_hit"] == "0"]
    whole = report(sandbox, days=(day, day + timedelta(days=1)))
    orders = [row for row in counted if "1" in row["post_event_list"].split(",")]
    found = {
        "occurrences": len(counted),
        "pageviews": sum(1 for row in counted if row["post_pagename"]),
        "visits": len({(row["post_visid_high"], row["post_visid_low"], row["visit_num"]) for row in counted}),
        "visitors": len({row["mcvisid"] for row in counted}),
        "orders": len(orders),
        "revenue": round(sum(float(row["post_product_list"].split(";")[3]) for row in orders), 2),
    }
    assert found == totals(whole, tuple(found))
    assert {row["date_time"][:10] for row in rows} == {day.isoformat()}
    assert len({(row["hitid_high"], row["hitid_low"]) for row in rows}) == len(rows) > 20


def test_the_manifest_says_what_was_delivered(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = write_feed(sandbox.company, tmp_path, date(2026, 11, 11), files=2)
    assert manifest.name == "sandboxshop_2026-11-11.txt"
    head, *sections = [
        dict(line.split(": ", 1) for line in part.splitlines()) for part in manifest.read_text().split("\n\n")
    ]
    assert (head["Data-Files"], head["Lookup-Files"]) == ("2", "1")
    for section in sections:
        file = tmp_path / section.get("Data-File", section.get("Lookup-File", ""))
        content = file.read_bytes()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert (section["MD5-Digest"], section["File-Size"]) == (digest, str(len(content)))
    records = sum(int(section.get("Record-Count", "0")) for section in sections)
    assert records == int(head["Total-Records"]) == len(feed_rows(tmp_path))


def test_the_feed_escapes_what_would_break_it(sandbox: Sandbox, tmp_path: Path) -> None:
    for day in range(1, 15):
        write_feed(sandbox.company, tmp_path, date(2026, 11, day))
    searches = {row["post_prop1"] for row in feed_rows(tmp_path)}
    assert {"grinder\tmanual", "paper \\ filter", "mug\nblue"} <= searches


def test_visitors_are_whose_the_truth_says(sandbox: Sandbox, tmp_path: Path) -> None:
    for day in range(1, 8):
        write_feed(sandbox.company, tmp_path, date(2026, 11, day))
    known = {
        one["mcvisid"]: (index, one["customer_id"])
        for index in range(sandbox.company.people)
        for one in sandbox.truth(index)["adobe_visitors"]  # type: ignore[attr-defined]
    }
    named = 0
    for row in feed_rows(tmp_path):
        index, customer = known.get(row["mcvisid"], (None, None))
        assert row["post_evar5"] in {"", customer}
        named += bool(row["post_evar5"])
        if row["post_evar6"]:
            assert index is not None
            assert row["post_evar6"] == hashlib.sha256(sandbox.company.person(index).email.encode()).hexdigest()
    assert named > 20


def test_late_hits_change_past_days_and_come_in_the_feed_of_their_arrival(
    fresh_sandbox: Sandbox, tmp_path: Path
) -> None:
    def by_day() -> dict[str, float]:
        days = (TODAY - timedelta(days=5), TODAY + timedelta(days=1))
        rows = report(fresh_sandbox, "daterangeday", days=days)["rows"]
        return {row["value"]: row["data"][0] for row in rows}

    before = by_day()
    noon = int((fresh_sandbox.company.today_ms / 1000 + 43_200) * 1000)
    order = {"share": 0.5, "at_ms": noon}
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json=order, timeout=10).raise_for_status()
    grown = {day for day, number in by_day().items() if number > before[day]}
    assert grown == {"Nov 18, 2026", "Nov 20, 2026"}
    write_feed(fresh_sandbox.company, tmp_path, TODAY)
    assert {row["date_time"][:10] for row in feed_rows(tmp_path)} == {"2026-11-18", "2026-11-20"}


def test_faults_work(fresh_sandbox: Sandbox) -> None:
    def fault(**order: Any) -> None:
        url = f"{fresh_sandbox.url}/_sandbox/faults"
        requests.delete(url, timeout=10)
        requests.post(url, json={"system": "adobe_analytics", **order}, timeout=10).raise_for_status()

    fault(kind="rate_limited", path="reports$")
    limited = ask(fresh_sandbox, body_of())
    assert (limited.status_code, "Retry-After" in limited.headers) == (429, False)
    fault(kind="server_error", path="reports$", status=504)
    assert ask(fresh_sandbox, body_of()).status_code == 504
    fault(kind="empty", path="reports$")
    assert ask(fresh_sandbox, body_of("page")).json()["rows"] == []
    fault(kind="short_page", path="reports$")
    short = ask(fresh_sandbox, body_of("geocity", settings={"limit": 6})).json()
    assert (len(short["rows"]), short["lastPage"]) == (2, False)
