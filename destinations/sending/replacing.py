"""Replacements: everybody is handed over at once, and whoever is not among them is out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.modes import Operation, Status
from millstream.destinations.sending.performing import Performer, unanswered
from millstream.destinations.sending.plan_rows import Batch, PlanRows
from millstream.destinations.sending.reasons import name_nobody, without_people
from millstream.state.amounts import counted
from millstream.state.errors import FatalError, MillstreamError, RefusedError, RetryableError

KeepBack = Callable[[Batch], tuple[list[DeliveryRow], dict[int, Outcome]]]
"""Gives the rows of a batch that may go out, and the outcomes of those that do not."""


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """What became of a replacement.

    Attributes:
        numbers: Rows of everybody who is wanted.
        outcomes: Theirs, in the same order.
        of_those_out: The outcome of those who are not wanted any more.
        error: What stops the sync.
    """

    numbers: list[int]
    outcomes: list[Outcome]
    of_those_out: Outcome
    error: MillstreamError | None = None


@dataclass
class Everybody:
    """All rows of a plan that are to be members.

    Attributes:
        rows: The plan.
        keep_back: Judges each batch right before it goes out.
    """

    rows: PlanRows
    keep_back: KeepBack
    _kept_back: dict[int, Outcome] = field(default_factory=dict)
    _sent: list[int] = field(default_factory=list)

    def hand_over(self, performer: Performer, *, label: str) -> Replaced:
        """Replace the audience; errors come back as outcomes."""
        try:
            outcomes = performer.replace(self._batches(), label=label)
        except MillstreamError as error:
            for batch in self.rows.batches():
                name_nobody(error, batch.rows)
            return self._answered_with(error)
        if len(outcomes) != len(self._sent):
            given, wanted = counted(len(outcomes), "outcome"), counted(len(self._sent), "row")
            raise FatalError(f"The connector gave {given} for {wanted}.")
        return self._result(self._without_people(outcomes), accepted())

    def _answered_with(self, error: MillstreamError) -> Replaced:
        if isinstance(error, RefusedError):
            return self._failed(rejected(str(error.status), error.what))
        if isinstance(error, RetryableError):
            return self._failed(unanswered(Status.RETRY_LATER, error))
        return self._failed(unanswered(Status.UNKNOWN, error), error)

    def _without_people(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes, whose reasons name nobody; the rows are read again only where there are reasons."""
        told = {number: outcome for number, outcome in zip(self._sent, outcomes, strict=True) if outcome.reason}
        if not told:
            return outcomes
        for batch in self.rows.batches():
            rows = [row for row in batch.rows if row.number in told]
            told.update(
                zip([row.number for row in rows], without_people([told[row.number] for row in rows], rows), strict=True)
            )
        return [told.get(number, outcome) for number, outcome in zip(self._sent, outcomes, strict=True)]

    def _batches(self) -> Iterator[Sequence[DeliveryRow]]:
        for batch in self.rows.batches():
            if batch.operation is Operation.REMOVE:
                continue
            rows, kept_back = self.keep_back(batch)
            self._kept_back |= kept_back
            self._sent += [row.number for row in rows]
            if rows:
                yield rows

    def _failed(self, outcome: Outcome, error: MillstreamError | None = None) -> Replaced:
        self._sent = [number for number in self.rows.numbers(out=False) if number not in self._kept_back]
        return self._result([outcome] * len(self._sent), outcome, error)

    def _result(self, outcomes: list[Outcome], of_those_out: Outcome, error: MillstreamError | None = None) -> Replaced:
        return Replaced(
            numbers=[*self._sent, *self._kept_back],
            outcomes=[*outcomes, *self._kept_back.values()],
            of_those_out=of_those_out,
            error=error,
        )
