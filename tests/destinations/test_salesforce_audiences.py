"""What a sync's audience is in Salesforce: campaigns, checkboxes, values of a picklist."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import responses

from millstream.destinations.contract import DeliveryRow, Member
from millstream.destinations.salesforce import Salesforce
from millstream.destinations.salesforce.attributes import with_value, without_value
from millstream.sandbox import Sandbox
from millstream.state.errors import ConfigurationError, NotFoundError, PermissionDeniedError, UnknownOutcomeError
from tests.destinations.salesforce_org import (
    CAMPAIGN,
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

CAMPAIGNS = f"{DATA}/sobjects/Campaign"
TOOLING = f"{DATA}/tooling/query"
SYSTEM = "salesforce"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as made:
        yield made


def made(salesforce: Salesforce, *names: str, **fields: Any) -> list[DeliveryRow]:
    """Rows of people who were just written, without fields."""
    rows = [row(number, name, LastName="Li", **fields) for number, name in enumerate(names)]
    outcomes = salesforce.upsert(rows, match_key="external_id")
    return [row(one.number, one.match_value, out.external_id) for one, out in zip(rows, outcomes, strict=True)]


def add(salesforce: Salesforce, audience: str, rows: Sequence[DeliveryRow]) -> list[tuple[str, str | None]]:
    return statuses(salesforce.add_members(audience, rows, match_key="external_id"))


def remove(salesforce: Salesforce, audience: str, rows: Sequence[DeliveryRow]) -> list[tuple[str, str | None]]:
    return statuses(salesforce.remove_members(audience, rows, match_key="external_id"))


# Campaigns


def test_a_campaign_is_found_by_its_name_made_if_there_is_none_and_taken_by_its_id(sandbox: Sandbox) -> None:
    salesforce = connect(sandbox)
    first = salesforce.ensure_audience("Winback '26")
    assert salesforce.ensure_audience("winback '26") == first == salesforce.ensure_audience(first)
    with pytest.raises(NotFoundError):
        salesforce.ensure_audience("7015g000000zzzzAAA")


def test_several_campaigns_of_one_name_are_not_guessed_between(sandbox: Sandbox) -> None:
    ids = [ask(sandbox, "POST", "sobjects/Campaign", {"Name": "Twins"})["id"] for _ in range(2)]
    with pytest.raises(ConfigurationError, match="2 campaigns") as raised:
        connect(sandbox).ensure_audience("Twins")
    assert set(raised.value.allowed) == set(ids)


def test_a_name_that_no_campaign_can_have_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="80 characters"):
        connect(sandbox).ensure_audience("x" * 81)


def test_a_campaign_whose_answer_is_lost_is_not_made_twice(sandbox: Sandbox, faults: Any) -> None:
    faults(kind="reset", when="after", method="POST", path="/Campaign$", times=1)
    salesforce = connect(sandbox)
    found_id = salesforce.ensure_audience("Lost")
    assert salesforce.ensure_audience("Lost") == found_id
    faults(kind="reset", when="before", method="POST", path="/Campaign$", times=1)
    with pytest.raises(UnknownOutcomeError):
        salesforce.ensure_audience("Never made")


def test_of_two_processes_that_make_a_campaign_one_gives_way(vendor: responses.RequestsMock) -> None:
    vendor.get(QUERY, json=found())
    vendor.post(CAMPAIGNS, json={"id": "7015g0000000009AAA", "success": True}, status=201)
    vendor.get(QUERY, json=found({"Id": CAMPAIGN}, {"Id": "7015g0000000009AAA"}))
    vendor.delete(COLLECTIONS, json=[taken("7015g0000000009AAA")])
    assert offline().ensure_audience("Vip") == CAMPAIGN
    assert asked(vendor)["ids"] == "7015g0000000009AAA"


def test_who_is_a_member_already_stays_one(sandbox: Sandbox) -> None:
    salesforce = connect(sandbox)
    campaign = salesforce.ensure_audience("Again")
    rows = made(salesforce, "again-1", "again-2")
    assert add(salesforce, campaign, rows[:1]) == [("accepted", None)]
    outcomes = salesforce.add_members(campaign, rows, match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)] * 2
    assert [one.external_id for one in outcomes] == [one.external_id for one in rows]
    assert sorted(salesforce.read_back(campaign)) == ["again-1", "again-2"]
    assert {one.external_id for one in salesforce.read_members(campaign)} == {one.external_id for one in rows}


def test_members_get_the_status_of_the_settings(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.post(COLLECTIONS, json=[taken("00v1")])
    add(offline(member_status="Responded"), CAMPAIGN, [row(1, "c-1", CONTACT)])
    member = {"attributes": {"type": "CampaignMember"}, "CampaignId": CAMPAIGN, "ContactId": CONTACT}
    assert sent(vendor, "POST")[0]["records"] == [{**member, "Status": "Responded"}]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (refused("DUPLICATE_VALUE", "Already a campaign member."), ("accepted", None)),
        (refused("ENTITY_IS_DELETED", "entity is deleted", ["ContactId"]), ("rejected", "record_missing")),
        (refused("INVALID_CROSS_REFERENCE_KEY", "invalid", ["ContactId"]), ("rejected", "record_missing")),
        (refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"), ("retry_later", "unable_to_lock_row")),
        (
            refused("INVALID_CROSS_REFERENCE_KEY", "invalid", ["CampaignId"]),
            ("rejected", "invalid_cross_reference_key"),
        ),
    ],
)
def test_what_becomes_of_who_is_put_into_a_campaign(
    vendor: responses.RequestsMock, result: dict[str, object], expected: tuple[str, str | None]
) -> None:
    described(vendor)
    vendor.post(COLLECTIONS, json=[taken("00v1"), result])
    assert add(offline(), CAMPAIGN, [row(1, "c-1", CONTACT), row(2, "c-2", OTHER)]) == [("accepted", None), expected]


def test_strangers_cannot_be_members_and_are_out_already(sandbox: Sandbox) -> None:
    salesforce = connect(sandbox)
    campaign = salesforce.ensure_audience("Strangers")
    assert add(salesforce, campaign, [row(1, "stranger-1")]) == [("rejected", "not_found")]
    assert remove(salesforce, campaign, [row(1, "stranger-1")]) == [("accepted", None)]


def test_who_leaves_stays_in_salesforce_and_in_other_campaigns(sandbox: Sandbox) -> None:
    salesforce = connect(sandbox)
    left, kept = (salesforce.ensure_audience(name) for name in ("Left", "Kept"))
    rows = made(salesforce, "leaves-1")
    before = fields_of(sandbox, "leaves-1")
    for campaign in (left, kept):
        add(salesforce, campaign, rows)
    assert [remove(salesforce, left, rows) for _ in range(2)] == [[("accepted", None)]] * 2
    assert list(salesforce.read_back(left)) == []
    assert list(salesforce.read_back(kept)) == ["leaves-1"]
    assert fields_of(sandbox, "leaves-1") == before


def test_somebody_whose_record_was_merged_is_taken_out_of_the_campaign(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.get(QUERY, json=found())
    vendor.get(QUERY, json=found({"Id": OTHER, "Customer_Id__c": "c-1"}))
    vendor.get(QUERY, json=found({"Id": "00v1", "ContactId": OTHER}))
    vendor.delete(COLLECTIONS, json=[taken("00v1")])
    assert remove(offline(), CAMPAIGN, [row(1, "c-1", CONTACT)]) == [("accepted", None)]
    assert asked(vendor)["ids"] == "00v1"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (refused("ENTITY_IS_DELETED"), ("accepted", None)),
        (refused("UNABLE_TO_LOCK_ROW"), ("retry_later", "unable_to_lock_row")),
        (refused("INSUFFICIENT_ACCESS_OR_READONLY"), ("rejected", "insufficient_access_or_readonly")),
    ],
)
def test_what_becomes_of_who_is_taken_out_of_a_campaign(
    vendor: responses.RequestsMock, result: dict[str, object], expected: tuple[str, str | None]
) -> None:
    described(vendor)
    members = ({"Id": "00v1", "ContactId": CONTACT}, {"Id": "00v2", "ContactId": OTHER})
    vendor.get(QUERY, json=found(*members))
    vendor.delete(COLLECTIONS, json=[taken("00v1"), result])
    rows = [row(1, "c-1", CONTACT), row(2, "c-2", OTHER)]
    assert remove(offline(), CAMPAIGN, rows) == [("accepted", None), expected]


def test_members_come_page_by_page_and_some_have_no_external_id(vendor: responses.RequestsMock) -> None:
    described(vendor)
    first = {"ContactId": CONTACT, "Contact": {"Customer_Id__c": "c-1"}}
    page = {"done": False, "nextRecordsUrl": "/services/data/v66.0/query/01g-2000", "records": [first]}
    vendor.get(QUERY, json=page)
    vendor.get(f"{QUERY}/01g-2000", json=found({"ContactId": OTHER, "Contact": {"Customer_Id__c": None}}))
    salesforce = offline()
    assert list(salesforce.read_members(CAMPAIGN)) == [Member(("c-1",), CONTACT), Member((), OTHER)]
    vendor.get(QUERY, json=page)
    assert list(salesforce.read_back(CAMPAIGN)) == ["c-1", OTHER]


def test_leads_are_members_as_leads(sandbox: Sandbox) -> None:
    leads = connect(sandbox, object="Lead")
    campaign = leads.ensure_audience("Leads")
    rows = [row(1, "lead-m-1", LastName="Li", Company="Co")]
    (outcome,) = leads.upsert(rows, match_key="external_id")
    members = [row(1, "lead-m-1", outcome.external_id)]
    assert add(leads, campaign, members) == [("accepted", None)]
    assert list(leads.read_back(campaign)) == ["lead-m-1"]
    assert list(connect(sandbox).read_back(campaign)) == []
    assert remove(leads, campaign, members) == [("accepted", None)]


# Checkboxes


@pytest.fixture
def boxes(sandbox: Sandbox) -> Salesforce:
    return connect(sandbox, audience_as="checkbox")


def test_a_checkbox_is_named_after_the_audience(boxes: Salesforce, sandbox: Sandbox) -> None:
    assert boxes.ensure_audience("Größte Kunden 50%") == "Grote_Kunden_50__c"
    assert connect(sandbox, audience_as="checkbox").ensure_audience("Größte Kunden 50%") == "Grote_Kunden_50__c"
    assert boxes.ensure_audience("2026") == "A_2026__c"
    assert boxes.ensure_audience("Vip__c") == "Vip__c"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("vip!", "is there for 'Vip'"),
        ("Loyalty_Points__c", "no checkbox"),
        ("x" * 41, "40 characters"),
    ],
)
def test_a_checkbox_that_cannot_be_the_audience_is_refused(boxes: Salesforce, name: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        boxes.ensure_audience(name)


def test_a_checkbox_that_the_user_may_not_edit_is_refused(vendor: responses.RequestsMock) -> None:
    described(vendor, field("Vip__c", "boolean", updateable=False))
    with pytest.raises(ConfigurationError, match="may not edit"):
        offline(audience_as="checkbox").ensure_audience("Vip__c")


def test_a_user_who_may_not_make_a_checkbox_is_told_so(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError):
        connect(sandbox, audience_as="checkbox", access_token=READ_ONLY).ensure_audience("Nobody's")


def test_fields_and_checkbox_go_with_one_request(boxes: Salesforce, sandbox: Sandbox) -> None:
    boxes.probe()
    calls = boxes.calls
    rows = [row(1, "ticked-1", LastName="Li"), row(2, "TICKED-1", LastName="Lee"), row(3, "bad" * 90, LastName="No")]
    outcomes = boxes.upsert_into("Vip__c", rows, match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)] * 2 + [("rejected", "string_too_long")]
    assert boxes.calls - calls == 1
    assert fields_of(sandbox, "TICKED-1")["Vip__c"] is True
    assert "TICKED-1" in set(boxes.read_back("Vip__c"))


def test_a_checkbox_is_ticked_and_unticked_alone(boxes: Salesforce, sandbox: Sandbox) -> None:
    rows = made(boxes, "alone-1")
    before = fields_of(sandbox, "alone-1")
    assert add(boxes, "Vip__c", [*rows, row(7, "nobody-7")]) == [("accepted", None), ("rejected", "not_found")]
    assert fields_of(sandbox, "alone-1")["Vip__c"] is True
    assert remove(boxes, "Vip__c", [*rows, row(7, "nobody-7")]) == [("accepted", None)] * 2
    after = fields_of(sandbox, "alone-1")
    assert {name for name in before if before[name] != after[name]} <= {"LastModifiedDate", "SystemModstamp"}


# Picklists


@pytest.fixture
def lists(sandbox: Sandbox) -> Salesforce:
    return connect(sandbox, audience_as="picklist", picklist_field="Audiences__c")


def values_of(sandbox: Sandbox, external_id: str) -> set[str]:
    return set(fields_of(sandbox, external_id)["Audiences__c"].split(";"))


@pytest.mark.parametrize(
    ("there", "put_in", "taken_out"),
    [
        (None, "Vip", None),
        ("", "Vip", None),
        ("A;B", "A;B;Vip", "A;B"),
        ("A;vip;B", "A;vip;B", "A;B"),
        ("Vip", "Vip", None),
        ("Vipers", "Vipers;Vip", "Vipers"),
    ],
)
def test_values_of_others_stay(there: str | None, put_in: str, taken_out: str | None) -> None:
    assert with_value(there, "Vip") == put_in
    assert without_value(there, "Vip") == taken_out


def test_a_value_is_put_in_and_taken_out_beside_others(lists: Salesforce, sandbox: Sandbox) -> None:
    vip, winback = (lists.ensure_audience(name) for name in ("vip", "Winback"))
    assert (vip, winback) == ("VIP", "Winback")
    rows = made(lists, "lists-1", "lists-2", Audiences__c="Newsletter")
    for audience in (vip, winback, vip):
        assert add(lists, audience, rows) == [("accepted", None)] * 2
    assert values_of(sandbox, "lists-1") == {"Newsletter", "VIP", "Winback"}
    assert set(lists.read_back(vip)) >= {"lists-1", "lists-2"}
    assert remove(lists, vip, [*rows, row(9, "nobody-9")]) == [("accepted", None)] * 3
    assert values_of(sandbox, "lists-1") == {"Newsletter", "Winback"}
    calls = lists.calls
    assert remove(lists, vip, rows) == [("accepted", None)] * 2
    assert lists.calls - calls == 1, "nothing is written that is so already"


def test_fields_and_value_go_with_one_write(lists: Salesforce, sandbox: Sandbox) -> None:
    made(lists, "both-1", Audiences__c="Newsletter")
    rows = [row(1, "both-1", FirstName="Ana"), row(2, "both-2", LastName="Li")]
    outcomes = lists.upsert_into("VIP", rows, match_key="external_id")
    assert statuses(outcomes) == [("accepted", None)] * 2
    assert values_of(sandbox, "both-1") == {"Newsletter", "VIP"}
    assert values_of(sandbox, "both-2") == {"VIP"}


def test_syncs_of_one_process_do_not_take_each_others_values_away(sandbox: Sandbox) -> None:
    syncs = [connect(sandbox, audience_as="picklist", picklist_field="Audiences__c") for _ in range(3)]
    names = [f"shared-{number}" for number in range(20)]
    rows = made(syncs[0], *names)
    together = threading.Barrier(3)

    def put_in(sync: Salesforce, value: str) -> None:
        together.wait()
        add(sync, value, rows)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(put_in, syncs, ("VIP", "Newsletter", "Winback")))
    held = [one["fields"]["Audiences__c"] for one in people(sandbox).values() if one["match"]["external_id"] in names]
    assert [set(value.split(";")) for value in held] == [{"VIP", "Newsletter", "Winback"}] * 20


def test_a_record_that_was_merged_keeps_its_value_in_step(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.get(QUERY, json=found())
    vendor.get(QUERY, json=found({"Id": OTHER, "Customer_Id__c": "c-1"}))
    vendor.get(QUERY, json=found({"Id": OTHER, "Customer_Id__c": "c-1", "Audiences__c": "A"}))
    vendor.patch(COLLECTIONS, json=[taken(OTHER)])
    salesforce = offline(audience_as="picklist", picklist_field="Audiences__c")
    (outcome,) = salesforce.add_members("Vip", [row(1, "c-1", CONTACT)], match_key="external_id")
    assert outcome.external_id == OTHER
    assert sent(vendor, "PATCH")[0]["records"][0]["Audiences__c"] == "A;Vip"


@pytest.mark.parametrize(
    ("name", "field_name", "why"),
    [
        ("A;B", "Audiences__c", "semicolon"),
        ("Any", "Vip__c", "no multi-select picklist"),
        ("Any", "Nothing__c", "no field 'Nothing__c'"),
        ("Unheard of", "Audiences__c", "has no value 'Unheard of'"),
    ],
)
def test_a_value_that_cannot_be_is_refused(sandbox: Sandbox, name: str, field_name: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        connect(sandbox, audience_as="picklist", picklist_field=field_name).ensure_audience(name)


def picklist(*values: str) -> dict[str, object]:
    known = [{"active": True, "value": value} for value in values]
    return field("Audiences__c", "multipicklist", restrictedPicklist=True, picklistValues=known)


def metadata(*values: str) -> dict[str, Any]:
    listed = [{"valueName": value, "label": value, "default": False} for value in values]
    return {"label": "Audiences", "type": "MultiselectPicklist", "valueSet": {"valueSetDefinition": {"value": listed}}}


def test_a_value_is_added_to_a_restricted_picklist(vendor: responses.RequestsMock) -> None:
    described(vendor, picklist("Vip"))
    vendor.get(TOOLING, json=found({"Id": "00N1", "Metadata": metadata("Vip")}))
    vendor.patch(f"{FIELDS}/00N1", status=204)
    described(vendor, picklist("Vip", "Winback"))
    assert offline(audience_as="picklist", picklist_field="Audiences__c").ensure_audience("Winback") == "Winback"
    assert sent(vendor, "PATCH") == [{"Metadata": metadata("Vip", "Winback")}]
    query = asked(vendor, 1)["q"]
    assert "DeveloperName = 'Audiences' AND TableEnumOrId = 'Contact' AND NamespacePrefix = null" in query


def test_a_value_that_another_process_overwrote_stops_the_sync(vendor: responses.RequestsMock) -> None:
    described(vendor, picklist("Vip"))
    vendor.get(TOOLING, json=found({"Id": "00N1", "Metadata": metadata("Vip")}))
    vendor.patch(f"{FIELDS}/00N1", status=204)
    described(vendor, picklist("Vip", "Theirs"))
    with pytest.raises(ConfigurationError, match="no value 'Winback'"):
        offline(audience_as="picklist", picklist_field="Audiences__c").ensure_audience("Winback")


@pytest.mark.parametrize(
    "answer",
    [found(), found({"Id": "00N1", "Metadata": {"valueSet": {"valueSetName": "Shared", "valueSetDefinition": None}}})],
    ids=["hidden", "shared by several fields"],
)
def test_a_value_that_cannot_be_added_is_asked_for(vendor: responses.RequestsMock, answer: dict[str, object]) -> None:
    described(vendor)
    vendor.get(TOOLING, json=answer)
    with pytest.raises(ConfigurationError, match="no value 'Winback'"):
        offline(audience_as="picklist", picklist_field="Audiences__c").ensure_audience("Winback")
    assert sent(vendor, "PATCH") == []


def test_what_is_put_in_with_the_fields_is_one_upsert(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.get(QUERY, json=found({"Id": CONTACT, "Customer_Id__c": "C-1", "Audiences__c": "A"}))
    vendor.patch(UPSERT, json=[taken()])
    salesforce = offline(audience_as="picklist", picklist_field="Audiences__c")
    salesforce.upsert_into("Vip", [row(1, "c-1", FirstName="Ana")], match_key="external_id")
    assert [one["Audiences__c"] for one in sent(vendor, "PATCH")[0]["records"]] == ["A;Vip"]
