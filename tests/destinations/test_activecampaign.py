"""ActiveCampaign as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr

from millstream.destinations.activecampaign import ActiveCampaign, ActiveCampaignSettings
from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, Status
from millstream.sandbox import Sandbox
from millstream.sandbox.activecampaign.account import ActiveCampaign as Account
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
)
from millstream.state.http import Retries

SYSTEM = "activecampaign"
ROOT = "https://activecampaign.test/api/3"
IMPORT = f"{ROOT}/import/bulk_import"
QUEUED = {"Success": 1, "queued_contacts": 1, "batchId": "b-1", "message": "Contact import queued"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        account = running.systems["activecampaign"]
        assert isinstance(account, Account)
        account.imports.seconds = 0.02
        yield running


def connect(sandbox: Sandbox, key: str = "sandbox-activecampaign", **settings: object) -> ActiveCampaign:
    given = {"base_url": f"{sandbox.url}/activecampaign", "api_key": key, "requests_per_second": 500, **settings}
    return ActiveCampaign(ActiveCampaignSettings.model_validate(given))


@pytest.fixture
def account(sandbox: Sandbox) -> ActiveCampaign:
    return connect(sandbox)


@pytest.fixture
def lists(sandbox: Sandbox) -> ActiveCampaign:
    return connect(sandbox, audience_kind="list")


@pytest.fixture
def offline() -> ActiveCampaign:
    """Against no vendor but ``alone``, with waits too short to notice."""
    made = ActiveCampaign(ActiveCampaignSettings(base_url=ROOT, api_key=SecretStr("key"), requests_per_second=500))
    made._https[""] = Http(
        system=made.name,
        base_url=ROOT,
        auth=made.auth(),
        limit=made.pace(),
        classify=made.classify,
        retries=Retries(attempts=3, first_wait=0.001),
    )
    return made


def people(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/activecampaign", timeout=10).json()
    return {found["match"]["email"].lower(): found for found in state["people"]}


def on_list(sandbox: Sandbox, name: str, status: str) -> str:
    return next(email for email, found in people(sandbox).items() if found["lists"].get(name) == status)


def row(number: int, email: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=email, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def job(destination: ActiveCampaign, rows: list[DeliveryRow], audience: str | None = None, **how: Any) -> list[Outcome]:
    """What a job makes of rows, as the engine asks for it."""
    operation = how.get("operation", Operation.ADD)
    job_id = destination.submit_job(
        operation, rows, match_key="email", audience_id=audience, creates=how.get("creates", True), label="plan-0-1"
    )
    until = time.monotonic() + 10
    while not destination.poll_job(job_id).done:
        assert time.monotonic() < until
        time.sleep(0.01)
    return type(destination)(destination.settings).job_outcomes(job_id, operation, rows)


# Settings


@pytest.mark.parametrize("given", ["https://shop.api-us1.com", "https://shop.api-us1.com/api/3/"])
def test_the_address_is_taken_as_it_is_shown(given: str) -> None:
    settings = ActiveCampaignSettings(base_url=given, api_key=SecretStr("k"))
    assert settings.base_url == "https://shop.api-us1.com/api/3"


# Nobody is subscribed again


@pytest.mark.parametrize("status", ["unsubscribed", "bounced", "unconfirmed"])
@pytest.mark.parametrize("as_job", [False, True], ids=["few", "job"])
def test_who_may_not_be_subscribed_is_suppressed_and_left_so(
    sandbox: Sandbox, lists: ActiveCampaign, status: str, as_job: bool
) -> None:
    email, before = on_list(sandbox, "Newsletter", status), people(sandbox)
    audience = lists.ensure_audience("Newsletter")
    rows = [row(1, email, first_name="Ana")]
    outcomes = job(lists, rows, audience) if as_job else lists.add_members(audience, rows, match_key="email")
    assert statuses(outcomes) == [("suppressed", status)]
    assert people(sandbox)[email] == before[email]


def test_a_list_takes_new_people_and_those_who_are_on_it(sandbox: Sandbox, lists: ActiveCampaign) -> None:
    audience, member = lists.ensure_audience("Newsletter"), on_list(sandbox, "Newsletter", "subscribed")
    outcomes = job(lists, [row(1, "new-on-list@box.example"), row(2, member)], audience)
    assert statuses(outcomes) == [("accepted", None)] * 2
    assert people(sandbox)["new-on-list@box.example"]["lists"] == {"Newsletter": "subscribed"}
    lists.upsert([row(3, "few-on-list@box.example")], match_key="email")
    few = lists.add_members(
        audience, [row(3, "few-on-list@box.example"), row(4, "nobody@box.example")], match_key="email"
    )
    assert statuses(few) == [("accepted", None), ("rejected", "not_found")]
    assert {"new-on-list@box.example", "few-on-list@box.example", member} <= set(lists.read_back(audience))


def test_nobody_is_unsubscribed_by_leaving_a_list(sandbox: Sandbox, lists: ActiveCampaign) -> None:
    member, audience = on_list(sandbox, "Customers", "subscribed"), lists.ensure_audience("Customers")
    outcomes = lists.remove_members(audience, [row(1, member)], match_key="email")
    assert statuses(outcomes) == [("rejected", "stays_on_list")]
    assert outcomes[0].fault == "configuration"
    assert people(sandbox)[member]["lists"]["Customers"] == "subscribed"


def test_statuses_are_asked_for_one_by_one_where_they_do_not_come_along(
    offline: ActiveCampaign, alone: responses.RequestsMock
) -> None:
    contact = {"id": "7", "email": "ana@box.example"}
    alone.get(f"{ROOT}/contacts", json={"contacts": [contact]})
    link = {"id": "9", "contact": "7", "list": "3", "status": "2"}
    alone.get(f"{ROOT}/contacts/7/contactLists", json={"contactLists": [link]})
    outcomes = job(offline, [row(1, "ana@box.example", "7")], "list:3")
    assert statuses(outcomes) == [("suppressed", "unsubscribed")]
    assert not [call for call in alone.calls if call.request.method != "GET"]


def test_no_request_sets_the_status_of_a_list(sandbox: Sandbox, lists: ActiveCampaign) -> None:
    requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
    audience = lists.ensure_audience("Newsletter")
    rows = [row(number, f"none-sets-{number}@box.example") for number in range(3)]
    job(lists, rows, audience)
    lists.add_members(audience, rows, match_key="email")
    lists.remove_members(audience, rows, match_key="email")
    counted = requests.get(f"{sandbox.url}/_sandbox/requests", timeout=10).json()["systems"]["activecampaign"]
    assert not [one for one in counted if one["route"].endswith("/contactLists") and one["method"] != "GET"]


@pytest.mark.parametrize("standing", ["unsubscribed", "bounced", "unconfirmed", "subscribed"])
def test_tags_and_fields_leave_subscriptions_alone(sandbox: Sandbox, account: ActiveCampaign, standing: str) -> None:
    before = people(sandbox)
    email = next(email for email, found in before.items() if found["standing"] == standing)
    audience = account.ensure_audience("Consent")
    outcomes = job(account, [row(1, email, CITY="Ulm")], audience)
    members = [row(1, email, outcomes[0].external_id)]
    account.update([row(1, email, outcomes[0].external_id, CITY="Bonn")], match_key="email")
    account.remove_members(audience, members, match_key="email")
    after = people(sandbox)[email]
    assert (after["lists"], after["standing"], after["resubscribed"]) == (
        before[email]["lists"],
        standing,
        before[email]["resubscribed"],
    )


# Imports


def test_an_import_creates_changes_and_tags(sandbox: Sandbox, account: ActiveCampaign) -> None:
    audience = account.ensure_audience("Imported")
    rows = [row(number, f"import-{number}@box.example", first_name="Ana", CITY="Rome") for number in range(120)]
    calls = account.calls
    outcomes = job(account, rows, audience)
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert account.calls - calls <= account.job_requests + 3  # custom fields, and two more looks
    found = people(sandbox)
    assert [found[one.match_value]["id"] for one in rows] == [outcome.external_id for outcome in outcomes]
    assert found["import-7@box.example"]["fields"] == {"first_name": "Ana", "CITY": "Rome"}
    assert sorted(account.read_back(audience)) == sorted(one.match_value for one in rows)
    assert {member.external_id for member in account.read_members(audience)} == {one.external_id for one in outcomes}


def test_a_bad_contact_does_not_keep_the_others_out(sandbox: Sandbox, account: ActiveCampaign) -> None:
    audience = account.ensure_audience("Some bad")
    rows = [row(number, f"some-{number}@box.example") for number in range(12)]
    rows[4], rows[5] = row(4, "bad@@example", first_name="Bo"), row(5, "somebody@excluded.box.example")
    outcomes = job(account, rows, audience)
    assert [code for _, code in statuses(outcomes)].count(None) == 10
    assert outcomes[4].status is Status.REJECTED
    assert "bad@@example" not in str(outcomes[4].reason)
    assert statuses(outcomes)[5] == ("suppressed", "excluded")
    assert len(list(account.read_back(audience))) == 10


@pytest.mark.parametrize("counts_from", [0, 1])
def test_a_refused_contact_is_found_however_it_is_counted(
    offline: ActiveCampaign, alone: responses.RequestsMock, counts_from: int
) -> None:
    rows = [row(number, f"{name}@box.example") for number, name in enumerate(("ana", "ben", "cem", "dia"), start=10)]
    refusal = {"success": 0, "failureReasons": [{"contact": 2 + counts_from, "failureReason": "no good"}]}
    alone.post(IMPORT, status=400, json=refusal)
    alone.post(IMPORT, json=QUEUED)
    job_id = offline.submit_job(
        Operation.UPDATE, rows, match_key="email", audience_id=None, creates=True, label="plan-1-4"
    )
    second = orjson.loads(alone.calls[1].request.body or b"")
    assert "cem@box.example" not in [contact["email"] for contact in second["contacts"]]
    done = {"status": "completed", "success": ["1", "2"], "failure": []}
    alone.get(f"{ROOT}/import/info", json=done)
    alone.get(f"{ROOT}/contacts", json={"contacts": [{"id": "1", "email": "ana@box.example"}]})
    for name in ("ben", "cem") if counts_from == 0 else ("cem", "dia"):
        answer = {"contact": {"id": f"id of {name}"}}
        bad = {"errors": [{"title": "Email address is not valid.", "code": "email_invalid"}]}
        sent = responses.matchers.json_params_matcher({"contact": {"email": f"{name}@box.example"}})
        status, body = (422, bad) if name == "cem" else (200, answer)
        alone.post(f"{ROOT}/contact/sync", status=status, json=body, match=[sent])
    by_name = dict(zip(("ana", "ben", "cem", "dia"), offline.job_outcomes(job_id, Operation.UPDATE, rows), strict=True))
    assert by_name["ana"].external_id == "1"
    assert (by_name["cem"].status, by_name["cem"].code) == (Status.REJECTED, "email_invalid")
    neighbour = "ben" if counts_from == 0 else "dia"
    assert by_name[neighbour].external_id == f"id of {neighbour}"


def test_an_import_refused_for_no_contact_is_halved_by_the_engine(
    offline: ActiveCampaign, alone: responses.RequestsMock
) -> None:
    alone.post(IMPORT, status=400, json={"success": 0, "failureReasons": ["Invalid or unparsable json"]})
    with pytest.raises(RefusedError):
        job(offline, [row(1, "ana@box.example"), row(2, "ben@box.example")])


def test_too_many_imports_are_a_throttle(offline: ActiveCampaign, alone: responses.RequestsMock) -> None:
    offline._https[""]._session._retries = Retries(attempts=1, longest_retry_after=300.0)
    offline.http.pacer.sleep = lambda seconds: None
    told = {"success": 0, "message": "Rate limit exceeded.", "failureReasons": ["Up to 100 imports ..."]}
    alone.post(IMPORT, status=400, json=told)
    with pytest.raises(RateLimitedError) as raised:
        job(offline, [row(1, "ana@box.example")])
    assert raised.value.retry_after == 60.0


@pytest.mark.parametrize(
    ("status", "done"),
    [(False, False), ("waiting", False), ("claimed", False), ("active", False), ("completed", True), ("failed", True)],
)
def test_an_import_has_ended_when_its_status_says_so(
    offline: ActiveCampaign, alone: responses.RequestsMock, status: object, done: bool
) -> None:
    alone.get(f"{ROOT}/import/info", json={"status": status, "success": [], "failure": []})
    assert offline.poll_job('{"batch":"b-1"}').done is done


def test_an_import_that_is_no_longer_known_is_not_waited_for(
    offline: ActiveCampaign, alone: responses.RequestsMock
) -> None:
    alone.get(f"{ROOT}/import/info", status=404, json={"message": "No Result found"})
    with pytest.raises(RefusedError, match="no longer knows"):
        offline.poll_job('{"batch":"b-1"}')


def test_rows_that_no_result_names_are_tried_again(offline: ActiveCampaign, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/import/info", json={"status": "interrupted", "success": [], "failure": []})
    outcomes = offline.job_outcomes('{"batch":"b-1"}', Operation.UPDATE, [row(1, "ana@box.example")])
    assert statuses(outcomes) == [("retry_later", "not_in_results")]


def test_what_an_import_would_pass_over_is_cleared_after_it(sandbox: Sandbox, account: ActiveCampaign) -> None:
    email = "cleared@box.example"
    job(account, [row(1, email, first_name="Ana", CITY="Rome")])
    assert statuses(job(account, [row(1, email, first_name="Bea", CITY=None)], operation=Operation.UPDATE)) == [
        ("accepted", None)
    ]
    fields = people(sandbox)[email]["fields"]
    assert (fields["first_name"], fields.get("CITY") or "") == ("Bea", "")


def test_imports_can_leave_automations_alone(alone: responses.RequestsMock) -> None:
    settings = ActiveCampaignSettings(base_url=ROOT, api_key=SecretStr("k"), run_automations=False)
    alone.post(IMPORT, json=QUEUED)
    ActiveCampaign(settings).submit_job(
        Operation.ADD, [row(1, "ana@box.example")], match_key="email", audience_id=None, creates=True, label="x"
    )
    assert orjson.loads(alone.calls[0].request.body or b"")["exclude_automations"] is True


def test_a_job_in_mode_update_imports_those_who_are_there_alone(sandbox: Sandbox, account: ActiveCampaign) -> None:
    account.upsert([row(1, "there@box.example")], match_key="email")
    rows = [row(1, "there@box.example", CITY="Ulm"), row(2, "stranger@box.example", CITY="Ulm")]
    outcomes = job(account, rows, operation=Operation.UPDATE, creates=False)
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_found")]
    assert "stranger@box.example" not in people(sandbox)


# Contacts and tags


def test_values_are_written_as_the_kind_of_field_wants_them(sandbox: Sandbox, account: ActiveCampaign) -> None:
    fields: dict[str, FieldValue] = {
        "first_name": "Zoë",
        "City": 12.0,
        "%BIRTHDAY%": "1990-02-01",
        "last_visit": "2026-11-01 10:00:00+00",
        "Interests": "Coffee||Tea",
    }
    rows = [DeliveryRow(number=1, match_value="kinds@box.example", fields=fields)]
    assert statuses(account.upsert(rows, match_key="email")) == [("accepted", None)]
    assert people(sandbox)["kinds@box.example"]["fields"] == {
        "first_name": "Zoë",
        "CITY": "12",
        "BIRTHDAY": "1990-02-01",
        "LAST_VISIT": "2026-11-01T10:00:00+00:00",
        "INTERESTS": "||Coffee||Tea||",
    }


def test_a_contact_is_changed_by_its_id_and_found_again_by_its_address(
    sandbox: Sandbox, account: ActiveCampaign
) -> None:
    [made] = account.upsert([row(1, "changed@box.example")], match_key="email")
    rows = [row(1, "changed@box.example", made.external_id, CITY="Ulm")]
    calls = account.calls
    account.missing_fields(["CITY"])
    assert statuses(account.update(rows, match_key="email")) == [("accepted", None)]
    assert account.calls - calls == 2  # the custom fields, and the change
    stale = [row(1, "changed@box.example", "987654321", CITY="Bonn")]
    assert [outcome.external_id for outcome in account.update(stale, match_key="email")] == [made.external_id]
    assert people(sandbox)["changed@box.example"]["fields"]["CITY"] == "Bonn"
    nobody = [row(1, "never-seen@box.example", "987654321", CITY="Bonn")]
    assert statuses(account.update(nobody, match_key="email")) == [("rejected", "not_found")]


def test_a_contact_that_is_gone_is_rejected_on_the_way_in_and_out_already(account: ActiveCampaign) -> None:
    audience = account.ensure_audience("Gone")
    gone = [row(1, "gone@box.example", "987654321")]
    assert statuses(account.add_members(audience, gone, match_key="email")) == [("rejected", "record_missing")]
    assert statuses(account.remove_members(audience, gone, match_key="email")) == [("accepted", None)]


def test_a_tag_that_was_deleted_is_told_from_a_missing_contact(account: ActiveCampaign) -> None:
    [made] = account.upsert([row(1, "tagged@box.example")], match_key="email")
    with pytest.raises(NotFoundError, match="no tag 987"):
        account.add_members("tag:987", [row(1, "tagged@box.example", made.external_id)], match_key="email")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"title": "Email address is not valid.", "code": "email_invalid"}, ("rejected", "email_invalid")),
        ({"title": "ana@box.example matches an exclusion pattern"}, ("suppressed", "excluded")),
        ({"title": "Contact Email Address is required"}, ("rejected", "contact_email_address_is_required")),
        ({}, ("rejected", "http_422")),
    ],
)
def test_a_refusal_of_one_contact_is_read(
    offline: ActiveCampaign, alone: responses.RequestsMock, fault: dict[str, str], expected: tuple[str, str]
) -> None:
    alone.post(f"{ROOT}/contact/sync", status=422, json={"errors": [fault]})
    outcomes = offline.upsert([row(1, "ana@box.example")], match_key="email")
    assert statuses(outcomes) == [expected]
    assert "ana@box.example" not in str(outcomes[0].reason)


def test_what_was_done_counts_when_the_vendor_gives_up(offline: ActiveCampaign, alone: responses.RequestsMock) -> None:
    alone.post(f"{ROOT}/contact/sync", json={"contact": {"id": "1"}})
    alone.post(f"{ROOT}/contact/sync", status=503)
    outcomes = offline.upsert([row(1, "ana@box.example"), row(2, "ben@box.example")], match_key="email")
    assert statuses(outcomes) == [("accepted", None), ("retry_later", "unavailable")]


# Audiences and fields


def test_a_tag_made_meanwhile_is_used(offline: ActiveCampaign, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/tags", json={"tags": [{"id": "4", "tag": "VIP gold"}]})
    taken = {"errors": [{"title": "There is already a tag named 'VIP'", "code": "duplicate"}]}
    alone.post(f"{ROOT}/tags", status=422, json=taken)
    alone.get(f"{ROOT}/tags", json={"tags": [{"id": "4", "tag": "VIP gold"}, {"id": "5", "tag": "vip"}]})
    assert offline.ensure_audience("VIP") == "tag:5"
    # An import names tags by their text, which is to be that of the tag that is there.
    queued = alone.post(IMPORT, json=QUEUED)
    offline.submit_job(
        Operation.ADD, [row(1, "ana@box.example")], match_key="email", audience_id="tag:5", creates=True, label="x"
    )
    assert orjson.loads(queued.calls[0].request.body or b"")["contacts"][0]["tags"] == ["vip"]


def test_a_tag_is_taken_off_who_has_a_hundred_others(offline: ActiveCampaign, alone: responses.RequestsMock) -> None:
    links = [{"id": str(number), "tag": str(number)} for number in range(1, 131)]

    def page(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        query = parse_qs(urlsplit(str(request.url)).query)
        start, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["20"])[0])
        return 200, {}, orjson.dumps({"contactTags": links[start : start + limit]})

    alone.add_callback(responses.GET, f"{ROOT}/contacts/7/contactTags", page)
    off = alone.delete(f"{ROOT}/contactTags/130", status=200)
    outcomes = offline.remove_members("tag:130", [row(1, "ana@box.example", "7")], match_key="email")
    assert statuses(outcomes) == [("accepted", None)]
    assert off.call_count == 1


def test_a_list_is_made_only_with_its_senders_facts(sandbox: Sandbox, lists: ActiveCampaign) -> None:
    with pytest.raises(ConfigurationError, match="no list"):
        lists.ensure_audience("Winback")
    facts = {"list_sender_url": "https://shop.example.com", "list_sender_reminder": "You bought from us."}
    made = connect(sandbox, audience_kind="list", list_group_ids=[3], **facts).ensure_audience("Winback")
    assert lists.ensure_audience("winback") == made


def test_a_field_that_is_missing_stops_the_sync(account: ActiveCampaign) -> None:
    assert account.missing_fields(["first_name", "CITY", "city", "Shop id", "favourite_colour", "email"]) == [
        "favourite_colour",
        "email",
    ]
    with pytest.raises(ConfigurationError, match="favourite_colour"):
        account.upsert([row(1, "ana@box.example", favourite_colour="red")], match_key="email")


def test_a_field_is_made_and_shown_for_all_lists(sandbox: Sandbox, account: ActiveCampaign) -> None:
    account.create_field("Loyalty level", "date")
    account.create_field("Loyalty level", "date")  # as by a process that did not see the first
    url = f"{sandbox.url}/activecampaign/api/3/fields?filters[perstag]=LOYALTY_LEVEL"
    found = requests.get(url, headers={"Api-Token": "sandbox-activecampaign"}, timeout=10).json()
    assert [(field["title"], field["type"]) for field in found["fields"]] == [("Loyalty level", "date")]
    assert [rel["relid"] for rel in found["fieldRels"]] == ["0"]
    assert account.missing_fields(["Loyalty level", "LOYALTY_LEVEL"]) == []


def test_a_field_that_was_made_by_a_request_whose_answer_was_lost_is_shown_too(
    sandbox: Sandbox, account: ActiveCampaign, faults: Any
) -> None:
    """It is not to be seen before a second request says where."""
    faults(kind="reset", when="after", times=1, path="fields$", method="POST")
    requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
    account.create_field("Lost and found", "text")
    assert account.missing_fields(["Lost and found"]) == []
    log = requests.get(f"{sandbox.url}/_sandbox/requests?detail=1", timeout=10).json()["recent"]
    done = [(one["path"].rpartition("/")[2], one["status"]) for one in log if one["method"] == "POST"]
    assert done == [("fields", 0), ("fields", 422), ("fieldRels", 201)]


def test_a_list_that_is_made_is_found_again(sandbox: Sandbox, lists: ActiveCampaign) -> None:
    """One that no group may see is not, so none is made without a group: each run would make another."""
    facts = {"list_sender_url": "https://shop.example.com", "list_sender_reminder": "You bought from us."}
    with pytest.raises(ConfigurationError, match="list_group_ids"):
        connect(sandbox, audience_kind="list", **facts).ensure_audience("Again and again")
    made = [connect(sandbox, audience_kind="list", list_group_ids=[3], **facts) for _ in range(2)]
    assert len({one.ensure_audience("Again and again") for one in made}) == 1


# Leaving and erasure


def test_a_contact_that_came_back_under_another_id_is_erased_by_its_address(
    sandbox: Sandbox, account: ActiveCampaign
) -> None:
    account.upsert([row(1, "erase-me@box.example")], match_key="email")
    outcomes = account.erase([row(1, "erase-me@box.example", "987654321")], match_key="email")
    assert statuses(outcomes) == [("accepted", None)]
    assert "erase-me@box.example" not in people(sandbox)


def test_jobs_and_single_requests_are_foretold(account: ActiveCampaign) -> None:
    def foretold(operation: Operation, rows: int, leaving: Leaving = Leaving.LEAVE_AUDIENCE) -> int:
        return account.requests_for(operation, rows, in_audience=True, leaving=leaving)

    assert foretold(Operation.ADD, 10) == 20
    assert foretold(Operation.ADD, 500) == 10
    assert foretold(Operation.REMOVE, 3, Leaving.DELETE) == 9


# Credentials and limits


def test_a_key_that_may_not_is_told_from_one_that_is_none(sandbox: Sandbox) -> None:
    limited = connect(sandbox, "sandbox-activecampaign-limited")
    limited.probe()
    with pytest.raises(PermissionDeniedError, match="write tags"):
        limited.ensure_audience("Not allowed")
    with pytest.raises(PermissionDeniedError, match="delete contacts"):
        limited.erase([row(1, next(iter(people(sandbox))))], match_key="email")
    with pytest.raises(AuthenticationError):
        connect(sandbox, "wrong").ensure_audience("Not allowed")


def test_the_pace_follows_the_accounts_own_count(offline: ActiveCampaign, alone: responses.RequestsMock) -> None:
    headers = {"RateLimit-Limit": "20", "RateLimit-Remaining": "19"}
    alone.get(f"{ROOT}/users/me", json={"user": {}}, headers=headers)
    offline.probe()
    assert offline.http.pacer._window.capacity == 20
