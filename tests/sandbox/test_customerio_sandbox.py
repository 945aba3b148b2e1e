"""The Customer.io stand-in, over HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.customerio import CustomerIO

SITE = ("sandbox-site", "sandbox-customerio-track")
EU_SITE = ("sandbox-site-eu", "sandbox-customerio-track-eu")
APP_KEY = "sandbox-customerio-app"
Json = dict[str, Any]
numbers = itertools.count(1)


class Client:
    """Speaks to both hosts of the stand-in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.url = sandbox.system_url("customerio")
        system = sandbox.systems["customerio"]
        assert isinstance(system, CustomerIO)
        self.system = system
        self._session = requests.Session()

    def track(self, method: str, path: str, body: object = None, **more: Any) -> requests.Response:
        given = {"auth": SITE, "json": body, "timeout": 30, **more}
        return self._session.request(method, f"{self.url}/track/api{path}", **given)

    def app(self, method: str, path: str, body: object = None, key: str = APP_KEY, **params: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return self._session.request(
            method, f"{self.url}/app/v1{path}", headers=headers, json=body, params=params, timeout=30
        )

    def batch(self, *rows: object) -> requests.Response:
        return self.track("POST", "/v2/batch", {"batch": list(rows)})

    def attributes(self, value: str, kind: str = "id") -> Json:
        answer = self.app("GET", f"/customers/{value}/attributes", id_type=kind)
        assert answer.ok, answer.text
        customer: Json = answer.json()["customer"]
        return customer

    def is_there(self, value: str, kind: str = "id") -> bool:
        return self.app("GET", f"/customers/{value}/attributes", id_type=kind).ok

    def segment(self, *ids: str, kind: str = "id") -> str:
        made = self.app("POST", "/segments", {"segment": {"name": f"Sync {next(numbers)}"}}).json()["segment"]
        if ids:
            self.change(made["id"], "add", *ids, kind=kind).raise_for_status()
        return str(made["id"])

    def change(self, segment: object, how: str, *ids: object, kind: str = "id") -> requests.Response:
        path = f"/v1/segments/{segment}/{how}_customers?id_type={kind}"
        return self.track("POST", path, {"ids": list(ids)})

    def members(self, segment: str) -> list[str]:
        rows = self.app("GET", f"/segments/{segment}/membership").json()["identifiers"]
        return [row["id"] or row["email"] for row in rows]

    def state(self) -> Json:
        state: Json = requests.get(f"{self.sandbox.url}/_sandbox/state/customerio", timeout=30).json()
        return state

    def somebody(self, standing: str, kind: str = "external_id") -> str:
        """An identifier of a person who stood so from the start."""
        for person in self.state()["people"]:
            if person["standing"] == standing and person["match"][kind] and not person["written"]:
                return str(person["match"][kind])
        raise LookupError(standing)

    def standing(self, value: str, kind: str = "external_id") -> str:
        people = self.state()["people"]
        return next(str(one["standing"]) for one in people if one["match"][kind] == value)

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "customerio", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def workspace() -> Iterator[Client]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield Client(sandbox)


@pytest.fixture
def client(workspace: Client) -> Iterator[Client]:
    yield workspace
    workspace.sandbox.environment.faults.clear()
    workspace.system.lag = 0.0
    workspace.system.email_updates = False


def identify(value: str, kind: str = "id", **attributes: object) -> Json:
    return {"type": "person", "identifiers": {kind: value}, "action": "identify", "attributes": attributes}


def act(action: str, value: str, kind: str = "id") -> Json:
    return {"type": "person", "identifiers": {kind: value}, "action": action}


def new_id() -> str:
    return f"u{next(numbers)}"


# Keys and regions


def test_each_api_has_its_own_key(client: Client) -> None:
    assert client.track("GET", "/v1/accounts/region").json()["region"] == "us"
    assert client.app("GET", "/segments").ok
    assert client.app("GET", "/segments", key=SITE[1]).status_code == 401
    assert client.app("GET", "/segments", key=":".join(SITE)).status_code == 401
    assert client.track("GET", "/v1/accounts/region", auth=("sandbox-site", APP_KEY)).status_code == 401
    narrow = client.app("GET", "/segments", key="sandbox-customerio-app-no-segments")
    assert narrow.status_code == 403


def test_keys_of_the_other_region_tell_their_region_and_nothing_else(client: Client) -> None:
    region = client.track("GET", "/v1/accounts/region", auth=EU_SITE).json()
    assert (region["region"], region["url"]) == ("eu", "https://track-eu.customer.io")
    assert client.track("POST", "/v2/batch", {"batch": [identify("1")]}, auth=EU_SITE).status_code == 401


# Batches


def test_a_batch_tells_by_place_what_it_refused_and_does_the_rest(client: Client) -> None:
    first, last = new_id(), new_id()
    answer = client.batch(identify(first, ltv=120.5), identify(""), identify(last))
    assert answer.status_code == 207
    wanted = {"batch_index": 1, "reason": "required", "field": "identifiers.id", "message": "must not be empty"}
    assert answer.json() == {"errors": [wanted]}
    assert client.attributes(first)["attributes"]["ltv"] == "120.5"
    assert client.is_there(last)
    whole = client.batch(identify(first))
    assert (whole.status_code, whole.json()) == (200, {})


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"type": "person", "identifiers": {"id": "1", "email": "a@box.example"}, "action": "identify"}, "identifiers"),
        ({"type": "person", "identifiers": {}, "action": "identify"}, "identifiers"),
        ({"type": "person", "identifiers": {"phone": "+12025550101"}, "action": "identify"}, "identifiers.phone"),
        ({"type": "person", "identifiers": {"id": 7}, "action": "identify"}, "identifiers.id"),
        (identify("not an address", "email"), "identifiers.email"),
        (act("frobnicate", "1"), "action"),
        ({"identifiers": {"id": "1"}, "action": "identify"}, "type"),
        ({**identify("1"), "timestamp": "yesterday"}, "timestamp"),
        ({**identify("1"), "attributes": ["a"]}, "attributes"),
        (identify("1", _update="yes"), "attributes._update"),
        (identify("1", about="x" * 1001), "attributes.about"),
        (identify("1", **{f"a{number}": "x" * 900 for number in range(40)}), "batch"),
        (act("event", "1"), "name"),
        ("text", "batch"),
    ],
)
def test_operations_that_are_refused(client: Client, row: object, field: str) -> None:
    answer = client.batch(identify(new_id()), row)
    assert answer.status_code == 207
    assert [(error["batch_index"], error["field"]) for error in answer.json()["errors"]] == [(1, field)]
    if isinstance(row, dict):
        assert client.track("POST", "/v2/entity", row).status_code == 400


def test_a_batch_that_is_no_batch_is_refused_whole(client: Client) -> None:
    bodies: tuple[Json, ...] = ({}, {"batch": []}, {"batch": "x"})
    for body in bodies:
        answer = client.track("POST", "/v2/batch", body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "batch")
    broken = client.track("POST", "/v2/batch", data="{")
    assert (broken.status_code, broken.json()["errors"][0]["reason"]) == (400, "parse")
    name = new_id()
    large = client.batch(*(identify(name, about="x" * 900) for _ in range(550)))
    assert large.status_code == 400
    assert not client.is_there(name)


def test_update_only_makes_nobody(client: Client) -> None:
    known, unknown = new_id(), new_id()
    client.batch(identify(known))
    answer = client.batch(identify(known, _update=True, plan="plus"), identify(unknown, _update=True, plan="plus"))
    assert answer.status_code == 200
    assert client.attributes(known)["attributes"]["plan"] == "plus"
    assert not client.is_there(unknown)


def test_empty_values_take_attributes_away_and_older_writes_lose(client: Client) -> None:
    name = new_id()
    client.batch({**identify(name, plan="new", note="a"), "timestamp": 2_000})
    client.batch({**identify(name, plan="old", note="b"), "timestamp": 1_000}, identify(name, note=""))
    own = client.attributes(name)["attributes"]
    assert own["plan"] == "new"
    assert "note" not in own


# Identifiers


def test_addresses_have_no_case_and_ids_do(client: Client) -> None:
    name = new_id()
    client.batch(identify(f"{name}@box.example", "email", plan="a"))
    client.batch(identify(f"{name.upper()}@Box.example", "email", plan="b"))
    found = client.app("GET", "/customers", email=f"{name}@BOX.example").json()["results"]
    assert [(one["email"], one["id"]) for one in found] == [(f"{name}@box.example", None)]
    assert client.attributes(f"{name}@box.example", "email")["attributes"]["plan"] == "b"
    assert client.app("GET", f"/customers?email={name}+x@box.example").json() == {"results": []}


def test_a_new_id_joins_the_person_whose_address_comes_with_it(client: Client) -> None:
    person = next(one for one in client.state()["people"] if one["id"] and not one["match"]["external_id"])
    name = new_id()
    client.batch(identify(name, email=person["match"]["email"]))
    assert client.attributes(name)["identifiers"]["cio_id"] == person["id"]


def test_identifiers_that_collide_are_accepted_and_fail_in_silence(client: Client) -> None:
    first, second = new_id(), new_id()
    client.batch(identify(first, email=f"{first}@box.example"), identify(second, email=f"{second}@box.example"))
    before = len(client.state()["failures"])
    assert client.batch(identify(first, email=f"{second}@box.example", plan="plus")).json() == {}
    own = client.attributes(first)
    assert (own["identifiers"]["email"], own["attributes"]["plan"]) == (f"{first}@box.example", "plus")
    assert len(client.state()["failures"]) == before + 1
    third = new_id()
    client.batch(identify(third, email=f"{second}@box.example"))
    assert client.attributes(third)["identifiers"]["email"] is None


def test_an_address_changes_by_the_vendors_id_or_where_the_workspace_allows_it(client: Client) -> None:
    name = new_id()
    client.batch(identify(name, email=f"{name}@box.example"))
    client.batch(identify(name, email=f"{name}@net.example"))
    own = client.attributes(name)["identifiers"]
    assert own["email"] == f"{name}@box.example"
    client.batch(identify(own["cio_id"], "cio_id", email=f"{name}@net.example"))
    assert client.attributes(name)["identifiers"]["email"] == f"{name}@net.example"
    client.system.email_updates = True
    client.batch(identify(name, email=f"{name}@web.example"))
    assert client.attributes(name)["identifiers"]["email"] == f"{name}@web.example"
    client.batch(identify("c10fffffff", "cio_id", plan="x"))
    assert not client.is_there("c10fffffff", "cio_id")


def test_the_first_version_writes_and_deletes_one_person(client: Client) -> None:
    name = new_id()
    path = f"/v1/customers/{name}%2Bx%40box.example"
    assert client.track("PUT", path, {"plan": "plus"}).json() == {}
    assert client.is_there(f"{name}%2Bx%40box.example", "email")
    assert client.track("DELETE", path).ok
    assert not client.is_there(f"{name}%2Bx%40box.example", "email")
    client.track("PUT", path, {"plan": "plus"})
    assert client.is_there(f"{name}%2Bx%40box.example", "email")
    assert client.track("PUT", path, data="[").status_code == 400


# Consent


def test_everybody_who_was_there_stands_as_the_truth_says() -> None:
    with Sandbox(people=120, limits=False) as sandbox:
        client = Client(sandbox)
        entries = [entry for index in range(120) if (entry := sandbox.truth(index)["customerio"])]
        wanted = {
            (value, entry["standing"])  # type: ignore[index]
            for entry in entries
            for value in (entry["id"], entry["email"])  # type: ignore[index]
            if value is not None
        }
        shown = [(person["match"], person["standing"]) for person in client.state()["people"]]
        assert {(match[kind], how) for match, how in shown for kind in ("external_id", "email") if match[kind]} == {
            (value.lower() if how == "suppressed" and "@" in value else value, how) for value, how in wanted
        }
        standings = {how for _, how in wanted}
        assert standings == {"suppressed", "unsubscribed", "unsubscribed_from_topics", "subscribed"}
        everybody = client.app("GET", "/segments/1/membership").json()["identifiers"]
        assert len(everybody) == sum(entry["standing"] != "suppressed" for entry in entries)  # type: ignore[index]


def test_an_upsert_leaves_consent_alone_and_false_brings_somebody_back(client: Client) -> None:
    name = client.somebody("unsubscribed")
    client.batch(identify(name, plan="plus"))
    assert client.attributes(name)["unsubscribed"] is True
    assert name not in client.state()["resubscribed"]
    client.batch(identify(name, unsubscribed=False))
    assert client.standing(name) == "subscribed"
    assert name in client.state()["resubscribed"]
    client.batch(identify(name, unsubscribed="TRUE"))
    assert client.standing(name) == "unsubscribed"


def test_preferences_are_replaced_whole_unless_one_topic_is_named(client: Client) -> None:
    name = client.somebody("unsubscribed_from_topics")
    one_topic = {"cio_subscription_preferences.topics.topic_2": False}
    client.batch({**identify(name), "attributes": one_topic})
    own = client.attributes(name)["attributes"]["cio_subscription_preferences"]
    assert own == {"topics": {"topic_1": False, "topic_2": False}}
    client.batch(identify(name, cio_subscription_preferences={"topics": {"topic_2": True}}))
    assert client.standing(name) == "subscribed"
    assert name in client.state()["resubscribed"]


def test_who_is_suppressed_is_accepted_and_stays_away(client: Client) -> None:
    there_before, name = client.somebody("suppressed"), new_id()
    client.batch(identify(name, email=f"{name}@box.example"))
    client.batch(act("suppress", name))
    client.batch(identify(name), identify(f"{name}@box.example", "email"), identify(there_before))
    assert not client.is_there(name)
    assert not client.is_there(f"{name}@box.example", "email")
    assert not client.is_there(there_before)
    assert client.standing(name) == "suppressed"
    client.track("POST", f"/v1/customers/{there_before}/unsuppress")
    assert not client.is_there(there_before)
    client.batch(identify(there_before))
    assert client.is_there(there_before)


def test_a_deleted_person_comes_back_with_the_next_write(client: Client) -> None:
    name = new_id()
    client.batch(identify(name, plan="plus"))
    segment = client.segment(name)
    client.batch(act("delete", name))
    assert not client.is_there(name)
    assert client.members(segment) == []
    client.batch(identify(name))
    assert "plan" not in client.attributes(name)["attributes"]
    assert client.members(segment) == []


# Segments


def test_members_are_added_and_removed_and_others_passed_over_in_silence(client: Client) -> None:
    first, second = new_id(), new_id()
    client.batch(identify(first, email=f"{first}@box.example"), identify(second))
    segment = client.segment()
    assert client.change(segment, "add", first, second, f"{first}@box.example", "nobody").json() == {}
    assert client.members(segment) == [first, second]
    assert client.change(segment, "remove", f"{first}@box.example").ok
    assert client.members(segment) == [first, second]
    client.change(segment, "remove", f"{first}@BOX.example", kind="email")
    assert client.members(segment) == [second]
    assert client.app("GET", f"/segments/{segment}/customer_count").json() == {"count": 1}
    of_second = client.app("GET", f"/customers/{second}/segments").json()["segments"]
    assert segment in {str(one["id"]) for one in of_second}


def test_what_a_segment_cannot_take_is_refused(client: Client) -> None:
    segment = client.segment()
    assert client.change(segment, "add", *map(str, range(1000))).ok
    assert client.change(segment, "add", *map(str, range(1001))).status_code == 400
    assert client.change(segment, "add").status_code == 400
    assert client.change(segment, "add", 7).status_code == 400
    assert client.change(segment, "add", "1", kind="shoe").status_code == 400
    assert client.change(1, "add", "1").status_code == 400
    assert client.change(999, "add", "1").json() == {"meta": {"errors": ["segment not found"]}}
    assert client.app("GET", "/segments/999").status_code == 404
    assert client.app("POST", "/segments", {"segment": {"name": ""}}).status_code == 400
    assert client.app("POST", "/segments", {"name": "x"}).json()["errors"][0]["status"] == "400"


def test_names_of_segments_may_be_taken_twice_and_segments_be_dropped(client: Client) -> None:
    made = [client.app("POST", "/segments", {"segment": {"name": "Twice"}}).json()["segment"] for _ in range(2)]
    listed = client.app("GET", "/segments").json()["segments"]
    assert [one["type"] for one in listed if one["name"] == "Twice"] == ["manual", "manual"]
    assert made[0]["id"] != made[1]["id"]
    assert client.app("DELETE", f"/segments/{made[0]['id']}").status_code == 204
    assert client.change(made[0]["id"], "add", "1").status_code == 400


def test_membership_is_read_by_page_and_a_full_page_is_never_the_last(client: Client) -> None:
    names = [new_id() for _ in range(6)]
    client.batch(*map(identify, names))
    segment = client.segment(*names)
    pages, start = [], ""
    while True:
        body = client.app("GET", f"/segments/{segment}/membership", limit=3, start=start).json()
        pages.append(body["ids"])
        start = body["next"]
        if not start:
            break
    assert pages == [names[:3], names[3:], []]
    assert client.app("GET", f"/segments/{segment}/membership", limit=30_001).status_code == 400
    assert client.app("GET", f"/segments/{segment}/membership", start="x").status_code == 400


def test_a_person_made_a_moment_ago_is_missed(client: Client) -> None:
    client.system.lag = 0.1
    name = new_id()
    client.batch(identify(name))
    segment = client.segment(name)
    assert client.members(segment) == []
    assert not client.is_there(name)
    time.sleep(0.12)
    assert client.is_there(name)
    assert client.members(segment) == []
    client.change(segment, "add", name)
    assert client.members(segment) == [name]


# Reading


def test_people_are_searched_and_read_by_the_hundred(client: Client) -> None:
    name = new_id()
    client.batch(identify(name, email=f"{name}@box.example", shoe=name))
    query = {"filter": {"and": [{"attribute": {"field": "shoe", "operator": "eq", "value": name}}]}}
    found = client.app("POST", "/customers", query).json()
    assert found["ids"] == [name]
    segment = client.segment(name)
    assert client.app("POST", "/customers", {"filter": {"segment": {"id": int(segment)}}}).json()["ids"] == [name]
    assert client.app("POST", "/customers", {"filter": {"shoe": 1}}).status_code == 400
    many = client.app("POST", "/customers/attributes", {"ids": [name, "nobody"]}).json()["customers"]
    assert [one["customer"]["identifiers"]["id"] for one in many] == [name]
    assert client.app("POST", "/customers/attributes", {"ids": ["x"] * 101}).status_code == 400
    assert client.app("GET", f"/customers/{name}/attributes", id_type="email").status_code == 404
    topics = client.app("GET", "/subscription_topics").json()["topics"]
    assert [one["identifier"] for one in topics] == ["topic_1", "topic_2"]


# Faults and limits


def test_rows_are_refused_one_by_one_or_all_together(client: Client) -> None:
    names = [new_id() for _ in range(20)]
    client.order("refuse_rows", share=0.3)
    errors = client.batch(*map(identify, names)).json()["errors"]
    refused = {names[error["batch_index"]] for error in errors}
    assert 0 < len(refused) < 20
    assert {name for name in names if not client.is_there(name)} == refused
    client.sandbox.environment.faults.clear()
    client.order("refuse_rows", share=0.3, whole_batch=True)
    whole = client.batch(*map(identify, names))
    assert whole.status_code == 400
    assert "batch_index" not in whole.text


def test_a_write_whose_answer_is_lost_has_happened(client: Client) -> None:
    name = new_id()
    client.order("reset", when="after", path="batch$", times=1)
    with pytest.raises(requests.ConnectionError):
        client.batch(identify(name))
    assert client.is_there(name)


def test_each_host_has_a_limit_of_its_own_and_says_nothing_about_it() -> None:
    with Sandbox(people=5) as sandbox:
        client = Client(sandbox)
        answers = [client.app("GET", "/segments") for _ in range(40)]
        assert 429 in {answer.status_code for answer in answers[10:]}
        assert {answer.status_code for answer in answers[:10]} == {200}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert "Retry-After" not in refused.headers
        assert client.track("GET", "/v1/accounts/region").ok
