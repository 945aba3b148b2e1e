"""Commands called in this process, and what the docs promise of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from millstream.flows.cli.application import declare_commands

DOCS = Path(__file__).parents[2] / "docs"


def call(*arguments: str) -> Result:
    """What a command gave back."""
    return CliRunner().invoke(declare_commands(), list(arguments))


def call_json(*arguments: str, ok: bool = True) -> Any:
    """The document that a command prints with ``--json``."""
    result = call(*arguments, "--json")
    assert (result.exit_code == 0) is ok, result.output
    return json.loads(result.stdout)


def documented_keys(command: str) -> set[str]:
    """The keys that the docs promise for a command's JSON document."""
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{command}` \| (.+) \|$", text, re.MULTILINE)
    assert row, f"docs/cli.md says nothing of the JSON of {command}"
    return set(re.findall(r"`(\w+)`", row[1]))
