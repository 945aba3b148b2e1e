"""What an error says, in which order."""

from __future__ import annotations

import pytest

from millstream.flows.project.problems import Problem
from millstream.state.errors import MANY, ConfigurationError


@pytest.mark.parametrize("by_file", [False, True])
def test_a_long_list_of_what_is_allowed_stands_behind_the_remedy(by_file: bool) -> None:
    for number in (MANY, MANY + 1):
        allowed = tuple(f"column_{place}" for place in range(number))
        facts = ("There is no column 'colum_1'.", allowed, "did you mean 'column_1'?")
        told = str(Problem("x.yaml:3", "syncs", *facts) if by_file else _error(*facts))
        listed, remedy = told.index("Allowed: column_0, "), told.index("What to do: did you mean 'column_1'?")
        assert (remedy < listed) == (number > MANY)
        assert f"column_{number - 1}." in told


def _error(what: str, allowed: tuple[str, ...], remedy: str) -> ConfigurationError:
    return ConfigurationError(what, allowed=allowed, remedy=remedy)
