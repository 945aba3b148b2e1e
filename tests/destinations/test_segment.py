"""Segment as a destination: what is said of people, how often it counts, and what is erased."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import requests
import responses
from pydantic import ValidationError

from millstream.destinations.contract import DeliveryRow, PlanFacts
from millstream.destinations.modes import Status
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.segment import Segment, SegmentSettings
from millstream.destinations.segment.messages import trait_of
from millstream.destinations.sync import Sync
from millstream.destinations.testing import deliver
from millstream.sandbox import Sandbox
from millstream.state.errors import AuthenticationError, ConfigurationError, PermissionDeniedError

ROOT = "https://segment.test/v1"
PLAN = PlanFacts(sync="vips", plan="plan_1", made_at=datetime(2026, 11, 1, 10, tzinfo=UTC), fields=())


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=60, limits=False) as running:
        yield running


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as vendor:
        yield vendor


def connect(sandbox: Sandbox, **facts: str) -> Segment:
    urls = {"base_url": f"{sandbox.url}/segment/v1", "public_url": f"{sandbox.url}/segment"}
    return Segment(SegmentSettings.model_validate({**urls, "write_key": "sandbox-segment-write-key", **facts}))


def offline(**facts: str) -> Segment:
    return Segment(SegmentSettings.model_validate({"base_url": ROOT, "write_key": "key", **facts}))


def row(number: int, user: str, **fields: Any) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=user, fields=fields)


def said(call: responses.Call) -> list[dict[str, Any]]:
    batch: list[dict[str, Any]] = orjson.loads(call.request.body or b"")["batch"]
    return batch


def state(sandbox: Sandbox) -> Any:
    return requests.get(f"{sandbox.url}/_sandbox/state/segment", timeout=10).json()


def test_who_comes_is_told_as_a_trait_and_an_event_in_one_request(vendor: responses.RequestsMock) -> None:
    vendor.post(f"{ROOT}/batch", json={"success": True})
    segment = offline()
    segment.plan = PLAN
    rows = [row(1, "Ab1", firstName="Ana", points=12, since="2026-11-01 10:00:00+00"), row(2, "ab1")]
    outcomes = segment.upsert_into("VIP: 2026", rows, match_key="user_id")
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED_ASYNC] * 2
    traits = {"firstName": "Ana", "points": 12, "since": "2026-11-01T10:00:00+00:00", "vip_2026": True}
    identify, entered, *of_another = said(vendor.calls[0])
    assert (identify["type"], identify["userId"], identify["traits"]) == ("identify", "Ab1", traits)
    assert (entered["type"], entered["event"]) == ("track", "Audience Entered")
    assert entered["properties"] == {"audience_key": "vip_2026", "audience_name": "VIP: 2026", "vip_2026": True}
    assert {one["timestamp"] for one in said(vendor.calls[0])} == {"2026-11-01T10:00:00+00:00"}
    assert {one["userId"] for one in of_another} == {"ab1"}


def test_a_message_of_the_same_plan_counts_once(sandbox: Sandbox) -> None:
    for plan in ("plan_1", "plan_1", "plan_2"):
        segment = connect(sandbox)
        segment.plan = PlanFacts(sync="vips", plan=plan, made_at=PLAN.made_at, fields=())
        segment.upsert_into("Twice", [row(1, "once-1", firstName="Ana")], match_key="user_id")
    [person] = [one for one in state(sandbox)["people"] if one["id"] == "once-1"]
    assert len(person["events"]) == 2


def test_who_leaves_keeps_the_other_traits(sandbox: Sandbox) -> None:
    segment = connect(sandbox)
    segment.upsert_into("Leavers", [row(1, "leaver-1", firstName="Ana")], match_key="user_id")
    segment.remove_members("Leavers", [row(1, "leaver-1")], match_key="user_id")
    [person] = [one for one in state(sandbox)["people"] if one["id"] == "leaver-1"]
    assert (person["fields"], person["audiences"]) == ({"firstName": "Ana", "leavers": False}, [])
    assert [event["event"] for event in person["events"]] == ["Audience Entered", "Audience Exited"]


def test_a_row_that_is_too_large_stands_alone(sandbox: Sandbox) -> None:
    rows = [row(1, "size-1"), row(2, "size-2", bio="b" * 33_000), row(3, "size-3"), row(4, " ")]
    statuses = [outcome.status for outcome in deliver(connect(sandbox), rows)]
    taken = Status.ACCEPTED_ASYNC
    assert statuses == [taken, Status.REJECTED, taken, Status.REJECTED]
    assert connect(sandbox).row_bytes(rows[1]) > Segment.largest_row


def test_the_largest_batch_of_the_engine_is_taken(sandbox: Sandbox) -> None:
    segment = connect(sandbox)
    people = [row(number, f"many-{number}", firstName="Ana" * 30) for number in range(segment.batch_size)]
    most = Segment.largest_request
    assert most is not None
    rows = people[: most // segment.row_bytes(people[-1])]
    segment.upsert_into("Many", rows, match_key="user_id")
    assert len({one["id"] for one in state(sandbox)["people"] if "many" in one["audiences"]}) == len(rows) > 500


def test_anonymous_people_have_their_own_key(vendor: responses.RequestsMock) -> None:
    vendor.post(f"{ROOT}/batch", json={"success": True})
    offline().upsert([row(1, "a-1")], match_key="anonymous_id")
    [identify] = said(vendor.calls[0])
    assert identify["anonymousId"] == "a-1"
    assert "userId" not in identify


@pytest.mark.parametrize(
    ("name", "trait"), [("VIP", "vip"), (" Ärger / 50 % ", "ärger_50"), ("!!", "audience"), ("a-b.c", "a_b_c")]
)
def test_an_audience_is_a_trait(name: str, trait: str) -> None:
    assert trait_of(name) == trait


# Erasure


def test_erasing_is_one_regulation(vendor: responses.RequestsMock) -> None:
    vendor.post("https://public.test/regulations/sources/src-1", json={"data": {"regulateId": "r"}})
    segment = offline(public_url="https://public.test", public_token="sgp", source_id="src-1", erasure="DELETE_ONLY")
    outcomes = segment.erase([row(1, "a"), row(2, "b"), row(3, "a")], match_key="user_id")
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED_ASYNC] * 3
    assert orjson.loads(vendor.calls[0].request.body or b"") == {
        "regulationType": "DELETE_ONLY",
        "subjectType": "USER_ID",
        "subjectIds": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("facts", "match_key", "error"),
    [
        ({}, "user_id", ConfigurationError),
        ({"public_token": "sgp_sandbox-segment"}, "anonymous_id", ConfigurationError),
        ({"public_token": "sgp_wrong"}, "user_id", AuthenticationError),
        ({"public_token": "sgp_sandbox-segment-reader"}, "user_id", PermissionDeniedError),
    ],
)
def test_what_erasing_needs(sandbox: Sandbox, facts: dict[str, str], match_key: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        connect(sandbox, **facts).erase([row(1, "a")], match_key=match_key)


def test_the_probe_looks_at_the_token_for_erasure(sandbox: Sandbox) -> None:
    connect(sandbox, public_token="sgp_sandbox-segment").probe()
    with pytest.raises(AuthenticationError):
        connect(sandbox, public_token="sgp_wrong").probe()


def test_settings() -> None:
    assert Segment(SegmentSettings.model_validate({"write_key": "k"})).settings.base_url == "https://api.segment.io/v1"
    europe = SegmentSettings.model_validate({"write_key": "k", "region": "eu"})
    assert europe.tracking_root == "https://events.eu1.segmentapis.com/v1"
    with pytest.raises(ValidationError, match="public_token"):
        SegmentSettings.model_validate({"write_key": "k", "source_id": "s"})


@pytest.mark.parametrize(("into", "field"), [("Unsubscribed", "tier"), ("E-mail", "e_mail"), ("Title", "tier")])
def test_an_audience_is_no_trait_that_means_something_else(into: str, field: str) -> None:
    """A trait ``unsubscribed`` that becomes false is taken for a wish to be mailed by destinations behind Segment."""
    sync = sync_of({field: "x"}, into=into)
    with pytest.raises(ConfigurationError, match="there for something else"):
        ensure_fields(offline(), "all", sync, {})


def test_traits_that_destinations_take_for_consent_are_no_fields() -> None:
    for field in ("unsubscribed", "email_subscribe", "MSG-email"):
        with pytest.raises(ConfigurationError, match="carries consent"):
            ensure_fields(offline(), "all", sync_of({field: "x"}), {})
    ensure_fields(offline(), "all", sync_of({"email": "email"}, into="VIP 2026"), {})


def sync_of(fields: dict[str, str], into: str = "vips") -> Sync:
    given = {"table": "crm.people", "match": {"user_id": "id"}, "consent": "not_needed"}
    return Sync.model_validate({"destination": "segment", "into": into, "fields": fields, **given})


def test_the_name_of_the_audience_counts(sandbox: Sandbox) -> None:
    """It is in the messages of everybody, several times."""
    segment = connect(sandbox)
    audience = segment.ensure_audience("Menschen, die lange nichts gekauft haben " * 8)
    people = [row(number, f"long-{number}") for number in range(segment.batch_size)]
    most = Segment.largest_request
    assert most is not None
    rows = people[: most // segment.row_bytes(people[-1])]
    outcomes = segment.remove_members(audience, rows, match_key="user_id")
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED_ASYNC}
    assert 100 < len(rows) < 500
