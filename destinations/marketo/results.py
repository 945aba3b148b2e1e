"""What became of the rows of an import, and the ordinary way for those of whom its files do not tell enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.marketo.imports import Import, Imports, has_failed, key_of, value_in_file
from millstream.destinations.marketo.leads import MOST_LEADS
from millstream.destinations.modes import Status
from millstream.destinations.rows import masked
from millstream.state.errors import RefusedError


class Ordinary(Protocol):
    """The calls that write people without a job."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create people or change them."""

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change people who are there."""

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put people into a list."""

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of a list."""


class ImportResults:
    """Outcomes of one import that is done.

    Args:
        ordinary: Writes people without a job.
        imports: The instance's imports.
        job: Which one.
        key_field: The lead field of its match key.
    """

    def __init__(self, ordinary: Ordinary, imports: Imports, job: Import, key_field: str) -> None:
        self._ordinary = ordinary
        self._imports = imports
        self._job = job
        self._key_field = key_field

    def outcomes(self, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes by key of rows with different keys."""
        told = self._told([row for row in rows if self._job.holds(row, self._key_field)])
        rest = [row for row in rows if row.key not in told]
        return told | self._write(rest)

    def _told(self, held: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes of the file's rows, but of those whom its answers leave in doubt."""
        job = self._job
        if job.batch is None or job.lookup is None:
            return {}
        status = self._imports.status(job.batch)
        if has_failed(status):
            return {}
        failed, warned = int(status.get("numOfRowsFailed") or 0), int(status.get("numOfRowsWithWarning") or 0)
        failures = self._imports.reasons(job.batch, "failures", job.lookup) if failed else {}
        doubtful = set(self._imports.reasons(job.batch, "warnings", job.lookup) if warned else {})
        if len(failures) < failed or len(doubtful) < warned:
            # Some cannot be told from those that were taken: all are asked about once more.
            doubtful = {key_of(value_in_file(job, row)) for row in held}
        if job.lookup == "id":
            # Merged or deleted meanwhile, it may be: they may still be found by the key.
            doubtful |= set(failures)
        outcomes: dict[str, Outcome] = {}
        for row in held:
            key = key_of(value_in_file(job, row))
            if key in failures and key not in doubtful:
                outcomes[row.key] = rejected("import_failed", masked(failures[key], row.match_value))
            elif key not in doubtful:
                outcomes[row.key] = accepted(row.external_id)
        return outcomes

    def _write(self, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """The ordinary way, with the membership of an addition."""
        job = self._job
        write = self._ordinary.upsert if job.creates else self._ordinary.update
        outcomes = _in_pieces(rows, lambda piece: write(piece, match_key=job.match_key))
        if job.list_id is None:
            return outcomes
        list_id = job.list_id
        taken = [
            DeliveryRow(
                number=row.number,
                match_value=row.match_value,
                fields={},
                external_id=outcomes[row.key].external_id or row.external_id,
            )
            for row in rows
            if outcomes[row.key].status is Status.ACCEPTED
        ]
        ids = {row.key: row.external_id for row in taken}
        joined = _in_pieces(taken, lambda piece: self._ordinary.add_members(list_id, piece, match_key=job.match_key))
        outcomes |= {key: replace(outcome, external_id=ids[key]) for key, outcome in joined.items()}
        # The file put people into the list whom it only warned of.
        stray = [row for row in rows if job.holds(row, self._key_field) and outcomes[row.key].status is Status.REJECTED]
        _in_pieces(stray, lambda piece: self._ordinary.remove_members(list_id, piece, match_key=job.match_key))
        return outcomes


def _in_pieces(
    rows: Sequence[DeliveryRow], call: Callable[[Sequence[DeliveryRow]], list[Outcome]]
) -> dict[str, Outcome]:
    """Outcomes of rows that are handed over in batches; one that is refused whole is halved."""
    outcomes: dict[str, Outcome] = {}
    for start in range(0, len(rows), MOST_LEADS):
        outcomes |= _in_halves(rows[start : start + MOST_LEADS], call)
    return outcomes


def _in_halves(
    rows: Sequence[DeliveryRow], call: Callable[[Sequence[DeliveryRow]], list[Outcome]]
) -> dict[str, Outcome]:
    try:
        return dict(zip((row.key for row in rows), call(rows), strict=True))
    except RefusedError as error:
        if len(rows) == 1:
            return {rows[0].key: rejected(str(error.status), error.what)}
        middle = len(rows) // 2
        return _in_halves(rows[:middle], call) | _in_halves(rows[middle:], call)
