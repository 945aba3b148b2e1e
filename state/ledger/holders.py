"""Who holds something in the journal: a process of a machine."""

from __future__ import annotations

import os
import socket


def this_process(name: str) -> str:
    """This process as a holder, and what of it holds the thing: ``host/pid/name``."""
    return f"{socket.gethostname()}/{os.getpid()}/{name}"


def is_gone(holder: str) -> bool:
    """Whether the holder was a process of this machine that does not run any more."""
    host, pid, _ = holder.split("/", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
