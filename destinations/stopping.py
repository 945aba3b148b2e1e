"""Being asked to stop: SIGTERM lets what is in flight end and be settled, and leaves the rest for the next run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from millstream.state.errors import FatalError, InterruptedRunError, UnavailableError

STOP = threading.Event()
"""Set once this process was asked to stop."""


@contextmanager
def settled_on_sigterm() -> Iterator[None]:
    """While this holds, SIGTERM only asks senders to stop, whose reports then say so.

    Afterwards the signal reaches whoever handled it before; where nobody did, the reports are enough. A second SIGTERM
    acts at once. Outside the main thread, where Python lets nobody handle signals, and inside another such block
    nothing changes.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is _ask_to_stop:
        yield
        return
    signal.signal(signal.SIGTERM, _ask_to_stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        asked = STOP.is_set()
        STOP.clear()
        if asked and callable(before):
            os.kill(os.getpid(), signal.SIGTERM)


def _ask_to_stop(number: int, _: FrameType | None) -> None:
    STOP.set()
    signal.signal(number, signal.SIG_DFL)


def interrupted() -> InterruptedRunError:
    """The error of a run that was asked to stop and left something undone."""
    return InterruptedRunError("The run was asked to stop: what was sent is settled, the rest goes with the next run.")


def overtaken() -> FatalError:
    """The error of a run that was not heard of for so long that another one took over its sync."""
    return FatalError(
        "Another run took over the sync, because this one gave no sign of life for too long; nothing more is sent.",
        remedy="look whether the machine was asleep, or the journal out of reach; the other run does the rest.",
    )


def sleep_unless_stopped(seconds: float) -> None:
    """Wait between two tries.

    Raises:
        UnavailableError: This process was asked to stop: the try that would follow is left to the next run.
    """
    if STOP.wait(seconds):
        raise UnavailableError("The run was asked to stop while it waited for the vendor.")
