"""What the tests of the contract suite share: facts and fixtures of one destination, and calls as of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from millstream.destinations.contract import DeliveryRow, Destination, FieldType, FieldValue, Outcome, rejected
from millstream.destinations.modes import TAKEN, Status
from millstream.destinations.testing.stand_in import StandIn
from millstream.state.errors import RefusedError

AnyDestination = Destination[Any]


def deliver(destination: AnyDestination, rows: Sequence[DeliveryRow], *, audience: str | None = None) -> list[Outcome]:
    """Write people as the engine does: a batch refused whole is halved until the bad row stands alone.

    Args:
        destination: The connector.
        rows: Who is written.
        audience: The audience of those who are in audiences only; some audience, where none is given.
    """
    try:
        return _written(destination, rows, audience)
    except RefusedError as error:
        if len(rows) == 1:
            return [rejected(str(error.status), error.what)]
        middle = len(rows) // 2
        halves = (rows[:middle], rows[middle:])
        return [outcome for half in halves for outcome in deliver(destination, half, audience=audience)]


def _written(destination: AnyDestination, rows: Sequence[DeliveryRow], audience: str | None) -> list[Outcome]:
    match_key = destination.match_keys[0]
    if not destination.audience_only:
        return destination.upsert(rows, match_key=match_key)
    return destination.add_members(audience or destination.ensure_audience("Contract"), rows, match_key=match_key)


def enlist(destination: AnyDestination, audience: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
    """Write people and put them into an audience, in the one or two calls of the engine."""
    match_key = destination.match_keys[0]
    if destination.adds_at_once:
        return destination.upsert_into(audience, rows, match_key=match_key)
    outcomes = deliver(destination, rows, audience=audience)
    if destination.audience_only:
        return outcomes
    assert set(statuses(outcomes)) == {Status.ACCEPTED}
    members = acknowledged(rows, outcomes)
    size = destination.membership_batch_size
    pieces = (members[start : start + size] for start in range(0, len(members), size))
    return [out for piece in pieces for out in destination.add_members(audience, piece, match_key=match_key)]


def statuses(outcomes: Sequence[Outcome]) -> list[Status]:
    """Statuses; what the vendor took and works off later counts as accepted."""
    return [Status.ACCEPTED if outcome.status in TAKEN else outcome.status for outcome in outcomes]


def acknowledged(rows: Sequence[DeliveryRow], outcomes: Sequence[Outcome]) -> list[DeliveryRow]:
    """The accepted rows with the vendor's ids, as the engine gives them to later calls."""
    return [
        DeliveryRow(number=row.number, match_value=row.match_value, fields=row.fields, external_id=outcome.external_id)
        for row, outcome, status in zip(rows, outcomes, statuses(outcomes), strict=True)
        if status is Status.ACCEPTED
    ]


def with_fields(rows: Sequence[DeliveryRow], fields: Mapping[str, FieldValue]) -> list[DeliveryRow]:
    """The same people with other fields."""
    return [
        DeliveryRow(number=row.number, match_value=row.match_value, fields=fields, external_id=row.external_id)
        for row in rows
    ]


class Ground:
    """Facts and fixtures of one destination; a subclass gives the fixtures that raise here.

    Attributes:
        bad_match_value: A match value that the vendor refuses.
        sample_fields: Fields that every account of the vendor takes; two texts, so that one can stay as it is.
        known_people: How many people of each standing the suite writes to.
        opted_out: Standings of people who may not be addressed, in lower case.
        archived: Standings of people who come back when they are written to, in lower case.
        says_how_long_to_wait: Whether the vendor's 429 carries ``Retry-After``.
        checks_credentials: Whether a wrong credential is refused; some vendors take everything, and say nothing.
        refuses_strangers: Whether nobody can become a member whom the vendor does not have.
        has_standings: Whether the vendor keeps what people consented to.
        values_of_kinds: A value of each kind of field, as the engine gives it to the connector.
    """

    bad_match_value: ClassVar[str] = "bad@@example"
    sample_fields: ClassVar[Mapping[str, FieldValue]] = {}
    known_people: ClassVar[int] = 3
    opted_out: ClassVar[frozenset[str]] = frozenset({"unsubscribed", "cleaned", "opted_out"})
    archived: ClassVar[frozenset[str]] = frozenset({"archived"})
    says_how_long_to_wait: ClassVar[bool] = True
    checks_credentials: ClassVar[bool] = True
    refuses_strangers: ClassVar[bool] = True
    has_standings: ClassVar[bool] = True
    values_of_kinds: ClassVar[Mapping[FieldType, FieldValue]] = {
        "text": "Zoë",
        "number": 12.5,
        "boolean": True,
        "date": "2026-11-01",
        "timestamp": "2026-11-01 10:00:00+00",
    }

    @pytest.fixture
    def destination(self) -> AnyDestination:
        """The connector against the stand-in, with a good credential."""
        raise NotImplementedError("give a fixture 'destination'")

    @pytest.fixture
    def impostor(self) -> AnyDestination:
        """The same with a wrong credential."""
        raise NotImplementedError("give a fixture 'impostor'")

    @pytest.fixture
    def stand_in(self) -> StandIn:
        """The control of the stand-in."""
        raise NotImplementedError("give a fixture 'stand_in'")

    @pytest.fixture
    def steered(self, stand_in: StandIn) -> Iterator[StandIn]:
        """The stand-in, which behaves again after the test."""
        yield stand_in
        stand_in.clear()

    @pytest.fixture
    def audience(self, destination: AnyDestination) -> str:
        """The id of an audience that only this test uses."""
        return destination.ensure_audience(f"Contract {uuid4().hex[:12]}")

    def new_match_value(self) -> str:
        """The match value of a person whom the vendor does not know."""
        return f"contract-{uuid4().hex[:12]}@box.example"

    def people(self, *match_values: str) -> list[DeliveryRow]:
        """Rows for these people, or for three new ones."""
        values = match_values or tuple(self.new_match_value() for _ in range(3))
        return [
            DeliveryRow(number=number, match_value=value, fields=self.sample_fields)
            for number, value in zip(count(1), values, strict=False)
        ]

    def new_members(self, destination: AnyDestination) -> list[DeliveryRow]:
        """Three new people whom the vendor has, with their ids."""
        rows = self.people()
        members = acknowledged(rows, deliver(destination, rows))
        assert len(members) == len(rows)
        return members

    def some_of_each_standing(self, stand_in: StandIn) -> list[DeliveryRow]:
        """Rows for people whom the vendor has, a few of each standing but the archived."""
        standings = {
            known: standing for known, standing in stand_in.standings().items() if standing.lower() not in self.archived
        }
        assert standings, "the stand-in has no people to try this on"
        chosen = [
            match_value
            for standing in sorted(set(standings.values()))
            for match_value in [known for known in standings if standings[known] == standing][: self.known_people]
        ]
        return self.people(*chosen)

    def members(self, destination: AnyDestination, stand_in: StandIn, audience: str) -> set[str] | None:
        """Match values of an audience's members; None where neither the stand-in nor the vendor can tell."""
        told = stand_in.members(audience)
        read = set(destination.read_back(audience)) if destination.can_read_back else told
        assert told is None or read == told, "what is read back is not what the stand-in holds"
        return read

    def new_field_name(self) -> str:
        """The name of a custom field that the account does not have."""
        return f"contract_{uuid4().hex[:8]}"

    def held(self, stand_in: StandIn, match_value: str) -> dict[str, str] | None:
        """The sample fields that the vendor has of a person, as text; None where the stand-in cannot tell."""
        fields = stand_in.fields()
        if fields is None:
            return None
        person = fields.get(match_value, {})
        return {name: "" if person.get(name) is None else str(person[name]) for name in self.sample_fields}
