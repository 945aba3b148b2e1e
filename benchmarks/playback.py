"""Vendors' answers, recorded from the sandbox and played again: quicker than any client reads them.

The sandbox makes up each record when it is asked for, which costs more than reading it. So a process of its own asks it
once for everything and then serves the bytes from memory: pages of contacts cut anywhere, pages of an export by their
cursor, files of a day. It answers what pulling a stream for the first time asks for, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import sys
import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from millstream.sandbox.company import MAX_PEOPLE
from millstream.sandbox.server import build_app
from millstream.sandbox.system import SandboxOptions, System
from millstream.sources.hubspot import HubSpotSettings
from millstream.sources.hubspot.contacts import contact_object

HUBSPOT_TOKEN = "pat-sandbox-hubspot"
ZENDESK_USER = ("robin@support.shop.box.example/token", "sandbox-zendesk")
MIXPANEL_USER = ("millstream.sandbox.mp-service-account", "sandbox-mixpanel")
MIXPANEL_DAYS = 30
_PAGE = 1000
_SEED = 7

Query = Mapping[str, str]
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Played:
    """An answer."""

    body: bytes
    headers: Headers
    status: int = 200


class Recording(ABC):
    """What one vendor has."""

    @abstractmethod
    async def record(self, system: System, rows: int) -> None:
        """Ask the sandbox for so many rows."""

    @abstractmethod
    def answer(self, method: str, path: str, query: Query, body: bytes) -> Played:
        """Answer as the vendor would."""


class Contacts(Recording):
    """HubSpot's contacts by id. None of them is archived."""

    people_a_row = 1.4

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.records: list[bytes] = []

    async def record(self, system: System, rows: int) -> None:
        """Page after page of the list."""
        names = contact_object(HubSpotSettings.model_construct(properties=(), identifiers={}, traits={})).names
        after = 0
        while len(self.ids) < rows:
            query = {"limit": 100, "properties": ",".join(names), "after": after}
            page = orjson.loads(await _ask(system, "/crm/v3/objects/contacts", query, f"Bearer {HUBSPOT_TOKEN}"))
            if not page["results"]:
                raise RuntimeError(f"the sandbox has {len(self.ids)} contacts only")
            for record in page["results"][: rows - len(self.ids)]:
                self.ids.append(int(record["id"]))
                self.records.append(orjson.dumps(record))
            after = self.ids[-1]

    def answer(self, method: str, path: str, query: Query, body: bytes) -> Played:
        """A page of the list, or the first record of a search by id."""
        if method == "POST":
            order = orjson.loads(body)
            place = -1 if order["sorts"][0]["direction"] == "DESCENDING" else 0
            return _json(b'{"total":%d,"results":[%b]}' % (len(self.ids), self.records[place]))
        if query.get("archived") == "true":
            return _json(b'{"results":[]}')
        start = bisect_right(self.ids, int(query.get("after", 0)))
        end = start + int(query.get("limit", 10))
        paging = b',"paging":{"next":{"after":"%d"}}' % self.ids[end - 1] if end < len(self.ids) else b""
        return _json(b'{"results":[%b]%b}' % (b",".join(self.records[start:end]), paging))


class Users(Recording):
    """Zendesk's export of users with their identities, a page for each cursor."""

    people_a_row = 3.5

    def __init__(self) -> None:
        self.pages: dict[str | None, bytes] = {}

    async def record(self, system: System, rows: int) -> None:
        """Page after page of the export."""
        cursor: str | None = None
        for _ in range(-(-rows // _PAGE)):
            place = {"start_time": 1} if cursor is None else {"cursor": cursor}
            query = {"per_page": _PAGE, "include": "identities", **place}
            answer = await _ask(system, "/api/v2/incremental/users/cursor.json", query, _basic(*ZENDESK_USER))
            page = orjson.loads(answer)
            left = rows - len(self.pages) * _PAGE
            page["users"], page["end_of_stream"] = page["users"][:left], left <= _PAGE
            self.pages[cursor] = orjson.dumps(page)
            cursor = page["after_cursor"]

    def answer(self, method: str, path: str, query: Query, body: bytes) -> Played:
        """The page after a cursor."""
        return _json(self.pages[query.get("cursor")])


class Events(Recording):
    """Mixpanel's raw export of the last thirty days, a compressed file a day."""

    people_a_row = 1.25

    def __init__(self) -> None:
        self.days: dict[str, bytes] = {}

    async def record(self, system: System, rows: int) -> None:
        """Day after day."""
        today, left = datetime.now(UTC).date(), rows
        for number in reversed(range(MIXPANEL_DAYS)):
            day = (today - timedelta(days=number)).isoformat()
            query = {"project_id": 2195193, "from_date": day, "to_date": day, "time_in_ms": "true"}
            answer = await _ask(system, "/api/2.0/export", query, _basic(*MIXPANEL_USER))
            lines = answer.splitlines(keepends=True)[:left]
            left -= len(lines)
            self.days[day] = gzip.compress(b"".join(lines), 1)

    def answer(self, method: str, path: str, query: Query, body: bytes) -> Played:
        """The file of a day."""
        return Played(self.days[query["from_date"]], {"Content-Type": "text/plain", "Content-Encoding": "gzip"})


RECORDINGS: Mapping[str, Callable[[], Contacts | Users | Events]] = {
    "hubspot": Contacts,
    "zendesk": Users,
    "mixpanel": Events,
}


def recorded(name: str, rows: int) -> Recording:
    """A vendor's answers for so many rows.

    Raises:
        RuntimeError: The sandbox has fewer.
    """
    recording = RECORDINGS[name]()
    people = min(int(rows * recording.people_a_row) + 1000, MAX_PEOPLE)
    app = build_app(SandboxOptions(people=people, seed=_SEED, limits=False))
    asyncio.run(recording.record(app.state.systems[name], rows))
    return recording


async def _ask(system: System, path: str, query: Mapping[str, object], authorization: str) -> bytes:
    """The body of the sandbox's answer, without a network between."""
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": urlencode(query).encode(),
        "headers": [(b"authorization", authorization.encode()), (b"host", b"localhost")],
    }
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("status", 200) >= 400:
            raise RuntimeError(f"the sandbox answered {message['status']} to {path}")
        parts.append(message.get("body", b""))

    await system(scope, receive, send)
    return b"".join(parts)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _json(body: bytes) -> Played:
    return Played(body, {"Content-Type": "application/json"})


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with as little as clients need. ``PUT /_latency/50`` holds answers back from then on."""

    latency = 0.0

    def __init__(self, name: str, recording: Recording) -> None:
        self._root = f"/{name}"
        self._recording = recording
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, target, _ = request.split(" ")
        played = self._answer(method, target, rest[:length])
        asyncio.get_running_loop().call_later(_Connection.latency, self._write, played)

    def _answer(self, method: str, target: str, body: bytes) -> Played:
        parts = urlsplit(target)
        if parts.path.startswith("/_latency/"):
            _Connection.latency = float(parts.path.rpartition("/")[2]) / 1000
            return _json(b"{}")
        if parts.path == "/_cpu":
            return _json(orjson.dumps(time.process_time()))
        query = dict(parse_qsl(parts.query))
        return self._recording.answer(method, parts.path.removeprefix(self._root), query, body)

    def _write(self, played: Played) -> None:
        headers = {**played.headers, "Content-Length": str(len(played.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._transport.writelines([f"HTTP/1.1 {played.status} OK\r\n{head}\r\n".encode(), played.body])


async def _serve(name: str, recording: Recording) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(name, recording), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
    await server.serve_forever()


def main() -> None:
    """Record, say where, and serve until ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.playback", description=__doc__)
    parser.add_argument("name", choices=sorted(RECORDINGS))
    parser.add_argument("--rows", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(_serve(given.name, recorded(given.name, given.rows)))


if __name__ == "__main__":
    main()
