"""Every command of the command line: ``docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

import typer
from typer.core import TyperCommand, TyperGroup

from millstream.flows.cli.application import declare_commands
from millstream.flows.reference.markdown import table

BEGIN_COMMANDS = "<!-- made by `make docs` from the commands' own help; change that -->"


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
    yield "\n\n".join(fill(paragraph, 120) for paragraph in (command.help or "").split("\n\n"))
    yield ""
    yield "```"
    yield command.get_usage(context).removeprefix("Usage: ")
    yield "```"
    yield ""
    records = [one.get_help_record(context) for one in command.params if one.name != "help"]
    yield from table(("argument or option", "meaning"), [(f"`{name}`", text) for name, text in filter(None, records)])
