"""The receiver as a process: one server on one port, until it is asked to end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from millstream.sources.receiving.application import Reception
from millstream.sources.receiving.contract import Receives
from millstream.sources.receiving.writing import SpoolWriter
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

GRACE_SECONDS = 30
"""How long requests that have begun may take after the server was asked to end."""

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep an idle connection by default, so that they never send on one that we are closing."""


def application(source: Receives) -> Reception:
    """The application of a source; its spool's folder is made.

    Raises:
        ConfigurationError: Nobody could send anything, or the folder cannot be written to.
    """
    source.check_reception()
    settings = source.reception
    try:
        writer = SpoolWriter(settings.spool_folder, most_mb=settings.spool_mb, free_mb=settings.free_disk_mb)
    except OSError as error:
        raise ConfigurationError(
            f"The spool {settings.spool} cannot be made: {error.strerror}.", remedy="name another folder as spool."
        ) from error
    return Reception(source, writer)


def server(app: ASGIApp) -> uvicorn.Server:
    """The server of an application."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigurationError: The address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # who connects from now on waits for the server, which takes a moment to start
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {error.strerror}.", remedy="name another --host or --port."
        ) from error
    return listener


def serve(source: Receives, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Receive until SIGTERM or Ctrl-C; requests that have begun are answered first.

    Args:
        source: What is received.
        host: Address to listen on.
        port: 0 takes a free one.
        ready: Told where it listens.

    Raises:
        ConfigurationError: It cannot listen there, or nobody could send anything.
    """
    app = application(source)
    with listen(host, port) as listener:
        ready(f"http://{host}:{listener.getsockname()[1]}")
        # The server ends at these signals, and then sends them once more to whoever had them before.
        before = {number: signal.signal(number, _ended) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            server(app).run(sockets=[listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _ended(number: int, frame: object) -> None:
    """The server has ended: nothing more is to be done."""
