"""Connectors found by entry points. One that cannot be imported is reported and never stops the others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from millstream.state.errors import ConfigurationError, PluginError
from millstream.state.suggestions import did_you_mean

PluginT = TypeVar("PluginT")
OWN_PACKAGE = "millstream"


@dataclass(frozen=True)
class Found(Generic[PluginT]):
    """All plugins of a group.

    Attributes:
        loaded: What can be used, by name.
        packages: The distribution that each comes from, by name.
        failed: Why others cannot be used, in the order of their names.
    """

    loaded: dict[str, type[PluginT]]
    packages: dict[str, str]
    failed: list[PluginError]


class Plugins(Generic[PluginT]):
    """The plugins of one entry point group; nothing is imported before it is asked for.

    Args:
        group: Entry point group, ``millstream.sources``.
        kind: What one of them is called in messages, ``source``.
        check: Gives back what was imported as a connector class; raises PluginError when it is none.
    """

    def __init__(self, group: str, *, kind: str, check: Callable[[str, object], type[PluginT]]) -> None:
        self.group = group
        self.kind = kind
        self._check = check

    @cached_property
    def _offers(self) -> dict[str, list[EntryPoint]]:
        """Entry points by name, Millstream's own before those of other packages."""
        offers: dict[str, list[EntryPoint]] = {}
        for point in sorted(entry_points(group=self.group), key=_order):
            known = offers.setdefault(point.name, [])
            if point.value not in [other.value for other in known]:
                known.append(point)
        return offers

    def names(self) -> tuple[str, ...]:
        """Names of the installed plugins, whether they can be imported or not."""
        return tuple(self._offers)

    def load(self, name: str) -> type[PluginT]:
        """The connector class with this name.

        Raises:
            ConfigurationError: No installed package offers it.
            PluginError: It cannot be imported, or is no connector.
        """
        if name not in self._offers:
            raise ConfigurationError(
                f"There is no {self.kind} {name!r}.",
                allowed=self.names(),
                remedy=did_you_mean(name, self.names())
                or f"install the package that offers it (entry point group {self.group}).",
            )
        point = self._offers[name][0]
        try:
            found: object = point.load()
        except Exception as error:
            raise self._broken(point, f"cannot be imported ({type(error).__name__}: {error}).") from error
        return self._check(name, found)

    def load_all(self) -> Found[PluginT]:
        """Every plugin of the group, and why some of them cannot be used."""
        found: Found[PluginT] = Found({}, {}, [])
        for name, offers in self._offers.items():
            try:
                found.loaded[name] = self.load(name)
                found.packages[name] = _package(offers[0])
            except PluginError as error:
                found.failed.append(error)
            found.failed.extend(
                self._broken(other, f"is not used: {_package(offers[0])} offers that name already.")
                for other in offers[1:]
            )
        return found

    def _broken(self, point: EntryPoint, problem: str) -> PluginError:
        return PluginError(
            f"The {self.kind} {point.name!r} of package {_package(point)} {problem}",
            where=point.value,
            remedy="update, repair or uninstall the package.",
        )


def check_declared(kind: str, name: str, found: type, declared: Sequence[str]) -> None:
    """A connector class declares what it should, under the name of its entry point.

    Raises:
        PluginError: It does not.
    """
    where = f"{kind} {name}"
    missing = [word for word in declared if not hasattr(found, word)]
    missing += sorted(getattr(found, "__abstractmethods__", ())) if inspect.isabstract(found) else []
    if missing:
        raise PluginError(f"{found.__name__} does not declare {', '.join(missing)}.", where=where)
    named = getattr(found, "name", None)
    if named != name:
        raise PluginError(
            f"Its entry point is called {name!r} and its name is {named!r}.",
            where=where,
            remedy="give both the same name.",
        )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown"


def _order(point: EntryPoint) -> tuple[str, bool, str]:
    return point.name, _package(point) != OWN_PACKAGE, _package(point)
