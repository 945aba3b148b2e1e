"""The demo's project: its folder, its made-up credentials, and the sandbox it looks for."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from millstream.state.errors import ConfigurationError

SANDBOX_URL = "http://127.0.0.1:8790"
"""Where the demo's project file looks for the sandbox."""
CREDENTIALS = {
    "HUBSPOT_ACCESS_TOKEN": "pat-sandbox-hubspot",
    "GA4_CLIENT_SECRET": "sandbox-secret",
    "GA4_REFRESH_TOKEN": "sandbox-refresh",
    "SURVEYMONKEY_ACCESS_TOKEN": "sandbox-surveymonkey",
    "MAILCHIMP_API_KEY": "sandbox-mailchimp-us1",
}
"""Made-up credentials under the names that the project file refers to; they open nothing but the sandbox."""
MARK = "environment"  # a folder with this file was made by a demo, and may be emptied by the next


def emptied_folder(folder: Path, *, keep: bool) -> Path:
    """The demo's folder, emptied unless it is to be kept.

    Raises:
        ConfigurationError: The folder has something in it that no demo put there.
    """
    folder = folder.resolve()
    if folder.exists() and not keep:
        if any(folder.iterdir()) and not (folder / MARK).exists():
            raise ConfigurationError(
                f"{folder} is not empty and no demo made it.", remedy="name another one with --folder."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_project_file(folder: Path, sandbox_url: str) -> Path:
    """The project of `millstream init --sandbox`, pointed at the port that the sandbox got."""
    from millstream.flows.project.template import project_text, write_project

    path = folder / "millstream.yaml"
    if not path.exists():
        list(write_project(folder, sandbox=True))
    path.write_text(project_text(sandbox=True).replace(SANDBOX_URL, sandbox_url), encoding="utf-8")
    return path


def write_environment(path: Path, environment: dict[str, str]) -> None:
    """A file to source in another terminal, so that `millstream` there works on the demo's project."""
    commands = Path(sys.executable).parent
    lines = [f"export PATH={shlex.quote(str(commands))}:$PATH"]
    lines += ["# The sandbox's made-up credentials: they open nothing but the sandbox."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
