"""The CleverTap stand-in, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.clevertap import CleverTap

ACCOUNT, PASSCODE = "SBX-123-456Z", "sandbox-clevertap"


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, account: str = ACCOUNT, passcode: str = PASSCODE, region: str = "") -> None:
        self.sandbox = sandbox
        self.url = sandbox.system_url("clevertap") + region
        self.headers = {"X-CleverTap-Account-Id": account, "X-CleverTap-Passcode": passcode}
        system = sandbox.systems["clevertap"]
        assert isinstance(system, CleverTap)
        system.later.seconds = 0.02

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        url = self.url + path
        return requests.request(method, url, headers=self.headers, json=body, params=params, timeout=30)  # type: ignore[arg-type]

    def post(self, path: str, body: object = None, **params: object) -> Any:
        answer = self.ask("POST", path, body, **params)
        assert answer.ok, answer.text
        return answer.json()

    def upload(self, *records: Mapping[str, object], **params: object) -> Any:
        return self.post("/1/upload", {"d": list(records)}, **params)

    def profile(self, **who: str) -> Any:
        answer = self.ask("GET", "/1/profile.json", **who)
        assert answer.ok, answer.text
        return answer.json()["record"]

    def state(self) -> Any:
        return requests.get(f"{self.sandbox.url}/_sandbox/state/clevertap", timeout=30).json()

    def person(self, object_id: str) -> Any:
        return next((one for one in self.state()["people"] if one["id"] == object_id), None)

    def people(self, standing: str) -> list[Any]:
        return [one for one in self.state()["people"] if one["standing"] == standing and not one["written"]]

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "clevertap", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


def person(identity: object, **data: object) -> dict[str, object]:
    return {"identity": identity, "type": "profile", "profileData": data}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def client(shared: Sandbox) -> Iterator[Client]:
    yield Client(shared)
    requests.delete(f"{shared.url}/_sandbox/faults", timeout=10).raise_for_status()


# Who may ask


@pytest.mark.parametrize(
    ("account", "passcode", "region", "status"),
    [
        (ACCOUNT, PASSCODE, "", 200),
        (ACCOUNT, PASSCODE, "/eu1", 200),
        (ACCOUNT, PASSCODE, "/in1", 401),
        (ACCOUNT, "wrong", "", 401),
        ("SBX-000-000Z", PASSCODE, "", 401),
    ],
)
def test_account_passcode_and_region_must_fit(
    shared: Sandbox, account: str, passcode: str, region: str, status: int
) -> None:
    answer = Client(shared, account, passcode, region).ask("GET", "/1/profile.json", identity="nobody")
    assert answer.status_code == status
    assert answer.json()["status"] == ("success" if status == 200 else "fail")


def test_there_are_people_of_all_standings_before_any_sync(client: Client) -> None:
    state = client.state()
    assert {one["standing"] for one in state["people"]} == {"subscribed", "unsubscribed", "dnd"}
    assert any("VIP" in one["audiences"] for one in state["people"])


# Uploads


def test_an_upload_creates_and_updates(client: Client) -> None:
    known = client.people("subscribed")[0]
    answer = client.upload(
        person("N-1", Email="n1@shop.web.example", Phone="+4915112345678", LTV=12.5, Tags=["a", "b"]),
        person(known["identities"][0], LTV=7),
    )
    assert answer == {"status": "success", "processed": 2, "unprocessed": []}
    made = client.profile(identity="N-1")
    assert (made["email"], made["phone"], made["profileData"]) == (
        "n1@shop.web.example",
        "+4915112345678",
        {"LTV": 12.5, "Tags": ["a", "b"]},
    )
    assert client.profile(objectId=known["id"])["profileData"]["LTV"] == 7


def test_bad_records_are_left_out_under_http_200(client: Client) -> None:
    bad: list[tuple[dict[str, object], int]] = [
        (person("B-1", Email="no-address"), 515),
        (person("B-2", Phone="0151 5"), 516),
        (person("B-3", Gender="X"), 514),
        ({"type": "profile", "profileData": {"Name": "Nobody"}}, 523),
        ({"identity": "B-5", "profileData": {}}, 524),
        ({**person("B-6"), "ts": "2026-11-01"}, 525),
        ({"objectId": "what", "type": "profile", "profileData": {}}, 526),
        ({"identity": "B-8", "type": "event", "evtData": {}}, 509),
        ({"identity": "B-9", "type": "event", "evtName": "App Launched"}, 513),
        (person("B-10", Address={"City": "Berlin"}), 512),
    ]
    answer = client.upload(person("B-0", Name="Good"), *(record for record, _ in bad))
    assert (answer["status"], answer["processed"]) == ("partial", 1)
    assert [(one["record"], one["code"]) for one in answer["unprocessed"]] == bad
    assert all(one["status"] == "fail" for one in answer["unprocessed"])
    assert client.upload(bad[0][0])["status"] == "fail"
    assert client.profile(identity="B-1") == {}


def test_a_request_has_a_shape_and_a_size(client: Client) -> None:
    assert client.ask("POST", "/1/upload", {"records": []}).status_code == 400
    assert client.ask("POST", "/1/upload", [person("S-1")]).status_code == 400
    assert client.ask("POST", "/1/upload", {"d": [person(f"S-{number}") for number in range(1001)]}).status_code == 400
    assert client.upload(*(person(f"S-{number}") for number in range(1000)))["processed"] == 1000


def test_a_dry_run_looks_and_saves_nothing(client: Client) -> None:
    answer = client.upload(person("D-1", Name="Dry"), person("D-2", Email="bad"), dryRun=1)
    assert (answer["status"], answer["processed"]) == ("partial", 1)
    assert client.profile(identity="D-1") == {}


def test_properties_change_by_operators_and_a_null_does_nothing(client: Client) -> None:
    client.upload(person("O-1", Tags=["a", "b"], Score=5, Old="x", Kept="y"))
    client.upload(
        person("O-1", Tags={"$add": ["c"]}, Score={"$incr": 2}, Old={"$delete": 1}, Kept=None),
        person("O-1", Tags={"$remove": ["a"]}),
    )
    assert client.profile(identity="O-1")["profileData"] == {"Tags": ["b", "c"], "Score": 7, "Kept": "y"}


def test_what_is_too_long_is_cut_off_without_a_word(client: Client) -> None:
    assert client.upload(person("L-1", Text="x" * 600, **{"k" * 130: 1}))["status"] == "success"
    data = client.profile(identity="L-1")["profileData"]
    assert (len(data["Text"]), "k" * 120 in data) == (512, True)


def test_an_address_finds_the_profile_that_has_it_and_two_profiles_become_one(client: Client) -> None:
    known = client.people("subscribed")[1]
    client.upload(person("M-1", Email=known["match"]["email"].upper()))
    assert client.profile(identity="M-1")["objectId"] == known["id"]
    client.upload(person(known["match"]["email"], City="Berlin"))
    assert client.person(known["id"])["fields"]["City"] == "Berlin"
    client.upload(person("M-2", Size="L"))
    client.upload(person("M-2", Email=known["match"]["email"]))
    merged = client.profile(identity="M-1")
    assert merged["objectId"] == client.profile(identity="M-2")["objectId"]
    assert client.person(known["id"]) is None
    assert {"City", "Size"} <= merged["profileData"].keys()


def test_events_count_once_for_each_time(client: Client) -> None:
    event = {"identity": "E-1", "type": "event", "evtName": "Charged", "evtData": {"Amount": 5}, "ts": 1_790_000_000}
    assert client.upload(event, event, {**event, "ts": 1_790_000_001})["status"] == "success"
    assert client.profile(identity="E-1")["events"]["Charged"]["count"] == 2


# Consent


def test_a_flag_opts_one_person_out_and_a_careless_one_in_again(client: Client) -> None:
    left = client.people("unsubscribed")[0]
    client.upload(person(left["identities"][0], Name="Touched"))
    assert client.person(left["id"])["standing"] == "unsubscribed"
    client.upload(person(left["identities"][0], **{"MSG-email": True}))
    assert client.person(left["id"])["standing"] == "subscribed"
    assert client.upload(person(left["identities"][0], **{"MSG-email": "no"}))["status"] == "fail"


def test_a_blocked_address_stays_so_whatever_the_flag_says(client: Client) -> None:
    blocked = client.people("dnd")[0]
    client.upload(person(blocked["identities"][0], **{"MSG-email": True}))
    assert client.person(blocked["id"])["standing"] == "dnd"
    wish = {"type": "email", "value": blocked["match"]["email"], "status": "Resubscribe"}
    assert client.post("/1/subscribe", {"d": [wish]})["processed"] == 1
    assert client.person(blocked["id"])["standing"] == "subscribed"
    client.post("/1/subscribe", {"d": [{**wish, "status": "Unsubscribe"}]})
    assert client.person(blocked["id"])["standing"] == "dnd"
    assert client.ask("POST", "/1/subscribe", {"d": [{**wish, "status": "Gone"}]}).status_code == 400


def test_a_number_can_be_taken_off_who_is_known_by_it(client: Client) -> None:
    client.upload(person("+4915100000001", Phone="+4915100000001", Name="By Number"))
    client.post("/1/disassociate", {"d": [{"type": "phone", "value": "+4915100000001"}]})
    assert client.profile(identity="+4915100000001") == {}


# Segments


def test_segments_of_the_api_take_members_and_skip_strangers_in_silence(client: Client) -> None:
    made = client.post("/api/createSegment", [{"segment_name": "Loyal", "customer_segment_id": "SEG-1"}])
    (segment,) = made["segments"]
    one, other = client.people("subscribed")[:2]
    who = [{"identity": one["identities"][0]}, {"guid": other["id"]}, {"identity": "stranger"}]
    wanted = {"customer_segment_id": "SEG-1", "action": "add"}
    body = {"bulk_profiles": [{"user_profiles": who, "segments": [wanted]}]}
    assert client.post("/api/updateSegment", body) == {"status": "success"}
    assert ["Loyal" in client.person(member["id"])["audiences"] for member in (one, other)] == [True, True]
    assert client.state()["error_stream"][-1]["who"]["identity"] == "stranger"
    out = {"ct_segment_id": segment["ct_segment_id"], "action": "remove"}
    client.post("/api/updateSegment", {"bulk_profiles": [{"user_profiles": who[:1], "segments": [out]}]})
    assert "Loyal" not in client.person(one["id"])["audiences"]
    again = client.ask("POST", "/api/createSegment", [{"segment_name": "Loyal", "customer_segment_id": "SEG-2"}])
    assert again.status_code == 409
    odd = client.ask("POST", "/api/createSegment", [{"segment_name": "Loyal!", "customer_segment_id": "SEG-3"}])
    assert odd.status_code == 400


def test_segments_of_the_api_must_be_enabled(shared: Sandbox) -> None:
    plain = Client(shared, passcode="sandbox-clevertap-no-segments")
    body = [{"segment_name": "X", "customer_segment_id": "X"}]
    assert plain.ask("POST", "/api/createSegment", body).status_code == 403
    assert plain.upload(person("P-1"))["status"] == "success"


def test_a_custom_list_comes_as_a_file_and_replaces_only_when_told(client: Client) -> None:
    one, other = client.people("subscribed")[:2]

    def send(text: str, *, replace: bool) -> Any:
        url = client.post("/get_custom_list_segment_url")["presignedS3URL"]
        assert requests.put(url, data=text.encode(), timeout=10).status_code == 200
        about = {"name": "Spring", "email": "robin@shop.box.example", "filename": "spring.csv", "creator": "Robin"}
        answer = client.post("/upload_custom_list_segment_completed", {**about, "url": url, "replace": replace})
        time.sleep(0.03)
        return answer

    assert send(f"Type,Identity\ni,{one['identities'][0]}\ni,nobody\n", replace=False)["status"] == "success"
    assert "Spring" in client.person(one["id"])["audiences"]
    text = f"Type,Identity\ng,{other['id']}\n"
    assert send(text, replace=False)["status"] == "fail"
    assert send(text, replace=True)["status"] == "success"
    assert ["Spring" in client.person(member["id"])["audiences"] for member in (one, other)] == [False, True]
    assert send("Identity\nx\n", replace=True)["status"] == "fail"
    url = client.post("/get_custom_list_segment_url")["presignedS3URL"]
    assert requests.put(url.partition("?")[0], data=b"x", timeout=10).status_code == 403


# Erasure, faults and limits


def test_erasure_takes_identities_or_ids_and_a_moment(client: Client) -> None:
    one, other = client.people("subscribed")[:2]
    assert client.post("/1/delete/profiles.json", {"identity": one["identities"][0]})["status"] == "success"
    client.post("/1/delete/profiles.json", {"guid": [other["id"]]})
    time.sleep(0.03)
    assert client.profile(objectId=one["id"]) == client.profile(objectId=other["id"]) == {}
    assert client.ask("POST", "/1/delete/profiles.json", {}).status_code == 400
    many = {"identity": [f"x{number}" for number in range(101)]}
    assert client.ask("POST", "/1/delete/profiles.json", many).status_code == 400
    client.upload(person(one["identities"][0], Name="Back"))
    assert client.profile(identity=one["identities"][0])["objectId"] != one["id"]


def test_records_can_be_refused_by_a_fault_with_a_number_of_choice(client: Client) -> None:
    records = [person(f"R-{number}") for number in range(50)]
    client.order("refuse_rows", share=0.3, policy="555")
    answer = client.upload(*records)
    assert answer["status"] == "partial"
    assert {one["code"] for one in answer["unprocessed"]} == {555}
    assert answer["processed"] + len(answer["unprocessed"]) == 50
    kept = answer["unprocessed"][0]["record"]["identity"]
    assert client.profile(identity=kept) == {}


def test_a_write_whose_answer_is_lost_is_remembered(client: Client) -> None:
    client.order("reset", path="upload$", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.upload(person("T-1", Name="Lost"))
    assert client.profile(identity="T-1")["name"] == "Lost"


def test_more_than_fifteen_at_once_are_refused_without_a_header() -> None:
    with Sandbox(people=20, latency_ms=150) as sandbox, ThreadPoolExecutor(24) as pool:
        client = Client(sandbox)
        answers = list(pool.map(lambda number: client.ask("POST", "/1/upload", {"d": [person(number)]}), range(24)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json()["error"] == "Too many concurrent requests"
    assert not {name for name in refused[0].headers if "limit" in name.lower() or name == "Retry-After"}
