"""What a run would change among people: merges, splits and values, with what causes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Cause:
    """What joins, or no longer joins: an identifier's value (or a decision, or a link), and why that changed."""

    kind: str | None
    value: str | None
    reason: str | None


@dataclass(frozen=True)
class ProfileSize:
    """A profile as it would be.

    Attributes:
        profile_id: Its id then; ids of profiles that are new are made when it is done in earnest.
        records: Its records then.
        records_before: Records of the profile of this id now; 0 for one that is new.
        profiles_before: How many of today's profiles its records come from.
    """

    profile_id: str
    records: int
    records_before: int
    profiles_before: int


@dataclass(frozen=True)
class Merge:
    """Profiles that would become one: the survivor, how many, their records together, the values that join them."""

    profile_id: str
    profiles: int
    records: int
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Split:
    """A profile that would fall apart: into how many, its records now and those it keeps, the values that let go."""

    profile_id: str
    parts: int
    records: int
    kept: int
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class ValueTurn:
    """A value that would begin or cease to be blocked, or to be shared by several people."""

    kind: str
    value: str
    records: int
    was: str | None
    becomes: str | None


@dataclass(frozen=True)
class Preview:
    """What would change.

    ``after["profiles"]`` is ``before["profiles"] + appeared - merged - vanished``.

    Attributes:
        before: Counts of records, profiles, values, households and suggestions now.
        after: The same then.
        merged: Profiles that would become part of another.
        split: Profiles that would lose a part.
        appeared: Profiles that would be new: parts split off, or people not seen before.
        vanished: Profiles whose last record would be gone.
        largest: The largest profiles then.
        merges: The largest merges.
        splits: The largest splits.
        turned: How many values would become or cease to be blocked or shared.
        values: Those on most records.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    merged: int = 0
    split: int = 0
    appeared: int = 0
    vanished: int = 0
    largest: tuple[ProfileSize, ...] = ()
    merges: tuple[Merge, ...] = ()
    splits: tuple[Split, ...] = ()
    turned: int = 0
    values: tuple[ValueTurn, ...] = field(default=())

    @property
    def nothing(self) -> bool:
        """Whether every profile stays as it is."""
        return not (self.merged or self.split or self.appeared or self.vanished)

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)
