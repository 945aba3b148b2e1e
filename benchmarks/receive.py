"""What the receiver costs: ``python -m benchmarks.receive``, beside a bare ASGI application that only answers 200.

Both run in a process of their own, under the same server and settings. Ours looks at the key and the message, and has
it on the disk before it answers. Requests come from this process over connections that stay open, one request at a
time each. Afterwards the spool must hold every message that was answered, or nothing is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import DifferentResultsError
from benchmarks.report import Options, header

KEY = "wk-benchmark"
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass
class Side:
    """What one server did in one round.

    Attributes:
        answered: Requests answered with 200.
        seconds: How long that took.
        waits: Seconds that each request took.
        cpu: Processor seconds of the server.
        commits: Writes that went to the disk.
    """

    answered: int = 0
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    cpu: float = 0.0
    commits: int = 0

    def facts(self) -> dict[str, float]:
        """The figures of the table."""
        return {
            "requests_per_second": round(self.answered / self.seconds),
            "cpu_microseconds": round(self.cpu / self.answered * 1e6),
            "median_ms": round(median(self.waits) * 1000, 2),
            "p99_ms": round(quantiles(self.waits, n=100)[98] * 1000, 2),
            "requests_per_commit": round(self.answered / self.commits, 1) if self.commits else 0,
        }


class _Sender(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, and sends the next until time is up."""

    def __init__(self, requests: Sequence[bytes], side: Side, until: float) -> None:
        self._requests, self._side, self._until = requests, side, until
        self._sent, self._at, self._got = 0, 0.0, b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._at = time.perf_counter()
        if self._at >= self._until:
            self._transport.close()
            return
        # Each message has an id of its own: the number of this request stands where the marks are.
        number = f"{id(self):x}-{self._sent}".encode().rjust(32, b"0")
        self._transport.write(self._requests[self._sent % len(self._requests)].replace(b"#" * 32, number))
        self._sent += 1

    def data_received(self, data: bytes) -> None:
        """Read an answer to its end."""
        self._got += data
        head, _, body = self._got.partition(_END)
        place = head.lower().find(_LENGTH)
        if place < 0 or len(body) < int(head[place + len(_LENGTH) :].split(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise DifferentResultsError(f"answered {head[:40]!r}: {body[:100]!r}")
        self._got = b""
        self._side.answered += 1
        self._side.waits.append(time.perf_counter() - self._at)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self.done.set_result(None)


async def _send(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Side:
    side, loop = Side(), asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Sender(requests, side, begun + seconds), "127.0.0.1", port)
        for _ in range(connections)
    ]
    for _, sender in made:
        await sender.done
    side.seconds = time.perf_counter() - begun
    return side


def request(messages: int) -> bytes:
    """A request: one track call, or a batch; each message is about half a kilobyte."""
    properties = {
        "order_id": "o-1",
        "revenue": 59.9,
        "currency": "EUR",
        "products": [{"sku": "a-1", "quantity": 2}] * 3,
    }
    message = {
        "type": "track", "event": "Order Completed", "userId": "u-42", "anonymousId": "a-7", "messageId": "#" * 32,
        "properties": properties, "context": {"ip": "203.0.113.5", "page": {"url": "https://shop.example.com/ok"}},
        "timestamp": "2026-01-03T09:01:01.120Z", "sentAt": "2026-01-03T09:01:01.300Z",
    }  # fmt: skip
    said: Any = message if messages == 1 else {"batch": [{**message, "n": n} for n in range(messages)]}
    body = json.dumps(said).encode()
    user = base64.b64encode(f"{KEY}:".encode()).decode()
    path = "track" if messages == 1 else "batch"
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {user}\r\nContent-Length: {len(body)}"
    return head.encode() + _END + body


def measure(name: str, *, messages: int, connections: int, seconds: float) -> Side:
    """One round of one side.

    Raises:
        DifferentResultsError: The spool does not hold what was answered.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.receive", "--serve", name, "--spool", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            port = int(process.stdout.readline())
            requests = [request(messages)]
            asyncio.run(_send(port, requests, connections=connections, seconds=0.5))
            warm, before = _lines(Path(folder)), _cost(port)
            side = asyncio.run(_send(port, requests, connections=connections, seconds=seconds))
            after = _cost(port)
            side.cpu, side.commits = after[0] - before[0], int(after[1] - before[1])
            process.terminate()
        kept = _lines(Path(folder)) - warm
    if name == "ours" and kept != side.answered * messages:
        raise DifferentResultsError(f"{side.answered * messages} messages were answered and {kept} are in the spool")
    return side


def _cost(port: int) -> list[float]:
    """What a server has cost so far: processor seconds, and writes to the disk."""
    with urlopen(f"http://127.0.0.1:{port}/cost") as answer:
        found: list[float] = json.load(answer)
        return found


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.spool"))


def serve(name: str, spool: str) -> None:
    """Serve one side, and print its port."""
    from millstream.sources.receiving.application import Reception
    from millstream.sources.receiving.serving import application, listen, server
    from millstream.sources.segment import Segment, SegmentSettings

    settings = SegmentSettings.model_validate({"write_keys": {"web": KEY}, "spool": spool, "free_disk_mb": 0})
    app = application(Segment(settings)) if name == "ours" else _floor
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)

    async def with_cost(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/cost":
            await app(scope, receive, send)
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        commits = app.writer.commits if isinstance(app, Reception) else 0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": json.dumps([used.ru_utime + used.ru_stime, commits]).encode()}
        )

    signal.signal(signal.SIGTERM, lambda *_: None)
    server(with_cost).run(sockets=[listener])


async def _floor(scope: Any, receive: Any, send: Any) -> None:
    """Reads the request, keeps nothing, answers 200."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"16")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"success":true}'})


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure and print."""
    given = _parser().parse_args(arguments)
    if given.serve:
        serve(given.serve, given.spool)
        return
    facts, results = header(Options(repeat=given.repeat)), []
    facts["options"] = {"connections": given.connections, "seconds": given.seconds, "repeat": given.repeat}
    for messages in (1, 100):
        rounds: dict[str, list[dict[str, float]]] = {"ours": [], "floor": []}
        for number in range(given.repeat):
            for name in ("ours", "floor") if number % 2 == 0 else ("floor", "ours"):
                side = measure(name, messages=messages, connections=given.connections, seconds=given.seconds)
                rounds[name].append(side.facts())
        for name, found in rounds.items():
            figures = {figure: median(one[figure] for one in found) for figure in found[0]}
            per_second = figures["requests_per_second"] * messages
            results.append({"messages": messages, "side": name, "messages_per_second": per_second, **figures})
    if given.json:
        print(json.dumps({**facts, "results": results}, indent=2))
    else:
        _show(facts, results)


def _show(facts: dict[str, object], results: list[dict[str, Any]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 152, highlight=False)
    for name, values in facts.items():
        console.print(f"[bold]{name}[/bold]: {values}")
    table = Table(box=None)
    for head in results[0]:
        table.add_column(head.replace("_", " "), justify="left" if head == "side" else "right")
    for row in results:
        table.add_row(*(value if isinstance(value, str) else f"{value:,}" for value in row.values()))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receive", description=__doc__)
    parser.add_argument("--connections", type=int, default=64, help="requests on their way at once (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a round (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (%(default)s); medians are quoted")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--serve", choices=("ours", "floor"), help=argparse.SUPPRESS)
    parser.add_argument("--spool", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
