"""The Vero stand-in, over HTTP. Nothing can be read there, so that all is checked by the sandbox's own state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.vero.project import Vero

TOKEN = "sandbox-vero"


class Client:
    """Speaks to the stand-in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.url = f"{sandbox.system_url('vero')}/api/v2"

    def ask(self, method: str, path: str, **body: object) -> requests.Response:
        return requests.request(method, f"{self.url}/users/{path}", json={"auth_token": TOKEN, **body}, timeout=30)

    def accepted(self, method: str, path: str, **body: object) -> str:
        """The message of an acceptance."""
        answer = self.ask(method, path, **body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == 200
        return str(answer.json()["message"])

    def identify(self, **body: object) -> str:
        return self.accepted("POST", "track", **body)

    def tag(self, user_id: object, **body: object) -> str:
        return self.accepted("PUT", "tags/edit", id=user_id, **body)

    def state(self) -> Any:
        return requests.get(f"{self.sandbox.url}/_sandbox/state/vero", timeout=30).json()

    def user(self, user_id: str) -> Any:
        return next((one for one in self.state()["people"] if one["id"] == user_id), None)

    def with_standing(self, standing: str) -> str:
        """The id of somebody who was there from the start."""
        return str(next(one["id"] for one in self.state()["people"] if one["standing"] == standing))

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "vero", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Client:
    requests.post(f"{running.url}/_sandbox/reset", timeout=10).raise_for_status()
    return Client(running)


# Who may


def test_the_token_stands_in_the_body_or_in_the_query(client: Client) -> None:
    url, user = f"{client.url}/users/track", {"id": "42"}
    assert requests.post(url, params={"auth_token": TOKEN}, json=user, timeout=10).status_code == 200
    assert requests.post(url, json={**user, "auth_token": TOKEN}, timeout=10).status_code == 200
    for wrong in ({}, {"auth_token": "other"}, {"auth_token": 5}):
        answer = requests.post(url, json={**user, **wrong}, timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (401, 401)
    header = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.post(url, json=user, headers=header, timeout=10).status_code == 401


def test_nothing_can_be_read(client: Client) -> None:
    for path in ("track", "42", "tags/edit"):
        answer = requests.get(f"{client.url}/users/{path}", params={"auth_token": TOKEN}, timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


# Identify and edit


def test_a_new_user_is_subscribed_and_null_takes_a_property_away(client: Client) -> None:
    client.identify(id=42, email="ana@box.example", phone_number="+15550100", data={"plan": "plus", "visits": 3})
    client.identify(id="42", data={"plan": None, "city": "Oslo"})
    user = client.user("42")
    assert user["match"] == {"email": "ana@box.example", "external_id": "42", "phone": "+15550100"}
    assert (user["standing"], user["fields"], user["written"]) == ("subscribed", {"visits": 3, "city": "Oslo"}, True)


def test_identifying_again_keeps_the_standing(client: Client) -> None:
    for standing in ("unsubscribed", "bounced", "subscribed"):
        user_id = client.with_standing(standing)
        client.identify(id=user_id, email=f"{standing}@box.example", data={"plan": "plus"})
        after = client.user(user_id)
        assert (after["standing"], after["match"]["email"]) == (standing, f"{standing}@box.example")
        assert after["fields"]["first_name"]


def test_without_an_id_the_address_is_the_id(client: Client) -> None:
    client.identify(email="bo@box.example")
    assert client.user("bo@box.example")["match"]["email"] == "bo@box.example"


def test_a_form_is_taken_too_and_the_ending_of_the_vendors_clients(client: Client) -> None:
    form = {"auth_token": TOKEN, "id": "7", "data": json.dumps({"plan": "plus"})}
    assert requests.post(f"{client.url}/users/track.json", data=form, timeout=10).status_code == 200
    assert client.user("7")["fields"] == {"plan": "plus"}
    wrong = requests.post(f"{client.url}/users/track", data={**form, "data": "{"}, timeout=10)
    assert wrong.status_code == 400


def test_a_repeated_identify_is_accepted_and_dropped(client: Client) -> None:
    assert client.identify(id="42", data={"plan": "plus"}) == "Success."
    assert client.identify(id="42", data={"plan": "free"}) == "Success."
    assert client.identify(id="42", data={"plan": "plus"}) == "Request already received."
    assert client.user("42")["fields"] == {"plan": "free"}
    assert [client.identify(id="42") for _ in range(2)] == ["Success."] * 2
    system = client.sandbox.systems["vero"]
    assert isinstance(system, Vero)
    system.seconds_remembered = 0
    assert client.identify(id="42", data={"plan": "plus"}) == "Success."
    assert client.user("42")["fields"] == {"plan": "plus"}


def test_edit_changes_a_known_user_only(client: Client) -> None:
    client.identify(id="42")
    client.accepted("PUT", "edit", id="42", changes={"plan": "plus", "email": "new@box.example"})
    assert client.user("42")["fields"] == {"plan": "plus"}
    assert client.user("42")["match"]["email"] == "new@box.example"
    client.accepted("PUT", "edit", id="nobody", changes={"plan": "plus"})
    assert client.user("nobody") is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "track", {}),
        ("POST", "track", {"id": ""}),
        ("POST", "track", {"id": "x" * 255}),
        ("POST", "track", {"id": True}),
        ("POST", "track", {"id": "1", "email": "nonsense"}),
        ("POST", "track", {"id": "1", "email": 5}),
        ("POST", "track", {"id": "1", "email": f"{'x' * 250}@box.example"}),
        ("POST", "track", {"id": "1", "data": ["plan"]}),
        ("POST", "track", {"id": "1", "channels": {"type": "push"}}),
        ("PUT", "edit", {"id": "1"}),
        ("PUT", "reidentify", {"id": "1"}),
        ("PUT", "tags/edit", {"id": "1"}),
        ("PUT", "tags/edit", {"id": "1", "add": "vip"}),
        ("PUT", "tags/edit", {"id": "1", "add": [5]}),
        ("POST", "unsubscribe", {"email": "a@box.example"}),
        ("POST", "delete", {}),
    ],
)
def test_what_is_not_well_formed_is_refused(client: Client, method: str, path: str, body: dict[str, Any]) -> None:
    answer = client.ask(method, path, **body)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.json()["message"]


def test_a_body_that_is_no_object_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    for body in ("{", "[]"):
        assert requests.post(f"{client.url}/users/track", data=body, headers=headers, timeout=10).status_code == 400


# Tags and standing


def test_tags_come_into_being_by_use(client: Client) -> None:
    client.identify(id="42")
    client.tag("42", add=["High value", "vip"], remove=[])
    client.tag("42", add=["High value", "trial"], remove=["vip", "never set"])
    assert client.user("42")["audiences"] == ["High value", "trial"]
    assert client.state()["audiences"]["High value"] == "High value"
    client.tag("nobody", add=["vip"])
    assert client.user("nobody") is None


def test_one_tag_is_reserved_and_unsubscribes(client: Client) -> None:
    user_id = client.with_standing("subscribed")
    client.tag(user_id, add=["unsubscribed"])
    assert client.user(user_id)["standing"] == "unsubscribed"


def test_unsubscribing_and_resubscribing_work(client: Client) -> None:
    user_id = client.with_standing("subscribed")
    client.accepted("POST", "unsubscribe", id=user_id)
    assert (client.user(user_id)["standing"], client.user(user_id)["resubscribed"]) == ("unsubscribed", False)
    client.accepted("POST", "resubscribe", id=user_id)
    assert (client.user(user_id)["standing"], client.user(user_id)["resubscribed"]) == ("subscribed", True)
    client.accepted("POST", "unsubscribe", id="nobody")
    assert client.user("nobody") is None


# New ids and deletion


def test_a_user_takes_everything_along_to_a_new_id(client: Client) -> None:
    user_id = client.with_standing("unsubscribed")
    before = client.user(user_id)
    client.accepted("PUT", "reidentify", id=user_id, new_id="new")
    after = client.user("new")
    assert (after["standing"], after["fields"], after["audiences"]) == (
        "unsubscribed",
        before["fields"],
        before["audiences"],
    )
    assert client.user(user_id) is None
    assert client.accepted("PUT", "reidentify", id="nobody", new_id="somebody") == "Success."
    assert client.user("somebody") is None


def test_two_users_become_one_unsubscribed_if_either_was(client: Client) -> None:
    user_id = client.with_standing("unsubscribed")
    client.identify(id="kept", email="kept@box.example", data={"first_name": "Ana"})
    client.accepted("PUT", "reidentify", id=user_id, new_id="kept")
    after = client.user("kept")
    assert (after["standing"], after["match"]["email"], after["fields"]["first_name"]) == (
        "unsubscribed",
        "kept@box.example",
        "Ana",
    )


def test_deleting_forgets_even_that_somebody_unsubscribed(client: Client) -> None:
    user_id = client.with_standing("unsubscribed")
    assert client.accepted("POST", "delete", id=user_id) == "Success."
    assert client.accepted("POST", "delete", id=user_id) == "Success."
    assert client.user(user_id) is None
    assert client.state()["deleted"] == [user_id]
    client.identify(id=user_id)
    assert (client.user(user_id)["standing"], client.user(user_id)["fields"]) == ("subscribed", {})


# Faults and limits


def test_a_write_counts_even_if_its_answer_is_lost(client: Client) -> None:
    client.order("reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.identify(id="lost", data={"plan": "plus"})
    assert client.identify(id="lost", data={"plan": "plus"}) == "Request already received."
    assert client.user("lost")["fields"] == {"plan": "plus"}


def test_refused_users_are_always_the_same(client: Client) -> None:
    client.order("refuse_rows", share=0.4)
    first = [client.ask("POST", "track", id=str(number)).status_code for number in range(20)]
    second = [client.ask("POST", "delete", id=str(number)).status_code for number in range(20)]
    assert first == second
    assert set(first) == {200, 400}


@pytest.mark.parametrize(
    ("order", "status"),
    [({"kind": "rate_limited"}, 429), ({"kind": "server_error"}, 503), ({"kind": "expire_token"}, 401)],
)
def test_the_vendors_failures(client: Client, order: dict[str, Any], status: int) -> None:
    client.order(**order, times=1)
    answer = client.ask("POST", "track", id="42")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert "retry-after" not in answer.headers
    assert client.identify(id="42") == "Success."


def test_the_limit() -> None:
    with Sandbox(people=20) as sandbox, requests.Session() as session:
        system = sandbox.systems["vero"]
        assert isinstance(system, Vero)
        system.pace.seconds = 60
        url, body = f"{sandbox.system_url('vero')}/api/v2/users/track", {"auth_token": TOKEN, "id": "42"}
        statuses = [session.post(url, json=body, timeout=10).status_code for _ in range(51)]
    assert statuses == [200] * 50 + [429]
