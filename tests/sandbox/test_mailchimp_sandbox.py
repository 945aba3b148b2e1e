"""The Mailchimp stand-in, over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

KEY = "sandbox-mailchimp-us1"
LIST = "/lists/a1b2c3d4e5"


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, key: str = KEY) -> None:
        self.sandbox = sandbox
        self._auth = ("anystring", key)

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        url = f"{self.sandbox.system_url('mailchimp')}/3.0{path}"
        return requests.request(method, url, auth=self._auth, json=body, params=params, timeout=30)

    def get(self, path: str, **params: object) -> Any:
        answer = self.ask("GET", path, **params)
        assert answer.ok, answer.text
        return answer.json()

    def batch(self, *rows: dict[str, object], update_existing: bool = True, **params: object) -> Any:
        body = {"members": list(rows), "update_existing": update_existing}
        answer = self.ask("POST", LIST, body, **params)
        assert answer.ok, answer.text
        return answer.json()

    def status(self, email: str) -> str:
        return str(self.get(f"{LIST}/members/{md5(email)}")["status"])

    def state(self) -> Any:
        return requests.get(f"{self.sandbox.url}/_sandbox/state/mailchimp", timeout=30).json()

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "mailchimp", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture
def client(fresh_sandbox: Sandbox) -> Client:
    return Client(fresh_sandbox)


@pytest.fixture
def reader(sandbox: Sandbox) -> Client:
    return Client(sandbox)


def md5(email: str) -> str:
    return hashlib.md5(email.lower().encode()).hexdigest()


def member_with(client: Client, status: str, *, in_compliance_state: bool = False) -> str:
    """Address of a member the company has from the start."""
    return next(
        str(one["email_address"])
        for one in client.state()["members"]
        if one["status"] == status and one["in_compliance_state"] == in_compliance_state
    )


# Reading


def test_a_key_is_taken_as_password_or_bearer_and_others_are_refused(sandbox: Sandbox) -> None:
    url = f"{sandbox.system_url('mailchimp')}/3.0/ping"
    assert requests.get(url, auth=("x", KEY), timeout=10).json()["health_status"]
    assert requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=10).ok
    refused = requests.get(url, auth=("x", "wrong-us1"), timeout=10)
    assert (refused.status_code, refused.json()["title"]) == (401, "API Key Invalid")
    assert refused.headers["content-type"].startswith("application/problem+json")
    disabled = requests.get(url, auth=("x", "sandbox-mailchimp-disabled-us1"), timeout=10)
    assert (disabled.status_code, disabled.json()["title"]) == (403, "User Disabled")


def test_the_members_are_those_of_the_company(reader: Client) -> None:
    company = reader.sandbox.company
    people = [(company.person(index), company.mailchimp_member(index)) for index in range(company.population)]
    wanted = {
        one.email_address: (one.status, set(one.tags), person.first_name) for person, one in people if one is not None
    }
    seen = {}
    while len(seen) < reader.get(f"{LIST}/members")["total_items"]:
        for row in reader.get(f"{LIST}/members", count=50, offset=len(seen))["members"]:
            assert row["id"] == md5(row["email_address"])
            tags = {tag["name"] for tag in row["tags"]}
            seen[row["email_address"]] = (row["status"], tags, row["merge_fields"]["FNAME"])
    assert seen == wanted
    assert {status for status, _, _ in wanted.values()} == {"subscribed", "unsubscribed", "cleaned"}


def test_members_are_filtered_by_status_and_time_and_sorted(reader: Client) -> None:
    left = reader.get(f"{LIST}/members", status="unsubscribed", count=1000)["members"]
    assert left
    assert {row["status"] for row in left} == {"unsubscribed"}
    rows = reader.get(f"{LIST}/members", count=1000, sort_field="last_changed", sort_dir="ASC")["members"]
    times = [row["last_changed"] for row in rows]
    assert times == sorted(times)
    later = reader.get(f"{LIST}/members", count=1000, since_last_changed=times[40])["members"]
    assert {row["id"] for row in later} == {row["id"] for row in rows if row["last_changed"] > times[40]}


def test_fields_are_picked_and_left_out(reader: Client) -> None:
    body = reader.get(f"{LIST}/members", count=1, fields="members.email_address,members.merge_fields.FNAME,total_items")
    assert set(body) == {"members", "total_items"}
    assert set(body["members"][0]) == {"email_address", "merge_fields"}
    assert set(body["members"][0]["merge_fields"]) == {"FNAME"}
    assert "merge_fields" not in reader.get(f"{LIST}/members", exclude_fields="members.merge_fields")["members"][0]


@pytest.mark.parametrize(
    "path", [f"{LIST}/members/nobody@box.example", "/lists/other", f"{LIST}/segments/1", "/nothing"]
)
def test_what_is_not_there_is_not_found(reader: Client, path: str) -> None:
    answer = reader.ask("GET", path)
    assert (answer.status_code, answer.json()["title"]) == (404, "Resource Not Found")


@pytest.mark.parametrize("params", [{"count": 1001}, {"status": "gone"}, {"since_lastchanged": "2026-01-01"}])
def test_parameters_that_make_no_sense_are_refused(reader: Client, params: dict[str, object]) -> None:
    assert reader.ask("GET", f"{LIST}/members", **params).status_code == 400


# Batches of members


def test_a_batch_answers_for_each_row(client: Client) -> None:
    known = member_with(client, "subscribed")
    answer = client.batch(
        {"email_address": "ana@box.example", "status": "subscribed", "merge_fields": {"FNAME": "Ana"}, "tags": ["New"]},
        {"email_address": known, "merge_fields": {"FNAME": "Changed"}},
        {"email_address": "bad@@box.example", "status": "subscribed"},
        {"email_address": "fake@box.example", "status": "subscribed"},
        {"status": "subscribed"},
        {"email_address": "ANA@box.example", "status": "subscribed"},
    )
    assert [row["email_address"] for row in answer["new_members"]] == ["ana@box.example"]
    assert [row["merge_fields"]["FNAME"] for row in answer["updated_members"]] == ["Changed"]
    assert (answer["total_created"], answer["total_updated"], answer["error_count"]) == (1, 1, 4)
    assert [row["email_address"] for row in answer["errors"]] == [
        "bad@@box.example",
        "fake@box.example",
        "",
        "ANA@box.example",
    ]
    assert {row["error_code"] for row in answer["errors"]} == {"ERROR_GENERIC"}
    assert client.status("ana@box.example") == "subscribed"
    assert client.state()["tags"]["New"] == 1


def test_existing_members_are_an_error_unless_they_may_be_changed(client: Client) -> None:
    known = member_with(client, "subscribed")
    answer = client.batch({"email_address": known.upper(), "status": "subscribed"}, update_existing=False)
    assert [row["error_code"] for row in answer["errors"]] == ["ERROR_CONTACT_EXISTS"]


def test_more_than_500_rows_or_unknown_fields_are_refused_whole(client: Client) -> None:
    rows = [{"email_address": f"new{number}@box.example", "status": "subscribed"} for number in range(501)]
    refused = client.ask("POST", LIST, {"members": rows})
    assert (refused.status_code, refused.json()["title"]) == (400, "Invalid Resource")
    assert refused.json()["errors"][0]["field"] == "members"
    odd = client.ask("POST", LIST, {"members": [{"email_address": "a@box.example", "state": "subscribed"}]})
    assert odd.json()["errors"][0]["field"] == "members.0.state"
    assert client.ask("GET", f"{LIST}/members/a@box.example").status_code == 404


def test_subscribed_brings_back_somebody_who_was_unsubscribed_and_the_state_says_so(client: Client) -> None:
    email = member_with(client, "unsubscribed")
    client.batch({"email_address": email, "status": "subscribed"})
    assert client.status(email) == "subscribed"
    assert client.state()["resubscribed"] == [email]


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
def test_people_in_a_compliance_state_cannot_be_subscribed(client: Client, status: str) -> None:
    email = member_with(client, status, in_compliance_state=True)
    answer = client.batch({"email_address": email, "status": "subscribed"})
    assert "compliance state" in answer["errors"][0]["error"]
    alone = client.ask("PATCH", f"{LIST}/members/{md5(email)}", {"status": "subscribed"})
    assert (alone.status_code, alone.json()["title"]) == (400, "Member In Compliance State")
    assert client.status(email) == status
    assert client.ask("PATCH", f"{LIST}/members/{md5(email)}", {"status": "pending"}).ok
    assert client.state()["resubscribed"] == []


def test_sync_tags_replaces_and_without_it_tags_are_added(client: Client) -> None:
    client.batch({"email_address": "ana@box.example", "status": "subscribed", "tags": ["One"]})
    client.batch({"email_address": "ana@box.example", "tags": ["Two"]})
    body = {"members": [{"email_address": "ana@box.example", "tags": ["Three"]}], "update_existing": True}
    assert {tag["name"] for tag in client.get(f"{LIST}/members/ana@box.example/tags")["tags"]} == {"One", "Two"}
    client.ask("POST", LIST, body | {"sync_tags": True})
    assert {tag["name"] for tag in client.get(f"{LIST}/members/ana@box.example/tags")["tags"]} == {"Three"}


# Single members


def test_put_uses_status_if_new_only_for_newcomers(client: Client) -> None:
    path = f"{LIST}/members/{md5('ana@box.example')}"
    body = {"email_address": "ana@box.example", "status_if_new": "transactional"}
    assert client.ask("PUT", path, {"email_address": "ana@box.example"}).json()["errors"][0]["field"] == "status_if_new"
    assert client.ask("PUT", path, body).json()["status"] == "transactional"
    left = member_with(client, "unsubscribed")
    kept = client.ask("PUT", f"{LIST}/members/{md5(left)}", {"email_address": left, "status_if_new": "subscribed"})
    assert kept.json()["status"] == "unsubscribed"


def test_a_member_is_found_by_hash_address_and_contact_id(client: Client) -> None:
    row = client.get(f"{LIST}/members", count=1)["members"][0]
    names = (row["id"], row["email_address"].upper(), row["contact_id"])
    assert {client.get(f"{LIST}/members/{name}")["web_id"] for name in names} == {row["web_id"]}


def test_a_new_address_gives_a_new_id_and_keeps_the_contact(client: Client) -> None:
    row = client.get(f"{LIST}/members", count=1)["members"][0]
    changed = client.ask("PATCH", f"{LIST}/members/{row['id']}", {"email_address": "moved@box.example"}).json()
    assert (changed["id"], changed["contact_id"]) == (md5("moved@box.example"), row["contact_id"])
    assert client.ask("GET", f"{LIST}/members/{row['id']}").status_code == 404
    assert client.ask("GET", f"{LIST}/members/{row['email_address']}").status_code == 404


def test_adding_somebody_twice_is_refused(client: Client) -> None:
    body = {"email_address": "ana@box.example", "status": "subscribed"}
    assert client.ask("POST", f"{LIST}/members", body).ok
    again = client.ask("POST", f"{LIST}/members", body)
    assert (again.status_code, again.json()["title"]) == (400, "Member Exists")


def test_archiving_hides_and_can_be_undone_but_forgetting_cannot(client: Client) -> None:
    email = member_with(client, "subscribed")
    path = f"{LIST}/members/{md5(email)}"
    total = client.get(f"{LIST}/members")["total_items"]
    assert [client.ask("DELETE", path).status_code for _ in range(2)] == [204, 405]
    assert client.get(f"{LIST}/members")["total_items"] == total - 1
    assert client.get(f"{LIST}/members", status="archived")["members"][0]["id"] == md5(email)
    assert client.batch({"email_address": email, "status": "subscribed"})["total_created"] == 1
    assert client.ask("POST", f"{path}/actions/delete-permanent").status_code == 204
    assert client.ask("GET", path).status_code == 404
    again = client.ask("PUT", path, {"email_address": email, "status_if_new": "subscribed"})
    assert again.json()["title"] == "Forgotten Email Not Subscribed"
    assert "permanently deleted" in client.batch({"email_address": email, "status": "subscribed"})["errors"][0]["error"]
    assert client.state()["forgotten"] == [md5(email)]


# Tags and segments


def test_a_tag_takes_members_who_are_on_the_list_and_passes_over_others(client: Client) -> None:
    known = member_with(client, "subscribed")
    segment = client.ask("POST", f"{LIST}/segments", {"name": "Buyers", "static_segment": []}).json()
    path = f"{LIST}/segments/{segment['id']}"
    answer = client.ask("POST", path, {"members_to_add": [known.upper(), "nobody@box.example"]}).json()
    assert [row["email_address"] for row in answer["members_added"]] == [known]
    assert (answer["total_added"], answer["total_removed"], answer["error_count"]) == (1, 0, 0)
    assert [row["email_address"] for row in client.get(f"{path}/members")["members"]] == [known]
    removed = client.ask("POST", path, {"members_to_remove": [known]}).json()
    assert removed["total_removed"] == 1
    assert client.get(path)["member_count"] == 0
    assert client.status(known) == "subscribed"


def test_a_change_of_a_segment_takes_500_of_each(client: Client) -> None:
    some = [f"n{number}@box.example" for number in range(500)]
    assert client.ask("POST", f"{LIST}/segments/4001", {"members_to_add": some, "members_to_remove": some}).ok
    refused = client.ask("POST", f"{LIST}/segments/4001", {"members_to_add": [*some, "one-more@box.example"]})
    assert refused.json()["errors"][0]["field"] == "members_to_add"


def test_members_of_a_tag_are_the_subscribed_ones_unless_more_is_asked_for(reader: Client) -> None:
    company = reader.sandbox.company
    members = [company.mailchimp_member(index) for index in range(company.population)]
    tagged = [one for one in members if one is not None and "VIP" in one.tags]
    seen = reader.get(f"{LIST}/segments/4001/members", count=1000)
    assert seen["total_items"] == sum(one.status == "subscribed" for one in tagged)
    more = reader.get(f"{LIST}/segments/4001/members", count=1000, include_unsubscribed="true", include_cleaned="true")
    assert {row["email_address"] for row in more["members"]} == {one.email_address for one in tagged}


def test_tags_are_looked_up_by_part_of_the_name_and_names_are_taken_once(client: Client) -> None:
    client.ask("POST", f"{LIST}/segments", {"name": "VIP gold", "static_segment": []})
    assert [tag["name"] for tag in client.get(f"{LIST}/tag-search", name="vip")["tags"]] == ["VIP", "VIP gold"]
    assert client.ask("POST", f"{LIST}/segments", {"name": "vip", "static_segment": []}).status_code == 400
    kinds = {row["type"] for row in client.get(f"{LIST}/segments")["segments"]}
    assert kinds == {"saved", "static"}
    assert {row["type"] for row in client.get(f"{LIST}/segments", type="static")["segments"]} == {"static"}


def test_tags_of_one_member_are_set_and_taken_away(client: Client) -> None:
    path = f"{LIST}/members/{md5(member_with(client, 'subscribed'))}/tags"
    set_both = {"tags": [{"name": "A", "status": "active"}, {"name": "VIP", "status": "active"}]}
    assert client.ask("POST", path, set_both).status_code == 204
    client.ask("POST", path, {"tags": [{"name": "vip", "status": "inactive"}], "is_syncing": True})
    assert "A" in {tag["name"] for tag in client.get(path)["tags"]}
    assert "VIP" not in {tag["name"] for tag in client.get(path)["tags"]}


# Merge fields


@pytest.mark.parametrize("tag", ["lower", "LONGERTHAN10", "WITH-DASH", "FNAME", "EMAIL"])
def test_merge_tags_obey_the_rules(client: Client, tag: str) -> None:
    answer = client.ask("POST", f"{LIST}/merge-fields", {"tag": tag, "name": "x", "type": "text"})
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid Resource")


def test_values_must_fit_their_fields(client: Client) -> None:
    assert client.ask("POST", f"{LIST}/merge-fields", {"tag": "LTV", "name": "Value", "type": "number"}).ok
    client.ask("POST", f"{LIST}/merge-fields", {"tag": "PLAN", "name": "Plan", "type": "text", "required": True})
    rows = [("1", "120.5", "basic"), ("2", "much", "basic"), ("3", "1", True), ("4", "1", None)]
    answer = client.batch(
        *(
            {
                "email_address": f"p{name}@box.example",
                "status": "subscribed",
                "merge_fields": {"LTV": value, "PLAN": plan, "NOSUCH": "x"},
            }
            for name, value, plan in rows
        )
    )
    assert answer["new_members"][0]["merge_fields"] == {"LTV": 120.5, "PLAN": "basic"}
    assert [(row["email_address"], row["field"]) for row in answer["errors"]] == [
        ("p2@box.example", "LTV"),
        ("p3@box.example", "PLAN"),
        ("p4@box.example", "PLAN"),
    ]
    relaxed = client.batch({"email_address": "p4@box.example", "status": "subscribed"}, skip_merge_validation="true")
    assert relaxed["total_created"] == 1


def test_null_keeps_a_value_and_an_empty_string_clears_it(client: Client) -> None:
    email = member_with(client, "subscribed")
    fields = {"FNAME": None, "LNAME": ""}
    row = client.batch({"email_address": email, "merge_fields": fields})["updated_members"][0]
    assert row["merge_fields"]["FNAME"]
    assert row["merge_fields"]["LNAME"] == ""


# Jobs


def test_a_job_runs_later_and_leaves_an_archive(client: Client) -> None:
    operations = [
        {"method": "PUT", "path": f"{LIST}/members/{md5(email)}", "body": json.dumps(body), "operation_id": email}
        for email, body in (
            ("ana@box.example", {"email_address": "ana@box.example", "status_if_new": "subscribed"}),
            ("bad@@example", {"email_address": "bad@@example", "status_if_new": "subscribed"}),
        )
    ] + [{"method": "GET", "path": f"{LIST}/members", "params": {"count": 1}, "operation_id": "read"}] * 250
    job = client.ask("POST", "/batches", {"operations": operations}).json()
    assert (job["status"], job["response_body_url"]) == ("pending", "")
    assert client.ask("GET", f"{LIST}/members/ana@box.example").status_code == 404
    time.sleep(0.6)
    job = client.get(f"/batches/{job['id']}")
    assert (job["status"], job["finished_operations"], job["errored_operations"]) == ("finished", 252, 1)
    results = unpacked(requests.get(job["response_body_url"], timeout=10).content)
    assert [row["status_code"] for row in results] == [200, 400] + [200] * 250
    assert json.loads(results[1]["response"])["title"] == "Invalid Resource"
    assert client.status("ana@box.example") == "subscribed"
    assert requests.get(job["response_body_url"] + "0", timeout=10).status_code == 403


def unpacked(archive: bytes) -> list[dict[str, Any]]:
    rows = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for entry in files.getmembers():
            data = files.extractfile(entry)
            rows += json.load(data) if data is not None else []
    return rows


def test_a_job_of_more_than_1000_operations_is_refused_and_a_deleted_one_never_runs(client: Client) -> None:
    one = {"method": "DELETE", "path": f"{LIST}/members/{md5(member_with(client, 'subscribed'))}"}
    assert client.ask("POST", "/batches", {"operations": [one] * 1001}).status_code == 400
    job = client.ask("POST", "/batches", {"operations": [one]}).json()
    assert client.ask("DELETE", f"/batches/{job['id']}").status_code == 204
    time.sleep(0.6)
    assert client.get(f"{LIST}/members", status="archived")["total_items"] == 0


# Limits and faults


def test_the_eleventh_connection_is_refused_without_a_word() -> None:
    with Sandbox(people=20, latency_ms=800) as sandbox:
        client = Client(sandbox)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: client.ask("GET", "/ping"), range(16)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 0 < len(refused) < 16
    assert all(answer.content == b"" and "Retry-After" not in answer.headers for answer in refused)


@pytest.mark.parametrize(
    ("policy", "status", "has_body"), [(None, 429, True), ("bare", 429, False), ("forbidden", 403, False)]
)
def test_throttling_comes_in_three_shapes(client: Client, policy: str | None, status: int, has_body: bool) -> None:
    client.order("rate_limited", policy=policy, times=1)
    answer = client.ask("GET", "/ping")
    assert (answer.status_code, bool(answer.content)) == (status, has_body)


def test_the_same_rows_are_refused_each_time_and_whole_batches_on_demand(client: Client) -> None:
    rows = [{"email_address": f"new{number}@box.example", "status": "subscribed"} for number in range(40)]
    client.order("refuse_rows", share=0.25)
    first, second = client.batch(*rows), client.batch(*rows)
    refused = [row["email_address"] for row in first["errors"]]
    assert 0 < len(refused) < 40
    assert [row["email_address"] for row in second["errors"]] == refused
    alone = client.ask("PUT", f"{LIST}/members/x", {"email_address": refused[0], "status_if_new": "subscribed"})
    assert "fake or invalid" in alone.json()["detail"]
    requests.delete(f"{client.sandbox.url}/_sandbox/faults", timeout=10)
    client.order("refuse_rows", share=0.25, whole_batch=True)
    whole = client.ask("POST", LIST, {"members": rows, "update_existing": True})
    assert (whole.status_code, len(whole.json()["errors"])) == (400, len(refused))


def test_reset_brings_the_company_back(client: Client) -> None:
    before = client.state()
    client.batch({"email_address": "ana@box.example", "status": "subscribed", "tags": ["New"]})
    client.ask("DELETE", f"{LIST}/members/{md5(member_with(client, 'subscribed'))}")
    requests.post(f"{client.sandbox.url}/_sandbox/reset", timeout=10)
    assert client.state() == before
    assert client.ask("GET", f"{LIST}/members/ana@box.example").status_code == 404


class TestReports:
    def test_reports_agree_with_their_details(self, client: Client) -> None:
        reports = client.get("/reports", count=100)["reports"]
        assert len(reports) == 10
        for report in reports:
            path = f"/reports/{report['id']}"
            emails = client.get(f"{path}/email-activity", count=1000)
            deeds = [deed for email in emails["emails"] for deed in email["activity"]]
            assert emails["total_items"] == report["emails_sent"]
            assert sum(deed["action"] == "open" for deed in deeds) == report["opens"]["opens_total"]
            opens = client.get(f"{path}/open-details", count=1000)["members"]
            assert sum(member["opens_count"] for member in opens) == report["opens"]["opens_total"]
            links = client.get(f"{path}/click-details", count=10)["urls_clicked"]
            assert sum(link["total_clicks"] for link in links) == report["clicks"]["clicks_total"]
            assert client.get(f"{path}/unsubscribed")["total_items"] == report["unsubscribed"]

    def test_activity_since_a_time_is_what_came_after(self, client: Client) -> None:
        report = client.get("/reports", count=1)["reports"][0]
        path = f"/reports/{report['id']}/email-activity"
        times = sorted(
            deed["timestamp"] for email in client.get(path, count=1000)["emails"] for deed in email["activity"]
        )
        middle = times[len(times) // 2]
        later = client.get(path, count=1000, since=middle)["emails"]
        found = sorted(deed["timestamp"] for email in later for deed in email["activity"])
        assert found == [time for time in times if time > middle]

    def test_a_draft_has_no_report(self, client: Client) -> None:
        drafts = client.get("/campaigns", status="save")["campaigns"]
        assert [draft["send_time"] for draft in drafts] == [""]
        assert client.ask("GET", f"/reports/{drafts[0]['id']}").status_code == 404
