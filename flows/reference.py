"""The generated parts of the docs (``make docs``), and whether they are current.

Made are ``docs/cli.md`` (between its marks), ``docs/connectors.md``, ``docs/millstream.schema.json`` and the demo's
project file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from millstream.flows.cli.application import declare_commands
from millstream.flows.cli.connectors import DestinationFacts, SettingFacts, SourceFacts, describe_connectors
from millstream.flows.project.schema import schema_text
from millstream.flows.project.template import project_text
from millstream.state.plugins import OWN_PACKAGE

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
        root / "docs" / "connectors.md": connectors_text(),
        root / "docs" / "millstream.schema.json": schema_text(plugins=False),
        root / "examples" / "demo" / "millstream.yaml": project_text(sandbox=True),
    }


def connectors_text() -> str:
    """Millstream's own connectors with their settings, as Markdown."""
    found = describe_connectors()
    sources = [source for source in found["sources"] if source["package"] == OWN_PACKAGE]
    destinations = [one for one in found["destinations"] if one["package"] == OWN_PACKAGE]
    lines = ["<!-- made by `make docs` from what the connectors declare; change that -->", "# Connectors", ""]
    lines += ["`millstream connectors` lists these and those of installed plugins.", "", "## Sources", ""]
    lines += _table(("source", "system", "kind", "API", "streams"), map(_source_cells, sources))
    lines += ["", "## Destinations", ""]
    lines += _table(("destination", "system", "API", "modes", "finds people by"), map(_destination_cells, destinations))
    for kind, connector in [*(("source", one) for one in sources), *(("destination", one) for one in destinations)]:
        lines += ["", f"## Settings of the {kind} {connector['name']}", ""]
        lines += _table(("setting", "type", "default", "meaning"), map(_setting_cells, connector["settings"]))
    return "\n".join(lines) + "\n"


def _source_cells(source: SourceFacts) -> tuple[str, ...]:
    beside = Path("sources") / source["name"] / "README.md"
    page = f"../{beside}" if (ROOT / beside).is_file() else f"sources/{source['name']}.md"
    link = f"[`{source['name']}`]({page})"
    streams = ", ".join(stream["name"] for stream in source["streams"]) or "as set in the project file"
    return link, source["title"], source["category"], source["api_version"], streams


def _destination_cells(destination: DestinationFacts) -> tuple[str, ...]:
    link = f"[`{destination['name']}`](destinations/{destination['name']}.md)"
    modes, keys = ", ".join(destination["modes"]), ", ".join(destination["match_keys"])
    return link, destination["title"], destination["api_version"], modes, keys


def _setting_cells(setting: SettingFacts) -> tuple[str, ...]:
    default = "required" if setting["required"] else (setting["default"] or "")
    return f"`{setting['name']}`", setting["type"], default, setting["description"]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (heads, ["---"] * len(heads), *rows):
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"


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
    records = [one.get_help_record(context) for one in command.params if one.name != "help"]
    yield from _table(("argument or option", "meaning"), [(f"`{name}`", text) for name, text in filter(None, records)])


def _between_marks(page: str, made: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
