"""The Braze stand-in, over HTTP."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.braze import Braze
from millstream.sandbox.braze.people import NEWS, PRODUCTS, TEXTS

KEY, LIMITED_KEY = "sandbox-braze", "sandbox-braze-track-only"
PARTNER = {"partner_api_key": "sandbox-braze-partner", "client_secret": "sandbox-braze-data-import"}
EVERYBODY = "5e9f0000-0000-4000-8000-000000000001"


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, key: str = KEY) -> None:
        self.sandbox = sandbox
        self.key = key
        self.system = cast("Braze", sandbox.systems["braze"])

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        url = self.sandbox.system_url("braze") + path
        headers = {"Authorization": f"Bearer {self.key}"}
        return requests.request(method, url, headers=headers, json=body, params=cast("Any", params), timeout=10)

    def post(self, path: str, body: object) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def write(self, *attributes: object) -> Any:
        return self.post("/users/track", {"attributes": list(attributes)})

    def refused(self, path: str, body: object) -> str:
        answer = self.ask("POST", path, body)
        assert answer.status_code == 400, answer.text
        return str(answer.json()["message"])

    def state(self) -> Any:
        return requests.get(f"{self.sandbox.url}/_sandbox/state/braze", timeout=10).json()

    def person(self, by: str, value: str) -> Any:
        return next(one for one in self.state()["people"] if one["match"][by] == value)

    def somebody(self, standing: str) -> Any:
        """Somebody with an external id who was there before, in this standing."""
        people = self.state()["people"]
        return next(one for one in people if one["standing"] == standing and one["match"]["external_id"])

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "braze", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Iterator[Client]:
    client = Client(running)
    client.system.queue.seconds = 0
    yield client
    running.environment.faults.clear()
    client.system.restart()


# Who is there


def test_profiles_are_there_in_every_state(client: Client) -> None:
    people = client.state()["people"]
    assert {one["standing"] for one in people} == {"opted_in", "subscribed", "unsubscribed", "bounced"}
    for group in ("Weekly news", "Product updates", "Text messages"):
        assert {one["groups"].get(group) for one in people} == {"subscribed", "unsubscribed", None}
    told = [client.sandbox.truth(index)["braze"] for index in range(200)]
    assert [one for one in told if one] == [
        {"id": one["id"], "external_id": one["match"]["external_id"], "standing": one["standing"]} for one in people
    ]


def test_everybody_is_found_in_each_way(client: Client) -> None:
    for one in client.state()["people"][:30]:
        email, phone = one["match"]["email"], one["match"]["phone"]
        ways: list[dict[str, object]] = [{"email_address": email}, {"braze_id": one["id"]}]
        ways += [{"phone": phone}] if phone else []
        if one["match"]["external_id"]:
            ways.append({"external_ids": [one["match"]["external_id"]]})
        else:
            ways.append({"user_aliases": [{"alias_label": "newsletter", "alias_name": email}]})
        for way in ways:
            (found,) = client.post("/users/export/ids", way)["users"]
            assert found["braze_id"] == one["id"]


# Tracking


def test_objects_are_refused_alone_by_array_and_index(client: Client) -> None:
    body = {
        "attributes": [{"external_id": "42", "ltv": 1.5}, {"ltv": 2}, {"external_id": "43", "email": "nobody"}],
        "events": [{"external_id": "42", "name": "bought"}],
    }
    answer = client.post("/users/track", body)
    assert (answer["message"], answer["attributes_processed"], answer["events_processed"]) == ("success", 1, 0)
    assert answer["errors"] == [
        {
            "type": "'external_id', 'braze_id', 'user_alias', 'email', or 'phone' is required",
            "input_array": "attributes",
            "index": 1,
        },
        {"type": "'email' is not a valid email address", "input_array": "attributes", "index": 2},
        {"type": "'time' is required", "input_array": "events", "index": 0},
    ]
    assert client.person("external_id", "42")["fields"] == {"ltv": 1.5}


@pytest.mark.parametrize(
    "row",
    [
        "text",
        {"external_id": 42},
        {"external_id": "42", "braze_id": "x"},
        {"user_alias": {"alias_name": "x"}},
        {"phone": "0171 1"},
        {"external_id": "42", "first_name": 1},
        {"external_id": "42", "dob": "1.2.1990"},
        {"external_id": "42", "country": "Germany"},
        {"external_id": "42", "gender": "female"},
        {"external_id": "42", "email_subscribe": "yes"},
        {"external_id": "42", "$odd": 1},
        {"external_id": "42", "x" * 256: 1},
        {"external_id": "42", "numbers": [1, 2]},
        {"external_id": "42", "n": {"inc": "1"}},
        {"external_id": "42", "n": {"add": "1"}},
        {
            "external_id": "42",
            "subscription_groups": [{"subscription_group_id": "x", "subscription_state": "subscribed"}],
        },
    ],
)
def test_a_request_of_which_nothing_can_be_taken_is_refused(client: Client, row: object) -> None:
    refused = client.ask("POST", "/users/track", {"attributes": [row]})
    assert refused.status_code == 400
    assert refused.json()["message"].startswith("Valid data must be provided")
    assert [(one["input_array"], one["index"]) for one in refused.json()["errors"]] == [("attributes", 0)]


def test_a_request_has_a_size(client: Client) -> None:
    rows = [{"external_id": f"e{number}"} for number in range(76)]
    assert "Max input length exceeded" in client.refused("/users/track", {"attributes": rows})
    events = [{"external_id": "e1", "name": "bought", "time": "2026-11-01T10:00:00Z"}] * 75
    answer = client.post("/users/track", {"attributes": rows[:75], "events": events})
    assert (answer["attributes_processed"], answer["events_processed"]) == (75, 75)
    assert client.person("external_id", "e1")["events"] == {"bought": 75}
    client.refused("/users/track", {})
    assert client.ask("POST", "/users/track", {"attributes": [{"external_id": "x" * 5_000_000}]}).status_code == 413
    plain = requests.post(client.sandbox.system_url("braze") + "/users/track", data="{}", timeout=10)
    assert plain.status_code == 415


def test_what_is_accepted_is_done_later(client: Client) -> None:
    client.system.queue.seconds = 0.1
    client.write({"external_id": "42", "vip": True})
    assert client.post("/users/export/ids", {"external_ids": ["42"]}) == {
        "message": "success",
        "users": [],
        "invalid_user_ids": ["42"],
    }
    time.sleep(0.1)
    (found,) = client.post("/users/export/ids", {"external_ids": ["42"], "fields_to_export": ["custom_attributes"]})[
        "users"
    ]
    assert found == {"custom_attributes": {"vip": True}}


def test_arrays_counters_objects_and_null(client: Client) -> None:
    def custom() -> Any:
        return client.person("external_id", "42")["fields"]

    client.write({"external_id": "42", "tags": ["a", "b"], "n": 1, "o": {"x": 1}, "first_name": "Ana"})
    client.write({"external_id": "42", "tags": {"add": ["c", "a"], "remove": ["b"]}, "n": {"inc": 2}, "o": {"y": 2}})
    assert custom() == {"first_name": "Ana", "tags": ["a", "c"], "n": 3, "o": {"y": 2}}
    client.write({"external_id": "42", "tags": {"$add": ["d"]}, "o": {"z": 3}, "_merge_objects": True})
    client.write({"external_id": "42", "tags": {"$remove": ["a"]}, "n": None, "first_name": None})
    assert custom() == {"tags": ["c", "d"], "o": {"y": 2, "z": 3}}
    client.write({"external_id": "42", "fresh": {"add": ["x"]}, "long": "y" * 300})
    assert custom()["fresh"] == ["x"]
    assert len(custom()["long"]) == 255


def test_attributes_on_the_blocklist_and_of_a_wrong_type_are_dropped_in_silence(client: Client) -> None:
    answer = client.write({"external_id": "42", "legacy_score": 5, "loyalty_points": "many", "new_one": "x"})
    assert answer == {"message": "success", "attributes_processed": 1}
    assert client.person("external_id", "42")["fields"] == {"new_one": "x"}
    known = {one["name"]: one for one in client.ask("GET", "/custom_attributes").json()["attributes"]}
    assert known["legacy_score"]["status"] == "Blocklisted"
    assert known["new_one"]["data_type"] == "String"


def test_only_existing_profiles_when_told_and_by_alias_unless_told(client: Client) -> None:
    alias = {"alias_name": "ana", "alias_label": "shop"}
    client.write(
        {"external_id": "nobody", "_update_existing_only": True},
        {"user_alias": alias, "vip": True},
        {"braze_id": "5f000000000000000000ffff", "vip": True},
    )
    assert not [one for one in client.state()["people"] if one["written"]]
    client.write({"user_alias": alias, "vip": True, "_update_existing_only": False}, {"email": "mail@only.web.example"})
    made = [one for one in client.state()["people"] if one["written"]]
    assert [one["aliases"] for one in made] == [{"shop": "ana"}, {}]
    client.write({"user_alias": alias, "vip": False})
    assert client.post("/users/export/ids", {"user_aliases": [alias]})["users"][0]["custom_attributes"] == {
        "vip": False
    }


def test_an_address_means_who_is_identified_and_was_written_last(client: Client) -> None:
    address = {"email": "shared@shop.web.example"}
    client.write({**address})
    client.write({"external_id": "one", **address}, {"external_id": "two", **address})
    client.write({**address, "seen": True})
    assert [one["match"]["external_id"] for one in client.state()["people"] if one["fields"].get("seen")] == ["two"]


# Consent


def test_writing_other_attributes_leaves_states_alone(client: Client) -> None:
    for standing in ("opted_in", "subscribed", "unsubscribed", "bounced"):
        known = client.somebody(standing)
        client.write({"external_id": known["match"]["external_id"], "email": known["match"]["email"], "vip": True})
        now = client.person("email", known["match"]["email"])
        assert (now["standing"], now["groups"], now["resubscribed"]) == (standing, known["groups"], False)


@pytest.mark.parametrize("state", ["subscribed", "opted_in"])
def test_a_careless_state_brings_back_who_left(client: Client, state: str) -> None:
    left = client.somebody("unsubscribed")
    client.write({"external_id": left["match"]["external_id"], "email_subscribe": state})
    now = client.person("email", left["match"]["email"])
    assert (now["standing"], now["resubscribed"]) == (state, True)


def test_a_new_address_brings_back_who_left(client: Client) -> None:
    left, bounced = client.somebody("unsubscribed"), client.somebody("bounced")
    client.write({"external_id": left["match"]["external_id"], "email": "new@shop.web.example"})
    client.write({"external_id": bounced["match"]["external_id"], "email": left["match"]["email"]})
    now = client.person("email", "new@shop.web.example")
    assert (now["standing"], now["resubscribed"]) == ("subscribed", True)
    client.system.consent.resubscribes = False
    other = client.somebody("unsubscribed")
    client.write({"external_id": other["match"]["external_id"], "email": "newer@shop.web.example"})
    assert client.person("email", "newer@shop.web.example")["standing"] == "unsubscribed"


def test_a_known_address_brings_its_state_along(client: Client) -> None:
    left, happy = client.somebody("unsubscribed"), client.somebody("opted_in")
    client.write({"external_id": happy["match"]["external_id"], "email": left["match"]["email"]})
    assert client.person("external_id", happy["match"]["external_id"])["standing"] == "unsubscribed"
    client.post("/email/status", {"email": ["later@shop.web.example"], "subscription_state": "unsubscribed"})
    client.write({"external_id": "42", "email": "later@shop.web.example"})
    assert client.person("external_id", "42")["standing"] == "unsubscribed"


def test_states_are_shared_by_all_who_have_the_address(client: Client) -> None:
    for name in ("one", "two"):
        client.write({"external_id": name, "email": "shared@shop.web.example"})
    client.write({"external_id": "one", "email_subscribe": "unsubscribed"})
    assert client.person("external_id", "two")["standing"] == "unsubscribed"
    group = {"subscription_group_id": NEWS, "subscription_state": "subscribed", "external_ids": ["two"]}
    client.post("/v2/subscription/status/set", {"subscription_groups": [group]})
    assert client.person("external_id", "one")["groups"] == {"Weekly news": "subscribed"}
    client.post("/email/blocklist", {"email": "shared@shop.web.example"})
    assert client.person("external_id", "one")["standing"] == "bounced"


# Subscription groups


def test_groups_are_set_and_read(client: Client) -> None:
    client.write({"external_id": "42", "email": "a@shop.web.example", "phone": "+4915112345678"})
    groups = [
        {"subscription_group_id": PRODUCTS, "subscription_state": "subscribed", "emails": ["a@shop.web.example"]},
        {"subscription_group_id": TEXTS, "subscription_state": "unsubscribed", "phones": ["+4915112345678"]},
        {"subscription_group_id": NEWS, "subscription_state": "subscribed", "external_ids": ["nobody"]},
    ]
    assert client.post("/v2/subscription/status/set", {"subscription_groups": groups}) == {"message": "success"}
    read = client.ask(
        "GET", "/subscription/status/get", subscription_group_id=PRODUCTS, **{"external_id[]": ["42", "no"]}
    )
    assert read.json() == {"status": {"42": "Subscribed", "no": "Unknown"}, "message": "success"}
    (row,) = client.ask("GET", "/subscription/user/status", external_id="42").json()["users"]
    assert [(one["channel"], one["status"]) for one in row["subscription_groups"]] == [
        ("email", "Subscribed"),
        ("sms", "Unsubscribed"),
    ]
    client.write(
        {
            "external_id": "42",
            "subscription_groups": [{"subscription_group_id": PRODUCTS, "subscription_state": "unsubscribed"}],
        }
    )
    assert client.person("external_id", "42")["groups"]["Product updates"] == "unsubscribed"


@pytest.mark.parametrize(
    "changes",
    [
        {"subscription_group_id": "unknown"},
        {"subscription_state": "opted_in"},
        {"external_ids": []},
        {"external_ids": [f"e{number}" for number in range(51)]},
        {"phones": ["+4915112345678"]},
    ],
)
def test_groups_are_refused_whole(client: Client, changes: dict[str, object]) -> None:
    group = {"subscription_group_id": NEWS, "subscription_state": "subscribed", "external_ids": ["42"], **changes}
    client.refused("/v2/subscription/status/set", {"subscription_groups": [group]})


def test_the_older_endpoint_takes_an_address_or_a_number(client: Client) -> None:
    body: dict[str, object] = {"subscription_group_id": NEWS, "subscription_state": "subscribed", "email": "a@b.org"}
    client.post("/subscription/status/set", body)
    assert "not both" in client.refused("/subscription/status/set", {**body, "phone": "+4915112345678"})
    client.refused("/email/status", {"email": "a@b.org", "subscription_state": "gone"})
    client.refused("/email/status", {"email": ["a@b.org"] * 51, "subscription_state": "subscribed"})


# Reading and deleting


def test_exports_name_fields_and_unknown_ids(client: Client) -> None:
    left = client.somebody("unsubscribed")
    body = {
        "external_ids": [left["match"]["external_id"], "nobody"],
        "fields_to_export": ["external_id", "email_subscribe"],
    }
    answer = client.post("/users/export/ids", body)
    assert answer["users"] == [{"external_id": left["match"]["external_id"], "email_subscribe": "unsubscribed"}]
    assert answer["invalid_user_ids"] == ["nobody"]
    client.refused("/users/export/ids", {"external_ids": ["1"], "fields_to_export": ["shoe_size"]})
    client.refused("/users/export/ids", {"external_ids": [str(number) for number in range(51)]})
    client.refused("/users/export/ids", {})


def test_a_segment_is_exported_to_a_file(client: Client) -> None:
    client.system.exports.seconds = 0.05
    body = {"segment_id": EVERYBODY, "fields_to_export": ["braze_id"], "custom_attributes_to_export": ["vip"]}
    url = client.post("/users/export/segment", body)["url"]
    assert requests.get(url, timeout=10).status_code == 404
    assert "already running" in client.refused("/users/export/segment", body)
    time.sleep(0.05)
    with zipfile.ZipFile(io.BytesIO(requests.get(url, timeout=10).content)) as archive:
        lines = archive.read(archive.namelist()[0]).splitlines()
    assert {json.loads(line)["braze_id"] for line in lines} == {one["id"] for one in client.state()["people"]}
    client.refused("/users/export/segment", {"segment_id": EVERYBODY})
    client.refused("/users/export/segment", {**body, "segment_id": "unknown"})


def test_segments_and_attributes_are_listed_in_pages(client: Client) -> None:
    assert [one["name"] for one in client.ask("GET", "/segments/list").json()["segments"]] == [
        "Everybody",
        "Very important",
    ]
    assert client.ask("GET", "/segments/list", page=1).json()["segments"] == []
    client.write({"external_id": "42", **{f"a{number:02d}": 1 for number in range(60)}})
    first = client.ask("GET", "/custom_attributes")
    second = requests.get(first.links["next"]["url"], headers={"Authorization": f"Bearer {KEY}"}, timeout=10)
    names = [one["name"] for answer in (first, second) for one in answer.json()["attributes"]]
    assert len(names) == 64
    assert "next" not in second.links


def test_users_are_deleted_by_each_name_but_only_one(client: Client) -> None:
    known = client.somebody("subscribed")
    alias = {"alias_name": "ana", "alias_label": "shop"}
    client.write(
        {"user_alias": alias, "_update_existing_only": False}, {"external_id": "42"}, {"email": "a@shop.web.example"}
    )
    assert client.post("/users/delete", {"external_ids": [known["match"]["external_id"], "42"]})["deleted"] == 2
    client.post("/users/delete", {"user_aliases": [alias]})
    client.post(
        "/users/delete", {"email_addresses": [{"email": "a@shop.web.example", "prioritization": ["unidentified"]}]}
    )
    left = client.state()["people"]
    assert not [one for one in left if one["written"] or one["id"] == known["id"]]
    client.refused("/users/delete", {"external_ids": ["1"], "braze_ids": ["1"]})
    client.refused("/users/delete", {"external_ids": [str(number) for number in range(51)]})
    client.refused("/users/delete", {"email_addresses": [{"email": "a@shop.web.example"}]})
    client.write({"external_id": known["match"]["external_id"]})
    assert client.person("external_id", known["match"]["external_id"])["id"] != known["id"]


def test_cohorts_are_for_partners_and_for_who_is_there(client: Client) -> None:
    known = client.somebody("subscribed")["match"]["external_id"]
    client.post(
        "/partners/acme/cohorts", {**PARTNER, "name": "Gold", "cohort_id": "g1", "created_at": "2026-11-01T10:00:00Z"}
    )
    change: dict[str, object] = {"user_ids": [known, "nobody"]}
    client.post("/partners/acme/cohorts/users", {**PARTNER, "cohort_id": "g1", "cohort_changes": [change]})
    assert "Gold" in client.person("external_id", known)["audiences"]
    client.post(
        "/partners/acme/cohorts/users",
        {**PARTNER, "cohort_id": "g1", "cohort_changes": [{**change, "should_remove": True}]},
    )
    assert "Gold" not in client.person("external_id", known)["audiences"]
    client.refused("/partners/acme/cohorts/users", {**PARTNER, "cohort_id": "g2", "cohort_changes": [change]})
    wrong = {**PARTNER, "client_secret": "x", "name": "Gold", "cohort_id": "g1"}
    assert client.ask("POST", "/partners/acme/cohorts", wrong).status_code == 401


# Keys, limits, faults


def test_keys_and_their_permissions_are_checked(client: Client, running: Sandbox) -> None:
    assert Client(running, "wrong").ask("GET", "/segments/list").status_code == 401
    limited = Client(running, LIMITED_KEY)
    assert limited.ask("GET", "/segments/list").ok
    refused = limited.ask("POST", "/users/delete", {"external_ids": ["1"]})
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        "This API key does not have the permission users.delete",
    )
    assert client.ask("GET", "/nothing").status_code == 404


def test_rows_are_refused_in_each_way(client: Client) -> None:
    rows = [{"external_id": f"e{number}"} for number in range(20)]
    client.order("refuse_rows", share=0.3)
    failed = [one["index"] for one in client.write(*rows)["errors"]]
    assert 0 < len(failed) < 20
    requests.delete(f"{client.sandbox.url}/_sandbox/faults", timeout=10)
    client.order("refuse_rows", share=0.3, whole_batch=True)
    refused = client.ask("POST", "/users/track", {"attributes": rows})
    assert refused.status_code == 400
    assert [one["index"] for one in refused.json()["errors"]] == failed


def test_a_write_is_remembered_when_the_answer_is_lost(client: Client) -> None:
    client.order("reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.write({"external_id": "42"})
    assert client.person("external_id", "42")["written"]


def test_limits_have_headers() -> None:
    with Sandbox(people=5) as sandbox:
        client = Client(sandbox)
        answer = client.ask("POST", "/users/export/ids", {"external_ids": ["1"]})
        assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("250", "249")
        assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() < 62
        client.system._windows["users.export.ids"].allowed = 1
        refused = client.ask("POST", "/users/export/ids", {"external_ids": ["1"]})
        assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
        client.order("rate_limited", policy="active_users", seconds=3, times=1)
        assert client.ask("POST", "/users/track", {}).headers["X-Ratelimit-Retry-After"] == "3"
