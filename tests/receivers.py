"""What alerts are sent to: a web server and a mail server on this machine, which keep what they are given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass
class Posted:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Its body, parsed."""
        return orjson.loads(self.body)


@dataclass
class Hooks:
    """A web server.

    Attributes:
        url: Where it listens.
        posted: What came, in order.
        answers: Statuses of the next answers; 200 after that.
    """

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def web_server() -> Iterator[Hooks]:
    """A web server that takes posts."""
    hooks = Hooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hooks.posted.append(Posted(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(hooks.answers.pop(0) if hooks.answers else 200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Nothing on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hooks.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield hooks
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Mails:
    """A mail server: where it listens, and the mails that came."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Keep a mail."""
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        return "250 OK"


class _AnyPort(Controller):
    """Listens on a free port, which aiosmtpd alone would not find again."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(*, password: str | None = None) -> Iterator[Mails]:
    """A mail server; with a password, one that knows the user ``alerts``."""
    mails = Mails()

    def check(_server: object, _session: object, _envelope: object, _way: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and given == LoginPassword(b"alerts", str(password).encode())
        return AuthResult(success=right, handled=False)

    extra: dict[str, Any] = {}
    if password:
        extra = {"authenticator": check, "auth_require_tls": False}
    server = _AnyPort(mails, hostname="127.0.0.1", port=0, **extra)
    server.start()
    mails.port = server.port
    yield mails
    server.stop()
