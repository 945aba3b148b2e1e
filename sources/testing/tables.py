"""The contract suite of sources without an API: files, databases, and whatever else yields tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol

import pytest

from millstream.sources.check import check_source
from millstream.sources.pull import Window
from millstream.sources.testing.suite import DeclaredContract, MakeSource, Pulled

ROWS = 300
PART_ROWS = 100


class TableStandIn(Protocol):
    """What the suite needs of the thing that is read."""

    def add(self, first: int, rows: int) -> None:
        """Make rows with the keys from ``first`` on; what was there stays."""

    def remove(self, key: int) -> None:
        """Take a row away, in a way that the source is set to notice."""

    def hide(self) -> None:
        """Be gone: the folder, the table."""


class Killed(BaseException):
    """The end of a run in the middle of it, which nothing catches."""


class TableSourceContract(DeclaredContract):
    """Tests of one source that reads tables; a subclass gives the fixtures that raise here.

    Attributes:
        stream: The stream that the stand-in fills.
        rereads: The most rows that a pull may read again although nothing changed, because of a lookback.
        marks_deleted: False where rows are never taken away, as those of messages that were received.
        wrong_credential: Settings that make the credential a wrong one; empty where there is none.
    """

    stream: ClassVar[str]
    rereads: ClassVar[int] = 0
    marks_deleted: ClassVar[bool] = True
    wrong_credential: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def stand_in(self) -> TableStandIn:
        """What is read; it holds some rows."""
        raise NotImplementedError("give a fixture 'stand_in'")

    def test_a_second_pull_asks_for_nothing_new(self, make: MakeSource, pulled: Pulled) -> None:
        pulled.pull(make())
        before = pulled.everything(make())
        second = pulled.pull(make())
        assert [str(error) for error in second.errors] == []
        assert second.rows <= self.rereads
        assert pulled.everything(make()) == before

    def test_a_later_pull_reads_what_is_new(self, make: MakeSource, pulled: Pulled, stand_in: TableStandIn) -> None:
        pulled.pull(make())
        before = len(pulled.rows(make(), self.stream))
        stand_in.add(10_000, 3)
        report = pulled.pull(make())
        assert [str(error) for error in report.errors] == []
        assert 3 <= report.rows <= 3 + self.rereads
        assert len(pulled.rows(make(), self.stream)) == before + 3

    def test_a_killed_pull_goes_on_where_its_last_part_was_loaded(
        self, make: MakeSource, pulled: Pulled, stand_in: TableStandIn
    ) -> None:
        stand_in.add(20_000, ROWS)
        seen: list[int] = []

        def kill(stream: str, rows: int) -> None:
            if stream == self.stream:
                seen.append(rows)
            if rows > 2 * PART_ROWS:
                raise Killed

        with pytest.raises(Killed):
            pulled.pull(make(), part_rows=PART_ROWS, progress=kill)
        loaded = len(pulled.rows(make(), self.stream))
        assert loaded >= PART_ROWS
        assert seen == sorted(seen), "progress counts on over the parts"
        report = pulled.pull(make(), part_rows=PART_ROWS)
        assert [str(error) for error in report.errors] == []
        whole = len(pulled.rows(make(), self.stream))
        assert report.rows <= whole - loaded + max(self.rereads, 1)
        pulled.pull(make(), full=True)
        assert len(pulled.rows(make(), self.stream)) == whole

    def test_parts_load_what_one_load_does(self, make: MakeSource, pulled: Pulled, stand_in: TableStandIn) -> None:
        stand_in.add(20_000, ROWS)
        parts = pulled.pull(make(), part_rows=PART_ROWS)
        before = pulled.everything(make())
        whole = pulled.pull(make(), full=True)
        assert parts.ok
        assert (parts.rows, {one.stream: one.loaded for one in parts.streams}) == (
            whole.rows,
            {one.stream: one.loaded for one in whole.streams},
        )
        assert pulled.everything(make()) == before

    def test_deleted_rows_are_marked_and_stay(self, make: MakeSource, pulled: Pulled, stand_in: TableStandIn) -> None:
        if not self.marks_deleted:
            return
        stand_in.add(30_000, 2)
        pulled.pull(make())
        before = len(pulled.rows(make(), self.stream))
        stand_in.remove(30_001)
        report = pulled.pull(make())
        assert [str(error) for error in report.errors] == []
        with pulled.store.open() as connection:
            gone = connection.execute(f"SELECT id FROM raw_{make().name}.{self.stream} WHERE _deleted").fetchall()
        assert gone == [(30_001,)]
        assert len(pulled.rows(make(), self.stream)) == before

    def test_a_backfill_leaves_the_place_alone(self, make: MakeSource, pulled: Pulled) -> None:
        pulled.pull(make())
        before = pulled.everything(make())
        end = datetime.now(UTC) + timedelta(minutes=1)
        report = pulled.pull(make(), window=Window(end - timedelta(days=20), end))
        assert [str(error) for error in report.errors] == []
        assert pulled.everything(make()) == before
        assert pulled.pull(make()).rows <= self.rereads

    def test_what_is_gone_is_named_and_loses_nothing(
        self, make: MakeSource, pulled: Pulled, stand_in: TableStandIn
    ) -> None:
        pulled.pull(make())
        before = pulled.rows(make(), self.stream)
        stand_in.hide()
        report = pulled.pull(make())
        assert not report.ok
        assert all("What to do" in str(error) for error in report.errors)
        assert any(f"{make().name}.{self.stream}" in str(error) for error in report.errors)
        assert pulled.rows(make(), self.stream) == before
        (result,) = check_source(make(), name="it")
        assert not result.ok
        assert result.remedy

    def test_what_is_there_checks_out(self, make: MakeSource) -> None:
        assert [result for result in check_source(make(), name="it") if not result.ok] == []

    def test_a_wrong_credential_is_named_and_not_shown(self, make: MakeSource) -> None:
        if not self.wrong_credential:
            return
        (result,) = check_source(make(**self.wrong_credential), name="it")
        assert (result.ok, result.problem) == (False, "credentials")
        assert result.remedy
        for value in self.wrong_credential.values():
            assert str(value) not in result.detail
