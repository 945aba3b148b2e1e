"""``python -m tests.report_picture``: the picture of the report in its documentation, of the sandbox's company.

Everything is run as the demo runs it; the picture is what a reader sees first.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from millstream.flows import steps
from millstream.flows.demo.project import CREDENTIALS, SANDBOX_URL
from millstream.flows.project import load_project
from millstream.flows.project.template import project_text
from millstream.flows.report import report_run
from millstream.sandbox import Sandbox
from tests.chromium import browser

PICTURE = Path(__file__).parents[1] / "docs" / "report.png"
_DRAWN = "document.documentElement.dataset.drawn !== undefined"
_WIDTH, _HEIGHT = 1180, 1560


def main(*, people: int = 2000, keep: Path | None = None) -> None:
    """Write the picture.

    Args:
        people: Size of the company.
        keep: Where to leave the page as well.
    """
    os.environ.update(CREDENTIALS)
    with TemporaryDirectory() as folder, Sandbox(people=people, limits=False) as sandbox:
        path = Path(folder) / "millstream.yaml"
        path.write_text(project_text(sandbox=True).replace(SANDBOX_URL, sandbox.url), encoding="utf-8")
        workspace = steps.Workspace.open(load_project(path))
        report = steps.run_all(workspace)
        assert report.resolved.profiles, "nobody was found"
        page = report_run(workspace).path
        workspace.journal.close()
        assert page is not None
        if keep:
            shutil.copy(page, keep)
        with browser() as tab:
            tab.size(_WIDTH, _HEIGHT)
            tab.prefer("light")
            tab.open(page, until=_DRAWN)
            PICTURE.write_bytes(tab.screenshot())


if __name__ == "__main__":
    main(keep=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
