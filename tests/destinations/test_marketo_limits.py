"""How one signs in at Marketo, what it allows, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
import requests
import responses

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.marketo import Marketo
from millstream.destinations.modes import Status
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    MalformedAnswerError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UnknownOutcomeError,
)
from millstream.state.http import Answer
from millstream.state.vendors.marketo import problem_of, seconds_to_the_next_day
from tests.destinations.marketo_world import (
    LEADS,
    SIGN_IN,
    TOKEN,
    connect,
    refusal,
    results,
    row,
    settings,
    signed_in,
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def marketo(sandbox: Sandbox) -> Marketo:
    return connect(sandbox)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """A vendor that answers as the test says; waits between tries take no time."""
    monkeypatch.setattr("millstream.state.http.session.random.uniform", lambda low, high: 0.0)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        signed_in(vendor)
        yield vendor


@pytest.fixture
def connector(alone: responses.RequestsMock) -> Marketo:
    return Marketo(settings())


def new() -> str:
    return f"m-{uuid4().hex[:10]}@box.example"


def upsert(marketo: Marketo, *rows: DeliveryRow, match_key: str = "email") -> Any:
    return marketo.upsert(rows, match_key=match_key)


def test_addresses_are_taken_as_marketo_shows_them(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/marketo"
    for root, identity in ((f"{url}/rest", f"{url}/identity/"), (f"{url}/", ""), (f"{url}/identity", "")):
        shown = settings(base_url=root, identity_url=identity)
        assert shown.base_url == url
        Marketo(shown).probe()


def test_a_token_that_ended_is_renewed_once_and_the_request_made_again(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    connector.probe()
    alone.post(SIGN_IN, json={**TOKEN, "access_token": "two"})
    alone.post(LEADS, json=refusal("602", "Access token expired"))
    alone.post(LEADS, json=results({"id": 5, "status": "created"}))
    assert upsert(connector, row("ana@box.example"))[0].external_id == "5"
    tokens = [call.response.json()["access_token"] for call in alone.calls if call.request.url == SIGN_IN]  # type: ignore[union-attr]
    assert tokens == ["one", "two"]
    assert alone.calls[-1].request.headers["Authorization"] == "Bearer two"


def test_a_token_is_used_to_its_end_since_asking_early_gives_the_same(alone: responses.RequestsMock) -> None:
    alone.replace(responses.POST, SIGN_IN, json={**TOKEN, "expires_in": 30})
    alone.post(LEADS, json=results({"id": 5, "status": "created"}))
    connector = Marketo(settings())
    for _ in range(3):
        upsert(connector, row("ana@box.example"))
    assert sum(call.request.url == SIGN_IN for call in alone.calls) == 1


def test_a_token_that_is_never_taken_stops_the_sync(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(LEADS, json=refusal("601", "Access token invalid"))
    with pytest.raises(AuthenticationError):
        upsert(connector, row("ana@box.example"))
    assert connector.calls == 2


def test_the_settings_say_how_many_requests_are_made() -> None:
    pace = Marketo(settings(requests_per_20_seconds=30, requests_per_day=9_000)).pace()
    assert (pace.requests, pace.seconds, pace.daily) == (30, 20.0, 9_000)
    assert Marketo.rate_limit.concurrency < (Marketo.rate_limit.connections or 0)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("600", AuthenticationError),
        ("603", PermissionDeniedError),
        ("703", PermissionDeniedError),
        ("616", PermissionDeniedError),
        ("606", RateLimitedError),
        ("608", RateLimitedError),
        ("614", RateLimitedError),
        ("615", RateLimitedError),
        ("502", UnavailableError),
        ("604", UnavailableError),
        ("611", UnavailableError),
        ("713", UnavailableError),
        ("719", UnavailableError),
        ("607", QuotaExhaustedError),
        ("610", NotFoundError),
        ("1013", NotFoundError),
        ("605", FatalError),
        ("612", FatalError),
        ("710", ConfigurationError),
        ("1006", ConfigurationError),
        ("1011", ConfigurationError),
        ("609", RefusedError),
        ("701", RefusedError),
        ("709", RefusedError),
        ("1003", RefusedError),
    ],
)
def test_errors_under_status_200_are_what_they_mean(code: str, error: type[MillstreamError]) -> None:
    answer = Answer()
    answer.status_code = 200
    answer._content = orjson.dumps(refusal(code, "for ana@box.example"))
    problem = problem_of(answer)
    assert type(problem) is error
    assert "ana@box.example" not in str(problem)


def test_a_used_up_quota_renews_at_midnight_in_the_central_united_states() -> None:
    central = ZoneInfo("America/Chicago")
    assert seconds_to_the_next_day(datetime(2026, 11, 23, 18, 30, tzinfo=central)) == 5.5 * 3600
    # The day on which the clock is set back has 25 hours.
    assert seconds_to_the_next_day(datetime(2026, 11, 1, 0, 0, tzinfo=central)) == 25 * 3600


@pytest.mark.parametrize("code", ["606", "608", "615"])
def test_a_throttle_is_waited_out_also_where_a_lost_answer_would_not_be(
    alone: responses.RequestsMock, connector: Marketo, code: str
) -> None:
    for answer in (refusal(code), refusal(code), results({"id": 5, "status": "created"})):
        alone.post(LEADS, json=answer)
    assert upsert(connector, row("ana@box.example"))[0].status is Status.ACCEPTED


def test_new_people_are_written_again_only_when_the_first_request_must_have_ended(
    alone: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("millstream.destinations.marketo.leads.sleep_unless_stopped", waits.append)
    alone.post(LEADS, body=requests.ConnectionError("reset"))
    alone.post(LEADS, json=results({"id": 5, "status": "updated"}))
    assert upsert(Marketo(settings(wait_after_lost_answer=90)), row("ana@box.example"))[0].external_id == "5"
    assert waits == [90.0]


def test_people_whose_answers_are_lost_twice_are_unknown(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(LEADS, json=refusal("611", "System error"))
    with pytest.raises(UnknownOutcomeError):
        upsert(connector, row("ana@box.example"))


def test_an_answer_that_names_fewer_leads_than_were_sent_is_not_guessed_at(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    alone.post(LEADS, json=results({"id": 5, "status": "updated"}))
    with pytest.raises(MalformedAnswerError):
        upsert(connector, row("ana@box.example"), row("ben@box.example", 2))


def test_what_the_api_user_may_not_do_is_said(sandbox: Sandbox) -> None:
    reader = connect(sandbox, client_id="sandbox-marketo-read-only")
    reader.probe()
    with pytest.raises(PermissionDeniedError) as raised:
        upsert(reader, row(new()))
    assert raised.value.remedy
    with pytest.raises(PermissionDeniedError):
        connect(sandbox, client_id="sandbox-marketo-leads-only").ensure_audience("Anything")
