"""Of equal rows a few stand for all, but never for rows that something holds apart."""

from __future__ import annotations

import numpy as np

from millstream.state.identity.linkage.copies import Copies
from millstream.state.identity.linkage.people import read_people


def test_the_first_row_may_be_held_apart_too() -> None:
    people = read_people({"name": ["Ann Lee"] * 12}, {"name": "full_name"})
    copies = Copies.of(people, None, np.array([0, 3, 7]))
    assert {0, 3, 7} <= set(copies.rows.tolist())
    assert len(copies.others) == 12 - 3 - 5
