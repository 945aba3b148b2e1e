"""People whose fields were taken and who are not in the audience yet: they go into it in batches of their own size."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.modes import TAKEN, Status

NOT_ENROLLED = "not_enrolled"
"""The code of a row whose fields were taken, and that is not known to be in the audience."""

_REASON = "The fields were taken; whether the person is in the audience is not known."


class Enrolments:
    """Collects rows until they fill a batch of memberships; threads share it.

    Until its membership has an outcome, a row is kept as one to try again: a run that dies in between leaves people
    of whom the next one knows that only the membership is missing.

    Args:
        size: Most rows in one batch of memberships.
        delay: Seconds that the vendor needs before somebody whose fields it took can become a member.
        clock: Seconds that only ever rise.
    """

    def __init__(self, size: int, delay: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._delay = delay
        self._clock = clock
        self._early: deque[tuple[float, list[DeliveryRow]]] = deque()
        self._rows: list[DeliveryRow] = []
        self._lock = threading.Lock()

    def put_off(self, rows: Sequence[DeliveryRow], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Take over the rows that were accepted, and give the outcomes they have until they are enrolled."""
        kept: list[Outcome] = []
        taken: list[DeliveryRow] = []
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.status not in TAKEN:
                kept.append(outcome)
                continue
            row.external_id = external_id = outcome.external_id or row.external_id
            taken.append(row)
            kept.append(Outcome(status=Status.RETRY_LATER, code=NOT_ENROLLED, reason=_REASON, external_id=external_id))
        with self._lock:
            self._early.append((self._clock() + self._delay, taken))
        return kept

    def are_left(self) -> bool:
        """Whether somebody is not in a batch yet."""
        with self._lock:
            return bool(self._rows or any(rows for _, rows in self._early))

    def seconds_left(self) -> float:
        """Seconds until everybody who was put off can become a member."""
        with self._lock:
            return max((ready - self._clock() for ready, _ in self._early), default=0.0)

    def batches(self, *, rest: bool) -> list[list[DeliveryRow]]:
        """Batches that are full; with ``rest`` also one that is not. Who needs more time is in none of them."""
        with self._lock:
            while self._early and self._early[0][0] <= self._clock():
                self._rows += self._early.popleft()[1]
            whole = len(self._rows) if rest else len(self._rows) - len(self._rows) % self._size
            ready, self._rows = self._rows[:whole], self._rows[whole:]
        return [ready[start : start + self._size] for start in range(0, len(ready), self._size)]


def with_ids(rows: Sequence[DeliveryRow], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes of memberships, with the vendor's ids that are known already where the answer has none."""
    return [
        outcome if outcome.external_id or not row.external_id else replace(outcome, external_id=row.external_id)
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
