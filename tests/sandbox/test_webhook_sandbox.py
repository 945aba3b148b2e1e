"""The webhook receiver, over HTTP."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import pytest
import requests

from millstream.sandbox import Sandbox

SECRET = "sandbox-webhook-secret"
SIGNED_BATCH = {
    "sync_id": "vip",
    "run_id": "run-1",
    "batch_id": "1",
    "sent_at": "2026-11-20T08:00:00+00:00",
    "destination": "hook",
    "operation": "upsert",
    "audience": {"id": "vip", "name": "Best customers"},
}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=10, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    requests.post(f"{running.url}/_sandbox/reset", timeout=5)
    return running


def record(row_id: int, key: object, operation: str = "upsert", **fields: object) -> dict[str, object]:
    return {"row_id": row_id, "key": key, "fields": fields, "operation": operation}


def batch(*records: dict[str, object], **changes: object) -> dict[str, object]:
    return {**SIGNED_BATCH, "records": list(records), **changes}


def signature(body: bytes, *, age: int = 0, secret: str = SECRET) -> str:
    at = int(time.time()) - age
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def post(sandbox: Sandbox, content: object, *, hook: str = "customers", key: str = "run-1-1", **headers: str) -> Any:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    sent = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "X-Signature": signature(body),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return requests.post(f"{sandbox.url}/webhook/hooks/{hook}", data=body, headers=sent, timeout=10)


def state(sandbox: Sandbox) -> Any:
    return requests.get(f"{sandbox.url}/_sandbox/state/webhook", timeout=5).json()


def person(email: str, fields: dict[str, object], *audiences: str) -> dict[str, object]:
    return {
        "match": {"email": email},
        "id": None,
        "standing": "",
        "fields": fields,
        "audiences": list(audiences),
        "written": True,
    }


def test_people_are_kept_with_their_fields_and_audiences(sandbox: Sandbox) -> None:
    ana, bo = record(1, "Ana@box.example", name="Ana", age=31), record(2, {"email": "bo@box.example"})
    answer = post(sandbox, batch(ana, bo))
    assert (answer.status_code, answer.json()["results"]) == (
        200,
        [{"row_id": 1, "status": "ok"}, {"row_id": 2, "status": "ok"}],
    )
    assert post(sandbox, batch(record(1, "ana@box.example", age=None, city="Bonn")), key="2").ok
    found = state(sandbox)
    assert found["people"] == [
        person("ana@box.example", {"name": "Ana", "city": "Bonn"}, "vip"),
        person("bo@box.example", {}, "vip"),
    ]
    assert found["audiences"] == {"vip": "Best customers"}


def test_people_leave_an_audience_or_are_deleted(sandbox: Sandbox) -> None:
    post(sandbox, batch(record(1, "ana@box.example", name="Ana"), record(2, "bo@box.example")))
    gone = [record(1, "ana@box.example", "remove", name=None), record(2, "never@box.example", "remove")]
    assert post(sandbox, batch(*gone, operation="remove"), key="2").status_code == 200
    assert post(sandbox, batch(record(1, "bo@box.example", "delete"), operation="delete"), key="3").status_code == 200
    assert state(sandbox)["people"] == [person("ana@box.example", {})]


def test_a_bad_key_is_an_error_of_its_row(sandbox: Sandbox) -> None:
    answer = post(sandbox, batch(record(1, "ana@box.example"), record(2, "bad@@example"), record(3, {"phone": ""})))
    assert answer.status_code == 207
    assert answer.json()["results"] == [
        {"row_id": 2, "status": "error", "error": "the key is not an e-mail address"},
        {"row_id": 3, "status": "error", "error": "the key is empty, or has spaces around it"},
        {"row_id": 1, "status": "ok"},
    ]
    assert [one["match"] for one in state(sandbox)["people"]] == [{"email": "ana@box.example"}]


def test_a_silent_hook_says_nothing_and_refuses_a_bad_batch_whole(sandbox: Sandbox) -> None:
    assert (
        post(sandbox, batch(record(1, "ana@box.example"), record(2, "bad@@example")), hook="silent").status_code == 400
    )
    assert state(sandbox)["people"] == []
    answer = post(sandbox, batch(record(1, "ana@box.example")), hook="silent")
    assert (answer.status_code, answer.content) == (200, b"")
    assert state(sandbox)["people"] == [person("ana@box.example", {}, "vip")]


def test_a_repeated_key_answers_as_before_and_changes_nothing(sandbox: Sandbox) -> None:
    content = batch(record(1, "ana@box.example", name="Ana"), record(2, "bad@@example"))
    first = post(sandbox, content)
    post(sandbox, batch(record(1, "ana@box.example", name="Anna")), key="run-1-2")
    again = post(sandbox, {**content, "sent_at": "2026-11-20T08:05:00+00:00"})
    assert (again.status_code, again.content) == (first.status_code, first.content) == (207, first.content)
    found = state(sandbox)
    assert found["people"] == [person("ana@box.example", {"name": "Anna"}, "vip")]
    assert (found["batches"], found["repeated"]) == (2, 1)


def test_a_key_belongs_to_one_batch(sandbox: Sandbox) -> None:
    post(sandbox, batch(record(1, "ana@box.example")))
    assert post(sandbox, batch(record(1, "bo@box.example"))).status_code == 422
    assert post(sandbox, batch(record(1, "bo@box.example")), key="").status_code == 400
    assert len(state(sandbox)["people"]) == 1


def test_what_was_done_before_the_answer_was_lost_is_not_done_again(sandbox: Sandbox) -> None:
    fault = {"system": "webhook", "kind": "reset", "when": "after", "times": 1}
    requests.post(f"{sandbox.url}/_sandbox/faults", json=fault, timeout=5)
    with pytest.raises(requests.ConnectionError):
        post(sandbox, batch(record(1, "ana@box.example")))
    assert post(sandbox, batch(record(1, "ana@box.example"))).status_code == 200
    assert state(sandbox)["repeated"] == 1


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (signature, 200),
        (lambda body: signature(body, age=290), 200),
        (lambda body: signature(body, age=310), 401),
        (lambda body: signature(body, age=-310), 401),
        (lambda body: signature(body, secret="other"), 401),
        (lambda body: signature(body + b" "), 401),
        (lambda body: signature(body).replace("v1=", "v0="), 401),
        (lambda body: f"{signature(body)},v1=00", 401),
        (lambda body: "t=now,v1=00", 401),
        (lambda body: "", 401),
    ],
)
def test_the_signature_is_that_of_the_body_and_of_now(sandbox: Sandbox, header: Any, status: int) -> None:
    body = orjson.dumps(batch(record(1, "ana@box.example")))
    assert post(sandbox, body, X_Signature=header(body)).status_code == status
    assert len(state(sandbox)["people"]) == (status == 200)


@pytest.mark.parametrize(
    ("hook", "authorization", "status"),
    [
        ("bearer", "Bearer sandbox-webhook-token", 200),
        ("bearer", "Bearer other", 401),
        ("basic", basic("sandbox-webhook:sandbox-webhook-password"), 200),
        ("basic", basic("sandbox-webhook:other"), 401),
        ("customers", "Bearer sandbox-webhook-token", 401),
        ("readonly", "", 403),
        ("ended", "", 410),
        ("other", "", 404),
    ],
)
def test_hooks_differ_in_what_they_ask(sandbox: Sandbox, hook: str, authorization: str, status: int) -> None:
    content = batch(record(1, "ana@box.example"))
    signed = {} if hook == "readonly" else {"X_Signature": ""}
    answer = post(sandbox, content, hook=hook, Authorization=authorization, **signed)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "content",
    [
        batch(),
        batch(*(record(row, "ana@box.example") for row in range(1001))),
        batch(record(1, "ana@box.example"), colour="red"),
        batch({**record(1, "ana@box.example"), "colour": "red"}),
        batch(record(1, "ana@box.example"), audience={"id": "vip", "name": "", "size": 3}),
        batch(record(1, "ana@box.example", tags=["a"])),
        batch(record(1, {"email": "ana@box.example", "phone": "1"})),
        batch(record(1, "ana@box.example", "delete")),
        batch(record(1, "ana@box.example"), record(1, "bo@box.example")),
        batch(record(1, "ana@box.example", "remove"), operation="remove", audience=None),
        batch(record(1, "ana@box.example"), operation="merge"),
        batch(record(1, "ana@box.example"), sent_at="2026-11-20T08:00:00"),
        batch(record(1, "ana@box.example"), sent_at="yesterday"),
        batch(record(1, "ana@box.example"), run_id=7),
        b"{",
    ],
)
def test_a_batch_that_is_not_as_agreed_is_refused(sandbox: Sandbox, content: object) -> None:
    assert post(sandbox, content).status_code == 400
    assert state(sandbox)["people"] == []


def test_size_and_packing(sandbox: Sandbox) -> None:
    small = orjson.dumps(batch(record(1, "ana@box.example")))
    large = orjson.dumps(batch(record(1, "ana@box.example", note="x" * 1_000_000)))
    assert post(sandbox, large).status_code == 413
    assert post(sandbox, gzip.compress(large), Content_Encoding="gzip").status_code == 413
    assert post(sandbox, gzip.compress(small), Content_Encoding="gzip").status_code == 200
    assert post(sandbox, gzip.compress(small)[:-9], Content_Encoding="gzip").status_code == 400
    assert post(sandbox, small, Content_Encoding="gzip").status_code == 400
    assert post(sandbox, small, Content_Encoding="br").status_code == 415
    assert post(sandbox, small, Content_Type="text/plain").status_code == 415


def test_too_many_deliveries_are_told_to_wait(sandbox: Sandbox) -> None:
    for policy in (None, "date"):
        fault = {"system": "webhook", "kind": "rate_limited", "seconds": 7, "times": 1, "policy": policy}
        requests.post(f"{sandbox.url}/_sandbox/faults", json=fault, timeout=5)
    first, second = (post(sandbox, batch(record(1, "ana@box.example"))) for _ in range(2))
    assert (first.status_code, first.headers["Retry-After"]) == (429, "7")
    assert second.status_code == 429
    assert 0 < parsedate_to_datetime(second.headers["Retry-After"]).timestamp() - time.time() <= 7
    assert post(sandbox, batch(record(1, "ana@box.example"))).status_code == 200


def test_refused_rows_can_be_ordered(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/_sandbox/faults"
    fault = {"system": "webhook", "kind": "refuse_rows", "share": 1}
    requests.post(url, json=fault, timeout=5)
    assert post(sandbox, batch(record(1, "ana@box.example"))).status_code == 207
    requests.delete(url, timeout=5)
    requests.post(url, json={**fault, "whole_batch": True}, timeout=5)
    assert post(sandbox, batch(record(1, "ana@box.example")), key="2").status_code == 400


def test_only_posts_are_taken_and_the_credentials_given_work(sandbox: Sandbox) -> None:
    given = requests.get(f"{sandbox.url}/_sandbox/credentials/webhook", timeout=5).json()
    assert given == {"base_url": f"{sandbox.url}/webhook/hooks/customers", "signing_secret": SECRET}
    assert requests.get(given["base_url"], headers={"X-Signature": signature(b"")}, timeout=5).status_code == 405
    assert requests.post(f"{sandbox.url}/webhook/other", timeout=5).status_code == 404
