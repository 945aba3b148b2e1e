"""The Shift4Shop stand-in, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

KEYS = {
    "SecureURL": "https://sandbox.3dcartstores.com",
    "PrivateKey": "sandbox-shift4shop-key",
    "Token": "sandbox-shift4shop-token",
}


def get(sandbox: Sandbox, path: str, keys: dict[str, str] = KEYS, **params: Any) -> requests.Response:
    url = f"{sandbox.system_url('shift4shop')}/3dCartWebAPI/v1/{path}"
    return requests.get(url, headers=keys, params=params, timeout=10)


def rows(sandbox: Sandbox, path: str, limit: int = 200, **params: Any) -> Iterator[dict[str, Any]]:
    """All rows of a list; 404 or a short page is its end."""
    offset = 0
    while (answer := get(sandbox, path, limit=limit, offset=offset, **params)).ok:
        page = answer.json()
        yield from page
        if len(page) < limit:
            return
        offset += limit
    assert answer.status_code == 404


@pytest.mark.parametrize("name", list(KEYS))
def test_all_three_keys_are_needed(sandbox: Sandbox, name: str) -> None:
    answer = get(sandbox, "Customers", {**KEYS, name: "wrong"})
    assert (answer.status_code, answer.json()[0]["Status"]) == (401, "401")


@pytest.mark.parametrize(("path", "key"), [("Customers", "CustomerID"), ("Orders", "OrderID")])
def test_lists_are_paged_by_offset(sandbox: Sandbox, path: str, key: str) -> None:
    whole = list(rows(sandbox, path))
    assert [row[key] for row in rows(sandbox, path, limit=7)] == [row[key] for row in whole]
    assert len({row[key] for row in whole}) == len(whole) > 30
    assert get(sandbox, path, countonly=1).json() == [{"TotalCount": len(whole)}]
    assert len(get(sandbox, path).json()) == 10


def test_changes_are_found_on_the_store_clock(sandbox: Sandbox) -> None:
    whole = list(rows(sandbox, "Orders"))
    edge = sorted(row["LastUpdate"] for row in whole)[len(whole) // 2]
    asked = datetime.fromisoformat(edge).strftime("%m/%d/%Y %H:%M:%S")
    late = list(rows(sandbox, "Orders", lastupdatestart=asked))
    assert [row["OrderID"] for row in late] == [row["OrderID"] for row in whole if row["LastUpdate"] >= edge]
    day = datetime.fromisoformat(edge)
    placed = list(rows(sandbox, "Orders", datestart=(day - timedelta(days=30)).strftime("%m/%d/%Y")))
    assert 0 < len(placed) < len(whole)


def test_what_life_brings_is_new(fresh_sandbox: Sandbox) -> None:
    before = {row["OrderID"] for row in rows(fresh_sandbox, "Orders")}
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
    after = {row["OrderID"] for row in rows(fresh_sandbox, "Orders")}
    assert before < after


def test_orders_and_customers_are_whose_the_truth_says(sandbox: Sandbox) -> None:
    owner = {sandbox.truth(index)["shift4shop"]["customer_id"]: index for index in range(sandbox.company.people)}  # type: ignore[index]
    for row in rows(sandbox, "Customers"):
        person = sandbox.company.person(owner[row["CustomerID"]])
        assert (row["Email"], row["AdditionalField1"]) == (person.email, person.customer_id or "")
    guests = 0
    for row in rows(sandbox, "Orders"):
        person = sandbox.company.find_by_email(row["BillingEmail"])
        assert person is not None
        guests += row["CustomerID"] == 0
        assert row["CustomerID"] in (0, 70_000 + person.index)
    assert guests > 5


def test_what_must_never_be_kept_is_there_to_be_dropped(sandbox: Sandbox) -> None:
    assert next(rows(sandbox, "Customers"))["Password"]
    assert next(rows(sandbox, "Orders"))["CardNumber"]


def test_single_rows_products_and_statuses(sandbox: Sandbox) -> None:
    order = next(rows(sandbox, "Orders"))
    assert get(sandbox, f"Orders/{order['OrderID']}").json() == [order]
    assert get(sandbox, "Orders/1").status_code == 404
    assert len(list(rows(sandbox, "Products"))) == 4
    assert {row["OrderStatusID"] for row in rows(sandbox, "OrderStatus")} == {1, 2, 4, 5}


@pytest.mark.parametrize("params", [{"limit": 201}, {"limit": "all"}, {"lastupdatestart": "2026-01-01"}, {"since": 1}])
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, params: dict[str, Any]) -> None:
    assert get(sandbox, "Orders", **params).status_code == 400


def test_two_requests_a_second() -> None:
    with Sandbox(people=10) as sandbox:
        statuses = [get(sandbox, "OrderStatus").status_code for _ in range(4)]
        assert 429 in statuses
