"""Salesforce as a destination: what becomes of people, and answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from pydantic import ValidationError

from millstream.destinations.contract import DeliveryRow, FieldValue
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.salesforce import Salesforce, SalesforceSettings
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedAnswerError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from tests.destinations.salesforce_org import (
    COLLECTIONS,
    CONTACT,
    DATA,
    FIELDS,
    OTHER,
    QUERY,
    READ_ONLY,
    UPSERT,
    ask,
    asked,
    connect,
    described,
    field,
    fields_of,
    found,
    offline,
    people,
    refused,
    row,
    sent,
    statuses,
    taken,
)

SYSTEM = "salesforce"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def salesforce(sandbox: Sandbox) -> Salesforce:
    return connect(sandbox)


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as made:
        yield made


# Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give client_id with client_secret"),
        ({"access_token": "a", "client_id": "b", "client_secret": "c"}, "give client_id with client_secret"),
        ({"access_token": "a", "audience_as": "picklist"}, "give picklist_field"),
        ({"access_token": "a", "picklist_field": "Audiences__c"}, "give picklist_field"),
        ({"access_token": "a", "audience_as": "picklist", "picklist_field": "LeadSource"}, "picklist_field"),
        ({"access_token": "a", "external_id_field": "Id = '1' OR Name"}, "external_id_field"),
        ({"access_token": "a", "object": "User"}, "object"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, str], message: str) -> None:
    facts = {"base_url": "https://acme.my.salesforce.test", "external_id_field": "Customer_Id__c", **given}
    with pytest.raises(ValidationError, match=message):
        SalesforceSettings.model_validate(facts)


def test_the_pace_is_that_of_the_settings(sandbox: Sandbox) -> None:
    assert connect(sandbox, requests_per_second=5).http.pacer.limit.requests == 5


@pytest.mark.parametrize("way", ["secret", "refresh token", "assertion"])
def test_every_way_of_signing_in_works(sandbox: Sandbox, way: str) -> None:
    known = requests.get(f"{sandbox.url}/_sandbox/credentials/salesforce", timeout=10).json()
    facts: dict[str, object] = {"access_token": None, "client_id": known["client_id"]}
    if way == "assertion":
        facts |= {"username": known["username"], "private_key": known["private_key"]}
    else:
        facts |= {"client_secret": known["client_secret"]}
        facts |= {"refresh_token": known["refresh_token"]} if way == "refresh token" else {}
    connect(sandbox, **facts).probe()


# Writing people


def test_each_value_has_the_type_of_its_field(vendor: responses.RequestsMock) -> None:
    described(
        vendor,
        field("Points__c", "double"),
        field("Visits__c", "int"),
        field("Since__c", "date"),
        field("Seen__c", "datetime"),
        field("Note__c"),
    )
    vendor.patch(UPSERT, json=[taken()])
    fields: dict[str, Any] = {
        "LastName": "Li", "points__c": "12.50", "Visits__c": 3.0, "Since__c": "2026-11-01 10:00:00+00",
        "Seen__c": "2026-11-01T12:30:00+02:00", "Note__c": 1e21, "Vip__c": "true", "FirstName": None,
    }  # fmt: skip
    outcomes = offline().upsert([row(1, "c-1", **fields)], match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)]
    (body,) = sent(vendor, "PATCH")
    assert body == {
        "allOrNone": False,
        "records": [
            {
                "attributes": {"type": "Contact"},
                "Customer_Id__c": "c-1",
                "LastName": "Li",
                "Points__c": 12.5,
                "Visits__c": 3,
                "Since__c": "2026-11-01",
                "Seen__c": "2026-11-01T10:30:00.000Z",
                "Note__c": "1000000000000000000000",
                "Vip__c": True,
                "FirstName": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Points__c", "many"),
        ("Points__c", float("inf")),
        ("Visits__c", 1.5),
        ("Since__c", "yesterday"),
        ("Vip__c", "perhaps"),
    ],
)
def test_a_value_that_is_none_of_its_field_stays_here_and_is_not_told(
    vendor: responses.RequestsMock, name: str, value: FieldValue
) -> None:
    described(vendor, field("Points__c", "double"), field("Visits__c", "int"), field("Since__c", "date"))
    vendor.patch(UPSERT, json=[taken()])
    rows = [DeliveryRow(number=1, match_value="c-1", fields={name: value}), row(2, "c-2", FirstName="Ben")]
    outcomes = offline().upsert(rows, match_key="external_id")
    assert statuses(outcomes) == [("rejected", "invalid_value"), ("accepted", None)]
    assert str(value) not in str(outcomes[0].reason)
    assert len(sent(vendor, "PATCH")[0]["records"]) == 1


def test_a_checkbox_has_no_empty_value(salesforce: Salesforce, sandbox: Sandbox) -> None:
    for value, held in ((True, True), (None, False)):
        salesforce.upsert([row(1, "box-1", LastName="Li", Vip__c=value)], match_key="external_id")
        assert fields_of(sandbox, "box-1")["Vip__c"] is held


def test_ids_that_differ_in_upper_and_lower_case_are_one_person(salesforce: Salesforce, sandbox: Sandbox) -> None:
    rows = [row(1, "Case-1", LastName="Old"), row(2, "case-2", LastName="Bo"), row(3, "CASE-1 ", LastName="New")]
    outcomes = salesforce.upsert(rows, match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)] * 3
    assert outcomes[0] == outcomes[2] != outcomes[1]
    assert fields_of(sandbox, "CASE-1")["LastName"] == "New"


@pytest.mark.parametrize("sensitive", [True, False])
def test_a_field_may_tell_upper_from_lower_case(vendor: responses.RequestsMock, sensitive: bool) -> None:
    described(vendor, field("Customer_Id__c", externalId=True, caseSensitive=sensitive))
    vendor.patch(UPSERT, json=[taken(), taken(OTHER)][: 1 + sensitive])
    outcomes = offline().upsert([row(1, "c-1"), row(2, "C-1")], match_key="external_id")
    assert [one.external_id for one in outcomes] == [CONTACT, OTHER if sensitive else CONTACT]


def test_a_number_can_be_the_external_id(vendor: responses.RequestsMock) -> None:
    described(vendor, field("Customer_Id__c", "double", externalId=True))
    vendor.patch(UPSERT, json=[taken()])
    vendor.get(QUERY, json=found({"Id": CONTACT, "Customer_Id__c": 42.0}))
    vendor.patch(COLLECTIONS, json=[taken()])
    salesforce = offline()
    outcomes = salesforce.upsert([row(1, "42", FirstName="A"), row(2, "42.0", FirstName="B")], match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)] * 2
    assert statuses(salesforce.update([row(1, "42", FirstName="A")], match_key="external_id")) == [("accepted", None)]
    assert sent(vendor, "PATCH")[0]["records"][0]["Customer_Id__c"] == 42
    assert "IN (42)" in asked(vendor, 2)["q"]


def test_somebody_new_without_a_name_is_rejected_or_gets_what_stands_for_one(sandbox: Sandbox) -> None:
    rows = [row(1, "nameless-1", FirstName="Ana"), row(2, "named-1", FirstName="Ben", LastName="Li")]
    strict, lenient = connect(sandbox), connect(sandbox, placeholder="[unknown]")
    outcomes = strict.upsert(rows, match_key="external_id")
    assert statuses(outcomes) == [("rejected", "required_field_missing"), ("accepted", None)]
    assert statuses(lenient.upsert(rows, match_key="external_id")) == [("accepted", None)] * 2
    assert fields_of(sandbox, "nameless-1")["LastName"] == "[unknown]"
    # Whoever is there keeps the name, and what is required is emptied as far as that goes.
    lenient.upsert([row(2, "named-1", FirstName="Bo")], match_key="external_id")
    assert fields_of(sandbox, "named-1")["LastName"] == "Li"
    lenient.upsert([row(2, "named-1", LastName=None)], match_key="external_id")
    assert fields_of(sandbox, "named-1")["LastName"] == "[unknown]"
    cleared = strict.upsert([row(2, "named-1", LastName=None)], match_key="external_id")
    assert statuses(cleared) == [("rejected", "required_field_missing")]


@pytest.mark.parametrize("fields", [{"FirstName": "Ana"}, {"LastName": "Li"}], ids=["a change", "with the name"])
def test_who_was_deleted_is_made_again_with_a_name_and_never_with_what_stands_for_one(
    sandbox: Sandbox, fields: dict[str, Any]
) -> None:
    salesforce = connect(sandbox, placeholder="[unknown]")
    (made,) = salesforce.upsert([row(1, "again-1", LastName="Li")], match_key="external_id")
    ask(sandbox, "DELETE", f"sobjects/Contact/{made.external_id}", None)
    outcomes = salesforce.upsert([row(1, "again-1", made.external_id, **fields)], match_key="external_id")
    assert statuses(outcomes) == [("accepted", None) if "LastName" in fields else ("rejected", "record_missing")]


def test_a_lead_needs_a_company_too(sandbox: Sandbox) -> None:
    leads = connect(sandbox, object="Lead", placeholder="[unknown]")
    rows = [row(1, "lead-1", FirstName="Ana"), row(2, "lead-2", LastName="Li")]
    assert statuses(leads.upsert(rows, match_key="external_id")) == [("accepted", None)] * 2
    assert fields_of(sandbox, "lead-1", "Lead")["Company"] == "[unknown]"
    assert fields_of(sandbox, "lead-2", "Lead")["LastName"] == "Li"


def test_other_missing_fields_are_the_rows_own(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.patch(UPSERT, json=[refused("REQUIRED_FIELD_MISSING", "Required", ["LastName", "Region__c"])])
    outcomes = offline(placeholder="[unknown]").upsert([row(1, "c-1", FirstName="A")], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "required_field_missing")]
    assert len(sent(vendor, "PATCH")) == 1


# Outcomes


@pytest.mark.parametrize(
    ("code", "expected", "fault"),
    [
        ("UNABLE_TO_LOCK_ROW", "retry_later", "vendor"),
        ("QUERY_TIMEOUT", "retry_later", "vendor"),
        ("SERVER_UNAVAILABLE", "retry_later", "vendor"),
        ("STORAGE_LIMIT_EXCEEDED", "retry_later", "vendor"),
        ("REQUIRED_FIELD_MISSING", "rejected", "data"),
        ("STRING_TOO_LONG", "rejected", "data"),
        ("INVALID_EMAIL_ADDRESS", "rejected", "data"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "rejected", "data"),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "rejected", "data"),
        ("INVALID_CROSS_REFERENCE_KEY", "rejected", "data"),
        ("CANNOT_UPDATE_CONVERTED_LEAD", "rejected", "data"),
        ("DUPLICATE_EXTERNAL_ID", "rejected", "data"),
        ("DUPLICATES_DETECTED", "rejected", "data"),
        ("DUPLICATE_VALUE", "rejected", "data"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "rejected", "configuration"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "rejected", "configuration"),
    ],
)
def test_what_the_code_of_a_row_means(vendor: responses.RequestsMock, code: str, expected: str, fault: str) -> None:
    described(vendor)
    vendor.patch(UPSERT, json=[taken(), refused(code, "about c-2"), taken(OTHER)])
    rows = [row(number, f"c-{number}", FirstName="Ana") for number in (1, 2, 3)]
    outcomes = offline().upsert(rows, match_key="external_id")
    assert statuses(outcomes) == [("accepted", None), (expected, code.lower()), ("accepted", None)]
    assert outcomes[1].fault == fault
    assert "c-2" not in str(outcomes[1].reason)


def test_a_lock_that_a_trigger_met_is_a_lock(vendor: responses.RequestsMock) -> None:
    described(vendor)
    words = "Trigger: execution of AfterUpdate caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
    vendor.patch(UPSERT, json=[refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", words)])
    (outcome,) = offline().upsert([row(1, "c-1", FirstName="A")], match_key="external_id")
    assert outcome.status.value == "retry_later"


def test_reasons_do_not_tell_who_it_is(vendor: responses.RequestsMock) -> None:
    described(vendor)
    words = "First Name: data value too large: Anastasia Maria Li (max length=10)"
    spam = "invalid email address: ana@box.example"
    vendor.patch(UPSERT, json=[refused("STRING_TOO_LONG", words), refused("INVALID_EMAIL_ADDRESS", spam)])
    rows = [row(1, "c-1", FirstName="Anastasia Maria Li"), row(2, "c-2", FirstName="A")]
    first, second = offline().upsert(rows, match_key="external_id")
    assert first.reason == "First Name: data value too large: *** (max length=10)"
    assert "ana@box.example" not in str(second.reason)


def test_locked_rows_are_left_for_later(salesforce: Salesforce, faults: Any) -> None:
    rows = [row(number, f"locked-{number}", LastName="Li") for number in range(50)]
    faults(kind="refuse_rows", share=0.3, policy="UNABLE_TO_LOCK_ROW")
    outcomes = statuses(salesforce.upsert(rows, match_key="external_id"))
    assert set(outcomes) == {("accepted", None), ("retry_later", "unable_to_lock_row")}


@pytest.mark.parametrize("answer", [[], {}, [taken(), taken()]], ids=["empty", "no list", "too long"])
def test_an_answer_without_a_result_for_each_row_is_not_trusted(vendor: responses.RequestsMock, answer: object) -> None:
    described(vendor)
    vendor.patch(UPSERT, json=answer)
    with pytest.raises(MalformedAnswerError):
        offline().upsert([row(1, "c-1", FirstName="A")], match_key="external_id")


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, "INVALID_SESSION_ID", "Session expired or invalid", AuthenticationError),
        (403, "API_DISABLED_FOR_ORG", "The REST API is not enabled", PermissionDeniedError),
        (403, "INSUFFICIENT_ACCESS", "insufficient access rights", PermissionDeniedError),
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", QuotaExhaustedError),
        (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.", RateLimitedError),
        (503, "SERVER_UNAVAILABLE", "too busy", UnavailableError),
        (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", UnavailableError),
        (404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible", ConfigurationError),
        (400, "INVALID_FIELD", "No such column", ConfigurationError),
        (400, "JSON_PARSER_ERROR", "Cannot deserialize", RefusedError),
    ],
)
def test_what_a_refused_request_means(
    vendor: responses.RequestsMock, status: int, code: str, message: str, expected: type[MillstreamError]
) -> None:
    described(vendor)
    vendor.patch(UPSERT, status=status, json=[{"errorCode": code, "message": message}])
    with pytest.raises(expected):
        offline().upsert([row(1, "c-1", FirstName="A")], match_key="external_id")


def test_a_session_that_ended_is_renewed_once(sandbox: Sandbox, faults: Any) -> None:
    secret = {"access_token": None, "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    salesforce = connect(sandbox, **secret)
    salesforce.probe()
    faults(kind="expire_token", times=1)
    outcomes = salesforce.upsert([row(1, "renewed-1", LastName="Li")], match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)]


@pytest.mark.parametrize(("share", "calls"), [(0.8, 2), (0.9, 3)])
def test_the_rest_of_the_organizations_requests_is_left_to_others(
    vendor: responses.RequestsMock, share: float, calls: int
) -> None:
    described(vendor)
    used = {"Sforce-Limit-Info": "per-app-api-usage=17/250(appName=ours); api-usage=80000/100000"}
    vendor.patch(UPSERT, json=[taken()], headers=used)
    salesforce = offline(quota_share=share)
    rows = [row(1, "c-1", FirstName="A")]
    salesforce.upsert(rows, match_key="external_id")
    assert salesforce.http.pacer.daily_left == 20_000
    if share > 0.8:
        salesforce.upsert(rows, match_key="external_id")
    else:
        with pytest.raises(QuotaExhaustedError, match="quota_share"):
            salesforce.upsert(rows, match_key="external_id")
    assert len(vendor.calls) == calls


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, {"Sforce-Auto-Assign": "FALSE"}),
        ({"assignment_rules": True}, {}),
        (
            {"allow_duplicates": True},
            {"Sforce-Auto-Assign": "FALSE", "Sforce-Duplicate-Rule-Header": "allowSave=true"},
        ),
    ],
)
def test_leads_keep_their_owners_and_duplicate_rules_hold_unless_the_settings_say_otherwise(
    vendor: responses.RequestsMock, facts: dict[str, object], expected: dict[str, str]
) -> None:
    described(vendor, api_name="Lead")
    vendor.patch(f"{COLLECTIONS}/Lead/Customer_Id__c", json=[taken()])
    offline(object="Lead", **facts).upsert([row(1, "c-1", FirstName="A")], match_key="external_id")
    headers = vendor.calls[-1].request.headers
    assert {name: value for name, value in headers.items() if name.startswith("Sforce-")} == expected


# People who are there


def test_a_record_that_was_merged_away_is_found_again(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.patch(COLLECTIONS, json=[refused("ENTITY_IS_DELETED")])
    vendor.get(QUERY, json=found({"Id": OTHER, "Customer_Id__c": "C-1"}))
    vendor.patch(COLLECTIONS, json=[taken(OTHER)])
    (outcome,) = offline().update([row(1, "c-1", CONTACT, FirstName="Ana")], match_key="external_id")
    assert (outcome.status.value, outcome.external_id) == ("accepted", OTHER)
    assert [body["records"][0]["id"] for body in sent(vendor, "PATCH")] == [CONTACT, OTHER]


def test_a_change_of_somebody_who_is_not_there_makes_nobody(salesforce: Salesforce, sandbox: Sandbox) -> None:
    (known,) = salesforce.upsert([row(1, "known-1", LastName="Li")], match_key="external_id")
    salesforce.erase([row(1, "known-1", known.external_id)], match_key="external_id")
    before = len(people(sandbox))
    rows = [row(1, "known-1", known.external_id, FirstName="A"), row(2, "o'brien\\", FirstName="B")]
    outcomes = salesforce.update(rows, match_key="external_id")
    assert statuses(outcomes) == [("rejected", "not_found")] * 2
    assert len(people(sandbox)) == before


def test_an_external_id_of_several_records_names_nobody(vendor: responses.RequestsMock) -> None:
    described(vendor)
    twins = [{"Id": one, "Customer_Id__c": "c-1"} for one in (CONTACT, OTHER)]
    vendor.get(QUERY, json=found(*twins))
    outcomes = offline().update([row(1, "c-1", FirstName="Ana")], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "several_found")]


def test_two_people_who_have_become_one_record_are_sent_once(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.patch(COLLECTIONS, json=[taken()])
    rows = [row(1, "c-1", CONTACT, FirstName="Ana"), row(2, "c-2", CONTACT, FirstName="Ann")]
    assert statuses(offline().update(rows, match_key="external_id")) == [("accepted", None)] * 2
    assert [one["FirstName"] for one in sent(vendor, "PATCH")[0]["records"]] == ["Ann"]


def test_look_ups_fit_into_an_address(salesforce: Salesforce, sandbox: Sandbox) -> None:
    requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
    names = [f"{number}-{'x' * 200}" for number in range(100)]
    salesforce.upsert([row(number, name, LastName="Li") for number, name in enumerate(names)], match_key="external_id")
    calls = salesforce.calls
    outcomes = salesforce.update(
        [row(number, name, FirstName="Ana") for number, name in enumerate(names)], match_key="external_id"
    )
    assert statuses(outcomes) == [("accepted", None)] * 100
    assert salesforce.calls - calls == 4


def test_erasing_takes_every_record_with_the_external_id(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.get(QUERY, json=found({"Id": OTHER, "Customer_Id__c": "c-1"}))
    vendor.delete(COLLECTIONS, json=[refused("ENTITY_IS_DELETED"), taken(OTHER)])
    outcomes = offline().erase([row(1, "c-1", CONTACT)], match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)]
    assert asked(vendor) == {"ids": f"{CONTACT},{OTHER}", "allOrNone": "false"}


def test_a_record_that_may_not_be_deleted_says_so(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.get(QUERY, json=found())
    vendor.delete(COLLECTIONS, json=[refused("DELETE_FAILED", "Your attempt to delete c-1 could not be completed.")])
    outcomes = offline().erase([row(1, "c-1", CONTACT)], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "delete_failed")]


# Consent


def consents(sandbox: Sandbox) -> dict[str, tuple[object, ...]]:
    names = ("HasOptedOutOfEmail", "HasOptedOutOfFax", "DoNotCall", "IndividualId", "EmailBouncedReason")
    return {
        record_id: tuple(one["fields"].get(name) for name in names)
        for api_name in ("Contact", "Lead")
        for record_id, one in people(sandbox, api_name).items()
    }


@pytest.mark.parametrize("audience_as", ["campaign", "checkbox", "picklist"])
def test_no_call_changes_what_somebody_consented_to(sandbox: Sandbox, audience_as: str) -> None:
    facts = {"picklist_field": "Audiences__c"} if audience_as == "picklist" else {}
    salesforce = connect(sandbox, audience_as=audience_as, **facts)
    known = [one for one in people(sandbox).values() if one["match"]["external_id"] and one["standing"] != "deleted"]
    assert {one["standing"] for one in known} >= {"subscribed", "unsubscribed"}
    before = consents(sandbox)
    audience = salesforce.ensure_audience("Winback")
    rows = [row(at, one["match"]["external_id"], one["id"], Title="Buyer") for at, one in enumerate(known)]
    bare = [row(one.number, one.match_value, one.external_id) for one in rows]
    for outcomes in (
        salesforce.upsert(rows, match_key="external_id"),
        salesforce.update(rows, match_key="external_id"),
        salesforce.add_members(audience, bare, match_key="external_id"),
        salesforce.remove_members(audience, bare, match_key="external_id"),
    ):
        assert set(statuses(outcomes)) == {("accepted", None)}
    assert consents(sandbox) == before


@pytest.mark.parametrize(
    "name",
    [
        "HasOptedOutOfEmail",
        "hasoptedoutofemail",
        "HasOptedOutOfFax",
        "et4ae5__HasOptedOutOfMobile__c",
        "DoNotCall",
        "EmailBouncedReason",
        "EmailBouncedDate",
        "IndividualId",
    ],
)
def test_fields_that_carry_consent_cannot_be_mapped(salesforce: Salesforce, name: str) -> None:
    facts = {"destination": "salesforce", "table": "a.b", "mode": "upsert", "consent": "not_needed"}
    sync = Sync.model_validate({**facts, "match": {"external_id": "id"}, "fields": {name: "x"}})
    with pytest.raises(ConfigurationError, match="carries consent"):
        ensure_fields(salesforce, "sync", sync, {"x": "BOOLEAN"})
    assert salesforce.calls == 0


@pytest.mark.parametrize("name", ["HasOptedOutOfEmail", "DoNotCall", "hasOptedOutOfFax", "x__HasOptedOutOfMobile__c"])
def test_a_consent_is_no_audience(sandbox: Sandbox, name: str) -> None:
    salesforce = connect(sandbox, audience_as="checkbox")
    with pytest.raises(ConfigurationError, match="carries consent"):
        salesforce.ensure_audience(name)
    assert salesforce.calls == 0


# Fields


def test_a_field_is_made_with_its_type(salesforce: Salesforce, sandbox: Sandbox) -> None:
    assert salesforce.missing_fields(["FirstName", "vip__C", "Lifetime_Value__c"]) == ["Lifetime_Value__c"]
    salesforce.create_field("Lifetime_Value__c", "number")
    salesforce.create_field("Lifetime_Value__c", "number")
    assert salesforce.missing_fields(["Lifetime_Value__c"]) == []
    salesforce.upsert([row(1, "made-1", LastName="Li", Lifetime_Value__c="12.5")], match_key="external_id")
    assert fields_of(sandbox, "made-1")["Lifetime_Value__c"] == 12.5


def test_a_custom_field_is_named_as_one(salesforce: Salesforce) -> None:
    with pytest.raises(ConfigurationError, match="Score") as raised:
        salesforce.create_field("Score", "number")
    assert "Score__c" in str(raised.value.remedy)


def test_a_user_who_may_not_make_fields_is_told_so(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError, match="insufficient access"):
        connect(sandbox, access_token=READ_ONLY).create_field("Score__c", "number")


def test_a_field_that_nobody_sees_yet_is_no_success(vendor: responses.RequestsMock) -> None:
    vendor.post(FIELDS, json={"id": "00N1", "success": True}, status=201)
    described(vendor)
    with pytest.raises(PermissionDeniedError, match="may not see it") as raised:
        offline().create_field("Score__c", "number")
    assert "permission_set" in str(raised.value.remedy)


def test_a_permission_set_gets_access_to_what_is_made(vendor: responses.RequestsMock) -> None:
    vendor.post(FIELDS, json=[{"errorCode": "DUPLICATE_DEVELOPER_NAME", "message": "there"}], status=400)
    vendor.get(QUERY, json=found({"Id": "0PS5g0000000001AAA"}))
    vendor.post(f"{DATA}/sobjects/FieldPermissions", json={"id": "01k1", "success": True}, status=201)
    described(vendor, field("Score__c", "double"))
    offline(permission_set="Millstream").create_field("Score__c", "number")
    made, granted = sent(vendor, "POST")
    kind = {"type": "Number", "precision": 18, "scale": 4, "label": "Score"}
    assert made == {"FullName": "Contact.Score__c", "Metadata": kind}
    assert granted == {
        "ParentId": "0PS5g0000000001AAA",
        "SobjectType": "Contact",
        "Field": "Contact.Score__c",
        "PermissionsRead": True,
        "PermissionsEdit": True,
    }


def test_a_permission_set_that_is_not_there_is_named(vendor: responses.RequestsMock) -> None:
    vendor.post(FIELDS, json={"id": "00N1", "success": True}, status=201)
    vendor.get(QUERY, json=found())
    with pytest.raises(ConfigurationError, match="Millstream"):
        offline(permission_set="Millstream").create_field("Score__c", "number")


@pytest.mark.parametrize("name", ["Customer_Id__c", "customer_id__c", "Id"])
def test_what_says_who_somebody_is_cannot_be_mapped(salesforce: Salesforce, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be mapped"):
        salesforce.missing_fields([name])


def test_a_field_that_the_user_may_not_edit_stops_the_sync(salesforce: Salesforce) -> None:
    with pytest.raises(ConfigurationError, match="may not edit 'CreatedDate'"):
        salesforce.missing_fields(["CreatedDate"])


@pytest.mark.parametrize(("name", "why"), [("Email", "not marked External ID"), ("Nothing__c", "not there")])
def test_people_are_found_by_an_external_id_only(sandbox: Sandbox, name: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        connect(sandbox, external_id_field=name).probe()


def test_an_object_that_the_user_may_not_see_is_named(vendor: responses.RequestsMock) -> None:
    vendor.get(f"{DATA}/sobjects/Lead/describe", status=404, json=[{"errorCode": "NOT_FOUND", "message": "no"}])
    with pytest.raises(PermissionDeniedError, match="no object Lead"):
        offline(object="Lead").probe()


def test_a_user_who_may_not_write_is_told_with_each_row(sandbox: Sandbox) -> None:
    known = next(one["match"]["external_id"] for one in people(sandbox).values() if one["match"]["external_id"])
    outcomes = connect(sandbox, access_token=READ_ONLY).upsert([row(1, known, Title="A")], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "insufficient_access_or_readonly")]
    assert outcomes[0].fault == "configuration"


def test_a_converted_lead_is_left_alone(sandbox: Sandbox) -> None:
    converted = next(one for one in people(sandbox, "Lead").values() if one["fields"].get("IsConverted"))
    outcomes = connect(sandbox, object="Lead").update(
        [row(1, "any", converted["id"], FirstName="Ana")], match_key="external_id"
    )
    assert statuses(outcomes) == [("rejected", "cannot_update_converted_lead")]


def test_who_was_deleted_by_others_counts_as_gone(salesforce: Salesforce, sandbox: Sandbox) -> None:
    (made,) = salesforce.upsert([row(1, "gone-1", LastName="Li")], match_key="external_id")
    ask(sandbox, "DELETE", f"sobjects/Contact/{made.external_id}", None)
    outcomes = salesforce.erase([row(1, "gone-1", made.external_id)], match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)]
