"""Runs a project like ``millstream run`` and is killed on the way. A program of its own: the tests start it.

    python mortal.py FOLDER STAGE SECONDS

It dies by SIGKILL so many seconds after the stage began, and at its end at the latest. The stage ``send`` begins with
the first batch of a delivery. Batches are small, so that a delivery has many moments to die in.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from millstream.destinations.hubspot import HubSpot
from millstream.destinations.mailchimp import Mailchimp
from millstream.flows import steps
from millstream.flows.project import load_project
from millstream.state.ledger.journal import Journal

STAGES = ("ingest", "resolve", "activate", "send")
HubSpot.batch_size, Mailchimp.batch_size = 6, 4


def die() -> None:
    """As by the kernel's out-of-memory killer: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, stage: str, seconds: str) -> None:
    """Run everything, and die in a stage."""
    watch = threading.Timer(float(seconds), die)
    watch.daemon = True
    lock = threading.Lock()

    def at(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def begun(*args: Any, **options: Any) -> Any:
            if STAGES.index(name) > STAGES.index(stage):
                die()
            with lock:
                if name == stage and not watch.is_alive():
                    watch.start()
            return step(*args, **options)

        return begun

    for name in STAGES[:3]:
        setattr(steps, name, at(name, getattr(steps, name)))
    Journal.start_batch = at("send", Journal.start_batch)  # type: ignore[method-assign]
    steps.run_all(steps.Workspace.open(load_project(Path(folder))))
    die()


if __name__ == "__main__":
    main(*sys.argv[1:])
