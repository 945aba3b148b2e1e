"""The receiver as an ASGI application: reads a request, has the source look at it, keeps it, and only then answers."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from millstream.sources.receiving import spool
from millstream.sources.receiving.contract import Incoming, Receives, RefusedRequestError
from millstream.sources.receiving.writing import NoRoom, NoRoomError, SpoolWriter

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

HEALTH = "/health"
BYTES_AT_ONCE = 64 * 1024 * 1024
"""Requests beyond this much are not read before others are answered."""

READ_SECONDS = 30.0
REST_SECONDS = 5.0
_KILOBYTE = 1024
_MEGABYTE = 1024 * 1024
_JSON = (b"content-type", b"application/json")

Headers = list[tuple[bytes, bytes]]


class Reception:
    """The application.

    Args:
        source: Sees what requests hold.
        writer: Keeps it.
    """

    def __init__(self, source: Receives, writer: SpoolWriter) -> None:
        self._source = source
        self.writer = writer
        self._most_bytes = source.reception.request_kb * _KILOBYTE
        self._origins = frozenset(source.reception.allowed_origins)
        self._bytes_now = 0
        self.messages = 0
        self.answers: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and end of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            status, body, more = await self._answer(scope["method"], scope["path"], headers, receive)
            self.answers[status] += 1
            more += [_JSON, (b"content-length", b"%d" % len(body)), *self._for_browsers(headers)]
            await send({"type": "http.response.start", "status": status, "headers": more})
            await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        resting: asyncio.Task[None] | None = None
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                resting = asyncio.create_task(self._rest())
                await send({"type": "lifespan.startup.complete"})
                continue
            if resting is not None:
                resting.cancel()
            await asyncio.get_running_loop().run_in_executor(None, self.writer.close)
            await send({"type": "lifespan.shutdown.complete"})
            return

    async def _rest(self) -> None:
        while True:
            await asyncio.sleep(REST_SECONDS)
            self.writer.rest()

    async def _answer(
        self, method: str, path: str, headers: Mapping[str, str], receive: Receive
    ) -> tuple[int, bytes, Headers]:
        """Status, body and headers of the answer."""
        if path == HEALTH and method in ("GET", "HEAD"):
            return self._health()
        if method == "OPTIONS":
            return 200, b"{}", []
        try:
            if method != "POST":
                raise RefusedRequestError(405, "Send it with POST.")
            if why := self.writer.look():
                raise NoRoomError(why)
            return 200, await self._keep(method, path, headers, receive), []
        except RefusedRequestError as error:
            return _refused(error.status, error.reason, [])
        except NoRoomError as error:
            return _refused(error.why.status, error.why.reason, [(b"retry-after", b"%d" % error.why.retry_after)])

    async def _keep(self, method: str, path: str, headers: Mapping[str, str], receive: Receive) -> bytes:
        received_at = datetime.now(UTC)
        self._check_announced(headers)
        if self._bytes_now > BYTES_AT_ONCE:
            raise NoRoomError(NoRoom(503, "Too many requests at once.", retry_after=1))
        parts: list[bytes] = []
        try:
            await self._read(receive, parts)
            body = self._unpacked(b"".join(parts), headers)
            request = Incoming(method=method, path=path, headers=headers, body=body, received_at=received_at)
            taken = self._source.take(request)
            if taken.messages:
                await self.writer.add(b"".join(spool.line(one.kind, one.record) for one in taken.messages))
            self.messages += len(taken.messages)
            return orjson.dumps(taken.answer)
        finally:
            self._bytes_now -= sum(map(len, parts))

    def _check_announced(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that says that it is too large, before it is read."""
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._most_bytes:
            raise self._too_large()

    async def _read(self, receive: Receive, parts: list[bytes]) -> None:
        """Read a request whole, into ``parts``."""
        length, more = 0, True
        try:
            async with asyncio.timeout(READ_SECONDS):
                while more:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise RefusedRequestError(400, "The request broke off.")
                    parts.append(event.get("body", b""))
                    self._bytes_now += len(parts[-1])
                    length += len(parts[-1])
                    if length > self._most_bytes:
                        raise self._too_large()
                    more = event.get("more_body", False)
        except TimeoutError as error:
            raise RefusedRequestError(408, "The request took too long.") from error

    def _unpacked(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        coding = headers.get("content-encoding", "identity").lower()
        if coding == "identity":
            return body
        if coding != "gzip":
            raise RefusedRequestError(415, "Only gzip is unpacked.")
        unpacking = zlib.decompressobj(wbits=31)
        try:
            unpacked = unpacking.decompress(body, self._most_bytes + 1)
        except zlib.error as error:
            raise RefusedRequestError(400, "The body is not gzip.") from error
        if len(unpacked) > self._most_bytes:
            raise self._too_large()
        if not unpacking.eof:
            raise RefusedRequestError(400, "The body breaks off.")
        return unpacked

    def _too_large(self) -> RefusedRequestError:
        return RefusedRequestError(self._source.too_large, f"A request has {self._most_bytes // _KILOBYTE} KB at most.")

    def _health(self) -> tuple[int, bytes, Headers]:
        no_room = self.writer.look()
        facts = {
            "ok": no_room is None,
            "reason": no_room.reason if no_room else None,
            "messages": self.messages,
            "commits": self.writer.commits,
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "spool_mb": round(self.writer.bytes / _MEGABYTE, 3),
            "free_disk_mb": round(self.writer.free / _MEGABYTE),
        }
        return (no_room.status if no_room else 200), orjson.dumps(facts), []

    def _for_browsers(self, headers: Mapping[str, str]) -> Headers:
        """What lets a page of an allowed site send, and read the answer."""
        origin = headers.get("origin")
        if origin is None or not ({origin, "*"} & self._origins):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", b"authorization, content-encoding, content-type"),
            (b"access-control-max-age", b"86400"),
            (b"vary", b"origin"),
        ]


def _refused(status: int, reason: str, headers: Headers) -> tuple[int, bytes, Headers]:
    return status, orjson.dumps({"success": False, "error": reason}), headers
