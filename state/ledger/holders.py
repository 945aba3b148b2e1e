"""Who holds something in the journal: a process of a machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_DEAD = frozenset("ZX")
"""States of a process that has ended and that nobody has asked after yet."""


def this_process(name: str) -> str:
    """This process as a holder, and what of it holds the thing: ``host/pid@start/name``.

    The start tells it from another process with the same number: a container gives its first process the same one
    after every crash.
    """
    pid = os.getpid()
    found = _state(pid)
    return f"{socket.gethostname()}/{pid}@{found[1] if found else ''}/{name}"


def is_gone(holder: str) -> bool:
    """Whether the holder was a process of this machine that does not run any more."""
    return _runs(holder) is False


def is_alive(holder: str) -> bool:
    """Whether the holder is a process of this machine that runs, however long it was silent: it may have slept."""
    return _runs(holder) is True


def _runs(holder: str) -> bool | None:
    """Whether the holder runs; None where this machine cannot tell: it may be another process with its number."""
    host, process, _ = holder.split("/", 2)
    if host != socket.gethostname():
        return None
    pid, _, start = process.partition("@")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return None
    found = _state(int(pid))
    if found is None:
        return True  # there is one with this number, and the system says no more of it
    state, started = found
    if state in _DEAD:
        return False
    return started == start if start else None


def _state(pid: int) -> tuple[str, str] | None:
    """State and start of a process; None where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # See proc(5): the second field is the program's name in brackets, and may have spaces and brackets of its own.
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]
