"""The order in which audiences build on each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from millstream.state.audiences.rules import Audience
from millstream.state.errors import ConfigurationError


def evaluation_order(audiences: Mapping[str, Audience]) -> list[str]:
    """The names, each after those it builds on.

    Raises:
        ConfigurationError: A circle, or a name that is not there.
    """
    references = {name: sorted(audience.refers_to()) for name, audience in audiences.items()}
    for name, others in references.items():
        for other in others:
            if other not in audiences:
                raise ConfigurationError(
                    f"There is no audience {other!r}.", where=f"audiences.{name}", allowed=sorted(audiences)
                )
    try:
        return list(TopologicalSorter(references).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ConfigurationError(
            f"Audiences build on each other in a circle: {circle}.",
            where="audiences",
            remedy="take one of these references out.",
        ) from error


def built_on(audiences: Mapping[str, Audience], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The other audiences that build on some of these, directly or by way of others; each with those it builds on."""
    chosen = set(names)
    below: dict[str, set[str]] = {}
    for name in evaluation_order(audiences):
        direct = audiences[name].refers_to()
        below[name] = (direct & chosen).union(*(below[other] for other in direct))
    return {name: tuple(sorted(below[name])) for name in audiences if below[name] and name not in chosen}
