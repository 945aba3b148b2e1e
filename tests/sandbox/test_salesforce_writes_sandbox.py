"""The write end of the Salesforce stand-in: records by REST, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from millstream.sandbox import Sandbox
from tests.sandbox.salesforce_client import LIMITED, READ_ONLY, UPSERT, call, codes, contact, many, query, refused, told


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """The module's sandbox, as it was at the start."""
    requests.post(f"{shared.url}/_sandbox/reset", timeout=10).raise_for_status()
    return shared


def test_rows_are_answered_by_their_place(sandbox: Sandbox) -> None:
    rows = (
        contact("n-1", Email="ana@box.example", Vip__c=True),
        {"Customer_Id__c": "n-2"},
        contact("n-3"),
        contact("N-3"),
        contact("n-4", Colour__c="red"),
        contact("n-5", Email="nonsense"),
        contact("n-6", FirstName="x" * 256),
        contact("n-7", Vip__c=None),
        contact("n-8", Audiences__c="VIP;Strangers"),
        contact("n-9", AccountId="0015g0000000999AAA"),
        contact("n-10", IsEmailBounced=True),
        {"LastName": "Diaz"},
    )
    assert codes(call(sandbox, "PATCH", UPSERT, many("Contact", *rows))) == [
        "created",
        "REQUIRED_FIELD_MISSING",
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
        "INVALID_FIELD",
        "INVALID_EMAIL_ADDRESS",
        "STRING_TOO_LONG",
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "INVALID_CROSS_REFERENCE_KEY",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "MISSING_ARGUMENT",
    ]
    again = call(sandbox, "PATCH", UPSERT, many("Contact", {"Customer_Id__c": "N-1", "Audiences__c": "Newsletter;VIP"}))
    assert codes(again) == ["changed"]
    fields = "Id, LastName, Vip__c, Audiences__c, HasOptedOutOfEmail"
    found = query(
        sandbox, f"SELECT {fields} FROM Contact WHERE Customer_Id__c = 'n-1' AND Audiences__c INCLUDES ('vip')"
    )
    assert found == [
        {
            "Id": again.json()[0]["id"],
            "LastName": "Diaz",
            "Vip__c": True,
            "Audiences__c": "VIP;Newsletter",
            "HasOptedOutOfEmail": False,
        }
    ]


def test_a_value_of_another_type_refuses_the_request(sandbox: Sandbox) -> None:
    for wrong in ({"Vip__c": "true"}, {"Phone": 4420}, {"Last_Order__c": "01/02/2026"}, {"Loyalty_Points__c": "many"}):
        answer = call(sandbox, "PATCH", UPSERT, many("Contact", contact("n-1"), contact("n-2", **wrong)))
        assert refused(answer) == (400, "JSON_PARSER_ERROR")
    assert not query(sandbox, "SELECT Id FROM Contact WHERE Customer_Id__c = 'n-1'")


def test_a_contact_of_the_company_keeps_what_is_not_written(sandbox: Sandbox) -> None:
    soql = "SELECT FIELDS FROM Contact WHERE Customer_Id__c != null AND HasOptedOutOfEmail = true"
    names = (
        "Id, Customer_Id__c, LastName, Email, Phone, HasOptedOutOfEmail, CreatedDate, Loyalty_Points__c, SystemModstamp"
    )
    before = query(sandbox, soql.replace("FIELDS", names))[0]
    row = {"Customer_Id__c": before["Customer_Id__c"].lower(), "Loyalty_Points__c": 7, "Phone": None}
    assert codes(call(sandbox, "PATCH", UPSERT, many("Contact", row))) == ["changed"]
    [after] = query(sandbox, f"SELECT {names} FROM Contact WHERE Id = '{before['Id']}'")
    assert after["SystemModstamp"] > before["SystemModstamp"]
    changed = {"Loyalty_Points__c": 7.0, "Phone": None, "SystemModstamp": after["SystemModstamp"]}
    assert after == before | changed
    person = told(sandbox, before["Id"])
    assert (person["standing"], person["written"]) == ("unsubscribed", True)
    # Nothing but the field itself holds a careless writer back.
    back = {"Customer_Id__c": before["Customer_Id__c"], "HasOptedOutOfEmail": False}
    call(sandbox, "PATCH", UPSERT, many("Contact", back))
    assert told(sandbox, before["Id"])["standing"] == "subscribed"


def test_likely_duplicates_are_refused_unless_they_are_wanted(sandbox: Sandbox) -> None:
    [other] = query(sandbox, "SELECT Id, LastName, Email FROM Contact WHERE Email != null LIMIT 1")
    row = {"Customer_Id__c": "n-1", "LastName": other["LastName"], "Email": other["Email"].upper()}
    answer = call(sandbox, "PATCH", UPSERT, many("Contact", row))
    assert codes(answer) == ["DUPLICATES_DETECTED"]
    result = answer.json()[0]["errors"][0]["duplicateResult"]
    assert result["matchResults"][0]["matchRecords"][0]["record"]["Id"] == other["Id"]
    headers = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    assert codes(call(sandbox, "PATCH", UPSERT, many("Contact", row), headers=headers)) == ["created"]


def test_all_or_none_undoes_what_was_done(sandbox: Sandbox) -> None:
    rows = many("Contact", contact("n-1"), {"Customer_Id__c": "n-2"}, whole=True)
    answer = call(sandbox, "PATCH", UPSERT, rows)
    assert codes(answer) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert not query(sandbox, "SELECT Id FROM Contact WHERE Customer_Id__c = 'n-1'")


def test_requests_that_are_refused_whole(sandbox: Sandbox) -> None:
    rows = many("Contact", *(contact(f"n-{number}") for number in range(201)))
    assert refused(call(sandbox, "PATCH", UPSERT, rows)) == (400, "EXCEEDED_ID_LIMIT")
    one = many("Contact", contact("n-1"))
    path = "/composite/sobjects/{}"
    assert refused(call(sandbox, "PATCH", path.format("Contact/Nothing__c"), one)) == (404, "NOT_FOUND")
    assert refused(call(sandbox, "PATCH", path.format("Contact/LastName"), one)) == (404, "NOT_FOUND")
    assert refused(call(sandbox, "PATCH", path.format("Nobody/Customer_Id__c"), one)) == (404, "NOT_FOUND")
    assert refused(call(sandbox, "PATCH", path.format("Lead/Customer_Id__c"), one)) == (400, "INVALID_TYPE")
    assert refused(call(sandbox, "PATCH", UPSERT, {"records": [contact("n-1")]})) == (400, "INVALID_TYPE")
    assert refused(call(sandbox, "PATCH", UPSERT, {"rows": []})) == (400, "JSON_PARSER_ERROR")
    assert refused(call(sandbox, "PATCH", UPSERT, one, token="stale")) == (401, "INVALID_SESSION_ID")


def test_users_write_what_they_may(sandbox: Sandbox) -> None:
    row = many("Contact", contact("n-1"))
    answer = call(sandbox, "PATCH", UPSERT, row, token=READ_ONLY)
    assert codes(answer) == ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"]
    hidden = many("Contact", contact("n-1", HasOptedOutOfEmail=True))
    assert codes(call(sandbox, "PATCH", UPSERT, hidden, token=LIMITED)) == ["INVALID_FIELD"]
    made = call(sandbox, "PATCH", UPSERT, row, token=LIMITED)
    assert codes(made) == ["created"]
    assert codes(call(sandbox, "PATCH", UPSERT, row, token=READ_ONLY)) == ["INSUFFICIENT_ACCESS_OR_READONLY"]
    campaign = call(sandbox, "POST", "/sobjects/Campaign", {"Name": "x"}, token=LIMITED)
    assert refused(campaign) == (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")
    leads = call(sandbox, "POST", "/composite/sobjects", many("Lead", {"LastName": "x", "Company": "y"}), token=LIMITED)
    assert codes(leads) == ["INVALID_TYPE"]


def test_one_record_at_a_time(sandbox: Sandbox) -> None:
    path = "/sobjects/Contact/Customer_Id__c/n-1"
    made = call(sandbox, "PATCH", path, {"LastName": "Diaz"})
    assert (made.status_code, made.json()["created"]) == (201, True)
    assert call(sandbox, "PATCH", path, {"FirstName": "Ana"}).status_code == 200
    assert refused(call(sandbox, "PATCH", path, {"Customer_Id__c": "n-2"})) == (400, "INVALID_FIELD")
    one = f"/sobjects/Contact/{made.json()['id']}"
    read = call(sandbox, "GET", one, params={"fields": "FirstName,LastName"}).json()
    assert (read["FirstName"], read["LastName"]) == ("Ana", "Diaz")
    assert call(sandbox, "GET", path).json()["Id"] == made.json()["id"]
    assert call(sandbox, "PATCH", one, {"FirstName": None}).status_code == 204
    assert refused(call(sandbox, "PATCH", one, {"LastName": None})) == (400, "REQUIRED_FIELD_MISSING")
    twin = call(sandbox, "POST", "/sobjects/Contact", contact("N-1"))
    assert refused(twin) == (400, "DUPLICATE_VALUE")
    assert call(sandbox, "DELETE", one).status_code == 204
    assert refused(call(sandbox, "DELETE", one)) == (404, "ENTITY_IS_DELETED")
    assert refused(call(sandbox, "GET", one)) == (404, "NOT_FOUND")


def test_records_are_read_and_changed_by_id(sandbox: Sandbox) -> None:
    path = "/composite/sobjects"
    ids = [row["id"] for row in call(sandbox, "PATCH", UPSERT, many("Contact", contact("a"), contact("b"))).json()]
    rows = many("Contact", {"id": ids[0][:15], "FirstName": "Ana"}, {"FirstName": "x"}, {"Id": "nonsense"})
    assert codes(call(sandbox, "PATCH", path, rows)) == ["done", "MISSING_ARGUMENT", "MALFORMED_ID"]
    wanted = {"ids": [ids[0], "0035g0000009999AAA", ids[1]], "fields": ["FirstName"]}
    read = call(sandbox, "POST", f"{path}/Contact", wanted).json()
    assert [row and row["FirstName"] for row in read] == ["Ana", None, None]
    assert [row is None for row in read] == [False, True, False]
    asked = {"ids": ",".join(ids), "fields": "Nothing__c"}
    assert refused(call(sandbox, "GET", f"{path}/Contact", params=asked)) == (400, "INVALID_FIELD")


def test_what_is_deleted_lies_in_the_recycle_bin(sandbox: Sandbox) -> None:
    made = call(sandbox, "PATCH", UPSERT, many("Contact", contact("n-1"))).json()[0]["id"]
    answer = call(sandbox, "DELETE", "/composite/sobjects", params={"ids": f"{made},{made},nonsense"})
    assert codes(answer) == ["done", "ENTITY_IS_DELETED", "MALFORMED_ID"]
    soql = f"SELECT IsDeleted, LastName FROM Contact WHERE Id = '{made}'"
    assert query(sandbox, soql) == []
    assert query(sandbox, soql, "/queryAll") == [{"IsDeleted": True, "LastName": "Diaz"}]
    again = call(sandbox, "PATCH", UPSERT, many("Contact", contact("n-1")))
    assert codes(again) == ["created"]
    assert again.json()[0]["id"] != made


def test_faults_refuse_rows_and_lose_answers(sandbox: Sandbox) -> None:
    def arm(**order: object) -> None:
        requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=10)
        body = {"system": "salesforce", "path": "composite"} | order
        requests.post(f"{sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()

    rows = many("Contact", *(contact(f"n-{number}") for number in range(50)))
    arm(kind="refuse_rows", share=0.4)
    first = codes(call(sandbox, "PATCH", UPSERT, rows))
    assert set(first) == {"created", "FIELD_CUSTOM_VALIDATION_EXCEPTION"}
    arm(kind="refuse_rows", share=0.4, policy="UNABLE_TO_LOCK_ROW")
    second = codes(call(sandbox, "PATCH", UPSERT, rows))
    assert [code in ("created", "changed") for code in second] == [code == "created" for code in first]
    assert "UNABLE_TO_LOCK_ROW" in second
    arm(kind="reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        call(sandbox, "PATCH", UPSERT, many("Contact", contact("lost")))
    assert query(sandbox, "SELECT Id FROM Contact WHERE Customer_Id__c = 'lost'")


def test_life_goes_on_for_those_who_were_written_to(sandbox: Sandbox) -> None:
    ids = [row["Id"] for row in query(sandbox, "SELECT Id FROM Contact")]
    rows = many("Contact", *({"Id": one, "Vip__c": True} for one in ids[:150]))
    assert set(codes(call(sandbox, "PATCH", "/composite/sobjects", rows))) == {"done"}
    requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
    kept = query(sandbox, "SELECT Id, Vip__c FROM Contact WHERE Vip__c = true")
    gone = query(sandbox, "SELECT Id FROM Contact WHERE Vip__c = true AND IsDeleted = true", "/queryAll")
    assert {row["Id"] for row in kept + gone} == set(ids[:150])
