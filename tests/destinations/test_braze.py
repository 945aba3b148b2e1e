"""Braze as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.destinations.braze import Braze, BrazeSettings
from millstream.destinations.braze.segments import members_of
from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.http import Http
from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.rendering import Renderer
from millstream.destinations.sync import FieldMapping, Sync
from millstream.destinations.testing import deliver
from millstream.sandbox import Sandbox
from millstream.sandbox.braze.workspace import Braze as Workspace
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedAnswerError,
    MillstreamError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
)
from millstream.state.http import Retries

ROOT = "https://braze.test"
TRACK = f"{ROOT}/users/track"
NEWS, TEXTS = "6a1c3f52-0f0e-4a55-9a3b-1f1f6f0a0001", "6a1c3f52-0f0e-4a55-9a3b-1f1f6f0a0003"
PARTNER = {
    "audience_kind": "cohort",
    "partner": "millstream",
    "partner_api_key": "sandbox-braze-partner",
    "data_import_key": "sandbox-braze-data-import",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        workspace = running.systems["braze"]
        assert isinstance(workspace, Workspace)
        workspace.queue.seconds = 0.0
        yield running


def connect(sandbox: Sandbox, key: str = "sandbox-braze", **settings: object) -> Braze:
    given = {"base_url": f"{sandbox.url}/braze", "api_key": key, "exports_per_minute": 2500, **settings}
    return Braze(BrazeSettings.model_validate(given))


@pytest.fixture
def braze(sandbox: Sandbox) -> Braze:
    return connect(sandbox)


@pytest.fixture
def offline() -> Braze:
    """Against no vendor but ``alone``, with waits too short to notice."""
    made = Braze(BrazeSettings(base_url=ROOT, api_key=SecretStr("key")))
    for part in ("", "exports", "reads", "deletions"):
        made._https[part] = Http(
            system=made.name,
            base_url=ROOT,
            auth=made.auth(),
            limit=made.pace(),
            classify=made.classify,
            retries=Retries(attempts=3, first_wait=0.001),
        )
    return made


def people(sandbox: Sandbox, match_key: str = "external_id") -> dict[str, dict[str, Any]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/braze", timeout=10).json()
    return {found["match"][match_key]: found for found in state["people"] if found["match"][match_key]}


def standing(sandbox: Sandbox, state: str, place: int = 0) -> tuple[str, dict[str, Any]]:
    """Somebody with an external id who stands so."""
    return [(known, found) for known, found in people(sandbox).items() if found["standing"] == state][place]


def row(number: int, match_value: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=match_value, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


TAKEN = ("accepted_async", None)


def sent(vendor: responses.RequestsMock, place: int = 0) -> list[Mapping[str, Any]]:
    body = orjson.loads(vendor.calls[place].request.body or b"")
    found: list[Mapping[str, Any]] = body["attributes"]
    return found


# Settings


@pytest.mark.parametrize(
    ("instance", "root"),
    [
        ("US-01", "https://rest.iad-01.braze.com"),
        ("US-10", "https://rest.us-10.braze.com"),
        ("EU-02", "https://rest.fra-02.braze.eu"),
        ("AU-01", "https://rest.au-01.braze.com"),
    ],
)
def test_an_instance_has_its_host(instance: str, root: str) -> None:
    given = {"instance": instance, "api_key": "k"}
    assert Braze(BrazeSettings.model_validate(given)).settings.base_url == root


@pytest.mark.parametrize("given", [{}, {"instance": "US-99"}, {"instance": "US-01", "audience_kind": "cohort"}])
def test_settings_that_lack_something_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        BrazeSettings.model_validate({"api_key": "k", **given})


# Nobody is subscribed again


@pytest.mark.parametrize("given", [{}, {"change_known_email": True}], ids=["by default", "with changes allowed"])
@pytest.mark.parametrize("known", [False, True], ids=["first time", "acknowledged"])
@pytest.mark.parametrize("email", ["moved@box.example", None], ids=["another", "cleared"])
def test_a_changed_address_does_not_bring_back_who_unsubscribed(
    sandbox: Sandbox, given: dict[str, Any], known: bool, email: str | None
) -> None:
    match_value, before = standing(sandbox, "unsubscribed")
    rows = [row(1, match_value, match_value if known else None, email=email, home_city="Ulm")]
    braze = connect(sandbox, **given)
    audience = braze.ensure_audience("Moved")
    for outcomes in (
        braze.upsert(rows, match_key="external_id"),
        braze.upsert_into(audience, rows, match_key="external_id"),
        braze.update(rows, match_key="external_id"),
    ):
        assert statuses(outcomes) == [TAKEN]
    after = people(sandbox)[match_value]
    assert (after["standing"], after["resubscribed"]) == ("unsubscribed", False)
    assert after["fields"]["email"] == before["fields"]["email"]
    assert (after["fields"]["home_city"], after["fields"]["Moved"]) == ("Ulm", True)


def test_the_address_of_somebody_known_is_changed_only_where_the_project_says_so(sandbox: Sandbox) -> None:
    match_value, before = standing(sandbox, "subscribed", 3)
    rows = [row(1, match_value, match_value, email="moved-on@box.example")]
    connect(sandbox).upsert(rows, match_key="external_id")
    assert people(sandbox)[match_value]["fields"]["email"] == before["fields"]["email"]
    connect(sandbox, change_known_email=True).upsert(rows, match_key="external_id")
    assert people(sandbox)[match_value]["fields"]["email"] == "moved-on@box.example"


def test_new_people_and_those_without_an_address_get_theirs(sandbox: Sandbox, braze: Braze) -> None:
    braze.upsert([row(1, "without-address", first_name="Ana")], match_key="external_id")
    rows = [
        row(1, "without-address", "without-address", email="late@box.example"),
        row(2, "new-with-address", email="new-with@box.example"),
    ]
    assert statuses(braze.upsert(rows, match_key="external_id")) == [TAKEN] * 2
    found = people(sandbox)
    assert found["without-address"]["fields"]["email"] == "late@box.example"
    assert found["new-with-address"]["fields"]["email"] == "new-with@box.example"


def test_a_new_profile_does_not_get_an_address_that_unsubscribed(sandbox: Sandbox, braze: Braze) -> None:
    _, left = standing(sandbox, "unsubscribed")
    rows = [row(1, "new-under-old-address", email=left["fields"]["email"], first_name="Ana")]
    assert statuses(braze.upsert(rows, match_key="external_id")) == [TAKEN]
    assert people(sandbox)["new-under-old-address"]["fields"] == {"first_name": "Ana"}
    connect(sandbox, check_new_addresses=False).upsert(
        [row(1, "new-unchecked", email=left["fields"]["email"])], match_key="external_id"
    )
    assert people(sandbox)["new-unchecked"]["fields"] == {"email": left["fields"]["email"]}


def test_nobody_is_made_anew_by_an_address_that_unsubscribed(offline: Braze, alone: responses.RequestsMock) -> None:
    def left(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        asked = parse_qs(urlsplit(str(request.url)).query)["email"][0]
        gone = asked in {"gone@box.example", "there@box.example"}
        return 200, {}, orjson.dumps({"emails": [{"email": asked}] if gone else []})

    def profile(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        asked = orjson.loads(request.body or b"")["email_address"]
        users = [{"braze_id": "b", "email": asked, "email_subscribe": "unsubscribed"}]
        return 201, {}, orjson.dumps({"message": "success", "users": users if asked == "there@box.example" else []})

    alone.add_callback(responses.GET, f"{ROOT}/email/unsubscribes", left)
    alone.add_callback(responses.POST, f"{ROOT}/users/export/ids", profile)
    track = alone.post(TRACK, status=201, json={"message": "success"})
    rows = [row(number, f"{who}@box.example", city="Ulm") for number, who in enumerate(("new", "gone", "there"))]
    outcomes = offline.upsert_into("flag:Mailed", rows, match_key="email")
    assert statuses(outcomes) == [TAKEN, ("suppressed", "unsubscribed"), TAKEN]
    sent = orjson.loads(track.calls[0].request.body or b"")["attributes"]
    assert [one["email"] for one in sent] == ["new@box.example", "there@box.example"]


def test_an_address_that_is_there_is_not_written_again(offline: Braze, alone: responses.RequestsMock) -> None:
    user = {"external_id": "42", "braze_id": "b", "email": "Ana@box.example", "email_subscribe": "subscribed"}
    alone.post(f"{ROOT}/users/export/ids", status=201, json={"message": "success", "users": [user]})
    outcomes = offline.upsert([row(1, "42", "42", email="ana@box.example")], match_key="external_id")
    assert statuses(outcomes) == [TAKEN]
    assert len(alone.calls) == 1


@pytest.mark.parametrize("standing_of", ["unsubscribed", "bounced", "opted_in", "subscribed"])
@pytest.mark.parametrize("kind", ["flag", "list", "cohort"])
def test_audiences_leave_subscriptions_alone(sandbox: Sandbox, kind: str, standing_of: str) -> None:
    match_value, before = standing(sandbox, standing_of, 1)
    braze = connect(sandbox, **{**PARTNER, "audience_kind": kind})
    audience = braze.ensure_audience("Consent")
    rows = [row(1, match_value, match_value, home_city="Ulm")]
    braze.upsert(rows, match_key="external_id")
    assert statuses(braze.add_members(audience, rows, match_key="external_id")) == [TAKEN]
    assert statuses(braze.remove_members(audience, rows, match_key="external_id")) == [TAKEN]
    after = people(sandbox)[match_value]
    for fact in ("standing", "groups", "resubscribed"):
        assert after[fact] == before[fact]


@pytest.mark.parametrize("field", ["email_subscribe", "push_subscribe", "subscription_groups", "Email_Subscribe"])
def test_consent_is_not_a_field(offline: Braze, field: str) -> None:
    sync = Sync(destination="b", table="t.t", mode=SyncMode.UPSERT, fields={field: "x"}, consent="not_needed")
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(offline, "all", sync, {})


# Subscription groups


@pytest.fixture
def groups(sandbox: Sandbox) -> Braze:
    return connect(sandbox, audience_kind="subscription_group")


def in_group(sandbox: Sandbox, name: str, state: str) -> tuple[str, dict[str, Any]]:
    return next((known, found) for known, found in people(sandbox).items() if found["groups"].get(name) == state)


def test_who_left_a_group_is_suppressed_and_left_so(sandbox: Sandbox, groups: Braze) -> None:
    audience = groups.ensure_audience(NEWS)
    left, before = in_group(sandbox, "Weekly news", "unsubscribed")
    rows = [row(1, left, left), row(2, "new-in-group", first_name="Ana")]
    for call in (groups.upsert_into, groups.add_members):
        assert statuses(call(audience, rows, match_key="external_id")) == [("suppressed", "unsubscribed"), TAKEN]
    after = people(sandbox)
    assert after[left] == before
    assert after["new-in-group"]["groups"] == {"Weekly news": "subscribed"}


@pytest.mark.parametrize(
    ("group", "name", "shared"), [(NEWS, "Weekly news", "email"), (TEXTS, "Text messages", "phone")]
)
def test_somebody_new_does_not_bring_back_who_left_under_the_same_address_or_number(
    sandbox: Sandbox, groups: Braze, group: str, name: str, shared: str
) -> None:
    left, before = next(
        (known, found)
        for known, found in people(sandbox).items()
        if found["groups"].get(name) == "unsubscribed" and found["fields"].get(shared)
    )
    value = before["fields"][shared]
    rows = [DeliveryRow(number=1, match_value=f"twin-{shared}", fields={shared: value})]
    outcomes = groups.upsert_into(groups.ensure_audience(group), rows, match_key="external_id")
    assert statuses(outcomes) == [("suppressed", "unsubscribed")]
    assert people(sandbox)[left] == before


def test_nobody_is_unsubscribed_by_leaving_a_group(sandbox: Sandbox, groups: Braze) -> None:
    member, before = in_group(sandbox, "Weekly news", "subscribed")
    audience = groups.ensure_audience(NEWS)
    outcomes = groups.remove_members(audience, [row(1, member, member)], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "stays_in_group")]
    assert people(sandbox)[member] == before


def test_a_group_has_to_be_there_and_people_found_by_what_it_can_be_asked(sandbox: Sandbox, groups: Braze) -> None:
    with pytest.raises(ConfigurationError, match="no subscription group"):
        groups.ensure_audience("Newsletter")
    with pytest.raises(ConfigurationError, match="user_alias"):
        groups.upsert_into(f"subscription_group:{NEWS}", [row(1, "ana")], match_key="user_alias")


def test_a_groups_states_are_read_by_address_too(sandbox: Sandbox, groups: Braze) -> None:
    _, left = in_group(sandbox, "Weekly news", "unsubscribed")
    rows = [row(1, left["fields"]["email"]), row(2, "new-by-mail@box.example")]
    outcomes = groups.upsert_into(groups.ensure_audience(NEWS), rows, match_key="email")
    assert statuses(outcomes) == [("suppressed", "unsubscribed"), TAKEN]


# Writing


def test_fields_and_membership_are_one_request(offline: Braze, alone: responses.RequestsMock) -> None:
    alone.post(TRACK, status=201, json={"message": "success", "attributes_processed": 2})
    rows = [row(1, "42", first_name="Ana", ltv=120.5, vip=True), row(2, "43", home_city=None)]
    offline.upsert_into("flag:VIP 2026", rows, match_key="external_id")
    assert sent(alone) == [
        {
            "first_name": "Ana",
            "ltv": 120.5,
            "vip": True,
            "VIP 2026": True,
            "external_id": "42",
            "_update_existing_only": False,
        },
        {"home_city": None, "VIP 2026": True, "external_id": "43", "_update_existing_only": False},
    ]


def test_out_of_an_audience_makes_nobody(offline: Braze, alone: responses.RequestsMock) -> None:
    alone.post(TRACK, status=201, json={"message": "success"})
    offline.remove_members("flag:VIP", [row(1, "42")], match_key="external_id")
    offline.remove_members("list:VIP", [row(1, "42")], match_key="external_id")
    assert sent(alone, 0) == [{"VIP": False, "external_id": "42", "_update_existing_only": True}]
    assert sent(alone, 1) == [{"audiences": {"remove": ["VIP"]}, "external_id": "42", "_update_existing_only": True}]


def test_values_keep_their_type(sandbox: Sandbox, braze: Braze) -> None:
    mappings = {name: FieldMapping(column=name) for name in ("ltv", "vip", "visits", "seen", "first_name", "dob")}
    renderer = Renderer(braze.fields, mappings, braze.custom_field_type)
    values = {
        "ltv": 120.5,
        "vip": False,
        "visits": 3,
        "seen": "2026-11-01 10:00:00+00",
        "first_name": 7,
        "dob": "1990-02-01",
    }
    fields = renderer.render(values)
    assert not isinstance(fields, Outcome)
    braze.upsert([DeliveryRow(number=1, match_value="typed", fields=fields)], match_key="external_id")
    assert people(sandbox)["typed"]["fields"] == {
        **values,
        "first_name": "7",
        "seen": "2026-11-01T10:00:00+00:00",
    }


def test_a_number_that_is_none_clears_nothing(offline: Braze, alone: responses.RequestsMock) -> None:
    alone.post(TRACK, status=201, json={"message": "success"})
    offline.upsert([row(1, "42", ltv=float("nan"), visits=1)], match_key="external_id")
    assert "ltv" not in sent(alone)[0]


def test_people_are_found_by_an_alias(sandbox: Sandbox) -> None:
    braze = connect(sandbox, alias_label="crm", audience_kind="list")
    audience = braze.ensure_audience("Aliases")
    rows = [row(1, "alias-ana", first_name="Ana", email="alias-ana@box.example")]
    assert statuses(braze.upsert_into(audience, rows, match_key="user_alias")) == [TAKEN]
    stranger = row(2, "alias-nobody", first_name="Ben")
    outcomes = braze.update([*rows, stranger], match_key="user_alias")
    assert statuses(outcomes) == [TAKEN, ("rejected", "not_found")]
    found = people(sandbox, "email")["alias-ana@box.example"]
    assert found["aliases"] == {"crm": "alias-ana"}
    assert found["fields"]["audiences"] == ["Aliases"]
    assert statuses(braze.erase(rows, match_key="user_alias")) == [TAKEN]
    assert "alias-ana@box.example" not in people(sandbox, "email")


def test_people_are_found_by_their_address(sandbox: Sandbox, braze: Braze) -> None:
    email = "by-mail@box.example"
    assert statuses(braze.upsert_into("flag:Mailed", [row(1, email, home_city="Ulm")], match_key="email")) == [TAKEN]
    outcomes = braze.update([row(1, email, home_city="Bonn"), row(2, "no-mail@box.example")], match_key="email")
    assert statuses(outcomes) == [TAKEN, ("rejected", "not_found")]
    fields = people(sandbox, "email")[email]["fields"]
    assert (fields["home_city"], fields["Mailed"]) == ("Bonn", True)
    braze.erase([row(1, email), row(2, "no-mail@box.example")], match_key="email")
    assert email not in people(sandbox, "email")


@pytest.mark.parametrize("name", ["external_id", "$set", "_merge_objects", "x" * 256])
def test_names_that_are_no_attributes_are_refused(offline: Braze, name: str) -> None:
    with pytest.raises(ConfigurationError):
        offline.missing_fields([name])


def test_an_audiences_attribute_is_no_field(sandbox: Sandbox, offline: Braze) -> None:
    assert offline.missing_fields(["audiences"]) == []
    with pytest.raises(ConfigurationError, match="overwrite"):
        connect(sandbox, audience_kind="list").missing_fields(["audiences"])


def test_an_audience_that_can_be_no_attribute_is_refused(offline: Braze) -> None:
    with pytest.raises(ConfigurationError, match="into"):
        offline.ensure_audience("$vip")


# Reading back

VERY_IMPORTANT = "5e9f0000-0000-4000-8000-000000000002"


def test_an_audience_with_a_segment_is_read_back(sandbox: Sandbox, braze: Braze) -> None:
    workspace = sandbox.systems["braze"]
    assert isinstance(workspace, Workspace)
    workspace.exports.seconds = 0.1
    reader = connect(sandbox, segments={"vip": VERY_IMPORTANT}, alias_label="crm")
    assert (braze.can_read_back, reader.can_read_back) == (False, True)
    audience = braze.ensure_audience("vip")
    rows = [row(1, "vip-ana", email="VIP-ana@box.example"), row(2, "vip-ben")]
    braze.upsert_into(audience, rows, match_key="external_id")
    reader.upsert_into(audience, [row(3, "vip-cem", first_name="Cem")], match_key="user_alias")
    members = list(reader.read_members(audience))
    assert ("vip-ana", "vip-ana@box.example") in {member.match_values for member in members}
    assert {"vip-ana", "vip-ben", "vip-cem"} <= set(reader.read_back(audience))
    with pytest.raises(ConfigurationError, match="No segment"):
        reader.read_members("flag:other")


def test_an_export_that_cannot_be_fetched_or_read_is_told(
    sandbox: Sandbox, offline: Braze, alone: responses.RequestsMock
) -> None:
    export, file = f"{ROOT}/users/export/segment", f"{ROOT}/file.zip"
    alone.post(export, status=201, json={"message": "success", "object_prefix": "x"})
    with pytest.raises(MillstreamError, match="own storage"):
        list(members_of(offline.http, "s", alias_label=""))
    alone.post(export, status=201, json={"message": "success", "url": file})
    alone.get(file, body=b"no archive")
    with pytest.raises(MalformedAnswerError, match="cannot be read"):
        list(members_of(offline.http, "s", alias_label=""))


# Cohorts


def test_cohorts_take_a_thousand_and_no_addresses(sandbox: Sandbox) -> None:
    braze = connect(sandbox, **PARTNER)
    assert (braze.batch_size, braze.membership_batch_size, braze.enrolment_delay) == (75, 1000, 300.0)
    assert not braze.adds_at_once
    with pytest.raises(ConfigurationError, match="external_id or user_alias"):
        braze.remove_members("cohort:x", [row(1, "ana@box.example")], match_key="email")


def test_a_wrong_partner_key_is_told(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationError, match="partner"):
        connect(sandbox, **{**PARTNER, "partner_api_key": "wrong"}).ensure_audience("Any")


# What Braze answers


def test_faulty_rows_are_found_by_their_place(offline: Braze, alone: responses.RequestsMock) -> None:
    faults = [
        {"type": "'email' of ben@box.example is not valid", "input_array": "attributes", "index": 1},
        {"type": "an event", "input_array": "events", "index": 0},
        {"type": "nobody's", "input_array": "attributes", "index": 9},
        "prose",
    ]
    alone.post(TRACK, status=201, json={"message": "success", "attributes_processed": 2, "errors": faults})
    rows = [row(number, f"{name}@box.example") for number, name in enumerate(("ana", "ben", "cem"))]
    outcomes = offline.upsert(rows, match_key="external_id")
    assert statuses(outcomes) == [TAKEN, ("rejected", "not_processed"), TAKEN]
    assert "ben@box.example" not in str(outcomes[1].reason)
    assert [outcome.external_id for outcome in outcomes] == ["ana@box.example", None, "cem@box.example"]


def test_rows_that_a_fatal_error_names_stand_aside(offline: Braze, alone: responses.RequestsMock) -> None:
    fatal = {"message": "Bad data", "errors": [{"type": "no good", "input_array": "attributes", "index": 0}]}
    alone.post(TRACK, status=400, json=fatal)
    alone.post(TRACK, status=201, json={"message": "success"})
    outcomes = offline.upsert([row(1, "bad"), row(2, "good")], match_key="external_id")
    assert statuses(outcomes) == [("rejected", "not_processed"), TAKEN]
    assert [one["external_id"] for one in sent(alone, 1)] == ["good"]


def test_a_fatal_error_that_names_nobody_is_halved_by_the_engine(offline: Braze, alone: responses.RequestsMock) -> None:
    alone.post(TRACK, status=400, json={"message": "Max Input Length Exceeded"})
    alone.post(TRACK, status=201, json={"message": "success"})
    alone.post(TRACK, status=201, json={"message": "success"})
    assert statuses(deliver(offline, [row(1, "a"), row(2, "b")])) == [TAKEN] * 2


def test_a_fatal_error_under_a_good_status_is_one(offline: Braze, alone: responses.RequestsMock) -> None:
    alone.post(TRACK, status=201, json={"message": "Valid data must be provided"})
    with pytest.raises(RefusedError, match="Valid data"):
        offline.upsert([row(1, "a")], match_key="external_id")


def test_what_is_queued_in_maintenance_is_taken(offline: Braze, alone: responses.RequestsMock) -> None:
    alone.post(TRACK, status=202, json={"message": "queued"})
    assert statuses(offline.upsert([row(1, "a")], match_key="external_id")) == [TAKEN]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "Invalid API Key", AuthenticationError),
        (404, "Unknown REST API Key", AuthenticationError),
        (401, "This API key does not have the permission users.track", PermissionDeniedError),
        (403, "Forbidden", PermissionDeniedError),
    ],
)
def test_keys_and_permissions_are_told_apart(
    offline: Braze, alone: responses.RequestsMock, status: int, message: str, kind: type[Exception]
) -> None:
    alone.post(TRACK, status=status, json={"message": message})
    with pytest.raises(kind):
        offline.upsert([row(1, "a")], match_key="external_id")


def test_a_missing_permission_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError, match=r"users\.export\.ids"):
        connect(sandbox, "sandbox-braze-track-only").update([row(1, "a")], match_key="external_id")


@pytest.mark.parametrize("header", ["X-Ratelimit-Retry-After", "Retry-After"])
def test_a_throttle_says_how_long(offline: Braze, alone: responses.RequestsMock, header: str) -> None:
    answer = alone.post(TRACK, status=429, json={"message": "Rate limited"}, headers={header: "7"})
    made = offline.http._session
    made._retries = Retries(attempts=1)
    with pytest.raises(RateLimitedError) as raised:
        offline.upsert([row(1, "a")], match_key="external_id")
    assert raised.value.retry_after == 7.0
    assert answer.call_count == 1


def test_each_kind_of_request_has_its_own_limit(sandbox: Sandbox) -> None:
    braze = connect(sandbox, requests_per_3_seconds=99, exports_per_minute=11)
    braze.probe()
    braze.update([row(1, "nobody-here")], match_key="external_id")
    limits = {part: (http.pacer.limit.requests, http.pacer.limit.seconds) for part, http in braze._https.items()}
    assert limits["exports"] == (11, 60.0)
    assert braze.http.pacer.limit.requests == 99


def test_look_ups_are_foretold_where_addresses_are_written(offline: Braze) -> None:
    def foretold(operation: Operation) -> int:
        return offline.requests_for(operation, 150, in_audience=True)

    assert (foretold(Operation.ADD), foretold(Operation.UPDATE), foretold(Operation.REMOVE)) == (2, 2, 2)


@pytest.mark.parametrize("into", ["email_subscribe", "email_open_tracking_disabled", "Email", "tier"])
def test_an_audience_is_no_field_that_means_something_else(offline: Braze, into: str) -> None:
    sync = Sync.model_validate(
        {
            "destination": "braze",
            "table": "crm.people",
            "into": into,
            "fields": {"tier": "tier"},
            "match": {"external_id": "id"},
            "consent": "not_needed",
        }
    )
    with pytest.raises(ConfigurationError, match="there for something else"):
        ensure_fields(offline, "all", sync, {})


def test_who_somebody_is_cannot_be_an_audience(offline: Braze) -> None:
    with pytest.raises(ConfigurationError, match="takes no audience"):
        offline.ensure_audience("external_id")
