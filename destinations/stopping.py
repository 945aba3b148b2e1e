"""Being asked to stop: what is in flight ends and is settled, and the rest is left for the next run."""

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


_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_got: list[int] = []


@contextmanager
def settled_on_signal() -> Iterator[None]:
    """While this holds, SIGTERM and Ctrl-C only ask senders to stop, whose reports then say so.

    Afterwards the signal reaches whoever handled it before; where nobody did, the reports are enough. A second one
    acts at once. Outside the main thread, where Python lets nobody handle signals, and inside another such block
    nothing changes; a signal that is ignored stays so.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if threading.current_thread() is not threading.main_thread() or _ask_to_stop in before.values():
        yield
        return
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _ask_to_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        STOP.clear()
        got = [number for number in _got if callable(before[signal.Signals(number)])]
        _got.clear()
        if got:
            os.kill(os.getpid(), got[0])


def _ask_to_stop(number: int, _: FrameType | None) -> None:
    STOP.set()
    _got.append(number)
    signal.signal(number, signal.SIG_DFL)


def interrupted() -> InterruptedRunError:
    """The error of a run that was asked to stop and left something undone."""
    return InterruptedRunError("The run was asked to stop: what was sent is settled, the rest goes with the next run.")


class OvertakenError(FatalError):
    """A run was not heard of for so long that another one took over its sync."""


def overtaken() -> OvertakenError:
    """The error of such a run."""
    return OvertakenError(
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
