"""``make demo``: it runs by itself, says what it did, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millstream.flows.demo.__main__ import main
from millstream.flows.demo.project import CREDENTIALS
from millstream.flows.project import load_project
from tests.flows.conftest import write_project


def test_the_credentials_are_those_that_the_project_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    project = load_project(write_project(tmp_path))
    project.require(sources=project.sources, destinations=project.destinations)


def test_it_never_empties_a_folder_that_is_not_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "precious").write_text("", encoding="utf-8")
    assert main(["--folder", str(tmp_path)]) == 2
    assert (tmp_path / "precious").exists()
    assert "no demo made it" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestWithoutATerminal:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("demo")

    def test_it_shows_what_the_run_did_and_ends(self, folder: Path) -> None:
        done = start(folder)
        said, complaints = done.communicate(timeout=800)
        assert done.returncode == 0, said + complaints
        for title in ("Rows pulled", "People found", "Audiences", "Rows sent"):
            assert title in said
        for name in ("surveymonkey", "promoters", "cart_abandoners_to_mailchimp"):
            assert name in said
        assert re.search(r"See it in Prefect: http://127\.0\.0\.1:\d+/", said)
        page = re.search(r"Open the report: (.+\.html)", said)
        assert page
        assert Path(page[1]).read_text(encoding="utf-8").startswith("<!doctype html>")
        assert "millstream run" in said
        assert processes_of(folder) == []

    def test_a_stopped_demo_takes_everything_down(self, folder: Path) -> None:
        demo = start(folder, "--keep")
        deadline = time.monotonic() + 300
        # the server, the worker, and the run's own process
        while len(processes_of(folder)) < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
        demo.send_signal(signal.SIGTERM)
        said, complaints = demo.communicate(timeout=120)
        assert demo.returncode == 130, said + complaints
        assert "Stopped." in said
        assert processes_of(folder) == []


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    where = ["--people", "300", "--folder", str(folder / "demo")]
    return subprocess.Popen(
        [sys.executable, "-m", "millstream.flows.demo", *where, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    )


def processes_of(folder: Path) -> list[int]:
    """Processes that work for the demo in a folder: its Prefect home stands in their environment."""
    mark = f"PREFECT_HOME={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked, or is not ours
    return found
