"""Tests of what a connector foretells: where nothing goes wrong, it makes as many requests as it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.modes import Leaving, Operation
from millstream.destinations.testing.ground import (
    AnyDestination,
    Ground,
    acknowledged,
    deliver,
    enlist,
    with_fields,
)

_MOST_ROWS = 101
"""One more than the batch of many vendors, and few enough to be quick."""


class ForecastTests(Ground):
    """``requests_for`` is what plans and benchmarks reckon with."""

    @pytest.mark.parametrize("in_audience", [False, True], ids=["fields only", "with an audience"])
    def test_requests_of_additions_are_foretold(
        self, destination: AnyDestination, audience: str, in_audience: bool
    ) -> None:
        if Operation.ADD not in destination.idempotent:
            return
        self.new_members(destination)
        if destination.audience_only and not in_audience:
            return
        rows = self._few_enough(destination, Operation.ADD)
        calls = destination.calls
        members: list[DeliveryRow] = []
        match_key = destination.match_keys[0]
        together = in_audience and destination.adds_at_once
        for batch in _pieces(rows, destination.batch_size):
            if together:
                destination.upsert_into(audience, batch, match_key=match_key)
            else:
                members += acknowledged(batch, deliver(destination, batch, audience=audience))
        apart = in_audience and not together and not destination.audience_only
        for batch in _pieces(members if apart else [], destination.membership_batch_size):
            destination.add_members(audience, batch, match_key=match_key)
        foretold = destination.requests_for(Operation.ADD, len(rows), in_audience=in_audience)
        assert destination.calls - calls == foretold

    def test_requests_of_changes_are_foretold(self, destination: AnyDestination, audience: str) -> None:
        members = self.new_members(destination)
        changed = with_fields(self._few_enough(destination, Operation.UPDATE, members), self.sample_fields)
        calls = destination.calls
        deliver(destination, changed, audience=audience)
        foretold = destination.requests_for(Operation.UPDATE, len(changed), in_audience=True)
        assert destination.calls - calls == foretold

    def _few_enough(
        self, destination: AnyDestination, operation: Operation, rows: list[DeliveryRow] | None = None
    ) -> list[DeliveryRow]:
        """One row more than a batch takes, or these rows; fewer than go as a job."""
        if rows is None:
            rows = self.people(*(self.new_match_value() for _ in range(min(destination.batch_size + 1, _MOST_ROWS))))
        return rows[: destination.job_from - 1] if operation in destination.jobs else rows

    @pytest.mark.parametrize("leaving", list(Leaving))
    def test_requests_of_removals_are_foretold(
        self, destination: AnyDestination, audience: str, leaving: Leaving
    ) -> None:
        if leaving not in destination.leavings:
            return
        rows = self.people()
        members = acknowledged(rows, enlist(destination, audience, rows))
        calls = destination.calls
        destination.remove_members(audience, members, match_key=destination.match_keys[0])
        self._leave(destination, leaving, with_fields(members, {}))
        foretold = destination.requests_for(Operation.REMOVE, 3, in_audience=True, leaving=leaving)
        assert destination.calls - calls == foretold

    def _leave(self, destination: AnyDestination, leaving: Leaving, rows: list[DeliveryRow]) -> None:
        if leaving is Leaving.CLEAR_FIELDS:
            cleared = with_fields(rows, dict.fromkeys(self.sample_fields))
            destination.update(cleared, match_key=destination.match_keys[0])
        elif leaving is Leaving.ARCHIVE:
            destination.archive(rows, match_key=destination.match_keys[0])
        elif leaving is Leaving.DELETE:
            destination.erase(rows, match_key=destination.match_keys[0])


def _pieces(rows: Sequence[DeliveryRow], size: int) -> Iterator[Sequence[DeliveryRow]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
