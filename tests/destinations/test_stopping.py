"""Signals: they only ask, are passed on afterwards, and act at once when they come twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from millstream.destinations.stopping import STOP, settled_on_signal


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """As a command has them, whatever started the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_asks_and_is_done_with() -> None:
    with settled_on_signal():
        signal.raise_signal(signal.SIGTERM)
        assert STOP.is_set()
    assert not STOP.is_set()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_asks_and_interrupts_once_all_is_settled() -> None:
    done = []

    def work() -> None:
        with settled_on_signal():
            signal.raise_signal(signal.SIGINT)
            assert STOP.is_set()
            done.append("settled")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["settled"]
    assert not STOP.is_set()


def test_who_handled_the_signal_before_hears_of_it() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with settled_on_signal(), settled_on_signal():
        signal.raise_signal(signal.SIGTERM)
        assert heard == []
    assert heard == [signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with settled_on_signal():
        signal.raise_signal(signal.SIGINT)
        assert not STOP.is_set()


def test_a_second_signal_acts_at_once() -> None:
    code = """
import signal
from millstream.destinations.stopping import settled_on_signal
with settled_on_signal():
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGTERM
