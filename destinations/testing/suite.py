"""The tests of the contract suite."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

import pytest
from pydantic import SecretStr

from millstream.destinations.contract import DeliveryRow, DestinationSettings, FieldValue
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.destinations.testing.fields import FieldTests
from millstream.destinations.testing.forecasts import ForecastTests
from millstream.destinations.testing.ground import AnyDestination, acknowledged, deliver, enlist, statuses
from millstream.destinations.testing.jobs import JobTests
from millstream.destinations.testing.leaving import LeavingTests
from millstream.destinations.testing.replacement import ReplacementTests
from millstream.destinations.testing.stand_in import StandIn
from millstream.state.errors import AuthenticationError, MillstreamError, UnknownOutcomeError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SECRET_NAME = re.compile(r"(^|_)(key|token|secret|password)$")
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+\.\w+")


class DestinationContract(FieldTests, LeavingTests, JobTests, ReplacementTests, ForecastTests):
    """Tests of one destination; a subclass gives its facts and fixtures, see ``Ground``."""

    # What is declared

    def test_it_is_named_for_the_project_file_and_for_people(self, destination: AnyDestination) -> None:
        assert _NAME.fullmatch(destination.name)
        assert destination.title
        assert destination.api_version
        assert destination.docs_url.startswith("https://")

    def test_settings_are_described_and_secrets_are_kept(self, destination: AnyDestination) -> None:
        assert issubclass(destination.Settings, DestinationSettings)
        fields = destination.Settings.model_fields
        assert [name for name, field in fields.items() if not field.description] == []
        secrets = [name for name in fields if _SECRET_NAME.search(name)]
        assert [name for name in secrets if "SecretStr" not in repr(fields[name].annotation)] == []
        assert _secret_values(destination.settings), "no credential among the settings"

    def test_limits_and_sizes_are_possible(self, destination: AnyDestination) -> None:
        assert min(destination.batch_size, destination.membership_batch_size) >= 1
        limit = destination.rate_limit
        assert min(limit.requests, limit.concurrency) >= 1
        assert limit.seconds > 0

    def test_modes_have_their_methods(self, destination: AnyDestination) -> None:
        assert destination.modes
        assert destination.modes <= set(SyncMode)
        assert (SyncMode.UPDATE in destination.modes) == destination.codes("update")
        assert (SyncMode.REPLACE in destination.modes) == destination.codes("replace_members")
        assert destination.audience_only != destination.codes("upsert")
        assert not (destination.audience_only and destination.modes & {SyncMode.UPSERT, SyncMode.UPDATE})

    def test_fields_and_match_keys_are_named_once(self, destination: AnyDestination) -> None:
        names = [field.name for field in destination.fields]
        assert len(names) == len(set(names))
        assert destination.match_keys
        assert len(destination.match_keys) == len(set(destination.match_keys))
        assert destination.custom_fields or set(self.sample_fields) <= set(names)

    # Outcomes

    def test_the_probe_passes(self, destination: AnyDestination) -> None:
        destination.probe()
        assert destination.calls >= 1

    def test_each_row_gets_its_outcome_in_order(self, destination: AnyDestination) -> None:
        rows = self.people()
        first = deliver(destination, rows)
        assert statuses(first) == [Status.ACCEPTED] * 3
        again = deliver(destination, rows[::-1])
        assert [outcome.external_id for outcome in again] == [outcome.external_id for outcome in first[::-1]]

    def test_a_person_who_comes_twice_in_a_batch_is_one_person(self, destination: AnyDestination) -> None:
        ana, ben = self.new_match_value(), self.new_match_value()
        outcomes = deliver(destination, self.people(ana, ben, ana))
        assert statuses(outcomes) == [Status.ACCEPTED] * 3
        assert outcomes[0] == outcomes[2]

    def test_a_bad_row_stands_alone(self, destination: AnyDestination) -> None:
        good = [self.new_match_value() for _ in range(4)]
        outcomes = deliver(destination, self.people(*good[:2], self.bad_match_value, *good[2:]))
        assert statuses(outcomes) == [
            *[Status.ACCEPTED] * 2,
            Status.REJECTED,
            *[Status.ACCEPTED] * 2,
        ]
        assert outcomes[2].code
        assert outcomes[2].reason
        assert not _EMAIL.search(outcomes[2].reason)
        assert self.bad_match_value not in outcomes[2].reason

    def test_values_of_every_type_are_written(self, destination: AnyDestination) -> None:
        values: tuple[FieldValue, ...] = ("Zoë \U0001f30a", True, 12, 0.1, 1e21)
        rows = [
            DeliveryRow(
                number=number,
                match_value=self.new_match_value(),
                fields=dict.fromkeys(self.sample_fields, value),
            )
            for number, value in enumerate(values)
        ]
        assert set(statuses(deliver(destination, rows))) == {Status.ACCEPTED}

    def test_update_creates_nobody(self, destination: AnyDestination, stand_in: StandIn) -> None:
        if SyncMode.UPDATE not in destination.modes:
            return
        ana, ben = self.new_match_value(), self.new_match_value()
        deliver(destination, self.people(ana))
        outcomes = destination.update(self.people(ana, ben), match_key=destination.match_keys[0])
        assert statuses(outcomes) == [Status.ACCEPTED, Status.REJECTED]
        assert ben not in stand_in.standings()

    # Membership

    def test_an_audience_is_made_once(self, destination: AnyDestination) -> None:
        name = f"Contract {uuid4().hex[:8]} 50 % / Ärger?"
        assert destination.ensure_audience(name) == destination.ensure_audience(name)

    def test_adding_and_removing_twice_is_harmless(
        self, destination: AnyDestination, stand_in: StandIn, audience: str
    ) -> None:
        rows = self.people()
        for _ in range(2):
            outcomes = enlist(destination, audience, rows)
            assert statuses(outcomes) == [Status.ACCEPTED] * 3
        rows = acknowledged(rows, outcomes)
        assert self.members(destination, stand_in, audience) in (None, {row.match_value for row in rows})
        for _ in range(2):
            outcomes = destination.remove_members(audience, rows[:2], match_key=destination.match_keys[0])
            assert statuses(outcomes) == [Status.ACCEPTED] * 2
        assert self.members(destination, stand_in, audience) in (None, {rows[2].match_value})

    def test_a_person_is_removed_by_what_was_acknowledged(
        self, destination: AnyDestination, stand_in: StandIn, audience: str
    ) -> None:
        rows = self.people()
        members = acknowledged(rows, enlist(destination, audience, rows))
        leavers = [
            DeliveryRow(number=90 + row.number, match_value=row.match_value, fields={}, external_id=row.external_id)
            for row in members
        ]
        outcomes = destination.remove_members(audience, leavers, match_key=destination.match_keys[0])
        assert statuses(outcomes) == [Status.ACCEPTED] * 3
        assert self.members(destination, stand_in, audience) in (None, set())

    def test_strangers_are_rejected_on_the_way_in_and_out_already(
        self, destination: AnyDestination, audience: str
    ) -> None:
        strangers = self.people()
        if self.refuses_strangers:
            outcomes = destination.add_members(audience, strangers, match_key=destination.match_keys[0])
            assert statuses(outcomes) == [Status.REJECTED] * 3
        outcomes = destination.remove_members(audience, strangers, match_key=destination.match_keys[0])
        assert statuses(outcomes) == [Status.ACCEPTED] * 3

    def test_nobody_is_unsubscribed_or_resubscribed(
        self, destination: AnyDestination, stand_in: StandIn, audience: str
    ) -> None:
        if not self.has_standings:
            return
        before = stand_in.standings()
        rows = self.some_of_each_standing(stand_in)
        match_key = destination.match_keys[0]
        if destination.adds_at_once:
            destination.upsert_into(audience, rows, match_key=match_key)
        members = acknowledged(rows, deliver(destination, rows, audience=audience))
        if members:
            destination.add_members(audience, members, match_key=match_key)
            destination.remove_members(audience, members, match_key=match_key)
        after = stand_in.standings()
        assert {known: after.get(known) for known in before} == dict(before)

    # When things go wrong

    def test_a_throttle_is_honoured(self, destination: AnyDestination, steered: StandIn) -> None:
        destination.probe()
        calls = destination.calls
        steered.throttle(times=1, seconds=1)
        began = time.monotonic()
        assert set(statuses(deliver(destination, self.people()))) == {Status.ACCEPTED}
        assert destination.calls - calls >= 2
        assert time.monotonic() - began >= (1.0 if self.says_how_long_to_wait else 0.0)

    def test_a_lost_answer_is_repeated_only_where_that_is_harmless(
        self, destination: AnyDestination, steered: StandIn
    ) -> None:
        destination.probe()
        deliver(destination, self.people())
        calls = destination.calls
        steered.lose_answers(times=1)
        if Operation.ADD in destination.idempotent:
            assert set(statuses(deliver(destination, self.people()))) == {Status.ACCEPTED}
            assert destination.calls - calls >= 2
            return
        try:
            outcomes = deliver(destination, self.people())
        except UnknownOutcomeError:
            return
        assert {outcome.status for outcome in outcomes} == {Status.UNKNOWN}

    @pytest.mark.parametrize("operation", ["probe", "ensure_audience", "upsert"])
    def test_a_wrong_credential_stops_at_once(self, impostor: AnyDestination, operation: str) -> None:
        if not self.checks_credentials:
            return
        calls: Mapping[str, Callable[[], object]] = {
            "probe": impostor.probe,
            "ensure_audience": lambda: impostor.ensure_audience("Contract"),
            "upsert": lambda: deliver(impostor, self.people(), audience="1"),
        }
        with pytest.raises(AuthenticationError) as raised:
            calls[operation]()
        assert impostor.calls <= 3
        assert raised.value.remedy
        self.assert_discreet(raised.value, impostor)

    def assert_discreet(self, error: MillstreamError, destination: AnyDestination) -> None:
        """No secret and no e-mail address in what an error says."""
        text = f"{error} {error!r}"
        assert not _EMAIL.search(text)
        assert not [secret for secret in _secret_values(destination.settings) if secret in text]


def _secret_values(settings: DestinationSettings) -> list[str]:
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
