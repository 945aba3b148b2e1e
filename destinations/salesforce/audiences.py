"""What a sync's audience can be in Salesforce, in one shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from millstream.destinations.contract import NOT_THERE, DeliveryRow, Member, Outcome, accepted
from millstream.destinations.salesforce.records import Records


class Audiences(ABC):
    """A kind of audience.

    Class attributes:
        at_once: Whether people are put in with the request that writes their fields.
        adding, removing: Requests to put in or take out a batch of people.
        adding_at_once: Requests to write and put in a batch of people, where that is one.

    Args:
        people: The records.
    """

    at_once: ClassVar[bool]
    adding: ClassVar[int]
    removing: ClassVar[int]
    adding_at_once: ClassVar[int] = 1

    def __init__(self, people: Records) -> None:
        self._people = people

    @abstractmethod
    def ensure(self, name: str) -> str:
        """The id of the audience with this name; made when missing."""

    @abstractmethod
    def add(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Put people in who are there."""

    @abstractmethod
    def remove(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Take people out; who is not there counts as out."""

    @abstractmethod
    def members(self, audience_id: str) -> Iterator[Member]:
        """Everybody who is in."""

    def upsert(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Write people and put them in, where that is one request."""
        raise NotImplementedError

    def column(self, audience_id: str) -> Mapping[str, bool]:
        """A value that puts everybody in who has it in a job; none where it depends on the person."""
        return {}


def gone_is_out(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Who is not there is in no audience."""
    return {key: accepted() if one.code in NOT_THERE else one for key, one in outcomes.items()}
