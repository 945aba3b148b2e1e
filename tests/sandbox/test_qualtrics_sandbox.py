"""The Qualtrics stand-in, over HTTP."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

NPS, SERVICE = "SV_sandboxNps00001", "SV_sandboxService1"
DIRECTORY = "/directories/POOL_sandbox00000001"
CUSTOMERS = f"{DIRECTORY}/mailinglists/CG_sandboxCustom01/contacts"
TOKEN = {"X-API-TOKEN": "sandbox-qualtrics"}


def get(sandbox: Sandbox, path: str, headers: dict[str, str] = TOKEN, **params: Any) -> requests.Response:
    url = f"{sandbox.system_url('qualtrics')}/API/v3{path}"
    return requests.get(url, headers=headers, params=params, timeout=10)


def error_of(answer: requests.Response) -> str:
    meta = answer.json()["meta"]
    assert meta["httpStatus"].startswith(f"{answer.status_code} - ")
    return str(meta["error"]["errorMessage"])


def walk(sandbox: Sandbox, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    """All rows of a list, by the address of the next page."""
    page = get(sandbox, path, **params).json()["result"]
    yield from page["elements"]
    while page["nextPage"]:
        page = requests.get(page["nextPage"], headers=TOKEN, timeout=10).json()["result"]
        yield from page["elements"]


def start(sandbox: Sandbox, survey: str, body: object) -> requests.Response:
    url = f"{sandbox.system_url('qualtrics')}/API/v3/surveys/{survey}/export-responses"
    return requests.post(url, headers=TOKEN, json=body, timeout=10)


def finish(sandbox: Sandbox, survey: str, progress_id: str) -> dict[str, Any]:
    """The job's last answer, whether it is complete or failed."""
    while True:
        state: dict[str, Any] = get(sandbox, f"/surveys/{survey}/export-responses/{progress_id}").json()["result"]
        if state["status"] != "inProgress":
            return state
        assert state["fileId"] is None
        time.sleep(0.05)


def export(sandbox: Sandbox, survey: str, **options: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of an export as NDJSON, and the token to go on with."""
    started = start(sandbox, survey, {"format": "ndjson", **options}).json()["result"]
    state = finish(sandbox, survey, started["progressId"])
    content = get(sandbox, f"/surveys/{survey}/export-responses/{state['fileId']}/file").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return [json.loads(line) for line in archive.read(name).splitlines()], state.get("continuationToken")


def advance(sandbox: Sandbox, share: float) -> None:
    requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": share}, timeout=10).raise_for_status()


@pytest.mark.parametrize("headers", [{}, {"X-API-TOKEN": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_wrong_credentials_are_refused(sandbox: Sandbox, headers: dict[str, str]) -> None:
    answer = get(sandbox, "/whoami", headers)
    assert answer.status_code == 401
    assert error_of(answer)


def test_a_user_without_the_directory_is_refused_there_alone(sandbox: Sandbox) -> None:
    token = {"X-API-TOKEN": "sandbox-qualtrics-surveys"}
    assert get(sandbox, "/surveys", token).ok
    answer = get(sandbox, f"{DIRECTORY}/contacts", token)
    assert (answer.status_code, "XM Directory" in error_of(answer)) == (403, True)


def test_client_credentials_give_a_token_for_the_scopes_asked_for(sandbox: Sandbox) -> None:
    url, client = f"{sandbox.system_url('qualtrics')}/oauth2/token", ("sandbox-client", "sandbox-secret")
    form = {"grant_type": "client_credentials", "scope": "read:surveys"}
    issued = requests.post(url, data=form, auth=client, timeout=10).json()
    assert (issued["token_type"], issued["expires_in"]) == ("Bearer", 3600)
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}
    assert get(sandbox, "/surveys", bearer).ok
    assert "read:directories" in error_of(get(sandbox, "/directories", bearer))
    assert requests.post(url, data=form, auth=("sandbox-client", "no"), timeout=10).status_code == 401
    wrong = requests.post(url, data={**form, "scope": "read:all"}, auth=client, timeout=10)
    assert (wrong.status_code, wrong.json()) == (400, {"error": "invalid_scope"})


def test_surveys_are_paged_and_described_in_two_ways(sandbox: Sandbox) -> None:
    surveys = list(walk(sandbox, "/surveys", pageSize=2))
    assert [set(survey) for survey in surveys] == 3 * [
        {"id", "name", "ownerId", "lastModified", "creationDate", "isActive"}
    ]
    questions = get(sandbox, f"/survey-definitions/{SERVICE}").json()["result"]["Questions"]
    assert questions["QID2"]["Answers"]["5"] == {"Display": "Very good"}
    assert get(sandbox, f"/surveys/{SERVICE}").json()["result"]["questions"]["QID1"]["questionName"] == "service"
    assert get(sandbox, "/surveys/SV_none").status_code == 404


def test_an_export_is_complete_by_its_status_alone(sandbox: Sandbox) -> None:
    started = start(sandbox, NPS, {"format": "json", "compress": False}).json()["result"]
    first = get(sandbox, f"/surveys/{NPS}/export-responses/{started['progressId']}").json()["result"]
    assert first == {"percentComplete": 100.0, "status": "inProgress", "fileId": None}
    state = finish(sandbox, NPS, started["progressId"])
    rows = get(sandbox, f"/surveys/{NPS}/export-responses/{state['fileId']}/file").json()["responses"]
    assert rows == export(sandbox, NPS)[0]
    assert get(sandbox, f"/surveys/{NPS}/responses/{rows[0]['responseId']}").json()["result"] == rows[0]


def test_metadata_stands_among_the_values_or_beside_them(sandbox: Sandbox) -> None:
    (among, *_), (beside, *_) = export(sandbox, NPS)[0], export(sandbox, SERVICE)[0]
    assert "recordedDate" in among["values"]
    assert "recordedDate" not in among
    assert "recordedDate" in beside
    assert "recordedDate" not in beside["values"]


def test_dates_and_chosen_fields_narrow_an_export(sandbox: Sandbox) -> None:
    rows, _ = export(sandbox, NPS)
    edge = rows[len(rows) // 2]["values"]["recordedDate"]
    late, _ = export(sandbox, NPS, startDate=edge)
    early, _ = export(sandbox, NPS, endDate=edge)
    assert {row["responseId"] for row in early + late} == {row["responseId"] for row in rows}
    assert len(early) + len(late) == len(rows)
    (row, *_), _ = export(sandbox, NPS, questionIds=["QID1"], embeddedDataIds=[], surveyMetadataIds=["recordedDate"])
    assert set(row["values"]) == {"QID1", "QID1_NPS_GROUP", "recordedDate"}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "format"),
        ({"format": "csv"}, "format"),
        ({"format": "json", "useLabels": True}, "useLabels"),
        ({"format": "json", "startdate": "2026-01-01T00:00:00Z"}, "startdate"),
        ({"format": "json", "startDate": "yesterday"}, "startDate"),
        ({"format": "json", "continuationToken": "wrong"}, "continuation"),
    ],
)
def test_exports_that_cannot_be_made_are_refused(sandbox: Sandbox, body: object, name: str) -> None:
    answer = start(sandbox, NPS, body)
    assert (answer.status_code, name in error_of(answer)) == (400, True)


def test_contacts_are_paged_without_gaps(sandbox: Sandbox) -> None:
    rows = list(walk(sandbox, f"{DIRECTORY}/contacts", pageSize=7, includeEmbedded="true"))
    assert len({row["contactId"] for row in rows}) == len(rows) > 100
    assert all("embeddedData" in row for row in rows)
    members = list(walk(sandbox, CUSTOMERS, pageSize=50, useNewPaginationScheme="true"))
    assert {row["contactId"] for row in members} < {row["contactId"] for row in rows}
    assert all(row["contactLookupId"].startswith("CGC_") and "embeddedData" not in row for row in members)


@pytest.mark.parametrize(
    ("path", "params", "name"),
    [
        (CUSTOMERS, {"pageSize": 51}, "pageSize"),
        (f"{DIRECTORY}/contacts", {"pagesize": 10}, "pagesize"),
        (f"{DIRECTORY}/contacts", {"skipToken": "%"}, "skipToken"),
        (f"{DIRECTORY}/contacts", {"includeEmbedded": "yes"}, "includeEmbedded"),
        ("/distributions", {}, "surveyId"),
    ],
)
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, path: str, params: dict[str, Any], name: str) -> None:
    answer = get(sandbox, path, **params)
    assert (answer.status_code, f"'{name}'" in error_of(answer)) == (400, True)


def test_who_opted_out_is_listed_and_marked(sandbox: Sandbox) -> None:
    left = list(walk(sandbox, f"{DIRECTORY}/contacts/optedOutContacts"))
    marked = {row["contactId"] for row in walk(sandbox, f"{DIRECTORY}/contacts") if row["unsubscribed"]}
    assert left
    assert {row["contactId"] for row in left} == marked
    one = get(sandbox, f"{DIRECTORY}/contacts/{left[0]['contactId']}").json()["result"]
    assert one["directoryUnsubscribed"] is True
    assert one["directoryUnsubscribeDate"] == one["lastModified"]


def test_contacts_and_responses_are_whose_the_truth_says(sandbox: Sandbox) -> None:
    people: dict[str, Any] = {}
    for index in range(sandbox.company.people):
        truth: Any = sandbox.truth(index)
        person = sandbox.company.person(index)
        people |= dict.fromkeys([*truth["qualtrics_contacts"], *truth["qualtrics_responses"]], person)
    for row in walk(sandbox, f"{DIRECTORY}/contacts"):
        assert (row["email"] or "").lower() in ("", *people[row["contactId"]].emails)
        assert row["extRef"] in (None, people[row["contactId"]].customer_id)
    for row in export(sandbox, NPS)[0] + export(sandbox, SERVICE)[0]:
        said, person = row["values"], people[row["responseId"]]
        assert said.get("customer_id") in (None, person.customer_id)
        assert (said.get("recipientEmail") or person.email).lower() in person.emails
        assert (said.get("QID3_TEXT") or person.email) in person.emails


def test_the_history_leads_from_a_response_to_its_contact(sandbox: Sandbox) -> None:
    (sent,) = walk(sandbox, "/distributions", surveyId=NPS)
    history = list(walk(sandbox, f"/distributions/{sent['id']}/history"))
    given = {row["responseId"]: row["contactId"] for row in history if row["responseId"]}
    invited = [row for row in export(sandbox, NPS)[0] if row["values"]["distributionChannel"] != "anonymous"]
    assert set(given) == {row["responseId"] for row in invited}
    assert list(walk(sandbox, "/distributions", surveyId=SERVICE)) == []


def test_a_continuation_gives_only_what_came_since(fresh_sandbox: Sandbox) -> None:
    before, token = export(fresh_sandbox, NPS, allowContinuation=True)
    assert export(fresh_sandbox, NPS, continuationToken=token)[0] == []
    advance(fresh_sandbox, 0.5)
    since, later = export(fresh_sandbox, NPS, continuationToken=token)
    after, _ = export(fresh_sandbox, NPS)
    known, now = ({row["responseId"] for row in rows} for rows in (before, after))
    assert {row["responseId"] for row in since} == now - known
    assert known - now
    assert later != token


def test_edited_responses_come_by_the_time_of_their_last_change(fresh_sandbox: Sandbox) -> None:
    advance(fresh_sandbox, 0.5)
    recently = f"{fresh_sandbox.company.today}T00:00:00Z"
    recorded = {row["responseId"] for row in export(fresh_sandbox, NPS, startDate=recently)[0]}
    changed = export(fresh_sandbox, NPS, startDate=recently, sortByLastModifiedDate=True)[0]
    assert recorded < {row["responseId"] for row in changed}


def test_contacts_are_deleted_merged_and_added_when_life_goes_on(fresh_sandbox: Sandbox) -> None:
    before = {row["contactId"] for row in walk(fresh_sandbox, f"{DIRECTORY}/contacts")}
    advance(fresh_sandbox, 0.5)
    after = {row["contactId"] for row in walk(fresh_sandbox, f"{DIRECTORY}/contacts")}
    assert before - after
    assert after - before


def test_an_export_can_fail(fresh_sandbox: Sandbox) -> None:
    fault = {"system": "qualtrics", "kind": "refuse_rows", "path": "export-responses$"}
    requests.post(f"{fresh_sandbox.url}/_sandbox/faults", json=fault, timeout=10).raise_for_status()
    started = start(fresh_sandbox, NPS, {"format": "ndjson"}).json()["result"]
    state = finish(fresh_sandbox, NPS, started["progressId"])
    assert (state["status"], state["fileId"], "errorCode" in state["error"]) == ("failed", None, True)


def test_more_than_fifteen_exports_a_minute_are_refused() -> None:
    with Sandbox(people=10) as sandbox:
        answers = [start(sandbox, NPS, {"format": "ndjson"}) for _ in range(16)]
        assert [answer.status_code for answer in answers] == 15 * [200] + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0
