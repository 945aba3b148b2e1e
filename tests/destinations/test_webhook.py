"""The webhook as a destination: what is posted, what answers mean, and to whom nothing is ever posted."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.http import Recorded
from millstream.destinations.modes import Leaving
from millstream.destinations.rows import last_of_each
from millstream.destinations.sending.sizes import of_fitting_size
from millstream.destinations.sync import Sync
from millstream.destinations.webhook import Webhook, WebhookSettings
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)
from tests.destinations.bench import Bench, MakeBench
from tests.destinations.memory import Killed

SECRET = "shared-with-the-receiver"


@dataclass
class Came:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def people(self) -> list[str]:
        return [one["key"]["email"] for one in self.body["records"]]


@dataclass
class Receiver:
    """A receiver that answers as it is told, then with 200.

    Attributes:
        url: Where it listens.
        came: What came, in order.
        answers: Status, headers and body of the next answers to posts.
        signs_of_life: Status of answers to GET.
    """

    url: str = ""
    came: list[Came] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    signs_of_life: int = 200

    def answer(self, status: int, body: object = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, content))

    @property
    def posts(self) -> list[Came]:
        return [one for one in self.came if one.method == "POST"]


@contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.came.append(Came(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, raw))
            status, body = 200 if self.command == "POST" else receiver.signs_of_life, b""
            headers: dict[str, str] = {}
            if self.command == "POST" and receiver.answers:
                status, headers, body = receiver.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def __getattr__(self, name: str) -> Any:
            if name in ("do_GET", "do_POST"):
                return self.take
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            """Nothing on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


def settings(url: str, **changes: Any) -> WebhookSettings:
    facts = {"signing_secret": SECRET, "allow_http": True, "allow_private_networks": True, "requests_per_second": 1_000}
    return WebhookSettings.model_validate({"base_url": url, **facts, **changes})


@pytest.fixture
def webhook(receiver: Receiver) -> Webhook:
    return Webhook(settings(receiver.url))


def row(number: int, email: str, **fields: str | float | bool | None) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=email, fields=fields)


def people(count: int) -> list[DeliveryRow]:
    return [row(number, f"p{number}@box.example", name=f"P{number}") for number in range(count)]


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def add(webhook: Webhook, rows: list[DeliveryRow]) -> list[Outcome]:
    return webhook.add_members("VIPs", rows, match_key="email")


# What is posted


def test_a_batch_says_what_is_to_be_done_with_whom(receiver: Receiver, webhook: Webhook) -> None:
    add(webhook, [row(1, "Ana@box.example", points=12.5, vip=True, city=None), row(2, "ben@box.example")])
    webhook.remove_members("VIPs", [row(3, "cy@box.example")], match_key="email")
    webhook.erase([row(4, "di@box.example")], match_key="email")
    added, removed, deleted = (came.body for came in receiver.posts)
    assert added["audience"] == {"id": "VIPs", "name": "VIPs"}
    assert [record["key"] for record in added["records"]] == [
        {"email": "Ana@box.example"},
        {"email": "ben@box.example"},
    ]
    assert added["records"][0]["fields"] == {"points": 12.5, "vip": True, "city": None}
    assert {record["operation"] for record in added["records"]} == {added["operation"]} == {"upsert"}
    assert (removed["operation"], removed["audience"]["name"]) == ("remove", "VIPs")
    assert (deleted["operation"], deleted["audience"]) == ("delete", None)


def test_each_try_is_signed_anew_over_time_and_body(receiver: Receiver, webhook: Webhook) -> None:
    receiver.answer(503, Retry_After="1")
    add(webhook, people(1))
    first, second = receiver.posts
    for came in (first, second):
        at, signature = (part.partition("=")[2] for part in came.headers["x-signature"].split(","))
        expected = hmac.new(SECRET.encode(), at.encode() + b"." + came.raw, hashlib.sha256).hexdigest()
        assert signature == expected
        assert abs(time.time() - int(at)) < 30
    assert first.headers["x-signature"] != second.headers["x-signature"]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.raw == second.raw


@pytest.mark.parametrize(
    ("given", "name", "sent"),
    [
        ({"bearer_token": "t0ken"}, "authorization", "Bearer t0ken"),
        ({"username": "mill", "password": "stream"}, "authorization", "Basic bWlsbDpzdHJlYW0="),
        ({"headers": {"X-Api-Key": "k3y"}}, "x-api-key", "k3y"),
    ],
    ids=["token", "password", "header"],
)
def test_other_credentials_go_along_with_or_without_a_signature(
    receiver: Receiver, given: dict[str, Any], name: str, sent: str
) -> None:
    for signed in (SECRET, None):
        add(Webhook(settings(receiver.url, signing_secret=signed, **given)), people(1))
        assert receiver.posts[-1].headers[name] == sent
        assert ("x-signature" in receiver.posts[-1].headers) == bool(signed)


def test_the_sandbox_knows_tokens_and_passwords() -> None:
    with Sandbox(people=50, limits=False) as sandbox:
        hooks = {
            "bearer": {"bearer_token": "sandbox-webhook-token"},
            "basic": {"username": "sandbox-webhook", "password": "sandbox-webhook-password"},
        }
        for hook, given in hooks.items():
            url = f"{sandbox.url}/webhook/hooks/{hook}"
            assert (
                statuses(add(Webhook(settings(url, signing_secret=None, **given)), people(2)))
                == [("accepted", None)] * 2
            )
            with pytest.raises(AuthenticationError):
                add(Webhook(settings(url)), people(1))
        with pytest.raises(PermissionDeniedError):
            add(
                Webhook(settings(f"{sandbox.url}/webhook/hooks/readonly", signing_secret="sandbox-webhook-secret")),
                people(1),
            )
        for hook in ("ended", "unheard-of"):
            gone = Webhook(settings(f"{sandbox.url}/webhook/hooks/{hook}", signing_secret="sandbox-webhook-secret"))
            with pytest.raises(NotFoundError):
                add(gone, people(5))
            assert gone.calls == 1


def test_batches_keep_to_the_records_and_bytes_of_the_settings(receiver: Receiver) -> None:
    webhook: Any = Webhook(settings(receiver.url, records_per_request=40, bytes_per_request=12_000))
    large = [row(number, f"p{number}@box.example", note="ß" * 400) for number in range(100)]
    monster = row(100, "monster@box.example", note="x" * 20_000)
    cut = list(of_fitting_size([([*large, monster], {})], webhook, webhook.batch_size))
    assert sum(len(rows) for rows, _ in cut) == 100
    assert [set(misfits) for _, misfits in cut if misfits] == [{100}]
    for rows, _ in cut:
        if rows:
            add(webhook, rows)
    assert max(len(came.raw) for came in receiver.posts) <= 12_000
    assert min(len(came.raw) for came in receiver.posts[:-1]) > 9_000
    assert webhook.batch_size == webhook.membership_batch_size == 40


def test_a_rehearsal_posts_nothing(receiver: Receiver, webhook: Webhook) -> None:
    webhook.rehearse()
    with pytest.raises(Recorded) as raised:
        add(webhook, people(1))
    assert receiver.posts == []
    assert SECRET not in str(raised.value.headers)


# What answers mean


def test_each_row_has_the_outcome_that_the_results_give_it(receiver: Receiver, webhook: Webhook) -> None:
    rows = people(6)
    add(webhook, rows)
    ids = [record["row_id"] for record in receiver.posts[0].body["records"]]
    results = [
        {"row_id": ids[4], "status": "suppressed", "code": "opted_out", "error": "p4@box.example said no"},
        {"row_id": ids[0], "status": "ok"},
        {"row_id": ids[1], "status": "error", "error": "p1@box.example is not known"},
        {"row_id": ids[2], "status": "retry", "error": "busy"},
        {"row_id": ids[5], "status": "sideways"},
        {"row_id": "of nobody", "status": "ok"},
    ]
    receiver.answer(207, {"results": results})
    outcomes = add(webhook, rows)
    assert statuses(outcomes) == [
        ("accepted", None),
        ("rejected", "error"),
        ("retry_later", "retry"),
        ("retry_later", "not_in_results"),
        ("suppressed", "opted_out"),
        ("rejected", "sideways"),
    ]
    assert not [outcome for outcome in outcomes if "@box.example" in (outcome.reason or "")]


@pytest.mark.parametrize("body", [b"", b"ok", b"<html>", b"{}", b'{"results": 3}', b"[1]"])
def test_any_good_answer_without_results_takes_all_rows(receiver: Receiver, webhook: Webhook, body: bytes) -> None:
    receiver.answer(202, body)
    assert statuses(add(webhook, people(2))) == [("accepted", None)] * 2
    assert len(receiver.posts) == 1


def test_results_that_broke_off_are_asked_for_again(receiver: Receiver, webhook: Webhook) -> None:
    receiver.answer(207, b'{"results": [{"row_id": 1, "status": "err')
    assert statuses(add(webhook, people(2))) == [("accepted", None)] * 2
    assert len({came.headers["idempotency-key"] for came in receiver.posts}) == 1
    assert len(receiver.posts) == 2


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again_under_the_same_key(receiver: Receiver, webhook: Webhook, status: int) -> None:
    receiver.answer(status, Retry_After="0")
    assert statuses(add(webhook, people(1))) == [("accepted", None)]
    assert len({came.headers["idempotency-key"] for came in receiver.posts}) == 1
    assert len(receiver.posts) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_refused_whole_is_for_the_engine_to_halve(receiver: Receiver, webhook: Webhook, status: int) -> None:
    for _ in range(2):
        receiver.answer(status, {"error": "no p0@box.example here"})
    with pytest.raises(RefusedError) as raised:
        add(webhook, people(2))
    assert raised.value.status == status
    [outcome] = add(webhook, people(1))
    assert (outcome.status.value, outcome.code) == ("rejected", str(status))
    assert "p0@box.example" not in str(outcome.reason)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (410, NotFoundError),
        (405, FatalError),
        (415, FatalError),
        (501, FatalError),
    ],
)
def test_what_concerns_all_rows_stops_the_sync(
    receiver: Receiver, webhook: Webhook, status: int, error: type[MillstreamError]
) -> None:
    receiver.answer(status, {"error": "no"})
    with pytest.raises(error) as raised:
        add(webhook, people(50))
    assert raised.value.remedy
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("status", [200, 204, 400, 404, 405])
def test_the_check_takes_any_sign_of_life(receiver: Receiver, webhook: Webhook, status: int) -> None:
    receiver.signs_of_life = status
    webhook.probe()
    assert webhook.ensure_audience("VIPs") == "VIPs"
    assert receiver.posts == []


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError), (410, NotFoundError)]
)
def test_the_check_tells_who_may_not_post(
    receiver: Receiver, webhook: Webhook, status: int, error: type[MillstreamError]
) -> None:
    receiver.signs_of_life = status
    with pytest.raises(error):
        webhook.probe()


# To whom nothing is posted


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, webhook: Webhook, status: int) -> None:
    receiver.answer(status, Location=f"{receiver.url}/elsewhere")
    with pytest.raises(FatalError, match="redirects are not followed"):
        add(webhook, people(1))
    assert len(receiver.came) == 1


def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    webhook = Webhook(settings(receiver.url, records_per_request=1))
    receiver.answer(200, b"x" * 5_000_000)
    with pytest.raises(FatalError, match="larger than 66,048 bytes"):
        add(webhook, people(1))
    receiver.answer(400, b"x" * 5_000_000)
    assert statuses(add(webhook, people(1))) == [("rejected", "400")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"])
def test_this_machine_is_refused_unless_allowed(receiver: Receiver, host: str) -> None:
    webhook = Webhook(settings(receiver.url.replace("127.0.0.1", host), allow_private_networks=False))
    for work in (webhook.probe, lambda: add(webhook, people(1))):
        with pytest.raises(ConfigurationError, match="private network"):
            work()
    assert receiver.came == []


@pytest.mark.parametrize("address", ["10.0.0.8", "169.254.169.254", "192.168.1.1", "100.64.0.1", "fd00:ec2::254"])
def test_a_name_that_leads_inside_is_refused_after_it_was_resolved(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    webhook = Webhook(settings("https://hooks.example.com/x", allow_private_networks=False))
    with pytest.raises(ConfigurationError, match=r"hooks\.example\.com"):
        add(webhook, people(1))
    assert asked == ["hooks.example.com"]


def test_what_was_looked_at_is_what_is_connected_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere the second time it is asked for is asked for once."""
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("millstream.state.http.caution.is_public", lambda address: True)
    add(Webhook(settings(f"http://hooks.example.com:{port}/hook", allow_private_networks=False)), people(1))
    assert asked == ["hooks.example.com"]
    assert receiver.posts[0].headers["host"] == f"hooks.example.com:{port}"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_url": "http://hooks.example.com/x", "allow_http": False}, "no https"),
        ({"base_url": "ftp://hooks.example.com/x"}, "no https"),
        ({"base_url": "https://"}, "no https"),
        ({"base_url": "https://mill:stream@hooks.example.com"}, "holds a password"),
        ({"signing_secret": None}, "anybody could post"),
        ({"username": "mill"}, "belong together"),
        ({"bearer_token": "t", "headers": {"Authorization": "x"}}, "exclude each other"),
        ({"headers": {"X Api": "k"}}, "no name of a header"),
        ({"headers": {"x-signature": "k"}}, "set by Millstream"),
        ({"headers": {"X-Api": "k\r\nX-Other: y"}}, "control character"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told) as raised:
        settings(**{"url": "https://hooks.example.com", **wrong} if "base_url" not in wrong else {"url": "", **wrong})
    assert "stream@" not in str(raised.value).replace("mill:stream@hooks", "")


# Whole deliveries


class Dying(Webhook):
    """Its process dies after so many posts."""

    posts_to_live: int | None = None

    def add_members(self, audience_id: str, rows: Any, *, match_key: str) -> list[Outcome]:
        outcomes = super().add_members(audience_id, rows, match_key=match_key)
        if Dying.posts_to_live is not None:
            Dying.posts_to_live -= 1
            if Dying.posts_to_live == 0:
                raise Killed
        return outcomes


@pytest.fixture
def bench(a_bench: MakeBench, receiver: Receiver) -> Iterator[Bench]:
    with a_bench(destination="webhook", into="VIPs", fields={"name": "name"}) as bench:
        given = settings(receiver.url, records_per_request=3)
        connect: Any = lambda: Dying(given)  # noqa: E731 - typed loosely, as entry points are
        bench.delivery.destination = connect
        Dying.posts_to_live = None
        yield bench


def test_who_is_added_again_is_a_new_decision(receiver: Receiver, bench: Bench) -> None:
    ana = {"ana@box.example": "Ana"}
    for wanted in (ana, {}, ana):
        bench.want(wanted)
        bench.run()
    operations = [came.body["operation"] for came in receiver.posts]
    assert operations == ["upsert", "remove", "upsert"]
    assert len({came.headers["idempotency-key"] for came in receiver.posts}) == 3
    assert [came.body["sync_id"] for came in receiver.posts] == ["sync"] * 3


def test_a_batch_whose_run_died_comes_again_under_its_own_key(receiver: Receiver, bench: Bench) -> None:
    bench.want({f"p{number}@box.example": "x" for number in range(7)})
    Dying.posts_to_live = 2
    with suppress(Killed):
        bench.run()
    Dying.posts_to_live, before = None, len(receiver.posts)
    bench.run()
    died = {tuple(came.people): came for came in receiver.posts[:before]}
    again = [came for came in receiver.posts[before:] if tuple(came.people) in died]
    assert again
    for came in again:
        first = died[tuple(came.people)]
        assert came.headers["idempotency-key"] == first.headers["idempotency-key"]
        assert {**came.body, "sent_at": ""} == {**first.body, "sent_at": ""}
    assert {one for came in receiver.posts for one in came.people} == {f"p{number}@box.example" for number in range(7)}
    assert bench.run().requests == 0


def test_a_change_carries_all_fields_and_names_the_audience(receiver: Receiver, bench: Bench) -> None:
    bench.want({"ana@box.example": "Ana", "ben@box.example": "Ben"})
    bench.run()
    bench.want({"ana@box.example": "Anna", "ben@box.example": "Ben"})
    bench.run()
    change = receiver.posts[-1].body
    assert change["audience"]["name"] == "VIPs"
    assert [record["fields"] for record in change["records"]] == [{"name": "Anna"}]


def test_who_left_can_be_deleted(receiver: Receiver, bench: Bench) -> None:
    bench.delivery.sync = Sync.model_validate(bench.delivery.sync.model_dump() | {"on_leave": Leaving.DELETE})
    bench.want({"ana@box.example": "Ana"})
    bench.run()
    bench.want({})
    bench.run()
    assert [came.body["operation"] for came in receiver.posts] == ["upsert", "remove", "delete"]


def test_a_batch_too_large_is_halved_until_it_fits(receiver: Receiver, bench: Bench) -> None:
    receiver.answer(413)
    bench.want({f"p{number}@box.example": "x" for number in range(3)})
    report = bench.run()
    assert report.accepted == 3
    assert [len(came.people) for came in receiver.posts] == [3, 1, 2]


def test_rows_of_one_person_in_a_batch_are_one_record(receiver: Receiver, webhook: Webhook) -> None:
    rows = [row(1, "ana@box.example", name="A"), row(2, "ANA@box.example", name="B")]
    assert statuses(add(webhook, rows)) == [("accepted", None)] * 2
    assert [record["fields"] for record in receiver.posts[0].body["records"]] == [{"name": "B"}]
    assert len(last_of_each(rows)) == 1
