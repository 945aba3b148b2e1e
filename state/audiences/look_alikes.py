"""Look-alikes: the people outside an audience who are nearest to it by their traits.

The distance of a person is the root of the mean of the squares of what each trait says:

- a number: how far it is from the members' mean, in standard deviations among all people;
- a text or truth value: the share of members, of those who have the trait, who have another value;
- a missing value: 1.

Who has none of the values is left out. Among people of the same distance (to 9 digits) the smaller profile id is first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millstream.state.audiences.compiling.query import PEOPLE, Query
from millstream.state.audiences.compiling.traits import NUMBERS, Traits
from millstream.state.audiences.nodes import LookAlike
from millstream.state.profiles.columns import FIXED
from millstream.state.sql import quoted

LEAST_COVERAGE = 0.5
"""Left out of the comparison, unless it is asked for: a trait that fewer of the members have."""
MOST_VALUES = 50
"""Left out, unless it is asked for: a text with more values than this among all people; it is a name, not a kind."""
_LARGEST = "1e100"
"""Numbers beyond are taken as missing: their squares could not be added up."""


@dataclass(frozen=True)
class _Trait:
    column: str
    is_number: bool

    @property
    def value(self) -> str:
        column = quoted(self.column)
        if self.is_number:
            return f"CASE WHEN abs({column}) <= {_LARGEST} THEN CAST({column} AS DOUBLE) END"
        return f"CAST({column} AS TEXT)"


def look_alikes(query: Query, wanted: LookAlike, *, members: str, traits: Traits) -> str:
    """A SELECT of the ``profile_id`` of the nearest.

    Args:
        query: The statement it goes into.
        wanted: How many, and by which traits.
        members: A SELECT of the ``profile_id`` of those they shall be like.
        traits: What is known of people.

    Raises:
        ConfigurationError: A trait that nobody has, or one that cannot be compared in this way.
    """
    compared = _compared(query, wanted, traits)
    if not compared:
        return f"SELECT profile_id FROM {PEOPLE} WHERE FALSE"
    known = _known(compared, asked_for=wanted.by is not None)
    return (
        f"WITH facts AS ({_facts(compared, members)}), known AS ({known}), near AS ({_near(compared)}) "
        f"SELECT profile_id FROM near ORDER BY distance, profile_id LIMIT {wanted.size}"
    )


def _compared(query: Query, wanted: LookAlike, traits: Traits) -> Sequence[_Trait]:
    if wanted.by is None:
        return [
            _Trait(name, sql_type in NUMBERS)
            for name, sql_type in query.traits.items()
            if name not in FIXED and sql_type in (*NUMBERS, "TEXT", "BOOLEAN")
        ]
    compared = {}
    for trait in wanted.by:
        name, sql_type = traits.column(trait)
        if sql_type not in (*NUMBERS, "TEXT", "BOOLEAN"):
            raise traits.misfit(trait, sql_type, "cannot be compared by looks_like, which takes numbers and texts")
        compared[name] = _Trait(name, sql_type in NUMBERS)
    return list(compared.values())


def _facts(compared: Sequence[_Trait], members: str) -> str:
    """Everybody with the traits that are compared, and whether they are members."""
    values = ", ".join(f"{trait.value} AS value_{number}" for number, trait in enumerate(compared))
    return (
        f"SELECT person.profile_id, member.profile_id IS NOT NULL AS is_member, {values} FROM {PEOPLE} AS person "
        f"LEFT JOIN (SELECT DISTINCT profile_id FROM ({members}) AS chosen) AS member "
        "ON member.profile_id = person.profile_id"
    )


def _near(compared: Sequence[_Trait]) -> str:
    """The distance of everybody who is no member and has one of the values."""
    numbers = range(len(compared))
    joins = [_shares(number) for number, trait in enumerate(compared) if not trait.is_number]
    squares = [f"weight_{number} * power({_difference(number, trait)}, 2)" for number, trait in enumerate(compared)]
    mean = f"({' + '.join(squares)}) / ({' + '.join(f'weight_{number}' for number in numbers)})"
    some = " OR ".join(f"(weight_{number} = 1 AND fact.value_{number} IS NOT NULL)" for number in numbers)
    return (
        f"SELECT fact.profile_id, round(CAST(sqrt({mean}) AS DOUBLE), 9) AS distance "
        f"FROM facts AS fact CROSS JOIN known {' '.join(joins)} WHERE NOT fact.is_member AND ({some})"
    )


def _shares(number: int) -> str:
    """Joins the share of members who have a person's text."""
    value = f"value_{number}"
    return (
        f"LEFT JOIN (SELECT {value} AS value, CAST(count(*) AS DOUBLE) / sum(count(*)) OVER () AS share FROM facts "
        f"WHERE is_member AND {value} IS NOT NULL GROUP BY {value}) AS shares_{number} "
        f"ON shares_{number}.value = fact.{value}"
    )


def _known(compared: Sequence[_Trait], *, asked_for: bool) -> str:
    """One row: what the members are like, how all people differ, and which traits tell something (weight 1, else 0)."""
    columns = []
    for number, trait in enumerate(compared):
        value = f"value_{number}"
        members = f"count({value}) FILTER (WHERE is_member)"
        tells = f"{members} > 0"
        if not asked_for:
            tells = f"{members} >= {LEAST_COVERAGE} * count(*) FILTER (WHERE is_member) AND {tells}"
            tells += f" AND count(DISTINCT {value}) > 1"
            if not trait.is_number:
                tells += f" AND count(DISTINCT {value}) <= {MOST_VALUES}"
        columns.append(f"CASE WHEN {tells} THEN 1 ELSE 0 END AS weight_{number}")
        if trait.is_number:
            columns.append(f"avg({value}) FILTER (WHERE is_member) AS mean_{number}")
            columns.append(f"stddev_pop({value}) AS spread_{number}")
    return f"SELECT {', '.join(columns)} FROM facts"


def _difference(number: int, trait: _Trait) -> str:
    """How far a person is from the members by one trait."""
    if not trait.is_number:
        told = f"1 - coalesce(shares_{number}.share, 0)"
    else:
        # Where all are the same, or no member has it, nobody is farther than another.
        told = f"coalesce((fact.value_{number} - mean_{number}) / nullif(spread_{number}, 0), 0)"
    return f"CASE WHEN fact.value_{number} IS NULL THEN 1 ELSE {told} END"
