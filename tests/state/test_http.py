"""The session: what it retries, what it raises, and what it never says."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from requests.auth import AuthBase

from millstream.state.errors import (
    AuthenticationError,
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
from millstream.state.http import BearerAuth, Pacer, RateLimit, Retries, TokenGrantAuth, VendorSession
from millstream.state.http.limit_headers import LONGEST_WAIT, retry_after
from millstream.state.privacy import redact

URL = "https://vendor.example/things"
LIMIT = RateLimit(
    requests=100,
    seconds=10,
    concurrency=2,
    remaining="X-Left",
    reset="X-Reset",
    daily_remaining="X-Day-Left",
    daily_reset="X-Day-Reset",
)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def session(clock: Clock) -> Callable[..., VendorSession]:
    def make(**options: object) -> VendorSession:
        pacer = Pacer(LIMIT, clock=clock, sleep=clock.sleep)
        facts: dict[str, object] = {"auth": BearerAuth(SecretStr("pat-secret-token")), "retries": Retries(attempts=3)}
        return VendorSession(system="vendor", pacer=pacer, **{**facts, **options})  # type: ignore[arg-type]

    return make


def test_a_server_error_is_tried_again(vendor, session, clock) -> None:
    vendor.get(URL, status=503)
    vendor.get(URL, status=502)
    vendor.get(URL, json={"fine": True})
    assert session().get(URL).json() == {"fine": True}
    assert len(clock.slept) == 2


def test_retry_after_is_kept_to_the_second(vendor, session, clock) -> None:
    vendor.get(URL, status=429, headers={"Retry-After": "7"})
    vendor.get(URL, json={})
    session().get(URL)
    assert clock.now == pytest.approx(7)


def test_retries_end_with_the_vendors_words(vendor, session) -> None:
    for _ in range(3):
        vendor.get(URL, status=429, headers={"Retry-After": "1"}, json={"status": "error", "message": "Slow down"})
    with pytest.raises(RateLimitedError, match=r"vendor: GET vendor.example/things answered HTTP 429: Slow down"):
        session().get(URL)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError), (400, RefusedError)],
)
def test_each_status_has_its_error_and_is_not_tried_again(vendor, session, status, kind) -> None:
    vendor.get(URL, status=status, json={"message": "No."})
    with pytest.raises(kind):
        session().get(URL)
    assert len(vendor.calls) == 1


def test_a_body_that_is_cut_short_is_tried_again_and_then_named(vendor, session) -> None:
    vendor.get(URL, body='{"results": [{"id"', content_type="application/json")
    vendor.get(URL, json={"fine": True})
    assert session().get(URL).json() == {"fine": True}
    for _ in range(3):
        vendor.get(URL, body="<html>", content_type="text/html")
    with pytest.raises(MalformedAnswerError, match="text/html"):
        session().get(URL)


def test_a_write_that_may_not_be_repeated_is_unknown_after_a_reset(vendor, session) -> None:
    vendor.post(URL, body=requests.ConnectionError("reset"))
    one = session()
    with pytest.raises(UnknownOutcomeError):
        one.deliver(one.prepare_request(requests.Request("POST", URL)), replay=False)
    assert len(vendor.calls) == 1


@pytest.mark.parametrize(("status", "unclear"), [(429, False), (502, True)])
def test_a_long_wait_says_whether_the_request_may_have_been_carried_out(vendor, session, status, unclear) -> None:
    vendor.post(URL, status=status, headers={"Retry-After": "36000"})
    one = session()
    with pytest.raises(QuotaExhaustedError) as caught:
        one.deliver(one.prepare_request(requests.Request("POST", URL)), replay=True)
    assert (caught.value.after_a_try, len(vendor.calls)) == (unclear, 1)


def test_a_write_that_may_not_be_repeated_is_unknown_however_long_the_vendor_asks_to_wait(vendor, session) -> None:
    vendor.post(URL, status=502, headers={"Retry-After": "36000"})
    one = session()
    with pytest.raises(UnknownOutcomeError):
        one.deliver(one.prepare_request(requests.Request("POST", URL)), replay=False)


def test_a_used_up_day_does_not_hide_that_the_request_was_made_before(vendor, session) -> None:
    vendor.post(URL, status=502, headers={"X-Day-Left": "0", "X-Day-Reset": "36000"})
    one = session()
    with pytest.raises(QuotaExhaustedError) as caught:
        one.deliver(one.prepare_request(requests.Request("POST", URL)), replay=True)
    assert (caught.value.after_a_try, len(vendor.calls)) == (True, 1)


def test_a_write_that_was_not_begun_may_be_repeated(vendor, session) -> None:
    vendor.post(URL, status=429, headers={"Retry-After": "1"})
    vendor.post(URL, json={})
    one = session()
    one.deliver(one.prepare_request(requests.Request("POST", URL)), replay=False)
    assert len(vendor.calls) == 2


def test_no_network_says_so(vendor, session) -> None:
    for _ in range(3):
        vendor.get(URL, body=requests.ConnectionError("refused"))
    with pytest.raises(UnavailableError, match="check the network"):
        session().get(URL)


def test_an_expired_token_is_renewed_once(vendor, session) -> None:
    tokens = iter(("one", "two"))
    seen: list[str] = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        seen.append(request.headers["Authorization"])
        return (200 if seen[-1] == "Bearer two" else 401, {}, "{}")

    vendor.add_callback(
        responses.POST,
        "https://vendor.example/token",
        lambda _: (200, {}, f'{{"access_token": "{next(tokens)}", "expires_in": 3600}}'),
    )
    vendor.add_callback(responses.GET, URL, answer)
    auth = TokenGrantAuth("https://vendor.example/token", lambda: {"grant_type": "refresh_token"})
    session(auth=auth).get(URL)
    assert seen == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("secret", ["hush\nhushed", "hush-секрет"])
def test_a_credential_that_no_header_can_hold_is_said_and_not_repeated(session, secret: str) -> None:
    with pytest.raises(AuthenticationError, match=r"a line break or an odd letter .* in the credential") as caught:
        session(auth=BearerAuth(SecretStr(secret), scheme="Token")).get("http://127.0.0.1:9/things")
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_no_sign_in_of_the_machine_s_takes_the_place_of_the_credential(
    vendor, session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine vendor.example login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    vendor.post("https://vendor.example/token", json={"access_token": "one"})
    vendor.get(URL, json={})
    session(auth=TokenGrantAuth("https://vendor.example/token", lambda: {"grant_type": "refresh_token"})).get(URL)
    assert [call.request.headers.get("Authorization") for call in vendor.calls] == [None, "Bearer one"]


def test_no_secret_follows_a_token_endpoint_that_leads_to_another_host(vendor, session) -> None:
    vendor.post("https://vendor.example/token", status=307, headers={"Location": "https://elsewhere.example/token"})
    auth = TokenGrantAuth("https://vendor.example/token", lambda: {"client_secret": "hush"})
    with pytest.raises(FatalError, match=r"another host, https://elsewhere.example"):
        session(auth=auth).get(URL)
    assert len(vendor.calls) == 1


def test_a_wrong_credential_makes_at_most_three_requests(vendor, session) -> None:
    vendor.post("https://vendor.example/token", json={"access_token": "one"})
    vendor.get(URL, status=401)
    vendor.post("https://vendor.example/token", status=400)
    auth = TokenGrantAuth("https://vendor.example/token", lambda: {})
    with pytest.raises(AuthenticationError, match="client secret"):
        session(auth=auth).get(URL)
    assert len(vendor.calls) == 3


def test_a_connector_reads_errors_under_status_200(vendor, session) -> None:
    vendor.get(URL, json={"success": False})

    def classify(answer) -> MillstreamError | None:
        return RefusedError("It did not work.", status=200) if answer.json().get("success") is False else None

    with pytest.raises(RefusedError, match="did not work"):
        session(classify=classify).get(URL)


def test_the_window_of_the_limit_is_kept(clock) -> None:
    pacer = Pacer(RateLimit(requests=3, seconds=10), clock=clock, sleep=clock.sleep)
    moments = []
    for _ in range(7):
        with pacer:
            moments.append(clock.now)
    assert moments == [0, 0, 0, 10, 10, 10, 20]


@given(st.integers(1, 5), st.integers(1, 30), st.lists(st.floats(0, 3), min_size=1, max_size=40))
def test_no_window_ever_holds_more_than_the_limit(most: int, seconds: int, pauses: list[float]) -> None:
    clock = Clock()
    pacer = Pacer(RateLimit(requests=most, seconds=seconds), clock=clock, sleep=clock.sleep)
    moments: list[float] = []
    for pause in pauses:
        clock.now += pause
        with pacer:
            moments.append(clock.now)
    for first, later in zip(moments, moments[most:], strict=False):
        assert later - first >= seconds - 1e-6


def test_the_vendors_headers_stop_the_next_request(vendor, session, clock) -> None:
    vendor.get(URL, json={}, headers={"X-Left": "0", "X-Reset": "4"})
    vendor.get(URL, json={})
    one = session()
    one.get(URL)
    one.get(URL)
    assert clock.now == pytest.approx(4 + LIMIT.slack)


def test_a_used_up_day_ends_the_work_without_another_request(vendor, session) -> None:
    vendor.get(URL, json={}, headers={"X-Day-Left": "0", "X-Day-Reset": "3600"})
    one = session()
    one.get(URL)
    with pytest.raises(QuotaExhaustedError) as caught:
        one.get(URL)
    assert caught.value.resets_in == 3600


def test_errors_carry_no_secret_and_no_address(vendor, session) -> None:
    vendor.get(
        "https://vendor.example/people/ana@box.example",
        status=400,
        json={"message": "ana@box.example with phone +1 202 555 0100 and Bearer pat-secret-token is wrong"},
    )
    with pytest.raises(RefusedError) as caught:
        session().get("https://vendor.example/people/ana@box.example")
    assert not {"ana@box.example", "555", "secret"} & set(str(caught.value).replace("/", " ").split())
    assert "ana@" not in str(caught.value)
    assert "pat-secret" not in str(caught.value)


class _HeaderAuth(AuthBase):
    """As vendors sign who have a header of their own."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-API-TOKEN"] = "hush"
        request.headers["Authorization"] = "Bearer hush"
        return request


@pytest.mark.parametrize(("host", "told"), [("vendor.example", True), ("files.elsewhere.example", False)])
def test_a_redirect_takes_no_credential_to_another_host(vendor, session, host: str, told: bool) -> None:
    vendor.get(URL, status=302, headers={"Location": f"https://{host}/file"})
    vendor.get(f"https://{host}/file", json={"a": 1})
    assert session(auth=_HeaderAuth()).get(URL, headers={"Accept": "text/csv"}).json() == {"a": 1}
    last = vendor.calls[-1].request.headers
    assert ("X-API-TOKEN" in last, "Authorization" in last, last["Accept"]) == (told, told, "text/csv")


@pytest.mark.parametrize("status", [301, 302])
def test_a_write_that_leads_elsewhere_is_not_taken_for_done(vendor, session, status: int) -> None:
    vendor.post(URL, status=status, headers={"Location": "https://vendor.example/moved"})
    with pytest.raises(FatalError, match="base_url"):
        session().post(URL, json={"b": 2})
    assert len(vendor.calls) == 1


def test_redaction_leaves_the_rest_alone() -> None:
    assert redact("row 12 of 300, code E_42") == "row 12 of 300, code E_42"
    assert "@example" not in redact("see A.B+c@mail.web.example.")
    assert redact("x?api_key=abc123&b=1") == "x?api_key ***&b=1"
    assert redact("no postgresql://ana:s@cret@db:5432/shop there") == "no postgresql://ana:***@db:5432/shop there"
    assert redact("http://127.0.0.1:8790/a@b") == "http://127.0.0.1:8790/a@b"


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"Retry-After": later}) == pytest.approx(30, abs=2)
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("inf", None),
        ("nan", None),
        ("1e400", None),
        ("-inf", None),
        ("-5", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9" * 20, LONGEST_WAIT),
        ("9" * 400 + "d", None),
        ("9" * 20 + "d", LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 99 Dec 2026 99:99:99 GMT", None),
    ],
)
def test_garbage_in_retry_after_holds_nobody_up_for_ever(said: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": said}) == seconds


@pytest.mark.parametrize("said", ["9" * 20, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_beyond_reason_ends_the_run_with_an_error_that_says_so(
    said: str, vendor: responses.RequestsMock, session: Callable[..., VendorSession]
) -> None:
    vendor.get(URL, status=503, headers={"Retry-After": said})
    with pytest.raises(QuotaExhaustedError, match="asks to make no request before"):
        session().get(URL)
