"""The Google Analytics 4 stand-in, over HTTP."""

from __future__ import annotations

import base64
import json
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from millstream.sandbox import Sandbox

PROPERTY = "/v1beta/properties/350000001"
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
REFRESH = {
    "grant_type": "refresh_token",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "refresh_token": "sandbox-refresh",
}
LAST_MONTH = [{"startDate": "30daysAgo", "endDate": "yesterday"}]


class Client:
    """Speaks to the stand-in with a fresh token."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.url = sandbox.system_url("ga4")
        self.token = requests.post(f"{self.url}/token", data=REFRESH, timeout=10).json()["access_token"]

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(method, self.url + path, json=body, params=params, headers=headers, timeout=30)

    def report(
        self, dimensions: str = "", metrics: str = "sessions", ranges: object = None, **more: object
    ) -> requests.Response:
        body = {
            "dimensions": [{"name": name} for name in dimensions.split()],
            "metrics": [{"name": name} for name in metrics.split()],
            "dateRanges": LAST_MONTH if ranges is None else ranges,
            **more,
        }
        return self.ask("POST", f"{PROPERTY}:runReport", body)

    def rows(self, *fields: str, **more: object) -> list[tuple[str, ...]]:
        answer = self.report(*fields, **more)
        assert answer.ok, answer.text
        return [
            tuple(cell["value"] for cell in [*row.get("dimensionValues", []), *row.get("metricValues", [])])
            for row in answer.json().get("rows", [])
        ]

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "ga4", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["status"]


# Tokens


def assertion(account: dict[str, str], key: rsa.RSAPrivateKey, **changed: object) -> str:
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "scope": SCOPE,
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
    }
    parts = [{"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"]}, {**claims, **changed}]
    unsigned = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    return (unsigned + b"." + encoded(key.sign(unsigned, padding.PKCS1v15(), hashes.SHA256()))).decode()


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.fixture
def account(sandbox: Sandbox) -> dict[str, str]:
    found: dict[str, str] = requests.get(f"{sandbox.url}/_sandbox/credentials/ga4", timeout=10).json()
    return found


@pytest.fixture
def key(account: dict[str, str]) -> rsa.RSAPrivateKey:
    loaded = serialization.load_pem_private_key(account["private_key"].encode(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded


def grant(account: dict[str, str], signed: str) -> requests.Response:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
    return requests.post(account["token_uri"], data=form, timeout=10)


def test_a_service_account_gets_a_token_for_its_signature(
    client: Client, account: dict[str, str], key: rsa.RSAPrivateKey
) -> None:
    answer = grant(account, assertion(account, key)).json()
    assert (answer["expires_in"], answer["token_type"]) == (3600, "Bearer")
    client.token = answer["access_token"]
    assert client.report().ok


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://elsewhere.example.com/token"},
        {"iss": "somebody@box.example"},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
        {"exp": int(time.time()) + 7200},
        {"scope": ""},
    ],
)
def test_wrong_claims_are_refused(account: dict[str, str], key: rsa.RSAPrivateKey, changed: dict[str, object]) -> None:
    answer = grant(account, assertion(account, key, **changed))
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "invalid_scope"}


def test_a_foreign_key_is_refused(account: dict[str, str]) -> None:
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert grant(account, assertion(account, foreign)).json()["error"] == "invalid_grant"
    assert grant(account, "no.token.atall").json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_secret": "x"}, "invalid_client"),
        ({"refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_wrong_refresh_requests_are_refused(sandbox: Sandbox, changed: dict[str, str], error: str) -> None:
    answer = requests.post(f"{sandbox.system_url('ga4')}/token", data=REFRESH | changed, timeout=10)
    assert answer.json()["error"] == error


def test_a_token_that_does_not_fit_is_refused(client: Client, account: dict[str, str], key: rsa.RSAPrivateKey) -> None:
    other = assertion(account, key, scope="https://www.googleapis.com/auth/drive")
    client.token = grant(account, other).json()["access_token"]
    assert refused(client.report()) == (403, "PERMISSION_DENIED")
    client.token = "nonsense"
    assert refused(client.report()) == (401, "UNAUTHENTICATED")


def test_expired_tokens_are_refused_until_a_new_one_is_fetched(fresh_sandbox: Sandbox) -> None:
    client = Client(fresh_sandbox)
    client.order("expire_token")
    assert [refused(client.report()) for _ in range(2)] == [(401, "UNAUTHENTICATED")] * 2
    assert Client(fresh_sandbox).report().ok


@pytest.mark.parametrize(
    ("property_id", "wanted"),
    [
        ("350000002", (403, "PERMISSION_DENIED")),
        ("G-ABC123", (400, "INVALID_ARGUMENT")),
        ("1", (403, "PERMISSION_DENIED")),
    ],
)
def test_only_one_property_can_be_read(client: Client, property_id: str, wanted: tuple[int, str]) -> None:
    assert refused(client.ask("GET", f"/v1beta/properties/{property_id}/metadata")) == wanted


# Reports


def test_all_values_are_strings_under_typed_headers(client: Client) -> None:
    body = client.report("date", "sessions totalRevenue engagementRate", limit="2").json()
    assert body["dimensionHeaders"] == [{"name": "date"}]
    assert [header["type"] for header in body["metricHeaders"]] == ["TYPE_INTEGER", "TYPE_CURRENCY", "TYPE_FLOAT"]
    assert body["rowCount"] == 30
    assert len(body["rows"]) == 2
    assert all(isinstance(cell["value"], str) for row in body["rows"] for cell in row["metricValues"])
    assert body["metadata"] == {"currencyCode": "EUR", "timeZone": "Etc/UTC"}


@pytest.mark.parametrize(
    "dimensions",
    ["date", "sessionDefaultChannelGroup deviceCategory", "date country city", "dateHour", "landingPage browser month"],
)
def test_what_adds_up_gives_the_same_total_however_it_is_cut(client: Client, dimensions: str) -> None:
    metrics = "sessions screenPageViews newUsers transactions eventCount"
    whole = [int(value) for value in client.rows("", metrics)[0]]
    parts = client.rows(dimensions, metrics, limit=250_000)
    start = len(dimensions.split())
    assert [sum(int(row[start + place]) for row in parts) for place in range(5)] == whole


def test_people_who_come_again_count_once(client: Client) -> None:
    total = int(client.rows("", "totalUsers")[0][0])
    daily = [int(row[1]) for row in client.rows("date", "totalUsers")]
    assert max(daily) < total < sum(daily)


def test_two_asks_give_the_same_answer_and_so_does_another_sandbox(client: Client) -> None:
    rows = client.rows("date sessionDefaultChannelGroup", "sessions totalRevenue")
    assert client.rows("date sessionDefaultChannelGroup", "sessions totalRevenue") == rows
    company = client.sandbox.company
    with Sandbox(people=company.people, seed=company.seed, limits=False, today=company.today) as other:
        assert Client(other).rows("date sessionDefaultChannelGroup", "sessions totalRevenue") == rows


def test_events_share_the_count_between_them(client: Client) -> None:
    whole = int(client.rows("", "eventCount")[0][0])
    events = {row[0]: int(row[1]) for row in client.rows("eventName", "eventCount")}
    assert sum(events.values()) == whole
    assert events["purchase"] == int(client.rows("", "transactions")[0][0])


def test_pages_by_offset_hold_every_row_once(client: Client) -> None:
    order = [{"dimension": {"dimensionName": "date"}}, {"dimension": {"dimensionName": "country"}}]
    whole = client.rows("date country", "sessions", orderBys=order)
    paged = [
        row
        for offset in range(0, len(whole), 50)
        for row in client.rows("date country", "sessions", orderBys=order, offset=offset, limit=50)
    ]
    assert paged == whole
    assert "rows" not in client.report("date country", "sessions", offset=len(whole)).json()


def test_sorting_is_honoured(client: Client) -> None:
    by_sessions = client.rows("country", "sessions", orderBys=[{"metric": {"metricName": "sessions"}, "desc": False}])
    assert [int(row[1]) for row in by_sessions] == sorted(int(row[1]) for row in by_sessions)
    by_date = client.rows("date", orderBys=[{"dimension": {"dimensionName": "date"}, "desc": True}])
    assert [row[0] for row in by_date] == sorted((row[0] for row in by_date), reverse=True)


def test_days_are_inclusive_and_relative_to_the_company(client: Client) -> None:
    today = client.sandbox.company.today
    ranges = [{"startDate": "3daysAgo", "endDate": "yesterday"}]
    days = {row[0] for row in client.rows("date", ranges=ranges)}
    assert len(days) == 3
    assert f"{today:%Y%m%d}" not in days
    explicit = [{"startDate": f"{min(days)[:4]}-{min(days)[4:6]}-{min(days)[6:]}", "endDate": today.isoformat()}]
    assert {row[0] for row in client.rows("date", ranges=explicit)} == days


def test_nothing_to_report_leaves_rows_and_count_out(client: Client) -> None:
    body = client.report("date", ranges=[{"startDate": "today", "endDate": "today"}]).json()
    assert "rows" not in body
    assert "rowCount" not in body


def test_several_ranges_add_a_column(client: Client) -> None:
    ranges = [
        {"startDate": "7daysAgo", "endDate": "yesterday", "name": "this"},
        {"startDate": "14daysAgo", "endDate": "8daysAgo"},
    ]
    body = client.report("country", "sessions", ranges).json()
    assert [header["name"] for header in body["dimensionHeaders"]] == ["country", "dateRange"]
    sums: dict[str, int] = defaultdict(int)
    for row in body["rows"]:
        sums[row["dimensionValues"][1]["value"]] += int(row["metricValues"][0]["value"])
    assert sums == {
        name: int(client.rows("", "sessions", ranges=[{key: one[key] for key in ("startDate", "endDate")}])[0][0])
        for name, one in zip(("this", "date_range_1"), ranges, strict=True)
    }


def test_filters_join_conditions(client: Client) -> None:
    everything = client.rows("country deviceCategory", "sessions")
    wanted = {
        "andGroup": {
            "expressions": [
                {"filter": {"fieldName": "country", "inListFilter": {"values": ["germany", "France"]}}},
                {
                    "notExpression": {
                        "filter": {
                            "fieldName": "deviceCategory",
                            "stringFilter": {"matchType": "CONTAINS", "value": "tab"},
                        }
                    }
                },
            ]
        }
    }
    seen = client.rows("country deviceCategory", "sessions", dimensionFilter=wanted)
    assert sorted(seen) == sorted(row for row in everything if row[0] in {"Germany", "France"} and row[1] != "tablet")
    above = {
        "filter": {
            "fieldName": "sessions",
            "numericFilter": {"operation": "GREATER_THAN", "value": {"int64Value": "50"}},
        }
    }
    assert sorted(client.rows("country deviceCategory", "sessions", metricFilter=above)) == sorted(
        row for row in everything if int(row[2]) > 50
    )


def test_totals_stand_under_reserved_names(client: Client) -> None:
    body = client.report("country", "sessions", metricAggregations=["TOTAL", "MAXIMUM"]).json()
    assert body["totals"][0]["dimensionValues"] == [{"value": "RESERVED_TOTAL"}]
    assert int(body["totals"][0]["metricValues"][0]["value"]) == int(client.rows("", "sessions")[0][0])
    assert body["maximums"][0]["metricValues"] == body["rows"][0]["metricValues"]


def test_old_names_and_snake_case_are_taken(client: Client) -> None:
    assert client.rows("", "conversions") == client.rows("", "keyEvents")
    body = {"date_ranges": [{"start_date": "7daysAgo", "end_date": "yesterday"}], "metrics": [{"name": "sessions"}]}
    assert client.ask("POST", f"{PROPERTY}:runReport", body).ok


@pytest.mark.parametrize(
    "body",
    [
        {"dimensions": [{"name": "nosuch"}]},
        {"metrics": [{"name": "nosuch"}]},
        {"dimensions": [{"name": "itemName"}]},
        {"dimensions": [{"name": f"d{number}"} for number in range(10)]},
        {"dateRanges": []},
        {"dateRanges": [{"startDate": "yesterday", "endDate": "7daysAgo"}]},
        {"dateRanges": [{"startDate": "20260101", "endDate": "yesterday"}]},
        {"limit": -1},
        {"limit": "many"},
        {"orderBys": [{"metric": {"metricName": "totalUsers"}}]},
        {"dimensionFilter": {}},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_is_an_invalid_argument(client: Client, body: dict[str, object]) -> None:
    whole = {"dateRanges": LAST_MONTH, "dimensions": [{"name": "date"}], "metrics": [{"name": "sessions"}]} | body
    assert refused(client.ask("POST", f"{PROPERTY}:runReport", whole)) == (400, "INVALID_ARGUMENT")


def test_a_batch_holds_five_reports_of_one_property(client: Client) -> None:
    one = {"dateRanges": LAST_MONTH, "metrics": [{"name": "sessions"}]}
    answer = client.ask("POST", f"{PROPERTY}:batchRunReports", {"requests": [one] * 5}).json()
    assert [report["rows"] for report in answer["reports"]] == [client.report().json()["rows"]] * 5
    too_many = client.ask("POST", f"{PROPERTY}:batchRunReports", {"requests": [one] * 6})
    assert refused(too_many) == (400, "INVALID_ARGUMENT")
    foreign = {**one, "property": "properties/350000002"}
    assert client.ask("POST", f"{PROPERTY}:batchRunReports", {"requests": [foreign]}).status_code == 400


# Catalogue


def test_the_catalogue_lists_what_reports_take(client: Client) -> None:
    body = client.ask("GET", f"{PROPERTY}/metadata").json()
    common = client.ask("GET", "/v1beta/properties/0/metadata").json()
    names = {one["apiName"] for one in body["dimensions"]}
    assert names - {one["apiName"] for one in common["dimensions"]} == {"customEvent:plan"}
    for one in body["metrics"]:
        dimension = "itemName" if one["apiName"].startswith("item") else "date"
        assert client.report(dimension, one["apiName"]).json()["metricHeaders"][0]["type"] == one["type"]
    for name in names - {"itemName"}:
        assert client.report(name, "eventCount").ok, name


def test_compatibility_is_told_without_running_a_report(client: Client) -> None:
    body: Any = {"metrics": [{"name": "sessions"}], "compatibilityFilter": "INCOMPATIBLE"}
    answer = client.ask("POST", f"{PROPERTY}:checkCompatibility", body).json()
    assert [one["dimensionMetadata"]["apiName"] for one in answer["dimensionCompatibilities"]] == ["itemName"]
    assert {one["metricMetadata"]["apiName"] for one in answer["metricCompatibilities"]} == {
        "itemsPurchased",
        "itemRevenue",
    }


# Audiences


def export(client: Client, name: str, *dimensions: str) -> list[tuple[str, ...]]:
    audiences = client.ask("GET", "/v1alpha/properties/350000001/audiences").json()["audiences"]
    audience = next(one["name"] for one in audiences if one["displayName"] == name)
    body = {"audience": audience, "dimensions": [{"dimensionName": one} for one in dimensions]}
    made = client.ask("POST", f"{PROPERTY}/audienceExports", body).json()["response"]
    assert made["state"] == "CREATING"
    path = f"/v1beta/{made['name']}"
    assert client.ask("POST", f"{path}:query", {}).status_code == 400
    deadline = time.monotonic() + 10
    while client.ask("GET", path).json()["state"] != "ACTIVE" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client.ask("GET", path).json()["percentageCompleted"] == 100
    rows: list[tuple[str, ...]] = []
    while True:
        page = client.ask("POST", f"{path}:query", {"offset": str(len(rows)), "limit": "70"}).json()
        rows += [tuple(cell["value"] for cell in row["dimensionValues"]) for row in page.get("audienceRows", [])]
        if len(rows) >= page["rowCount"]:
            return rows


def test_an_export_holds_the_devices_of_the_members(client: Client) -> None:
    company = client.sandbox.company
    wanted = {
        (device.device_id, device.user_id)
        for index in range(company.population)
        if "Purchasers" in company.ga4_audiences(index)
        for device in company.devices(index)
        if device.user_id is not None
    }
    rows = export(client, "Purchasers", "deviceId", "userId")
    assert len(rows) == len(wanted)
    assert set(rows) == wanted


def test_all_users_are_in_with_their_devices_even_unknown_ones(client: Client) -> None:
    company = client.sandbox.company
    known = {device.device_id for index in range(company.population) for device in company.devices(index)}
    rows = export(client, "All users", "userId", "deviceId")
    assert len(rows) == len({device for _, device in rows}) == len(known) + company.anonymous_devices
    assert known < {device for _, device in rows}
    assert "" in {user for user, _ in rows}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"audience": "properties/350000001/audiences/1", "dimensions": [{"dimensionName": "userId"}]}, 404),
        ({"audience": "audiences/6000001", "dimensions": [{"dimensionName": "userId"}]}, 400),
        ({"audience": "properties/350000001/audiences/6000001", "dimensions": []}, 400),
        ({"audience": "properties/350000001/audiences/6000001", "dimensions": [{"dimensionName": "email"}]}, 400),
    ],
)
def test_an_export_must_name_an_audience_and_dimensions(client: Client, body: object, wanted: int) -> None:
    assert client.ask("POST", f"{PROPERTY}/audienceExports", body).status_code == wanted


def test_exports_are_listed_in_pages(fresh_sandbox: Sandbox) -> None:
    client = Client(fresh_sandbox)
    body = {"audience": "properties/350000001/audiences/6000003", "dimensions": [{"dimensionName": "userId"}]}
    made = [client.ask("POST", f"{PROPERTY}/audienceExports", body).json()["response"]["name"] for _ in range(3)]
    first = client.ask("GET", f"{PROPERTY}/audienceExports", pageSize=2).json()
    rest = client.ask("GET", f"{PROPERTY}/audienceExports", pageSize=2, pageToken=first["nextPageToken"]).json()
    assert "nextPageToken" not in rest
    assert {one["name"] for page in (first, rest) for one in page["audienceExports"]} == set(made)


# Limits and faults


def test_quota_is_in_the_body_when_asked_for_and_runs_out() -> None:
    with Sandbox(people=20) as sandbox:
        client = Client(sandbox)
        quota = client.report(returnPropertyQuota=True).json()["propertyQuota"]
        assert quota["tokensPerDay"]["remaining"] == 200_000 - quota["tokensPerDay"]["consumed"]
        assert "propertyQuota" not in client.report().json()
        sandbox.systems["ga4"].quota.charge(40_000)  # type: ignore[attr-defined]
        answer = client.report()
    assert refused(answer) == (429, "RESOURCE_EXHAUSTED")
    assert "per hour" in answer.json()["error"]["message"]
    assert "Retry-After" not in answer.headers


def test_ten_requests_may_run_side_by_side() -> None:
    with Sandbox(people=20, latency_ms=800) as sandbox:
        client = Client(sandbox)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: client.report(), range(16)))
    busy = [answer for answer in answers if answer.status_code == 429]
    assert 0 < len(busy) < 16
    assert all("concurrent" in answer.json()["error"]["message"] for answer in busy)


def test_ten_server_errors_block_the_property() -> None:
    with Sandbox(people=20) as sandbox:
        client = Client(sandbox)
        client.order("server_error", status=500, times=10)
        assert [refused(client.report()) for _ in range(10)] == [(500, "INTERNAL")] * 10
        assert "server errors" in client.report().json()["error"]["message"]


def test_faults_have_googles_shape(fresh_sandbox: Sandbox) -> None:
    client = Client(fresh_sandbox)
    client.order("rate_limited", policy="tokensPerDay", times=1)
    assert "per day" in client.report().json()["error"]["message"]
    client.order("empty", times=1)
    body = client.report("date").json()
    assert "rows" not in body
    assert "rowCount" not in body
    client.order("short_page", times=1)
    short = client.report("date", limit=9).json()
    assert (len(short["rows"]), short["rowCount"]) == (3, 30)
