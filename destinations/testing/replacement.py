"""Tests of audiences that are replaced as a whole."""

from __future__ import annotations

from uuid import uuid4

from millstream.destinations.modes import Status, SyncMode
from millstream.destinations.testing.ground import AnyDestination, Ground, statuses
from millstream.destinations.testing.stand_in import StandIn


class ReplacementTests(Ground):
    """The mode ``replace``: exactly those who were handed over are members."""

    def test_a_replacement_leaves_exactly_those_who_were_handed_over(
        self, destination: AnyDestination, stand_in: StandIn, audience: str
    ) -> None:
        if SyncMode.REPLACE not in destination.modes:
            return
        first, second = self.people(), self.people()
        second = [*second[:2], first[0]]
        for people in (first, second, second):
            outcomes = destination.replace_members(
                audience,
                iter([people[:2], people[2:]]),
                match_key=destination.match_keys[0],
                label=f"contract-{uuid4().hex[:12]}",
            )
            assert statuses(outcomes) == [Status.ACCEPTED] * 3
            assert self.members(destination, stand_in, audience) in (None, {row.match_value for row in people})
