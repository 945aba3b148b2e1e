"""The Salesforce stand-in, over HTTP."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from millstream.sandbox import Sandbox

SESSION = "00D5g0000000001!sandbox-salesforce"
LIMITED = "00D5g0000000001!sandbox-limited"
ROOT = "/services/data/v66.0"
TILL = "+12025550100"


def call(
    sandbox: Sandbox, method: str, path: str, token: str = SESSION, body: Any = None, **params: Any
) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "Sforce-Query-Options": "batchSize=200"}
    url = sandbox.system_url("salesforce") + (path if path.startswith("/services") else ROOT + path)
    return requests.request(method, url, headers=headers, params=params, json=body, timeout=10)


def records(sandbox: Sandbox, soql: str, resource: str = "/query") -> Iterator[dict[str, Any]]:
    """All records of a query."""
    body = call(sandbox, "GET", resource, q=soql).json()
    yield from body["records"]
    while not body["done"]:
        body = call(sandbox, "GET", body["nextRecordsUrl"]).json()
        yield from body["records"]


def token_for(sandbox: Sandbox, **form: str) -> requests.Response:
    return requests.post(f"{sandbox.system_url('salesforce')}/services/oauth2/token", data=form, timeout=10)


def code_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def assertion(sandbox: Sandbox, key: rsa.RSAPrivateKey | None = None, **changes: Any) -> str:
    given = requests.get(f"{sandbox.url}/_sandbox/credentials/salesforce", timeout=10).json()
    own = serialization.load_pem_private_key(given["private_key"].encode(), None)
    assert isinstance(own, rsa.RSAPrivateKey)
    claims = {
        "iss": given["client_id"],
        "sub": given["username"],
        "aud": sandbox.system_url("salesforce"),
        "exp": int(time.time()) + 180,
    }
    parts = [json.dumps({"alg": "RS256"}), json.dumps(claims | changes)]
    signed = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    signature = (key or own).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_three_grants_give_a_session(sandbox: Sandbox) -> None:
    client = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    answers = [
        token_for(sandbox, grant_type="client_credentials", **client),
        token_for(sandbox, grant_type="refresh_token", refresh_token="sandbox-refresh", **client),
        token_for(sandbox, grant_type=JWT, assertion=assertion(sandbox)),
        token_for(sandbox, grant_type=JWT, assertion=assertion(sandbox, aud="https://login.salesforce.com")),
    ]
    for answer in answers:
        given = answer.json()
        assert given["instance_url"] == sandbox.system_url("salesforce")
        assert "expires_in" not in given
        assert call(sandbox, "GET", "/limits", given["access_token"]).ok


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aud": "https://elsewhere.example.com"}, "audience is invalid"),
        ({"exp": 1}, "expired authorization code"),
        ({"sub": "nobody@shop.box.example"}, "user hasn't approved this consumer"),
        ({"iss": "other"}, "client identifier invalid"),
    ],
)
def test_a_wrong_assertion_is_refused(sandbox: Sandbox, changes: dict[str, Any], error: str) -> None:
    answer = token_for(sandbox, grant_type=JWT, assertion=assertion(sandbox, **changes))
    assert (answer.status_code, answer.json()["error_description"]) == (400, error)


def test_an_assertion_of_another_key_is_refused(sandbox: Sandbox) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = token_for(sandbox, grant_type=JWT, assertion=assertion(sandbox, stranger))
    assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}


def test_a_rotating_refresh_token_is_good_for_one_use(fresh_sandbox: Sandbox) -> None:
    form = {"grant_type": "refresh_token", "client_id": "sandbox-client", "refresh_token": "sandbox-refresh-rotating"}
    assert token_for(fresh_sandbox, **form).json()["refresh_token"] == "sandbox-refresh-rotating-1"
    assert token_for(fresh_sandbox, **form).json()["error"] == "invalid_grant"
    assert token_for(fresh_sandbox, **form | {"client_secret": "wrong"}).json()["error"] == "invalid_client"


def test_who_may_not_call_is_told_why(sandbox: Sandbox) -> None:
    assert code_of(call(sandbox, "GET", "/limits", "nonsense")) == (401, "INVALID_SESSION_ID")
    assert code_of(call(sandbox, "GET", "/limits", "00D5g0000000001!sandbox-no-api")) == (403, "API_DISABLED_FOR_ORG")
    assert code_of(call(sandbox, "GET", "/sobjects/Lead/describe", LIMITED)) == (404, "NOT_FOUND")
    assert code_of(call(sandbox, "GET", "/query", LIMITED, q="SELECT Id FROM Lead")) == (400, "INVALID_TYPE")
    hidden = call(sandbox, "GET", "/query", LIMITED, q="SELECT HasOptedOutOfEmail FROM Contact")
    assert code_of(hidden) == (400, "INVALID_FIELD")


def test_describe_names_what_can_be_asked_for(sandbox: Sandbox) -> None:
    names = {one["name"] for one in call(sandbox, "GET", "/sobjects").json()["sobjects"]}
    assert {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task"} < names
    for name in names:
        fields = [field["name"] for field in call(sandbox, "GET", f"/sobjects/{name}/describe").json()["fields"]]
        found = call(sandbox, "GET", "/query", q=f"SELECT {', '.join(fields)} FROM {name} LIMIT 1").json()
        assert list(found["records"][0]) == ["attributes", *fields]
    contact = call(sandbox, "GET", "/sobjects/contact/describe").json()["fields"]
    assert [field["name"] for field in contact if field["externalId"]] == ["Customer_Id__c"]


def test_pages_give_every_record_once_in_order() -> None:
    with Sandbox(people=900, limits=False) as sandbox:
        soql = "SELECT Id, SystemModstamp FROM Contact ORDER BY SystemModstamp, Id"
        first = call(sandbox, "GET", "/queryAll", q=soql).json()
        rows = list(records(sandbox, soql, "/queryAll"))
        assert (len(first["records"]), first["done"], first["totalSize"]) == (200, False, len(rows))
        assert "/query/" in first["nextRecordsUrl"]
        assert len({row["Id"] for row in rows}) == len(rows) > 400
        keys = [(row["SystemModstamp"], row["Id"]) for row in rows]
        assert keys == sorted(keys)
        wrong = call(sandbox, "GET", "/query/0r85g0000000999AAA-200")
        assert code_of(wrong) == (400, "INVALID_QUERY_LOCATOR")


def test_conditions_choose(sandbox: Sandbox) -> None:
    whole = list(records(sandbox, "SELECT Id, Email, CreatedDate, SystemModstamp FROM Contact"))
    middle = sorted(row["SystemModstamp"] for row in whole)[len(whole) // 2]
    at = middle.replace(".000+0000", "Z")
    for sign, kept in ((">=", middle.__le__), ("<", middle.__gt__)):
        found = records(sandbox, f"SELECT Id FROM Contact WHERE SystemModstamp {sign} {at}")
        assert {row["Id"] for row in found} == {row["Id"] for row in whole if kept(row["SystemModstamp"])}
    first = whole[0]
    by_id = f"SELECT Id, Email FROM Contact WHERE Id IN ('{first['Id'][:15]}', '{whole[1]['Id']}') ORDER BY Email DESC"
    assert len(list(records(sandbox, by_id))) == 2
    someone = next(row for row in whole if row["Email"])
    by_mail = f"SELECT Id FROM Contact WHERE (Email = '{someone['Email'].upper()}' OR Email = 'x\\'y') AND Id != null"
    assert [row["Id"] for row in records(sandbox, by_mail)] == [someone["Id"]]
    assert call(sandbox, "GET", "/query", q="SELECT COUNT() FROM Contact").json()["totalSize"] == len(whole)


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE MailingAddress = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Account.Name = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Id != null AND Id != null OR Id = null", "MALFORMED_QUERY"),
        ("SELECT Nothing__c FROM Contact", "INVALID_FIELD"),
        ("SELECT Id, Id FROM Contact", "MALFORMED_QUERY"),
        ("SELECT * FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact OFFSET 5", "MALFORMED_QUERY"),
        ("SELECT Id FROM Nobody", "INVALID_TYPE"),
    ],
)
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, soql: str, code: str) -> None:
    assert code_of(call(sandbox, "GET", "/query", q=soql)) == (400, code)


def test_the_version_counts(sandbox: Sandbox) -> None:
    assert code_of(call(sandbox, "GET", "/services/data/v99.0/limits")) == (404, "NOT_FOUND")
    assert code_of(call(sandbox, "GET", "/services/data/v20.0/limits"))[0] == 410
    versions = requests.get(f"{sandbox.system_url('salesforce')}/services/data/", timeout=10).json()
    assert "66.0" in [one["version"] for one in versions]
    assert code_of(call(sandbox, "GET", "/query", q=f"SELECT Id FROM Contact WHERE Id = '{'x' * 17_000}'"))[0] == 414


def test_deleted_merged_and_archived_records_are_in_query_all_only() -> None:
    with Sandbox(people=1500, limits=False) as sandbox:
        soql = "SELECT Id, IsDeleted, MasterRecordId FROM {} ORDER BY SystemModstamp"
        for name in ("Contact", "Lead", "Account"):
            shown = {row["Id"] for row in records(sandbox, soql.format(name))}
            rows = list(records(sandbox, soql.format(name), "/queryAll"))
            assert {row["Id"] for row in rows if not row["IsDeleted"]} == shown
            assert {row["MasterRecordId"] for row in rows if row["MasterRecordId"]} <= {row["Id"] for row in rows}
            assert any(row["MasterRecordId"] for row in rows)
        assert not list(records(sandbox, "SELECT Id FROM Contact WHERE IsDeleted = true"))
        archived = list(records(sandbox, "SELECT Id FROM Task WHERE IsArchived = true", "/queryAll"))
        assert archived
        assert not list(records(sandbox, "SELECT Id FROM Task WHERE IsArchived = true"))


def test_life_goes_on() -> None:
    with Sandbox(people=1500, limits=False) as sandbox:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
        soql = f"SELECT Id, IsDeleted, MasterRecordId FROM Contact WHERE SystemModstamp >= {at}"
        assert not list(records(sandbox, soql, "/queryAll"))
        requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
        rows = list(records(sandbox, soql, "/queryAll"))
        kinds = {(row["IsDeleted"], row["MasterRecordId"] is not None) for row in rows}
        assert kinds == {(False, False), (True, False), (True, True)}
        new = list(records(sandbox, f"SELECT Id, ConvertedContactId FROM Lead WHERE SystemModstamp >= {at}"))
        assert {row["ConvertedContactId"] is None for row in new} == {True, False}
        start = time.strftime("%Y-%m-%dT%H:%M:00+00:00", time.gmtime(time.time() - 120))
        end = time.strftime("%Y-%m-%dT%H:%M:00+00:00", time.gmtime(time.time() + 120))
        gone = call(sandbox, "GET", "/sobjects/Contact/deleted/", start=start, end=end).json()["deletedRecords"]
        assert {one["id"] for one in gone} >= {row["Id"] for row in rows if row["IsDeleted"]}
        old = call(sandbox, "GET", "/sobjects/Contact/deleted/", start="2020-01-01T00:00:00Z", end=end)
        assert code_of(old) == (400, "INVALID_REPLICATION_DATE")


def test_people_are_who_the_truth_says(sandbox: Sandbox) -> None:
    known: dict[str, dict[str, int]] = {"contacts": {}, "leads": {}}
    for index in range(sandbox.company.people):
        for kind, ids in sandbox.truth(index)["salesforce"].items():  # type: ignore[attr-defined]
            known[kind] |= dict.fromkeys(ids, index)
    contacts = records(sandbox, "SELECT Id, Email, Phone, MobilePhone, Customer_Id__c FROM Contact", "/queryAll")
    leads = records(sandbox, "SELECT Id, Email, Phone, ConvertedContactId FROM Lead", "/queryAll")
    seen: dict[str, set[str]] = {"contacts": set(), "leads": set()}
    for kind, rows in (("contacts", contacts), ("leads", leads)):
        for row in rows:
            seen[kind].add(row["Id"])
            person = sandbox.company.person(known[kind][row["Id"]])
            assert row["Email"] in (None, *person.emails)
            assert {row["Phone"], row.get("MobilePhone")} <= {None, TILL, person.phone}
            assert row.get("Customer_Id__c") in (None, person.customer_id)
            if row.get("ConvertedContactId"):
                assert known["contacts"][row["ConvertedContactId"]] == person.index
    assert seen == {kind: set(ids) for kind, ids in known.items()}


def run_job(sandbox: Sandbox, soql: str, operation: str = "queryAll") -> dict[str, Any]:
    job = call(sandbox, "POST", "/jobs/query", body={"operation": operation, "query": soql}).json()
    states = [job["state"]]
    while states[-1] in ("UploadComplete", "InProgress"):
        job = call(sandbox, "GET", f"/jobs/query/{job['id']}").json()
        states.append(job["state"])
    assert states[:2] == ["UploadComplete", "InProgress"] or states[-1] == "Failed"
    return dict(job)


def test_a_query_job_gives_what_the_query_gives(sandbox: Sandbox) -> None:
    soql = "SELECT Id, Subject, Description, IsClosed, CompletedDateTime FROM Task"
    job = run_job(sandbox, soql)
    rows: list[dict[str, str]] = []
    locator, pages = "", 0
    while locator != "null":
        answer = call(
            sandbox,
            "GET",
            f"/jobs/query/{job['id']}/results",
            maxRecords=7,
            **({"locator": locator} if locator else {}),
        )
        page = list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.headers["Sforce-NumberOfRecords"] == str(len(page))
        rows, locator, pages = rows + page, answer.headers["Sforce-Locator"], pages + 1
    assert pages > 3
    whole = list(records(sandbox, soql, "/queryAll"))
    assert job["numberRecordsProcessed"] == len(whole)
    assert [row["Id"] for row in rows] == [row["Id"] for row in whole]
    assert rows[0]["Description"] == whole[0]["Description"]
    closed = {row["Id"]: row for row in rows}[next(row["Id"] for row in whole if row["IsClosed"])]
    assert closed["IsClosed"] == "true"
    assert closed["CompletedDateTime"].endswith(".000Z")
    assert call(sandbox, "DELETE", f"/jobs/query/{job['id']}").status_code == 204
    assert code_of(call(sandbox, "GET", f"/jobs/query/{job['id']}")) == (404, "NOT_FOUND")


def test_a_query_job_refuses(sandbox: Sandbox) -> None:
    assert run_job(sandbox, "SELECT Id, MailingAddress FROM Contact")["state"] == "Failed"
    body = {"operation": "query", "query": "SELECT COUNT() FROM Contact"}
    assert code_of(call(sandbox, "POST", "/jobs/query", body=body)) == (400, "MALFORMED_QUERY")
    body = {"operation": "insert", "query": "SELECT Id FROM Contact"}
    assert code_of(call(sandbox, "POST", "/jobs/query", body=body)) == (400, "JSON_PARSER_ERROR")
    body = {"operation": "query", "query": "SELECT Id FROM Contact"}
    job = call(sandbox, "POST", "/jobs/query", body=body).json()
    path = f"/jobs/query/{job['id']}"
    assert code_of(call(sandbox, "GET", f"{path}/results")) == (400, "INVALIDJOBSTATE")
    assert call(sandbox, "PATCH", path, body={"state": "Aborted"}).json()["state"] == "Aborted"
    assert code_of(call(sandbox, "GET", f"/services/data/v60.0{path}/results"))[0] == 409


def test_the_days_requests_are_counted_and_end() -> None:
    with Sandbox(people=10) as sandbox:
        assert call(sandbox, "GET", "/limits").headers["Sforce-Limit-Info"] == "api-usage=1/100000"
        told = call(sandbox, "GET", "/limits").json()["DailyApiRequests"]
        assert told == {"Max": 100_000, "Remaining": 99_998}
        sandbox.systems["salesforce"].requests.allowed = 2  # type: ignore[attr-defined]
        refused = call(sandbox, "GET", "/limits")
        assert code_of(refused) == (403, "REQUEST_LIMIT_EXCEEDED")
        assert "Retry-After" not in refused.headers
