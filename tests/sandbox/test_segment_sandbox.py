"""The Segment stand-in, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Any:
    with Sandbox(people=60, limits=False) as sandbox:
        yield sandbox


def ask(sandbox: Sandbox, name: str, part: str, token: str = "sandbox-segment-profile", **params: object) -> Any:
    url = f"{sandbox.url}/segment/v1/spaces/spa_sandbox/collections/users/profiles/{name}/{part}"
    return requests.get(url, auth=(token, ""), params=params, timeout=30)


def customer(sandbox: Sandbox) -> Any:
    people = (sandbox.company.person(index) for index in range(60))
    return next(one for one in people if one.customer_id and sandbox.company.devices(one.index))


def test_a_profile_is_found_by_each_of_its_identifiers(sandbox: Sandbox) -> None:
    person = customer(sandbox)
    device = sandbox.company.devices(person.index)[0].device_id.lower()
    names = (f"user_id:{person.customer_id.lower()}", f"email:{person.email.lower()}", f"anonymous_id:{device}")
    found = [ask(sandbox, name, "traits").json()["traits"]["email"] for name in names]
    assert found == [person.email] * 3


def test_pages_follow_the_cursor(sandbox: Sandbox) -> None:
    name = f"user_id:{customer(sandbox).customer_id.lower()}"
    whole = ask(sandbox, name, "external_ids", limit=200).json()
    assert whole["cursor"]["has_more"] is False
    first = ask(sandbox, name, "external_ids", limit=1).json()
    second = ask(sandbox, name, "external_ids", limit=1, next=first["cursor"]["next"]).json()
    assert first["data"] + second["data"] == whole["data"][:2]


def test_traits_by_class(sandbox: Sandbox) -> None:
    name = f"user_id:{customer(sandbox).customer_id.lower()}"
    assert set(ask(sandbox, name, "traits", **{"class": "audience"}).json()["traits"]) == {"big_spenders"}


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("user_id:c-999999/traits", {}, 404, "not_found"),
        ("user_id:C-000001/traits", {}, 400, "validation_error"),
        ("loyalty:1/traits", {}, 400, "validation_error"),
        ("{customer}/external_ids", {"limit": 500}, 400, "validation_error"),
        ("{customer}/traits", {"colour": "red"}, 400, "validation_error"),
    ],
)
def test_what_is_refused(sandbox: Sandbox, path: str, params: dict[str, object], status: int, code: str) -> None:
    known = f"user_id:{customer(sandbox).customer_id.lower()}"
    name, part = path.format(customer=known).split("/")
    answer = ask(sandbox, name, part, **params)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_wrong_token_is_refused(sandbox: Sandbox) -> None:
    answer = ask(sandbox, "user_id:c-000001", "traits", token="wrong")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "authentication_error")
