"""Planning and settling have one of DuckDB's threads, each of which takes memory; what comes after them has all."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from millstream.state.store import Connection
from tests.destinations.bench import PEOPLE, Bench, MakeBench

_DELIVERY = import_module("millstream.destinations.delivery")
_SETTLE = import_module("millstream.destinations.settling.settle")  # its package has a function of this name


def _threads(connection: Connection) -> int:
    row = connection.execute("SELECT current_setting('threads')").fetchone()
    assert row is not None
    return int(row[0])


def _threads_of_next(bench: Bench) -> int:
    with bench.store.open() as connection:
        return _threads(connection)


def _noting(work: Callable[..., Any], found: list[int]) -> Callable[..., Any]:
    """The same work, which notes how many threads there are for it."""

    def noted(connection: Connection, *facts: Any, **options: Any) -> Any:
        found.append(_threads(connection))
        return work(connection, *facts, **options)

    return noted


@pytest.mark.parametrize("source", [{}, {"table": None, "sql": "SELECT * FROM crm.wanted"}], ids=["table", "sql"])
def test_settling_has_one_thread_and_gives_the_others_back(
    on_duckdb: MakeBench, monkeypatch: pytest.MonkeyPatch, source: dict[str, object]
) -> None:
    planning: list[int] = []
    settling: list[int] = []
    monkeypatch.setattr(_DELIVERY, "make_plan", _noting(_DELIVERY.make_plan, planning))
    monkeypatch.setattr(_SETTLE, "acknowledge", _noting(_SETTLE.acknowledge, settling))
    with on_duckdb(**source) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        usual = _threads_of_next(bench)
        assert bench.run().accepted == len(PEOPLE)
        assert planning == [usual if "sql" in source else 1]
        assert settling == [1]
        assert _threads_of_next(bench) == usual
