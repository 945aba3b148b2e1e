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
    from millstream.state.errors import ConfigurationError
    from millstream.state.suggestions import did_you_mean

    known = list(known)
    for name in names or ():
        if name not in known:
            raise ConfigurationError(
                f"There is no {kind} {name!r} in the project.", allowed=known, remedy=did_you_mean(name, known)
            )
    return list(dict.fromkeys(names)) if names else list(known if default is None else default)
