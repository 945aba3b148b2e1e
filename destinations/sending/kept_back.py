"""Rows of a plan that are not sent, judged right before their batch goes out.

Somebody may not be addressed any more; or who leaves is somebody who stays, under another match value.
"""

from __future__ import annotations

from collections.abc import Sequence

from millstream.destinations.contract import DeliveryRow, Outcome, suppressed
from millstream.destinations.modes import Operation, Status
from millstream.destinations.sending.plan_rows import AnyDestination, Batch
from millstream.destinations.sending.staying import Staying
from millstream.destinations.sending.withdrawals import Withdrawals

HELD_BACK = "held_back"
"""The code of a row that we did not send because the person may not be addressed."""

PUT_OFF = "put_off"
"""The code of a row that we did not send because it is not known whether somebody who stays is meant."""

_STAYS = "The vendor has somebody who stays under the same id: nothing was asked of it."
_UNDECIDED = (
    "The person comes under another match value, and it is not known yet under which id: put off to the next run."
)


class KeptBack:
    """Which rows are not sent, and their outcomes.

    Args:
        destination: The connector; it is told who stays.
        withdrawals: Tells who may not be addressed any more; None where nobody has to consent.
        staying: Tells which of those who leave the vendor does not tell from somebody who stays.
    """

    def __init__(self, destination: AnyDestination, withdrawals: Withdrawals | None, staying: Staying) -> None:
        self._destination = destination
        self._withdrawals = withdrawals
        self._staying = staying
        self._undecided: frozenset[int] = frozenset()

    def look_who_stays(self, unwanted: Sequence[DeliveryRow] = ()) -> bool:
        """Look before people are taken out; whether somebody stays under a name that leaves.

        Args:
            unwanted: Rows that put somebody in, and whose people are taken out for all that.

        Raises:
            MillstreamError: Nobody can tell.
        """
        self._destination.staying = self._staying.names(self._destination, unwanted)
        self._undecided = self._staying.undecided()
        return bool(self._destination.staying)

    def sort_out(self, batch: Batch) -> tuple[list[DeliveryRow], dict[int, Outcome]]:
        """Rows of a batch that may go out, and the outcomes of those that do not, by number.

        Raises:
            MillstreamError: Nobody can tell who may be addressed.
        """
        found = self._of_those_out(batch.rows) if batch.operation is Operation.REMOVE else self._withdrawn(batch.rows)
        rows = [row for row in batch.rows if row.number not in found] if found else batch.rows
        return rows, {**batch.misfits, **found}

    def _of_those_out(self, rows: list[DeliveryRow]) -> dict[int, Outcome]:
        stays = {row.number for row in rows if row.external_id in self._destination.staying}
        undecided = self._undecided.intersection(row.number for row in rows)
        return {
            **dict.fromkeys(undecided, Outcome(status=Status.RETRY_LATER, code=PUT_OFF, reason=_UNDECIDED)),
            **dict.fromkeys(stays, Outcome(status=Status.ACCEPTED, reason=_STAYS)),
        }

    def _withdrawn(self, rows: list[DeliveryRow]) -> dict[int, Outcome]:
        if self._withdrawals is None:
            return {}
        withdrawn = self._withdrawals.now()
        if not withdrawn:
            return {}
        return {row.number: suppressed(HELD_BACK, withdrawn[row.number]) for row in rows if row.number in withdrawn}
