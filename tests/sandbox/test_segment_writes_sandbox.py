"""The write end of the Segment stand-in: the Tracking API and the regulations of the Public API, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import requests

from millstream.sandbox import Sandbox

KEY = "sandbox-segment-write-key"
PUBLIC = "sgp_sandbox-segment"


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """The module's sandbox, as it was at the start."""
    requests.post(f"{shared.url}/_sandbox/reset", timeout=10).raise_for_status()
    return shared


def post(sandbox: Sandbox, path: str, body: Any, key: str = KEY, **more: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/segment/v1/{path}", json=body, auth=(key, ""), timeout=10, **more)


def public(sandbox: Sandbox, method: str, path: str, body: Any = None, token: str = PUBLIC) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, f"{sandbox.url}/segment/{path}", headers=headers, json=body, timeout=10)


def state(sandbox: Sandbox) -> dict[str, Any]:
    return dict(requests.get(f"{sandbox.url}/_sandbox/state/segment", timeout=10).json())


def told(sandbox: Sandbox, user_id: str) -> dict[str, Any] | None:
    return next((one for one in state(sandbox)["people"] if one["id"] == user_id), None)


def identify(user_id: str, **traits: object) -> dict[str, object]:
    return {"type": "identify", "userId": user_id, "traits": traits}


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_traits_arrive_and_can_be_read_back(sandbox: Sandbox) -> None:
    batch = [identify("U-1", email="ana@box.example", vip=True, city="Lyon"), identify("U-1", city=None)]
    answer = post(sandbox, "batch", {"batch": batch})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    person = told(sandbox, "U-1")
    assert person is not None
    assert person["match"] == {"email": "ana@box.example", "external_id": "U-1", "phone": None}
    assert person["fields"] == {"email": "ana@box.example", "vip": True}
    assert (person["audiences"], person["written"]) == (["vip"], True)
    for name in ("user_id:u-1", "email:ana@box.example"):
        url = f"{sandbox.url}/segment/v1/spaces/spa_sandbox/collections/users/profiles/{name}/traits"
        read = requests.get(url, auth=("sandbox-segment-profile", ""), timeout=10)
        assert read.json()["traits"] == {"email": "ana@box.example", "vip": True}


def test_audiences_follow_the_last_event(sandbox: Sandbox) -> None:
    def moved(name: str, audience: str) -> None:
        post(sandbox, "track", {"userId": "u", "event": f"Audience {name}", "properties": {"audience_key": audience}})

    moved("Entered", "vip")
    moved("Entered", "winback")
    moved("Exited", "vip")
    person = told(sandbox, "u")
    assert person is not None
    assert person["audiences"] == ["winback"]
    assert [one["event"] for one in person["events"]] == ["Audience Entered", "Audience Entered", "Audience Exited"]


def test_a_customer_of_the_company_keeps_what_is_not_written(sandbox: Sandbox) -> None:
    before = next(one for one in state(sandbox)["people"] if one["standing"] == "subscribed")
    assert not before["written"]
    post(sandbox, "identify", identify(before["id"], vip=True))
    after = told(sandbox, before["id"])
    assert after is not None
    assert after["fields"] == before["fields"] | {"vip": True}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "identify", "traits": {"a": 1}}, "no identifier"),
        ({"type": "identify", "userId": "", "traits": {"a": 1}}, "no identifier"),
        ({"type": "track", "userId": "u"}, "no event name"),
        ({"type": "group", "userId": "u"}, "no other identifier"),
        ({"type": "alias", "userId": "u"}, "no other identifier"),
        ({"type": "purchase", "userId": "u"}, "unknown type"),
        ({"type": "identify", "userId": "u", "messageId": "m" * 100}, "message id too long"),
        ("nonsense", "not an object"),
    ],
)
def test_what_cannot_be_used_is_dropped_in_silence(sandbox: Sandbox, event: Any, reason: str) -> None:
    answer = post(sandbox, "batch", {"batch": [event, identify("good")]})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    seen = state(sandbox)
    assert (seen["dropped"], seen["accepted"]) == ({reason: 1}, 1)


def test_a_message_counts_once(sandbox: Sandbox) -> None:
    for city in ("Lyon", "Nice"):
        post(sandbox, "identify", {**identify("u", city=city), "messageId": "run-1"})
    person = told(sandbox, "u")
    assert person is not None
    assert person["fields"] == {"city": "Lyon"}
    assert state(sandbox)["dropped"] == {"seen before": 1}


def test_of_too_many_events_none_arrives(sandbox: Sandbox) -> None:
    events = [identify(f"u-{number}") for number in range(2501)]
    assert post(sandbox, "batch", {"batch": events}).json() == {"success": True}
    assert state(sandbox)["accepted"] == 0
    assert post(sandbox, "batch", {"batch": events[:2500]}).json() == {"success": True}
    assert state(sandbox)["accepted"] == 2500


def test_sizes_and_broken_json_are_refused(sandbox: Sandbox) -> None:
    large = identify("u", note="x" * 33_000)
    assert post(sandbox, "identify", large).status_code == 400
    assert post(sandbox, "batch", {"batch": [identify("u"), large]}).status_code == 400
    fitting = identify("u", note="x" * 31_000)
    assert post(sandbox, "batch", {"batch": [fitting] * 17}).status_code == 400
    assert post(sandbox, "batch", {"batch": [fitting] * 15}).status_code == 200
    url, json = f"{sandbox.url}/segment/v1/batch", {"Content-Type": "application/json"}
    assert requests.post(url, b'{"batch": [', auth=(KEY, ""), headers=json, timeout=10).status_code == 400
    assert requests.post(url, b"{}", auth=(KEY, ""), timeout=10).status_code == 400
    assert post(sandbox, "batch", {"events": []}).status_code == 400
    assert state(sandbox)["accepted"] == 15


def test_a_wrong_write_key_is_answered_like_a_right_one(sandbox: Sandbox) -> None:
    body = {"batch": [identify("u")]}
    assert post(sandbox, "batch", body, key="wrong").json() == {"success": True}
    assert (state(sandbox)["accepted"], state(sandbox)["dropped"]) == (0, {"unknown write key": 1})
    tracking = sandbox.systems["segment"].tracking  # type: ignore[attr-defined]
    tracking.refuses_wrong_keys = True
    assert post(sandbox, "batch", body, key="wrong").status_code == 401


def test_other_ways_to_say_who_calls(sandbox: Sandbox) -> None:
    url, body = f"{sandbox.url}/segment/v1/identify", identify("u") | {"writeKey": KEY}
    assert requests.post(url, json=body, timeout=10).status_code == 200
    for token, status in (("sandbox-segment-oauth", 200), ("wrong", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.post(url, json=body, headers=headers, timeout=10).status_code == status
    assert state(sandbox)["accepted"] == 2


def test_consent_and_groups_are_kept(sandbox: Sandbox) -> None:
    consent = {"consent": {"categoryPreferences": {"Advertising": False}}}
    group = {"type": "group", "userId": "u", "groupId": "g", "traits": {"plan": "gold"}}
    post(sandbox, "batch", {"batch": [group], "context": consent})
    person = told(sandbox, "u")
    assert person is not None
    assert (person["consent"], person["groups"]) == ({"Advertising": False}, {"g": {"plan": "gold"}})


def test_some_are_suppressed_from_the_start(sandbox: Sandbox) -> None:
    people = state(sandbox)["people"]
    suppressed = [one["id"] for one in people if one["standing"] == "suppressed"]
    assert 0 < len(suppressed) < len(people) / 5
    listed = public(sandbox, "GET", "suppressions").json()["data"]
    assert [one["subjectIds"][0] for one in listed["suppressed"]] == suppressed
    post(sandbox, "identify", identify(suppressed[0], vip=True))
    assert state(sandbox)["dropped"] == {"suppressed": 1}


def test_a_regulation_deletes_after_a_while(sandbox: Sandbox) -> None:
    post(sandbox, "identify", identify("U-9", city="Lyon"))
    body = {"regulationType": "SUPPRESS_WITH_DELETE", "subjectType": "USER_ID", "subjectIds": ["U-9"]}
    made = public(sandbox, "POST", "regulations/sources/src_sandbox_http", body).json()["data"]["regulateId"]
    path = f"regulations/{made}"
    first = public(sandbox, "GET", path).json()["data"]["regulation"]
    assert (first["id"], first["overallStatus"], "finishedAt" in first) == (made, "INITIALIZED", False)
    assert told(sandbox, "U-9") is not None

    def status() -> str:
        return str(public(sandbox, "GET", path).json()["data"]["regulation"]["overallStatus"])

    wait_for(lambda: status() == "FINISHED")
    assert told(sandbox, "U-9") is None
    assert state(sandbox)["deleted"] == ["u-9"]
    post(sandbox, "identify", identify("U-9", city="Nice"))
    assert told(sandbox, "U-9") is None
    listed = public(sandbox, "GET", "regulations?status=FINISHED").json()["data"]
    assert [one["id"] for one in listed["regulations"]] == [made]


def test_somebody_deleted_alone_can_come_back(sandbox: Sandbox) -> None:
    sandbox.systems["segment"].regulations.seconds = 0  # type: ignore[attr-defined]
    post(sandbox, "identify", identify("u", city="Lyon"))
    body = {"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": ["u"]}
    public(sandbox, "POST", "regulations", body)
    assert told(sandbox, "u") is None
    post(sandbox, "identify", identify("u", name="Ana"))
    person = told(sandbox, "u")
    assert person is not None
    assert person["fields"] == {"name": "Ana"}


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        ({"regulationType": "FORGET", "subjectType": "USER_ID", "subjectIds": ["u"]}, PUBLIC, 422),
        ({"regulationType": "DELETE_ONLY", "subjectType": "EMAIL", "subjectIds": ["u"]}, PUBLIC, 422),
        ({"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": ["u"] * 5001}, PUBLIC, 422),
        ({"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": []}, PUBLIC, 422),
        ({}, "wrong", 401),
        ({}, "sgp_sandbox-segment-reader", 403),
    ],
)
def test_a_wrong_regulation_is_refused(sandbox: Sandbox, body: Any, token: str, status: int) -> None:
    answer = public(sandbox, "POST", "regulations", body, token)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]


def test_limits_say_when_to_come_back() -> None:
    with Sandbox(people=10) as sandbox:
        windows = sandbox.systems["segment"].windows  # type: ignore[attr-defined]
        windows["tracking"].allowed = windows["public api"].allowed = 1
        assert post(sandbox, "identify", identify("u")).status_code == 200
        refused = post(sandbox, "identify", identify("u"))
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == refused.headers["X-RateLimit-Reset"] == "1"
        assert public(sandbox, "GET", "suppressions").headers["X-RateLimit-Remaining"] == "0"
        assert public(sandbox, "GET", "suppressions").json()["errors"][0]["type"] == "too-many-requests"


def test_faults_reach_the_events(sandbox: Sandbox) -> None:
    def arm(**order: object) -> None:
        body = {"system": "segment", "path": "batch$"} | order
        requests.post(f"{sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()

    arm(kind="refuse_rows", share=0.5)
    post(sandbox, "batch", {"batch": [identify(f"u-{number}") for number in range(100)]})
    seen = state(sandbox)
    assert 20 < seen["dropped"]["refused"] < 80
    assert seen["accepted"] + seen["dropped"]["refused"] == 100
    requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=10)
    arm(kind="reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "batch", {"batch": [identify("lost")]})
    assert told(sandbox, "lost") is not None


def test_bodies_are_counted_in_bytes(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/segment/v1/identify"
    body = orjson.dumps(identify("u", note="é" * 17_000))
    headers = {"Content-Type": "application/json"}
    assert requests.post(url, body, auth=(KEY, ""), headers=headers, timeout=10).status_code == 400
