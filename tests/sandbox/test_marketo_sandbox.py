"""The Marketo stand-in, over HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.marketo.instance import Marketo

SECRET = "sandbox-marketo-secret"
LEADS, LISTS, BULK = "/rest/v1/leads.json", "/rest/asset/v1/staticLists.json", "/bulk/v1/leads.json"
NEWSLETTER = 1001


class Client:
    """Speaks to the stand-in with a token of one service."""

    def __init__(self, sandbox: Sandbox, client_id: str = "sandbox-marketo") -> None:
        self.sandbox = sandbox
        self.url = sandbox.system_url("marketo")
        self.client_id = client_id
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.token()['access_token']}"

    def token(self) -> Any:
        params = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": SECRET}
        return requests.get(f"{self.url}/identity/oauth/token", params=params, timeout=30).json()

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=30, **more)

    def done(self, method: str, path: str, **more: Any) -> Any:
        answer = self.ask(method, path, **more)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["success"], body
        return body.get("result", [])

    def code(self, method: str, path: str, **more: Any) -> int:
        """The code of a refusal, which comes with status 200."""
        answer = self.ask(method, path, **more)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["success"] is False
        assert "result" not in body
        return int(body["errors"][0]["code"])

    def sync(self, *rows: dict[str, object], **more: object) -> Any:
        return self.done("POST", LEADS, json={"input": list(rows), **more})

    def find(self, field: str, *values: object, fields: str = "id,email") -> Any:
        params = {"filterType": field, "filterValues": ",".join(map(str, values)), "fields": fields}
        return self.done("GET", LEADS, params=params)

    def new_list(self, name: str = "VIP") -> int:
        form = {"folder": '{"id":13,"type":"Folder"}', "name": name}
        return int(self.done("POST", LISTS, data=form)[0]["id"])

    def import_file(self, text: str, **params: object) -> int:
        given = {"format": "csv", **params}
        files = {"file": ("leads.csv", text, "text/csv")}
        return int(self.done("POST", BULK, params=given, files=files)[0]["batchId"])

    def job(self, batch_id: int) -> Any:
        return self.done("GET", f"/bulk/v1/leads/batch/{batch_id}.json")[0]

    def table(self, batch_id: int, which: str) -> list[list[str]]:
        answer = self.ask("GET", f"/bulk/v1/leads/batch/{batch_id}/{which}.json")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/csv")
        return list(csv.reader(io.StringIO(answer.text)))

    def people(self) -> list[Any]:
        state: Any = requests.get(f"{self.sandbox.url}/_sandbox/state/marketo", timeout=30).json()
        return list(state["people"])

    def person(self, email: str) -> Any:
        found = [one for one in self.people() if one["match"]["email"] == email]
        assert len(found) == 1, found
        return found[0]

    def with_standing(self, standing: str) -> Any:
        """Somebody who was there from the start, with one lead only."""
        people = self.people()
        emails = [one["match"]["email"] for one in people]
        return next(one for one in people if one["standing"] == standing and emails.count(one["match"]["email"]) == 1)

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "marketo", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Client:
    requests.post(f"{running.url}/_sandbox/reset", timeout=10).raise_for_status()
    return Client(running)


@pytest.fixture
def system(running: Sandbox) -> Marketo:
    found = running.systems["marketo"]
    assert isinstance(found, Marketo)
    return found


def reasons(row: Any) -> int:
    assert row["status"] == "skipped"
    return int(row["reasons"][0]["code"])


# Who may


def test_a_service_gets_the_same_token_until_it_expires(client: Client) -> None:
    first, second = client.token(), client.token()
    assert first["access_token"] == second["access_token"]
    assert first["token_type"] == "bearer"
    assert 0 < second["expires_in"] <= 3600
    client.order("expire_token")
    assert client.token()["access_token"] != first["access_token"]


def test_wrong_credentials_are_refused_with_a_status_of_their_own(client: Client) -> None:
    url = f"{client.url}/identity/oauth/token"
    for wrong in ({"client_id": "nobody"}, {"client_secret": "wrong"}):
        form = {"grant_type": "client_credentials", "client_id": "sandbox-marketo", "client_secret": SECRET, **wrong}
        assert requests.post(url, data=form, timeout=10).status_code == 401


def test_token_errors_come_with_status_200(client: Client) -> None:
    for header, code in ((None, 600), ("Bearer nonsense", 601)):
        assert client.code("GET", LEADS, headers={"Authorization": header}) == code
    client.order("expire_token")
    assert [client.code("GET", LEADS) for _ in range(2)] == [602, 602]
    assert (
        requests.get(client.url + LEADS, params={"access_token": "x"}, timeout=10).json()["errors"][0]["code"] == "600"
    )


def test_permissions(client: Client) -> None:
    reader, leads_only = (Client(client.sandbox, f"sandbox-marketo-{role}") for role in ("read-only", "leads-only"))
    assert reader.code("POST", LEADS, json={"input": [{"email": "a@box.example"}]}) == 603
    assert reader.done("GET", "/rest/v1/leads/describe.json")
    assert leads_only.code("POST", LISTS, data={"name": "x"}) == 603
    assert leads_only.code("POST", "/rest/v1/leads/schema/fields.json", json={"input": []}) == 603
    assert leads_only.sync({"email": "a@box.example"})[0]["status"] == "created"


# Syncing leads


def test_results_stand_in_the_order_of_the_input(client: Client) -> None:
    known = client.with_standing("subscribed")
    result = client.sync(
        {"email": known["match"]["email"].upper(), "leadScore": 7},
        {"email": "new@box.example", "noSuchField": 1},
        {"email": "other@box.example"},
        {"firstName": "Nobody"},
    )
    assert [row["status"] for row in result] == ["updated", "skipped", "created", "skipped"]
    assert result[0]["id"] == known["id"]
    assert (reasons(result[1]), reasons(result[3])) == (1006, 1003)
    assert client.person(known["match"]["email"])["fields"]["leadScore"] == 7


def test_actions(client: Client) -> None:
    known = client.with_standing("subscribed")["match"]["email"]
    twin = next(one for one in client.people() if one["id"] >= 600_000_000)
    one_each = {
        ("createOnly", known): 1005,
        ("updateOnly", "nobody@box.example"): 1004,
        ("createOrUpdate", twin["match"]["email"]): 1007,
    }
    for (action, email), code in one_each.items():
        assert reasons(client.sync({"email": email}, action=action)[0]) == code
    assert client.sync({"email": known}, action="createDuplicate")[0]["status"] == "created"
    assert client.code("POST", LEADS, json={"action": "upsert", "input": [{"email": known}]}) == 1001


def test_the_id_goes_with_updates_only(client: Client) -> None:
    known = client.with_standing("subscribed")
    row = {"id": known["id"], "email": "moved@box.example"}
    assert reasons(client.sync(row)[0]) == 1003
    assert client.code("POST", LEADS, json={"lookupField": "id", "input": [row]}) == 1003
    changed = client.sync(row, action="updateOnly", lookupField="id")
    assert changed == [{"id": known["id"], "status": "updated"}]
    assert client.find("email", known["match"]["email"]) == []
    assert client.find("email", "moved@box.example")[0]["id"] == known["id"]


def test_leads_are_found_by_a_custom_field(client: Client) -> None:
    known = client.with_standing("subscribed")
    by_customer = {"customerId": known["match"]["external_id"], "city": "Oslo"}
    assert client.sync(by_customer, lookupField="customerId") == [{"id": known["id"], "status": "updated"}]
    new = client.sync({"customerId": "K-1"}, lookupField="customerId")[0]
    assert client.sync({"customerId": "k-1"}, lookupField="customerId") == [{"id": new["id"], "status": "updated"}]
    assert client.code("POST", LEADS, json={"lookupField": "firstName", "input": [{}]}) == 1011
    assert client.code("POST", LEADS, json={"lookupField": "nope", "input": [{}]}) == 1006


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("leadScore", "many", 1001),
        ("leadScore", 1.5, 1001),
        ("shopCustomer", "perhaps", 1001),
        ("lifetimeValue", "12,50", 1001),
        ("dateOfBirth", "01.02.1990", 1001),
        ("lastOrderAt", "2026-01-01T10:00:00", 1001),
        ("city", "x" * 256, 1003),
        ("city", ["Oslo"], 1001),
        ("email", "müller@box.example", 1003),
        ("email", " a@box.example", 1003),
        ("company", "Acme", 1021),
        ("createdAt", "2026-01-01T10:00:00Z", 1003),
    ],
)
def test_a_wrong_value_skips_its_row_alone(client: Client, field: str, value: object, code: int) -> None:
    wrong = {"email": "a@box.example", field: value}
    result = client.sync(wrong, {"email": "b@box.example"})
    assert reasons(result[0]) == code
    assert result[1]["status"] == "created"


def test_null_clears_and_what_is_not_named_stays(client: Client) -> None:
    client.sync(
        {"email": "a@box.example", "city": "Oslo", "lifetimeValue": "12.5", "lastOrderAt": "2026-01-01T10:00:00Z"}
    )
    client.sync({"email": "a@box.example", "city": None})
    fields = client.person("a@box.example")["fields"]
    assert "city" not in fields
    assert (fields["lifetimeValue"], fields["lastOrderAt"]) == (12.5, "2026-01-01T10:00:00Z")


def test_a_new_key_that_is_there_twice_becomes_two_leads(client: Client) -> None:
    result = client.sync({"email": "twice@box.example"}, {"email": "Twice@box.example"})
    assert [row["status"] for row in result] == ["created", "created"]
    assert reasons(client.sync({"email": "twice@box.example"})[0]) == 1007


def test_whole_requests_that_are_refused(client: Client) -> None:
    row = {"email": "a@box.example"}
    assert client.code("POST", LEADS, json={"input": [row] * 301}) == 1003
    assert client.code("POST", LEADS, json={"input": []}) == 1002
    assert client.code("POST", LEADS, json={}) == 1002
    assert client.code("POST", LEADS, json={"input": [row], "surprise": 1}) == 609
    assert client.code("POST", LEADS, json={"input": [row], "partitionName": "Secret"}) == 1008
    assert client.code("POST", LEADS, data="{", headers={"Content-Type": "application/json"}) == 609
    assert client.code("POST", LEADS, data="a=b", headers={"Content-Type": "text/plain"}) == 612
    assert client.code("DELETE", LEADS) == 605
    assert client.code("GET", "/rest/v1/people.json") == 610


def test_the_gateway_refuses_by_size(client: Client) -> None:
    assert client.ask("POST", LEADS, json={"input": [{"email": "x" * 1_100_000}]}).status_code == 413
    values = ",".join(f"person-{number:05d}@box.example" for number in range(300))
    params = {"filterType": "email", "filterValues": values}
    assert client.ask("GET", LEADS, params=params).status_code == 414
    found = client.ask("POST", f"{LEADS}?_method=GET", data=params).json()
    assert (found["success"], found["result"]) == (True, [])


# Standing


def test_all_standings_are_there_and_an_upsert_keeps_them(client: Client) -> None:
    for standing in ("subscribed", "unsubscribed", "bounced", "blacklisted", "suspended"):
        email = client.with_standing(standing)["match"]["email"]
        client.sync({"email": email, "firstName": "Ana"})
        assert client.person(email)["standing"] == standing


def test_writing_the_flag_unsubscribes_and_resubscribes(client: Client) -> None:
    email = client.with_standing("subscribed")["match"]["email"]
    client.sync({"email": email, "unsubscribed": True, "unsubscribedReason": "asked by phone"})
    assert client.person(email)["standing"] == "unsubscribed"
    client.sync({"email": email, "unsubscribed": None})
    assert client.find("email", email, fields="unsubscribed")[0]["unsubscribed"] is False
    assert (client.person(email)["standing"], client.person(email)["resubscribed"]) == ("subscribed", True)


def test_who_unsubscribed_stays_so_when_deleted_and_made_again(client: Client) -> None:
    person = client.with_standing("unsubscribed")
    email = person["match"]["email"]
    assert client.done("POST", "/rest/v1/leads/delete.json", json={"input": [{"id": person["id"]}]})
    assert client.sync({"email": email, "unsubscribed": False})[0]["status"] == "created"
    assert (client.person(email)["standing"], client.person(email)["resubscribed"]) == ("unsubscribed", False)


def test_the_flag_is_shared_by_all_leads_with_an_address(client: Client) -> None:
    email = client.with_standing("subscribed")["match"]["email"]
    client.sync({"email": email}, action="createDuplicate")
    twin = client.sync({"email": email}, action="createDuplicate")[0]["id"]
    client.sync({"id": twin, "unsubscribed": True}, action="updateOnly", lookupField="id")
    assert [one["standing"] for one in client.people() if one["match"]["email"] == email] == ["unsubscribed"] * 3


def test_a_new_address_brings_its_own_standing(client: Client) -> None:
    person, gone = client.with_standing("bounced"), client.with_standing("unsubscribed")
    client.sync({"id": person["id"], "email": "fresh@box.example"}, action="updateOnly", lookupField="id")
    assert client.person("fresh@box.example")["standing"] == "subscribed"
    client.sync({"id": person["id"], "email": gone["match"]["email"]}, action="updateOnly", lookupField="id")
    assert {one["standing"] for one in client.people() if one["id"] == person["id"]} == {"unsubscribed"}


# Reading


def test_leads_by_filter(client: Client) -> None:
    known = client.with_standing("subscribed")
    row = client.find("email", known["match"]["email"], "nobody@box.example", fields="email,city,title")
    assert row == [
        {"id": known["id"], "email": known["fields"]["email"], "city": known["fields"]["city"], "title": None}
    ]
    default = client.done("GET", LEADS, params={"filterType": "id", "filterValues": known["id"]})[0]
    assert set(default) == {"id", "firstName", "lastName", "email", "updatedAt", "createdAt"}
    assert client.done("GET", f"/rest/v1/lead/{known['id']}.json")[0] == default
    for params, code in (
        ({"filterType": "email"}, 1002),
        ({"filterType": "firstName", "filterValues": "Ana"}, 1011),
        ({"filterType": "email", "filterValues": "a@box.example", "fields": "nope"}, 1006),
        ({"filterType": "id", "filterValues": ",".join("1" * 301)}, 1003),
    ):
        assert client.code("GET", LEADS, params=params) == code


def test_a_list_is_read_page_by_page(client: Client) -> None:
    path = f"/rest/v1/lists/{NEWSLETTER}/leads.json"
    whole = [row["id"] for row in client.done("GET", path)]
    assert whole == sorted(whole)
    seen, token = [], None
    while True:
        answer = client.ask("GET", path, params={"batchSize": 5, "nextPageToken": token}).json()
        seen += [row["id"] for row in answer["result"]]
        token = answer.get("nextPageToken")
        if token is None:
            break
    assert seen == whole
    assert client.code("GET", path, params={"nextPageToken": "nonsense"}) == 1003
    assert client.code("GET", "/rest/v1/lists/99/leads.json") == 1013


# Fields


def test_describe_says_what_may_be_written_and_searched(client: Client) -> None:
    described = {row["rest"]["name"]: row for row in client.done("GET", "/rest/v1/leads/describe.json")}
    assert described["id"]["rest"]["readOnly"]
    assert described["unsubscribed"]["dataType"] == "boolean"
    second = client.done("GET", "/rest/v1/leads/describe2.json")[0]
    assert (second["name"], second["searchableFields"][:2]) == ("API Lead", [["id"], ["email"]])


def test_fields_are_created_before_they_can_be_written(client: Client) -> None:
    path = "/rest/v1/leads/schema/fields.json"
    field = {"displayName": "Churn Risk", "name": "churnRisk", "dataType": "percent"}
    assert reasons(client.sync({"email": "a@box.example", "churnRisk": 3})[0]) == 1006
    assert client.done("POST", path, json={"input": [field]}) == [{"name": "churnRisk", "status": "created"}]
    assert client.sync({"email": "a@box.example", "churnRisk": 3})[0]["status"] == "created"
    assert client.done("GET", "/rest/v1/leads/schema/fields/churnRisk.json")[0]["isApiCreated"]
    for change, code in (
        ({}, 1017),
        ({"name": "other"}, 1017),
        ({"name": "1st", "displayName": "First"}, 1003),
        ({"name": "x", "displayName": "X", "dataType": "text"}, 1001),
        ({"name": None}, 1002),
    ):
        assert client.code("POST", path, json={"input": [{**field, **change}]}) == code
    many = [{"displayName": f"F {number}", "name": f"f{number}", "dataType": "string"} for number in range(100)]
    assert client.code("POST", path, json={"input": many}) == 1028


def test_all_fields_are_listed_page_by_page(client: Client) -> None:
    path, names, token = "/rest/v1/leads/schema/fields.json", [], "0"
    while True:
        answer = client.ask("GET", path, params={"batchSize": 10, "nextPageToken": token}).json()
        names += [row["name"] for row in answer["result"]]
        if not answer["moreResult"]:
            break
        token = answer["nextPageToken"]
    assert len(names) == len(set(names)) > 30


# Lists


def test_a_list_is_made_by_a_form_and_found_by_name(client: Client) -> None:
    nothing = client.ask("GET", "/rest/asset/v1/staticList/byName.json", params={"name": "VIP"}).json()
    assert nothing["success"]
    assert "result" not in nothing
    assert nothing["warnings"]
    made = client.new_list()
    assert client.done("GET", "/rest/asset/v1/staticList/byName.json", params={"name": "VIP"})[0]["id"] == made
    assert client.done("GET", f"/rest/v1/lists/{made}.json")[0]["name"] == "VIP"
    assert [row["name"] for row in client.done("GET", LISTS, params={"offset": 2})] == ["VIP"]
    client.done("POST", f"/rest/asset/v1/staticList/{made}.json", data={"name": "Very important"})
    assert client.done("GET", "/rest/v1/lists.json", params={"name": "Very important"})[0]["id"] == made
    client.done("POST", f"/rest/asset/v1/staticList/{made}/delete.json")
    assert client.code("GET", f"/rest/v1/lists/{made}/leads.json") == 1013


def test_lists_that_cannot_be_made(client: Client) -> None:
    folder = '{"id":13,"type":"Folder"}'
    for form, code in (
        ({"folder": folder, "name": "newsletter"}, 709),
        ({"folder": folder}, 701),
        ({"name": "VIP"}, 701),
        ({"folder": '{"id":99,"type":"Folder"}', "name": "VIP"}, 710),
        ({"folder": '{"id":341,"type":"Folder"}', "name": "VIP"}, 711),
        ({"folder": "Lists", "name": "VIP"}, 701),
    ):
        assert client.code("POST", LISTS, data=form) == code
    assert client.code("POST", LISTS, json={"folder": folder, "name": "VIP"}) == 612


def test_folders_are_found_by_name(client: Client) -> None:
    row = client.done("GET", "/rest/asset/v1/folder/byName.json", params={"name": "Lists", "type": "Folder"})[0]
    assert row["folderId"] == {"id": 13, "type": "Folder"}
    assert client.done("GET", "/rest/asset/v1/folder/13.json", params={"type": "Folder"})[0]["name"] == "Lists"


def test_membership(client: Client) -> None:
    path = f"/rest/v1/lists/{client.new_list()}/leads"
    a, b = (row["id"] for row in client.sync({"email": "a@box.example"}, {"email": "b@box.example"}))
    added = client.done("POST", f"{path}.json", params={"id": [a, 5, b]})
    assert [row["status"] for row in added] == ["added", "skipped", "added"]
    assert reasons(added[1]) == 1004
    assert client.done("POST", f"{path}.json", json={"input": [{"id": a}]})[0]["status"] == "memberof"
    assert client.person("a@box.example")["audiences"] == ["VIP"]
    removed = client.done("DELETE", f"{path}.json", params={"id": f"{a},{NEWSLETTER}"})
    assert [row["status"] for row in removed] == ["removed", "skipped"]
    assert reasons(client.done("DELETE", f"{path}.json", params={"id": a})[0]) == 1015
    checked = client.done("GET", f"{path}/ismember.json", params={"id": [a, b, 5]})
    assert [row["status"] for row in checked] == ["notmemberof", "memberof", "skipped"]
    assert client.code("POST", f"{path}.json", params={"id": ",".join("1" * 301)}) == 1003
    assert client.code("POST", f"{path}.json") == 1002
    assert client.code("POST", f"{path}.json", params={"id": "x"}) == 1001
    assert client.code("POST", "/rest/v1/lists/99/leads.json", params={"id": a}) == 1013


def test_deleting_a_lead_takes_it_everywhere_off(client: Client) -> None:
    person = next(one for one in client.people() if "Newsletter" in one["audiences"])
    path = "/rest/v1/leads/delete.json"
    assert client.done("GET", f"/rest/v1/lists/{NEWSLETTER}/leads.json")[0]["id"] == person["id"]
    result = client.done("POST", path, json={"input": [{"id": person["id"]}, {"id": 5}]})
    assert result[0] == {"id": person["id"], "status": "deleted"}
    assert reasons(result[1]) == 1004
    assert client.find("id", person["id"]) == []
    first = client.done("GET", f"/rest/v1/lists/{NEWSLETTER}/leads.json", params={"batchSize": 1})
    assert first[0]["id"] > person["id"]
    assert reasons(client.done("POST", path, params={"id": person["id"]})[0]) == 1004


# Bulk import


def test_an_import_is_queued_runs_and_names_its_failures(client: Client, system: Marketo) -> None:
    system.imports.seconds = 60
    known, target = client.with_standing("subscribed")["match"]["email"], client.new_list()
    text = f"email,leadScore,city\n{known},7,\nnew@box.example,8,Oslo\nbad@box.example,many,Rome\nodd,1,Rome\n,2,Bonn\n"
    batch = client.import_file(text, lookupField="email", listId=target)
    assert client.job(batch)["status"] == "Importing"
    assert client.ask("GET", f"/bulk/v1/leads/batch/{batch}/failures.json").status_code == 404
    system.imports.seconds = 0
    job = client.job(batch)
    assert (job["status"], job["importId"]) == ("Complete", str(batch))
    assert (job["numOfLeadsProcessed"], job["numOfRowsFailed"], job["numOfRowsWithWarning"]) == (3, 2, 1)
    failures = client.table(batch, "failures")
    assert failures[0] == ["email", "leadScore", "city", "Import Failure Reason"]
    assert [row[-1] for row in failures[1:]] == [
        "Invalid data type in field Lead Score",
        "Value for lookup field 'email' not found",
    ]
    assert client.table(batch, "warnings")[1] == ["odd", "1", "Rome", "Invalid email address"]
    assert client.person("new@box.example")["audiences"] == ["VIP"]
    assert client.person(known)["fields"]["city"]


def test_an_import_empties_by_the_word_null_and_never_overwrites_the_flag(client: Client, system: Marketo) -> None:
    system.imports.seconds = 0
    person = client.with_standing("unsubscribed")
    email = person["match"]["email"]
    client.job(client.import_file(f"email,city,unsubscribed\n{email},null,false\n"))
    after = client.person(email)
    assert "city" not in after["fields"]
    assert after["standing"] == "unsubscribed"


def test_an_unknown_column_fails_the_import(client: Client, system: Marketo) -> None:
    system.imports.seconds = 0
    job = client.job(client.import_file("email,nope\na@box.example,1\n"))
    assert (job["status"], job["message"]) == ("Failed", "Field 'nope' not found")
    assert client.find("email", "a@box.example") == []


def test_an_import_by_id_only_updates(client: Client, system: Marketo) -> None:
    system.imports.seconds = 0
    known = client.with_standing("subscribed")
    batch = client.import_file(f"id;city\n{known['id']};Oslo\n5;Rome\n", format="ssv", lookupField="id")
    assert (client.job(batch)["numOfLeadsProcessed"], client.job(batch)["numOfRowsFailed"]) == (1, 1)
    assert (
        client.ask("GET", f"/bulk/v1/leads/batch/{batch}/failures.json").text.splitlines()[1] == "5;Rome;Lead not found"
    )


def test_the_queue(client: Client, system: Marketo) -> None:
    system.imports.seconds = 60
    target = client.new_list()
    batches = [client.import_file("email\na@box.example\n", listId=target)]
    files = {"file": ("leads.csv", "email\nb@box.example\n")}
    assert client.code("POST", BULK, params={"format": "csv", "listId": target}, files=files) == 1019
    batches += [client.import_file("email\nb@box.example\n") for _ in range(9)]
    assert [client.job(batch)["status"] for batch in batches] == ["Importing"] * 2 + ["Queued"] * 8
    assert client.code("POST", BULK, params={"format": "csv"}, files=files) == 1016
    system.imports.seconds = 0
    assert {client.job(batch)["status"] for batch in batches} == {"Complete"}


def test_files_that_are_refused(client: Client, system: Marketo) -> None:
    files = {"file": ("leads.csv", "email\na@box.example\n")}
    assert client.code("POST", BULK, params={"format": "xls"}, files=files) == 1001
    assert client.code("POST", BULK, params={"lookupField": "city"}, files=files) == 1011
    assert client.code("POST", BULK, params={"listId": "99"}, files=files) == 1013
    assert client.code("POST", BULK, json={"input": []}) == 612
    assert client.code("POST", BULK, files={"other": ("x.csv", "email\n")}) == 613
    assert client.code("POST", BULK, files={"file": ("x.csv", " ")}) == 1003
    large = {"file": ("leads.csv", "x" * 10_500_000)}
    assert client.ask("POST", BULK, files=large).status_code == 413
    batch = client.import_file("email\na@box.example\n")
    system.imports.seconds_kept = 0
    assert client.code("GET", f"/bulk/v1/leads/batch/{batch}.json") == 1003


# Faults and limits


def test_refused_rows_are_always_the_same(client: Client, system: Marketo) -> None:
    system.imports.seconds = 0
    rows: list[dict[str, object]] = [{"email": f"p{number}@box.example"} for number in range(60)]
    client.order("refuse_rows", share=0.3)
    first, second = client.sync(*rows), client.sync(*rows)
    skipped = [row["email"] for row, answer in zip(rows, first, strict=True) if answer["status"] == "skipped"]
    assert 5 < len(skipped) < 35
    assert [answer["status"] == "skipped" for answer in first] == [answer["status"] == "skipped" for answer in second]
    batch = client.import_file("email\n" + "\n".join(str(row["email"]) for row in rows))
    client.job(batch)
    assert [row[0] for row in client.table(batch, "failures")[1:]] == skipped


def test_a_write_counts_even_if_its_answer_is_lost(client: Client) -> None:
    client.order("reset", when="after", method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        client.sync({"email": "lost@box.example"})
    assert client.sync({"email": "lost@box.example"})[0]["status"] == "updated"


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"kind": "rate_limited"}, 200, 606),
        ({"kind": "rate_limited", "policy": "day"}, 200, 607),
        ({"kind": "rate_limited", "policy": "concurrency"}, 200, 615),
        ({"kind": "server_error"}, 200, 608),
        ({"kind": "server_error", "status": 500}, 200, 611),
        ({"kind": "server_error", "status": 502}, 502, None),
    ],
)
def test_the_vendors_failures(client: Client, order: dict[str, Any], status: int, code: int | None) -> None:
    client.order(**order, times=1)
    answer = client.ask("GET", "/rest/v1/leads/describe.json")
    assert answer.status_code == status
    assert "retry-after" not in answer.headers
    if code is not None:
        assert json.loads(answer.content)["errors"][0]["code"] == str(code)


def test_usage_is_told(client: Client) -> None:
    assert client.done("GET", "/rest/v1/stats/usage.json")[0]["total"] == 0


def test_the_empty_fault_leaves_no_token(client: Client) -> None:
    client.order("empty", path="lists")
    body = client.ask("GET", f"/rest/v1/lists/{NEWSLETTER}/leads.json", params={"batchSize": 1}).json()
    assert (body["result"], "nextPageToken" in body) == ([], False)


def test_limits_of_the_instance() -> None:
    with Sandbox(people=20) as sandbox:
        client = Client(sandbox)
        system = sandbox.systems["marketo"]
        assert isinstance(system, Marketo)

        def ask(_: int) -> Any:
            return client.ask("GET", "/rest/v1/leads/describe2.json").json()

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, range(102)))
        codes = [answer["errors"][0]["code"] for answer in answers if not answer["success"]]
        assert codes == ["606", "606"]
        assert client.token()["access_token"]
        assert 50_000 - system.quota.remaining == 100
        system.quota.allowed = 0
        assert client.code("GET", "/rest/v1/leads/describe2.json") == 607


def test_more_than_ten_at_once_are_refused() -> None:
    with Sandbox(people=20) as sandbox:
        client = Client(sandbox)
        client.order("slow", seconds=0.3, path="describe2")

        def ask(_: int) -> Any:
            return requests.get(
                f"{client.url}/rest/v1/leads/describe2.json", headers=dict(client.session.headers), timeout=30
            ).json()

        with ThreadPoolExecutor(14) as pool:
            answers = list(pool.map(ask, range(14)))
        codes = {answer["errors"][0]["code"] for answer in answers if not answer["success"]}
        assert codes == {"615"}
