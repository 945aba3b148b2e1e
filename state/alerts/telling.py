"""Telling channels what changed: each change once to each channel, and again where a channel failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from millstream.state.alerts.channels import Channel
from millstream.state.alerts.messages import Message
from millstream.state.errors import MillstreamError
from millstream.state.ledger.alerts import Alert, all_told, told, untold
from millstream.state.ledger.journal import Journal, now

LEASE = "alerts"
PATIENCE = 30.0
"""Seconds to wait for another process that is telling; what is left then is told by the next run."""
_POLL = 0.2
_log = logging.getLogger("millstream.alerts")


@dataclass(frozen=True)
class ChannelFailure:
    """A channel that could not be told.

    Attributes:
        channel: Its name.
        problem: Why, without secrets.
    """

    channel: str
    problem: str


@dataclass(frozen=True)
class Told:
    """What telling came to: how many changes some channel was told of, and the channels that failed."""

    alerts: int = 0
    failures: tuple[ChannelFailure, ...] = ()


def tell(
    journal: Journal,
    channels: Mapping[str, Callable[[], Channel]],
    *,
    project: str,
    run_id: str,
    wants: Callable[[str, Alert], bool],
) -> Told:
    """Tell every channel of what it was not told yet; what fails is logged, and left to the next run.

    Args:
        journal: Where alerts are.
        channels: Makes each channel, by its name.
        project: Name of the project.
        run_id: The run that tells.
        wants: Whether a channel, by its name, is to be told of an alert.
    """
    if not untold(journal):
        return Told()
    with _turn(journal, run_id) as mine:
        if not mine:
            return Told()
        waiting = untold(journal)
        failures, known = [], set[str]()
        for name, make in channels.items():
            news = [alert for alert in waiting if name not in alert.told and wants(name, alert)]
            try:
                known |= _tell_one(journal, name, make, news, project)
            except MillstreamError as error:
                _log.warning("The channel %s was not told of %d alerts: %s", name, len(news), error)
                failures.append(ChannelFailure(name, str(error)))
        failed = {failure.channel for failure in failures}
        done = [alert for alert in waiting if not any(wants(name, alert) for name in failed - set(alert.told))]
        all_told(journal, done, now=now())
    return Told(len(known), tuple(failures))


def _tell_one(journal: Journal, name: str, make: Callable[[], Channel], news: list[Alert], project: str) -> set[str]:
    if not news:
        return set()
    make().tell([Message(project, alert) for alert in news])
    for alert in news:
        told(journal, alert, name)
    return {alert.name for alert in news}


@contextmanager
def _turn(journal: Journal, run_id: str) -> Iterator[bool]:
    """Tell alone: two runs that end together would both tell the same."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with journal.lease(LEASE, run_id, seconds=300.0) as mine:
            if mine or time.monotonic() > deadline:
                yield mine
                return
        time.sleep(_POLL)
