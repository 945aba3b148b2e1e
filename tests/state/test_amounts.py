"""Amounts in sentences: one thing is one thing."""

from __future__ import annotations

import pytest

from millstream.state.amounts import counted, people_counted, who_is_who


@pytest.mark.parametrize(
    ("records", "people", "said"),
    [
        (0, 0, "0 records are 0 people"),
        (1, 1, "1 record is 1 person"),
        (3, 1, "3 records are 1 person"),
        (2000, 1500, "2,000 records are 1,500 people"),
    ],
)
def test_records_and_people_agree_with_their_number(records: int, people: int, said: str) -> None:
    assert who_is_who(records, people) == said


def test_irregular_words_are_given() -> None:
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(2, "entry", "entries") == "2 entries"
    assert people_counted(1) == "1 person"
