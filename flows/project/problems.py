"""Everything that is wrong with a project file, said at once and with line numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from millstream.state.errors import ConfigurationError, allowed_and_remedy
from millstream.state.privacy import redact

Key = tuple[str | int, ...]
"""Where something stands in a file: ``("syncs", "customers", "fields", "FNAME")``."""


@dataclass(frozen=True)
class Problem:
    """One thing to put right.

    Attributes:
        place: The file and line, ``millstream.yaml:12``.
        key: Dotted path of the key, empty for the file as a whole.
        what: What is wrong.
        allowed: Values that would be right.
        remedy: What to do.
    """

    place: str
    key: str
    what: str
    allowed: tuple[str, ...] = ()
    remedy: str | None = None

    def __str__(self) -> str:
        text = f"{self.place}: {self.key}: {self.what}" if self.key else f"{self.place}: {self.what}"
        return text + allowed_and_remedy(self.allowed, self.remedy)


class ProjectError(ConfigurationError):
    """A project file cannot be used.

    Attributes:
        problems: All of them, in the order of their lines.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def single(cls, path: Path, line: int, key: Key, what: str, *, remedy: str | None = None) -> ProjectError:
        """An error with one problem."""
        return cls([Problem(f"{label_of(path)}:{line}", dotted(key), redact(what), remedy=remedy)])


class Problems:
    """Gathers problems of one file."""

    def __init__(self, path: Path) -> None:
        self._label = label_of(path)
        self._found: list[tuple[int, Problem]] = []

    def add(self, key: Key, what: str, *, line: int, allowed: Iterable[str] = (), remedy: str | None = None) -> None:
        """Note one."""
        problem = Problem(f"{self._label}:{line}", dotted(key), redact(what), tuple(allowed), remedy)
        if problem not in [known for _, known in self._found]:
            self._found.append((line, problem))

    def __bool__(self) -> bool:
        return bool(self._found)

    def found(self) -> list[Problem]:
        """What was noted, in the order of the lines."""
        return [problem for _, problem in sorted(self._found, key=lambda pair: pair[0])]

    def raise_if_any(self) -> None:
        """Stop here if something is wrong.

        Raises:
            ProjectError: With everything that was noted.
        """
        if self._found:
            raise ProjectError(self.found())


def dotted(key: Key) -> str:
    """``("a", 0, "b")`` as ``a.0.b``."""
    return ".".join(str(part) for part in key)


def label_of(path: Path) -> str:
    """A file's name for messages: seen from the current folder where it is below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
