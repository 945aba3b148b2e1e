"""Records of the portal by object type: which ids there are, when each changed, and what is in one.

A table keeps three arrays (ids in ascending order, creation and modification times) so that pages and searches
over a million records never build more records than they return.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts, names
from millstream.sandbox.draws import bases_of, draw, mix

if TYPE_CHECKING:
    from millstream.sandbox.company import Company

Ints = NDArray[np.int64]
Arrays = tuple[Ints, Ints, Ints]
Properties = dict[str, str | None]
_NOTHING: Ints = np.empty(0, dtype=np.int64)

FIRST_COMPANY_ID = 5_000_000_001
PEOPLE_PER_COMPANY = 9
INDUSTRIES = ("RETAIL", "COMPUTER_SOFTWARE", "CONSTRUCTION", "HOSPITALITY", "EDUCATION_MANAGEMENT")


@dataclass(slots=True)
class Record:
    """One CRM record with all of its properties."""

    record_id: int
    properties: Properties
    created_ms: int
    modified_ms: int
    archived_ms: int | None = None


def iso(milliseconds: int) -> str:
    """A moment as the API writes it."""
    text = datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()
    return f"{text[:19]}.{milliseconds % 1000:03d}Z"


class Table:
    """All records of one object type."""

    def __init__(
        self,
        name: str,
        singular: str,
        type_id: str,
        modified_property: str,
        default_properties: tuple[str, ...],
    ) -> None:
        self.name = name
        self.singular = singular
        self.type_id = type_id
        self.modified_property = modified_property
        self.default_properties = default_properties
        self._arrays: Arrays | None = None

    @property
    def arrays(self) -> Arrays:
        """Ids (ascending), creation times and modification times of the records there were at the start."""
        if self._arrays is None:
            self._arrays = self.load()
        return self._arrays

    def load(self) -> Arrays:
        """Make the arrays."""
        raise NotImplementedError

    def read(self, record_id: int) -> Record | None:
        """One record, archived ones too, or None."""
        raise NotImplementedError

    def is_live(self, record_id: int) -> bool:
        """Whether a record that exists is neither archived nor erased."""
        del record_id
        return True

    def later_ids(self) -> list[int]:
        """Ids of records made through the API, ascending, all above the others."""
        return []

    def later_arrays(self) -> Arrays:
        """The same three arrays for the records made through the API."""
        return _NOTHING, _NOTHING, _NOTHING

    def ids_after(self, after: int) -> Iterator[int]:
        """Ids of the records above `after`, ascending, that ordinary reads show."""
        ids = self.arrays[0]
        start = int(np.searchsorted(ids, after, side="right"))
        for at in range(start, len(ids), 1000):
            yield from filter(self.is_live, ids[at : at + 1000].tolist())
        later = self.later_ids()
        yield from filter(self.is_live, later[bisect_right(later, after) :])

    def gone_ids(self) -> Iterable[int]:
        """Ids of records that were archived or erased."""
        return ()

    def archived_ids(self) -> list[int]:
        """Ids of archived records, ascending."""
        return []


def company_name(number: int) -> str:
    """Name of a made-up firm."""
    return f"{names.LAST_NAMES[number % len(names.LAST_NAMES)]} & {names.FIRST_NAMES[number // 7 % 60]} {number + 1}"


class Companies(Table):
    """Firms: one for every nine people, so that it has about eight contacts."""

    def __init__(self, company: Company) -> None:
        defaults = ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name")
        super().__init__("companies", "company", "0-2", "hs_lastmodifieddate", defaults)
        self._company = company

    @property
    def count(self) -> int:
        """How many firms there are."""
        return -(-self._company.population // PEOPLE_PER_COMPANY)

    @property
    def arrays(self) -> Arrays:
        """As in every table, but made anew when the company has grown."""
        if self._arrays is not None and len(self._arrays[0]) != self.count:
            self._arrays = None
        return super().arrays

    def load(self) -> Arrays:
        """All firms, with times from the same arithmetic as a single one."""
        numbers = np.arange(self.count, dtype=np.uint64)
        created = np.uint64(self._company.today_ms) - self._age(mix(numbers + np.uint64(self._company.key >> 1)))
        return (
            (numbers + np.uint64(FIRST_COMPANY_ID)).astype(np.int64),
            created.astype(np.int64),
            (created + np.uint64(facts.DAY_MS // 2)).astype(np.int64),
        )

    @staticmethod
    def _age(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return bits % np.uint64(facts.HISTORY_MS) + np.uint64(facts.DAY_MS)

    def read(self, record_id: int) -> Record | None:
        """One firm."""
        number = record_id - FIRST_COMPANY_ID
        if not 0 <= number < self.count:
            return None
        _, created, modified = self.arrays
        country = names.COUNTRIES[number % len(names.COUNTRIES)]
        properties: Properties = {
            "name": company_name(number),
            "domain": f"firm-{number + 1}.example.com",
            "city": country.cities[number % len(country.cities)][0],
            "country": country.title,
            "industry": INDUSTRIES[number % len(INDUSTRIES)],
            "createdate": iso(int(created[number])),
            "hs_lastmodifieddate": iso(int(modified[number])),
            "hs_object_id": str(record_id),
        }
        return Record(record_id, properties, int(created[number]), int(modified[number]))

    def people(self, record_id: int) -> range:
        """Indexes of the people who belong to a firm."""
        first = (record_id - FIRST_COMPANY_ID) * PEOPLE_PER_COMPANY
        return range(first, min(first + PEOPLE_PER_COMPANY, self._company.population))


class Deals(Table):
    """The people's deals."""

    def __init__(self, company: Company) -> None:
        defaults = (
            "amount",
            "closedate",
            "createdate",
            "dealname",
            "dealstage",
            "hs_lastmodifieddate",
            "hs_object_id",
            "pipeline",
        )
        super().__init__("deals", "deal", "0-3", "hs_lastmodifieddate", defaults)
        self._company = company

    def load(self) -> Arrays:
        """All deals in order of id, which is the order of people and then of deals."""
        company = self._company
        counts = company.columns.deal_count[: company.people]
        bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
        signup = facts.signup_age(draw(bases, facts.CREATED))
        parts = []
        for number in range(facts.DEALS_PER_PERSON):
            who = np.flatnonzero(counts > number)
            bits = draw(bases[who], facts.DEAL[number])
            age = facts.deal_created_age(bits, signup[who])
            ids = who * facts.DEALS_PER_PERSON + (facts.FIRST_DEAL_ID + number)
            modified = company.today_ms - facts.deal_modified_age(bits, age).astype(np.int64)
            parts.append((ids, company.today_ms - age.astype(np.int64), modified))
        ids, created, modified = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(ids)
        return ids[order], created[order], modified[order]

    def read(self, record_id: int) -> Record | None:
        """One deal."""
        index, number = divmod(record_id - facts.FIRST_DEAL_ID, facts.DEALS_PER_PERSON)
        if not 0 <= index < self._company.people:
            return None
        deals = self._company.deals(index)
        if number >= len(deals):
            return None
        deal = deals[number]
        properties: Properties = {
            "dealname": deal.name,
            "amount": deal.amount,
            "dealstage": deal.stage,
            "pipeline": "default",
            "closedate": None if deal.close_ms is None else iso(deal.close_ms),
            "deal_currency_code": "EUR",
            "hs_is_closed_won": "true" if deal.stage == "closedwon" else "false",
            "createdate": iso(deal.created_ms),
            "hs_lastmodifieddate": iso(deal.modified_ms),
            "hs_object_id": str(record_id),
        }
        return Record(record_id, properties, deal.created_ms, deal.modified_ms)
