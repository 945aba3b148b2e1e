"""Signs of life: a thread that renews what a process holds, and notices when it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

BEATS = 15
"""Signs of life in the time after which a holder counts as dead."""


@contextmanager
def heartbeat(renew: Callable[[], bool], *, seconds: float, lost: threading.Event) -> Iterator[None]:
    """Renew something while the block runs, however long its steps take.

    Args:
        renew: Renews it for ``seconds``, and says whether it was still held.
        seconds: How long it is held without a sign of life.
        lost: Set when it is not held any more: this process was asleep for too long, or its journal out of reach.
    """
    ended = threading.Event()

    def beat() -> None:
        heard = time.monotonic()
        while not ended.wait(seconds / BEATS):
            try:
                held = renew()
            except sa.exc.OperationalError:
                held = time.monotonic() - heard < seconds
            else:
                heard = time.monotonic()
            if not held:
                lost.set()
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
