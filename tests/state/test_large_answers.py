"""Answers that are too large to hold: read piecemeal, and from the start where they break off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from millstream.state.errors import AuthenticationError, MalformedAnswerError, NotFoundError, UnreachableError
from millstream.state.http import Answer, Pacer, RateLimit, Retries, VendorSession
from millstream.state.http.auth import RefreshableAuth

WHOLE = b"a line\n" * 100_000
QUICK = Retries(attempts=3, first_wait=0.01, longest_wait=0.02)


class Credential(RefreshableAuth):
    """One that is wrong until it is renewed."""

    def __init__(self) -> None:
        self.token = "old"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.token
        return request

    def renew(self) -> None:
        self.token = "new"


class Vendor:
    """A server that always promises the whole answer.

    Attributes:
        sends: How many bytes it sends, answer by answer; all of them when there is nothing left here.
        status: What it answers with.
        calls: Requests so far.
    """

    def __init__(self) -> None:
        self.sends: list[int] = []
        self.status = 200
        self.calls = 0
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                vendor.calls += 1
                known = self.headers["Authorization"] == "new"
                self.send_response(vendor.status if known else 401)
                self.send_header("Content-Length", str(len(WHOLE)))
                self.end_headers()
                self.wfile.write(WHOLE[: vendor.sends.pop(0) if vendor.sends and known else None])

            def log_message(self, *_: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    thread = threading.Thread(target=vendor.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield vendor
    vendor.server.shutdown()
    thread.join()
    vendor.server.server_close()


def body(answer: Answer) -> bytes:
    return b"".join(answer.raw.stream(65_536))


def read(vendor: Vendor, reader: object = body) -> object:
    pacer = Pacer(RateLimit(requests=100, seconds=1.0))
    with VendorSession(system="vendor", auth=Credential(), pacer=pacer, retries=QUICK) as session:
        url = f"http://127.0.0.1:{vendor.server.server_port}/export"
        asked = session.prepare_request(requests.Request("GET", url, headers={"Accept": "text/plain"}))
        return session.read_large(asked, reader)  # type: ignore[arg-type]


def test_it_is_read_whole_and_with_a_credential_that_is_renewed(vendor: Vendor) -> None:
    assert read(vendor) == WHOLE
    assert vendor.calls == 2


def test_one_that_breaks_off_is_read_from_the_start(vendor: Vendor) -> None:
    vendor.sends = [300_000, 0]
    assert read(vendor) == WHOLE
    assert vendor.calls == 4


def test_one_that_keeps_breaking_off_is_named(vendor: Vendor) -> None:
    vendor.sends = [300_000] * 3
    with pytest.raises(UnreachableError, match=r"GET 127.0.0.1:\d+/export broke off"):
        read(vendor)


def test_what_the_reader_finds_wrong_is_read_again_where_that_may_help(vendor: Vendor) -> None:
    found: list[bytes] = []

    def reader(answer: Answer) -> int:
        found.append(body(answer))
        if len(found) == 1:
            raise MalformedAnswerError("The last line is cut.")
        return len(found)

    assert read(vendor, reader) == 2


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (401, AuthenticationError)])
def test_a_refusal_is_what_it_is_elsewhere(vendor: Vendor, status: int, error: type[Exception]) -> None:
    vendor.status = status
    with pytest.raises(error):
        read(vendor)
