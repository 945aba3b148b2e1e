"""A Prefect server and its workers on this machine, as child processes: for the demo and the tests.

They listen on the loopback interface only, keep everything in a folder of their own, and send no telemetry.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from millstream.state.errors import UnavailableError

HOST = "127.0.0.1"
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0


def free_port(preferred: int = 0) -> int:
    """The preferred port when nothing listens there, else any free one."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UnavailableError("No port is free on this machine.")


class LocalPrefect:
    """A server, started and stopped with this object.

    Args:
        home: Folder for Prefect's database, settings and logs.
        port: Port of the API and the UI; a free one when left out.

    Example:
        with LocalPrefect(Path(".demo/prefect")) as prefect:
            prefect.start_worker("millstream", folder=Path("."))
    """

    def __init__(self, home: Path, *, port: int | None = None) -> None:
        self.home = home.resolve()
        self.port = port or free_port()
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def ui_url(self) -> str:
        """Address of the UI."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """Address of the API."""
        return f"{self.ui_url}/api"

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables that point Prefect at this server; nothing of another server's is left."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_CLI_COLORS": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
        }

    def start(self) -> None:
        """Start the server; returns when it answers.

        Raises:
            UnavailableError: It ended, or did not answer in time.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        command = ["server", "start", "--host", HOST, "--port", str(self.port)]
        server = self._start("server", command, {}, self.home)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(f"The Prefect server did not start; {self.log('server')} says why.")
            time.sleep(0.25)

    def start_worker(
        self, pool: str, *, folder: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process worker; its runs see ``environment`` on top of this process's."""
        command = ["worker", "start", "--pool", pool, "--type", "process", "--name", f"{pool}-{len(self._children)}"]
        return self._start("worker", command, environment or {}, folder)

    def stop_worker(self, worker: subprocess.Popen[bytes]) -> None:
        """End one worker and its runs."""
        self._children.remove(worker)
        _end(worker)

    def stop(self) -> None:
        """End what was started, the last one first, each by its own process id."""
        while self._children:
            child = self._children.pop()
            _end(child)

    def log(self, name: str) -> Path:
        """The log file of the server or of the workers."""
        return self.home / f"{name}.log"

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> subprocess.Popen[bytes]:
        others = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "prefect", *command],
                cwd=folder,
                env={**others, **self.settings, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal is ours to pass on
            )
        self._children.append(child)
        return child

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.api_url}/health", timeout=2) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a child to end (a worker then ends its runs), and end its whole group when one of it takes too long."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    # A run that was about to begin may outlive its worker.
    while _signalled(child, 0):
        if time.monotonic() > deadline:
            _signalled(child, signal.SIGKILL)
            break
        time.sleep(0.05)
    child.wait()


def _signalled(child: subprocess.Popen[bytes], number: int) -> bool:
    """Whether anybody of a child's group was there to get a signal."""
    child.poll()
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True
