"""Writing to the Intercom stand-in, over HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.intercom import Intercom

Json = dict[str, Any]
numbers = itertools.count(1)


class Client:
    """Speaks to the stand-in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        system = sandbox.systems["intercom"]
        assert isinstance(system, Intercom)
        self.system = system
        self._session = requests.Session()

    def ask(self, method: str, path: str, body: object = None, token: str = "sandbox-intercom") -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "Intercom-Version": "2.14"}
        url = f"{self.sandbox.system_url('intercom')}{path}"
        return self._session.request(method, url, headers=headers, json=body, timeout=30)

    def do(self, method: str, path: str, body: object = None) -> Json:
        answer = self.ask(method, path, body)
        assert answer.ok, answer.text
        told: Json = answer.json()
        return told

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        answer = self.ask(method, path, body)
        return answer.status_code, str(answer.json()["errors"][0]["code"])

    def user(self, **fields: object) -> Json:
        """A new user with an id and an address of their own."""
        own_id = f"u{next(numbers)}"
        return self.do("POST", "/contacts", {"external_id": own_id, "email": f"{own_id}@box.example", **fields})

    def found(self, field: str, value: object, operator: str = "=") -> list[str]:
        query = {"field": field, "operator": operator, "value": value}
        body = {"query": query, "pagination": {"per_page": 150}}
        return [row["id"] for row in self.do("POST", "/contacts/search", body)["data"]]

    def tag(self, *contact_ids: str) -> str:
        users = [{"id": contact_id} for contact_id in contact_ids]
        return str(self.do("POST", "/tags", {"name": f"Sync {next(numbers)}", "users": users})["id"])

    def people(self) -> list[Json]:
        people: list[Json] = self.state()["people"]
        return people

    def state(self) -> Json:
        state: Json = requests.get(f"{self.sandbox.url}/_sandbox/state/intercom", timeout=30).json()
        return state

    def somebody(self, standing: str) -> Json:
        """A user who stood so from the start."""
        return next(
            one
            for one in self.people()
            if one["standing"] == standing and one["fields"]["role"] == "user" and not one["written"]
        )

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "intercom", "kind": kind, **order}
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


# Making and changing


def test_a_contact_is_made_changed_and_read_back(client: Client) -> None:
    made = client.user(name="Ana", custom_attributes={"plan": "plus"})
    assert (made["role"], made["custom_attributes"]) == ("user", {"plan": "plus"})
    changed = client.do("PUT", f"/contacts/{made['id']}", {"name": "Anna", "custom_attributes": {"plan": None}})
    assert (changed["name"], changed["email"], changed["custom_attributes"]) == ("Anna", made["email"], {})
    assert client.do("GET", f"/contacts/{made['id']}") == changed
    assert client.do("GET", f"/contacts/find_by_external_id/{made['external_id']}") == changed
    assert client.refused("GET", "/contacts/find_by_external_id/nobody") == (404, "not_found")


def test_who_was_there_before_is_changed_and_keeps_the_rest(client: Client) -> None:
    person = client.somebody("unsubscribed")
    before = client.do("GET", f"/contacts/{person['id']}")
    after = client.do("PUT", f"/contacts/{person['id']}", {"custom_attributes": {"plan": "gold"}})
    same = {name for name in before if before[name] == after[name]}
    assert set(before) - same == {"custom_attributes", "updated_at"}
    assert client.found("external_id", before["external_id"]) == [person["id"]]


def test_one_who_is_there_is_refused_and_named(client: Client) -> None:
    made = client.user()
    for body in ({"external_id": made["external_id"]}, {"email": made["email"].upper()}):
        answer = client.ask("POST", "/contacts", body)
        assert answer.status_code == 409
        message = f"A contact matching those details already exists with id={made['id']}"
        assert answer.json()["errors"] == [{"code": "conflict", "message": message}]
    other = client.user()
    assert client.refused("PUT", f"/contacts/{other['id']}", {"email": made["email"]}) == (409, "conflict")


def test_an_archived_one_is_refused_in_other_words_and_comes_back_by_unarchiving(client: Client) -> None:
    archived = client.somebody("archived")
    body = {"external_id": archived["match"]["external_id"]}
    for contact_id in (archived["id"], client.user()["id"]):
        if contact_id != archived["id"]:
            told = client.do("POST", f"/contacts/{contact_id}/archive")
            assert (told["archived"], told["id"]) == (True, contact_id)
            body = {"external_id": told["external_id"]}
        answer = client.ask("POST", "/contacts", body)
        message = f"An archived contact matching those details already exists with id={contact_id}"
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (409, message)
        assert client.refused("PUT", f"/contacts/{contact_id}", {"name": "x"}) == (404, "not_found")
        assert client.found("external_id", body["external_id"]) == []
        assert client.do("POST", f"/contacts/{contact_id}/unarchive")["archived"] is False
        assert client.found("external_id", body["external_id"]) == [contact_id]


def test_leads_may_share_an_address_and_become_users(client: Client) -> None:
    user = client.user()
    leads = [client.do("POST", "/contacts", {"role": "lead", "email": user["email"]}) for _ in range(2)]
    assert set(client.found("email", user["email"])) == {user["id"], *(lead["id"] for lead in leads)}
    own_id = {"external_id": f"u{next(numbers)}"}
    assert client.refused("POST", "/contacts", {"role": "lead", **own_id}) == (400, "parameter_invalid")
    alone = client.do("POST", "/contacts", {"role": "lead", "email": f"u{next(numbers)}@box.example"})
    beside = client.do("POST", "/contacts", {"email": alone["email"]})
    assert (beside["role"], set(client.found("email", alone["email"]))) == ("user", {alone["id"], beside["id"]})
    client.do("DELETE", f"/contacts/{beside['id']}")
    path = f"/contacts/{alone['id']}"
    assert client.refused("PUT", path, own_id) == (400, "parameter_invalid")
    assert client.do("PUT", path, {"role": "user", **own_id})["external_id"] == own_id["external_id"]
    assert client.refused("PUT", path, {"role": "lead"}) == (400, "parameter_invalid")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "parameter_invalid"),
        ({"name": "Ana"}, "parameter_invalid"),
        ({"role": "admin"}, "parameter_invalid"),
        ({"email": "not an address"}, "parameter_invalid"),
        ({"email": "a@box.example", "phone": "call me"}, "parameter_invalid"),
        ({"external_id": 7}, "parameter_invalid"),
        ({"external_id": "x", "shoe_size": 43}, "parameter_invalid"),
        ({"external_id": "x", "signed_up_at": "today"}, "parameter_invalid"),
        ({"external_id": "x", "custom_attributes": {"nobody_made_it": 1}}, "parameter_not_found"),
        ({"external_id": "x", "custom_attributes": {"plan": 1}}, "parameter_invalid"),
        ({"external_id": "x", "custom_attributes": {"plan": "x" * 256}}, "parameter_invalid"),
        ({"external_id": "x", "has_hard_bounced": False}, "parameter_invalid"),
    ],
)
def test_contacts_that_are_refused(client: Client, body: Json, code: str) -> None:
    assert client.refused("POST", "/contacts", body) == (400, code)


def test_a_token_without_the_permission_may_not_write(client: Client) -> None:
    assert client.ask("GET", "/tags", token="sandbox-intercom-read-only").ok
    answer = client.ask("POST", "/tags", {"name": "x"}, token="sandbox-intercom-read-only")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "forbidden")


# Attributes


def test_attributes_are_made_once_and_check_what_is_written(client: Client) -> None:
    for name, data_type in (("ltv", "float"), ("orders", "integer"), ("vip", "boolean"), ("last order", "date")):
        made = client.do("POST", "/data_attributes", {"name": name, "model": "contact", "data_type": data_type})
        assert (made["full_name"], made["custom"]) == (f"custom_attributes.{name}", True)
    options = [{"value": "S"}, {"value": "L"}]
    client.do(
        "POST", "/data_attributes", {"name": "size", "model": "contact", "data_type": "options", "options": options}
    )
    listed = client.do("GET", "/data_attributes?model=contact")["data"]
    assert {"plan", "ltv", "size"} <= {one["name"] for one in listed if one["custom"]}
    values = {"ltv": 1, "orders": 2, "vip": True, "last order": 1_790_000_000, "size": "L"}
    assert client.user(custom_attributes=values)["custom_attributes"] == values
    bad = {"ltv": "1", "orders": 1.5, "vip": 1, "last order": "2026-01-01", "size": "M"}
    for name, value in bad.items():
        body = {"external_id": "x", "custom_attributes": {name: value}}
        assert client.refused("POST", "/contacts", body) == (400, "parameter_invalid")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "plan", "model": "contact", "data_type": "string"},
        {"name": "Email", "model": "contact", "data_type": "string"},
        {"name": "a.b", "model": "contact", "data_type": "string"},
        {"name": "a$", "model": "contact", "data_type": "string"},
        {"name": "ring", "model": "contact", "data_type": "mithril"},
        {"name": "ring", "model": "conversation", "data_type": "string"},
        {"name": "ring", "model": "contact", "data_type": "options", "options": [{"value": "1"}]},
        {"name": "x" * 191, "model": "contact", "data_type": "string"},
        {"model": "contact", "data_type": "string"},
    ],
)
def test_attributes_that_are_refused(client: Client, body: Json) -> None:
    assert client.refused("POST", "/data_attributes", body) == (400, "parameter_invalid")


# Tags


def test_a_tag_is_made_once_whatever_its_case(client: Client) -> None:
    made = client.do("POST", "/tags", {"name": "Loyal"})
    assert client.do("POST", "/tags", {"name": "LOYAL"})["id"] == made["id"]
    assert made["id"] in {one["id"] for one in client.do("GET", "/tags")["data"]}
    assert client.do("POST", "/tags", {"id": made["id"], "name": "Very loyal"})["name"] == "Very loyal"
    assert client.refused("POST", "/tags", {"id": made["id"], "name": "vip"}) == (400, "parameter_invalid")
    assert client.refused("POST", "/tags", {"test": "x"}) == (400, "parameter_invalid")
    assert client.refused("POST", "/tags", {"id": "1", "name": "New"}) == (404, "not_found")


def test_contacts_are_tagged_and_untagged_again_and_again(client: Client) -> None:
    first, second = client.user(), client.user()
    tag = client.tag()
    for _ in range(2):
        assert client.do("POST", f"/contacts/{first['id']}/tags", {"id": tag})["id"] == tag
    client.do("POST", "/tags", {"name": client.do("GET", f"/tags/{tag}")["name"], "users": [{"id": second["id"]}]})
    assert set(client.found("tag_id", tag)) == {first["id"], second["id"]}
    assert [one["id"] for one in client.do("GET", f"/contacts/{first['id']}/tags")["data"]] == [tag]
    for _ in range(2):
        assert client.do("DELETE", f"/contacts/{first['id']}/tags/{tag}")["id"] == tag
    assert client.found("tag_id", tag) == [second["id"]]
    assert client.refused("POST", f"/contacts/{first['id']}/tags", {"id": "1"}) == (404, "not_found")
    assert client.refused("POST", "/contacts/nobody/tags", {"id": tag}) == (404, "not_found")
    wrong = {"name": "Never made", "users": [{"id": first["id"]}, {"id": "nobody"}]}
    assert client.refused("POST", "/tags", wrong) == (404, "not_found")
    assert "Never made" not in client.state()["audiences"].values()


def test_tags_that_were_there_can_be_searched_and_dropped(client: Client) -> None:
    tagged = client.found("tag_id", "7003")
    assert tagged
    assert not set(tagged) & set(client.found("tag_id", "7003", "!="))
    assert client.refused(
        "POST", "/contacts/search", {"query": {"field": "tag_id", "operator": "IN", "value": []}}
    ) == (
        400,
        "parameter_invalid",
    )
    assert client.ask("DELETE", "/tags/7003").ok
    assert client.found("tag_id", "7003") == []


# Searching


def test_search_narrows_to_the_same_as_a_look_at_everybody(client: Client) -> None:
    rows = client.do("GET", "/contacts?per_page=150")["data"]
    some = [row for row in rows if row["email"] and row["external_id"]][:5]
    groups = [{"field": "email", "operator": "=", "value": row["email"].upper()} for row in some[:3]]
    groups += [{"field": "external_id", "operator": "=", "value": row["external_id"]} for row in some[3:]]
    body = {"query": {"operator": "OR", "value": groups}, "pagination": {"per_page": 150}}
    assert {row["id"] for row in client.do("POST", "/contacts/search", body)["data"]} == {row["id"] for row in some}
    narrow = {"operator": "AND", "value": [groups[0], {"field": "role", "operator": "=", "value": "lead"}]}
    assert client.do("POST", "/contacts/search", {"query": narrow})["data"] == []
    assert len(client.found("external_id", [row["external_id"] for row in some], "IN")) == 5
    assert client.found("custom_attributes.plan", "free")


def test_a_contact_made_a_moment_ago_is_missed_by_search_alone(client: Client) -> None:
    client.system.lag = 0.1
    made = client.user()
    assert client.found("external_id", made["external_id"]) == []
    assert client.do("GET", f"/contacts/{made['id']}")
    assert client.refused("POST", "/contacts", {"external_id": made["external_id"]}) == (409, "conflict")
    time.sleep(0.12)
    assert client.found("external_id", made["external_id"]) == [made["id"]]


# Consent and going


def test_there_are_people_of_every_standing(client: Client) -> None:
    with Sandbox(people=400, limits=False) as sandbox:
        people = Client(sandbox).people()
    assert {one["standing"] for one in people} == {"subscribed", "unsubscribed", "bounced", "archived"}
    assert not any(one["written"] for one in people)


def test_an_upsert_leaves_consent_alone_and_false_brings_somebody_back(client: Client) -> None:
    contact_id = client.somebody("unsubscribed")["id"]
    assert client.do("PUT", f"/contacts/{contact_id}", {"name": "Ana"})["unsubscribed_from_emails"] is True
    assert contact_id not in client.state()["resubscribed"]
    client.do("PUT", f"/contacts/{contact_id}", {"unsubscribed_from_emails": False})
    assert contact_id in client.state()["resubscribed"]


def test_subscriptions_are_left_and_joined_again(client: Client) -> None:
    contact_id = client.user()["id"]
    subscription = client.do("GET", "/subscription_types")["data"][0]["id"]
    path = f"/contacts/{contact_id}/subscriptions"
    client.do("POST", path, {"id": subscription, "consent_type": "opt_out"})
    assert [one["id"] for one in client.do("GET", path)["data"]] == [subscription]
    client.do("DELETE", f"{path}/{subscription}")
    assert client.do("GET", path)["data"] == []
    assert contact_id in client.state()["resubscribed"]
    assert client.refused("POST", path, {"id": "1", "consent_type": "opt_out"}) == (404, "not_found")
    assert client.refused("POST", path, {"id": subscription, "consent_type": "x"}) == (400, "parameter_invalid")


def test_deleted_is_for_good_and_blocked_is_out_of_sight(client: Client) -> None:
    made = client.user()
    assert client.do("DELETE", f"/contacts/{made['id']}") == {
        "type": "contact",
        "id": made["id"],
        "external_id": made["external_id"],
        "deleted": True,
    }
    assert client.refused("GET", f"/contacts/{made['id']}") == (404, "not_found")
    assert client.refused("DELETE", f"/contacts/{made['id']}") == (404, "not_found")
    assert client.found("external_id", made["external_id"]) == []
    again = client.do("POST", "/contacts", {"external_id": made["external_id"]})
    assert again["id"] != made["id"]
    assert client.do("POST", f"/contacts/{again['id']}/block")["blocked"] is True
    assert client.found("external_id", made["external_id"]) == []
    assert client.refused("POST", f"/contacts/{again['id']}/unarchive") == (404, "not_found")
    assert {one["standing"] for one in client.people() if one["id"] == again["id"]} == {"blocked"}


# Faults


def test_a_write_whose_answer_is_lost_has_happened(client: Client) -> None:
    client.order("reset", when="after", method="POST", path="contacts$", times=1)
    body = {"external_id": f"u{next(numbers)}"}
    with pytest.raises(requests.ConnectionError):
        client.ask("POST", "/contacts", body)
    assert client.refused("POST", "/contacts", body) == (409, "conflict")


def test_some_contacts_are_refused_on_order(client: Client) -> None:
    made = client.user()
    client.order("refuse_rows")
    assert client.refused("PUT", f"/contacts/{made['id']}", {"name": "x"}) == (400, "parameter_invalid")
    assert client.refused("POST", "/contacts", {"external_id": "refused"}) == (400, "parameter_invalid")
