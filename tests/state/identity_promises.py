"""What is promised about ids, aliases and history, checked from what the store held before and after a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Rows = Callable[..., list[tuple]]


class Change(NamedTuple):
    """A row of a history."""

    change: str
    id: str
    other_id: str | None


TakenApart = Mapping[str, Collection[str]]
"""The profiles that somebody took apart by hand, each with the records that the decision names."""


@dataclass(frozen=True)
class Held:
    """What the store held at a moment.

    Attributes:
        profile: Profile by living record.
        aliases: The profile that each alias stands for.
        born: When each profile id was made.
        brought: The records that each merged-away id brought along.
        household: Household by profile.
        household_born: When each household id was made.
    """

    profile: Mapping[str, str]
    aliases: Mapping[str, str]
    born: Mapping[str, object]
    brought: Mapping[str, frozenset[str]]
    household: Mapping[str, str]
    household_born: Mapping[str, object]


def hold(rows: Rows) -> Held:
    """What the store holds now; every table's rows are there once."""
    brought: dict[str, set[str]] = defaultdict(set)
    for from_id, record_id in rows("SELECT from_id, record_id FROM customers.merged_members"):
        brought[from_id].add(record_id)
    return Held(
        profile=_once(rows("SELECT record_id, profile_id FROM customers.members")),
        aliases=_once(rows("SELECT alias_id, profile_id FROM customers.profile_aliases")),
        born=_once(rows("SELECT profile_id, changed_at FROM customers.profile_history WHERE change = 'new'")),
        brought={from_id: frozenset(records) for from_id, records in brought.items()},
        household=_once(rows("SELECT profile_id, household_id FROM customers.household_members")),
        household_born=_once(
            rows("SELECT household_id, changed_at FROM customers.household_history WHERE change = 'new'")
        ),
    )


def _once(rows: list[tuple]) -> dict[str, str]:
    found = dict(rows)
    assert len(found) == len(rows), f"something is there twice: {sorted(map(str, rows))}"
    return found


def parts_of(labels: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The members of each label."""
    parts: dict[str, set[str]] = defaultdict(set)
    for member, label in labels.items():
        parts[label].add(member)
    return {label: frozenset(members) for label, members in parts.items()}


def check_ids(before: Held, after: Held, changes: list[Change], taken_apart: TakenApart) -> None:
    """Everything that is promised about profile ids."""
    old, new = parts_of(before.profile), parts_of(after.profile)
    came = {alias: before.brought.get(alias, frozenset()) for alias in before.aliases}
    guests = {label: set().union(*(came[a] for a in came if before.aliases[a] == label)) for label in old}
    returned = set(before.aliases) & set(new)
    _check_who_keeps(old, new, before.born, returned=returned, guests=guests, taken_apart=taken_apart)
    _check_returned(before, new, taken_apart)
    _check_aliases(after, new)
    _check_history(before, after, changes)


def check_households(before: Held, after: Held, changes: list[Change]) -> None:
    """A household keeps its id as a profile does, and a member who was merged away lives on as the survivor."""
    new = parts_of(after.household)
    old = {
        label: frozenset(after.aliases.get(profile_id, profile_id) for profile_id in members)
        for label, members in parts_of(before.household).items()
    }
    _check_who_keeps(old, new, before.household_born, returned=set(), guests={}, taken_apart={})
    appeared = {change.id for change in changes if change.change == "new"}
    gone = {change.id for change in changes if change.change == "removed"}
    gone |= {str(change.other_id) for change in changes if change.change == "merge"}
    assert set(new) - set(old) == appeared
    assert set(old) - set(new) == gone


def _check_who_keeps(
    old: Mapping[str, frozenset[str]],
    new: Mapping[str, frozenset[str]],
    born: Mapping[str, object],
    *,
    returned: set[str],
    guests: Mapping[str, set[str]],
    taken_apart: TakenApart,
) -> None:
    """An id goes with the part that holds most of its members; of several the oldest stays.

    Of parts that are as large it goes with the one that has fewest guests, which an alias brought along. The parts of
    people who were taken apart by hand go by whose they were, not by how many they are, and what came later counts for
    nobody: only the records that the decision names are asked.
    """
    kept: dict[str, set[str]] = defaultdict(set)
    unsure: dict[str, set[str]] = defaultdict(set)
    for label, members in old.items():
        shared = {other: members & part for other, part in new.items() if members & part}
        invited = guests.get(label, set())
        own = {other: (len(some), -len(some & invited), len(some)) for other, some in shared.items()}
        if label in taken_apart:
            named = {other: some & set(taken_apart[label]) for other, some in shared.items()}
            own = {o: (len(named[o] - invited), -len(named[o] & invited), len(some)) for o, some in shared.items()}
        largest = [other for other, size in own.items() if size == max(own.values())]
        for other in largest:
            (kept if len(largest) == 1 else unsure)[other].add(label)
    for label, members in new.items():
        certain, possible = kept[label], kept[label] | unsure[label]
        if label in returned:
            continue
        told = f"{label} of {sorted(members)}, of old {sorted(map(sorted, (old[one] for one in possible)))}"
        if label in old:
            assert label in possible, f"{told}: another part holds more of what it was"
            older = {one for one in certain if born[one] < born[label]}
            assert not older, f"{told}: the older {older} should have stayed"
        else:
            assert not certain, f"{told}: {certain} should have stayed"
    for label, members in old.items():
        met = any(members & others for one, others in old.items() if one != label)
        if members in new.values() and label not in returned and not met:
            assert new.get(label) == members, f"nothing happened to {label}, yet its id changed"


def _check_returned(before: Held, new: Mapping[str, frozenset[str]], taken_apart: TakenApart) -> None:
    """An id that comes back stands for records that it brought along, among those that a decision names if any does."""
    named = set().union(*taken_apart.values())
    for label in set(before.aliases) & set(new):
        asked = new[label] & named or new[label] & set(before.profile)
        mine = before.brought.get(label, frozenset()) & asked
        assert 2 * len(mine) > len(asked), f"{label} came back for strangers"


def _check_aliases(after: Held, new: Mapping[str, frozenset[str]]) -> None:
    assert not set(after.aliases) & set(new), "an alias is itself a living profile"
    assert set(after.aliases.values()) <= set(new), "an alias stands for nobody"


def _check_history(before: Held, after: Held, changes: list[Change]) -> None:
    """Every id that came, went or lost a part is accounted for, and nothing else is."""
    was, now = set(before.profile.values()), set(after.profile.values())
    told: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for change, profile_id, other_id in changes:
        told[change].add((profile_id, other_id))
    made = {profile_id for profile_id, _ in told["new"]}
    returned = now & set(before.aliases)
    assert now - was - returned == made
    parted = told["split"] | told["unmerge"]
    assert returned <= {other for _, other in parted}, "an id came back without a word"
    removed = {profile_id for profile_id, _ in told["removed"]}
    merged = {other: survivor for survivor, other in told["merge"]}
    assert was - now == removed | merged.keys(), (was - now, removed, merged)
    for other, survivor in merged.items():
        assert after.aliases[str(other)] == survivor
    for record_id, label in before.profile.items():
        moved_to = after.profile.get(record_id, label)
        if moved_to != label:
            assert merged.get(label) == moved_to or (label, moved_to) in parted, f"{record_id} left {label} unsaid"
    apart = {(label, after.profile.get(record_id)) for record_id, label in before.profile.items()}
    assert parted <= apart, "a part is said to have left that did not"
