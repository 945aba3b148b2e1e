"""The receiver: what is answered with 200 is kept, what is not is not, and who may send at all."""

from __future__ import annotations

import asyncio
import base64
import errno
import gzip
import hashlib
import hmac
import json
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from millstream.sources.receiving import application as applications
from millstream.sources.receiving import spool, writing
from millstream.sources.receiving.application import Reception
from millstream.sources.receiving.serving import application
from millstream.sources.segment import Segment, SegmentSettings
from millstream.state.errors import ConfigurationError
from tests.sources.receiving import KEY, Place, Post

TRACK = {"userId": "u-1", "event": "Signed Up", "messageId": "m-1"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


class TestWhoMaySend:
    @pytest.mark.parametrize(
        ("key", "body"), [(KEY, TRACK), (None, {**TRACK, "writeKey": KEY}), (KEY, {**TRACK, "writeKey": "other"})]
    )
    def test_a_write_key_lets_in_and_is_not_kept(self, place: Place, key: str | None, body: dict[str, Any]) -> None:
        assert statuses(place.send(Post("/v1/track", body, key=key))) == [200]
        [kept] = place.lines()
        assert kept["via"] == "web"
        assert kept["message"] == {**TRACK, "type": "track"}

    @pytest.mark.parametrize("key", [None, "wk-web-2", "wk-web-1x", "wk-web", "é"])
    def test_another_does_not(self, place: Place, key: str | None) -> None:
        [answer] = place.send(Post("/v1/track", TRACK, key=key))
        assert answer.status_code == 401
        assert "write key" in answer.json()["error"]
        assert place.lines() == []

    def test_a_broken_credential_is_none(self, place: Place) -> None:
        headers = {"Authorization": "Basic %%%"}
        assert statuses(place.send(Post("/v1/track", TRACK, headers, key=None))) == [401]

    def test_without_any_key_there_is_no_receiver(self, place: Place) -> None:
        with pytest.raises(ConfigurationError, match="there is no write key"):
            place.app(write_keys={})

    def test_pages_of_allowed_sites_may_send(self, place: Place) -> None:
        shop, other = {"Origin": "https://shop.example.com"}, {"Origin": "https://other.example.com"}
        asked = Post("/v1/track", b"", shop, key=None, method="OPTIONS")
        posts = (asked, Post("/v1/track", TRACK, shop), Post("/v1/track", TRACK, other))
        allowed, sent, refused = place.send(*posts, allowed_origins=["https://shop.example.com"])
        assert statuses([allowed, sent, refused]) == [200, 200, 200]
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example.com"
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        assert sent.headers["access-control-allow-origin"] == "https://shop.example.com"
        assert "access-control-allow-origin" not in refused.headers


class TestCalls:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [("/v1/identify", "identify"), ("/v1/t", "track"), ("/v1/p", "page"), ("/v1/screen/", "screen")],
    )
    def test_paths_name_the_call(self, place: Place, path: str, kind: str) -> None:
        assert statuses(place.send(Post(path, {**TRACK, "type": "alias"}))) == [200]
        assert [line["kind"] for line in place.lines()] == [kind]

    @pytest.mark.parametrize(
        ("path", "body", "status", "said"),
        [
            ("/v1/track", b"{", 400, "not JSON"),
            ("/v1/track", b'"\\ud800"', 400, "not JSON"),
            ("/v1/track", b"[]", 400, "no JSON object"),
            ("/v1/track", {"event": "X"}, 400, "`userId` or `anonymousId` is missing"),
            ("/v1/track", {"userId": " ", "event": "X"}, 400, "is missing"),
            ("/v1/track", {"userId": {"a": 1}, "event": "X"}, 400, "is missing"),
            ("/v1/track", {"userId": "u"}, 400, "`event` is missing"),
            ("/v1/group", {"userId": "u"}, 400, "`groupId` is missing"),
            ("/v1/alias", {"userId": "u"}, 400, "`previousId` is missing"),
            ("/v1/batch", {"batch": []}, 400, "a list of messages"),
            ("/v1/batch", {"batch": [1, {"type": "x"}]}, 400, "Every message is wrong; the first: A message is"),
            ("/v1/nothing", TRACK, 404, "/v1/<call>"),
            ("/v2/track", TRACK, 404, "/v1/<call>"),
            ("/webhooks/none", TRACK, 404, "no such webhook"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, place: Place, path: str, body: Any, status: int, said: str) -> None:
        [answer] = place.send(Post(path, body))
        assert (answer.status_code, answer.json()["success"]) == (status, False)
        assert said in answer.json()["error"]
        assert place.lines() == []

    def test_only_post_sends(self, place: Place) -> None:
        assert statuses(place.send(Post("/v1/track", b"", method="GET"))) == [405]

    def test_of_a_batch_what_is_wrong_is_kept_apart(self, place: Place) -> None:
        batch: list[dict[str, Any]] = [
            {**TRACK, "type": "track"},
            {"type": "track", "userId": "u"},
            {**TRACK, "type": "page", "messageId": 7},
        ]
        shared = {"sentAt": "2026-01-01T00:00:00Z", "context": {"ip": "203.0.113.5", "locale": "de"}}
        batch[0]["context"] = {"locale": "en"}
        [answer] = place.send(Post("/v1/batch", {"batch": batch, **shared}))
        assert answer.json() == {"success": True, "rejected": [{"index": 1, "reason": "`event` is missing."}]}
        track, rejected, page = place.lines()
        assert track["message"]["context"] == {"ip": "203.0.113.5", "locale": "en"}
        assert track["message"]["sentAt"] == page["message"]["sentAt"] == shared["sentAt"]
        assert (rejected["kind"], rejected["reason"]) == ("rejected", "`event` is missing.")

    @pytest.mark.parametrize("named", [{}, {"messageId": "m-2"}])
    def test_a_message_that_is_nested_too_deeply_takes_no_other_along(
        self, place: Place, named: dict[str, Any]
    ) -> None:
        deep = b'{"a":' * 300 + b"1" + b"}" * 300
        said = json.dumps({**TRACK, "type": "track"}).encode()
        other = json.dumps({"type": "track", "userId": "u-2", "event": "X", **named}).encode()[:-1]
        [answer] = place.send(Post("/v1/batch", b'{"batch":[%b,%b,"properties":%b}]}' % (said, other, deep)))
        assert answer.json() == {
            "success": True,
            "rejected": [{"index": 1, "reason": "A message is nested too deeply."}],
        }
        kept, rejected = place.lines()
        assert kept["message"]["messageId"] == "m-1"
        assert json.loads(rejected["text"]).items() >= {"type": "track", "userId": "u-2", "event": "X", **named}.items()

    def test_a_message_without_id_gets_the_same_when_it_is_sent_again(self, place: Place) -> None:
        said = {"userId": "u", "event": "X", "timestamp": "2026-01-01T00:00:00Z"}
        timeless = {"userId": "u", "event": "X"}
        place.call("track", {**said, "sentAt": "2026-01-01T00:00:01Z"}, {**said, "sentAt": "2026-01-01T00:00:09Z"})
        place.call("track", timeless, timeless)
        first, again, other, another = (line["message"]["messageId"] for line in place.lines())
        assert first == again
        assert len({first, other, another}) == 3


class TestSizes:
    def test_a_message_of_32_kb_is_taken_and_a_larger_one_is_not(self, place: Place) -> None:
        empty = {**TRACK, "properties": {"text": ""}}
        room = 32 * 1024 - len(json.dumps({**empty, "type": "track"}, separators=(",", ":")))
        fits, larger = ({**TRACK, "properties": {"text": "x" * (room + more)}} for more in (0, 1))
        good, refused = place.send(Post("/v1/track", fits), Post("/v1/track", larger))
        assert statuses([good, refused]) == [200, 400]
        assert refused.json()["error"] == "A message has 32 KB at most."

    def test_a_request_of_500_kb_is_taken_and_a_larger_one_is_not(self, place: Place) -> None:
        message = {**TRACK, "type": "track", "properties": {"text": "x" * 30_000}}
        batch = json.dumps({"batch": [message] * 16}).encode()
        fits, larger = (batch + b" " * (500 * 1024 - len(batch) + more) for more in (0, 1))
        good, refused = place.send(Post("/v1/batch", fits), Post("/v1/batch", larger))
        assert statuses([good, refused]) == [200, 400]
        assert refused.json()["error"] == "A request has 500 KB at most."
        assert len(place.lines()) == 16

    def test_packed_requests_are_unpacked_up_to_the_same_size(self, place: Place) -> None:
        headers = {"Content-Encoding": "gzip"}
        whole = gzip.compress(json.dumps(TRACK).encode())
        bomb = gzip.compress(b" " * 50_000_000)
        posts = [Post("/v1/track", body, headers) for body in (whole, bomb, whole[:-9], b"{}")]
        answers = place.send(*posts, Post("/v1/track", whole, {"Content-Encoding": "br"}))
        assert statuses(answers) == [200, 400, 400, 400, 415]
        app = place.app()
        tracemalloc.start()
        place.send(Post("/v1/track", bomb, headers), app=app)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()
        app.writer.close()

    def test_more_than_fits_into_memory_comes_later(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(applications, "BYTES_AT_ONCE", 150)
        answers = place.send(*(Post("/v1/track", {**TRACK, "messageId": str(n)}) for n in range(5)))
        later = [answer for answer in answers if answer.status_code == 503]
        assert len(later) >= 1
        assert {answer.headers["retry-after"] for answer in later} == {"1"}
        assert len(place.lines()) == 5 - len(later)

    def test_a_sender_who_takes_too_long_is_not_waited_for(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(applications, "READ_SECONDS", 0.05)
        app, sent = place.app(), list[Any]()

        async def receive() -> dict[str, Any]:
            if not sent:
                sent.append("begun")
                return {"type": "http.request", "body": b"{", "more_body": True}
            await asyncio.sleep(60)
            raise AssertionError

        async def send(event: Any) -> None:
            sent.append(event.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/v1/track", "headers": []}
        asyncio.run(app(scope, receive, send))
        assert sent[1] == 408
        assert app._bytes_now == 0


class TestKeeping:
    def test_it_is_on_the_disk_before_it_is_answered(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []
        sync = writing._sync

        def slow_sync(descriptor: int) -> None:
            time.sleep(0.05)
            sync(descriptor)
            seen.append(descriptor)

        monkeypatch.setattr(writing, "_sync", slow_sync)
        app = place.app()
        posts = [Post("/v1/track", {**TRACK, "messageId": str(n)}) for n in range(40)]
        assert statuses(place.send(*posts, app=app)) == [200] * 40
        assert 1 <= len(seen) <= 3, "what waits goes to the disk together"
        assert app.writer.commits == len(seen)
        app.writer.close()
        assert {line["message"]["messageId"] for line in place.lines()} == {str(n) for n in range(40)}

    def test_after_a_failed_write_another_file_is_begun(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        app, sync = place.app(), writing._sync
        place.send(Post("/v1/track", TRACK), app=app)

        def fails(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(writing, "_sync", fails)
        [refused] = place.send(Post("/v1/track", {**TRACK, "messageId": "m-2"}), app=app)
        assert (refused.status_code, refused.headers["retry-after"]) == (507, "30")
        assert statuses(place.send(Post("/health", b"", method="GET"), app=app)) == [507], "for a second"
        monkeypatch.setattr(writing, "_sync", sync)
        monkeypatch.setattr(writing, "LOOK_SECONDS", 0.0)
        assert statuses(place.send(Post("/v1/track", {**TRACK, "messageId": "m-3"}), app=app)) == [200]
        app.writer.close()
        assert len(place.files()) == 2
        place.pull()
        assert {"m-1", "m-3"} <= {key for (key,) in place.rows("SELECT message_id FROM raw_segment.tracks")}

    def test_a_fault_of_ours_leaves_nobody_waiting(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(_: bytes) -> None:
            raise ArithmeticError

        app = place.app()
        monkeypatch.setattr(app.writer, "_append", fails)
        answers = place.send(*(Post("/v1/track", {**TRACK, "messageId": str(n)}) for n in range(3)), app=app)
        assert statuses(answers) == [503, 503, 503]
        monkeypatch.undo()
        assert statuses(place.send(Post("/v1/track", TRACK), app=app)) == [200]
        app.writer.close()

    def test_a_full_disk_is_told_before_it_is_full(self, place: Place) -> None:
        app = place.app(free_disk_mb=10**9)
        health, refused = place.send(Post("/health", b"", method="GET"), Post("/v1/track", TRACK), app=app)
        assert statuses([health, refused]) == [507, 507]
        assert refused.headers["retry-after"] == "30"
        assert health.json() | {"ok": False, "reason": "The disk is nearly full."} == health.json()
        assert place.files() == []

    def test_a_full_spool_takes_more_once_it_is_loaded(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writing, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(writing, "FILE_BYTES", 1)
        app = place.app(spool_mb=1)
        message = {**TRACK, "type": "track", "properties": {"text": "x" * 30_000}}
        batch = {"batch": [{**message, "messageId": str(n)} for n in range(16)]}
        answers = [place.send(Post("/v1/batch", batch), app=app)[0].status_code for _ in range(4)]
        assert answers == [200, 200, 200, 503]
        assert len(place.files()) == 3, "a file that is large enough is not written to again"
        app.writer._close_file()
        place.pull()
        assert place.files() == []
        assert statuses(place.send(Post("/v1/track", TRACK), Post("/health", b"", method="GET"), app=app)) == [200, 200]
        app.writer.close()

    def test_its_files_are_for_nobody_else(self, place: Place) -> None:
        place.call("track", TRACK)
        [path] = place.files()
        assert (path.stat().st_mode & 0o077, path.parent.stat().st_mode & 0o077) == (0, 0)

    def test_a_file_that_was_open_for_long_is_closed_though_nothing_comes(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(applications, "REST_SECONDS", 0.01)
        monkeypatch.setattr(writing, "FILE_SECONDS", 0.0)
        app = place.app()
        place.send(Post("/v1/track", TRACK), app=app)
        [path] = place.files()
        assert not spool.is_closed(path)
        asyncio.run(_live(app, seconds=0.1, then=lambda: spool.is_closed(path)))

    def test_its_health_tells_what_it_did(self, place: Place) -> None:
        app = place.app()
        place.send(Post("/v1/track", TRACK), Post("/v1/track", TRACK, key="no"), app=app)
        [answer] = place.send(Post("/health", b"", method="GET"), app=app)
        app.writer.close()
        assert answer.json() | {"ok": True, "messages": 1, "answers": {"200": 1, "401": 1}} == answer.json()


async def _live(app: Reception, *, seconds: float, then: Any) -> None:
    """The life of a server, in which nothing happens."""
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    sent: list[str] = []

    async def send(event: Any) -> None:
        sent.append(event["type"])

    living = asyncio.create_task(app({"type": "lifespan"}, events.get, send))
    await events.put({"type": "lifespan.startup"})
    await asyncio.sleep(seconds)
    assert then()
    await events.put({"type": "lifespan.shutdown"})
    await living
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


SECRET = "whsec"
BODY = json.dumps({"id": "evt-1", "data": {"id": 9}}).encode()


def signed(text: bytes, algorithm: str = "sha256", *, secret: str = SECRET, encoding: str = "hex") -> str:
    made = hmac.new(secret.encode(), text, getattr(hashlib, algorithm))
    return base64.b64encode(made.digest()).decode() if encoding == "base64" else made.hexdigest()


class TestWebhooks:
    @pytest.fixture
    def now(self) -> int:
        return int(datetime.now(UTC).timestamp())

    def deliver(self, place: Place, how: dict[str, Any], headers: dict[str, str], body: bytes = BODY) -> int:
        place.settings["webhooks"] = {"shop": {"secret": SECRET, **how}}
        [answer] = place.send(Post("/webhooks/shop", body, headers, key=None))
        return answer.status_code

    @pytest.mark.parametrize(
        ("how", "header"),
        [
            ({}, signed(BODY)),
            ({"algorithm": "sha1", "prefix": "sha1="}, f"sha1={signed(BODY, 'sha1')}"),
            ({"encoding": "base64", "prefix": "sha256="}, f"sha256={signed(BODY, encoding='base64')}"),
            ({"algorithm": "sha512"}, signed(BODY, "sha512")),
            ({"old_secret": "older"}, signed(BODY, secret="older")),
        ],
    )
    def test_a_signed_delivery_is_kept(self, place: Place, how: dict[str, Any], header: str) -> None:
        assert self.deliver(place, how, {"X-Signature": header}) == 200
        [kept] = place.lines()
        assert (kept["kind"], kept["webhook"], kept["body"]) == ("webhook", "shop", json.loads(BODY))

    @pytest.mark.parametrize(
        "header",
        ["", "x", signed(BODY, secret="other"), signed(b"{}"), signed(BODY)[:-1], f"sha256={signed(BODY)}", "é"],
    )
    def test_another_signature_is_refused(self, place: Place, header: str) -> None:
        assert self.deliver(place, {}, {"X-Signature": header.encode().decode("latin-1")}) == 401
        assert place.lines() == []

    def test_no_signature_is_refused(self, place: Place) -> None:
        assert self.deliver(place, {"prefix": "sha256="}, {"X-Signature": "sha256="}) == 401
        assert self.deliver(place, {}, {}) == 401

    LISTED = {"signature_part": "v1", "timestamp_part": "t", "signed": "{timestamp}.{body}"}

    @pytest.mark.parametrize(("age", "status"), [(0, 200), (299, 200), (-290, 200), (302, 401), (-310, 401)])
    def test_an_old_delivery_is_not_taken_again(self, place: Place, now: int, age: int, status: int) -> None:
        then = now - age
        header = f"t={then},v1={signed(f'{then}.'.encode() + BODY)},v0=x"
        assert self.deliver(place, self.LISTED, {"X-Signature": header}) == status

    def test_its_time_cannot_be_changed(self, place: Place, now: int) -> None:
        header = f"t={now},v1={signed(f'{now - 999}.'.encode() + BODY)}"
        assert self.deliver(place, self.LISTED, {"X-Signature": header}) == 401
        soon = f"t=soon,v1={signed(b'soon.' + BODY)}"
        assert self.deliver(place, self.LISTED, {"X-Signature": soon}) == 401

    @pytest.mark.parametrize("written", ["seconds", "milliseconds", "iso"])
    def test_the_time_may_stand_in_a_header_of_its_own(self, place: Place, written: str) -> None:
        moment = datetime.now(UTC)
        text = {
            "seconds": str(int(moment.timestamp())),
            "milliseconds": str(int(moment.timestamp() * 1000)),
            "iso": moment.isoformat().replace("+00:00", "Z"),
        }[written]
        url = "https://hooks.example.com/webhooks/shop"
        how = {
            "timestamp_header": "X-Time",
            "signed": "{method}{url}{body}{timestamp}",
            "url": url,
            "encoding": "base64",
        }
        made = signed(b"POST" + url.encode() + BODY + text.encode(), encoding="base64")
        assert self.deliver(place, how, {"X-Signature": made, "X-Time": text}) == 200
        assert self.deliver(place, how, {"X-Signature": made, "X-Time": "0"}) == 401

    def test_a_delivery_that_is_repeated_is_one_row(self, place: Place) -> None:
        how = {"id": "data.id"}
        later = json.dumps({"data": {"id": 9}, "attempt": 2}).encode()
        for body in (BODY, BODY, later):
            assert self.deliver(place, how, {"X-Signature": signed(body)}, body) == 200
        place.pull()
        assert place.rows("SELECT webhook, id, CAST(body AS TEXT) LIKE '%attempt%' FROM raw_segment.webhooks") == [
            ("shop", "9", True)
        ]

    def test_a_list_is_as_many_rows(self, place: Place) -> None:
        body = b'[{"id": 1}, {"id": 2}, {"no": 3}]'
        assert self.deliver(place, {"id": "id"}, {"X-Signature": signed(body)}, body) == 200
        ids = [line["id"] for line in place.lines()]
        assert ids[:2] == ["1", "2"]
        assert len(ids[2]) == 32

    def test_what_is_nested_too_deeply_is_refused(self, place: Place) -> None:
        body = b"[" * 300 + b"1" + b"]" * 300
        signature = hmac.new(b"hush", body, hashlib.sha256).hexdigest()
        hooks = {"till": {"secret": "hush"}}
        [answer] = place.send(Post("/webhooks/till", body, {"X-Signature": signature}), webhooks=hooks)
        assert (answer.status_code, answer.json()["error"]) == (400, "The body is nested too deeply.")

    def test_what_is_signed_and_no_json_is_refused(self, place: Place) -> None:
        assert self.deliver(place, {}, {"X-Signature": signed(b"a=b")}, b"a=b") == 400

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"signed": "{timestamp}"}, "holds"),
            ({"signed": "{body}{secret}"}, "holds"),
            ({"timestamp_header": "X-Time"}, "unless it is signed"),
            ({"signed": "{timestamp}{body}"}, "unless it is signed"),
            ({"signed": "{timestamp}{body}", "timestamp_part": "t"}, "signature_part"),
            ({"signed": "{url}{body}"}, "give it as `url`"),
        ],
    )
    def test_settings_that_prove_nothing_are_refused(self, place: Place, how: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            place.app(webhooks={"shop": {"secret": SECRET, **how}})


class TestSegmentsOwnWebhook:
    """Its signature is a SHA-1 of the first message only."""

    HOW = {"secret": SECRET, "algorithm": "sha1", "signed": "{first}", "contains": "messages"}
    FIRST = '{"type":"track","event":"é  ]","userId":"u-1","messageId":"m-1","properties":{"price":59.90}}'

    def deliver(self, place: Place, body: str, text: str) -> int:
        place.settings["webhooks"] = {"segment": self.HOW}
        headers = {"X-Signature": signed(text.encode(), "sha1")}
        [answer] = place.send(Post("/webhooks/segment", body.encode(), headers, key=None))
        return answer.status_code

    def test_one_message_is_signed_whole(self, place: Place) -> None:
        assert self.deliver(place, self.FIRST, self.FIRST) == 200
        [kept] = place.lines()
        assert (kept["kind"], kept["via"], kept["passed_on"]) == ("track", "webhook:segment", True)

    def test_of_several_the_first_is_signed(self, place: Place) -> None:
        second = '{"type":"page","anonymousId":"a-1","messageId":"m-2"}'
        assert self.deliver(place, f" [ {self.FIRST} , {second}]", self.FIRST) == 200
        assert self.deliver(place, f"[{second},{self.FIRST}]", self.FIRST) == 401
        assert self.deliver(place, "[", "[") == 400
        assert [line["kind"] for line in place.lines()] == ["track", "page"]

    def test_its_times_are_corrected_already(self, place: Place) -> None:
        times = {"timestamp": "2026-01-03T09:01:01Z", "originalTimestamp": "2026-01-03T11:00:00Z"}
        more = {"sentAt": "2026-01-03T11:00:01Z", "receivedAt": "2026-01-03T09:01:02Z"}
        body = json.dumps({**json.loads(self.FIRST), **times, **more})
        assert self.deliver(place, body, body) == 200
        place.call("track", {**json.loads(self.FIRST), **times, **more, "messageId": "direct"})
        place.pull()
        [direct, passed_on] = place.rows(
            "SELECT timestamp, received_at FROM raw_segment.tracks ORDER BY message_id = 'm-1'"
        )
        assert passed_on[0] == datetime(2026, 1, 3, 9, 1, 1, tzinfo=UTC)
        assert direct[1] - direct[0] == timedelta(seconds=1)


def test_secrets_are_not_shown(place: Place) -> None:
    settings = SegmentSettings.model_validate(
        {**place.settings, "webhooks": {"shop": {"secret": SECRET}}, "profile_token": "tok-1", "profile_space": "s"}
    )
    assert not [secret for secret in (KEY, SECRET, "tok-1") if secret in repr(settings)]
    assert application(Segment(settings))
