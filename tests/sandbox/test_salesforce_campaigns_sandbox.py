"""Campaigns, their members and custom fields of the Salesforce stand-in, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from tests.sandbox.salesforce_client import LIMITED, UPSERT, call, codes, contact, many, query, refused, told


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """The module's sandbox, as it was at the start."""
    requests.post(f"{shared.url}/_sandbox/reset", timeout=10).raise_for_status()
    return shared


def test_a_campaign_has_each_person_once(sandbox: Sandbox) -> None:
    assert refused(call(sandbox, "POST", "/sobjects/Campaign", {"IsActive": True})) == (400, "REQUIRED_FIELD_MISSING")
    campaign = call(sandbox, "POST", "/sobjects/Campaign", {"Name": "VIPs"}).json()["id"]
    person = call(sandbox, "PATCH", UPSERT, many("Contact", contact("n-1"))).json()[0]["id"]
    [lead] = query(sandbox, "SELECT Id FROM Lead WHERE IsConverted = false LIMIT 1")
    [converted] = query(sandbox, "SELECT Id FROM Lead WHERE IsConverted = true LIMIT 1")
    rows = [
        {"ContactId": person},
        {"ContactId": person},
        {"Contact": {"Customer_Id__c": "n-1"}},
        {"Contact": {"Customer_Id__c": "nobody"}},
        {"LeadId": lead["Id"], "Status": "Responded"},
        {"LeadId": converted["Id"]},
        {},
        {"ContactId": lead["Id"]},
    ]
    body = many("CampaignMember", *({"CampaignId": campaign, **row} for row in rows))
    answer = call(sandbox, "POST", "/composite/sobjects", body)
    assert codes(answer) == [
        "done",
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
        "INVALID_FIELD",
        "done",
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "FIELD_INTEGRITY_EXCEPTION",
        "MALFORMED_ID",
    ]
    fields = "Id, LeadOrContactId, Status, HasResponded, Contact.Customer_Id__c"
    members = query(sandbox, f"SELECT {fields} FROM CampaignMember WHERE CampaignId = '{campaign}' ORDER BY Id")
    assert [row["LeadOrContactId"] for row in members] == [person, lead["Id"]]
    assert [(row["Status"], row["HasResponded"]) for row in members] == [("Sent", False), ("Responded", True)]
    assert (members[0]["Contact"]["Customer_Id__c"], members[1]["Contact"]) == ("n-1", None)
    assert told(sandbox, lead["Id"])["audiences"][-1] == campaign
    call(sandbox, "DELETE", "/composite/sobjects", params={"ids": members[1]["Id"]})
    assert campaign not in told(sandbox, lead["Id"])["audiences"]
    call(sandbox, "DELETE", f"/sobjects/Contact/{person}")
    assert not query(sandbox, f"SELECT Id FROM CampaignMember WHERE CampaignId = '{campaign}'")


def test_members_that_were_there_before(sandbox: Sandbox) -> None:
    member = query(sandbox, "SELECT Id, CampaignId, ContactId FROM CampaignMember WHERE ContactId != null")[0]
    row = many("CampaignMember", {"CampaignId": member["CampaignId"], "ContactId": member["ContactId"]})
    assert codes(call(sandbox, "POST", "/composite/sobjects", row)) == ["DUPLICATE_VALUE"]
    call(sandbox, "DELETE", "/composite/sobjects", params={"ids": member["Id"]})
    assert codes(call(sandbox, "POST", "/composite/sobjects", row)) == ["done"]
    members = query(sandbox, "SELECT ContactId FROM CampaignMember WHERE ContactId != null")
    for person in (member["ContactId"], members[0]["ContactId"]):
        soql = f"SELECT Id FROM CampaignMember WHERE ContactId = '{person}'"
        assert query(sandbox, soql)
        call(sandbox, "DELETE", f"/sobjects/Contact/{person}")
        assert not query(sandbox, soql)
    [campaign] = query(sandbox, "SELECT Id FROM Campaign WHERE Name = 'Season 2'")
    soql = f"SELECT Id FROM CampaignMember WHERE CampaignId = '{campaign['Id']}'"
    assert query(sandbox, soql)
    call(sandbox, "DELETE", f"/sobjects/Campaign/{campaign['Id']}")
    assert not query(sandbox, soql)


def new_field(name: str, kind: str = "Checkbox", **more: Any) -> dict[str, Any]:
    return {"FullName": name, "Metadata": {"type": kind, "label": "x", **more}}


def test_fields_can_be_added(sandbox: Sandbox) -> None:
    path = "/tooling/sobjects/CustomField"
    made = call(sandbox, "POST", path, new_field("Contact.Gold__c", defaultValue="false"))
    assert made.status_code == 201
    key = new_field("Lead.Key__c", "Text", length=40, externalId=True, unique=True)
    assert call(sandbox, "POST", path, key).status_code == 201
    again = call(sandbox, "POST", path, new_field("Contact.Gold__c", defaultValue="false"))
    assert refused(again) == (400, "DUPLICATE_DEVELOPER_NAME")
    assert refused(call(sandbox, "POST", path, new_field("Contact.Other__c"))) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert refused(call(sandbox, "POST", path, new_field("Contact.A__c"), token=LIMITED)) == (
        403,
        "INSUFFICIENT_ACCESS",
    )
    assert codes(call(sandbox, "PATCH", UPSERT, many("Contact", contact("n-1", Gold__c=True)))) == ["created"]
    lead = many("Lead", {"Key__c": "l-1", "LastName": "x", "Company": "y"})
    upsert = "/composite/sobjects/Lead/Key__c"
    assert [codes(call(sandbox, "PATCH", upsert, lead)) for _ in range(2)] == [["created"], ["changed"]]
    assert len(query(sandbox, "SELECT Gold__c FROM Contact WHERE Gold__c = true")) == 1
    assert call(sandbox, "DELETE", f"{path}/{made.json()['id']}").status_code == 204
    gone = many("Contact", contact("n-1", Gold__c=True))
    assert codes(call(sandbox, "PATCH", UPSERT, gone)) == ["INVALID_FIELD"]


def test_a_new_field_may_be_granted_to_nobody(sandbox: Sandbox) -> None:
    sandbox.systems["salesforce"].schema.grants_new_fields = False  # type: ignore[attr-defined]
    field = new_field("Contact.Gold__c", defaultValue=False)
    assert call(sandbox, "POST", "/tooling/sobjects/CustomField", field).status_code == 201
    described = call(sandbox, "GET", "/sobjects/Contact/describe").json()["fields"]
    assert "Gold__c" not in {one["name"] for one in described}
    assert codes(call(sandbox, "PATCH", UPSERT, many("Contact", contact("n-1", Gold__c=True)))) == ["INVALID_FIELD"]
