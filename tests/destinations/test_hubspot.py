"""HubSpot as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.hubspot import HubSpot, HubSpotSettings
from millstream.destinations.modes import Status, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.sync import Sync
from millstream.destinations.testing import deliver
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RefusedError,
)

SYSTEM = "hubspot"
ROOT = "https://hubspot.test"
CONTACTS = f"{ROOT}/crm/v3/objects/contacts"
LISTS = f"{ROOT}/crm/v3/lists"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, token: str = "pat-sandbox-hubspot") -> HubSpot:
    return HubSpot(HubSpotSettings(base_url=f"{sandbox.url}/hubspot", access_token=SecretStr(token)))


@pytest.fixture
def hubspot(sandbox: Sandbox) -> HubSpot:
    return connect(sandbox)


@pytest.fixture
def offline() -> HubSpot:
    return HubSpot(HubSpotSettings(base_url=ROOT, access_token=SecretStr("pat-test")))


def oauth(sandbox: Sandbox, refresh_token: str = "sandbox-refresh") -> HubSpot:
    return HubSpot(
        HubSpotSettings(
            base_url=f"{sandbox.url}/hubspot",
            client_id="sandbox-client",
            client_secret=SecretStr("sandbox-secret"),
            refresh_token=SecretStr(refresh_token),
        )
    )


def row(number: int, email: str, external_id: str | None = None, **fields: str | float | None) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=email, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


# Settings


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"client_id": "a", "client_secret": "b"},
        {"access_token": "pat-x", "refresh_token": "y"},
    ],
)
def test_settings_take_one_whole_credential(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="access_token"):
        HubSpotSettings.model_validate(given)


def test_the_pace_is_the_accounts(sandbox: Sandbox) -> None:
    settings = HubSpotSettings(
        base_url=f"{sandbox.url}/hubspot", access_token=SecretStr("pat-sandbox-hubspot"), requests_per_10_seconds=250
    )
    assert HubSpot(settings).http.pacer.limit.requests == 250


# Writing contacts


def test_values_are_text_and_none_clears(offline: HubSpot, alone: responses.RequestsMock) -> None:
    alone.post(f"{CONTACTS}/batch/upsert", json={"results": [{"id": "1", "objectWriteTraceId": "4"}]})
    fields = {"ltv": 1e21, "share": 120.5, "vip": True, "visits": 3, "city": None, "whole": 12.0}
    offline.upsert([DeliveryRow(number=4, match_value="ana@box.example", fields=fields)], match_key="email")
    assert orjson.loads(alone.calls[0].request.body or b"") == {
        "inputs": [
            {
                "id": "ana@box.example",
                "idProperty": "email",
                "objectWriteTraceId": "4",
                "properties": {
                    "ltv": "1000000000000000000000",
                    "share": "120.5",
                    "vip": "true",
                    "visits": "3",
                    "city": "",
                    "whole": "12",
                },
            }
        ]
    }


def test_the_last_row_of_a_person_is_the_one_that_is_sent(hubspot: HubSpot, sandbox: Sandbox) -> None:
    outcomes = hubspot.upsert(
        [row(1, "twice@box.example", city="Oslo"), row(2, "Twice@box.example", city="Rome")], match_key="email"
    )
    assert outcomes[0] == outcomes[1]
    state = requests.get(f"{sandbox.url}/_sandbox/state/hubspot", timeout=10).json()
    cities = [found["properties"].get("city") for found in state["contacts"] if found["id"] == outcomes[0].external_id]
    assert cities == ["Rome"]


@pytest.mark.parametrize(
    "fault",
    [
        {"context": {"objectWriteTraceId": ["2"]}},
        {"context": {"ids": ["ben@box.example"]}},
        {"errors": [{"message": "x", "code": "INVALID_EMAIL", "context": {"objectWriteTraceId": ["2"]}}]},
        {"id": "ben@box.example"},
        {},
    ],
    ids=["trace", "ids", "nested", "id", "absent"],
)
def test_an_error_finds_its_row(offline: HubSpot, alone: responses.RequestsMock, fault: dict[str, Any]) -> None:
    body = {
        "status": "COMPLETE",
        "results": [
            {"id": "13", "objectWriteTraceId": "3", "properties": {}},
            {"id": "11", "objectWriteTraceId": "1", "properties": {}},
        ],
        "numErrors": 1,
        "errors": [{"category": "VALIDATION_ERROR", "message": "ben@box.example is no good", **fault}],
    }
    alone.post(f"{CONTACTS}/batch/upsert", json=body, status=207)
    addresses = ("ana@box.example", "ben@box.example", "cem@box.example")
    rows = [row(number, email, city="Ulm") for number, email in enumerate(addresses, start=1)]
    outcomes = offline.upsert(rows, match_key="email")
    assert [outcome.external_id for outcome in outcomes] == ["11", None, "13"]
    assert outcomes[1].status is Status.REJECTED
    assert outcomes[1].code in {"validation_error", "invalid_email"}
    assert "ben@box.example" not in str(outcomes[1].reason)


def test_a_contact_without_a_field_to_change_is_looked_up_and_not_written(
    offline: HubSpot, alone: responses.RequestsMock
) -> None:
    there = {"results": [{"id": "11", "properties": {"email": "ana@box.example"}}]}
    made = {"results": [{"id": "12", "objectWriteTraceId": "2", "properties": {}}]}
    alone.post(f"{CONTACTS}/batch/read", json=there)
    written = alone.post(f"{CONTACTS}/batch/upsert", json=made)
    outcomes = offline.upsert([row(1, "ana@box.example"), row(2, "ben@box.example")], match_key="email")
    assert [outcome.external_id for outcome in outcomes] == ["11", "12"]
    body = orjson.loads(written.calls[0].request.body)
    assert [one["id"] for one in body["inputs"]] == ["ben@box.example"]


def test_a_row_that_the_answer_leaves_out_is_not_taken_as_done(offline: HubSpot, alone: responses.RequestsMock) -> None:
    results = [{"id": "11", "properties": {"email": "ana@box.example"}}]
    alone.post(f"{CONTACTS}/batch/upsert", json={"status": "COMPLETE", "results": results})
    rows = [row(1, "ana@box.example", city="Ulm"), row(2, "ben@box.example", city="Ulm")]
    outcomes = offline.upsert(rows, match_key="email")
    assert statuses(outcomes) == [("accepted", None), ("rejected", "missing_from_answer")]
    assert outcomes[1].fault == "vendor"


def test_a_batch_refused_whole_is_raised_for_halving(hubspot: HubSpot, faults: Any) -> None:
    faults(kind="refuse_rows", share=1.0, whole_batch=True)
    with pytest.raises(RefusedError):
        hubspot.upsert([row(1, "a@box.example"), row(2, "b@box.example")], match_key="email")


def test_bad_rows_of_batches_refused_whole_are_found(hubspot: HubSpot, faults: Any) -> None:
    faults(kind="refuse_rows", share=0.1, whole_batch=True)
    rows = [row(number, f"halved-{number}@box.example") for number in range(40)]
    outcomes = deliver(hubspot, rows)
    assert {status for status, _ in statuses(outcomes)} == {"accepted", "rejected"}
    assert sum(outcome.status is Status.REJECTED for outcome in outcomes) < 15


def test_refused_rows_of_a_207_leave_the_others_in(hubspot: HubSpot, faults: Any) -> None:
    faults(kind="refuse_rows", share=0.2)
    outcomes = hubspot.upsert([row(n, f"part-{n}@box.example") for n in range(60)], match_key="email")
    refused = [outcome for outcome in outcomes if outcome.status is Status.REJECTED]
    assert 0 < len(refused) < 30
    assert all(outcome.code and outcome.reason for outcome in refused)


def test_an_unknown_property_stops_the_sync(hubspot: HubSpot) -> None:
    with pytest.raises(ConfigurationError, match="favourite_colour"):
        hubspot.upsert([row(1, "ana@box.example", favourite_colour="red")], match_key="email")


def test_consent_is_not_a_field(offline: HubSpot) -> None:
    sync = Sync(
        destination="hubspot",
        table="t.t",
        mode=SyncMode.UPSERT,
        fields={"hs_email_optout_1": "out"},
        consent="not_needed",
    )
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(offline, "all", sync, {})
    assert offline.calls == 0


def test_standard_properties_are_not_looked_for(offline: HubSpot) -> None:
    assert offline.missing_fields(["city", "firstname"]) == []
    assert offline.calls == 0


def test_properties_that_are_not_there_or_read_only_are_told(hubspot: HubSpot) -> None:
    assert hubspot.missing_fields(["customer_id", "shoe_size"]) == ["shoe_size"]
    with pytest.raises(ConfigurationError, match="createdate"):
        hubspot.missing_fields(["createdate"])


def test_a_property_of_an_odd_name_is_not_made(hubspot: HubSpot) -> None:
    with pytest.raises(ConfigurationError, match="Shoe Size"):
        hubspot.create_field("Shoe Size", "number")


def test_update_writes_by_record_id(hubspot: HubSpot) -> None:
    [ana] = hubspot.upsert([row(1, "update-ana@box.example")], match_key="email")
    rows = [
        row(5, "update-ana@box.example", external_id=ana.external_id, city="Turin"),
        row(6, "update-nobody@box.example", city="Turin"),
        row(7, "Update-Ana@box.example", city="Parma"),
    ]
    outcomes = hubspot.update(rows, match_key="email")
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_found"), ("accepted", None)]
    assert outcomes[0].external_id == ana.external_id


# Lists


def test_a_dynamic_list_is_no_audience(hubspot: HubSpot) -> None:
    with pytest.raises(ConfigurationError, match="dynamic"):
        hubspot.ensure_audience("Newsletter subscribers")


def test_a_list_made_meanwhile_is_used(offline: HubSpot, alone: responses.RequestsMock) -> None:
    alone.get(f"{LISTS}/object-type-id/0-1/name/VIP%20%2F%20gold", status=404, json={"message": "not found"})
    alone.post(LISTS, status=400, json={"message": "exists", "category": "VALIDATION_ERROR"})
    lists = [
        {"listId": 5, "name": "VIP / gold", "objectTypeId": "0-2", "processingType": "MANUAL"},
        {"listId": 7, "name": "vip / gold", "objectTypeId": "0-1", "processingType": "MANUAL"},
    ]
    alone.post(f"{LISTS}/search", json={"lists": lists[:1], "hasMore": True, "offset": 1})
    alone.post(f"{LISTS}/search", json={"lists": lists[1:], "hasMore": False, "offset": 2})
    assert offline.ensure_audience("VIP / gold") == "7"


def test_members_without_a_record_id_are_looked_up(hubspot: HubSpot) -> None:
    audience = hubspot.ensure_audience("Looked up")
    hubspot.upsert([row(1, "lookup-ana@box.example")], match_key="email")
    outcomes = hubspot.add_members(
        audience, [row(1, "lookup-ana@box.example"), row(2, "lookup-nobody@box.example")], match_key="email"
    )
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_found")]
    assert list(hubspot.read_back(audience)) == ["lookup-ana@box.example"]


def test_a_record_that_is_gone_is_rejected_on_add_and_out_on_remove(hubspot: HubSpot) -> None:
    audience = hubspot.ensure_audience("Gone")
    gone = [row(1, "gone@box.example", external_id="999999999999")]
    assert statuses(hubspot.add_members(audience, gone, match_key="email")) == [("rejected", "record_missing")]
    assert statuses(hubspot.remove_members(audience, gone, match_key="email")) == [("accepted", None)]


def test_read_back_goes_through_all_pages(hubspot: HubSpot) -> None:
    audience = hubspot.ensure_audience("Many")
    emails = [f"many-{number}@box.example" for number in range(300)]
    members = []
    for start in range(0, 300, 100):
        rows = [row(number, emails[number]) for number in range(start, start + 100)]
        outcomes = hubspot.upsert(rows, match_key="email")
        members += [row(n, emails[n], o.external_id) for n, o in zip(range(start, start + 100), outcomes, strict=True)]
    hubspot.add_members(audience, members, match_key="email")
    assert sorted(hubspot.read_back(audience)) == sorted(emails)


def test_a_missing_list_stops_the_sync(hubspot: HubSpot) -> None:
    with pytest.raises(NotFoundError):
        hubspot.add_members("987654", [row(1, "ana@box.example", external_id="1")], match_key="email")


# Leaving


def test_contacts_are_archived_by_record_id_a_hundred_at_a_time(
    offline: HubSpot, alone: responses.RequestsMock
) -> None:
    known = [row(number, f"known-{number}@box.example", str(number)) for number in range(100, 200)]
    there = {"results": [{"id": "7", "properties": {"email": "ana@box.example"}}]}
    alone.post(f"{CONTACTS}/batch/read", json=there)
    sent = alone.post(f"{CONTACTS}/batch/archive", status=204)
    rows = [row(1, "ana@box.example"), row(2, "nobody@box.example"), *known]
    assert statuses(offline.archive(rows, match_key="email")) == [("accepted", None)] * 102
    bodies = [orjson.loads(call.request.body) for call in sent.calls]
    assert [len(body["inputs"]) for body in bodies] == [100, 1]
    assert bodies[0]["inputs"][:2] == [{"id": "7"}, {"id": "100"}]


# Erasure


def test_an_erased_address_cannot_come_back(hubspot: HubSpot) -> None:
    person = [row(1, "erase-me@box.example")]
    hubspot.upsert(person, match_key="email")
    assert statuses(hubspot.erase(person, match_key="email")) == [("accepted", None)]
    assert statuses(deliver(hubspot, person))[0][0] == "rejected"


def test_a_merged_contact_is_erased_by_address(offline: HubSpot, alone: responses.RequestsMock) -> None:
    alone.post(
        f"{CONTACTS}/gdpr-delete",
        status=404,
        json={"message": "no such contact"},
        match=[responses.matchers.json_params_matcher({"objectId": "5"})],
    )
    alone.post(
        f"{CONTACTS}/gdpr-delete",
        status=204,
        match=[responses.matchers.json_params_matcher({"objectId": "ana@box.example", "idProperty": "email"})],
    )
    assert statuses(offline.erase([row(1, "ana@box.example", external_id="5")], match_key="email")) == [
        ("accepted", None)
    ]


# Answers with a meaning of their own


def test_a_used_up_day_is_no_throttle(offline: HubSpot, alone: responses.RequestsMock) -> None:
    alone.get(CONTACTS, status=429, json={"errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "limit"})
    with pytest.raises(QuotaExhaustedError, match="daily"):
        offline.probe()
    assert offline.calls == 1


def test_a_migrating_account_is_waited_for(offline: HubSpot, alone: responses.RequestsMock) -> None:
    alone.get(CONTACTS, status=477, headers={"Retry-After": "1"}, json={"message": "migration"})
    alone.get(CONTACTS, json={"results": []})
    began = time.monotonic()
    offline.probe()
    assert time.monotonic() - began >= 1.0


def test_a_missing_scope_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError, match=r"crm\.lists"):
        connect(sandbox, "pat-sandbox-no-lists").ensure_audience("Any")


def test_an_access_token_that_ends_is_renewed(sandbox: Sandbox, faults: Any) -> None:
    hubspot = oauth(sandbox)
    hubspot.probe()
    faults(kind="expire_token", times=1)
    outcomes = hubspot.upsert([row(1, "renewed@box.example")], match_key="email")
    assert statuses(outcomes) == [("accepted", None)]
