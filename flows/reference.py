"""The generated parts of the docs (``make docs``), and whether they are current.

Three files are made: ``docs/cli.md`` (between its marks), ``docs/millstream.schema.json`` and the demo's project file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from millstream.flows.cli.application import declare_commands
from millstream.flows.project.schema import schema_text
from millstream.flows.project.template import project_text

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by `make docs` from the commands' own help; change that -->"
END = "<!-- end of what is made -->"


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
    commands = root / "docs" / "cli.md"
    return {
        commands: _between_marks(commands.read_text(encoding="utf-8"), commands_text()),
        root / "docs" / "millstream.schema.json": schema_text(plugins=False),
        root / "examples" / "demo" / "millstream.yaml": project_text(sandbox=True),
    }


def commands_text() -> str:
    """Every command with its arguments and options, as Markdown."""
    group = typer.main.get_command(declare_commands())
    assert isinstance(group, TyperGroup)
    return "\n\n".join(
        "\n".join(_command_lines(name, command))
        for name, command in group.commands.items()
        if isinstance(command, TyperCommand)
    )


def _command_lines(name: str, command: TyperCommand) -> Iterator[str]:
    context = typer.Context(command, info_name=f"millstream {name}", terminal_width=100, max_content_width=100)
    yield f"### millstream {name}"
    yield ""
    yield command.help or ""
    yield ""
    yield "```"
    yield command.get_usage(context).removeprefix("Usage: ")
    yield "```"
    yield ""
    yield "| argument or option | meaning |"
    yield "|---|---|"
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and parameter.name != "help":
            yield "| `{}` | {} |".format(*(" ".join(part.split()).replace("|", "\\|") for part in record))


def _between_marks(page: str, made: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
