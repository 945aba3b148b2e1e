"""Audiences whose SQL does not work today: they stand still, and the others are computed without them.

A statement that fails or is stopped ends the transaction it is in. So the work is begun anew, without that audience.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from millstream.state.errors import FatalError

Found = TypeVar("Found")


class FailingSqlError(FatalError):
    """The SQL of an audience fails, or takes longer than it may.

    Attributes:
        audience: Whose.
        former: Whether it is that of the last run, and not of the project as it is.
    """

    def __init__(self, audience: str, what: str, *, remedy: str | None = None, former: bool = False) -> None:
        super().__init__(what, where=f"audiences.{audience}", remedy=remedy)
        self.audience = audience
        self.former = former

    def told(self) -> str:
        """What happened and what to do, where the audience is named beside it."""
        return str(self).removeprefix(f"{self.where}: ")


@dataclass(frozen=True)
class Failing:
    """Audiences whose SQL is known not to work, by name, with the reason.

    Attributes:
        now: By the project as it is.
        former: By the rules of the last run, as dry runs compare with them.
    """

    now: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)

    def joined_by(self, error: FailingSqlError) -> Failing:
        """These, and one more."""
        if error.former:
            return replace(self, former={**self.former, error.audience: error.what})
        return replace(self, now={**self.now, error.audience: error.told()})

    def knows(self, error: FailingSqlError) -> bool:
        """Whether that is said of the audience already."""
        return error.audience in (self.former if error.former else self.now)


def without_failing(work: Callable[[Failing], Found]) -> Found:
    """Work in which audiences are computed, once more for each whose SQL turns out not to work.

    Args:
        work: Does all of it in one transaction, which is taken back where it raises. It leaves alone the audiences
            that it is told of.
    """
    failing = Failing()
    while True:
        try:
            return work(failing)
        except FailingSqlError as error:
            if failing.knows(error):
                raise
            failing = failing.joined_by(error)
