"""Vero as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import responses

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.http import Recorded
from millstream.destinations.modes import TAKEN, Leaving, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.preview import Look
from millstream.destinations.sync import Sync
from millstream.destinations.testing import deliver
from millstream.destinations.vero import Vero, VeroSettings
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
)
from millstream.state.http import Retries
from tests.destinations.bench import Bench, MakeBench

ROOT = "https://vero.test/api/v2"
TOKEN = "sandbox-vero"
DROPPED = {"status": 200, "message": "Request already received."}
DONE = {"status": 200, "message": "Success."}
SYSTEM = "vero"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, token: str = TOKEN) -> Vero:
    facts = {"base_url": f"{sandbox.url}/vero/api/v2", "auth_token": token, "requests_per_second": 1000}
    return Vero(VeroSettings.model_validate(facts))


@pytest.fixture
def vero(sandbox: Sandbox) -> Vero:
    return connect(sandbox)


@pytest.fixture
def offline() -> Vero:
    return Vero(VeroSettings.model_validate({"base_url": ROOT, "auth_token": TOKEN}))


def point(bench: Bench, sandbox: Sandbox, token: str = TOKEN) -> None:
    """Have the bench's sync go to Vero."""

    def connected() -> Any:
        return connect(sandbox, token)

    bench.delivery.destination = connected


def row(number: int, match_value: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=match_value, fields=fields, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def users(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/vero", timeout=10).json()
    return {person["id"]: person for person in state["people"]}


def bodies(*calls: Any) -> list[Any]:
    return [orjson.loads(call.request.body) for call in calls]


def routes(sandbox: Sandbox) -> set[str]:
    log = requests.get(f"{sandbox.url}/_sandbox/requests", timeout=10).json()
    return {entry["route"] for entry in log["systems"].get("vero", ())}


# Writing users


def test_what_is_sent(offline: Vero, alone: responses.RequestsMock) -> None:
    alone.post(f"{ROOT}/users/track", json=DONE)
    alone.put(f"{ROOT}/users/edit", json=DONE)
    fields: dict[str, FieldValue] = {
        "email": "ana@box.example",
        "phone_number": None,
        "ltv": 120.5,
        "vip": True,
        "city": None,
        "seen_at": "2026-11-01 10:00:00+00",
        "birthday": "1990-02-28",
    }
    data = {"ltv": 120.5, "vip": True, "city": None, "seen_at": "2026-11-01T10:00:00+00:00", "birthday": "1990-02-28"}
    first = offline.upsert([row(1, "C-1", None, **fields)], match_key="id")
    again = offline.upsert([row(1, "C-1", first[0].external_id, **fields)], match_key="id")
    # Of a change Vero says the same whether or not it still has the user.
    assert statuses(first + again) == [("accepted", None), ("accepted_async", None)]
    assert [one.external_id for one in first + again] == ["C-1", "C-1"]
    track, edit = bodies(*alone.calls)
    assert track == {"id": "C-1", "email": "ana@box.example", "data": data, "auth_token": TOKEN}
    changes = {"email": "ana@box.example", "phone_number": None, **data}
    assert edit == {"id": "C-1", "changes": changes, "auth_token": TOKEN}


def test_known_users_without_a_change_cost_no_request(offline: Vero) -> None:
    assert statuses(offline.upsert([row(1, "C-1", "C-1")], match_key="id")) == [("accepted_async", None)]
    assert offline.calls == 0


# Identify calls that are dropped


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_a_value_that_comes_back_within_minutes_is_there(vero: Vero, sandbox: Sandbox, known: bool) -> None:
    user = f"Back-{known}"
    for city in ("Oslo", "Rome", "Oslo"):
        [outcome] = vero.upsert([row(1, user, user if known and city == "Rome" else None, city=city)], match_key="id")
        assert outcome.status in TAKEN
    assert users(sandbox)[user]["fields"] == {"city": "Oslo"}


def test_fields_that_were_cleared_in_between_are_there_again(vero: Vero, sandbox: Sandbox) -> None:
    vero.upsert([row(1, "Cleared-1", city="Oslo")], match_key="id")
    vero.update([row(1, "Cleared-1", city=None)], match_key="id")
    assert users(sandbox)["Cleared-1"]["fields"] == {}
    vero.upsert([row(1, "Cleared-1", city="Oslo")], match_key="id")
    assert users(sandbox)["Cleared-1"]["fields"] == {"city": "Oslo"}


def test_a_dropped_call_is_followed_by_a_change(offline: Vero, alone: responses.RequestsMock) -> None:
    alone.post(f"{ROOT}/users/track", json=DROPPED)
    edit = alone.put(f"{ROOT}/users/edit", json=DONE)
    assert statuses(offline.upsert([row(1, "C-1", city="Oslo")], match_key="id")) == [("accepted", None)]
    assert bodies(*edit.calls) == [{"id": "C-1", "changes": {"city": "Oslo"}, "auth_token": TOKEN}]


def test_a_lost_answer_is_no_lost_user(vero: Vero, sandbox: Sandbox, faults: Any) -> None:
    faults(kind="reset", when="after", method="POST", times=1)
    assert statuses(vero.upsert([row(1, "Lost-1", city="Oslo")], match_key="id")) == [("accepted", None)]
    assert users(sandbox)["Lost-1"]["fields"] == {"city": "Oslo"}


# Nobody is resubscribed


def test_who_unsubscribed_or_bounced_stays_so(vero: Vero, sandbox: Sandbox) -> None:
    before = users(sandbox)
    gone = [user for user, person in before.items() if person["standing"] != "subscribed"]
    rows = [row(number, user, city="Ulm", email=f"new-{number}@box.example") for number, user in enumerate(gone)]
    known = [row(one.number, one.match_value, one.match_value, city="Bonn") for one in rows]
    for batch in (rows, known):
        vero.upsert(batch, match_key="id")
        vero.add_members("Consent", batch, match_key="id")
        vero.update(batch, match_key="id")
        vero.remove_members("Consent", batch, match_key="id")
    after = users(sandbox)
    assert {user: after[user]["standing"] for user in gone} == {user: before[user]["standing"] for user in gone}
    assert not [user for user in gone if after[user]["resubscribed"]]
    assert not {route for route in routes(sandbox) if "subscribe" in route}


@pytest.mark.parametrize("tag", ["unsubscribed", "Unsubscribed", " UNSUBSCRIBED "])
def test_the_tag_that_unsubscribes_is_no_audience(offline: Vero, tag: str) -> None:
    with pytest.raises(ConfigurationError, match="unsubscribes"):
        offline.ensure_audience(tag)


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("unsubscribed", "consent"),
        ("Subscribed", "consent"),
        ("channels", "no property"),
        ("auth_token", "no property"),
    ],
)
def test_consent_and_devices_are_no_fields(offline: Vero, field: str, why: str) -> None:
    sync = Sync.model_validate(
        {
            "destination": "vero",
            "table": "t.t",
            "mode": SyncMode.UPSERT,
            "fields": {field: "flag"},
            "consent": "not_needed",
        }
    )
    with pytest.raises(ConfigurationError, match=why):
        ensure_fields(offline, "all", sync, {})
    assert offline.calls == 0


def test_nobody_who_left_is_deleted() -> None:
    """Vero forgets the opt-out with the user: whoever is deleted and comes back is subscribed."""
    assert Vero.leavings == {Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS}


# Answers


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_user_is_a_rejected_row(offline: Vero, alone: responses.RequestsMock, status: int) -> None:
    alone.post(f"{ROOT}/users/track", status=status, json={"status": status, "message": "C-77 has no good email"})
    [outcome] = offline.upsert([row(1, "C-77")], match_key="id")
    assert statuses([outcome]) == [("rejected", "refused")]
    assert "no good email" in str(outcome.reason)
    assert "C-77" not in str(outcome.reason)


def test_who_is_not_there_is_rejected_on_the_way_in_and_out_already(
    offline: Vero, alone: responses.RequestsMock
) -> None:
    missing = {"status": 404, "message": "User not found"}
    alone.put(f"{ROOT}/users/tags/edit", status=404, json=missing)
    alone.put(f"{ROOT}/users/edit", status=404, json=missing)
    alone.post(f"{ROOT}/users/delete", status=404, json=missing)
    one = [row(1, "C-1", city="Oslo")]
    assert statuses(offline.add_members("vip", one, match_key="id")) == [("rejected", "not_found")]
    assert statuses(offline.update(one, match_key="id")) == [("rejected", "not_found")]
    assert statuses(offline.remove_members("vip", one, match_key="id")) == [("accepted", None)]
    assert statuses(offline.erase(one, match_key="id")) == [("accepted", None)]


def test_a_wrong_address_stops_the_sync(offline: Vero, alone: responses.RequestsMock) -> None:
    alone.post(f"{ROOT}/users/track", status=404, body="<html>not here</html>")
    alone.put(f"{ROOT}/users/edit", status=404, body="<html>not here</html>")
    with pytest.raises(NotFoundError):
        offline.upsert([row(1, "C-1")], match_key="id")
    with pytest.raises(NotFoundError):
        offline.probe()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_waited_for(offline: Vero, alone: responses.RequestsMock, status: int) -> None:
    alone.post(f"{ROOT}/users/track", status=status, json={"status": status, "message": "later"})
    alone.post(f"{ROOT}/users/track", json=DONE)
    assert statuses(offline.upsert([row(1, "C-1")], match_key="id")) == [("accepted", None)]


def test_rows_of_each_kind_in_one_batch(vero: Vero, sandbox: Sandbox) -> None:
    rows = [row(1, "Mixed-1", city="Oslo"), row(2, "x" * 256), row(3, "Mixed-3", email="bad@@example")]
    assert [status for status, _ in statuses(vero.upsert(rows, match_key="id"))] == ["accepted", "rejected", "rejected"]


def test_erased_users_are_gone(vero: Vero, sandbox: Sandbox) -> None:
    deliver(vero, [row(1, "Erase-1")])
    assert statuses(vero.erase([row(1, "Erase-1", "Erase-1")], match_key="id")) == [("accepted", None)]
    assert "Erase-1" not in users(sandbox)


# The token


def once(vero: Vero) -> None:
    """Have requests not be tried again."""
    vero.http._session._retries = Retries(attempts=1)


def told_by(error: BaseException) -> str:
    """All that an error says, with the errors behind it."""
    return f"{error!r} {vars(error)} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500])
def test_an_answer_that_repeats_the_token_does_not_tell_it(
    offline: Vero, alone: responses.RequestsMock, status: int
) -> None:
    alone.post(f"{ROOT}/users/track", status=status, json={"status": status, "message": f"{TOKEN} is wrong"})
    once(offline)
    try:
        told = str(offline.upsert([row(1, "C-1")], match_key="id"))
    except MillstreamError as error:
        told = told_by(error)
    assert TOKEN not in told


def test_a_failing_line_does_not_tell_the_token(offline: Vero, alone: responses.RequestsMock) -> None:
    alone.put(f"{ROOT}/users/edit", body=requests.ConnectionError("cut"))
    once(offline)
    with pytest.raises(MillstreamError) as raised:
        offline.probe()
    assert TOKEN not in told_by(raised.value)


def test_neither_logs_nor_addresses_have_the_token(
    vero: Vero, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, faults: Any
) -> None:
    faults(kind="server_error", times=1)
    requests.delete(f"{sandbox.url}/_sandbox/requests", timeout=10)
    with caplog.at_level("DEBUG"):
        deliver(vero, [row(1, "Quiet-1", city="Oslo")])
        with pytest.raises(AuthenticationError):
            connect(sandbox, "a-wrong-token").probe()
    assert '"POST /… HTTP/1.1" 200' in caplog.text
    assert not [secret for secret in (TOKEN, "a-wrong-token") if secret in caplog.text]
    seen = requests.get(f"{sandbox.url}/_sandbox/requests?detail=1", timeout=10).text
    assert TOKEN not in seen
    assert TOKEN not in repr(vero.settings)


def test_a_request_that_is_only_recorded_has_no_token(offline: Vero) -> None:
    offline.rehearse()
    for work in (
        lambda: offline.upsert([row(1, "C-1", city="Oslo")], match_key="id"),
        lambda: offline.add_members("vip", [row(1, "C-1")], match_key="id"),
        lambda: offline.erase([row(1, "C-1")], match_key="id"),
        offline.probe,
    ):
        with pytest.raises(Recorded) as recorded:
            work()
        assert TOKEN not in f"{vars(recorded.value)} {recorded.value!r}"


def test_what_a_sync_leaves_behind_has_no_token(on_duckdb: MakeBench, sandbox: Sandbox, tmp_path: Path) -> None:
    with on_duckdb(into="Token", match={"id": "email"}, fields={"first_name": "name"}) as bench:
        bench.want({f"Token-{number}": "Ann" for number in range(3)} | {"x" * 256: "Bad"})
        point(bench, sandbox)
        plan = bench.delivery.plan("look", Look(requests=True))
        assert [one.method for one in plan.requests] == ["POST", "PUT"]
        assert TOKEN not in str(plan)
        report = bench.run()
        assert (report.accepted, report.rejected) == (3, 1)
        assert TOKEN not in str(report)
        point(bench, sandbox, "a-wrong-token")
        bench.want({"Token-9": "Ann"})
        failed = bench.run()
        assert failed.error is not None
        assert "a-wrong-token" not in str(failed)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left
    held = b"".join(path.read_bytes() for path in left)
    assert [secret for secret in (TOKEN, "a-wrong-token") if secret.encode() in held] == []
