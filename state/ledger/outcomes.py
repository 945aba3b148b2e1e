"""Outcomes of a batch's rows as the journal keeps them: by column, because nearly all are alike."""

from __future__ import annotations

import zlib
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import orjson

Detail = tuple[str | None, str | None, str | None]
"""Code, reason, and whose fault it is."""


@dataclass(slots=True)
class Outcomes:
    """What became of some rows of a plan.

    Attributes:
        numbers: The rows' numbers in the plan.
        statuses: One for each row.
        external_ids: The vendor's id of each, where it gave one.
        details: Of the rows that were not accepted, by their place here.
    """

    numbers: list[int] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    external_ids: list[str | None] = field(default_factory=list)
    details: dict[int, Detail] = field(default_factory=dict)

    @staticmethod
    def of_all(numbers: Sequence[int], status: str, detail: Detail) -> Outcomes:
        """The same outcome for every row."""
        rows = len(numbers)
        return Outcomes(list(numbers), [status] * rows, [None] * rows, dict.fromkeys(range(rows), detail))

    def without(self, places: Container[int]) -> Outcomes:
        """Those that stand at other places."""
        kept = [place for place in range(len(self.numbers)) if place not in places]
        return Outcomes(
            [self.numbers[place] for place in kept],
            [self.statuses[place] for place in kept],
            [self.external_ids[place] for place in kept],
            {new: self.details[old] for new, old in enumerate(kept) if old in self.details},
        )

    def packed(self) -> bytes:
        """As stored: each detail once, with the places it stands at."""
        places: dict[Detail, list[int]] = {}
        for place, detail in self.details.items():
            places.setdefault(detail, []).append(place)
        details = [[at, *detail] for detail, at in places.items()]
        return packed([self.numbers, self.statuses, self.external_ids, details])

    @staticmethod
    def unpacked(data: bytes) -> Outcomes:
        """As they were before they were stored."""
        numbers, statuses, external_ids, packed_details = unpacked(data)
        details: dict[int, Detail] = {}
        for places, code, reason, fault in packed_details:
            details.update(dict.fromkeys(places, (code, reason, fault)))
        return Outcomes(numbers, statuses, external_ids, details)


def packed(value: object) -> bytes:
    """JSON, compressed."""
    return zlib.compress(orjson.dumps(value), level=1)


def unpacked(data: bytes) -> list[list]:  # type: ignore[type-arg]
    """The lists that ``packed`` was given."""
    value = orjson.loads(zlib.decompress(data))
    assert isinstance(value, list)
    return value
