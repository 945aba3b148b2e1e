"""Names that the project must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from millstream.state.errors import ConfigurationError
from millstream.state.suggestions import did_you_mean

ValueT = TypeVar("ValueT")


def named(kind: str, name: str, known: Mapping[str, ValueT]) -> ValueT:
    """What goes by a name.

    Raises:
        ConfigurationError: There is no such thing; with the names that there are, and the one that was probably meant.
    """
    if name not in known:
        raise ConfigurationError(
            f"There is no {kind} {name!r} in the project.", allowed=known, remedy=did_you_mean(name, known)
        )
    return known[name]
