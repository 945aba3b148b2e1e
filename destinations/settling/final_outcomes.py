"""What became of a plan's rows in the end, as the journal's batches tell it."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

import pyarrow as pa

from millstream.destinations.modes import TAKEN, UNCERTAIN, Operation, Status
from millstream.state.ledger.journal import BatchEntry, Journal
from millstream.state.ledger.outcomes import Outcomes

_UNANSWERED = ("no_answer", "The run ended before the answer came.", "vendor")
_SECOND_HALVES = (Operation.ENROL, Operation.WITHDRAW)
_PIECE = 50_000
"""Rows whose outcomes are in Python's lists at a time."""

Verdict = tuple[str, str | None, str | None, str | None]
"""Status, code, reason, and whose fault it is."""

KeptOf = Callable[[BatchEntry], list[str | None]]
"""What is to be kept in place of an id of each row of a batch that got no answer."""

_ANSWERS = pa.schema([("number", pa.int32()), ("verdict", pa.int32()), ("given_id", pa.string())])

_AUDIT = pa.schema(
    [
        ("batch_id", pa.int64()),
        ("operation", pa.string()),
        ("rows", pa.int64()),
        ("job_id", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("accepted", pa.int64()),
    ]
)


@dataclass
class Sent:
    """What the journal has of a plan: the last outcome of each row that was sent, and its batches.

    Attributes:
        outcomes: Number of the row, place of its verdict, the vendor's id; None where no row has an outcome.
        verdicts: What became of rows; few, where nearly all are taken.
        batches: The audit.
        withdrawn: Numbers of rows that put somebody in, and whose people were taken out for all that.
    """

    outcomes: pa.Table | None
    verdicts: list[Verdict]
    batches: pa.Table
    withdrawn: list[int]

    def has(self, statuses: Container[str]) -> bool:
        """Whether a row has one of these."""
        return any(status in statuses for status, *_ in self.verdicts)


def final_outcomes(journal: Journal, plan_id: str, idempotent: frozenset[Operation], kept_of: KeptOf) -> Sent:
    """The last outcome of each row that was sent.

    A row that got no answer is unknown; where its operation may be sent again, it is tried again later instead. A row
    has several outcomes where its batch was refused whole, or where it went into the audience in another batch.
    """
    audit: list[dict[str, object]] = []
    withdrawn: list[int] = []
    latest = _Latest()
    answers = _Answers()
    for batch in journal.batches_of(plan_id, newest_first=True):
        outcomes = batch.outcomes
        if batch.operation in _SECOND_HALVES:
            outcomes = _known_of(outcomes)
        if batch.operation == Operation.WITHDRAW:
            answered = zip(outcomes.numbers, outcomes.statuses, strict=True) if outcomes else ()
            withdrawn += [number for number, status in answered if status == Status.SUPPRESSED]
        audit.append(_audit_row(batch))
        if outcomes is None:
            outcomes = Outcomes.of_all(batch.numbers, Status.UNKNOWN.value, _UNANSWERED)
            outcomes.external_ids = kept_of(batch)
        answers.add(latest.of(outcomes), again=Operation(batch.operation) in idempotent)
    return Sent(answers.table(), list(answers.verdicts), pa.Table.from_pylist(audit, _AUDIT), withdrawn)


class _Answers:
    """Outcomes of rows, each different one kept once."""

    def __init__(self) -> None:
        self.verdicts: dict[Verdict, int] = {}
        self._batches: list[pa.RecordBatch] = []
        self._clear()

    def _clear(self) -> None:
        self._numbers: list[int] = []
        self._places: list[int] = []
        self._ids: list[str | None] = []

    def add(self, outcomes: Outcomes, *, again: bool) -> None:
        """Take a batch's; what is unknown of it is tried again later, where it may be sent ``again``."""
        verdicts, nothing = self.verdicts, (None, None, None)
        called = {Status.UNKNOWN.value: Status.RETRY_LATER.value} if again else {}
        for place, status in enumerate(outcomes.statuses):
            verdict = (called.get(status, status), *outcomes.details.get(place, nothing))
            self._places.append(verdicts.setdefault(verdict, len(verdicts)))
        self._numbers += outcomes.numbers
        self._ids += outcomes.external_ids
        if len(self._numbers) >= _PIECE:
            self._pack()

    def _pack(self) -> None:
        self._batches.append(pa.record_batch([self._numbers, self._places, self._ids], _ANSWERS))
        self._clear()

    def table(self) -> pa.Table | None:
        """All of them; None where there are none."""
        if self._numbers:
            self._pack()
        return pa.Table.from_batches(self._batches) if self._batches else None


class _Latest:
    """Which rows have an outcome already, when their batches are read from the newest to the oldest."""

    def __init__(self) -> None:
        self._seen = bytearray()

    def of(self, outcomes: Outcomes) -> Outcomes:
        """Those of rows that had none so far; all of them have one from now on."""
        numbers = outcomes.numbers
        if not numbers:
            return outcomes
        seen = self._seen
        if len(seen) <= (last := max(numbers)):
            seen.extend(bytes(max(last + 1, 2 * len(seen)) - len(seen)))
        earlier = {place for place, number in enumerate(numbers) if seen[number]}
        for number in numbers:
            seen[number] = 1
        return outcomes.without(earlier) if earlier else outcomes


def _known_of(second: Outcomes | None) -> Outcomes:
    """What is known for sure of second halves; the others stay as they were: not enrolled, or not taken out."""
    if second is None:
        return Outcomes()
    unsure = {place for place, status in enumerate(second.statuses) if status in UNCERTAIN}
    return second.without(unsure) if unsure else second


def _audit_row(batch: BatchEntry) -> dict[str, object]:
    statuses = batch.outcomes.statuses if batch.outcomes else []
    return {
        "batch_id": batch.batch_id,
        "operation": batch.operation,
        "rows": len(batch.numbers),
        "job_id": batch.job_id,
        "started_at": batch.started_at,
        "finished_at": batch.finished_at,
        "accepted": sum(statuses.count(status) for status in TAKEN),
    }
