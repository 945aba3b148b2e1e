"""The ActiveCampaign stand-in, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.activecampaign import ActiveCampaign

KEY, LIMITED_KEY = "sandbox-activecampaign", "sandbox-activecampaign-limited"


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, key: str = KEY) -> None:
        self.sandbox = sandbox
        self.key = key
        self.system = cast("ActiveCampaign", sandbox.systems["activecampaign"])

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        url = f"{self.sandbox.system_url('activecampaign')}/api/3{path}"
        headers = {"Api-Token": self.key}
        return requests.request(method, url, headers=headers, json=body, params=cast("Any", params), timeout=10)

    def get(self, path: str, **params: object) -> Any:
        answer = self.ask("GET", path, **params)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, body: object) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.ok, answer.text
        return answer.json()

    def bulk(self, *contacts: dict[str, object], **beside: object) -> Any:
        """Import contacts and wait for the end: the status."""
        queued = self.post("/import/bulk_import", {"contacts": list(contacts), **beside})
        assert queued["Success"] == 1
        assert queued["queued_contacts"] == len(contacts)
        time.sleep(self.system.imports.seconds)
        return self.get("/import/info", batchId=queued["batchId"])

    def state(self) -> Any:
        return requests.get(f"{self.sandbox.url}/_sandbox/state/activecampaign", timeout=10).json()

    def person(self, email: str) -> Any:
        return next(one for one in self.state()["people"] if one["match"]["email"] == email)

    def somebody(self, status: str, on: str = "Newsletter") -> Any:
        """Somebody who was there before, with this status on a list."""
        return next(one for one in self.state()["people"] if not one["written"] and one["lists"].get(on) == status)

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "activecampaign", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Iterator[Client]:
    client = Client(running)
    client.system.imports.seconds = 0.02
    yield client
    running.environment.faults.clear()
    client.system.restart()


# Who is there


def test_contacts_are_there_in_every_standing(client: Client) -> None:
    people = client.state()["people"]
    assert {one["standing"] for one in people} == {"subscribed", "unsubscribed", "bounced", "unconfirmed", "none"}
    assert 60 <= len(people) <= 100
    told = [client.sandbox.truth(index)["activecampaign"] for index in range(200)]
    known = {one["id"]: one["standing"] for one in people}
    assert [one for one in told if one] == [{"id": key, "standing": known[key]} for key in sorted(known, key=int)]


def test_lists_by_status_agree_with_single_contacts(client: Client) -> None:
    for status, word in ((0, "unconfirmed"), (1, "subscribed"), (2, "unsubscribed"), (3, "bounced")):
        found = client.get("/contacts", listid=1, status=status, limit=100)["contacts"]
        shown = [one["id"] for one in client.state()["people"] if one["lists"].get("Newsletter") == word]
        assert [one["id"] for one in found] == sorted(shown, key=int)
    assert client.get("/contacts", tagid=1)["meta"]["total"] == str(
        sum("vip" in one["audiences"] for one in client.state()["people"])
    )


# Bulk import


def test_an_import_writes_creates_and_tags(client: Client) -> None:
    known = client.somebody("subscribed")
    status = client.bulk(
        {"email": known["match"]["email"].upper(), "first_name": "Ana", "tags": ["gold", "vip"]},
        {"email": "new@shop.web.example", "fields": [{"id": 1, "value": "Porto"}], "subscribe": [{"listid": "2"}]},
    )
    made = client.person("new@shop.web.example")
    assert status == {"status": "completed", "success": [known["id"], made["id"]], "failure": []}
    assert made["fields"] == {"CITY": "Porto"}
    assert made["audiences"] == ["Customers"]
    changed = client.person(known["match"]["email"])
    assert changed["fields"]["first_name"] == "Ana"
    assert {"gold", "vip"} <= set(changed["audiences"])
    assert client.get("/tags", search="gol")["tags"][0]["tag"] == "gold"


def test_an_import_goes_through_stages(client: Client) -> None:
    client.system.imports.seconds = 0.4
    queued = client.post("/import/bulk_import", {"contacts": [{"email": "a@shop.web.example"}]})
    assert client.get("/import/info", batchId=queued["batchId"])["status"] == "waiting"
    assert client.get("/import/bulk_import")["outstanding"][0]["contacts"] == "1"
    assert client.get("/contacts", email="a@shop.web.example")["contacts"] == []
    client.system.imports.seconds = 0
    assert client.get("/import/info", batchId=queued["batchId"])["status"] == "completed"
    assert client.get("/import/bulk_import")["recentlyCompleted"][0]["batches"] == "1"
    client.system.imports.keeps = 0
    assert client.ask("GET", "/import/info", batchId=queued["batchId"]).status_code == 404
    assert client.ask("GET", "/import/info").json() == {"success": 0, "message": "'batchId' is a required field."}


def test_an_import_is_refused_whole_with_the_places_of_bad_contacts(client: Client) -> None:
    rows = [
        {"email": "good@shop.web.example"},
        {"email": "bad@@x"},
        {"first_name": "Ana"},
        {"email": "b@x.org", "tags": "t"},
    ]
    refused = client.ask("POST", "/import/bulk_import", {"contacts": rows})
    assert refused.status_code == 400
    assert refused.json()["success"] == 0
    assert refused.json()["failureReasons"] == [
        {"contact": 1, "failureReason": "Field 'email' incorrect format"},
        {"contact": 2, "failureReason": "Field 'email' is required"},
        {"contact": 3, "failureReason": "Field 'tags' must be an array of strings"},
    ]
    assert client.get("/contacts", email="good@shop.web.example")["contacts"] == []


@pytest.mark.parametrize(
    "contacts",
    [
        [],
        [{"email": f"{number}@shop.web.example"} for number in range(251)],
        [{"email": f"{number}@shop.web.example", "first_name": "x" * 2000} for number in range(200)],
    ],
)
def test_an_import_has_a_size(client: Client, contacts: list[dict[str, str]]) -> None:
    refused = client.ask("POST", "/import/bulk_import", {"contacts": contacts})
    assert refused.status_code == 400
    assert isinstance(refused.json()["failureReasons"][0], str)


def test_what_only_the_account_can_tell_fails_later_and_without_a_reason(client: Client) -> None:
    callback = {"url": "https://shop.example.com/told", "requestType": "POST", "detailed_results": "true"}
    status = client.bulk(
        {"email": "one@shop.web.example", "fields": [{"id": 99, "value": "x"}]},
        {"email": "two@shop.web.example", "subscribe": [{"listid": 99}]},
        {"email": "three@excluded.box.example"},
        {"email": "four@shop.web.example"},
        callback=callback,
    )
    assert status["failure"] == ["one@shop.web.example", "two@shop.web.example", "three@excluded.box.example"]
    assert len(status["success"]) == 1
    (told,) = client.state()["callbacks"]
    assert told["body"]["failures"] == 3
    assert told["body"]["errors"][0] == "No Result found for Field with id 99"


def test_an_import_does_not_bring_back_who_left_or_bounced(client: Client) -> None:
    left, bounced, waiting = (client.somebody(word) for word in ("unsubscribed", "bounced", "unconfirmed"))
    rows = [{"email": one["match"]["email"], "subscribe": [{"listid": 1}]} for one in (left, bounced, waiting)]
    assert len(client.bulk(*rows)["success"]) == 3
    standings = [client.person(str(row["email"]))["lists"]["Newsletter"] for row in rows]
    assert standings == ["unsubscribed", "bounced", "subscribed"]


def test_an_import_unsubscribes_even_who_was_never_on_the_list(client: Client) -> None:
    client.bulk({"email": "new@shop.web.example", "unsubscribe": [{"listid": 1}]})
    assert client.person("new@shop.web.example")["standing"] == "unsubscribed"
    client.bulk({"email": "new@shop.web.example", "subscribe": [{"listid": 1}]})
    assert client.person("new@shop.web.example")["standing"] == "unsubscribed"


def test_automations_run_unless_they_are_excluded(client: Client) -> None:
    client.bulk({"email": "a@shop.web.example", "tags": ["gold"]}, exclude_automations=True)
    client.bulk({"email": "b@shop.web.example", "tags": ["gold"], "exclude_automations": True})
    assert client.state()["automations"] == {}
    client.bulk({"email": "c@shop.web.example", "tags": ["gold"], "subscribe": [{"listid": 1}]})
    assert client.state()["automations"] == {"tag added": 1, "subscribed": 1}


def test_an_import_can_be_interrupted(client: Client) -> None:
    client.system.imports.interrupts = 1
    rows: list[dict[str, object]] = [{"email": f"{number}@shop.web.example"} for number in range(4)]
    status = client.bulk(*rows)
    assert (status["status"], len(status["success"]), status["failure"]) == ("interrupted", 2, [])
    assert client.bulk(*rows)["success"][:2] == status["success"]


# One by one


def test_sync_creates_then_updates_and_clears(client: Client) -> None:
    contact = {"email": "new@shop.web.example", "firstName": "Ana", "fieldValues": [{"field": "1", "value": "Porto"}]}
    made = client.ask("POST", "/contact/sync", {"contact": contact})
    assert made.status_code == 201
    assert made.json()["fieldValues"][0]["value"] == "Porto"
    number = made.json()["contact"]["id"]
    again = {"email": "NEW@shop.web.example", "fieldValues": [{"field": 1, "value": ""}]}
    answer = client.ask("POST", "/contact/sync", {"contact": again})
    assert (answer.status_code, answer.json()["contact"]["id"]) == (200, number)
    assert answer.json()["contact"]["firstName"] == "Ana"
    assert client.get(f"/contacts/{number}/fieldValues") == {"fieldValues": []}
    duplicate = client.ask("POST", "/contacts", {"contact": contact})
    assert (duplicate.status_code, duplicate.json()["errors"][0]["code"]) == (422, "duplicate")


@pytest.mark.parametrize(
    ("contact", "status", "told"),
    [
        ({"email": "nobody"}, 422, "email_invalid"),
        ({"firstName": "Ana"}, 422, "email_required"),
        ({"email": "a@excluded.box.example"}, 422, "email_excluded"),
        ({"email": "a@b.org", "fieldValues": [{"field": "99", "value": "x"}]}, 404, "Field with id 99"),
        ({"email": "a@b.org", "fieldValues": [{"field": "1", "value": ["x"]}]}, 422, "field_invalid"),
    ],
)
def test_sync_refuses(client: Client, contact: dict[str, object], status: int, told: str) -> None:
    refused = client.ask("POST", "/contact/sync", {"contact": contact})
    assert refused.status_code == status
    assert told in refused.text


def test_what_is_no_date_is_kept_as_none_and_choices_are_wrapped(client: Client) -> None:
    values = [{"field": 2, "value": "tomorrow"}, {"field": 3, "value": "Tea||Kettles"}, {"field": 5, "value": "never"}]
    client.post("/contact/sync", {"contact": {"email": "a@shop.web.example", "fieldValues": values}})
    kept = client.person("a@shop.web.example")["fields"]
    assert kept == {"BIRTHDAY": "0000-00-00", "INTERESTS": "||Tea||Kettles||", "LAST_VISIT": "0000-00-00 00:00:00"}


def test_a_contact_is_read_searched_renamed_and_deleted(client: Client) -> None:
    known = client.somebody("subscribed")
    email, number = known["match"]["email"], known["id"]
    assert client.get("/contacts", email=email)["contacts"][0]["id"] == number
    assert number in {one["id"] for one in client.get("/contacts", search=email[:8])["contacts"]}
    renamed = client.ask("PUT", f"/contacts/{number}", {"contact": {"email": "other@shop.web.example"}})
    assert renamed.json()["contact"]["email"] == "other@shop.web.example"
    assert client.get("/contacts", email=email)["contacts"] == []
    assert client.ask("DELETE", f"/contacts/{number}").json() == {}
    gone = client.ask("GET", f"/contacts/{number}")
    assert (gone.status_code, gone.json()) == (404, {"message": f"No Result found for Subscriber with id {number}"})
    assert client.ask("DELETE", f"/contacts/{number}").status_code == 404
    assert client.bulk({"email": email})["success"] != [number]


def test_contacts_are_paged_by_id_and_by_offset(client: Client) -> None:
    everybody = client.state()["people"]
    found: list[str] = []
    while True:
        page = client.get("/contacts", **{"limit": 30, "id_greater": found[-1] if found else 0, "orders[id]": "ASC"})
        found += [one["id"] for one in page["contacts"]]
        if len(page["contacts"]) < 30:
            break
    assert found == sorted((one["id"] for one in everybody), key=int)
    page = client.get("/contacts", limit=500, offset=10)
    assert page["meta"]["total"] == str(len(everybody))
    assert [one["id"] for one in page["contacts"]] == found[10:110]
    assert len(client.get("/contacts")["contacts"]) == 20
    chosen = client.get("/contacts", **{"ids[]": found[3:5], "include": "contactLists,contactTags,fieldValues"})
    assert [one["id"] for one in chosen["contacts"]] == found[3:5]
    assert {row["contact"] for row in chosen["fieldValues"]} == set(found[3:5])


# Lists and tags of a contact


def test_a_contact_list_does_what_it_is_told(client: Client) -> None:
    left = client.somebody("unsubscribed")
    body = {"contactList": {"list": 1, "contact": left["id"], "status": 1}}
    answer = client.ask("POST", "/contactLists", body)
    assert (answer.status_code, answer.json()["contactList"]["status"]) == (200, 1)
    back = client.person(left["match"]["email"])
    assert (back["lists"]["Newsletter"], back["resubscribed"]) == ("subscribed", ["Newsletter"])
    client.post("/contactLists", {"contactList": {"list": "1", "contact": left["id"], "status": "2"}})
    assert client.get(f"/contacts/{left['id']}/contactLists")["contactLists"][0]["status"] == "2"


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"list": 99}, 404), ({"contact": 99_999}, 404), ({"status": 3}, 422), ({"list": None}, 422)],
)
def test_a_contact_list_is_refused(client: Client, changes: dict[str, object], status: int) -> None:
    row = {"list": 1, "contact": client.somebody("subscribed")["id"], "status": 2, **changes}
    assert client.ask("POST", "/contactLists", {"contactList": row}).status_code == status


def test_a_tag_is_put_on_and_taken_off_by_the_id_of_the_contacts_tag(client: Client) -> None:
    number = client.somebody("subscribed")["id"]
    tag = client.post("/tags", {"tag": {"tag": "gold", "tagType": "contact", "description": ""}})["tag"]["id"]
    body = {"contactTag": {"contact": number, "tag": tag}}
    first = client.ask("POST", "/contactTags", body)
    assert first.status_code == 201
    assert client.post("/contactTags", body)["contactTag"]["id"] == first.json()["contactTag"]["id"]
    own = {row["tag"]: row["id"] for row in client.get(f"/contacts/{number}/contactTags")["contactTags"]}
    assert client.ask("DELETE", f"/contactTags/{own[tag]}").json() == {}
    assert client.ask("DELETE", f"/contactTags/{own[tag]}").status_code == 404
    assert client.get("/contacts", tagid=tag)["contacts"] == []
    assert client.ask("POST", "/contactTags", {"contactTag": {"contact": 99_999, "tag": tag}}).status_code == 404
    assert client.ask("POST", "/contactTags", {"contactTag": {"tag": tag}}).status_code == 422


def test_a_tag_from_the_start_can_be_taken_off(client: Client) -> None:
    tagged = client.get("/contacts", tagid=1, include="contactTags", limit=1)
    own = next(row["id"] for row in tagged["contactTags"] if row["tag"] == "1")
    assert client.ask("DELETE", f"/contactTags/{own}").ok
    assert tagged["contacts"][0]["id"] not in {one["id"] for one in client.get("/contacts", tagid=1)["contacts"]}


# Definitions


def test_a_list_is_not_seen_before_it_is_shared(client: Client) -> None:
    needs = {"sender_url": "https://shop.example.com", "sender_reminder": "You bought here."}
    made = client.post("/lists", {"list": {"name": "Gold", "stringid": "gold", **needs}})["list"]
    assert client.get("/lists", **{"filters[name]": "Gold"})["lists"] == []
    group = client.get("/groups")["groups"][0]["id"]
    assert client.ask("POST", "/listGroups", {"listGroup": {"listid": made["id"], "groupid": group}}).status_code == 201
    assert client.get("/lists", **{"filters[name][eq]": "gold"})["lists"][0]["id"] == made["id"]
    assert client.ask("POST", "/lists", {"list": {"name": "Gold", "stringid": "gold"}}).status_code == 422


def test_a_field_is_made_shown_and_found(client: Client) -> None:
    body = {"field": {"title": "Lifetime value", "type": "text", "visible": 1}}
    made = client.ask("POST", "/fields", body)
    field = made.json()["field"]
    assert (made.status_code, field["perstag"], field["relations"]) == (201, "LIFETIME_VALUE", [])
    assert client.ask("POST", "/fieldRels", {"fieldRel": {"field": field["id"], "relid": 0}}).status_code == 201
    found = client.get("/fields", **{"filters[perstag]": "LIFETIME_VALUE"})
    assert (found["fields"][0]["id"], found["fieldRels"][0]["relid"]) == (field["id"], "0")
    again = client.ask("POST", "/fields", body)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "duplicate")
    assert client.ask("POST", "/fields", {"field": {"title": "Sum", "type": "number"}}).status_code == 422
    options = {"fieldOptions": [{"field": field["id"], "value": "X"}]}
    assert client.ask("POST", "/fieldOption/bulk", options).json()["fieldOptions"][0]["label"] == "X"
    assert client.ask("POST", "/fieldOption/bulk", {}).status_code == 422


def test_one_tag_by_a_name(client: Client) -> None:
    again = client.ask("POST", "/tags", {"tag": {"tag": "VIP", "tagType": "contact"}})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "duplicate")
    assert client.ask("POST", "/tags", {"tag": {"tag": "x", "tagType": "list"}}).status_code == 422


# Keys, limits, faults


def test_keys_are_checked_and_users_have_rights(client: Client, running: Sandbox) -> None:
    assert client.get("/users/me")["user"]["id"] == "1"
    assert Client(running, "wrong").ask("GET", "/users/me").status_code == 403
    limited = Client(running, LIMITED_KEY)
    assert limited.ask("POST", "/contact/sync", {"contact": {"email": "a@shop.web.example"}}).ok
    refused = limited.ask("POST", "/lists", {"list": {}})
    assert refused.json()["errors"][0]["detail"] == "You do not have permission to create lists."
    assert client.ask("GET", "/nothing").status_code == 404


def test_rows_are_refused_in_each_way(client: Client) -> None:
    rows: list[dict[str, object]] = [{"email": f"{number}@shop.web.example"} for number in range(20)]
    client.order("refuse_rows", share=0.3)
    failed = client.bulk(*rows)["failure"]
    assert 0 < len(failed) < 20
    assert client.ask("POST", "/contact/sync", {"contact": {"email": failed[0]}}).status_code == 422
    requests.delete(f"{client.sandbox.url}/_sandbox/faults", timeout=10)
    client.order("refuse_rows", share=0.3, whole_batch=True)
    refused = client.ask("POST", "/import/bulk_import", {"contacts": rows})
    assert [rows[one["contact"]]["email"] for one in refused.json()["failureReasons"]] == failed


def test_an_import_is_remembered_when_the_answer_is_lost(client: Client) -> None:
    client.order("reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.ask("POST", "/import/bulk_import", {"contacts": [{"email": "a@shop.web.example"}]})
    time.sleep(client.system.imports.seconds)
    assert client.person("a@shop.web.example")["written"]


def test_the_account_takes_five_requests_a_second() -> None:
    with Sandbox(people=5) as sandbox:
        client = Client(sandbox)
        answers = [client.ask("GET", "/users/me") for _ in range(6)]
        assert [one.status_code for one in answers] == [200] * 5 + [429]
        assert answers[0].headers["RateLimit-Remaining"] == "4"
        assert answers[5].headers["Retry-After"] == "1"
        client.system.restart()
        client.system.imports._single.allowed = 0
        refused = client.ask("POST", "/import/bulk_import", {"contacts": [{"email": "a@shop.web.example"}]})
        assert (refused.status_code, refused.json()["message"]) == (400, "Rate limit exceeded.")
        assert isinstance(refused.json()["failureReasons"][0], str)
