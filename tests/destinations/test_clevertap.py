"""CleverTap as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError
from responses import matchers

from millstream.destinations.clevertap import CleverTap, CleverTapSettings
from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.http import Http, Recorded
from millstream.destinations.modes import Status, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.rendering import Renderer
from millstream.destinations.sync import FieldMapping, Sync
from millstream.destinations.testing import deliver
from millstream.sandbox import Sandbox
from millstream.sandbox.clevertap.project import CleverTap as CleverTapProject
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Retries

ROOT = "https://eu1.api.clevertap.com"
UPLOAD = f"{ROOT}/1/upload"
PROFILE = f"{ROOT}/1/profile.json"
DELETE = f"{ROOT}/1/delete/profiles.json"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        project = running.systems["clevertap"]
        assert isinstance(project, CleverTapProject)
        project.later.seconds = 0.0
        yield running


def connect(sandbox: Sandbox, path: str = "", **settings: object) -> CleverTap:
    facts = {"account_id": "SBX-123-456Z", "passcode": "sandbox-clevertap", "list_email": "ops@shop.box.example"}
    given = {"base_url": f"{sandbox.url}/clevertap{path}", **facts, **settings}
    return CleverTap(CleverTapSettings.model_validate(given))


@pytest.fixture
def clevertap(sandbox: Sandbox) -> CleverTap:
    return connect(sandbox)


@pytest.fixture
def offline() -> CleverTap:
    """Against no vendor but ``alone``, with waits too short to notice."""
    made = CleverTap(CleverTapSettings(account_id="A-1", passcode=SecretStr("secret"), list_email="ops@box.example"))
    for part in ("", "look-ups"):
        made._https[part] = Http(
            system=made.name,
            base_url=ROOT,
            auth=made.auth(),
            limit=made.rate_limit,
            classify=made.classify,
            retries=Retries(attempts=2, first_wait=0.001),
        )
    return made


def row(number: int, identity: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=identity, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def people(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/clevertap", timeout=10).json()
    return {identity: one for one in state["people"] for identity in one["identities"]}


def sent(call: responses.Call) -> Any:
    return orjson.loads(call.request.body or b"null")


def saved(*faults: Mapping[str, object]) -> dict[str, object]:
    return {"status": "partial" if faults else "success", "processed": 1, "unprocessed": list(faults)}


def sync_of(*names: str) -> Sync:
    fields = dict.fromkeys(names, "some")
    return Sync(destination="c", table="t.t", mode=SyncMode.UPSERT, fields=fields, consent="not_needed")


# Settings


def test_the_host_comes_from_the_region() -> None:
    settings = CleverTapSettings(account_id="A-1", passcode=SecretStr("p"), region="in1")
    assert CleverTap(settings).settings.base_url == "https://in1.api.clevertap.com"
    with pytest.raises(ValidationError, match="region"):
        CleverTapSettings.model_validate({"account_id": "A-1", "passcode": "p", "region": "mars1"})


def test_the_host_of_another_region_is_named_as_the_fault(sandbox: Sandbox) -> None:
    connect(sandbox, "/eu1").probe()
    with pytest.raises(AuthenticationError) as raised:
        connect(sandbox, "/in1").probe()
    assert "region" in str(raised.value.remedy)


# Nobody is opted in or out


@pytest.mark.parametrize("name", ["MSG-email", "msg-sms", "MSG-push", "MSG-whatsapp", "MSG-dndEmail"])
def test_consent_is_not_a_field(offline: CleverTap, name: str) -> None:
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(offline, "all", sync_of(name), {})
    assert offline.calls == 0


def test_who_opted_out_stays_so_whatever_is_written(sandbox: Sandbox, clevertap: CleverTap) -> None:
    before = people(sandbox)
    opted_out = [who for who, one in before.items() if one["standing"] != "subscribed"][:20]
    assert opted_out
    requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
    audience = clevertap.ensure_audience("Everybody")
    rows = [row(number, who, City="Genoa", Tier=None) for number, who in enumerate(opted_out)]
    for outcomes in (
        clevertap.upsert_into(audience, rows, match_key="identity"),
        clevertap.update(rows, match_key="identity"),
        clevertap.remove_members(audience, rows, match_key="identity"),
    ):
        assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    after = people(sandbox)
    assert [after[who]["standing"] for who in opted_out] == [before[who]["standing"] for who in opted_out]
    consents = [
        {name: v for name, v in one[who]["fields"].items() if "MSG" in name}
        for one in (before, after)
        for who in opted_out
    ]
    assert consents[: len(opted_out)] == consents[len(opted_out) :]
    seen = requests.get(f"{sandbox.url}/_sandbox/requests", timeout=10).json()["systems"]["clevertap"]
    assert {one["route"] for one in seen} == {"/1/upload", "/1/profile.json"}


# Values and names


def test_values_keep_their_kinds_and_dates_become_clevertaps(sandbox: Sandbox, clevertap: CleverTap) -> None:
    values: Mapping[str, Any] = {
        "LTV": 120.5,
        "VIP": True,
        "Last order": "2026-11-01 10:00:00+00",
        "Member since": "2026-11-01",
        "Tier": "gold",
        "Gender": "female",
        "Employed": True,
        "Married": False,
        "DOB": "1990-02-03",
        "Odd day": "2026-13-01",
    }
    mappings = {name: FieldMapping(column="any") for name in values}
    rendered = Renderer(clevertap.fields, mappings, clevertap.custom_field_type).render(values)
    assert isinstance(rendered, dict)
    rows = [DeliveryRow(number=1, match_value="kinds", fields=rendered)]
    assert statuses(clevertap.upsert(rows, match_key="identity")) == [("accepted", None)]
    held = people(sandbox)["kinds"]["fields"]
    assert {name: held[name] for name in values} == {
        "LTV": 120.5,
        "VIP": True,
        "Last order": "$D_1793527200",
        "Member since": "$D_1793491200",
        "Tier": "gold",
        "Gender": "F",
        "Employed": "Y",
        "Married": "N",
        "DOB": "$D_634003200",
        "Odd day": "2026-13-01",
    }


def test_what_would_not_be_kept_whole_is_rejected_before(clevertap: CleverTap) -> None:
    rows = [row(1, "long-1", Story="ä" * 300), row(2, "long-2", Story="ä" * 256)]
    calls = clevertap.calls
    assert statuses(clevertap.upsert(rows, match_key="identity")) == [("rejected", "too_long"), ("accepted", None)]
    assert statuses(clevertap.upsert(rows[:1], match_key="identity")) == [("rejected", "too_long")]
    assert clevertap.calls - calls == 1


@pytest.mark.parametrize("name", ["Identity", "objectId", "fbid", "k" * 121])
def test_names_that_are_no_properties_are_refused(offline: CleverTap, name: str) -> None:
    with pytest.raises(ConfigurationError):
        ensure_fields(offline, "all", sync_of(name), {})


def test_the_name_of_an_audience_has_to_fit(offline: CleverTap) -> None:
    with pytest.raises(ConfigurationError, match="at most 120"):
        offline.ensure_audience("x" * 120)


# Outcomes


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Phone": "555"}, "516"),
        ({"Email": "bad@@example"}, "515"),
        ({"Employed": "perhaps"}, "517"),
        ({"Education": "none"}, "518"),
        ({"Gender": "Q"}, "514"),
        ({"Age": "old"}, "520"),
    ],
)
def test_status_200_does_not_say_that_all_were_saved(
    clevertap: CleverTap, fields: dict[str, FieldValue], code: str
) -> None:
    bad = DeliveryRow(number=2, match_value=f"bad-{code}", fields=fields)
    rows = [row(1, f"good-{code}"), bad, row(3, f"better-{code}")]
    outcomes = clevertap.upsert(rows, match_key="identity")
    assert statuses(outcomes) == [("accepted", None), ("rejected", code), ("accepted", None)]
    assert outcomes[1].reason
    assert not [value for value in fields.values() if str(value) in str(outcomes[1].reason)]


@pytest.mark.parametrize(
    ("code", "status"), [(555, "retry_later"), (514, "rejected"), (523, "rejected"), (526, "rejected")]
)
def test_only_a_fault_of_the_vendors_is_tried_again(
    offline: CleverTap, alone: responses.RequestsMock, code: int, status: str
) -> None:
    fault = {"status": "fail", "code": code, "error": "ana-1 will not do", "record": {"identity": "ana-1"}}
    alone.post(UPLOAD, json=saved(fault))
    outcomes = offline.upsert([row(1, "ana-1"), row(2, "ben-2")], match_key="identity")
    assert statuses(outcomes) == [(status, str(code)), ("accepted", None)]
    assert "ana-1" not in str(outcomes[0].reason)


def test_a_refusal_that_names_nobody_is_looked_for_by_halves(offline: CleverTap, alone: responses.RequestsMock) -> None:
    fault = {"status": "fail", "code": 512, "error": "malformed"}

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        is_bad = b"bad" in (request.body or b"")
        return 200, {}, orjson.dumps(saved(fault) if is_bad else saved())

    alone.add_callback(responses.POST, UPLOAD, answer)
    outcomes = deliver(offline, [row(number, "bad" if number == 2 else f"p{number}") for number in range(4)])
    assert statuses(outcomes) == [*[("accepted", None)] * 2, ("rejected", "512"), ("accepted", None)]


def test_a_refusal_of_the_whole_under_status_200_is_one(offline: CleverTap, alone: responses.RequestsMock) -> None:
    alone.post(UPLOAD, json={"status": "fail", "error": "The payload is malformed.", "code": 400})
    with pytest.raises(RefusedError, match="malformed"):
        offline.upsert([row(1, "ana")], match_key="identity")


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError), (400, RefusedError)]
)
def test_refusals_of_a_request_are_told_apart(
    offline: CleverTap, alone: responses.RequestsMock, status: int, error: type[Exception]
) -> None:
    alone.post(UPLOAD, status=status, json={"status": "fail", "error": "not allowed here", "code": status})
    with pytest.raises(error, match="not allowed here"):
        offline.upsert([row(1, "ana")], match_key="identity")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again_without_being_told_when(
    offline: CleverTap, alone: responses.RequestsMock, status: int
) -> None:
    alone.post(UPLOAD, status=status, json={"status": "fail", "error": "Too many concurrent requests"})
    alone.post(UPLOAD, json=saved())
    assert statuses(offline.upsert([row(1, "ana")], match_key="identity")) == [("accepted", None)]
    assert offline.calls == 2


# Requests


def test_requests_are_these(offline: CleverTap, alone: responses.RequestsMock) -> None:
    """Fields and membership in one record, and the records of those who leave."""
    signed = {"X-CleverTap-Account-Id": "A-1", "X-CleverTap-Passcode": "secret"}
    ana = row(1, "ana@box.example", Name="Ana", LTV=1.5, Tier=None)
    alone.get(PROFILE, json={"status": "success", "record": {"objectId": "G1"}})
    alone.post(UPLOAD, match=[matchers.header_matcher(signed)], json=saved())
    alone.post(DELETE, json=saved())
    audience = offline.ensure_audience("VIP")
    offline.upsert_into(audience, [ana], match_key="identity")
    offline.upsert([ana], match_key="email")
    offline.remove_members(audience, [ana], match_key="identity")
    offline.erase([ana], match_key="email")
    offline.erase([row(1, "G1")], match_key="objectId")
    profile = {"Name": "Ana", "LTV": 1.5, "Tier": {"$delete": 1}}
    properties = (
        profile | {"Audience VIP": True},
        {"Email": "ana@box.example"} | profile,
        {"Audience VIP": False},
    )
    named = {"identity": "ana@box.example", "type": "profile"}
    bodies = [sent(call) for call in alone.calls if call.request.method == "POST"]
    assert bodies == [
        *({"d": [{**named, "profileData": one}]} for one in properties),
        {"identity": ["ana@box.example"]},
        {"guid": ["G1"]},
    ]


def test_a_thousand_go_in_one_request(clevertap: CleverTap) -> None:
    outcomes = clevertap.upsert_into(
        "Audience Many", [row(number, f"many-{number}", LTV=number) for number in range(1000)], match_key="identity"
    )
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert clevertap.calls == 1


# Leaving


@pytest.mark.parametrize(("checks", "comes_back"), [(True, False), (False, True)])
def test_who_was_deleted_does_not_come_back_by_leaving(sandbox: Sandbox, checks: bool, comes_back: bool) -> None:
    clevertap = connect(sandbox, check_before_removal=checks)
    rows = [row(1, f"deleted-{checks}"), row(2, f"there-{checks}")]
    audience = clevertap.ensure_audience("Leavers")
    clevertap.upsert_into(audience, rows, match_key="identity")
    clevertap.erase(rows[:1], match_key="identity")
    outcomes = clevertap.remove_members(audience, rows, match_key="identity")
    assert statuses(outcomes) == [("accepted", None)] * 2
    held = people(sandbox)
    assert held[f"there-{checks}"]["fields"][audience] is False
    assert (f"deleted-{checks}" in held) == comes_back


def test_who_cannot_be_looked_up_now_is_not_taken_for_out(offline: CleverTap, alone: responses.RequestsMock) -> None:
    alone.get(PROFILE, status=503, json={"status": "fail"})
    outcomes = offline.remove_members("Audience VIP", [row(1, "ana"), row(2, "ben")], match_key="identity")
    assert {outcome.status for outcome in outcomes} == {Status.RETRY_LATER}


def test_who_must_not_be_looked_up_is_taken_out_all_the_same(offline: CleverTap, alone: responses.RequestsMock) -> None:
    alone.get(PROFILE, status=400, json={"status": "fail", "error": "no such identity"})
    out = alone.post(UPLOAD, json=saved())
    assert statuses(offline.remove_members("Audience VIP", [row(1, "ana")], match_key="identity")) == [
        ("accepted", None)
    ]
    assert len(out.calls) == 1
    outcomes = offline.update([row(1, "ana", LTV=1)], match_key="identity")
    assert statuses(outcomes) == [("rejected", "look_up_refused")]
    offline.probe()


# Replacing


def test_a_custom_list_holds_exactly_who_was_handed_over(sandbox: Sandbox, clevertap: CleverTap) -> None:
    audience = clevertap.ensure_audience("Replaced")
    first = [row(1, "listed-1"), row(2, "listed-2"), row(3, "listed-3", Phone="555")]
    outcomes = clevertap.replace_members(audience, iter([first[:2], first[2:]]), match_key="identity", label="p1")
    assert statuses(outcomes) == [("accepted_async", None)] * 2 + [("rejected", "516")]
    assert on_list(sandbox, audience) == {"listed-1", "listed-2"}
    clevertap.replace_members(audience, iter([first[:1]]), match_key="identity", label="p2")
    assert on_list(sandbox, audience) == {"listed-1"}
    clevertap.replace_members(audience, iter([]), match_key="identity", label="p3")
    assert on_list(sandbox, audience) == set()


def on_list(sandbox: Sandbox, name: str) -> set[str]:
    return {who for who, one in people(sandbox).items() if name in one["audiences"]}


def test_the_credential_does_not_go_to_the_place_for_the_file(
    offline: CleverTap, alone: responses.RequestsMock
) -> None:
    """Who could not be written this time stays on the list; who was refused does not come onto it."""
    place = "https://storage.example.com/list.csv?X-Amz-Signature=s"
    faults = [{"code": code, "record": {"identity": who}} for who, code in (("busy", 555), ("bad", 516))]
    alone.post(UPLOAD, json=saved(*faults))
    alone.post(f"{ROOT}/get_custom_list_segment_url", json={"status": "success", "presignedS3URL": place})
    file = alone.put("https://storage.example.com/list.csv")
    done = alone.post(f"{ROOT}/upload_custom_list_segment_completed", json={"status": "success", "Segment ID": 1})
    rows = [row(number, who) for number, who in enumerate(("ana, b", "busy", "bad"))]
    outcomes = offline.replace_members("Audience VIP", iter([rows]), match_key="identity", label="plan-1")
    assert [outcome.status.value for outcome in outcomes] == ["accepted_async", "retry_later", "rejected"]
    put = file.calls[0].request
    assert put.body == b'Type,Identity\ni,"ana, b"\ni,busy\n'
    assert not [name for name in put.headers if "clevertap" in name.lower()]
    assert sent(done.calls[0]) == {
        "name": "Audience VIP",
        "email": "ops@box.example",
        "filename": "plan-1.csv",
        "creator": "Millstream",
        "url": place,
        "replace": True,
    }


@pytest.mark.parametrize(("email", "match_key"), [(None, "identity"), ("ops@box.example", "FBID")])
def test_what_a_custom_list_needs_is_asked_for_before_anybody_is_written(email: str | None, match_key: str) -> None:
    settings = CleverTapSettings(account_id="A-1", passcode=SecretStr("p"), list_email=email)
    clevertap = CleverTap(settings)
    with pytest.raises(ConfigurationError, match="replace"):
        clevertap.replace_members("Audience VIP", iter([[row(1, "ana")]]), match_key=match_key, label="p")
    assert clevertap.calls == 0


def test_a_rehearsal_puts_no_file(offline: CleverTap) -> None:
    offline.rehearse()
    with pytest.raises(Recorded) as recorded:
        offline.replace_members("Audience VIP", iter([[row(1, "ana")]]), match_key="identity", label="p")
    assert recorded.value.url == UPLOAD


# Erasure


def test_a_hundred_are_erased_at_once(offline: CleverTap, alone: responses.RequestsMock) -> None:
    job = alone.post(DELETE, json=saved())
    outcomes = offline.erase([row(number, f"p{number}") for number in range(101)], match_key="identity")
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert [len(sent(call)["identity"]) for call in job.calls] == [100, 1]


def test_who_is_known_by_another_networks_id_is_erased_by_clevertaps(
    offline: CleverTap, alone: responses.RequestsMock
) -> None:
    for who, record in (("f1", {"objectId": "G1"}), ("f2", {})):
        alone.get(PROFILE, match=[matchers.query_param_matcher({"FBID": who})], json={"record": record})
    alone.get(PROFILE, match=[matchers.query_param_matcher({"FBID": "f3"})], status=503, json={})
    job = alone.post(DELETE, json=saved())
    outcomes = offline.erase([row(number, f"f{number}") for number in (1, 2, 3)], match_key="FBID")
    assert statuses(outcomes) == [("accepted", None), ("accepted", None), ("retry_later", "unavailable")]
    assert [sent(call) for call in job.calls] == [{"guid": ["G1"]}]


def test_a_vendor_that_is_down_is_told_so(offline: CleverTap, alone: responses.RequestsMock) -> None:
    alone.post(DELETE, status=500, json={})
    with pytest.raises(UnavailableError):
        offline.erase([row(1, "ana")], match_key="identity")


@pytest.mark.parametrize(("prefix", "into"), [("", "MSG-email"), ("MSG-", "sms"), ("", "Phone"), ("", "LTV")])
def test_an_audience_is_no_property_that_means_something_else(sandbox: Sandbox, prefix: str, into: str) -> None:
    """``MSG-email`` as an audience would opt in whoever comes, and opt out whoever leaves."""
    sync = Sync.model_validate(
        {
            "destination": "clevertap",
            "table": "crm.people",
            "into": into,
            "fields": {"LTV": "ltv"},
            "match": {"identity": "id"},
            "consent": "not_needed",
        }
    )
    with pytest.raises(ConfigurationError, match="there for something else"):
        ensure_fields(connect(sandbox, audience_prefix=prefix), "all", sync, {})


def test_who_is_taken_out_keeps_the_address_that_they_have_now(
    offline: CleverTap, alone: responses.RequestsMock
) -> None:
    """A person known by an address may have another one to be reached at; leaving an audience does not undo that."""
    alone.get(PROFILE, json={"status": "success", "record": {"objectId": "__g1"}})
    alone.post(UPLOAD, json={"status": "success", "processed": 1, "unprocessed": []})
    row = DeliveryRow(number=0, match_value="ana@box.example", fields={})
    assert offline.remove_members("Audience x", [row], match_key="email")[0].status is Status.ACCEPTED
    [sent] = orjson.loads(alone.calls[-1].request.body or b"")["d"]
    assert sent["profileData"] == {"Audience x": False}
