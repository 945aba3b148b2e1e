"""The Zoho CRM stand-in, over HTTP."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

CLIENT = {"grant_type": "refresh_token", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
FIELDS = "Email,Phone,Mobile,Modified_Time"


def token_answer(sandbox: Sandbox, refresh: str = "sandbox-refresh", centre: str = "", **form: str) -> dict[str, Any]:
    url = f"{sandbox.system_url('zoho_crm')}{centre}/oauth/v2/token"
    answer: dict[str, Any] = requests.post(url, data={**CLIENT, "refresh_token": refresh, **form}, timeout=10).json()
    return answer


class Crm:
    """A caller with a token."""

    def __init__(self, sandbox: Sandbox, refresh: str = "sandbox-refresh") -> None:
        self.url = sandbox.system_url("zoho_crm")
        self.headers = {"Authorization": f"Zoho-oauthtoken {token_answer(sandbox, refresh)['access_token']}"}

    def get(self, path: str, since: str | None = None, **params: Any) -> requests.Response:
        headers = {**self.headers, **({"If-Modified-Since": since} if since else {})}
        return requests.get(f"{self.url}{path}", params=params, headers=headers, timeout=10)

    def rows(self, module: str, per_page: int = 200, **params: Any) -> Iterator[dict[str, Any]]:
        """All records of a module, by page token."""
        place: dict[str, str] = {}
        while True:
            body = self.get(f"/crm/v8/{module}", fields=FIELDS, per_page=per_page, **params, **place).json()
            yield from body["data"]
            if not body["info"]["more_records"]:
                return
            place = {"page_token": body["info"]["next_page_token"]}

    def read_in_bulk(self, query: dict[str, Any]) -> requests.Response:
        url = f"{self.url}/crm/bulk/v8/read"
        return requests.post(url, json={"query": query}, headers=self.headers, timeout=10)

    def exported(self, query: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, Any]]:
        """The rows of an export and what the job says of its result."""
        job_id = self.read_in_bulk(query).json()["data"][0]["details"]["id"]
        path = f"/crm/bulk/v8/read/{job_id}"
        assert self.get(f"{path}/result").json()["code"] == "RESOURCE_NOT_FOUND"
        assert self.get(path).json()["data"][0]["state"] == "IN PROGRESS"
        job = self.get(path).json()["data"][0]
        with zipfile.ZipFile(io.BytesIO(self.get(f"{path}/result").content)) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        return list(csv.DictReader(io.StringIO(text))), job["result"]


@pytest.fixture(scope="module")
def crm(sandbox: Sandbox) -> Crm:
    return Crm(sandbox)


def test_a_token_answer_names_the_data_centre(sandbox: Sandbox) -> None:
    assert token_answer(sandbox)["api_domain"] == sandbox.system_url("zoho_crm")
    european = token_answer(sandbox, "sandbox-refresh-eu", "/eu")
    assert european["api_domain"] == f"{sandbox.system_url('zoho_crm')}/eu"
    headers = {"Authorization": f"Zoho-oauthtoken {european['access_token']}"}
    at_home = requests.get(f"{european['api_domain']}/crm/v8/Deals?fields=Stage", headers=headers, timeout=10)
    abroad = requests.get(f"{sandbox.system_url('zoho_crm')}/crm/v8/Deals?fields=Stage", headers=headers, timeout=10)
    assert (at_home.status_code, abroad.json()["code"]) == (200, "INVALID_TOKEN")


def test_wrong_credentials_are_refused_with_200(sandbox: Sandbox) -> None:
    assert token_answer(sandbox, "wrong") == {"error": "invalid_code"}
    assert token_answer(sandbox, "sandbox-refresh-eu") == {"error": "invalid_code"}
    assert token_answer(sandbox, client_secret="wrong") == {"error": "invalid_client"}


def test_scopes_are_checked(sandbox: Sandbox) -> None:
    narrow = Crm(sandbox, "sandbox-refresh-contacts-only")
    assert narrow.get("/crm/v8/Contacts", fields="Email").ok
    assert narrow.get("/crm/v8/settings/fields", module="Leads").ok
    for path in ("/crm/v8/Leads", "/crm/v8/settings/modules", "/crm/v8/users"):
        answer = narrow.get(path, fields="Email")
        assert (answer.status_code, answer.json()["code"]) == (401, "OAUTH_SCOPE_MISMATCH")
    assert narrow.read_in_bulk({"module": {"api_name": "Contacts"}}).status_code == 401


def test_every_record_is_listed_once(crm: Crm) -> None:
    for module in ("Leads", "Contacts", "Accounts", "Deals"):
        small, whole = list(crm.rows(module, per_page=7)), list(crm.rows(module))
        assert small == whole
        assert (
            len({row["id"] for row in whole})
            == len(whole)
            == crm.get(f"/crm/v8/{module}/actions/count").json()["count"]
        )


def test_lists_are_ordered(crm: Crm) -> None:
    times = [
        row["Modified_Time"] for row in crm.rows("Contacts", per_page=20, sort_by="Modified_Time", sort_order="asc")
    ]
    assert times == sorted(times)
    assert times[0].endswith("+02:00")


def test_page_numbers_end_at_two_thousand(crm: Crm) -> None:
    second = crm.get("/crm/v8/Contacts", fields="Email", page=2, per_page=5).json()
    assert (second["info"]["page"], second["info"]["count"]) == (2, 5)
    answer = crm.get("/crm/v8/Contacts", fields="Email", page=11)
    assert (answer.status_code, answer.json()["code"]) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")
    token = second["info"]["next_page_token"]
    both = crm.get("/crm/v8/Contacts", fields="Email", page=3, page_token=token)
    assert both.json()["code"] == "AMBIGUITY_DURING_PROCESSING"
    other = crm.get("/crm/v8/Contacts", fields="Phone", page_token=token)
    assert other.json()["code"] == "TOKEN_BOUND_DATA_MISMATCH"


def test_what_is_not_there_is_answered_without_a_body(crm: Crm) -> None:
    assert crm.get("/crm/v8/Contacts", fields="Email", ids="1").status_code == 204
    assert crm.get("/crm/v8/Leads/deleted").status_code == 204
    assert crm.get("/crm/v8/Leads", "2027-01-01T00:00:00+00:00", fields="Email").status_code == 304


def test_converted_leads_come_only_when_asked_for(crm: Crm) -> None:
    plain, gone, both = (
        {row["id"] for row in crm.rows("Leads", converted=value)} for value in ("false", "true", "both")
    )
    assert plain
    assert gone
    assert plain | gone == both
    lead = crm.get(f"/crm/v8/Leads/{next(iter(gone))}").json()["data"][0]
    assert lead["$converted"] is True
    contact = crm.get(f"/crm/v8/Contacts/{lead['Converted_Contact']['id']}").json()["data"][0]
    assert contact["Last_Name"] == lead["Last_Name"]


def test_an_export_gives_what_the_list_gives(crm: Crm) -> None:
    rows, result = crm.exported({"module": {"api_name": "Contacts"}, "fields": ["Email", "Account_Name"]})
    assert {row["Id"]: row["Email"] for row in rows} == {row["id"]: row["Email"] or "" for row in crm.rows("Contacts")}
    assert (result["count"], result["more_records"]) == (len(rows), False)
    assert {row["Account_Name"][:10] for row in rows} == {"", "5725767000"}


def test_an_export_in_parts(fresh_sandbox: Sandbox) -> None:
    fresh_sandbox.systems["zoho_crm"].bulk.rows_of_a_job = 40  # type: ignore[attr-defined]
    crm = Crm(fresh_sandbox)
    query: dict[str, Any] = {"module": {"api_name": "Contacts"}, "fields": ["Email"]}
    found, (rows, result) = [], crm.exported({**query, "page": 1})
    while True:
        found += [row["Id"] for row in rows]
        if not result["more_records"]:
            break
        rows, result = crm.exported({**query, "page_token": result["next_page_token"]})
    assert sorted(found) == sorted(row["id"] for row in crm.rows("Contacts"))


def test_an_export_by_time(crm: Crm) -> None:
    times = sorted(row["Modified_Time"] for row in crm.rows("Contacts"))
    criteria = {"field": {"api_name": "Modified_Time"}, "comparator": "greater_equal", "value": times[-5]}
    rows, _ = crm.exported({"module": {"api_name": "Contacts"}, "fields": ["Modified_Time"], "criteria": criteria})
    assert sorted(row["Modified_Time"] for row in rows) == times[-5:]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"module": {"api_name": "Nothing"}}, "MODULE_NOT_AVAILABLE"),
        ({"module": {"api_name": "Deals"}, "fields": ["Nothing"]}, "FIELD_NOT_AVAILABLE"),
        ({"module": {"api_name": "Deals"}, "page": 51}, "PAGE_RANGE_EXCEEDED"),
        ({"module": {"api_name": "Deals"}, "limit": 5}, "INVALID_REQUEST"),
        ({"module": {"api_name": "Deals"}, "criteria": {"group": []}}, "INVALID_CRITERIA"),
    ],
)
def test_what_cannot_be_exported_is_refused(crm: Crm, query: dict[str, Any], code: str) -> None:
    answer = crm.read_in_bulk(query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/crm/v8/Contacts", {}, 400, "REQUIRED_PARAM_MISSING"),
        ("/crm/v8/Contacts", {"fields": ",".join(f"F{n}" for n in range(51))}, 400, "LIMIT_EXCEEDED"),
        ("/crm/v8/Contacts", {"fields": "Email", "per_page": 201}, 400, "INVALID_DATA"),
        ("/crm/v8/Contacts", {"fields": "Email", "sort_by": "Email"}, 400, "INVALID_DATA"),
        ("/crm/v8/Contacts", {"fields": "Email", "limit": 5}, 400, "INVALID_DATA"),
        ("/crm/v8/Nothing", {"fields": "Email"}, 400, "INVALID_MODULE"),
        ("/crm/v8/settings/fields", {}, 400, "REQUIRED_PARAM_MISSING"),
        ("/crm/v7/Contacts", {"fields": "Email"}, 404, "INVALID_URL_PATTERN"),
    ],
)
def test_what_cannot_be_asked_is_refused(crm: Crm, path: str, params: dict[str, Any], status: int, code: str) -> None:
    answer = crm.get(path, **params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_settings_tell_the_fields(crm: Crm) -> None:
    fields = {
        row["api_name"]: row["data_type"]
        for row in crm.get("/crm/v8/settings/fields", module="Contacts").json()["fields"]
    }
    assert len(fields) > 50
    assert fields["Account_Name"] == "lookup"
    assert crm.get("/crm/v8/settings/modules").json()["modules"][0]["api_name"] == "Leads"


def test_life_changes_deletes_merges_and_converts(fresh_sandbox: Sandbox) -> None:
    crm, start = Crm(fresh_sandbox), "2026-11-20T02:00:00+02:00"
    before = {row["id"] for row in crm.rows("Contacts")}
    assert crm.get("/crm/v8/Contacts", start, fields="Email").status_code == 304
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.9}, timeout=10).raise_for_status()
    after = {row["id"] for row in crm.rows("Contacts")}
    deleted = crm.get("/crm/v8/Contacts/deleted", start).json()["data"]
    assert {row["id"] for row in deleted} == before - after
    assert {row["type"] for row in deleted} == {"recycle", "permanent"}
    assert after - before
    changed = crm.get("/crm/v8/Leads", start, fields="Converted__s", converted="both").json()["data"]
    assert {row["Converted__s"] for row in changed} == {True, False}


def test_records_are_whose_the_truth_says(sandbox: Sandbox, crm: Crm) -> None:
    for module in ("Leads", "Contacts"):
        owner = {
            number: index
            for index in range(sandbox.company.people)
            for number in sandbox.truth(index)["zoho_crm"][module.lower()]  # type: ignore[index]
        }
        for row in crm.rows(module, converted="both"):
            person = sandbox.company.person(owner[row["id"]])
            assert (row["Email"] or "").lower() in ("", *person.emails)
            assert row["Phone"] in (None, "+12025550100", person.phone)


def test_credits_downloads_and_refreshes_are_counted() -> None:
    with Sandbox(people=20) as sandbox:
        crm = Crm(sandbox)
        sandbox.systems["zoho_crm"].credits.allowed = 8  # type: ignore[attr-defined]
        answers = [crm.get("/crm/v8/users") for _ in range(9)]
        assert "X-API-CREDITS-REMAINING" not in answers[0].headers
        assert answers[7].headers["X-API-CREDITS-REMAINING"] == "0"
        assert (answers[8].status_code, answers[8].json()["code"]) == (429, "TOO_MANY_REQUESTS")
        refused = [token_answer(sandbox) for _ in range(10)][-1]
        assert refused["error"] == "Access Denied"
