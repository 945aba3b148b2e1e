"""One batch's calls to the connector: fields first, then membership of those whose fields were taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from millstream.destinations.contract import NOT_THERE, DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.modes import TAKEN, Leaving, Operation, Status, SyncMode
from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.sync import Sync
from millstream.state.amounts import counted
from millstream.state.errors import FatalError, MillstreamError, RefusedError, RetryableError, UnknownOutcomeError

Call = Callable[[Sequence[DeliveryRow]], list[Outcome]]


class Performer:
    """Does operations of a sync at its destination.

    Args:
        destination: The connector.
        sync: What is kept in step.
        audience_id: The vendor's id of the audience; None for a sync that only keeps fields.
    """

    def __init__(self, destination: AnyDestination, sync: Sync, audience_id: str | None) -> None:
        self._destination = destination
        self._sync = sync
        self._audience = audience_id

    def perform(self, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """One outcome for each row, in order; raises what the session raises."""
        return self._one_after_the_other(self.steps(operation), rows)

    def enrols_apart(self, operation: Operation) -> bool:
        """Whether people go into the audience in batches of another size than their fields, or some time after them.

        Not where adding may not be repeated: a run that dies in between would add those again who are not enrolled yet.
        """
        destination = self._destination
        return (
            operation is Operation.ADD
            and self._audience is not None
            and operation in destination.idempotent
            and not destination.adds_at_once
            and not destination.audience_only
            and (destination.membership_batch_size != destination.batch_size or destination.enrolment_delay > 0)
        )

    def steps(self, operation: Operation) -> list[Call]:
        """What an operation takes, one call after the other."""
        if operation is Operation.REMOVE:
            return self._steps_out()
        if self._destination.audience_only:
            return [self.enrol]
        if operation is Operation.ADD and self._audience is not None:
            return [self.write_into] if self._destination.adds_at_once else [self.write, self.enrol]
        return [self.write]

    def _steps_out(self) -> list[Call]:
        """What it takes to be out: of the audience first, so that nothing is sent to someone half out."""
        leaving, destination = self._sync.leaving, self._destination
        steps: list[Call] = [] if self._audience is None else [self.leave_audience]
        if leaving is Leaving.CLEAR_FIELDS:
            steps.append(lambda rows: _gone_is_out(destination.update(rows, match_key=self._sync.match_key)))
        elif leaving is Leaving.ARCHIVE:
            steps.append(lambda rows: destination.archive(rows, match_key=self._sync.match_key))
        elif leaving is Leaving.DELETE:
            steps.append(lambda rows: destination.erase(rows, match_key=self._sync.match_key))
        if not steps:
            raise FatalError("A removal needs an audience.", where=f"sync to {destination.name}")
        return steps

    def leave_audience(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Take people out of the audience."""
        assert self._audience is not None
        audience = self._audience
        match_key = self._sync.match_key
        return self._in_pieces(
            rows, lambda piece: self._destination.remove_members(audience, piece, match_key=match_key)
        )

    def write(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Write fields, in the way of the sync's mode."""
        call = self._destination.update if self._sync.mode is SyncMode.UPDATE else self._destination.upsert
        return call(rows, match_key=self._sync.match_key)

    def enrol(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Put people into the audience."""
        assert self._audience is not None
        audience = self._audience
        match_key = self._sync.match_key
        return self._in_pieces(rows, lambda piece: self._destination.add_members(audience, piece, match_key=match_key))

    def replace(self, batches: Iterable[Sequence[DeliveryRow]], *, label: str) -> list[Outcome]:
        """Make these people the only members of the audience."""
        assert self._audience is not None
        return self._destination.replace_members(self._audience, batches, match_key=self._sync.match_key, label=label)

    def write_into(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Write fields and put people into the audience with the same request."""
        assert self._audience is not None
        return self._destination.upsert_into(self._audience, rows, match_key=self._sync.match_key)

    def _in_pieces(self, rows: Sequence[DeliveryRow], call: Call) -> list[Outcome]:
        """Membership calls, which may take fewer rows than a batch has."""
        size = self._destination.membership_batch_size
        pieces = (rows[start : start + size] for start in range(0, len(rows), size))
        return [outcome for piece in pieces for outcome in call(piece)]

    def _one_after_the_other(self, steps: Sequence[Call], rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Each step takes the rows that the one before it accepted; the last outcome of a row counts."""
        outcomes = checked(steps[0](rows), rows, self._destination)
        for step in steps[1:]:
            taken = [at for at, outcome in enumerate(outcomes) if outcome.status in TAKEN]
            if not taken:
                break
            known = [_with_id(rows[at], outcomes[at].external_id) for at in taken]
            for at, row, outcome in zip(taken, known, self._next(step, known), strict=True):
                known_id = outcome.external_id or row.external_id
                outcomes[at] = outcome if outcome.external_id == known_id else replace(outcome, external_id=known_id)
        return outcomes

    def _next(self, step: Call, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """A step after the first: what came before it is done, so only it is tried in halves, and no row is untouched.

        Raises:
            MillstreamError: What stops the sync.
        """
        try:
            return checked(step(rows), rows, self._destination)
        except RefusedError as error:
            if len(rows) == 1:
                return [rejected(str(error.status), error.what)]
            middle = len(rows) // 2
            return self._next(step, rows[:middle]) + self._next(step, rows[middle:])
        except (RetryableError, UnknownOutcomeError) as error:
            return [unanswered(Status.UNKNOWN, error)] * len(rows)


def checked(outcomes: list[Outcome], rows: Sequence[DeliveryRow], destination: AnyDestination) -> list[Outcome]:
    """The outcomes that a connector gave, if there is one for each row.

    Raises:
        FatalError: There is not.
    """
    if len(outcomes) != len(rows):
        raise FatalError(
            f"The connector gave {counted(len(outcomes), 'outcome')} for {counted(len(rows), 'row')}.",
            where=f"destination {destination.name}",
            remedy="the connector breaks the contract; report it to its author.",
        )
    return outcomes


def unanswered(status: Status, error: MillstreamError) -> Outcome:
    """The outcome of a row whose request ended with an error; ``unknown`` where something of it may have been done."""
    return Outcome(status=status, code=type(error).__name__, reason=error.what, fault="vendor")


def _with_id(row: DeliveryRow, external_id: str | None) -> DeliveryRow:
    if external_id is None or external_id == row.external_id:
        return row
    return DeliveryRow(number=row.number, match_value=row.match_value, fields=row.fields, external_id=external_id)


def _gone_is_out(outcomes: list[Outcome]) -> list[Outcome]:
    """Who is not there any more has no fields to clear."""
    return [accepted() if outcome.code in NOT_THERE else outcome for outcome in outcomes]
