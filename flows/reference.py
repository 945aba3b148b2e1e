"""The generated parts of the docs (``make docs``), and whether they are current.

Made are ``docs/cli.md``, the tables of ``docs/traits.md`` and the README's table of connectors (between their marks),
``docs/connectors.md``, ``docs/millstream.schema.json`` and the demo's project file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from millstream.flows.cli.application import declare_commands
from millstream.flows.cli.connectors import (
    Connectors,
    DestinationFacts,
    SettingFacts,
    SourceFacts,
    describe_connectors,
    streams_with_cursors,
)
from millstream.flows.project.schema import schema_text
from millstream.flows.project.template import project_text
from millstream.flows.trait_reference import BEGIN_RELATIONS, BEGIN_TRAITS, relations_text, traits_text
from millstream.state.plugins import OWN_PACKAGE

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by `make docs` from the commands' own help; change that -->"
BEGIN_CONNECTORS = "<!-- made by `make docs` from what the connectors declare; change that -->"
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
    commands, readme, traits = root / "docs" / "cli.md", root / "README.md", root / "docs" / "traits.md"
    of_traits = _between_marks(traits.read_text(encoding="utf-8"), relations_text(_table), begin=BEGIN_RELATIONS)
    return {
        commands: _between_marks(commands.read_text(encoding="utf-8"), commands_text(), begin=BEGIN),
        readme: _between_marks(readme.read_text(encoding="utf-8"), readme_text(), begin=BEGIN_CONNECTORS),
        root / "docs" / "connectors.md": connectors_text(),
        traits: _between_marks(of_traits, traits_text(_table), begin=BEGIN_TRAITS),
        root / "docs" / "millstream.schema.json": schema_text(plugins=False),
        root / "examples" / "demo" / "millstream.yaml": project_text(sandbox=True),
    }


def connectors_text() -> str:
    """Millstream's own connectors with their settings, as Markdown."""
    found = _own_connectors()
    sources, destinations = found["sources"], found["destinations"]
    lines = [BEGIN_CONNECTORS, "# Connectors", ""]
    lines += ["`millstream connectors` lists these and those of installed plugins.", "", "## Sources", ""]
    heads = ("source", "system", "kind", "API", "signs in with", "streams, and what each goes on from")
    lines += _table(heads, map(_source_cells, sources))
    lines += ["", "## Destinations", ""]
    lines += _table(("destination", "system", "API", "modes", "finds people by"), map(_destination_cells, destinations))
    for kind, connector in [*(("source", one) for one in sources), *(("destination", one) for one in destinations)]:
        lines += ["", f"## Settings of the {kind} {connector['name']}", ""]
        lines += _table(("setting", "type", "default", "meaning"), map(_setting_cells, connector["settings"]))
    return "\n".join(lines) + "\n"


def _own_connectors() -> Connectors:
    """What is installed, without plugins."""
    found = describe_connectors()
    return {
        "sources": [source for source in found["sources"] if source["package"] == OWN_PACKAGE],
        "destinations": [one for one in found["destinations"] if one["package"] == OWN_PACKAGE],
        "failed": [],
    }


def readme_text() -> str:
    """Millstream's own connectors, a line each, as Markdown."""
    found = _own_connectors()
    sources = [
        (f"[{one['title']}](docs/sources/{one['name']}.md)", one["category"], streams_with_cursors(one), _signs_in(one))
        for one in found["sources"]
    ]
    destinations = [
        (f"[{one['title']}](docs/destinations/{one['name']}.md)", ", ".join(one["modes"]), ", ".join(one["match_keys"]))
        for one in found["destinations"]
    ]
    return "\n".join(
        [
            *_table(("source", "kind", "streams", "signs in with"), sources),
            "",
            *_table(("destination", "modes", "finds people by"), destinations),
        ]
    )


def _signs_in(source: SourceFacts) -> str:
    return ", ".join(source["auth"])


def _source_cells(source: SourceFacts) -> tuple[str, ...]:
    link = f"[`{source['name']}`](sources/{source['name']}.md)"
    kind, version, streams = source["category"], source["api_version"], streams_with_cursors(source)
    return link, source["title"], kind, version, _signs_in(source), streams


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


def _between_marks(page: str, made: str, *, begin: str) -> str:
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{made}\n\n{END}{after}"


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
