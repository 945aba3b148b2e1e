"""Intercom as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import requests
import responses
from pydantic import ValidationError

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.http import Recorded
from millstream.destinations.intercom import Intercom, IntercomSettings
from millstream.destinations.modes import Leaving, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.sandbox.intercom.workspace import Intercom as Workspace
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from millstream.state.http import Retries

ROOT = "https://intercom.test"
TOKEN = "sandbox-intercom"
EMPTY = {"type": "list", "data": [], "total_count": 0, "pages": {"type": "pages"}}
NO_ATTRIBUTES = {"type": "list", "data": []}
SYSTEM = "intercom"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=120, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, **settings: Any) -> Intercom:
    facts = {"base_url": f"{sandbox.url}/intercom", "access_token": TOKEN, "requests_per_minute": 60_000, **settings}
    return Intercom(IntercomSettings.model_validate(facts))


@pytest.fixture
def intercom(sandbox: Sandbox) -> Intercom:
    return connect(sandbox)


@pytest.fixture
def offline() -> Intercom:
    return Intercom(IntercomSettings.model_validate({"base_url": ROOT, "access_token": TOKEN}))


def row(number: int, match_value: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=match_value, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def new() -> str:
    return f"c-{uuid4().hex[:10]}"


def call(sandbox: Sandbox, method: str, path: str, **body: object) -> dict[str, Any]:
    """What somebody else does in the workspace."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Intercom-Version": "2.15"}
    answer = requests.request(method, f"{sandbox.url}/intercom{path}", json=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def made(sandbox: Sandbox, **facts: object) -> str:
    return str(call(sandbox, "POST", "/contacts", **facts)["id"])


def state(sandbox: Sandbox) -> dict[str, Any]:
    told: dict[str, Any] = requests.get(f"{sandbox.url}/_sandbox/state/intercom", timeout=10).json()
    return told


def people(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    return {person["id"]: person for person in state(sandbox)["people"]}


def routes(sandbox: Sandbox) -> set[str]:
    log = requests.get(f"{sandbox.url}/_sandbox/requests", timeout=10).json()
    return {entry["route"] for entry in log["systems"].get("intercom", ())}


def bodies(*calls: Any) -> list[Any]:
    return [orjson.loads(one.request.body) for one in calls]


def error_list(code: str, message: str) -> dict[str, object]:
    return {"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": message}]}


def conflict(contact: str) -> dict[str, object]:
    return error_list("conflict", f"A contact matching those details already exists with id={contact}")


# Settings


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us", "https://api.intercom.io"),
        ("eu", "https://api.eu.intercom.io"),
        ("au", "https://api.au.intercom.io"),
    ],
)
def test_the_region_has_its_host(region: str, host: str) -> None:
    settings = IntercomSettings.model_validate({"access_token": TOKEN, "region": region})
    assert settings.base_url == host
    named = IntercomSettings.model_validate({"access_token": TOKEN, "region": region, "base_url": ROOT})
    assert named.base_url == ROOT


def test_other_regions_are_refused() -> None:
    with pytest.raises(ValidationError, match="region"):
        IntercomSettings.model_validate({"access_token": TOKEN, "region": "mars"})


# Writing contacts


def test_what_is_sent(offline: Intercom, alone: responses.RequestsMock) -> None:
    custom = [
        {"name": name, "data_type": kind, "custom": True, "api_writable": True, "archived": False}
        for name, kind in (
            ("plan", "string"),
            ("orders", "integer"),
            ("ltv", "float"),
            ("vip", "boolean"),
            ("birthday", "date"),
            ("seen", "datetime"),
        )
    ]
    alone.get(f"{ROOT}/data_attributes", json={"type": "list", "data": custom})
    alone.post(f"{ROOT}/contacts/search", json=EMPTY)
    create = alone.post(f"{ROOT}/contacts", json={"type": "contact", "id": "i1"})
    change = alone.put(f"{ROOT}/contacts/i1", json={"type": "contact", "id": "i1"})
    fields: dict[str, FieldValue] = {
        "email": "Ana@box.example",
        "name": "Ana",
        "phone": None,
        "signed_up_at": "2026-11-01 10:00:00+00",
        "owner_id": 7.0,
        "plan": 12,
        "orders": 3.0,
        "ltv": "120.5",
        "vip": "true",
        "birthday": "1990-02-28",
        "seen": None,
    }
    first = offline.upsert([row(1, "C-1", None, **fields)], match_key="external_id")
    offline.upsert([row(1, "C-1", first[0].external_id, name="Anna", seen=None, plan=None)], match_key="external_id")
    assert statuses(first) == [("accepted", None)]
    assert bodies(*create.calls) == [
        {
            "role": "user",
            "external_id": "C-1",
            "email": "Ana@box.example",
            "name": "Ana",
            "signed_up_at": 1793527200,
            "owner_id": 7,
            "custom_attributes": {"plan": "12", "orders": 3, "ltv": 120.5, "vip": True, "birthday": 636163200},
        }
    ]
    assert bodies(*change.calls) == [{"name": "Anna", "custom_attributes": {"seen": None, "plan": None}}]
    headers = alone.calls[0].request.headers
    assert (headers["Intercom-Version"], headers["Authorization"]) == ("2.15", f"Bearer {TOKEN}")


def test_known_contacts_without_a_change_cost_no_request(offline: Intercom) -> None:
    assert statuses(offline.upsert([row(1, "C-1", "i1")], match_key="external_id")) == [("accepted", None)]
    by_address = [row(1, "ana@box.example", "i1", email="ana@box.example")]
    assert statuses(offline.upsert(by_address, match_key="email")) == [("accepted", None)]
    assert offline.calls == 0


def test_fifteen_are_looked_up_with_one_search(intercom: Intercom) -> None:
    outcomes = intercom.upsert([row(number, new(), name="A") for number in range(31)], match_key="external_id")
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert intercom.calls == 3 + 31


@pytest.mark.parametrize("match_key", ["external_id", "email"])
def test_whom_searches_do_not_show_yet_is_changed_all_the_same(sandbox: Sandbox, match_key: str) -> None:
    workspace = sandbox.systems["intercom"]
    assert isinstance(workspace, Workspace)
    value = new() if match_key == "external_id" else f"{new()}@box.example"
    workspace.lag = 60.0
    try:
        contact = made(sandbox, role="user", **{match_key: value})
        [outcome] = connect(sandbox).upsert([row(1, value, name="Late")], match_key=match_key)
    finally:
        workspace.lag = 0.0
    assert (outcome.status, outcome.external_id) == ("accepted", contact)
    assert people(sandbox)[contact]["fields"]["name"] == "Late"


def test_a_user_without_an_id_gets_the_one_of_the_row(intercom: Intercom, sandbox: Sandbox) -> None:
    value, email = new(), f"{new()}@box.example"
    contact = made(sandbox, role="user", email=email)
    [outcome] = intercom.upsert([row(1, value, email=email, name="Claimed")], match_key="external_id")
    assert (outcome.status, outcome.external_id) == ("accepted", contact)
    assert people(sandbox)[contact]["match"]["external_id"] == value


def test_nobody_gets_the_fields_of_somebody_with_the_same_address(intercom: Intercom, sandbox: Sandbox) -> None:
    email = f"{new()}@box.example"
    contact = made(sandbox, role="user", external_id=new(), email=email, name="First")
    [outcome] = intercom.upsert([row(1, new(), email=email, name="Second")], match_key="external_id")
    assert statuses([outcome]) == [("rejected", "other_person")]
    assert people(sandbox)[contact]["fields"]["name"] == "First"


def test_a_lead_is_changed_by_its_address_and_stays_a_lead(intercom: Intercom, sandbox: Sandbox) -> None:
    email = f"{new()}@box.example"
    lead = made(sandbox, role="lead", email=email)
    [outcome] = intercom.upsert([row(1, email.upper(), name="Lead")], match_key="email")
    assert (outcome.status, outcome.external_id) == ("accepted", lead)
    assert people(sandbox)[lead]["fields"] == {"role": "lead", "name": "Lead"}


def test_of_several_with_an_address_the_user_is_meant(intercom: Intercom, sandbox: Sandbox) -> None:
    email = f"{new()}@box.example"
    made(sandbox, role="lead", email=email)
    user = made(sandbox, role="user", email=email)
    [outcome] = intercom.upsert([row(1, email, name="User")], match_key="email")
    assert outcome.external_id == user


def test_new_contacts_are_leads_where_the_settings_say_so(sandbox: Sandbox) -> None:
    leads = connect(sandbox, new_contacts="lead")
    for match_key, value in (("email", f"{new()}@box.example"), ("external_id", new())):
        [outcome] = leads.upsert([row(1, value)], match_key=match_key)
        role = people(sandbox)[str(outcome.external_id)]["fields"]["role"]
        assert role == ("lead" if match_key == "email" else "user")


def test_a_lead_whose_answer_was_lost_is_not_made_twice(sandbox: Sandbox, faults: Any) -> None:
    leads, email = connect(sandbox, new_contacts="lead"), f"{new()}@box.example"
    leads.ensure_audience("Warm")
    faults(kind="reset", when="after", method="POST", path="contacts/?$", times=1)
    assert statuses(leads.upsert([row(1, email)], match_key="email")) == [("retry_later", "unanswered")]
    assert statuses(leads.upsert([row(1, email)], match_key="email")) == [("accepted", None)]
    assert [person["match"]["email"] for person in people(sandbox).values()].count(email) == 1


def test_a_contact_that_became_part_of_another_is_found_again(intercom: Intercom, sandbox: Sandbox) -> None:
    value = new()
    contact = made(sandbox, role="user", external_id=value)
    tag = intercom.ensure_audience("Merged")
    for outcomes in (
        intercom.upsert([row(1, value, "gone-1", name="Found")], match_key="external_id"),
        intercom.add_members(tag, [row(1, value, "gone-1")], match_key="external_id"),
    ):
        assert [outcome.external_id for outcome in outcomes] == [contact]
    assert set(intercom.read_back(tag)) == {value}
    intercom.remove_members(tag, [row(1, value, "gone-1")], match_key="external_id")
    assert set(intercom.read_back(tag)) == set()


# Nobody is resubscribed, unblocked or brought back


def test_who_opted_out_stays_so(sandbox: Sandbox) -> None:
    before = {known: person["standing"] for known, person in people(sandbox).items()}
    rows = [
        row(number, person["match"]["external_id"], name="New", plan="free")
        for number, person in enumerate(people(sandbox).values())
        if person["standing"] != "subscribed" and person["match"]["external_id"]
    ]
    requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
    for bring_back in (False, True):
        intercom = connect(sandbox, bring_back_archived=bring_back)
        tag = intercom.ensure_audience("Consent")
        outcomes = intercom.upsert(rows, match_key="external_id")
        known = [row(one.number, one.match_value, out.external_id) for one, out in zip(rows, outcomes, strict=True)]
        intercom.add_members(tag, known, match_key="external_id")
        intercom.update(rows, match_key="external_id")
        intercom.remove_members(tag, known, match_key="external_id")
        if not bring_back:
            assert {("accepted", None), ("suppressed", "archived")} == set(statuses(outcomes))
            assert {known: person["standing"] for known, person in people(sandbox).items()} == before
    after = {known: person["standing"] for known, person in people(sandbox).items()}
    assert {known: after[known] for known in before if before[known] != "archived"} == {
        known: standing for known, standing in before.items() if standing != "archived"
    }
    assert state(sandbox)["resubscribed"] == []
    asked = routes(sandbox)
    assert [route for route in asked if "unarchive" in route]
    assert not [route for route in asked if "subscription" in route or "block" in route]


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_an_address_that_opted_out_gets_no_second_contact(intercom: Intercom, sandbox: Sandbox, known: bool) -> None:
    email, value = f"{new()}@box.example", new()
    lead = made(sandbox, role="lead", email=email, unsubscribed_from_emails=True)
    contact = made(sandbox, role="user", external_id=value, name="Before") if known else None
    before = people(sandbox)
    [outcome] = intercom.upsert([row(1, value, contact, email=email, name="After")], match_key="external_id")
    assert statuses([outcome]) == [("suppressed", "unsubscribed")]
    assert email not in str(outcome.reason)
    assert people(sandbox) == before
    assert before[lead]["standing"] == "unsubscribed"


def test_who_unsubscribed_may_get_their_own_address_again(intercom: Intercom, sandbox: Sandbox) -> None:
    email, value = f"{new()}@box.example", new()
    contact = made(sandbox, role="user", external_id=value, email=email, unsubscribed_from_emails=True)
    [outcome] = intercom.upsert([row(1, value, email=email, name="Same")], match_key="external_id")
    assert (outcome.status, outcome.external_id) == ("accepted", contact)
    assert people(sandbox)[contact]["standing"] == "unsubscribed"


def test_archived_contacts_are_brought_back_only_where_the_settings_say_so(
    intercom: Intercom, sandbox: Sandbox
) -> None:
    value = new()
    [outcome] = intercom.upsert([row(1, value, name="A")], match_key="external_id")
    members = [row(1, value, outcome.external_id, name="B")]
    intercom.archive(members, match_key="external_id")
    assert statuses(intercom.upsert(members, match_key="external_id")) == [("suppressed", "archived")]
    assert statuses(intercom.update(members, match_key="external_id")) == [("rejected", "not_found")]
    back = connect(sandbox, bring_back_archived=True)
    assert statuses(back.upsert(members, match_key="external_id")) == [("accepted", None)]
    person = people(sandbox)[str(outcome.external_id)]
    assert (person["standing"], person["fields"]["name"]) == ("subscribed", "B")


def test_somebody_elses_archived_contact_stays_archived(sandbox: Sandbox) -> None:
    email = f"{new()}@box.example"
    contact = made(sandbox, role="user", external_id=new(), email=email)
    call(sandbox, "POST", f"/contacts/{contact}/archive")
    back = connect(sandbox, bring_back_archived=True)
    outcomes = back.upsert([row(1, new(), email=email)], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "other_person")]
    assert people(sandbox)[contact]["standing"] == "archived"


@pytest.mark.parametrize(("bring_back", "code"), [(False, "archived"), (True, "blocked")])
def test_blocked_contacts_stay_blocked(sandbox: Sandbox, bring_back: bool, code: str) -> None:
    value = new()
    contact = made(sandbox, role="user", external_id=value)
    call(sandbox, "POST", f"/contacts/{contact}/block")
    before = people(sandbox)[contact]
    outcomes = connect(sandbox, bring_back_archived=bring_back).upsert([row(1, value)], match_key="external_id")
    assert statuses(outcomes) == [("suppressed", code)]
    assert people(sandbox)[contact] == before


@pytest.mark.parametrize("field", ["unsubscribed_from_emails", "unsubscribed_from_sms", "has_hard_bounced"])
def test_consent_is_no_field(offline: Intercom, field: str) -> None:
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(offline, "all", sync_of({field: "flag"}), {})
    assert offline.calls == 0


def test_nobody_who_left_is_deleted() -> None:
    """Intercom forgets the opt-out with the contact: whoever is deleted and comes back could get mail."""
    assert Leaving.DELETE not in Intercom.leavings


def sync_of(fields: dict[str, str], **more: object) -> Sync:
    facts = {"destination": "intercom", "table": "t.t", "mode": SyncMode.UPSERT, "fields": fields, **more}
    return Sync.model_validate({**facts, "consent": "not_needed"})


# Erasing


def test_archived_and_blocked_contacts_are_erased(intercom: Intercom, sandbox: Sandbox) -> None:
    contacts = {new(): "" for _ in range(3)}
    contacts = {value: made(sandbox, role="user", external_id=value) for value in contacts}
    for contact, act in zip(contacts.values(), ("", "/archive", "/block"), strict=True):
        if act:
            call(sandbox, "POST", f"/contacts/{contact}{act}")
    rows = [row(number, value, contact) for number, (value, contact) in enumerate(contacts.items())]
    for _ in range(2):
        assert statuses(intercom.erase(rows, match_key="external_id")) == [("accepted", None)] * 3
    assert not set(contacts.values()) & set(people(sandbox))


def test_whoever_has_the_match_value_by_now_is_erased(intercom: Intercom, sandbox: Sandbox) -> None:
    value = new()
    contact = made(sandbox, role="user", external_id=value)
    assert statuses(intercom.erase([row(1, value, "gone-3")], match_key="external_id")) == [("accepted", None)]
    assert contact not in people(sandbox)


def test_every_contact_with_an_address_is_erased(intercom: Intercom, sandbox: Sandbox) -> None:
    email = f"{new()}@box.example"
    for role in ("user", "lead", "lead"):
        made(sandbox, role=role, email=email)
    assert statuses(intercom.erase([row(1, email)], match_key="email")) == [("accepted", None)]
    assert email not in {person["match"]["email"] for person in people(sandbox).values()}


# Tags


def test_a_tag_is_found_in_any_spelling(intercom: Intercom, sandbox: Sandbox) -> None:
    assert intercom.ensure_audience("VIP") == intercom.ensure_audience(" vip ")
    assert state(sandbox)["audiences"][intercom.ensure_audience("VIP")] == "vip"


def test_a_tag_that_is_there_is_not_written(offline: Intercom, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/tags", json={"type": "list", "data": [{"type": "tag", "id": "9", "name": "Käufer"}]})
    assert offline.ensure_audience("KÄUFER") == "9"


def test_a_tag_that_somebody_makes_at_the_same_time_is_theirs(offline: Intercom, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/tags", json={"type": "list", "data": []})
    alone.post(f"{ROOT}/tags", json={"type": "tag", "id": "9", "name": "Gold"})
    assert offline.ensure_audience("gold") == "9"


def test_a_tag_that_is_refused_is_an_error_of_the_project(offline: Intercom, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/tags", json={"type": "list", "data": []})
    alone.post(f"{ROOT}/tags", status=400, json=error_list("parameter_invalid", "invalid tag parameters"))
    with pytest.raises(ConfigurationError, match="invalid tag"):
        offline.ensure_audience("gold")


def test_a_deleted_tag_stops_the_sync_and_a_deleted_contact_does_not(intercom: Intercom, sandbox: Sandbox) -> None:
    contact, tag = made(sandbox, role="user", external_id=new()), intercom.ensure_audience("Short-lived")
    stranger = [row(1, new(), "gone-2")]
    assert statuses(intercom.add_members(tag, stranger, match_key="external_id")) == [("rejected", "not_found")]
    with pytest.raises(NotFoundError, match="tag"):
        intercom.add_members("404404", [row(1, new(), contact)], match_key="external_id")
    assert statuses(intercom.remove_members("404404", stranger, match_key="external_id")) == [("accepted", None)]


def test_members_are_read_page_by_page(offline: Intercom, alone: responses.RequestsMock) -> None:
    pages = [
        {
            "data": [{"id": "i1", "external_id": "C-1", "email": "A@box.example"}],
            "pages": {"next": {"starting_after": "x"}},
        },
        {"data": [{"id": "i2", "external_id": None, "email": "b@box.example"}], "pages": {"next": None}},
    ]
    for page in pages:
        alone.post(f"{ROOT}/contacts/search", json=page)
    members = list(offline.read_members("9"))
    assert [(member.match_values, member.external_id) for member in members] == [
        (("C-1", "a@box.example"), "i1"),
        (("b@box.example",), "i2"),
    ]
    first, second = bodies(*alone.calls)
    assert first["query"] == second["query"] == {"field": "tag_id", "operator": "=", "value": "9"}
    assert second["pagination"] == {"per_page": 150, "starting_after": "x"}


# Attributes


def test_attributes_are_made_where_asked(intercom: Intercom) -> None:
    name = f"tier {uuid4().hex[:6]}"
    with pytest.raises(ConfigurationError, match="create_fields"):
        ensure_fields(intercom, "all", sync_of({name: "tier"}), {})
    ensure_fields(intercom, "all", sync_of({name: "tier"}, create_fields=True), {"tier": "BIGINT"})
    values: tuple[FieldValue, ...] = (3, "nan")
    rows = [DeliveryRow(number=number, match_value=new(), fields={name: value}) for number, value in enumerate(values)]
    told = intercom.upsert(rows, match_key="external_id")
    assert statuses(told) == [("accepted", None), ("rejected", "parameter_invalid")]
    intercom.create_field(name, "number")  # somebody else was quicker: it is there


def test_attributes_that_somebody_makes_are_seen(intercom: Intercom, sandbox: Sandbox) -> None:
    name = f"made {uuid4().hex[:6]}"
    assert intercom.missing_fields(["plan", name]) == [name]
    call(sandbox, "POST", "/data_attributes", name=name, model="contact", data_type="string")
    assert intercom.missing_fields(["plan", name]) == []


def test_names_that_intercom_does_not_take_are_errors_of_the_project(intercom: Intercom) -> None:
    with pytest.raises(ConfigurationError, match="alphanumeric"):
        intercom.create_field("with.dot", "text")


@pytest.mark.parametrize("name", ["role", "id", "browser"])
def test_what_intercom_fills_itself_is_no_field(offline: Intercom, alone: responses.RequestsMock, name: str) -> None:
    browser = {"name": "browser", "data_type": "string", "custom": False, "api_writable": False, "archived": False}
    alone.get(f"{ROOT}/data_attributes", json={"type": "list", "data": [browser]})
    with pytest.raises(ConfigurationError, match="by Intercom itself"):
        offline.missing_fields([name])


def test_an_attribute_that_is_gone_is_a_fault_of_the_configuration(intercom: Intercom) -> None:
    [outcome] = intercom.upsert([row(1, new(), no_such_attribute="x")], match_key="external_id")
    assert (outcome.status, outcome.code, outcome.fault) == ("rejected", "parameter_not_found", "configuration")


# Answers


def test_rows_of_each_kind_in_one_batch(intercom: Intercom) -> None:
    rows = [row(1, new(), name="A"), row(2, new(), email="bad@@example"), row(3, new(), plan="x" * 300)]
    told = intercom.upsert(rows, match_key="external_id")
    assert statuses(told) == [("accepted", None), *[("rejected", "parameter_invalid")] * 2]
    assert "bad@@example" not in str(told)


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refused_contact_is_a_rejected_row(offline: Intercom, alone: responses.RequestsMock, status: int) -> None:
    alone.post(f"{ROOT}/contacts/search", json=EMPTY)
    alone.post(f"{ROOT}/contacts", status=status, json=error_list("odd", "ana@box.example is odd"))
    [outcome] = offline.upsert([row(1, "ana@box.example")], match_key="email")
    assert statuses([outcome]) == [("rejected", "odd")]
    assert "ana@box.example" not in str(outcome.reason)


def test_a_contact_in_the_way_that_cannot_be_changed_is_archived(
    offline: Intercom, alone: responses.RequestsMock
) -> None:
    """The vendor's words are not to be relied on."""
    alone.post(f"{ROOT}/contacts/search", json=EMPTY)
    alone.post(f"{ROOT}/contacts", status=409, json=conflict("i1"))
    alone.put(f"{ROOT}/contacts/i1", status=404, json=error_list("not_found", "User Not Found"))
    [outcome] = offline.upsert([row(1, "ana@box.example", name="Ana", email="ana@box.example")], match_key="email")
    assert statuses([outcome]) == [("suppressed", "archived")]


def test_a_wrong_address_stops_the_sync(offline: Intercom, alone: responses.RequestsMock) -> None:
    alone.post(f"{ROOT}/contacts/search", status=404, body="<html>not here</html>")
    with pytest.raises(NotFoundError):
        offline.upsert([row(1, "C-1")], match_key="external_id")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "unauthorized", AuthenticationError),
        (401, "token_revoked", AuthenticationError),
        (403, "api_plan_restricted", PermissionDeniedError),
        (400, "intercom_version_invalid", ConfigurationError),
    ],
)
def test_what_stops_a_sync(
    offline: Intercom, alone: responses.RequestsMock, status: int, code: str, error: type[Exception]
) -> None:
    alone.put(f"{ROOT}/contacts/i1", status=status, json=error_list(code, "no"))
    rows = [row(number, f"C-{number}", "i1", name="A") for number in range(3)]
    with pytest.raises(error):
        offline.upsert(rows, match_key="external_id")
    assert offline.calls == 1


def test_a_token_that_may_not_write_stops_the_sync(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError, match="permission") as raised:
        connect(sandbox, access_token="sandbox-intercom-read-only").upsert([row(1, new())], match_key="external_id")
    assert "Developer Hub" in str(raised.value.remedy)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_waited_for(offline: Intercom, alone: responses.RequestsMock, status: int) -> None:
    reset = {"X-RateLimit-Reset": str(int(time.time()))}
    alone.put(f"{ROOT}/contacts/i1", status=status, json=error_list("later", "later"), headers=reset)
    alone.put(f"{ROOT}/contacts/i1", json={"id": "i1"})
    assert statuses(offline.upsert([row(1, "C-1", "i1", name="A")], match_key="external_id")) == [("accepted", None)]


def test_the_rest_of_a_batch_waits_for_the_next_run(offline: Intercom, alone: responses.RequestsMock) -> None:
    offline.http._session._retries = Retries(attempts=1)
    alone.put(f"{ROOT}/contacts/i1", status=503, json={})
    rows = [row(number, f"C-{number}", "i1", name="A") for number in range(3)]
    outcomes = offline.upsert(rows, match_key="external_id")
    assert statuses(outcomes) == [("retry_later", "unavailable"), *[("retry_later", "not_sent")] * 2]
    alone.post(f"{ROOT}/contacts/search", status=503, json={})
    with pytest.raises(UnavailableError):
        offline.upsert([row(1, "C-1")], match_key="external_id")


def test_the_headers_of_the_window_are_kept(offline: Intercom, alone: responses.RequestsMock) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 2)}
    alone.get(f"{ROOT}/me", json={}, headers=headers)
    alone.get(f"{ROOT}/me", json={})
    began = time.monotonic()
    offline.probe()
    offline.probe()
    assert time.monotonic() - began >= 0.9


def test_a_lost_answer_is_no_second_user(intercom: Intercom, sandbox: Sandbox, faults: Any) -> None:
    value = new()
    intercom.probe()
    faults(kind="reset", when="after", method="POST", path="contacts/?$", times=1)
    assert statuses(intercom.upsert([row(1, value, name="A")], match_key="external_id")) == [("accepted", None)]
    assert [person["match"]["external_id"] for person in people(sandbox).values()].count(value) == 1


# Rehearsals


def test_a_rehearsal_looks_and_changes_nothing(intercom: Intercom, sandbox: Sandbox) -> None:
    value = new()
    contact = made(sandbox, role="user", external_id=value)
    before = people(sandbox)
    intercom.rehearse()
    asked = {}
    for name, rows in {"new": [row(1, new(), name="A")], "known": [row(1, value, name="A")]}.items():
        with pytest.raises(Recorded) as recorded:
            intercom.upsert(rows, match_key="external_id")
        asked[name] = (recorded.value.method, recorded.value.url.removeprefix(f"{sandbox.url}/intercom"))
    assert asked == {"new": ("POST", "/contacts"), "known": ("PUT", f"/contacts/{contact}")}
    assert people(sandbox) == before
