"""Tests of what a connector foretells: where nothing goes wrong, it makes as many requests as it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.modes import Leaving, Operation
from millstream.destinations.testing.ground import AnyDestination, Ground, acknowledged, deliver, with_fields

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
        rows = self.people(*(self.new_match_value() for _ in range(min(destination.batch_size + 1, _MOST_ROWS))))
        calls = destination.calls
        members: list[DeliveryRow] = []
        for batch in _pieces(rows, destination.batch_size):
            members += acknowledged(batch, deliver(destination, batch))
        for batch in _pieces(members if in_audience else [], destination.membership_batch_size):
            destination.add_members(audience, batch)
        foretold = destination.requests_for(Operation.ADD, len(rows), in_audience=in_audience)
        assert destination.calls - calls == foretold

    def test_requests_of_changes_are_foretold(self, destination: AnyDestination) -> None:
        changed = with_fields(self.new_members(destination), self.sample_fields)
        calls = destination.calls
        deliver(destination, changed)
        assert destination.calls - calls == destination.requests_for(Operation.UPDATE, 3, in_audience=True)

    @pytest.mark.parametrize("leaving", list(Leaving))
    def test_requests_of_removals_are_foretold(
        self, destination: AnyDestination, audience: str, leaving: Leaving
    ) -> None:
        if leaving not in destination.leavings:
            return
        members = self.new_members(destination)
        destination.add_members(audience, members)
        calls = destination.calls
        destination.remove_members(audience, members)
        self._leave(destination, leaving, with_fields(members, {}))
        foretold = destination.requests_for(Operation.REMOVE, 3, in_audience=True, leaving=leaving)
        assert destination.calls - calls == foretold

    def _leave(self, destination: AnyDestination, leaving: Leaving, rows: list[DeliveryRow]) -> None:
        if leaving is Leaving.CLEAR_FIELDS:
            cleared = with_fields(rows, dict.fromkeys(self.sample_fields))
            destination.update(cleared, match_key=destination.match_keys[0])
        elif leaving is Leaving.ARCHIVE:
            destination.archive(rows)
        elif leaving is Leaving.DELETE:
            destination.erase(rows)


def _pieces(rows: Sequence[DeliveryRow], size: int) -> Iterator[Sequence[DeliveryRow]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
