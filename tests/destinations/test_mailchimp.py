"""Mailchimp as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.http import Http
from millstream.destinations.mailchimp import Mailchimp, MailchimpSettings
from millstream.destinations.mailchimp.answers import member_id
from millstream.destinations.modes import Status
from millstream.sandbox import Sandbox
from millstream.state.errors import AuthenticationError, ConfigurationError, NotFoundError, PermissionDeniedError
from millstream.state.http import Retries

SYSTEM = "mailchimp"
ROOT = "https://mailchimp.test/3.0"
LIST = f"{ROOT}/lists/a1b2c3d4e5"
NEW = "new-person@box.example"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, key: str = "sandbox-mailchimp-us1", **settings: str) -> Mailchimp:
    given = {"list_id": "a1b2c3d4e5", **settings, "base_url": f"{sandbox.url}/mailchimp/3.0", "api_key": key}
    return Mailchimp(MailchimpSettings.model_validate(given))


@pytest.fixture
def mailchimp(sandbox: Sandbox) -> Mailchimp:
    return connect(sandbox)


@pytest.fixture
def offline() -> Mailchimp:
    """Against no vendor but ``alone``, with waits too short to notice."""
    made = Mailchimp(MailchimpSettings(base_url=ROOT, api_key=SecretStr("key-us1"), list_id="a1b2c3d4e5"))
    made._https[""] = Http(
        system=made.name,
        base_url=ROOT,
        auth=made.auth(),
        limit=made.rate_limit,
        classify=made.classify,
        retries=Retries(attempts=3, first_wait=0.001),
    )
    return made


def members(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/mailchimp", timeout=10).json()
    return {found["email_address"].lower(): found for found in state["members"]}


def row(number: int, email: str, external_id: str | None = None, **fields: str | float | None) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=email, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def with_status(sandbox: Sandbox, status: str) -> str:
    return next(email for email, found in members(sandbox).items() if found["status"] == status)


# Settings


def test_the_data_centre_comes_from_the_key() -> None:
    settings = MailchimpSettings(api_key=SecretStr("0123abc-us21"), list_id="x")
    assert Mailchimp(settings).settings.base_url == "https://us21.api.mailchimp.com/3.0"


@pytest.mark.parametrize("key", ["0123abc", "0123-us21.example.com/", "0123-"])
def test_a_key_without_a_data_centre_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="data centre"):
        MailchimpSettings(api_key=SecretStr(key), list_id="x")


# Nobody is resubscribed


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
@pytest.mark.parametrize("new_member_status", ["transactional", "subscribed", "pending"])
def test_who_may_not_be_mailed_is_suppressed_and_left_so(sandbox: Sandbox, status: str, new_member_status: str) -> None:
    email = with_status(sandbox, status)
    mailchimp = connect(sandbox, new_member_status=new_member_status)
    for known in (None, member_id(email)):
        outcomes = mailchimp.upsert([row(1, email, known, FNAME="Ana")], match_key="email")
        assert statuses(outcomes) == [("suppressed", status)]
    assert members(sandbox)[email]["status"] == status
    assert requests.get(f"{sandbox.url}/_sandbox/state/mailchimp", timeout=10).json()["resubscribed"] == []


def test_no_request_can_change_a_status(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    """Whatever happens between two requests: none of them says what an existing person's status should be."""
    exists = {"email_address": "ANA@box.example", "error": "exists", "error_code": "ERROR_CONTACT_EXISTS"}
    alone.post(LIST, json={"new_members": [], "updated_members": [], "errors": [exists]})
    alone.put(f"{LIST}/members/{member_id('ana@box.example')}", json={"id": "x", "status": "subscribed"})
    offline.upsert([row(1, "ana@box.example", FNAME="Ana")], match_key="email")
    batch, put = (orjson.loads(call.request.body or b"") for call in alone.calls)
    assert batch["update_existing"] is False
    assert "status" not in put
    assert put["status_if_new"] == "transactional"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"error": "ana@box.example is in a compliance state.", "error_code": "ERROR_GENERIC"}, "compliance_state"),
        ({"error": "ana@box.example was permanently deleted.", "error_code": "ERROR_GENERIC"}, "forgotten"),
    ],
)
def test_whom_the_vendor_does_not_take_back_is_suppressed(
    offline: Mailchimp, alone: responses.RequestsMock, fault: dict[str, str], outcome: str
) -> None:
    alone.post(LIST, json={"errors": [{"email_address": "ana@box.example", **fault}]})
    [found] = offline.upsert([row(1, "ana@box.example")], match_key="email")
    assert (found.status, found.code) == (Status.SUPPRESSED, outcome)
    assert "ana@box.example" not in str(found.reason)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Member In Compliance State", ("suppressed", "compliance_state")),
        ("Forgotten Email Not Subscribed", ("suppressed", "forgotten")),
        ("Invalid Resource", ("rejected", "invalid_resource")),
    ],
)
def test_a_refusal_of_one_person_is_read(
    offline: Mailchimp, alone: responses.RequestsMock, title: str, expected: tuple[str, str]
) -> None:
    email = "ana@box.example"
    problem = {"title": title, "status": 400, "detail": f"{email} will not do", "errors": [{"field": "a"}]}
    alone.put(f"{LIST}/members/{member_id(email)}", status=400, json=problem)
    outcomes = offline.upsert([row(1, email, member_id(email))], match_key="email")
    assert statuses(outcomes) == [expected]
    assert email not in str(outcomes[0].reason)


# Writing people


def test_new_people_get_the_status_of_the_settings(sandbox: Sandbox) -> None:
    connect(sandbox, new_member_status="pending").upsert([row(1, NEW, FNAME="Ana")], match_key="email")
    assert members(sandbox)[NEW]["status"] == "pending"
    assert members(sandbox)[NEW]["merge_fields"]["FNAME"] == "Ana"


def test_known_people_are_changed_and_keep_their_status(sandbox: Sandbox, mailchimp: Mailchimp) -> None:
    email = with_status(sandbox, "subscribed")
    outcomes = mailchimp.upsert([row(1, email, FNAME="Changed"), row(2, "second@box.example")], match_key="email")
    assert statuses(outcomes) == [("accepted", None)] * 2
    assert outcomes[0].external_id == member_id(email)
    found = members(sandbox)[email]
    assert (found["status"], found["merge_fields"]["FNAME"]) == ("subscribed", "Changed")


def test_acknowledged_people_are_not_sent_as_new(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    email = with_status(sandbox, "subscribed")
    mailchimp.upsert([row(1, email, member_id(email), FNAME="A")], match_key="email")
    assert mailchimp.calls == 1


def test_values_are_text_and_none_clears(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    email = "values@box.example"
    mailchimp.upsert([row(1, email, FNAME=1e21, LNAME="Li")], match_key="email")
    mailchimp.upsert([row(1, email, LNAME=None)], match_key="email")
    fields = members(sandbox)[email]["merge_fields"]
    assert (fields["FNAME"], fields.get("LNAME", "")) == ("1" + "0" * 21, "")


def test_five_hundred_go_in_one_request(mailchimp: Mailchimp) -> None:
    outcomes = mailchimp.upsert([row(n, f"batch-{n}@box.example") for n in range(500)], match_key="email")
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert mailchimp.calls == 1


def test_refused_rows_leave_the_others_in(mailchimp: Mailchimp, faults: Any) -> None:
    faults(kind="refuse_rows", share=0.2)
    outcomes = mailchimp.upsert([row(n, f"part-{n}@box.example") for n in range(60)], match_key="email")
    refused = [outcome for outcome in outcomes if outcome.status is Status.REJECTED]
    assert 0 < len(refused) < 30
    assert all(outcome.code and outcome.reason for outcome in refused)


def test_a_row_that_the_answer_leaves_out_is_sent_by_itself(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    alone.post(LIST, json={"new_members": [], "errors": []})
    alone.put(f"{LIST}/members/{member_id(NEW)}", json={"id": member_id(NEW), "status": "transactional"})
    assert statuses(offline.upsert([row(1, NEW)], match_key="email")) == [("accepted", None)]


def test_what_was_done_counts_when_the_vendor_fails_in_between(
    offline: Mailchimp, alone: responses.RequestsMock
) -> None:
    emails = [f"fails-{number}@box.example" for number in range(30)]
    alone.put(f"{LIST}/members/{member_id(emails[0])}", json={"id": "0", "status": "subscribed"})
    for email in emails[1:]:
        alone.put(f"{LIST}/members/{member_id(email)}", status=503, json={"title": "Maintenance"})
    alone.assert_all_requests_are_fired = False
    rows = [row(number, email, member_id(email)) for number, email in enumerate(emails)]
    outcomes = offline.upsert(rows, match_key="email")
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED] + [Status.RETRY_LATER] * 29
    assert offline.calls <= 1 + 3 * offline.rate_limit.concurrency


def test_update_changes_who_is_there(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    email, gone = with_status(sandbox, "subscribed"), with_status(sandbox, "unsubscribed")
    rows = [row(1, email, LNAME="Updated"), row(2, "nobody@box.example", LNAME="X"), row(3, gone, LNAME="X")]
    outcomes = mailchimp.update(rows, match_key="email")
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_on_list"), ("suppressed", "unsubscribed")]
    assert members(sandbox)[email]["merge_fields"]["LNAME"] == "Updated"
    assert "nobody@box.example" not in members(sandbox)


# Merge fields


@pytest.mark.parametrize("tag", ["fname", "LIFETIME_VALUE"])
def test_what_is_no_merge_tag_stops_the_sync(mailchimp: Mailchimp, tag: str) -> None:
    with pytest.raises(ConfigurationError, match=tag):
        mailchimp.missing_fields(["FNAME", tag])


def test_a_merge_field_that_is_not_there_is_told(mailchimp: Mailchimp) -> None:
    assert mailchimp.missing_fields(["FNAME", "FAVOURITE"]) == ["FAVOURITE"]


def test_an_address_field_is_not_filled(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    found = {"merge_fields": [{"tag": "ADDRESS", "type": "address"}], "total_items": 1}
    alone.get(f"{LIST}/merge-fields", json=found)
    with pytest.raises(ConfigurationError, match="several parts"):
        offline.missing_fields(["ADDRESS"])


# Tags


def test_a_tag_is_found_in_any_case(mailchimp: Mailchimp) -> None:
    assert mailchimp.ensure_audience("vip") == mailchimp.ensure_audience("VIP")


def test_a_tag_that_the_search_does_not_find_is_looked_up(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    alone.get(f"{LIST}/tag-search", json={"tags": [{"id": 1, "name": "Gold old"}], "total_items": 1})
    alone.post(f"{LIST}/segments", status=400, json={"title": "Bad Request", "detail": "exists"})
    alone.get(f"{LIST}/segments", json={"segments": [{"id": 1, "name": "Old"}], "total_items": 2})
    alone.get(f"{LIST}/segments", json={"segments": [{"id": 2, "name": "gold"}], "total_items": 2})
    assert offline.ensure_audience("Gold") == "2"


def test_who_is_not_on_the_list_cannot_be_tagged(mailchimp: Mailchimp) -> None:
    tag = mailchimp.ensure_audience("Strangers")
    assert statuses(mailchimp.add_members(tag, [row(1, "stranger@box.example")], match_key="email")) == [
        ("rejected", "not_on_list")
    ]


@pytest.mark.parametrize(
    ("tags", "expected"), [([{"id": 9}], ("accepted", None)), ([{"id": 8}], ("rejected", "not_tagged"))]
)
def test_who_is_passed_over_is_looked_at(
    offline: Mailchimp, alone: responses.RequestsMock, tags: list[dict[str, int]], expected: tuple[str, str | None]
) -> None:
    alone.post(f"{LIST}/segments/9", json={"members_added": [], "errors": []})
    alone.get(f"{LIST}/members/{member_id(NEW)}", json={"id": "x", "status": "subscribed", "tags": tags})
    assert statuses(offline.add_members("9", [row(1, NEW)], match_key="email")) == [expected]


@pytest.mark.parametrize(("tags", "expected"), [([{"id": 9}], ("rejected", "still_tagged")), ([], ("accepted", None))])
def test_an_error_on_removal_counts_only_if_the_tag_is_still_there(
    offline: Mailchimp, alone: responses.RequestsMock, tags: list[dict[str, int]], expected: tuple[str, str | None]
) -> None:
    fault = {"email_addresses": [NEW.upper()], "error": f"{NEW} cannot be removed"}
    alone.post(f"{LIST}/segments/9", json={"members_removed": [], "errors": [fault]})
    alone.get(f"{LIST}/members/{member_id(NEW)}", json={"id": "x", "status": "subscribed", "tags": tags})
    outcomes = offline.remove_members("9", [row(1, NEW)], match_key="email")
    assert statuses(outcomes) == [expected]
    assert NEW not in str(outcomes[0].reason)


def test_read_back_has_everyone_with_the_tag(mailchimp: Mailchimp, faults: Any) -> None:
    tag = mailchimp.ensure_audience("Read back")
    rows = [row(number, f"Back-{number}@box.example") for number in range(250)]
    mailchimp.upsert(rows, match_key="email")
    mailchimp.add_members(tag, rows, match_key="email")
    faults(kind="short_page", times=2)
    assert sorted(mailchimp.read_back(tag)) == sorted(one.match_value.lower() for one in rows)


def test_a_missing_tag_stops_the_sync(mailchimp: Mailchimp) -> None:
    with pytest.raises(NotFoundError):
        mailchimp.add_members("999999", [row(1, NEW)], match_key="email")


# Leaving


def test_archived_people_are_not_mailed_and_come_back_when_written(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    person = [row(1, "archive-me@box.example", FNAME="Ana")]
    mailchimp.upsert(person, match_key="email")
    assert statuses(mailchimp.archive(person, match_key="email")) == [("accepted", None)]
    assert members(sandbox)["archive-me@box.example"]["status"] == "archived"
    assert statuses(mailchimp.upsert(person, match_key="email")) == [("accepted", None)]
    assert members(sandbox)["archive-me@box.example"]["status"] == "transactional"


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
def test_who_left_the_list_is_not_archived(sandbox: Sandbox, status: str) -> None:
    """The archive hides that a person unsubscribed: a sync that subscribes people would bring them back."""
    mailchimp, person = connect(sandbox, new_member_status="subscribed"), [row(1, with_status(sandbox, status))]
    assert statuses(mailchimp.archive(person, match_key="email")) == [("accepted", None)]
    assert statuses(mailchimp.upsert(person, match_key="email")) == [("suppressed", status)]
    assert members(sandbox)[person[0].match_value]["status"] == status


def test_who_was_archived_meanwhile_counts_as_archived(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    alone.get(f"{LIST}/members/{member_id(NEW)}", json={"id": "x", "status": "subscribed"})
    alone.delete(f"{LIST}/members/{member_id(NEW)}", status=405, json={"title": "Method Not Allowed"})
    assert statuses(offline.archive([row(1, NEW)], match_key="email")) == [("accepted", None)]


# Erasure


def test_an_erased_person_is_suppressed_for_good(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    person = [row(1, "erase-me@box.example")]
    mailchimp.upsert(person, match_key="email")
    assert statuses(mailchimp.erase(person, match_key="email")) == [("accepted", None)]
    assert "erase-me@box.example" not in members(sandbox)
    assert statuses(mailchimp.upsert(person, match_key="email")) == [("suppressed", "forgotten")]


# Answers with a meaning of their own


@pytest.mark.parametrize("operation", ["probe", "update", "archive", "erase"])
def test_a_missing_list_is_not_taken_for_a_missing_person(sandbox: Sandbox, operation: str) -> None:
    mailchimp = connect(sandbox, list_id="ffffffffff")
    calls: Mapping[str, Callable[[], object]] = {
        "probe": mailchimp.probe,
        "update": lambda: mailchimp.update([row(1, NEW)], match_key="email"),
        "archive": lambda: mailchimp.archive([row(1, NEW)], match_key="email"),
        "erase": lambda: mailchimp.erase([row(1, NEW)], match_key="email"),
    }
    with pytest.raises(NotFoundError, match="no list 'ffffffffff'"):
        calls[operation]()


def test_a_403_without_a_body_is_a_throttle(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    alone.get(LIST, status=403, body="")
    alone.get(LIST, status=403, body="<html>Forbidden</html>")
    alone.get(LIST, json={"id": "a1b2c3d4e5"})
    offline.probe()
    assert offline.calls == 3


@pytest.mark.parametrize(
    ("title", "error"), [("User Disabled", AuthenticationError), ("Forbidden", PermissionDeniedError)]
)
def test_a_403_with_a_body_stops(
    offline: Mailchimp, alone: responses.RequestsMock, title: str, error: type[Exception]
) -> None:
    alone.get(LIST, status=403, json={"title": title, "status": 403, "detail": "no"})
    with pytest.raises(error):
        offline.probe()
    assert offline.calls == 1


def test_no_more_than_nine_connections_are_used() -> None:
    """The vendor allows ten; with limits on, the sandbox answers an eleventh with 429."""
    with Sandbox(people=60, limits=True, latency_ms=20) as strict:
        mailchimp = connect(strict)
        known = [email for email, found in members(strict).items() if found["status"] == "subscribed"]
        outcomes = mailchimp.upsert([row(n, email, FNAME="B") for n, email in enumerate(known)], match_key="email")
        counts = requests.get(f"{strict.url}/_sandbox/requests", timeout=10).text
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert mailchimp.calls == len(known) + 1
    assert "429" not in counts
