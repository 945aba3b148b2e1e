"""What goes over the wire: requests as they are prepared, answers as they are taken in."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from pydantic import SecretStr

from millstream.state.errors import FatalError, UnknownOutcomeError, UnreachableError
from millstream.state.http import Answer, BearerAuth, Pacer, RateLimit, Retries, VendorSession

BODY = b'{"words": "' + b"many " * 20_000 + b'"}'


class Vendor:
    """A server that notes what it was asked.

    Attributes:
        asked: Path and headers of each request.
        connections: How many connections were made.
        cut: How many answers break off.
        leads_to: Where ``/moved`` is now.
        then_to: Where ``/moved-again`` is.
        moved_with: The status that says so.
        written: The body of each request.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.cut = 0
        self.leads_to = self.then_to = "/here"
        self.moved_with = 307
        self.written: list[bytes] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                vendor.connections += 1
                super().setup()

            def do_GET(self) -> None:
                vendor.asked.append((self.path, dict(self.headers)))
                vendor.written.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                body = gzip.compress(BODY) if self.path == "/packed" else BODY
                self.send_response(vendor.moved_with if self.path.startswith("/moved") else 200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Set-Cookie", "visit=7; Path=/")
                if self.path.startswith("/moved"):
                    self.send_header("Location", vendor.leads_to if self.path == "/moved" else vendor.then_to)
                if self.path == "/packed":
                    self.send_header("Content-Encoding", "gzip")
                self.end_headers()
                if vendor.cut:
                    vendor.cut -= 1
                    self.wfile.write(body[:1000])
                    self.close_connection = True
                else:
                    self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def do_PUT(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A running server."""
    vendor = Vendor()
    yield vendor
    vendor.server.shutdown()
    vendor.server.server_close()


@pytest.fixture
def session() -> Iterator[VendorSession]:
    """A session that gives up soon."""
    with VendorSession(
        system="vendor",
        auth=BearerAuth(SecretStr("secret")),
        pacer=Pacer(RateLimit(requests=1000, seconds=1)),
        retries=Retries(attempts=2, first_wait=0.01, longest_wait=0.02),
    ) as session:
        yield session


def ask(session: VendorSession, url: str, *, replay: bool = True) -> Answer:
    return session.deliver(session.prepare_request(requests.Request("POST", url, data=b"{}")), replay=replay)


@pytest.mark.parametrize("path", ["/here", "/packed", "/moved"])
def test_bodies_come_whole(vendor: Vendor, session: VendorSession, path: str) -> None:
    answer = ask(session, vendor.url + path)

    assert answer.content == BODY
    assert answer.json() == {"words": "many " * 20_000}


def test_the_credential_does_not_follow_to_another_host(vendor: Vendor, session: VendorSession) -> None:
    vendor.leads_to = f"http://localhost:{vendor.server.server_port}/here"

    assert session.get(vendor.url + "/moved").content == BODY

    assert [headers.get("Authorization") for _, headers in vendor.asked] == ["Bearer secret", None]


@pytest.mark.parametrize("status", [307, 308])
def test_customer_data_does_not_follow_to_another_host(vendor: Vendor, session: VendorSession, status: int) -> None:
    vendor.leads_to, vendor.moved_with = f"http://ana:pw@localhost:{vendor.server.server_port}/here", status

    with pytest.raises(FatalError, match=rf"vendor: POST .*/moved answered HTTP {status}.* base_url") as caught:
        ask(session, vendor.url + "/moved")

    assert [path for path, _ in vendor.asked] == ["/moved"]
    assert f"another host, http://localhost:{vendor.server.server_port}:" in str(caught.value)


def test_nor_after_a_step_at_the_same_host(vendor: Vendor, session: VendorSession) -> None:
    vendor.then_to = f"http://localhost:{vendor.server.server_port}/here"
    vendor.leads_to = "/moved-again"

    with pytest.raises(FatalError, match="another host"):
        ask(session, vendor.url + "/moved")

    assert [path for path, _ in vendor.asked] == ["/moved", "/moved-again"]


@pytest.mark.parametrize("status", [307, 308])
def test_customer_data_follows_at_the_same_host(vendor: Vendor, session: VendorSession, status: int) -> None:
    vendor.moved_with = status

    assert ask(session, vendor.url + "/moved").content == BODY

    assert [path for path, _ in vendor.asked] == ["/moved", "/here"]
    assert vendor.written == [b"{}", b"{}"]


@pytest.mark.parametrize("status", [301, 302])
def test_what_would_write_nothing_elsewhere_is_refused(vendor: Vendor, session: VendorSession, status: int) -> None:
    vendor.moved_with = status

    with pytest.raises(FatalError, match=r"nothing was written.* base_url"):
        session.put(vendor.url + "/moved", data=b"{}")

    assert [path for path, _ in vendor.asked] == ["/moved"]


def test_the_result_of_a_write_is_read_where_it_is_said_to_be(vendor: Vendor, session: VendorSession) -> None:
    vendor.moved_with = 303

    assert ask(session, vendor.url + "/moved").content == BODY

    assert vendor.written == [b"{}", b""]


def test_connections_are_those_of_the_host_that_is_asked(vendor: Vendor, session: VendorSession) -> None:
    other = Vendor()
    for path in ("/1", "/2"):
        ask(session, vendor.url + path)
        ask(session, other.url + path)
    other.server.shutdown()
    other.server.server_close()

    assert [path for path, _ in vendor.asked] == [path for path, _ in other.asked] == ["/1", "/2"]
    assert (vendor.connections, other.connections) == (1, 1)


def test_a_connection_is_used_again(vendor: Vendor, session: VendorSession) -> None:
    for path in ("/here", "/packed", "/moved"):
        ask(session, vendor.url + path)

    assert vendor.connections == 1


def test_an_answer_that_breaks_off_is_asked_for_again(vendor: Vendor, session: VendorSession) -> None:
    vendor.cut = 1

    assert ask(session, vendor.url + "/here").content == BODY
    assert len(vendor.asked) == 2


def test_one_that_keeps_breaking_off_is_no_answer(vendor: Vendor, session: VendorSession) -> None:
    vendor.cut = 2

    with pytest.raises(UnreachableError, match="No answer from POST"):
        ask(session, vendor.url + "/here")


def test_what_must_not_be_repeated_is_unknown_when_its_answer_breaks_off(
    vendor: Vendor, session: VendorSession
) -> None:
    vendor.cut = 1

    with pytest.raises(UnknownOutcomeError):
        ask(session, vendor.url + "/here", replay=False)

    assert len(vendor.asked) == 1


def test_a_request_has_the_sessions_headers_its_own_before_them_and_its_query(
    vendor: Vendor, session: VendorSession
) -> None:
    request = requests.Request(
        "get", f"{vendor.url}/here?a=1", params={"b": ["2", "3"], "none": None}, headers={"accept": "text/csv"}
    )

    session.send(session.prepare_request(request))

    path, headers = vendor.asked[0]
    assert path == "/here?a=1&b=2&b=3"
    assert [value for name, value in headers.items() if name.lower() == "accept"] == ["text/csv"]
    assert headers["User-Agent"] == "millstream"
    assert headers["Authorization"] == "Bearer secret"


def test_cookies_are_given_back(vendor: Vendor, session: VendorSession) -> None:
    ask(session, vendor.url + "/here")
    ask(session, vendor.url + "/here")

    assert [headers.get("Cookie") for _, headers in vendor.asked] == [None, "visit=7"]


def test_what_the_environment_says_of_proxies_and_sign_in_holds_for_no_vendor(
    vendor: Vendor, session: VendorSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert ask(session, vendor.url + "/here").content == BODY
