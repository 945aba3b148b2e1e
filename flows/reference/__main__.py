"""The generated parts of the docs (``make docs``), and whether they are current.

Made are ``docs/cli.md``, the tables of ``docs/traits.md`` and the README's table of connectors (between their marks),
``docs/connectors.md``, ``docs/millstream.schema.json`` and the demo's project file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from millstream.flows.project.schema import schema_text
from millstream.flows.project.template import project_text
from millstream.flows.reference.commands import BEGIN_COMMANDS, commands_text
from millstream.flows.reference.connectors import BEGIN_CONNECTORS, connectors_text, readme_text
from millstream.flows.reference.markdown import between_marks
from millstream.flows.reference.traits import BEGIN_RELATIONS, BEGIN_TRAITS, relations_text, traits_text

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; with ``--check`` only say which are not current.

    Returns:
        Exit code: 1 when a file is not current.
    """
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    stale = {path: text for path, text in generated(ROOT).items() if not _is(path, text)}
    for path, text in stale.items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        typer.echo(f"{path.relative_to(ROOT)} {'is not current: run `make docs`' if check else 'written'}")
    return 1 if check and stale else 0


def generated(root: Path) -> Mapping[Path, str]:
    """The files that are made, and what they should hold."""
    commands, readme, traits = root / "docs" / "cli.md", root / "README.md", root / "docs" / "traits.md"
    of_traits = between_marks(traits.read_text(encoding="utf-8"), relations_text(), begin=BEGIN_RELATIONS)
    return {
        commands: between_marks(commands.read_text(encoding="utf-8"), commands_text(), begin=BEGIN_COMMANDS),
        readme: between_marks(readme.read_text(encoding="utf-8"), readme_text(), begin=BEGIN_CONNECTORS),
        root / "docs" / "connectors.md": connectors_text(),
        traits: between_marks(of_traits, traits_text(), begin=BEGIN_TRAITS),
        root / "docs" / "millstream.schema.json": schema_text(plugins=False),
        root / "examples" / "demo" / "millstream.yaml": project_text(sandbox=True),
    }


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
