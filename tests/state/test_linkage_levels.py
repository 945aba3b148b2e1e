"""How alike two values of a kind are held to be: slips of the pen, initials, short forms, years."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from millstream.state.identity.linkage.comparisons import comparisons_for
from millstream.state.identity.linkage.engine import Engine
from millstream.state.identity.linkage.kinds import Kind
from millstream.state.identity.linkage.people import read_people


def levels(kind: Kind, values: Sequence[str | None], comparison: str) -> list[str | None]:
    """The level at which each of some values agrees with the first."""
    people = read_people({"of": values}, {"of": kind})
    engine = Engine(people, comparisons_for(people, "duckdb"))
    place = [each.name for each in engine.comparisons].index(comparison)
    names = [level.name for level in reversed(engine.comparisons[place].levels)]
    others = np.arange(1, len(values))
    found = engine.compare(np.zeros_like(others), others)
    said = zip(found.right.tolist(), found.levels[:, place].tolist(), strict=True)
    told = {right: names[level] if level >= 0 else None for right, level in said}
    return [told[number] for number in range(1, len(values))]


@pytest.mark.parametrize("slip", ["149-02-13", "1990-021-13", "199o-02-13", "13/02/190", "199002-13", "199-002-13"])
def test_a_slip_in_a_date_is_one_slip_wherever_it_is(slip: str) -> None:
    born = "1949-02-13" if slip.startswith("149") else "1990-02-13"
    assert levels("birth_date", [born, slip], "birth date")[0] in ("same", "one digit or day and month exchanged")


def test_two_slips_in_a_date_are_more_than_another_date() -> None:
    assert levels("birth_date", ["1990-02-13", "1790-08-13", "1741-08-26"], "birth date") == [
        "two digits differ",
        "differs",
    ]


def test_years_of_birth_are_near_before_they_differ() -> None:
    years = ["1879", "1879", "1880", "1849", "1882", "1860", None]
    near = ["same", "within a year", "one digit differs", "within five years", "differs", None]
    assert levels("birth_year", years, "birth year") == near


def test_ages_are_as_near_as_years() -> None:
    people = read_people({"age": ["34", "35.0", "90", None]}, {"age": "birth_year"})
    assert people.fields["birth_year"] == ["1966", "1965", "1910", None]
    assert levels("birth_year", ["34", "34", "35", "90"], "birth year") == ["same", "within a year", "differs"]


def test_a_year_alone_is_near_a_date_of_the_next() -> None:
    assert levels("birth_date", ["1990-02-13", "1990", "1989"], "birth date") == [
        "year alone, the same",
        "within a year",
    ]


def test_a_short_form_may_be_of_either_name() -> None:
    assert (
        levels("first_name", ["Nick", "Nicholas", "Dominic", "Norman"], "first name")[:2] == ["forms of one name"] * 2
    )
    assert levels("first_name", ["Norman", "Nicholas"], "first name") == ["differs"]


def test_an_initial_is_of_the_name_or_of_what_it_is_short_for() -> None:
    others = ["William", "Bill", "B", "R"]
    assert levels("first_name", ["W", *others], "first name") == ["initial", "initial", "differs", "differs"]
