"""Names of sources, audiences and syncs as they are typed after a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def chosen_names(
    kind: str, names: Sequence[str] | None, known: Iterable[str], *, default: Iterable[str] | None = None
) -> list[str]:
    """The names asked for, each once; all when none were.

    Raises:
        ConfigurationError: One that is not in the project.
    """
    from millstream.flows.project.names import named

    there = dict.fromkeys(known)
    for name in names or ():
        named(kind, name, there)
    return list(dict.fromkeys(names)) if names else list(there if default is None else default)
