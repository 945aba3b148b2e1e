"""What was written to the org: changed, new and deleted records, laid over those that the company makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from millstream.sandbox.salesforce.rows import Row

FIRST_NUMBER = 40_000_000_000
"""Numbers of records that were written, beyond any that the company makes."""
PAIR = "CampaignId+LeadOrContactId"
INDEXED = {"CampaignMember": ("CampaignId", "LeadOrContactId"), "Contact": ("Email",), "Lead": ("Email",)}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written about one record.

    Attributes:
        values: The fields that were written; all that are not empty where the record is new.
        created: When it was made, where it is new; None where the company made it.
        stamp: Time of the last write, seconds since 1970.
        deleted: In the recycle bin.
        purged: Gone for good.
    """

    values: Row
    stamp: int
    created: int | None = None
    deleted: bool = False
    purged: bool = False


class Overlay:
    """All writes, by object and number, with an index of the values that records are looked up by.

    The index only ever grows: whoever asks it looks whether the record still has the value.
    """

    def __init__(self) -> None:
        self._by_object: dict[str, dict[int, Written]] = {}
        self._index: dict[tuple[str, str, str], set[int]] = {}
        self._undo: list[tuple[str, int, Written | None]] | None = None
        self._made = 0
        self.versions: Counter[str] = Counter()

    def of(self, name: str) -> dict[int, Written]:
        """What was written to records of one object."""
        return self._by_object.get(name, {})

    def get(self, name: str, number: int) -> Written | None:
        """What was written to one record."""
        return self.of(name).get(number)

    def next_number(self) -> int:
        """The number of the next new record."""
        self._made += 1
        return FIRST_NUMBER + self._made

    def write(self, name: str, number: int, written: Written, indexed: tuple[str, ...] = ()) -> None:
        """Remember a write; `indexed` names the fields besides the usual ones that are looked up by."""
        if self._undo is not None:
            self._undo.append((name, number, self.get(name, number)))
        self._by_object.setdefault(name, {})[number] = written
        self.versions[name] += 1
        for field in (*INDEXED.get(name, ()), *indexed):
            value = written.values.get(field)
            if value is not None:
                self._index.setdefault((name, field, str(value).lower()), set()).add(number)
        if name == "CampaignMember" and "CampaignId" in written.values:
            self._index.setdefault((name, PAIR, pair(written.values)), set()).add(number)

    def remove(self, name: str, number: int, stamp: int, *, purge: bool = False) -> None:
        """Put a record into the recycle bin, or take it out of the org for good."""
        known = self.get(name, number) or Written({}, stamp)
        self.write(name, number, replace(known, stamp=stamp, deleted=True, purged=purge))

    def candidates(self, name: str, field: str, value: str) -> set[int]:
        """Records that had this value of a field at some time."""
        return self._index.get((name, field, value.lower()), set())

    def begin(self) -> None:
        """From now on, writes can be undone."""
        self._undo = []

    def finish(self, *, undo: bool) -> None:
        """Keep the writes since `begin`, or undo them."""
        done, self._undo = self._undo or [], None
        for name, number, before in reversed(done if undo else []):
            self.versions[name] += 1
            if before is None:
                del self._by_object[name][number]
            else:
                self._by_object[name][number] = before


def pair(values: Row) -> str:
    """A campaign and its member as one text."""
    return f"{values['CampaignId']}|{values['LeadOrContactId']}".lower()
