"""Values that stand where nothing is known: what is typed to get past a form, and what a system fills in.

No list could name them all, but their bearers give them away: a phone number of one person, one family or one small
office is borne under few names, ``1234567890`` under any.
"""

from __future__ import annotations

from collections import Counter, defaultdict

Values = list[str | None]
_OWN = ("email", "phone", "nid")
_MANY = 20
"""Rows that must bear a value before it is doubted."""
_ONE_NAME = 0.2
"""Share of the commonest name among the bearers from which a value may well be somebody's own."""
_UNUSUAL = 20.0
"""A day on which so many times as many are born as on others is none that anybody was asked for."""
_OF_ONE_YEAR = 0.25
"""Share of one year among the dates of a day, as January the first, from which that date was filled in. Where it is
common in many years, somebody knew the year alone, which is worth keeping."""


def drop_placeholders(fields: dict[str, Values]) -> None:
    """Make unknown, in place, what cannot be anybody's own."""
    names = [fields[name] for name in ("first", "last") if name in fields]
    if not names:
        return
    for field in (*_OWN, "birth"):
        values = fields.get(field)
        if values is None:
            continue
        counts = Counter(value for value in values if value is not None)
        usual = _UNUSUAL * sum(counts.values()) / max(1, len(counts)) if field == "birth" else 0.0
        doubted = {value for value, count in counts.items() if count >= max(_MANY, usual)}
        if field == "birth":
            doubted = _of_one_year(doubted, counts)
        nobodys = doubted - _own(values, doubted, names)
        if nobodys:
            fields[field] = [None if value in nobodys else value for value in values]


def _of_one_year(doubted: set[str], counts: Counter[str]) -> set[str]:
    """Those of the dates that are not just what stands for the day in any year."""
    days: Counter[str] = Counter()
    for value, count in counts.items():
        days[value[5:]] += count
    return {value for value in doubted if counts[value] >= _OF_ONE_YEAR * days[value[5:]]}


def _own(values: Values, doubted: set[str], names: list[Values]) -> set[str]:
    """Those of the values that are borne mostly under one first or last name."""
    own = set()
    for column in names:
        bearers: dict[str, Counter[str]] = defaultdict(Counter)
        for value, name in zip(values, column, strict=True):
            if value in doubted and value is not None and name is not None:
                bearers[value][name] += 1
        for value, counts in bearers.items():
            if max(counts.values()) >= _ONE_NAME * sum(counts.values()):
                own.add(value)
    return own
