"""Tests of what becomes of single fields: the engine sends those that changed, and None for one to be cleared."""

from __future__ import annotations

from millstream.destinations.contract import FieldValue
from millstream.destinations.modes import Status
from millstream.destinations.testing.ground import AnyDestination, Ground, deliver, statuses, with_fields
from millstream.destinations.testing.stand_in import StandIn


class FieldTests(Ground):
    """Fields that are sent are changed, all others stay."""

    def test_a_field_that_is_not_sent_stays_as_it_is(self, destination: AnyDestination, stand_in: StandIn) -> None:
        if not self.sample_fields:
            return
        changed, *others = self.sample_fields
        members = self.new_members(destination)
        before = self.held(stand_in, members[0].match_value)
        for value in ("Earlier", "Later"):
            outcomes = deliver(destination, with_fields(members, {changed: value}))
            assert statuses(outcomes) == [Status.ACCEPTED] * 3
        after = self.held(stand_in, members[0].match_value)
        if before is not None and after is not None:
            assert after == {changed: "Later", **{name: before[name] for name in others}}

    def test_a_field_is_made_once_and_takes_values(self, destination: AnyDestination) -> None:
        if not destination.codes("create_field"):
            return
        known = list(self.sample_fields)
        for kind in ("text", "number", "boolean", "date", "timestamp"):
            name = self.new_field_name()
            assert destination.missing_fields([*known, name]) == [name]
            destination.create_field(name, kind)
            # Another process looks: what this one has read may be older than the field.
            another = type(destination)(destination.settings)
            assert another.missing_fields([*known, name]) == []
            value: FieldValue = self.values_of_kinds[kind]
            outcomes = deliver(another, with_fields(self.people(), {name: value}))
            assert statuses(outcomes) == [Status.ACCEPTED] * 3

    def test_a_missing_value_clears(self, destination: AnyDestination, stand_in: StandIn) -> None:
        members = self.new_members(destination)
        outcomes = deliver(destination, with_fields(members, dict.fromkeys(self.sample_fields)))
        assert statuses(outcomes) == [Status.ACCEPTED] * 3
        held = self.held(stand_in, members[0].match_value)
        assert held in (None, dict.fromkeys(self.sample_fields, ""))
