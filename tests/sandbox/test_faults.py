"""Ordered faults hit what they should, as often as they should, and the log tells the story."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.faults import FaultOrder, Faults, row_is_refused

CONTACTS = "/crm/v3/objects/contacts"


class Client:
    """Speaks to one sandbox's HubSpot."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = "Bearer pat-sandbox-hubspot"

    def get(self, path: str = CONTACTS, **query: Any) -> requests.Response:
        return self.session.get(self.sandbox.system_url("hubspot") + path, params=query, timeout=10)

    def upsert(self, *rows: dict[str, object]) -> requests.Response:
        url = f"{self.sandbox.system_url('hubspot')}{CONTACTS}/batch/upsert"
        return self.session.post(url, json={"inputs": rows}, timeout=10)

    def order(self, kind: str, **details: Any) -> None:
        body = {"system": "hubspot", "kind": kind, **details}
        answer = self.session.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10)
        assert answer.status_code == 201, answer.text

    def control(self, method: str, path: str, /, **json: Any) -> requests.Response:
        url = f"{self.sandbox.url}/_sandbox{path}"
        return self.session.request(method, url, json=json or None, timeout=10)


@pytest.fixture
def client(fresh_sandbox: Sandbox) -> Client:
    return Client(fresh_sandbox)


def row(number: int) -> dict[str, object]:
    return {"id": f"new.{number}@box.example", "idProperty": "email", "properties": {"city": "Lyon"}}


def test_rate_limited_says_how_long_to_wait_and_stops_after_its_times(client: Client) -> None:
    client.order("rate_limited", times=2, seconds=7, policy="DAILY")
    answers = [client.get() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["policyName"] == "DAILY"


def test_every_nth_request_fails(client: Client) -> None:
    client.order("server_error", every=3, status=500)
    assert [client.get().status_code for _ in range(6)] == [200, 200, 500, 200, 200, 500]


def test_a_share_is_deterministic() -> None:
    order = FaultOrder(system="hubspot", kind="server_error", share=0.3)
    runs = []
    for _ in range(2):
        faults = Faults()
        faults.add(order)
        runs.append([faults.strike("hubspot", "GET", "/x").get("server_error") is not None for _ in range(200)])
    assert runs[0] == runs[1]
    assert 40 < sum(runs[0]) < 80


def test_path_and_method_narrow_a_fault(client: Client) -> None:
    client.order("server_error", path="owners$", method="GET")
    assert client.get().status_code == 200
    assert client.get("/crm/v3/owners").status_code == 503


def test_reset_before_the_work_leaves_nothing_and_after_it_leaves_everything(client: Client) -> None:
    for when, written in (("before", 0), ("after", 1)):
        client.order("reset", when=when, times=1)
        with pytest.raises(requests.ConnectionError):
            client.upsert(row(1))
        assert len(client.control("GET", "/state/hubspot").json()["contacts"]) == written


def test_a_server_error_comes_before_or_after_the_work(client: Client) -> None:
    for when, written in (("before", 0), ("after", 1)):
        client.order("server_error", when=when, status=502, times=1)
        assert client.upsert(row(1)).status_code == 502
        assert len(client.control("GET", "/state/hubspot").json()["contacts"]) == written


def test_a_slow_answer_does_its_work_at_its_start_or_at_its_end(client: Client) -> None:
    for when, number, early in (("before", 1, 0), ("after", 2, 2)):
        client.order("slow", when=when, seconds=0.5, times=1, method="POST")
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(client.upsert, row(number))
            time.sleep(0.25)
            assert len(client.control("GET", "/state/hubspot").json()["contacts"]) == early
        assert answer.result().status_code == 200


def test_a_sandbox_is_idle_once_all_has_been_worked_off(fresh_sandbox: Sandbox) -> None:
    with Client(fresh_sandbox).session as session:
        session.get(f"{fresh_sandbox.url}/_sandbox/health", timeout=10)
        assert not fresh_sandbox.is_idle, "its connection is open"
    until = time.monotonic() + 10
    while not fresh_sandbox.is_idle:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_truncated_body_is_malformed_json(client: Client) -> None:
    client.order("truncated", times=1)
    answer = client.get(limit=5)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_html_under_status_200(client: Client) -> None:
    client.order("html", times=1)
    answer = client.get()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")


def test_renamed_and_dropped_fields(client: Client) -> None:
    client.order("rename_field", **{"from": "email", "to": "e_mail"})
    client.order("drop_field", field="firstname")
    properties = client.get(limit=1).json()["results"][0]["properties"]
    assert "e_mail" in properties
    assert not {"email", "firstname"} & properties.keys()


def test_an_empty_account(client: Client) -> None:
    client.order("empty")
    assert client.get().json() == {"results": []}
    url = client.sandbox.system_url("hubspot")
    assert client.session.post(f"{url}/crm/v3/lists/search", json={}, timeout=10).json() == {
        "lists": [],
        "hasMore": False,
        "offset": 3,
        "total": 0,
    }


def test_short_pages_lose_nothing(client: Client) -> None:
    whole = {one["id"] for one in _walk(client, 100)}
    client.order("short_page", every=2)
    pages = Counter(one["id"] for one in _walk(client, 100))
    assert pages.keys() == whole
    assert max(pages.values()) == 1


def _walk(client: Client, limit: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    after = "0"
    while after:
        body = client.get(limit=limit, after=after).json()
        rows += body["results"]
        after = body.get("paging", {}).get("next", {}).get("after", "")
    return rows


def test_refused_rows_are_always_the_same_ones(client: Client) -> None:
    order = FaultOrder(system="hubspot", kind="refuse_rows", share=0.2)
    expected = {f"new.{number}@box.example" for number in range(50)}
    expected = {email for email in expected if row_is_refused(order, email)}
    assert 2 < len(expected) < 20
    client.order("refuse_rows", share=0.2)
    for _ in range(2):
        answer = client.upsert(*(row(number) for number in range(50)))
        assert answer.status_code == 207
        assert {error["context"]["ids"][0] for error in answer.json()["errors"]} == expected
        assert len(answer.json()["results"]) == 50 - len(expected)


def test_a_refused_row_can_refuse_its_whole_batch(client: Client) -> None:
    client.order("refuse_rows", share=0.2, whole_batch=True)
    assert client.upsert(*(row(number) for number in range(50))).status_code == 400
    singles = [client.upsert(row(number)).status_code for number in range(50)]
    assert set(singles) == {200, 400}


def test_a_fixed_token_is_refused_as_expired_for_the_ordered_times(client: Client) -> None:
    client.order("expire_token", times=2)
    answers = [client.get() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert answers[0].json()["category"] == "EXPIRED_AUTHENTICATION"


def test_issued_tokens_expire_until_renewed(client: Client) -> None:
    form = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "sandbox-refresh",
    }
    url = client.sandbox.system_url("hubspot") + "/oauth/v1/token"

    def renew() -> None:
        token = requests.post(url, data=form, timeout=10).json()["access_token"]
        client.session.headers["Authorization"] = f"Bearer {token}"

    renew()
    assert client.get().status_code == 200
    client.order("expire_token")
    assert client.get().status_code == 401
    renew()
    assert client.get().status_code == 200


def test_faults_can_be_listed_and_cleared(client: Client) -> None:
    client.order("server_error")
    client.get()
    assert client.control("GET", "/faults").json()["faults"][0]["hits"] == 1
    client.control("DELETE", "/faults")
    assert client.get().status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        {"system": "nowhere", "kind": "html"},
        {"system": "hubspot", "kind": "rename_field"},
        {"system": "hubspot", "kind": "explode"},
        {"system": "hubspot", "kind": "html", "unknown": 1},
        {"system": "hubspot", "kind": "html", "path": "("},
    ],
)
def test_orders_that_make_no_sense_are_refused(client: Client, order: dict[str, object]) -> None:
    assert client.control("POST", "/faults", **order).status_code in {404, 422}


def test_requests_are_counted_by_route_and_status(client: Client) -> None:
    client.get()
    client.get(f"{CONTACTS}/1")
    client.get("/nowhere")
    report = client.control("GET", "/requests?detail=1").json()
    counts = {(one["method"], one["route"], one["status"]): one["count"] for one in report["systems"]["hubspot"]}
    assert counts == {
        ("GET", "/crm/v3/objects/{type}", 200): 1,
        ("GET", "/crm/v3/objects/{type}/{id}", 404): 1,
        ("GET", "(no such route)", 404): 1,
    }
    assert [one["path"] for one in report["recent"]] == [CONTACTS, f"{CONTACTS}/1", "/nowhere"]
    client.control("DELETE", "/requests")
    assert client.control("GET", "/requests").json() == {"systems": {}}


def test_reset_forgets_everything(client: Client) -> None:
    client.upsert(row(1))
    client.order("server_error")
    client.control("POST", "/advance", share=0.5)
    client.control("POST", "/reset")
    assert client.get().status_code == 200
    assert client.control("GET", "/state/hubspot").json()["contacts"] == []
    assert client.control("GET", "/health").json()["people"] == 300
