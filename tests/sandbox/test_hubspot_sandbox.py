"""The HubSpot stand-in behaves as the vendor's API does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import phonenumbers
import pytest
import requests

from millstream.sandbox import Sandbox

CONTACTS = "/crm/v3/objects/contacts"
Json = dict[str, Any]


class HubSpot:
    """A thin client that does no more than authenticate."""

    def __init__(self, sandbox: Sandbox, token: str = "pat-sandbox-hubspot") -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        url = self.sandbox.system_url("hubspot") + path
        return self.session.request(method, url, timeout=20, **options)

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.call("GET", path, params=query)

    def post(self, path: str, body: object) -> requests.Response:
        return self.call("POST", path, json=body)

    def put(self, path: str, body: object) -> requests.Response:
        return self.call("PUT", path, json=body)

    def pages(self, path: str, **query: Any) -> Iterator[Json]:
        while True:
            body = self.get(path, **query).json()
            yield from body["results"]
            if "paging" not in body:
                return
            query["after"] = body["paging"]["next"]["after"]


@pytest.fixture
def hubspot(sandbox: Sandbox) -> HubSpot:
    return HubSpot(sandbox)


@pytest.fixture
def writable(fresh_sandbox: Sandbox) -> HubSpot:
    return HubSpot(fresh_sandbox)


def row(email: str, /, **properties: str) -> Json:
    return {"id": email, "idProperty": "email", "properties": properties, "objectWriteTraceId": f"row of {email}"}


def upsert(client: HubSpot, *rows: Json) -> requests.Response:
    return client.post(f"{CONTACTS}/batch/upsert", {"inputs": rows})


def millis(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


class TestAuthentication:
    @pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic pat-sandbox-hubspot"])
    def test_unknown_credentials(self, sandbox: Sandbox, header: str) -> None:
        url = sandbox.system_url("hubspot") + CONTACTS
        answer = requests.get(url, headers={"Authorization": header}, timeout=10)
        assert answer.status_code == 401
        assert answer.json()["category"] == "INVALID_AUTHENTICATION"

    def test_a_token_without_scopes_names_the_missing_one(self, sandbox: Sandbox) -> None:
        client = HubSpot(sandbox, "pat-sandbox-no-lists")
        assert client.get(CONTACTS).status_code == 200
        for answer in (client.post("/crm/v3/lists/search", {}), client.get("/email/public/v1/events")):
            assert answer.status_code == 403
            assert answer.json()["category"] == "MISSING_SCOPES"
            assert answer.json()["errors"][0]["context"]["requiredGranularScopes"]

    def test_access_tokens_expire(self, writable: HubSpot) -> None:
        control = writable.sandbox.url + "/_sandbox/tokens"
        requests.post(control, json={"system": "hubspot", "expires_in": 1}, timeout=10)
        form = {
            "grant_type": "refresh_token",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "refresh_token": "sandbox-refresh",
        }
        answer = writable.call("POST", "/oauth/v3/token", data=form).json()
        client = HubSpot(writable.sandbox, answer["access_token"])
        assert client.get(CONTACTS).status_code == 200
        time.sleep(1.05)
        assert client.get(CONTACTS).json()["category"] == "EXPIRED_AUTHENTICATION"
        refused = writable.call("POST", "/oauth/v1/token", data={**form, "refresh_token": "stolen"})
        assert (refused.status_code, refused.json()["status"]) == (400, "BAD_REFRESH_TOKEN")


class TestReading:
    def test_the_pages_hold_every_contact_once(self, hubspot: HubSpot) -> None:
        seen = [one["id"] for one in hubspot.pages(CONTACTS, limit=100)]
        company = hubspot.sandbox.company
        expected = {str(number) for index in range(300) for number in company.person(index).contact_ids}
        assert len(seen) == len(expected)
        assert set(seen) == expected

    def test_only_properties_asked_for_and_three_more(self, hubspot: HubSpot) -> None:
        one = hubspot.get(CONTACTS, limit=1, properties="email,city,nonsense").json()["results"][0]
        assert set(one["properties"]) == {"email", "city", "createdate", "hs_object_id", "lastmodifieddate"}
        assert one["properties"]["hs_object_id"] == one["id"]
        assert one["archived"] is False

    def test_duplicates_share_an_identifier(self, hubspot: HubSpot) -> None:
        wanted = "email,phone,mobilephone,customer_id,hs_additional_emails,country"
        contacts = {one["id"]: one["properties"] for one in hubspot.pages(CONTACTS, limit=100, properties=wanted)}
        company = hubspot.sandbox.company
        pairs = [person for person in map(company.person, range(300)) if len(person.contact_ids) == 2]
        assert pairs
        for person in pairs:
            first, second = (
                self._identifiers(contacts[str(number)], person.country_code) for number in person.contact_ids
            )
            assert first & second, (person, first, second)

    @staticmethod
    def _identifiers(properties: dict[str, str | None], country: str) -> set[str]:
        emails = [properties["email"], *(properties["hs_additional_emails"] or "").split(";")]
        found = {email.lower() for email in emails if email} | {properties["customer_id"] or ""}
        for phone in (properties["phone"], properties["mobilephone"]):
            if phone:
                number = phonenumbers.parse(phone, country)
                found.add(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        return found - {""}

    @pytest.mark.parametrize("query", [{"limit": 101}, {"limit": 0}, {"after": "x"}, {"limit": "many"}])
    def test_bad_paging_is_refused(self, hubspot: HubSpot, query: Json) -> None:
        answer = hubspot.get(CONTACTS, **query)
        assert answer.status_code == 400
        assert answer.json()["category"] == "VALIDATION_ERROR"

    def test_one_contact_by_id_and_by_email(self, hubspot: HubSpot) -> None:
        person = hubspot.sandbox.company.person(0)
        by_email = hubspot.get(f"{CONTACTS}/{person.email.upper()}", idProperty="email").json()
        assert by_email["id"] == str(person.contact_ids[0])
        assert hubspot.get(f"{CONTACTS}/{by_email['id']}").json() == by_email
        assert hubspot.get(f"{CONTACTS}/17").status_code == 404

    def test_batch_read_tells_what_is_missing(self, hubspot: HubSpot) -> None:
        person = hubspot.sandbox.company.person(0)
        body = {"inputs": [{"id": person.email}, {"id": "x@box.example"}], "idProperty": "email"}
        answer = hubspot.post(f"{CONTACTS}/batch/read", body)
        assert answer.status_code == 207
        assert [one["id"] for one in answer.json()["results"]] == [str(person.contact_ids[0])]
        assert answer.json()["errors"][0]["context"]["ids"] == ["x@box.example"]
        oversize = {"inputs": [{"id": str(number)} for number in range(101)]}
        assert hubspot.post(f"{CONTACTS}/batch/read", oversize).status_code == 400

    @pytest.mark.parametrize(
        "body",
        [{"inputs": [{"id": 5}]}, {"inputs": [{"id": "5", "extra": 1}]}, {"wrong": []}, ["not an object"]],
    )
    def test_bodies_that_do_not_fit_are_refused(self, hubspot: HubSpot, body: object) -> None:
        assert hubspot.post(f"{CONTACTS}/batch/read", body).status_code == 400

    def test_malformed_json_is_refused(self, hubspot: HubSpot) -> None:
        assert hubspot.call("POST", f"{CONTACTS}/search", data=b"{").status_code == 400

    def test_deals_and_companies(self, hubspot: HubSpot) -> None:
        company = hubspot.sandbox.company
        deals = list(hubspot.pages("/crm/v3/objects/deals", limit=100, properties="amount,dealstage,closedate"))
        expected = {str(deal.deal_id): deal for index in range(300) for deal in company.deals(index)}
        assert {one["id"] for one in deals} == expected.keys()
        for one in deals:
            deal = expected[str(one["id"])]
            properties = one["properties"]
            assert isinstance(properties, dict)
            assert (properties["amount"], properties["dealstage"]) == (deal.amount, deal.stage)
            assert (properties["closedate"] is None) == (deal.close_ms is None)
        assert len(list(hubspot.pages("/crm/v3/objects/companies"))) == 34

    def test_dated_paths_give_the_same(self, hubspot: HubSpot) -> None:
        new, old = hubspot.get("/crm/objects/2026-03/contacts").json(), hubspot.get(CONTACTS).json()
        assert new["results"] == old["results"]

    def test_property_definitions(self, hubspot: HubSpot) -> None:
        listed = {one["name"]: one for one in hubspot.get("/crm/v3/properties/contacts").json()["results"]}
        assert listed["customer_id"]["hubspotDefined"] is False
        assert listed["lifecyclestage"]["type"] == "enumeration"
        assert listed["lastmodifieddate"]["modificationMetadata"]["readOnlyValue"] is True
        assert hubspot.get("/crm/v3/properties/contacts/nothing").status_code == 404

    def test_owners_and_account(self, hubspot: HubSpot) -> None:
        owners = list(hubspot.pages("/crm/v3/owners", limit=2))
        assert len({owner["id"] for owner in owners}) == len(owners) == 5
        assert hubspot.get("/account-info/v3/details").json()["timeZone"] == "UTC"
        assert hubspot.get("/crm/v3/pipelines/deals").json()["results"][0]["stages"]
        assert hubspot.get("/crm/v3/pipelines/contacts").status_code == 404

    def test_history_of_a_property(self, hubspot: HubSpot) -> None:
        one = hubspot.get(CONTACTS, limit=1, propertiesWithHistory="email").json()["results"][0]
        assert one["propertiesWithHistory"]["email"][0]["value"]
        assert hubspot.get(CONTACTS, limit=100, propertiesWithHistory="email").status_code == 400


class TestSearch:
    def search(self, client: HubSpot, *filters: Json, **body: Any) -> requests.Response:
        order = {"filterGroups": [{"filters": list(filters)}], "limit": 200, **body}
        return client.post(f"{CONTACTS}/search", order)

    def test_walk_by_modification_time_and_id(self, hubspot: HubSpot) -> None:
        since = hubspot.sandbox.company.today_ms - 200 * 86_400_000
        expected = [one["id"] for one in hubspot.pages(CONTACTS, limit=100) if millis(str(one["updatedAt"])) >= since]
        found: list[str] = []
        last = "0"
        while True:
            body = self.search(
                hubspot,
                {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(since)},
                {"propertyName": "hs_object_id", "operator": "GT", "value": last},
                sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                limit=7,
            ).json()
            if not body["results"]:
                break
            found += [one["id"] for one in body["results"]]
            last = found[-1]
        assert found == expected

    def test_bounds_are_inclusive_and_exclusive(self, hubspot: HubSpot) -> None:
        modified = str(hubspot.sandbox.company.person(0).modified_ms)
        totals = {
            operator: self.search(
                hubspot, {"propertyName": "lastmodifieddate", "operator": operator, "value": modified}
            ).json()["total"]
            for operator in ("GT", "GTE", "EQ", "LT")
        }
        assert totals["GTE"] == totals["GT"] + 1
        assert totals["EQ"] == 1
        everybody = self.search(hubspot).json()["total"]
        assert totals["LT"] + totals["GTE"] == everybody

    def test_other_operators(self, hubspot: HubSpot) -> None:
        contacts = [
            one["properties"]
            for one in hubspot.pages(CONTACTS, limit=100, properties="city,customer_id,email,lifecyclestage")
        ]
        cases: list[tuple[Json, int]] = [
            ({"operator": "EQ", "value": "paris"}, sum(c["city"] == "Paris" for c in contacts)),
            ({"operator": "NEQ", "value": "Paris"}, sum(c["city"] != "Paris" for c in contacts)),
            ({"operator": "IN", "values": ["paris", "lyon"]}, sum(c["city"] in {"Paris", "Lyon"} for c in contacts)),
            ({"operator": "HAS_PROPERTY"}, sum(c["city"] is not None for c in contacts)),
            ({"operator": "NOT_HAS_PROPERTY"}, sum(c["city"] is None for c in contacts)),
            ({"operator": "CONTAINS_TOKEN", "value": "par*"}, sum(c["city"] == "Paris" for c in contacts)),
        ]
        for condition, expected in cases:
            answer = self.search(hubspot, {"propertyName": "city", **condition})
            assert answer.json()["total"] == expected, condition

    def test_groups_are_alternatives_and_a_query_searches_words(self, hubspot: HubSpot) -> None:
        person = hubspot.sandbox.company.person(0)
        by_id = {"propertyName": "hs_object_id", "operator": "EQ", "value": str(person.contact_ids[0])}
        nobody = {"propertyName": "email", "operator": "EQ", "value": "nobody@box.example"}
        body = {"filterGroups": [{"filters": [by_id]}, {"filters": [nobody]}]}
        assert hubspot.post(f"{CONTACTS}/search", body).json()["total"] == 1
        assert hubspot.post(f"{CONTACTS}/search", {"query": person.email}).json()["total"] == 1

    def test_sorting_by_time(self, hubspot: HubSpot) -> None:
        body = {"sorts": [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}], "limit": 200}
        times = [one["updatedAt"] for one in hubspot.post(f"{CONTACTS}/search", body).json()["results"]]
        assert times == sorted(times, reverse=True)

    @pytest.mark.parametrize(
        "body",
        [
            {"limit": 201},
            {"limit": 100, "after": "9901"},
            {"filterGroups": [{"filters": [{"propertyName": "nonsense", "operator": "EQ", "value": "1"}]}]},
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "LIKE", "value": "1"}]}]},
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ"}]}]},
            {"filterGroups": [{"filters": []}] * 7},
            {"sorts": [{"propertyName": "email"}, {"propertyName": "city"}]},
            {"filterGroups": [], "unknown": True},
        ],
    )
    def test_what_the_vendor_refuses(self, hubspot: HubSpot, body: Json) -> None:
        assert hubspot.post(f"{CONTACTS}/search", body).status_code == 400

    def test_results_end_at_ten_thousand(self) -> None:
        with Sandbox(people=12_000, limits=False) as big:
            client = HubSpot(big)
            last = client.post(f"{CONTACTS}/search", {"limit": 200, "after": "9800"})
            assert last.status_code == 200
            assert last.json()["total"] > 10_000
            cursor = last.json()["paging"]["next"]["after"]
            assert client.post(f"{CONTACTS}/search", {"limit": 200, "after": cursor}).status_code == 400


class TestAssociations:
    def test_of_one_record_both_ways(self, hubspot: HubSpot) -> None:
        company = hubspot.sandbox.company
        index = next(index for index in range(300) if len(company.deals(index)) > 1)
        contact_id = company.deals(index)[0].contact_id
        deals = {str(deal.deal_id) for deal in company.deals(index) if deal.contact_id == contact_id}
        path = f"/crm/v4/objects/contacts/{contact_id}/associations/deals"
        assert {str(one["toObjectId"]) for one in hubspot.pages(path, limit=1)} == deals
        back = hubspot.get(f"/crm/v4/objects/deals/{deals.pop()}/associations/contacts").json()["results"]
        assert [one["toObjectId"] for one in back] == [contact_id]
        assert back[0]["associationTypes"][0]["typeId"] == 3

    def test_batch_read_is_partial_where_there_are_none(self, hubspot: HubSpot) -> None:
        company = hubspot.sandbox.company
        people = [company.person(index) for index in range(60)]
        ids = [str(number) for person in people for number in person.contact_ids[:1]]
        body = {"inputs": [{"id": one} for one in ids]}
        answer = hubspot.post("/crm/v4/associations/contacts/deals/batch/read", body)
        assert answer.status_code == 207
        linked = {one["from"]["id"] for one in answer.json()["results"]}
        without = {one["context"]["ids"][0] for one in answer.json()["errors"]}
        assert linked | without == set(ids)
        assert not linked & without
        firms = hubspot.post("/crm/v4/associations/contacts/companies/batch/read", body)
        assert firms.status_code == 200
        assert all(len(one["to"]) == 1 for one in firms.json()["results"])

    def test_on_a_page_of_records(self, hubspot: HubSpot) -> None:
        deals = list(hubspot.pages("/crm/v3/objects/deals", limit=100, associations="contacts,companies"))
        assert all(set(one["associations"]) == {"contacts", "companies"} for one in deals)


class TestUpsert:
    def test_creates_and_updates_and_shows_up_in_reads(self, writable: HubSpot) -> None:
        person = writable.sandbox.company.person(0)
        started = time.time_ns() // 1_000_000
        answer = upsert(writable, row(person.email, city="Oslo"), row("New.One@Box.example", firstname="New"))
        assert answer.status_code == 200
        old, new = answer.json()["results"]
        assert (old["new"], new["new"]) == (False, True)
        assert old["objectWriteTraceId"] == f"row of {person.email}"
        assert new["properties"]["email"] == "new.one@box.example"
        assert old["id"] == str(person.contact_ids[0])
        read = writable.get(f"{CONTACTS}/{old['id']}", properties="city,email").json()
        assert read["properties"]["city"] == "Oslo"
        assert millis(read["updatedAt"]) >= started
        assert new["id"] in {one["id"] for one in writable.pages(CONTACTS, limit=100)}
        changed = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(started)}
        found = writable.post(f"{CONTACTS}/search", {"filterGroups": [{"filters": [changed]}]}).json()
        assert {one["id"] for one in found["results"]} == {old["id"], new["id"]}

    def test_an_empty_value_clears_and_a_missing_one_does_not(self, writable: HubSpot) -> None:
        person = writable.sandbox.company.person(0)
        upsert(writable, row(person.email, city=""))
        read = writable.get(f"{CONTACTS}/{person.contact_ids[0]}", properties="city,firstname").json()
        assert read["properties"]["city"] is None
        assert read["properties"]["firstname"] == person.first_name

    def test_a_bad_value_refuses_its_row_only(self, writable: HubSpot) -> None:
        answer = upsert(
            writable,
            row("good@box.example", city="Rome"),
            row("not an address", city="Rome"),
            row("stage@box.example", lifecyclestage="friend"),
        )
        assert answer.status_code == 207
        body = answer.json()
        assert body["numErrors"] == 2
        assert [one["properties"]["email"] for one in body["results"]] == ["good@box.example"]
        assert [one["context"]["objectWriteTraceId"] for one in body["errors"]] == [
            ["row of not an address"],
            ["row of stage@box.example"],
        ]
        assert [one["errors"][0]["code"] for one in body["errors"]] == ["INVALID_EMAIL", "INVALID_OPTION"]

    @pytest.mark.parametrize(
        "rows",
        [
            [row("a@box.example", nonsense="1")],
            [row("a@box.example", createdate="2026-01-01")],
            [row("a@box.example"), row("A@box.example")],
            [row("a@box.example"), {"id": "5", "properties": {}}],
            [{"id": "a@box.example", "idProperty": "city", "properties": {}}],
            [{"id": "a@box.example", "idProperty": "email", "properties": {"city": 5}}],
            [{"id": "a@box.example", "idProperty": "email", "properties": {"city": None}}],
            [{"id": "a@box.example", "idProperty": "email", "properties": {}, "other": 1}],
            [row(f"p{number}@box.example") for number in range(101)],
            [],
        ],
        ids=["unknown", "read-only", "twice", "mixed", "not unique", "number", "null", "extra", "101", "none"],
    )
    def test_a_fault_in_shape_refuses_the_whole_batch(self, writable: HubSpot, rows: list[Json]) -> None:
        answer = upsert(writable, *rows)
        assert answer.status_code == 400
        assert answer.json()["category"] == "VALIDATION_ERROR"
        state = requests.get(writable.sandbox.url + "/_sandbox/state/hubspot", timeout=10).json()
        assert state["contacts"] == []

    def test_a_custom_unique_property_identifies(self, writable: HubSpot) -> None:
        order = {
            "name": "loyalty_id",
            "label": "Loyalty id",
            "groupName": "contactinformation",
            "type": "string",
            "fieldType": "text",
            "hasUniqueValue": True,
        }
        assert writable.post("/crm/v3/properties/contacts", order).status_code == 201
        assert writable.post("/crm/v3/properties/contacts", order).status_code == 409
        by_loyalty = {"id": "L1", "idProperty": "loyalty_id", "properties": {"city": "Nice"}}
        first, second = (upsert(writable, by_loyalty).json()["results"][0] for _ in range(2))
        assert (first["new"], second["new"]) == (True, False)
        assert first["id"] == second["id"]

    @pytest.mark.parametrize("name", ["Upper", "1st", "with space"])
    def test_property_names_follow_the_rules(self, writable: HubSpot, name: str) -> None:
        order = {
            "name": name,
            "label": "x",
            "groupName": "contactinformation",
            "type": "string",
            "fieldType": "text",
        }
        assert writable.post("/crm/v3/properties/contacts", order).status_code == 400

    def test_an_address_belongs_to_one_contact(self, writable: HubSpot) -> None:
        company = writable.sandbox.company
        people = [person for person in map(company.person, range(20)) if person.contact_ids]
        answer = upsert(writable, row(people[0].email, email=people[1].email))
        assert answer.status_code == 207
        assert "already exists" in answer.json()["errors"][0]["message"]


class TestOtherWrites:
    def test_create_refuses_what_exists(self, writable: HubSpot) -> None:
        person = writable.sandbox.company.person(0)
        body = {"inputs": [{"properties": {"email": person.email}}]}
        answer = writable.post(f"{CONTACTS}/batch/create", body)
        assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")
        assert str(person.contact_ids[0]) in answer.json()["message"]
        body = {"inputs": [{"properties": {"email": "new@box.example"}}]}
        assert writable.post(f"{CONTACTS}/batch/create", body).status_code == 201
        single = writable.post(CONTACTS, {"properties": {"email": "other@box.example", "city": "Ulm"}})
        assert single.status_code == 201
        path = f"{CONTACTS}/{single.json()['id']}"
        assert writable.call("PATCH", path, json={"properties": {"city": "Bonn"}}).status_code == 200
        assert writable.get(path, properties="city").json()["properties"]["city"] == "Bonn"

    def test_update_refuses_what_does_not_exist(self, writable: HubSpot) -> None:
        person = writable.sandbox.company.person(0)
        inputs = [{"id": str(person.contact_ids[0]), "properties": {"city": "Bari"}}, {"id": "7", "properties": {}}]
        answer = writable.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
        assert answer.status_code == 207
        assert answer.json()["errors"][0]["category"] == "OBJECT_NOT_FOUND"

    def test_archived_contacts_move_to_the_archived_list(self, writable: HubSpot) -> None:
        record_id = str(writable.sandbox.company.person(0).contact_ids[0])
        body = {"inputs": [{"id": record_id}, {"id": "7"}]}
        assert writable.post(f"{CONTACTS}/batch/archive", body).status_code == 204
        assert record_id not in {one["id"] for one in writable.pages(CONTACTS, limit=100)}
        (archived,) = writable.pages(CONTACTS, archived="true")
        assert (archived["id"], archived["archived"]) == (record_id, True)
        assert archived["archivedAt"]
        everybody = writable.post(f"{CONTACTS}/search", {"limit": 200}).json()
        assert record_id not in {one["id"] for one in everybody["results"]}
        members = {one["recordId"] for one in writable.pages("/crm/v3/lists/1/memberships", limit=250)}
        assert record_id not in members

    def test_erasure_leaves_no_trace_and_blocks_the_address(self, writable: HubSpot) -> None:
        person = writable.sandbox.company.person(0)
        body = {"objectId": person.email, "idProperty": "email"}
        assert writable.post(f"{CONTACTS}/gdpr-delete", body).status_code == 204
        assert writable.get(f"{CONTACTS}/{person.contact_ids[0]}").status_code == 404
        assert list(writable.pages(CONTACTS, archived="true")) == []
        assert upsert(writable, row(person.email, city="Oslo")).status_code == 207
        unknown = {"objectId": "never@box.example", "idProperty": "email"}
        assert writable.post(f"{CONTACTS}/gdpr-delete", unknown).status_code == 204
        assert upsert(writable, row("never@box.example")).status_code == 207
        assert writable.post(f"{CONTACTS}/gdpr-delete", {"objectId": "7"}).status_code == 404


class TestLists:
    def make(self, client: HubSpot, name: str = "Push me") -> str:
        body = {"name": name, "objectTypeId": "0-1", "processingType": "MANUAL"}
        return str(client.post("/crm/v3/lists", body).json()["list"]["listId"])

    def test_search_pages_by_offset(self, hubspot: HubSpot) -> None:
        names: list[str] = []
        offset, more = 0, True
        while more:
            body = hubspot.post("/crm/v3/lists/search", {"count": 2, "offset": offset}).json()
            names += [one["name"] for one in body["lists"]]
            offset, more = body["offset"], body["hasMore"]
        assert names == ["Newsletter subscribers", "Customers", "Event attendees"]

    def test_members_are_who_they_should_be(self, hubspot: HubSpot) -> None:
        people = [hubspot.sandbox.company.person(index) for index in range(300)]
        expected = {
            "1": {c for person in people if person.subscription == "SUBSCRIBED" for c in person.contact_ids},
            "2": {c for person in people if person.lifecycle_stage == "customer" for c in person.contact_ids[:1]},
            "3": {c for person in people if person.event_attendee for c in person.contact_ids[:1]},
        }
        for list_id, ids in expected.items():
            path = f"/crm/v3/lists/{list_id}/memberships"
            assert [one["recordId"] for one in hubspot.pages(path, limit=9)] == [str(one) for one in sorted(ids)]
            by_time = list(hubspot.pages(f"{path}/join-order", limit=9))
            assert {one["recordId"] for one in by_time} == {str(one) for one in ids}
            times = [str(one["membershipTimestamp"]) for one in by_time]
            assert times == sorted(times)

    def test_add_and_remove_answer_what_really_changed(self, writable: HubSpot) -> None:
        ids = [str(p.contact_ids[0]) for p in map(writable.sandbox.company.person, range(12)) if p.contact_ids]
        path = f"/crm/v3/lists/{self.make(writable)}/memberships"
        assert writable.put(f"{path}/add", ids[:3]).json()["recordsIdsAdded"] == ids[:3]
        change = {"recordIdsToAdd": [*ids[2:5], "7"], "recordIdsToRemove": [ids[0], ids[6]]}
        assert writable.put(f"{path}/add-and-remove", change).json() == {
            "recordsIdsAdded": ids[3:5],
            "recordIdsRemoved": [ids[0]],
            "recordIdsMissing": ["7"],
        }
        assert {one["recordId"] for one in writable.pages(path)} == set(ids[1:5])
        assert writable.put(f"{path}/remove", ids[1:2]).json()["recordIdsRemoved"] == ids[1:2]
        assert writable.get(path).json()["total"] == 3

    def test_original_members_of_a_manual_list_can_leave_and_return(self, writable: HubSpot) -> None:
        path = "/crm/v3/lists/3/memberships"
        before = [one["recordId"] for one in writable.pages(path)]
        writable.put(f"{path}/remove", before[:1])
        assert [one["recordId"] for one in writable.pages(path)] == before[1:]
        assert writable.put(f"{path}/add", before).json()["recordsIdsAdded"] == before[:1]

    def test_found_by_name_and_deleted(self, writable: HubSpot) -> None:
        list_id = self.make(writable)
        path = "/crm/v3/lists/object-type-id/0-1/name"
        assert writable.get(f"{path}/Push%20me").json()["list"]["listId"] == list_id
        assert writable.get(f"{path}/Other").status_code == 404
        assert writable.call("DELETE", f"/crm/v3/lists/{list_id}").status_code == 204
        assert writable.get(f"/crm/v3/lists/{list_id}").status_code == 404

    def test_what_the_vendor_refuses(self, writable: HubSpot) -> None:
        self.make(writable, "Twice")
        twice = {"name": "Twice", "objectTypeId": "0-1", "processingType": "MANUAL"}
        assert writable.post("/crm/v3/lists", twice).status_code == 400
        dynamic = writable.put("/crm/v3/lists/1/memberships/add", ["1000001"])
        assert dynamic.status_code == 400
        assert "DYNAMIC" in dynamic.json()["message"]
        assert writable.put("/crm/v3/lists/3/memberships/add", {"ids": []}).status_code == 400
        assert writable.get("/crm/v3/lists/3/memberships", limit=251).status_code == 400
        assert writable.get("/crm/v3/lists/999/memberships").status_code == 404

    def test_dynamic_lists_follow_what_is_written(self, writable: HubSpot) -> None:
        upsert(writable, row("buyer@box.example", lifecyclestage="customer"))
        state = requests.get(writable.sandbox.url + "/_sandbox/state/hubspot", timeout=10).json()
        written = state["contacts"][0]["id"]
        customers = next(one for one in state["lists"] if one["name"] == "Customers")
        assert written in customers["recordIds"]


class TestEmailEvents:
    def pages(self, client: HubSpot, **query: Any) -> list[Json]:
        events: list[Json] = []
        while True:
            body = client.get("/email/public/v1/events", **query).json()
            events += body["events"]
            if not body["hasMore"]:
                return events
            query["offset"] = body["offset"]

    def test_all_events_newest_first(self, hubspot: HubSpot) -> None:
        company = hubspot.sandbox.company
        expected = {event.event_id: event for index in range(300) for event in company.email_events(index)}
        events = self.pages(hubspot, limit=100)
        assert len(events) == len(expected)
        for one in events:
            event = expected[str(one["id"])]
            assert (one["type"], one["recipient"], one["created"]) == (
                event.type,
                event.recipient,
                event.occurred_ms,
            )
        times = [int(str(one["created"])) for one in events]
        assert times == sorted(times, reverse=True)
        contacts = sum(
            company.person(index).subscription == "SUBSCRIBED" and bool(company.person(index).contact_ids)
            for index in range(300)
        )
        assert 3 < len(events) / contacts < 5

    def test_window_and_type(self, hubspot: HubSpot) -> None:
        everything = self.pages(hubspot, limit=1000)
        middle = int(str(everything[len(everything) // 2]["created"]))
        older = self.pages(hubspot, limit=1000, endTimestamp=middle - 1)
        newer = self.pages(hubspot, limit=1000, startTimestamp=middle)
        assert len(older) + len(newer) == len(everything)
        opened = self.pages(hubspot, limit=1000, eventType="OPEN")
        assert len(opened) == sum(one["type"] == "OPEN" for one in everything)
        some = str(everything[0]["recipient"])
        assert {one["recipient"] for one in self.pages(hubspot, recipient=some)} == {some}

    @pytest.mark.parametrize("query", [{"limit": 1001}, {"offset": "17"}, {"eventType": "NONSENSE"}])
    def test_what_the_vendor_refuses(self, hubspot: HubSpot, query: Json) -> None:
        assert hubspot.get("/email/public/v1/events", **query).status_code == 400


class TestConsent:
    path = "/communication-preferences/v4/statuses"

    def test_every_address_of_a_person_says_the_same(self, hubspot: HubSpot) -> None:
        for index in range(40):
            person = hubspot.sandbox.company.person(index)
            if not person.contact_ids:
                continue
            body = {"inputs": list(person.emails)}
            answer = hubspot.post(f"{self.path}/batch/read?channel=EMAIL", body).json()
            found = {one["statuses"][0]["status"] for one in answer["results"]}
            assert found == {person.subscription}
            single = hubspot.get(f"{self.path}/{person.email}", channel="EMAIL").json()
            assert single["results"][0]["status"] == person.subscription

    def test_unknown_and_invalid_addresses(self, hubspot: HubSpot) -> None:
        body = {"inputs": ["stranger@box.example", "nonsense"]}
        answer = hubspot.post(f"{self.path}/batch/read?channel=EMAIL", body)
        assert answer.status_code == 207
        assert answer.json()["results"][0]["statuses"][0]["status"] == "NOT_SPECIFIED"
        assert answer.json()["errors"][0]["context"]["ids"] == ["nonsense"]
        assert hubspot.post(f"{self.path}/batch/read", body).status_code == 400

    def test_writing_says_when_it_resubscribed_somebody(self, writable: HubSpot) -> None:
        company = writable.sandbox.company
        person = next(
            person
            for person in map(company.person, range(300))
            if person.contact_ids and person.subscription == "UNSUBSCRIBED"
        )
        write = {"subscriberIdString": person.email, "subscriptionId": 1001, "statusState": "SUBSCRIBED"}
        answer = writable.post(f"{self.path}/batch/write", {"inputs": [write]}).json()
        assert answer["results"][0]["setStatusSuccessReason"] == "RESUBSCRIBE_OCCURRED"
        again = {"inputs": [person.email]}
        writable.post(f"{self.path}/batch/unsubscribe-all?channel=EMAIL", again)
        now = writable.get(f"{self.path}/{person.email}", channel="EMAIL").json()
        assert now["results"][0]["status"] == "UNSUBSCRIBED"


class TestLimits:
    @pytest.fixture
    def limited(self) -> Iterator[Sandbox]:
        with Sandbox(people=50) as running:
            yield running

    def test_the_burst_is_announced_and_enforced(self, limited: Sandbox) -> None:
        client = HubSpot(limited)
        answers = [client.get("/crm/v3/owners") for _ in range(191)]
        assert answers[0].headers["X-HubSpot-RateLimit-Max"] == "190"
        assert answers[0].headers["X-HubSpot-RateLimit-Remaining"] == "189"
        assert answers[0].headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
        assert int(answers[0].headers["X-HubSpot-RateLimit-Daily-Remaining"]) == 649_999
        assert [answer.status_code for answer in answers] == [200] * 190 + [429]
        assert answers[-1].json()["policyName"] == "TEN_SECONDLY_ROLLING"

    def test_searches_have_their_own_limit_and_no_headers(self, limited: Sandbox) -> None:
        client = HubSpot(limited)
        answers = [client.post(f"{CONTACTS}/search", {}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert "X-HubSpot-RateLimit-Max" not in answers[0].headers
        assert answers[-1].json()["policyName"] == "SECONDLY"


class TestAdvance:
    def test_changes_show_up_everywhere(self, writable: HubSpot) -> None:
        before = time.time_ns() // 1_000_000
        control = writable.sandbox.url + "/_sandbox/advance"
        counts = requests.post(control, json={"share": 0.2, "seed": 5}, timeout=10).json()
        changed = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(before)}
        body = {"filterGroups": [{"filters": [changed]}], "limit": 200}
        found = writable.post(f"{CONTACTS}/search", body).json()
        assert found["total"] == counts["contacts"] + counts["newcomers"]
        events = writable.get("/email/public/v1/events", startTimestamp=before, limit=1000).json()["events"]
        assert len(events) == counts["email_events"]
        contacts = list(writable.pages(CONTACTS, limit=100))
        newest = str(writable.sandbox.company.person(300).contact_ids[0])
        assert newest in {one["id"] for one in contacts}
        truth = requests.get(writable.sandbox.url + "/_sandbox/truth", timeout=10).text.splitlines()
        assert len(truth) == 300 + counts["newcomers"]
