"""Customer.io as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import requests
import responses

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.customerio import CustomerIo, CustomerIoSettings
from millstream.destinations.modes import Leaving, Status, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.reconciling import reconcile
from millstream.destinations.sending.sizes import of_fitting_size
from millstream.destinations.sync import Sync
from millstream.destinations.testing import deliver
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)
from tests.destinations.bench import Bench, MakeBench

TRACK = "https://track.test"
APP = "https://app.test"
BATCH = f"{TRACK}/api/v2/batch"
SEGMENTS = f"{APP}/v1/segments"
SYSTEM = "customerio"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, **changes: object) -> CustomerIo:
    facts = {
        "base_url": f"{sandbox.url}/customerio/track",
        "app_base_url": f"{sandbox.url}/customerio/app",
        "site_id": "sandbox-site",
        "track_api_key": "sandbox-customerio-track",
        "app_api_key": "sandbox-customerio-app",
        "seconds_before_membership": 0,
    }
    return CustomerIo(CustomerIoSettings.model_validate({**facts, **changes}))


@pytest.fixture
def customerio(sandbox: Sandbox) -> CustomerIo:
    return connect(sandbox)


@pytest.fixture
def offline() -> CustomerIo:
    keys = {"site_id": "site", "track_api_key": "track-key", "app_api_key": "app-key"}
    return CustomerIo(CustomerIoSettings.model_validate({"base_url": TRACK, "app_base_url": APP, **keys}))


def row(number: int, match_value: str, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=match_value, fields=fields)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def state_of(sandbox: Sandbox) -> dict[str, Any]:
    state: dict[str, Any] = requests.get(f"{sandbox.url}/_sandbox/state/customerio", timeout=10).json()
    return state


def people_in(state: dict[str, Any], standing: str) -> list[dict[str, Any]]:
    return [person for person in state["people"] if person["standing"] == standing]


def bodies(*calls: Any) -> list[Any]:
    return [orjson.loads(call.request.body) for call in calls]


# Settings


@pytest.mark.parametrize(
    ("region", "track", "app"),
    [
        ("us", "https://track.customer.io", "https://api.customer.io"),
        ("eu", "https://track-eu.customer.io", "https://api-eu.customer.io"),
    ],
)
def test_each_region_has_hosts_of_its_own(region: str, track: str, app: str) -> None:
    keys = {"site_id": "site", "track_api_key": "a", "app_api_key": "b"}
    settings = CustomerIo(CustomerIoSettings.model_validate({"region": region, **keys})).settings
    assert (settings.base_url, settings.app_root) == (track, app)


def test_each_api_has_a_pace_and_a_key_of_its_own(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    alone.get(f"{TRACK}/api/v1/accounts/region", json={"region": "us"})
    alone.get(SEGMENTS, json={"segments": []})
    offline.probe()
    track, app = (call.request.headers["Authorization"].split()[0] for call in alone.calls)
    assert (track, app) == ("Basic", "Bearer")
    assert (offline.http.pacer.limit.requests, offline.app.pacer.limit.requests) == (90, 9)


def test_an_account_of_another_region_is_told(sandbox: Sandbox) -> None:
    keys = {"site_id": "sandbox-site-eu", "track_api_key": "sandbox-customerio-track-eu"}
    with pytest.raises(ConfigurationError, match="region: eu"):
        connect(sandbox, **keys).probe()
    with pytest.raises(AuthenticationError, match="region"):
        deliver(connect(sandbox, **keys), [row(1, "R-1")])


@pytest.mark.parametrize("wrong", ["track_api_key", "app_api_key"])
def test_either_key_may_be_wrong(sandbox: Sandbox, wrong: str) -> None:
    with pytest.raises(AuthenticationError) as raised:
        connect(sandbox, **{wrong: "not-the-key"}).probe()
    assert "not-the-key" not in f"{raised.value} {raised.value!r}"


def test_a_key_without_the_permission_is_told(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError):
        connect(sandbox, app_api_key="sandbox-customerio-app-no-segments").ensure_audience("Any")


# Writing people


def test_what_is_sent(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    alone.post(BATCH, json={})
    fields: dict[str, FieldValue] = {
        "id": "42",
        "email": "Ana@box.example",
        "created_at": "2026-11-01 10:00:00+00",
        "birthday": "1990-02-28",
        "last_order_at": "2026-11-01 12:00:00.5+02",
        "ltv": 120.5,
        "visits": 3,
        "vip": False,
        "city": None,
        "note": "2026-11-01T10:00:00Z",
    }
    offline.upsert([row(1, "42", **fields)], match_key="id")
    offline.upsert(
        [row(1, "Ben@Box.example", created_at="2026-11-01", seen_at="2026-11-01 10:00:00", id="7")], match_key="email"
    )
    assert bodies(*alone.calls) == [
        {
            "batch": [
                {
                    "type": "person",
                    "identifiers": {"id": "42"},
                    "action": "identify",
                    "attributes": {
                        "email": "Ana@box.example",
                        "created_at": 1793527200,
                        "birthday": "1990-02-28",
                        "last_order_at": 1793527200,
                        "ltv": 120.5,
                        "visits": 3,
                        "vip": False,
                        "city": "",
                        "note": "2026-11-01T10:00:00Z",
                    },
                }
            ]
        },
        {
            "batch": [
                {
                    "type": "person",
                    "identifiers": {"email": "ben@box.example"},
                    "action": "identify",
                    "attributes": {"created_at": 1793491200, "seen_at": 1793527200, "id": "7"},
                }
            ]
        },
    ]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-11-01 10:00:00+00", 1793527200),
        ("2026-11-01T12:00:00+02:00", 1793527200),
        ("2026-11-01", 1793491200),
        ("1793527200", 1793527200),
        ("last year", "last year"),
    ],
)
def test_since_when_somebody_is_a_customer_is_a_number(
    offline: CustomerIo, alone: responses.RequestsMock, given: str, sent: FieldValue
) -> None:
    alone.post(BATCH, json={})
    offline.upsert([row(1, "42", created_at=given)], match_key="id")
    assert bodies(*alone.calls)[0]["batch"][0]["attributes"] == {"created_at": sent}


def test_errors_of_a_207_find_their_rows(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    fault = {"batch_index": 1, "reason": "invalid", "field": "identifiers.id", "message": "Ben-2 is no id"}
    alone.post(BATCH, json={"errors": [fault]}, status=207)
    outcomes = offline.upsert([row(1, "Ana-1"), row(2, "Ben-2"), row(3, "Cem-3"), row(4, "Ben-2")], match_key="id")
    assert statuses(outcomes) == [
        ("accepted", None),
        ("rejected", "invalid"),
        ("accepted", None),
        ("rejected", "invalid"),
    ]
    assert "Ben-2" not in str(outcomes[1].reason)


@pytest.mark.parametrize("place", [{}, {"batch_index": 9}, {"batch_index": None}])
def test_an_error_that_names_no_row_is_everybodys(
    offline: CustomerIo, alone: responses.RequestsMock, place: dict[str, object]
) -> None:
    faults = [{"reason": "odd", "message": "something", **place}, {"batch_index": 0, "reason": "invalid"}]
    alone.post(BATCH, json={"errors": faults}, status=207)
    outcomes = offline.upsert([row(1, "A"), row(2, "B")], match_key="id")
    assert statuses(outcomes) == [("rejected", "invalid"), ("rejected", "error_without_row")]
    assert outcomes[1].fault == "vendor"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            {"errors": [{"reason": "malformed", "field": "attributes", "message": "ana@box.example is odd"}]},
            "malformed",
        ),
        ({"meta": {"errors": ["ana@box.example is odd"]}}, "refused"),
        ({"meta": {"error": "ana@box.example is odd"}}, "refused"),
        ({"errors": [{"detail": "ana@box.example is odd", "status": "400"}]}, "refused"),
        ("no JSON", "refused"),
    ],
)
def test_a_request_refused_whole_is_halved_to_the_row(
    offline: CustomerIo, alone: responses.RequestsMock, body: Any, code: str
) -> None:
    alone.post(BATCH, status=400, **({"json": body} if isinstance(body, dict) else {"body": body}))
    with pytest.raises(RefusedError) as raised:
        offline.upsert([row(1, "ana@box.example"), row(2, "ben@box.example")], match_key="email")
    assert "ana@box.example" not in str(raised.value)
    [outcome] = offline.upsert([row(1, "ana@box.example")], match_key="email")
    assert statuses([outcome]) == [("rejected", code)]
    assert "ana@box.example" not in str(outcome.reason)


def test_batches_keep_the_vendors_bytes(sandbox: Sandbox) -> None:
    customerio: Any = connect(sandbox)
    thick: dict[str, FieldValue] = {f"a{number}": "x" * 900 for number in range(32)}
    rows = [row(number, f"Thick-{number}", **thick) for number in range(40)]
    rows.append(row(99, "Thick-99", **thick, **{f"b{number}": "x" * 900 for number in range(4)}))
    pieces = list(of_fitting_size([(rows, {})], customerio, customerio.batch_size))
    outcomes = [outcome for piece, _ in pieces if piece for outcome in customerio.upsert(piece, match_key="id")]
    assert statuses(outcomes) == [("accepted", None)] * 40
    assert [(number, one.code) for _, misfits in pieces for number, one in misfits.items()] == [(99, "too_large")]


def test_a_lost_answer_is_no_second_person(customerio: CustomerIo, sandbox: Sandbox, faults: Any) -> None:
    faults(kind="reset", when="after", method="POST", times=1)
    assert statuses(customerio.upsert([row(1, "Lost-1")], match_key="id")) == [("accepted", None)]
    assert [one["match"]["external_id"] for one in state_of(sandbox)["people"]].count("Lost-1") == 1


def test_a_segment_in_use_is_waited_for(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    path = f"{TRACK}/api/v1/segments/7/add_customers"
    alone.post(path, status=409, json={"meta": {"error": "in use"}})
    alone.post(path, json={})
    assert statuses(offline.add_members("7", [row(1, "A")], match_key="id")) == [("accepted_async", None)]


# Update creates nobody


def test_update_looks_people_up_a_hundred_at_a_time(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    found = [{"id": "A-1", "email": None, "cio_id": "x1"}, {"id": "A-150", "email": None, "cio_id": "x2"}]
    alone.post(f"{APP}/v1/customers", json={"identifiers": found[:1], "next": ""})
    alone.post(f"{APP}/v1/customers", json={"identifiers": found[1:], "next": ""})
    alone.post(BATCH, json={})
    outcomes = offline.update([row(number, f"A-{number}", city="Ulm") for number in range(200)], match_key="id")
    changed = [number for number, outcome in enumerate(outcomes) if outcome.status is Status.ACCEPTED]
    assert changed == [1, 150]
    assert {outcome.code for outcome in outcomes} == {None, "not_found"}
    first, second, batch = bodies(*alone.calls)
    assert [len(one["filter"]["or"]) for one in (first, second)] == [100, 100]
    assert first["filter"]["or"][0] == {"attribute": {"field": "id", "operator": "eq", "value": "A-0"}}
    assert [one["attributes"] for one in batch["batch"]] == [{"city": "Ulm", "_update": True}] * 2


def test_update_finds_addresses_in_upper_and_lower_case(customerio: CustomerIo) -> None:
    deliver(customerio, [row(1, "U-1", email="Update.Ana@box.example")])
    outcomes = customerio.update(
        [row(1, "update.ana@Box.example", city="Rome"), row(2, "update.nobody@box.example")], match_key="email"
    )
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_found")]


# Nobody is resubscribed


@pytest.mark.parametrize("match_key", ["id", "email"])
def test_who_unsubscribed_or_is_suppressed_stays_so(sandbox: Sandbox, match_key: str) -> None:
    customerio, before = connect(sandbox), state_of(sandbox)
    fact = "external_id" if match_key == "id" else "email"
    names = [
        person["match"][fact]
        for standing in ("unsubscribed", "unsubscribed_from_topics", "suppressed")
        for person in people_in(before, standing)
        if person["match"][fact]
    ]
    rows = [row(number, name, city="Ulm") for number, name in enumerate(names)]
    audience = customerio.ensure_audience("Consent")
    customerio.upsert(rows, match_key=match_key)
    customerio.add_members(audience, rows, match_key=match_key)
    customerio.update([row(one.number, one.match_value, city=None) for one in rows], match_key=match_key)
    customerio.remove_members(audience, rows, match_key=match_key)
    after = state_of(sandbox)
    for standing in ("unsubscribed", "unsubscribed_from_topics", "suppressed"):
        assert [one["match"] for one in people_in(after, standing)] == [
            one["match"] for one in people_in(before, standing)
        ]
    assert after["resubscribed"] == []


def test_an_address_that_is_suppressed_does_not_come_in_as_an_attribute(sandbox: Sandbox) -> None:
    before = state_of(sandbox)
    address = next(one["match"]["email"] for one in people_in(before, "suppressed") if one["match"]["email"])
    customerio = connect(sandbox)
    customerio.upsert([row(1, "Smuggled-1", email=address)], match_key="id")
    held = [one for one in state_of(sandbox)["people"] if one["match"]["email"] == address]
    assert [one["standing"] for one in held] == ["suppressed"]


def test_an_address_that_unsubscribed_is_not_subscribed_under_a_new_id(
    customerio: CustomerIo, sandbox: Sandbox
) -> None:
    unsubscribed = people_in(state_of(sandbox), "unsubscribed")
    address = next(one["match"]["email"] for one in unsubscribed if not one["match"]["external_id"])
    customerio.upsert([row(1, "Renamed-1", email=address)], match_key="id")
    held = [one["standing"] for one in state_of(sandbox)["people"] if one["match"]["email"] == address]
    assert set(held) == {"unsubscribed"}


@pytest.mark.parametrize(
    "field", ["unsubscribed", "cio_subscription_preferences", "cio_subscription_preferences.topics.topic_1"]
)
def test_consent_is_not_a_field(offline: CustomerIo, field: str) -> None:
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(offline, "all", a_sync(fields={field: "flag"}), {})
    assert offline.calls == 0


@pytest.mark.parametrize("field", ["_update", "cio_id", "anonymous_id", "cio_relationships"])
def test_what_steers_the_vendor_is_not_a_field(offline: CustomerIo, field: str) -> None:
    with pytest.raises(ConfigurationError, match="reserved"):
        ensure_fields(offline, "all", a_sync(fields={field: "flag"}), {})
    assert offline.calls == 0


def a_sync(**changes: object) -> Sync:
    facts = {"destination": "customerio", "table": "t.t", "mode": SyncMode.UPSERT, "consent": "not_needed"}
    return Sync.model_validate({**facts, **changes})


def test_nobody_who_left_is_deleted(sandbox: Sandbox) -> None:
    """An opt-out is part of the profile: whoever is deleted and comes back has none."""
    assert CustomerIo.leavings == {Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS}


# Segments


def test_a_data_driven_segment_is_no_audience(customerio: CustomerIo) -> None:
    with pytest.raises(ConfigurationError, match="data-driven"):
        customerio.ensure_audience("Everybody")
    with pytest.raises(ConfigurationError, match="data-driven"):
        customerio.add_members("1", [row(1, "A"), row(2, "B")], match_key="id")


def test_a_segment_that_is_gone_stops_the_sync(customerio: CustomerIo) -> None:
    for change in (customerio.add_members, customerio.remove_members):
        with pytest.raises(NotFoundError, match="segment 987654"):
            change("987654", [row(1, "A"), row(2, "B")], match_key="id")


def test_of_two_segments_of_a_name_the_older_manual_one_is_taken(
    offline: CustomerIo, alone: responses.RequestsMock
) -> None:
    """As two processes may make one each at the same time."""
    segments = [
        {"id": 3, "name": "Gold", "type": "dynamic"},
        {"id": 12, "name": "gold", "type": "manual"},
        {"id": 9, "name": "GOLD", "type": "manual"},
    ]
    alone.get(SEGMENTS, json={"segments": []})
    made = alone.post(SEGMENTS, json={"segment": segments[1]})
    alone.get(SEGMENTS, json={"segments": segments})
    assert offline.ensure_audience("Gold") == "9"
    assert bodies(*made.calls)[0]["segment"]["name"] == "Gold"


def test_of_segments_that_differ_in_upper_and_lower_case_the_one_that_is_meant_is_taken(
    offline: CustomerIo, alone: responses.RequestsMock
) -> None:
    """Else two syncs could fill one."""
    segments = [{"id": 3, "name": "VIP", "type": "manual"}, {"id": 9, "name": "vip", "type": "manual"}]
    alone.get(SEGMENTS, json={"segments": segments})
    assert (offline.ensure_audience("VIP"), offline.ensure_audience("vip")) == ("3", "9")


def test_a_segment_that_is_not_listed_yet_is_used(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    alone.get(SEGMENTS, json={"segments": []})
    alone.post(SEGMENTS, json={"segment": {"id": 12, "name": "Gold", "type": "manual"}})
    assert offline.ensure_audience("Gold") == "12"


@pytest.mark.parametrize("lost", [requests.ConnectionError("cut"), None], ids=["lost", "refused"])
def test_a_segment_is_not_made_twice(
    offline: CustomerIo, alone: responses.RequestsMock, lost: requests.ConnectionError | None
) -> None:
    alone.get(SEGMENTS, json={"segments": []})
    if lost:
        made = alone.post(SEGMENTS, body=lost)
    else:
        made = alone.post(SEGMENTS, status=400, json={"errors": [{"detail": "taken", "status": "400"}]})
    alone.get(SEGMENTS, json={"segments": [{"id": 7, "name": "Gold", "type": "manual"}]})
    assert offline.ensure_audience("Gold") == "7"
    assert made.call_count == 1


def test_a_segment_that_cannot_be_made_is_told(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    alone.get(SEGMENTS, json={"segments": []})
    alone.post(SEGMENTS, status=400, json={"errors": [{"detail": "too many segments", "status": "400"}]})
    with pytest.raises(RefusedError, match="too many segments"):
        offline.ensure_audience("Gold")


def test_memberships_say_what_their_values_are(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    path = f"{TRACK}/api/v1/segments/7"
    by_id = alone.post(f"{path}/add_customers", json={})
    by_email = alone.post(f"{path}/remove_customers", json={})
    offline.add_members("7", [row(1, "Ana-1"), row(2, "Ana-1")], match_key="id")
    offline.remove_members("7", [row(1, "Ana@box.example")], match_key="email")
    assert [str(call.request.url).split("?")[1] for call in alone.calls] == ["id_type=id", "id_type=email"]
    assert bodies(by_id.calls[0], by_email.calls[0]) == [{"ids": ["Ana-1"]}, {"ids": ["ana@box.example"]}]


def test_a_segment_is_read_to_its_end(offline: CustomerIo, alone: responses.RequestsMock) -> None:
    path = f"{SEGMENTS}/7/membership"
    first = [{"id": "A-1", "email": "ana@box.example", "cio_id": "x1"}]
    last = [{"id": None, "email": "ben@box.example", "cio_id": "x2"}, {"id": "C-3", "email": None, "cio_id": None}]
    for _ in range(2):
        alone.get(path, json={"identifiers": first, "ids": ["A-1"], "next": "MQ=="})
        alone.get(path, json={"identifiers": last, "ids": ["", "C-3"], "next": ""})
    members = list(offline.read_members("7"))
    assert [(one.match_values, one.external_id) for one in members] == [
        (("A-1", "ana@box.example", "x1"), "x1"),
        (("ben@box.example", "x2"), "x2"),
        (("C-3",), None),
    ]
    assert list(offline.read_back("7")) == ["A-1", "ben@box.example", "C-3"]
    assert str(alone.calls[1].request.url).endswith("start=MQ%3D%3D")


# What is worked off later


@pytest.fixture
def lagging(sandbox: Sandbox) -> Iterator[float]:
    system: Any = sandbox.systems["customerio"]
    system.lag = 0.5
    yield system.lag
    system.lag = 0.0


def members_of(sandbox: Sandbox, audience: str) -> set[str]:
    people = state_of(sandbox)["people"]
    return {person["match"]["external_id"] for person in people if audience in person["audiences"]}


def point(bench: Bench, sandbox: Sandbox, **changes: object) -> None:
    """Have the bench's sync go to Customer.io."""

    def connected() -> Any:
        return connect(sandbox, **changes)

    bench.delivery.destination = connected


@pytest.mark.parametrize("patience", [0.0, 0.8])
def test_nobody_new_is_missed_where_memberships_wait(
    on_duckdb: MakeBench, sandbox: Sandbox, lagging: float, patience: float
) -> None:
    into = f"Waited for {uuid4().hex}"
    with on_duckdb(into=into, match={"id": "email"}, fields={"first_name": "name"}) as bench:
        bench.want({f"{into}-{number}": "Ann" for number in range(5)})
        point(bench, sandbox, seconds_before_membership=patience)
        report = bench.run()
        assert (report.status, report.accepted) == ("completed", 5)
        assert len(members_of(sandbox, into)) == (5 if patience > lagging else 0)


def test_who_was_missed_is_found_by_reading_back_and_put_in_by_the_next_run(
    on_duckdb: MakeBench, sandbox: Sandbox, lagging: float
) -> None:
    into = f"Missed {uuid4().hex}"
    with on_duckdb(into=into, match={"id": "email"}, fields={"first_name": "name"}) as bench:
        bench.want({f"{into}-{number}": "Ann" for number in range(5)})
        point(bench, sandbox)
        bench.run()
        time.sleep(lagging)
        assert reconcile(bench.delivery, "look", repair=True).missing == 5
        bench.run()
        assert len(members_of(sandbox, into)) == 5
        found = reconcile(bench.delivery, "look")
        assert (found.missing, found.extra, found.strangers) == (0, 0, 0)


# Erasure


@pytest.mark.parametrize("erase_by", ["delete", "suppress"])
def test_erased_people_come_back_only_where_they_are_not_suppressed(sandbox: Sandbox, erase_by: str) -> None:
    customerio, person = connect(sandbox, erase_by=erase_by), [row(1, f"Erase-{erase_by}")]
    customerio.upsert(person, match_key="id")
    assert statuses(customerio.erase(person, match_key="id")) == [("accepted", None)]
    assert not known(sandbox, f"Erase-{erase_by}")
    customerio.upsert(person, match_key="id")
    assert known(sandbox, f"Erase-{erase_by}") == (erase_by == "delete")


def known(sandbox: Sandbox, customer_id: str) -> bool:
    people = state_of(sandbox)["people"]
    return any(one["match"]["external_id"] == customer_id for one in people if one["standing"] != "suppressed")


def test_no_error_tells_a_key(sandbox: Sandbox, faults: Any, caplog: pytest.LogCaptureFixture) -> None:
    faults(kind="server_error", times=1)
    with caplog.at_level("DEBUG"):
        connect(sandbox).probe()
        with pytest.raises(MillstreamError) as raised:
            connect(sandbox, app_api_key="wrong-app-key").ensure_audience("Any")
    told = f"{raised.value!r} {caplog.text} {connect(sandbox).settings!r}"
    assert not [secret for secret in ("sandbox-customerio-track", "wrong-app-key") if secret in told]
