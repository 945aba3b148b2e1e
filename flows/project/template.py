"""The files that `millstream init` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from millstream.flows.project.loading import FILE_NAME
from millstream.flows.project.schema import write_schema
from millstream.state.errors import ConfigurationError

_TEMPLATES = Path(__file__).parent / "templates"
_IGNORED = ".millstream/"
SCHEMA = Path(".millstream") / "millstream.schema.json"
"""Where the template's first line tells editors to look for the schema."""


def project_text(*, name: str = "my_project", sandbox: bool = False) -> str:
    """The text of a new project file."""
    if sandbox:
        return (_TEMPLATES / "sandbox.yaml").read_text(encoding="utf-8")
    return (_TEMPLATES / "project.yaml").read_text(encoding="utf-8").replace("name: my_project", f"name: {name}")


def write_project(folder: Path, *, sandbox: bool) -> Iterator[Path]:
    """Write a new project, and give each file that was written.

    Raises:
        ConfigurationError: There is a project file already.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise ConfigurationError(
            f"{path} is there already, and is never overwritten.", remedy="name another folder, or move the file away."
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(project_text(name=_name_of(folder), sandbox=sandbox), encoding="utf-8")
    yield path
    if _ignore(folder / ".gitignore"):
        yield folder / ".gitignore"
    write_schema(folder / SCHEMA)
    yield folder / SCHEMA


def next_steps(folder: Path, *, sandbox: bool) -> list[str]:
    """What to do after `millstream init`."""
    enter = [] if folder.resolve() == Path.cwd() else [f"  cd {folder}"]
    if sandbox:
        return [
            "",
            "Next:",
            *enter,
            "  millstream sandbox              in another terminal: it stands in for the vendors",
            "  set the made-up credentials that the head of millstream.yaml names",
            "  millstream check                are the credentials good?",
            "  millstream run                  pull, resolve, describe, select, send, measure and audit",
            "  millstream report --open        what came of it, as a page",
        ]
    return [
        "",
        "Next:",
        *enter,
        "  millstream connectors           what can be connected, and with which settings",
        "  write connections and sources into millstream.yaml",
        "  millstream check                are the credentials good?",
        "  millstream ingest               pull",
        "",
        "To try it without an account: millstream init --sandbox in an empty folder.",
    ]


def _name_of(folder: Path) -> str:
    """A folder's name as a project's name."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")
    return name if re.match(r"[a-z]", name) else "my_project"


def _ignore(path: Path) -> bool:
    """Keep Millstream's own files out of git; False when they are kept out already."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if _IGNORED in lines or _IGNORED.rstrip("/") in lines:
        return False
    path.write_text("\n".join([*lines, _IGNORED]) + "\n", encoding="utf-8")
    return True
