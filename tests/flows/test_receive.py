"""``millstream receive`` as a process: killed, asked to end, out of disk; and what a project file says wrong."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
import requests

from millstream.flows.project import load_project
from millstream.flows.steps import Workspace, ingest
from millstream.state.errors import ConfigurationError
from tests.flows.calling import call

KEY = "wk-web-1"
PROJECT = """name: shop
connections:
  segment:
    system: segment
    write_keys: {web: {env: WEB_KEY}}
    webhooks: {shop: {secret: {env: HOOK_SECRET}, header: X-Shop-Signature}}
    free_disk_mb: 0
sources:
  segment: {connection: segment, streams: [tracks]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEB_KEY", KEY)
    monkeypatch.setenv("HOOK_SECRET", "whsec")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "millstream.yaml"
    path.write_text(PROJECT, encoding="utf-8")
    return path


class Receiver:
    """A receiver in a process of its own."""

    def __init__(self, project: Path, limits: Callable[[], None] | None = None) -> None:
        command = [sys.executable, "-c", "from millstream.flows.cli import main; main()", "receive", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "-p", str(project)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limits,  # noqa: PLW1509 - before the only thread of the child starts
        )
        assert self.process.stdout
        self.url = re.findall(r"http://127\.0\.0\.1:\d+", self.process.stdout.readline())[0]

    def send(self, session: requests.Session, key: str, **message: object) -> requests.Response:
        """Send one event."""
        body = {"writeKey": KEY, "messageId": key, "userId": "u-1", "event": "Bought", **message}
        return session.post(f"{self.url}/v1/track", json=body, timeout=30)

    def end(self, number: int) -> int:
        """Send the process a signal, and wait for its end."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def said(self) -> str:
        """What it wrote to standard error, once it has ended."""
        error: IO[str] | None = self.process.stderr
        assert error
        return error.read()


@contextmanager
def receiving(project: Path, limits: Callable[[], None] | None = None) -> Iterator[Receiver]:
    receiver = Receiver(project, limits)
    try:
        yield receiver
    finally:
        receiver.process.kill()
        receiver.process.communicate()


class Senders:
    """Threads that send one event after the other, and note those that were answered with 200."""

    def __init__(self, receiver: Receiver, name: str, *, threads: int = 4) -> None:
        self._receiver = receiver
        self._end = threading.Event()
        self.sent: list[str] = []
        self.kept: list[str] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(f"{name}-{number}",)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _send(self, name: str) -> None:
        number = 0
        with requests.Session() as session:
            while not self._end.is_set():
                number += 1
                key = f"{name}-{number}"
                self.sent.append(key)
                try:
                    answer = self._receiver.send(session, key)
                except requests.RequestException:
                    self.failed.append(key)
                    return
                (self.kept if answer.status_code == 200 else self.failed).append(key)

    def wait_for(self, kept: int) -> None:
        """Wait until so many were answered."""
        deadline = time.monotonic() + 60
        while len(self.kept) < kept and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.kept) >= kept

    def end(self) -> None:
        """Have all threads end."""
        self._end.set()
        for thread in self._threads:
            thread.join()


def load(project: Path) -> None:
    report = ingest(Workspace.open(load_project(project)), "segment")
    assert [str(error) for error in report.errors] == []


def loaded(project: Path) -> list[str]:
    with Workspace.open(load_project(project)).store.open() as connection:
        return [key for (key,) in connection.execute("SELECT message_id FROM raw_segment.tracks").fetchall()]


def test_a_kill_loses_nothing_that_was_answered_and_doubles_nothing(project: Path) -> None:
    with receiving(project) as first:
        senders = Senders(first, "first")
        senders.wait_for(200)
        load(project)  # while it receives
        senders.wait_for(400)
        first.end(signal.SIGKILL)
        senders.end()
    assert 400 <= len(senders.kept) < len(senders.sent)
    with receiving(project) as second, requests.Session() as session:
        for key in (*senders.failed, *senders.kept[-50:]):  # as a sender does who is not sure
            assert second.send(session, key).status_code == 200
        load(project)
        assert second.end(signal.SIGTERM) == 0
    load(project)
    assert sorted(loaded(project)) == sorted(senders.sent)
    assert list((project.parent / ".millstream" / "spool").iterdir()) == []


def test_what_has_begun_is_finished_before_the_end(project: Path) -> None:
    with receiving(project) as receiver:
        senders = Senders(receiver, "last", threads=8)
        senders.wait_for(100)
        assert receiver.end(signal.SIGTERM) == 0
        senders.end()
        assert receiver.said() == ""
    load(project)
    assert set(loaded(project)) >= set(senders.kept)
    assert len(set(loaded(project)) - set(senders.kept)) <= len(senders.failed)


def test_a_disk_that_takes_no_more_is_told_and_loses_nothing(project: Path) -> None:
    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    with receiving(project, limits) as receiver, requests.Session() as session:
        statuses = {}
        for number in range(20):
            answer = receiver.send(session, f"m-{number}", properties={"text": "x" * 20_000})
            statuses[f"m-{number}"] = answer.status_code
            if answer.status_code != 200:
                assert (answer.status_code, answer.headers["Retry-After"]) == (507, "30")
        assert set(statuses.values()) == {200, 507}
        assert receiver.end(signal.SIGTERM) == 0
        assert "The spool cannot be written: File too large" in receiver.said()
    load(project)
    assert sorted(loaded(project)) == sorted(key for key, status in statuses.items() if status == 200)


def test_an_address_that_is_taken_is_one_message(project: Path) -> None:
    with receiving(project) as receiver:
        port = receiver.url.rpartition(":")[2]
        result = call("receive", "--port", port)
    assert result.exit_code == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in result.stderr


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        (("env: WEB_KEY", "env: NO_KEY"), [], "the environment variable NO_KEY is not set"),
        (("{env: WEB_KEY}", KEY), [], "a secret does not stand in the project file"),
        (("{env: HOOK_SECRET}", "whsec"), [], "a secret does not stand in the project file"),
        (("secret: {env: HOOK_SECRET}, ", ""), [], "webhooks"),
        (("", ""), ["segmint"], "did you mean 'segment'?"),
        (("  segment: {connection: segment, streams: [tracks]}", "  {}"), [], "No source of the project can receive"),
    ],
)
def test_what_is_wrong_is_said_before_it_starts(
    project: Path, change: tuple[str, str], arguments: list[str], said: str
) -> None:
    project.write_text(PROJECT.replace(*change) if change[0] else PROJECT, encoding="utf-8")
    with suppress(ConfigurationError):
        result = call("receive", "--port", "0", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")
    assert not (project.parent / ".millstream").exists()


def test_a_webhooks_other_settings_may_stand_in_the_project_file(project: Path) -> None:
    source = load_project(project).source("segment")
    assert source.settings.model_dump()["webhooks"]["shop"]["header"] == "X-Shop-Signature"
    assert os.environ["HOOK_SECRET"] not in repr(source.settings)
