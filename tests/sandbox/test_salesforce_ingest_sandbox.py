"""Ingest jobs of the Salesforce stand-in (Bulk API 2.0), over HTTP."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from tests.sandbox.salesforce_client import call, refused

UPSERT = {"object": "Contact", "operation": "upsert", "externalIdFieldName": "Customer_Id__c"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(people=100, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """The module's sandbox, as it was at the start, with quick jobs."""
    requests.post(f"{shared.url}/_sandbox/reset", timeout=10).raise_for_status()
    shared.systems["salesforce"].ingest.seconds = 0.05  # type: ignore[attr-defined]
    return shared


def upload(sandbox: Sandbox, job: str, text: str, kind: str = "text/csv") -> requests.Response:
    headers = {"Content-Type": kind}
    return call(sandbox, "PUT", f"/jobs/ingest/{job}/batches", headers=headers, data=text.encode())


def wait_for(sandbox: Sandbox, job: str) -> dict[str, Any]:
    until = time.monotonic() + 5
    while True:
        told = call(sandbox, "GET", f"/jobs/ingest/{job}").json()
        if told["state"] not in ("Open", "UploadComplete", "InProgress"):
            return dict(told)
        assert time.monotonic() < until
        time.sleep(0.02)


def run(sandbox: Sandbox, text: str, **order: Any) -> dict[str, Any]:
    """A job from its making to its end."""
    made = call(sandbox, "POST", "/jobs/ingest", UPSERT | order).json()
    assert (made["state"], made["contentUrl"].split("/")[-2:]) == ("Open", [made["id"], "batches"])
    assert upload(sandbox, made["id"], text).status_code == 201
    closed = call(sandbox, "PATCH", f"/jobs/ingest/{made['id']}", {"state": "UploadComplete"})
    assert closed.json()["state"] == "UploadComplete"
    return wait_for(sandbox, made["id"])


def results(sandbox: Sandbox, job: dict[str, Any], kind: str) -> list[dict[str, str]]:
    answer = call(sandbox, "GET", f"/jobs/ingest/{job['id']}/{kind}")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def field(sandbox: Sandbox, name: str, key: str) -> Any:
    soql = f"SELECT {name} FROM Contact WHERE Customer_Id__c = '{key}'"
    return call(sandbox, "GET", "/query", params={"q": soql}).json()["records"][0][name]


def test_every_row_is_told_of_once(sandbox: Sandbox) -> None:
    header = "Customer_Id__c,LastName,Email,Vip__c,Audiences__c"
    rows = ["b-1,Diaz,ana@box.example,true,VIP;Newsletter", "b-2,,,,", "b-3,Diaz,nonsense,,", "b-4,Diaz,,maybe,"]
    job = run(sandbox, "\n".join([header, *rows, "b-5,Diaz,,,", "B-5,Diaz,,,", '"b-6","Di""az",,0,']))
    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", 7, 5)
    done = results(sandbox, job, "successfulResults")
    assert [(row["sf__Created"], row["Customer_Id__c"], row["LastName"]) for row in done] == [
        ("true", "b-6", 'Di"az'),
        ("true", "b-1", "Diaz"),
    ]
    errors = {row["Customer_Id__c"]: row["sf__Error"].split(":")[0] for row in results(sandbox, job, "failedResults")}
    assert errors == {
        "b-2": "REQUIRED_FIELD_MISSING",
        "b-3": "INVALID_EMAIL_ADDRESS",
        "b-4": "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "b-5": "DUPLICATE_VALUE",
        "B-5": "DUPLICATE_VALUE",
    }
    assert results(sandbox, job, "unprocessedrecords") == []
    assert (field(sandbox, "Vip__c", "b-1"), field(sandbox, "Audiences__c", "b-1")) == (True, "VIP;Newsletter")


def test_an_empty_cell_leaves_and_a_mark_clears(sandbox: Sandbox) -> None:
    run(sandbox, "Customer_Id__c,LastName,FirstName,Phone\nb-1,Diaz,Ana,123\n")
    job = run(sandbox, "Customer_Id__c,FirstName,Phone\nb-1,,#N/A\n")
    assert [row["sf__Created"] for row in results(sandbox, job, "successfulResults")] == ["false"]
    assert (field(sandbox, "FirstName", "b-1"), field(sandbox, "Phone", "b-1")) == ("Ana", None)


def test_members_by_external_id_then_deleted_by_id(sandbox: Sandbox) -> None:
    run(sandbox, "Customer_Id__c,LastName\nb-1,Diaz\n")
    campaign = call(sandbox, "POST", "/sobjects/Campaign", {"Name": "VIPs"}).json()["id"]
    order = {"object": "CampaignMember", "operation": "insert", "externalIdFieldName": None}
    text = f"CampaignId,Contact.Customer_Id__c\n{campaign},b-1\n{campaign},b-1\n{campaign},nobody\n"
    job = run(sandbox, text, **order)
    errors = [row["sf__Error"].split(":")[0] for row in results(sandbox, job, "failedResults")]
    assert errors == ["INVALID_FIELD", "DUPLICATE_VALUE"]
    [made] = results(sandbox, job, "successfulResults")
    gone = run(sandbox, f"Id\n{made['sf__Id']}\n", **order | {"operation": "delete"})
    assert gone["numberRecordsFailed"] == 0
    found = call(
        sandbox, "GET", "/query", params={"q": f"SELECT Id FROM CampaignMember WHERE CampaignId = '{campaign}'"}
    )
    assert found.json()["totalSize"] == 0


@pytest.mark.parametrize(
    ("text", "order", "problem", "untried"),
    [
        ("Customer_Id__c,Colour__c\nb-1,red\n", {}, "InvalidBatch : Field name not found : Colour__c", 1),
        ("Customer_Id__c,LastName\r\nb-1,Diaz\r\n", {}, "ClientInputError : LineEnding", 1),
        ("Customer_Id__c,LastName\nb-1,Diaz\n", {"lineEnding": "CRLF"}, "ClientInputError : LineEnding", 1),
        ('Customer_Id__c,LastName\nb-1,"Diaz\n', {}, "InvalidBatch : Failed to parse CSV", 0),
        ("", {}, "InvalidBatch : No data", 0),
    ],
)
def test_a_job_fails_whole(sandbox: Sandbox, text: str, order: dict[str, str], problem: str, untried: int) -> None:
    job = run(sandbox, text, **order)
    assert (job["state"], job["numberRecordsProcessed"]) == ("Failed", 0)
    assert job["errorMessage"].startswith(problem)
    assert len(results(sandbox, job, "unprocessedrecords")) == untried


def test_a_job_that_fails_midway_leaves_rows_untried(sandbox: Sandbox) -> None:
    sandbox.systems["salesforce"].ingest.fails_after = 250  # type: ignore[attr-defined]
    rows = [f"b-{number},Diaz" for number in range(300)]
    job = run(sandbox, "\n".join(["Customer_Id__c,LastName", *rows]))
    assert (job["state"], job["numberRecordsProcessed"]) == ("Failed", 250)
    assert job["errorMessage"]
    untried = results(sandbox, job, "unprocessedrecords")
    assert {row["Customer_Id__c"] for row in untried} == {f"b-{number}" for number in range(250, 300)}
    done = {row["Customer_Id__c"] for row in results(sandbox, job, "successfulResults")}
    assert done == {f"b-{number}" for number in range(250)}


def test_a_key_may_come_again_two_hundred_rows_later(sandbox: Sandbox) -> None:
    rows = [f"b-{number},Diaz" for number in range(200)]
    job = run(sandbox, "\n".join(["Customer_Id__c,LastName", *rows, "b-1,Ruiz"]))
    assert job["numberRecordsFailed"] == 0
    assert field(sandbox, "LastName", "b-1") == "Ruiz"


def test_the_life_of_a_job(sandbox: Sandbox) -> None:
    sandbox.systems["salesforce"].ingest.seconds = 0.3  # type: ignore[attr-defined]
    job = call(sandbox, "POST", "/jobs/ingest", UPSERT).json()["id"]
    path = f"/jobs/ingest/{job}"
    assert upload(sandbox, job, "x", "application/json").status_code == 400
    assert upload(sandbox, job, "Customer_Id__c,LastName\nb-1,Diaz\n").status_code == 201
    assert refused(upload(sandbox, job, "Customer_Id__c,LastName\nb-2,Diaz\n")) == (400, "CLIENTINPUTERROR")
    time.sleep(0.35)
    assert call(sandbox, "GET", path).json()["state"] == "Open"
    assert refused(call(sandbox, "DELETE", path)) == (400, "INVALIDJOBSTATE")
    assert refused(call(sandbox, "GET", f"{path}/failedResults")) == (400, "INVALIDJOBSTATE")
    call(sandbox, "PATCH", path, {"state": "UploadComplete"})
    assert call(sandbox, "GET", path).json()["state"] == "UploadComplete"
    time.sleep(0.15)
    assert call(sandbox, "GET", path).json()["state"] == "InProgress"
    assert refused(call(sandbox, "PATCH", path, {"state": "UploadComplete"})) == (400, "INVALIDJOBSTATE")
    assert wait_for(sandbox, job)["state"] == "JobComplete"
    assert refused(call(sandbox, "PATCH", path, {"state": "Aborted"})) == (400, "INVALIDJOBSTATE")
    assert [one["id"] for one in call(sandbox, "GET", "/jobs/ingest").json()["records"]] == [job]
    assert call(sandbox, "DELETE", path).status_code == 204
    assert refused(call(sandbox, "GET", path)) == (404, "NOT_FOUND")


def test_a_job_that_is_stopped_writes_nothing(sandbox: Sandbox) -> None:
    sandbox.systems["salesforce"].ingest.seconds = 30  # type: ignore[attr-defined]
    job = call(sandbox, "POST", "/jobs/ingest", UPSERT).json()
    upload(sandbox, job["id"], "Customer_Id__c,LastName\nb-1,Diaz\n")
    for state in ("UploadComplete", "Aborted"):
        call(sandbox, "PATCH", f"/jobs/ingest/{job['id']}", {"state": state})
    assert [row["Customer_Id__c"] for row in results(sandbox, job, "unprocessedrecords")] == ["b-1"]
    assert results(sandbox, job, "successfulResults") == []


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"externalIdFieldName": None}, 400, "INVALIDJOB"),
        ({"externalIdFieldName": "LastName"}, 400, "INVALIDJOB"),
        ({"object": "Nobody"}, 400, "INVALID_TYPE"),
        ({"operation": "replace"}, 400, "JSON_PARSER_ERROR"),
        ({"operation": "hardDelete", "externalIdFieldName": None}, 400, "FEATURENOTENABLED"),
    ],
)
def test_a_wrong_job_is_not_made(sandbox: Sandbox, order: dict[str, Any], status: int, code: str) -> None:
    assert refused(call(sandbox, "POST", "/jobs/ingest", UPSERT | order)) == (status, code)


def test_who_may_purge_takes_records_out_for_good(sandbox: Sandbox) -> None:
    sandbox.systems["salesforce"].ingest.may_purge = True  # type: ignore[attr-defined]
    job = run(sandbox, "Customer_Id__c,LastName\nb-1,Diaz\n")
    made = results(sandbox, job, "successfulResults")[0]["sf__Id"]
    first = call(sandbox, "GET", "/query", params={"q": "SELECT Id FROM Contact LIMIT 1"}).json()["records"][0]["Id"]
    run(sandbox, f"Id\n{made}\n{first}\n", operation="hardDelete", externalIdFieldName=None)
    found = call(sandbox, "GET", "/queryAll", params={"q": f"SELECT Id FROM Contact WHERE Id IN ('{made}', '{first}')"})
    assert found.json()["totalSize"] == 0


def test_faults_refuse_rows_of_jobs(sandbox: Sandbox) -> None:
    order = {"system": "salesforce", "kind": "refuse_rows", "path": "jobs/ingest", "share": 0.5}
    requests.post(f"{sandbox.url}/_sandbox/faults", json=order, timeout=10).raise_for_status()
    job = run(sandbox, "\n".join(["Customer_Id__c,LastName", *(f"b-{number},Diaz" for number in range(60))]))
    assert 10 < job["numberRecordsFailed"] < 50
    codes = {row["sf__Error"].split(":")[0] for row in results(sandbox, job, "failedResults")}
    assert codes == {"FIELD_CUSTOM_VALIDATION_EXCEPTION"}


def test_batches_count_against_the_day(sandbox: Sandbox) -> None:
    run(sandbox, "Customer_Id__c,LastName\nb-1,Diaz\n")
    told = call(sandbox, "GET", "/limits").json()["DailyBulkApiBatches"]
    assert told == {"Max": 15_000, "Remaining": 14_999}
