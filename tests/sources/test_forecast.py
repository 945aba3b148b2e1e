"""When a load will be finished, and what a day's budget does to it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from millstream.sandbox import Sandbox
from millstream.sources import dlt_source
from millstream.sources.dlt_source import SourcePull
from millstream.sources.forecast import Announced, Forecast, forecast
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pull import pace_of
from millstream.sources.shift4shop import Shift4Shop, Shift4ShopSettings
from millstream.sources.testing import SandboxStandIn
from millstream.state.errors import QuotaExhaustedError
from millstream.state.http import RateLimit
from millstream.state.ledger.journal import Journal
from millstream.state.store import DuckDBStore
from tests.sources.loading import QUICK

LIMIT = RateLimit(requests=2, seconds=1.0)


class TestForecast:
    def test_it_goes_by_what_a_request_brought_and_the_allowed_rate(self) -> None:
        left = forecast(Announced(rows=1_000), rows=200, made=2, seconds=0.1, limit=LIMIT, left_today=None)
        assert left
        assert (left.requests, left.fits_today, left.days) == (8, True, 0)
        assert timedelta(seconds=3) < left.ends_at - datetime.now(UTC) <= timedelta(seconds=4)
        assert not left.is_worth_saying

    def test_it_goes_by_the_load_itself_where_that_is_slower(self) -> None:
        left = forecast(Announced(rows=101_000), rows=1_000, made=10, seconds=20.0, limit=LIMIT, left_today=None)
        assert left
        assert left.ends_at - datetime.now(UTC) > timedelta(seconds=1_990)
        assert left.is_worth_saying
        words = (
            r"1,000 of 101,000 rows read; about 1,000 more requests; at the allowed rate finished at .*\d\d:\d\d UTC\."
        )
        assert re.fullmatch(words, str(left))

    def test_a_budget_that_is_not_enough_says_for_how_many_days(self) -> None:
        limit = RateLimit(requests=2, seconds=1.0, daily=100)
        left = forecast(Announced(rows=30_000), rows=1_000, made=10, seconds=5.0, limit=limit, left_today=90)
        assert left
        assert (left.requests, left.fits_today, left.days, left.is_worth_saying) == (290, False, 2, True)
        assert str(left) == (
            "1,000 of 30,000 rows read; about 290 more requests, and 90 are allowed today: about 2 more days."
        )
        assert left.as_json()["ends_at"] is None

    def test_nobody_knows_the_days_where_nobody_knows_the_budget(self) -> None:
        left = forecast(Announced(rows=10), rows=1, made=1, seconds=1.0, limit=LIMIT, left_today=3)
        assert left
        assert left.days is None
        assert str(left).endswith("and 3 are allowed today: over more than one day.")

    @pytest.mark.parametrize(("rows", "expected", "made"), [(0, 10, 3), (10, 10, 3), (11, 10, 3), (5, 10, 0)])
    def test_there_is_none_before_the_first_rows_and_after_the_last(self, rows: int, expected: int, made: int) -> None:
        assert forecast(Announced(expected), rows=rows, made=made, seconds=1.0, limit=LIMIT, left_today=None) is None

    def test_it_goes_by_requests_where_nobody_knows_how_many_rows_they_bring(self) -> None:
        left = forecast(Announced(requests=500), rows=7, made=4, seconds=2.0, limit=LIMIT, left_today=None)
        assert left
        assert (left.expected, left.requests) == (None, 496)
        assert str(left).startswith("7 rows read; about 496 more requests; at the allowed rate finished at ")
        assert forecast(Announced(requests=4), rows=7, made=4, seconds=2.0, limit=LIMIT, left_today=None) is None

    def test_the_end_of_a_budget_names_the_moment_to_go_on(self) -> None:
        left = Forecast(412_000, 1_000_000, 5_880, datetime.now(UTC), left_today=0, a_day=3_000)
        said = left.after_the_budget(datetime(2126, 11, 24, tzinfo=UTC))
        assert said == "412,000 of 1,000,000 rows read; continue after 2126-11-24 00:00 UTC, about 2 more days."


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=300, limits=False) as sandbox:
        yield sandbox


class World:
    """A store and a journal, which outlive the runs."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self._folder, self._sandbox = folder, sandbox
        self.store = DuckDBStore(folder / "store.duckdb")
        self.vendor = SandboxStandIn(sandbox.url, "shift4shop")
        self.vendor.clear()

    def source(self, **settings: Any) -> Shift4Shop:
        facts: dict[str, Any] = {
            "secure_url": "https://sandbox.3dcartstores.com",
            "private_key": SecretStr("sandbox-shift4shop-key"),
            "token": SecretStr("sandbox-shift4shop-token"),
            "requests_per_second": 1000,
            "page_size": 10,
            "streams": ("orders",),
        }
        url = f"{self._sandbox.system_url('shift4shop')}/3dCartWebAPI/v1"
        return Shift4Shop(Shift4ShopSettings(base_url=url, **{**facts, **settings}))

    def run(self, journal: str = "journal.db", **settings: Any) -> IngestReport:
        """One run with a journal connection of its own, as a process has it."""
        opened = Journal(f"sqlite:///{journal}", root=self._folder)
        try:
            pull = SourcePull(self.source(**settings), retries=QUICK, budgets=opened.budgets)
            return ingest(pull, self.store, name="shop", pipelines=self._folder / "dlt")
        finally:
            opened.close()

    def rows(self) -> int:
        with self.store.open() as connection:
            found = connection.execute("SELECT count(*) FROM raw_shop.orders").fetchone()
        return int(found[0]) if found else 0


class TestDaysBudget:
    def test_a_budget_that_ends_a_load_says_how_far_it_came_and_when_it_goes_on(
        self, sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        world = World(tmp_path, sandbox)
        with caplog.at_level(logging.INFO, logger="millstream.sources.dlt_source"):
            report = world.run(requests_per_day=12)
        (stream,) = report.streams
        assert world.vendor.requests_seen() == 12
        assert stream.status == "partial"
        assert isinstance(stream.error, QuotaExhaustedError)
        words = str(stream.error)
        assert re.search(r"shop\.orders: The vendor's budget of requests for today is used up\. It renews in ", words)
        assert re.search(r"\b\d+ of \d+ rows read; continue after \d{4}-\d\d-\d\d 00:00 UTC, about \d more day", words)
        assert stream.forecast
        assert (stream.forecast.rows, stream.rows) == (world.rows(), world.rows())
        assert report.as_json()["streams"][0]["forecast"]["days"] == stream.forecast.days
        (first, *_) = [record for record in caplog.records if "are allowed today" in record.message]
        assert first.levelno == logging.WARNING
        assert first.message.startswith("shop.orders: ")

    def test_all_runs_of_a_day_share_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        world = World(tmp_path, sandbox)
        world.run(requests_per_day=12)
        read = world.rows()
        world.vendor.clear()
        again = world.run(requests_per_day=12)
        assert world.vendor.requests_seen() == 0
        assert again.streams[0].status == "partial"
        assert world.rows() == read > 0

    def test_the_next_days_budget_finishes_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        world = World(tmp_path, sandbox)
        world.run(requests_per_day=12)
        # Another journal knows nothing of what was spent, as the same one does not on the next day.
        report = world.run("next_day.db", requests_per_day=1_000)
        assert report.ok
        whole = World(tmp_path / "whole", sandbox)
        (tmp_path / "whole").mkdir()
        whole.run()
        assert world.rows() == whole.rows() > 100

    def test_a_setting_only_lowers_what_the_connector_declares(self, sandbox: Sandbox, tmp_path: Path) -> None:
        world = World(tmp_path, sandbox)

        class Metered(Shift4Shop):
            def pace(self) -> RateLimit:
                return RateLimit(requests=1, seconds=1.0, daily=50)

        for given, expected in ((None, 50), (20, 20), (90, 50)):
            assert pace_of(Metered(world.source(requests_per_day=given).settings)).daily == expected

    def test_whoever_draws_progress_is_told_with_every_table(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dlt_source, "CHUNK_ROWS", 1)
        world, told = World(tmp_path, sandbox), list[tuple[str, int, int | None]]()
        pull = SourcePull(
            world.source(),
            retries=QUICK,
            forecasts=lambda stream, left: told.append((stream, left.rows, left.expected)),
        )
        ingest(pull, world.store, name="shop", pipelines=tmp_path / "dlt")
        assert len(told) > 10
        assert {expected for _, _, expected in told} == {world.rows()}
        assert [rows for _, rows, _ in told] == sorted(rows for _, rows, _ in told)
