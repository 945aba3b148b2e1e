"""Who holds a lease: a process, not the number it has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millstream.state.ledger.holders import is_alive, is_gone, this_process

HOST = socket.gethostname()

SAYS_WHEN = Path("/proc/self/stat").exists()
pytestmark = pytest.mark.skipif(not SAYS_WHEN, reason="this system does not say when a process began")

WAITING = """
import time
from millstream.state.ledger.holders import this_process
print(this_process("x"), flush=True)
time.sleep(60)
"""


def test_this_process_runs() -> None:
    assert not is_gone(this_process("run/1"))
    assert not is_gone(f"{HOST}/{os.getpid()}/as an older version wrote it")


def test_what_runs_here_is_known_to_and_nothing_else_is() -> None:
    assert is_alive(this_process("run/1"))
    assert not is_alive("elsewhere/1@1/run")
    if SAYS_WHEN:  # another process may have the number by now
        assert not is_alive(f"{HOST}/{os.getpid()}/as an older version wrote it")
        assert not is_alive(f"{HOST}/{os.getpid()}@1/run")


def test_an_earlier_process_with_our_number_is_gone() -> None:
    """As in a container, whose first process has the same number after every crash."""
    assert is_gone(f"{HOST}/{os.getpid()}@1/run")


def test_a_process_that_was_killed_is_gone_before_anybody_asked_after_it() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        assert not is_gone(holder)
        process.kill()
        until = time.monotonic() + 10
        while not is_gone(holder) and time.monotonic() < until:
            time.sleep(0.01)
        assert process.returncode is None, "nobody asked after it"
        assert is_gone(holder)


def test_of_another_machine_nobody_can_tell() -> None:
    assert not is_gone("elsewhere/1@1/run")
