"""A headless Chromium, steered over its own protocol: how a page looks, what it complains of and asks for."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

VARIABLE = "MILLSTREAM_TEST_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 60.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers run as root, and only pages that were just made are opened
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def program() -> str:
    """Chromium's program.

    Raises:
        FileNotFoundError: There is none.
    """
    named = os.environ.get(VARIABLE)
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise FileNotFoundError(
            f"The tests of the report need Chromium: run .ci/chromium as root, or set {VARIABLE} to its program."
        )
    return found


class Page:
    """A tab.

    Attributes:
        complaints: What scripts wrote to the console as warnings and errors, and what they threw.
        requests: The addresses of all that was asked for.
    """

    def __init__(self, socket: Connection) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._seen: set[str] = set()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def offline(self) -> None:
        """Take the network away."""
        self._call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )

    def size(self, width: int, height: int) -> None:
        """Give the window another size, in CSS pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, scheme: str) -> None:
        """Ask for ``dark`` or ``light``."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def media(self, kind: str) -> None:
        """Show it as on ``print`` or ``screen``."""
        self._call("Emulation.setEmulatedMedia", media=kind)

    def open(self, file: Path, *, until: str = "document.readyState === 'complete'") -> float:
        """Open a file, and wait until an expression is true.

        Returns:
            Seconds from the call on.
        """
        started = time.monotonic()
        self._seen.discard("Page.loadEventFired")
        self._call("Page.navigate", url=file.as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._take()
        while not self.value(until):
            assert time.monotonic() - started < _PATIENCE, f"{until} does not come true: {self.complaints}"
            time.sleep(0.01)
        return time.monotonic() - started

    def value(self, expression: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of what is in sight, or of the whole page."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def paper(self) -> bytes:
        """The page as a PDF."""
        found = self._call("Page.printToPDF", printBackground=True)
        return base64.b64decode(found["data"])

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = self._take()
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                answer: dict[str, Any] = message["result"]
                return answer

    def _take(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=_PATIENCE))
        method, facts = message.get("method", ""), message.get("params", {})
        self._seen.add(method)
        if method == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(one.get("value", one)) for one in facts["args"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.complaints.append(facts["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        return message


@contextmanager
def browser() -> Iterator[Page]:
    """A tab of a browser of its own, which ends with it.

    Raises:
        FileNotFoundError: There is no Chromium.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [program(), *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = _port(Path(folder) / "DevToolsActivePort", process)
            with connect(_address(port), max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(timeout=_PATIENCE)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + _PATIENCE
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, "Chromium ended at once."
        assert time.monotonic() < deadline, "Chromium does not start."
        time.sleep(0.02)
    return int(file.read_text().split()[0])


def _address(port: int) -> str:
    from urllib.request import urlopen

    deadline = time.monotonic() + _PATIENCE
    while True:
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_PATIENCE) as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        if tabs:
            return str(tabs[0]["webSocketDebuggerUrl"])
        assert time.monotonic() < deadline, "Chromium opens no tab."
        time.sleep(0.02)
