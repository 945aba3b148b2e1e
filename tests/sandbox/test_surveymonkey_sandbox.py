"""The SurveyMonkey stand-in, over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

TOKEN = "sandbox-surveymonkey"
NPS, SATISFACTION, UNANSWERED = "400000101", "400000102", "400000103"
Get = Callable[..., requests.Response]


def getter(sandbox: Sandbox, token: str = TOKEN) -> Get:
    def get(path: str, **params: object) -> requests.Response:
        url = path if path.startswith("http") else f"{sandbox.system_url('surveymonkey')}/v3{path}"
        return requests.get(url, headers={"Authorization": f"bearer {token}"}, params=params, timeout=10)

    return get


@pytest.fixture
def get(sandbox: Sandbox) -> Get:
    return getter(sandbox)


def all_rows(get: Get, path: str, **params: object) -> Iterator[dict[str, Any]]:
    body = get(path, **params).json()
    yield from body["data"]
    while "next" in body["links"]:
        body = get(body["links"]["next"]).json()
        yield from body["data"]


def order(sandbox: Sandbox, kind: str, **order: object) -> None:
    body = {"system": "surveymonkey", "kind": kind, **order}
    requests.post(f"{sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


def test_the_account_tells_its_scopes(get: Get, sandbox: Sandbox) -> None:
    assert "responses_read_detail" in get("/users/me").json()["scopes"]["granted"]
    limited = getter(sandbox, "sandbox-surveymonkey-no-details")
    assert "responses_read_detail" not in limited("/users/me").json()["scopes"]["granted"]


@pytest.mark.parametrize(
    ("header", "status", "error_id"),
    [
        ({}, 401, "1010"),
        ({"Authorization": "bearer nonsense"}, 401, "1011"),
        ({"Authorization": "bearer sandbox-surveymonkey-eu"}, 403, "1018"),
    ],
)
def test_a_wrong_token_is_refused(sandbox: Sandbox, header: dict[str, str], status: int, error_id: str) -> None:
    answer = requests.get(f"{sandbox.system_url('surveymonkey')}/v3/surveys", headers=header, timeout=10)
    assert (answer.status_code, answer.json()["error"]["id"]) == (status, error_id)
    assert answer.json()["error"]["http_status_code"] == status


def test_answers_need_the_scope_for_details(sandbox: Sandbox) -> None:
    get = getter(sandbox, "sandbox-surveymonkey-no-details")
    refused = get(f"/surveys/{NPS}/responses/bulk")
    assert (refused.status_code, refused.json()["error"]["id"]) == (403, "1014")
    assert get(f"/surveys/{NPS}/responses").ok


def test_surveys_are_thin_unless_more_is_asked_for(get: Get) -> None:
    thin = {survey["id"]: survey for survey in get("/surveys").json()["data"]}
    assert set(thin) == {NPS, SATISFACTION, UNANSWERED}
    assert set(thin[NPS]) == {"id", "title", "nickname", "href"}
    full = {survey["id"]: survey for survey in get("/surveys", include="response_count,date_modified").json()["data"]}
    assert full[NPS]["response_count"] > 0
    assert full[UNANSWERED]["response_count"] == 0
    assert datetime.fromisoformat(full[NPS]["date_modified"]).tzinfo is None


def test_the_score_stands_in_the_text_of_a_choice_and_not_in_its_weight(get: Get) -> None:
    question = get(f"/surveys/{NPS}/details").json()["pages"][0]["questions"][0]
    choices = question["answers"]["choices"]
    assert (question["family"], question["subtype"]) == ("matrix", "rating")
    assert [choices[0]["text"], choices[1]["text"], choices[10]["text"]] == [
        "Not at all likely - 0",
        "1",
        "Extremely likely - 10",
    ]
    assert [choice["weight"] for choice in choices] == [-100] * 7 + [0] * 2 + [100] * 2


def test_every_response_of_the_truth_is_there_once_with_its_score(get: Get, sandbox: Sandbox) -> None:
    choices = get(f"/surveys/{NPS}/details").json()["pages"][0]["questions"][0]["answers"]["choices"]
    position = {choice["id"]: choice["position"] - 1 for choice in choices}
    seen = {
        row["id"]: position[row["pages"][0]["questions"][0]["answers"][0]["choice_id"]]
        for row in all_rows(get, f"/surveys/{NPS}/responses/bulk", per_page=20)
    }
    people = [sandbox.truth(index) for index in range(sandbox.company.population)]
    wanted = {
        one["response_id"]: one["score"] for person in people for one in answers_of(person) if one["survey"] == "nps"
    }
    assert seen == wanted


def answers_of(person: dict[str, Any]) -> list[dict[str, Any]]:
    return list(person["survey_responses"])


def test_each_response_of_a_person_with_a_contact_leads_to_them(get: Get, sandbox: Sandbox) -> None:
    rows = [*all_rows(get, f"/surveys/{NPS}/responses/bulk"), *all_rows(get, f"/surveys/{SATISFACTION}/responses/bulk")]
    by_id = {row["id"]: row for row in rows}
    for index in range(sandbox.company.population):
        person = sandbox.truth(index)
        for answer in answers_of(person):
            if person["hubspot_contact_ids"]:
                assert leads_to(get, by_id[answer["response_id"]], person), answer


def leads_to(get: Get, row: dict[str, Any], person: dict[str, Any]) -> bool:
    if row["custom_variables"]:
        return row["custom_variables"]["crm_id"] in person["hubspot_contact_ids"]
    email = row["metadata"].get("contact", {}).get("email", {}).get("value")
    if email is None:
        email = get(f"/collectors/{row['collector_id']}/recipients/{row['recipient_id']}").json()["email"]
    return email.lower() in person["emails"]


def test_bounds_on_the_change_time_are_exclusive_and_sorting_is_honoured(get: Get) -> None:
    path = f"/surveys/{NPS}/responses/bulk"
    rows = list(all_rows(get, path, sort_by="date_modified", sort_order="ASC"))
    times = [row["date_modified"] for row in rows]
    assert times == sorted(times)
    middle = times[len(times) // 2]
    since = datetime.fromisoformat(middle).strftime("%Y-%m-%dT%H:%M:%S")
    later = list(all_rows(get, path, start_modified_at=since))
    assert {row["id"] for row in later} == {row["id"] for row in rows if row["date_modified"] > middle}
    earlier = list(all_rows(get, path, end_modified_at=since))
    assert {row["id"] for row in earlier} == {row["id"] for row in rows if row["date_modified"] < middle}


def test_simple_adds_the_words(get: Get) -> None:
    row = get(f"/surveys/{SATISFACTION}/responses/bulk", simple="true", per_page=1).json()["data"][0]
    question = row["pages"][0]["questions"][0]
    assert question["heading"].startswith("How satisfied")
    assert question["answers"][0]["simple_text"].startswith("Overall | ")


def test_collectors_share_the_responses_between_them(get: Get) -> None:
    collectors = get(f"/surveys/{NPS}/collectors", include="type,response_count").json()["data"]
    total = get(f"/surveys/{NPS}/responses").json()["total"]
    assert sum(collector["response_count"] for collector in collectors) == total
    for collector in collectors:
        rows = list(all_rows(get, f"/collectors/{collector['id']}/responses/bulk"))
        assert len(rows) == collector["response_count"]
        assert all((row["recipient_id"] not in {"", "0"}) == (collector["type"] == "email") for row in rows)


def test_contacts_are_listed_by_status_as_the_company_has_them(get: Get, sandbox: Sandbox) -> None:
    company = sandbox.company
    entries = [company.survey_contact(index) for index in range(company.population)]
    wanted = {(str(one.contact_id), one.status, one.email) for one in entries if one is not None}
    seen = {
        (row["id"], status, row["email"])
        for status in ("active", "optout", "bounced")
        for row in all_rows(get, "/contacts", status=status, per_page=7)
    }
    assert seen == wanted
    assert {status for _, status, _ in wanted} == {"active", "optout", "bounced"}


def test_the_bulk_form_of_contacts_has_custom_fields_and_lists_overlap(get: Get) -> None:
    assert "custom_fields" not in get("/contacts").json()["data"][0]
    everybody = {row["id"] for row in all_rows(get, "/contact_lists/30000001/contacts/bulk")}
    customers = list(all_rows(get, "/contact_lists/30000002/contacts/bulk"))
    assert {row["id"] for row in customers} < everybody
    assert all(row["custom_fields"]["1"].startswith("C-") for row in customers)
    assert get("/contact_fields").json()["data"][0] == {
        "id": "1",
        "label": "Customer number",
        "href": get("/contact_fields").json()["data"][0]["href"],
    }


@pytest.mark.parametrize(
    ("path", "params", "error_id"),
    [
        (f"/surveys/{NPS}/responses/bulk", {"per_page": 101}, "1003"),
        (f"/surveys/{NPS}/responses/bulk", {"page": 0}, "1003"),
        (f"/surveys/{NPS}/responses/bulk", {"start_modfied_at": "2026-01-01T00:00:00"}, "1003"),
        (f"/surveys/{NPS}/responses/bulk", {"start_modified_at": "yesterday"}, "1003"),
        ("/surveys", {"include": "everything"}, "1003"),
        ("/contacts", {"status": "gone"}, "1003"),
        ("/surveys/1/details", {}, "1020"),
        ("/nothing", {}, "1020"),
    ],
)
def test_what_makes_no_sense_is_refused_by_id(get: Get, path: str, params: dict[str, object], error_id: str) -> None:
    assert get(path, **params).json()["error"]["id"] == error_id


def test_the_minute_and_the_day_are_limited_and_told_in_headers() -> None:
    with Sandbox(people=20) as sandbox:
        get = getter(sandbox)
        sandbox.systems["surveymonkey"].day_limit = 3  # type: ignore[attr-defined]
        left = [get("/users/me").headers["X-Ratelimit-App-Global-Day-Remaining"] for _ in range(3)]
        refused = get("/users/me")
    assert left == ["2", "1", "0"]
    assert (refused.status_code, refused.json()["error"]["id"]) == (429, "1040")
    assert refused.headers["X-Ratelimit-App-Global-Day-Remaining"] == "0"
    assert 0 < int(refused.headers["X-Ratelimit-App-Global-Day-Reset"]) <= 86_400
    assert refused.headers["X-Ratelimit-App-Global-Minute-Limit"] == "120"


def test_an_ordered_limit_says_which_one_it_is(fresh_sandbox: Sandbox) -> None:
    get = getter(fresh_sandbox)
    order(fresh_sandbox, "rate_limited", seconds=7, times=1)
    refused = get("/surveys")
    assert refused.headers["X-Ratelimit-App-Global-Minute-Remaining"] == "0"
    assert refused.headers["X-Ratelimit-App-Global-Minute-Reset"] == "7"
    order(fresh_sandbox, "rate_limited", policy="day", times=1)
    assert get("/surveys").headers["X-Ratelimit-App-Global-Day-Remaining"] == "0"


def test_nothing_is_lost_where_pages_end_early(fresh_sandbox: Sandbox) -> None:
    get = getter(fresh_sandbox)
    wanted = [row["id"] for row in all_rows(get, f"/surveys/{NPS}/responses/bulk", per_page=10)]
    order(fresh_sandbox, "short_page", every=2)
    assert [row["id"] for row in all_rows(get, f"/surveys/{NPS}/responses/bulk", per_page=10)] == wanted


def test_an_expired_token_and_an_empty_account_can_be_ordered(fresh_sandbox: Sandbox) -> None:
    get = getter(fresh_sandbox)
    order(fresh_sandbox, "expire_token")
    assert get("/surveys").json()["error"]["id"] == "1012"
    order(fresh_sandbox, "empty", times=1)
    body = get(f"/surveys/{NPS}/responses/bulk").json()
    assert (body["data"], body["total"], list(body["links"])) == ([], 0, ["self"])


def test_life_going_on_brings_new_responses_at_the_end(fresh_sandbox: Sandbox) -> None:
    get = getter(fresh_sandbox)
    before = Counter(row["id"] for row in all_rows(get, f"/surveys/{NPS}/responses"))
    contacts = get("/contacts").json()["total"]
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    answer = requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).json()
    after = Counter(row["id"] for row in all_rows(get, f"/surveys/{NPS}/responses"))
    assert len(after) - len(before) == answer["survey_answers"] > 0
    newest = list(all_rows(get, f"/surveys/{NPS}/responses/bulk", sort_by="date_modified", sort_order="ASC"))
    assert {row["id"] for row in newest[-answer["survey_answers"] :]} == set(after - before)
    assert newest[-1]["date_modified"] >= started
    company = fresh_sandbox.company
    entries = [company.survey_contact(index) for index in range(company.population)]
    active = sum(one is not None and one.status == "active" for one in entries)
    assert get("/contacts").json()["total"] == active >= contacts
