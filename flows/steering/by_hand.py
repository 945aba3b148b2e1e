"""What the journal keeps of something that was done by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

DoneT = TypeVar("DoneT")


@dataclass
class ByHand(Generic[DoneT]):
    """Its run: nothing is kept until it is done."""

    done: DoneT | None = field(default=None, init=False)

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.done is not None

    def as_json(self) -> Mapping[str, Any]:
        """For programs."""
        return {} if self.done is None else self.kept(self.done)

    def kept(self, done: DoneT) -> Mapping[str, Any]:
        """What is kept of it: no values of people."""
        raise NotImplementedError
