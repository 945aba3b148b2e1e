"""Tests of what can happen to people who left, beside being taken out of the audience."""

from __future__ import annotations

from millstream.destinations.modes import Leaving, Status, SyncMode
from millstream.destinations.testing.ground import (
    AnyDestination,
    Ground,
    acknowledged,
    deliver,
    statuses,
    with_fields,
)
from millstream.destinations.testing.stand_in import StandIn


class LeavingTests(Ground):
    """What a connector declares in ``leavings`` works, and unsubscribes or resubscribes nobody."""

    def test_leavings_have_their_methods(self, destination: AnyDestination) -> None:
        leavings = destination.leavings
        assert (Leaving.ARCHIVE in leavings) == destination.codes("archive")
        assert Leaving.CLEAR_FIELDS not in leavings or SyncMode.UPDATE in destination.modes
        assert Leaving.DELETE not in leavings or destination.codes("erase")
        assert set(destination.leaving_warnings) <= leavings
        assert Leaving.DELETE not in leavings or destination.leaving_warnings.get(Leaving.DELETE), (
            "say in leaving_warnings what cannot be undone"
        )

    def test_cleared_fields_are_empty(self, destination: AnyDestination, stand_in: StandIn) -> None:
        if Leaving.CLEAR_FIELDS not in destination.leavings:
            return
        members = self.new_members(destination)
        cleared = with_fields(members, dict.fromkeys(self.sample_fields))
        for _ in range(2):
            outcomes = destination.update(cleared, match_key=destination.match_keys[0])
            assert statuses(outcomes) == [Status.ACCEPTED] * 3
        held = self.held(stand_in, members[0].match_value)
        assert held in (None, dict.fromkeys(self.sample_fields, ""))

    def test_archiving_twice_is_harmless_and_who_is_sent_again_comes_back(
        self, destination: AnyDestination, stand_in: StandIn
    ) -> None:
        if Leaving.ARCHIVE not in destination.leavings:
            return
        members = self.new_members(destination)
        strangers = self.people()
        for leavers in (members, members, strangers):
            outcomes = destination.archive(with_fields(leavers, {}), match_key=destination.match_keys[0])
            assert statuses(outcomes) == [Status.ACCEPTED] * 3
        standings = stand_in.standings()
        assert {standings.get(row.match_value, "").lower() for row in members}.isdisjoint(self.opted_out)
        assert not {row.match_value for row in strangers} & set(standings)
        again = deliver(destination, self.people(*(row.match_value for row in members)))
        assert statuses(again) == [Status.ACCEPTED] * 3

    def test_who_opted_out_does_not_come_back_through_the_archive(
        self, destination: AnyDestination, stand_in: StandIn
    ) -> None:
        if Leaving.ARCHIVE not in destination.leavings:
            return
        before = stand_in.standings()
        opted_out = [known for known, standing in before.items() if standing.lower() in self.opted_out]
        assert opted_out, "the stand-in has nobody who opted out"
        rows = self.people(*opted_out[: self.known_people])
        destination.archive(with_fields(rows, {}), match_key=destination.match_keys[0])
        deliver(destination, rows)
        after = stand_in.standings()
        assert {row.match_value: after.get(row.match_value) for row in rows} == {
            row.match_value: before[row.match_value] for row in rows
        }

    def test_erasing_twice_is_harmless(self, destination: AnyDestination, stand_in: StandIn) -> None:
        if not destination.codes("erase"):
            return
        rows = self.people()
        members = acknowledged(rows, deliver(destination, rows))
        for _ in range(2):
            outcomes = destination.erase(members, match_key=destination.match_keys[0])
            assert statuses(outcomes) == [Status.ACCEPTED] * 3
        if self.has_standings:
            assert not {row.match_value for row in rows} & set(stand_in.standings())
