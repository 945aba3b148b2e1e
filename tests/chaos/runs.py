"""Real processes that run ``millstream``, and ways for them to be stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
SECRETS = {"CHAOS_TOKEN": "pat-sandbox-hubspot", "CHAOS_KEY": "sandbox-mailchimp-us1"}


def _without_projects() -> dict[str, str]:
    """The environment, less what would lead a run to another project or to a Prefect server of other tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MILLSTREAM_", "PREFECT_"))}


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: Its exit code; negative where a signal ended it.
        seconds: How long it took.
        output: What it printed.
        stopped: Whether it got the signal before it had ended.
    """

    code: int
    seconds: float
    output: str
    stopped: bool


class Runs:
    """Starts runs, one at a time.

    Args:
        folder: Where their output goes; one for each.

    Attributes:
        secrets: Environment variables of runs, besides those of all.
    """

    def __init__(self, folder: Path) -> None:
        self.secrets: dict[str, str] = {}
        self._output = folder / "output.txt"
        self._prepared = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.prepared"],
            cwd=ROOT,
            env={**_without_projects(), **SECRETS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._pid = 0
        self._signalled = threading.Event()

    def close(self) -> None:
        """Start no more."""
        _pipe(self._prepared.stdin).close()
        self._prepared.wait(30)
        _pipe(self._prepared.stdout).close()

    def run(self, *args: str, stop: signal.Signals | None = None, after: float | None = None) -> Ended:
        """Run ``millstream`` with these arguments.

        Args:
            args: The command's arguments.
            stop: The signal that it gets.
            after: So many seconds after its start; None leaves it to ``signal_now``.
        """
        self._signalled.clear()
        began = time.monotonic()
        order = {"args": args, "output": str(self._output), "secrets": self.secrets}
        print(json.dumps(order), file=self._prepared.stdin, flush=True)
        self._pid = int(_pipe(self._prepared.stdout).readline())
        timer = None
        if stop is not None and after is not None:
            timer = threading.Timer(max(0.0, began + after - time.monotonic()), self.signal_now, [stop])
            timer.start()
        code = int(_pipe(self._prepared.stdout).readline())
        self._pid = 0
        ended = time.monotonic() - began
        if timer:
            timer.cancel()
            timer.join()
        return Ended(code, ended, self._output.read_text(), self._signalled.is_set())

    def signal_now(self, stop: signal.Signals) -> None:
        """Send the run that is on a signal; from any thread."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, stop)
                self._signalled.set()

    def wait_for_signal(self) -> None:
        """Wait until the run that is on has got one."""
        assert self._signalled.wait(30)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
