"""Processes started for the demo end with it, and so do those that they started."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from millstream.flows.demo import local_prefect
from millstream.flows.demo.local_prefect import LocalPrefect

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""


def alive(group: int) -> list[str]:
    """States of the processes of a group that have not ended."""
    states = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = entry.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue  # it ended while we looked
        if int(of) == group and state != "Z":
            states.append(state)
    return states


def test_whoever_outlives_its_parent_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_prefect, "_STOP_SECONDS", 0.5)
    package = tmp_path / "prefect"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PARENT, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    prefect = LocalPrefect(tmp_path / "home", port=1)
    prefect.home.mkdir()
    worker = prefect.start_worker("millstream", folder=tmp_path)
    while "ready" not in prefect.log("worker").read_text(encoding="utf-8"):
        assert worker.poll() is None, prefect.log("worker").read_text(encoding="utf-8")
        time.sleep(0.02)
    assert len(alive(worker.pid)) == 2
    prefect.stop()
    time.sleep(0.2)
    assert alive(worker.pid) == []
