"""People who may not be in an audience any more, as the connector says of their rows, and who were put in before.

They are taken out when all are in who come: by then it is known which of their identifiers somebody has who stays.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.modes import TAKEN, Operation, Status

NOT_TAKEN_OUT = "not_taken_out"
"""The code of a row of somebody who may not be in the audience any more, and is not known to be out."""

_REASON = "The person may not be in the audience any more, and is not known to be out of it."


class Unwanted:
    """Collects them, for vendors that know people by identifiers alone; threads share it.

    Until somebody is out, the row is kept as one to try again: a run that dies in between leaves it to the next.
    """

    def __init__(self) -> None:
        self.rows: list[DeliveryRow] = []
        self._refusals: dict[int, Outcome] = {}
        self._lock = threading.Lock()

    def put_off(self, operation: Operation, rows: Sequence[DeliveryRow], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Take over the rows that were suppressed, and give the outcomes that they have until they are out."""
        kept: list[Outcome] = []
        for row, outcome in zip(rows, outcomes, strict=True):
            was_in = operation is Operation.UPDATE or row.external_id is not None
            if outcome.status is not Status.SUPPRESSED or not was_in:
                kept.append(outcome)
                continue
            with self._lock:
                self.rows.append(row)
                self._refusals[row.number] = outcome
            kept.append(
                Outcome(status=Status.RETRY_LATER, code=NOT_TAKEN_OUT, reason=_REASON, external_id=row.external_id)
            )
        return kept

    def taken_out(self, rows: Sequence[DeliveryRow], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Why those were suppressed who are out now; of the others, what stood in the way."""
        return [
            self._refusals[row.number] if outcome.status in TAKEN else outcome
            for row, outcome in zip(rows, outcomes, strict=True)
        ]
