"""What is said of a pull while it is on its way."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from millstream.flows.artifacts import progress as artifacts_progress
from millstream.flows.artifacts.progress import PullProgress
from millstream.flows.steps import Progress
from millstream.sources.forecast import Forecast


def left(rows: int, expected: int | None = 1_000) -> Forecast:
    return Forecast(rows, expected, 80, datetime.now(UTC) + timedelta(hours=2))


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Percent and description of the bar in the UI, each time it is drawn."""
    drawn: list[tuple[float, str]] = []

    def create(percent: float, *, key: str, description: str) -> UUID:
        drawn.append((percent, description))
        return uuid4()

    def update(_: UUID, percent: float, *, description: str) -> None:
        drawn.append((percent, description))

    monkeypatch.setattr(artifacts_progress, "get_run_logger", lambda: logging.getLogger("a run"))
    monkeypatch.setattr(artifacts_progress, "create_progress_artifact", create)
    monkeypatch.setattr(artifacts_progress, "update_progress_artifact", update)
    monkeypatch.setattr(artifacts_progress, "_UPDATE_SECONDS", 0.0)
    monkeypatch.setattr(artifacts_progress, "_LONG_PULL_SECONDS", 0.0)
    return drawn


def test_a_pull_says_when_it_will_be_finished_where_the_vendor_said_how_many_rows(
    bars: list[tuple[float, str]], caplog: pytest.LogCaptureFixture
) -> None:
    progress = PullProgress("shop", "key", ["products", "orders"])
    with caplog.at_level(logging.INFO, logger="a run"):
        progress("shop", "products", 10)
        progress.foretell("shop", "orders", left(200))
        progress("shop", "orders", 200)
    assert bars[0] == (0.0, "shop: reading products, 10 rows so far")
    percent, description = bars[1]
    assert percent == 60.0
    assert description.startswith(
        "shop: reading orders, 200 of 1,000 rows read; about 80 more requests; at the allowed"
    )
    assert caplog.messages[-1].startswith("shop.orders: 200 of 1,000 rows read")


def test_the_bar_counts_streams_where_nobody_knows_how_many_rows_there_are(bars: list[tuple[float, str]]) -> None:
    progress = PullProgress("shop", "key", ["products", "orders"])
    progress.foretell("shop", "orders", left(200, expected=None))
    progress("shop", "orders", 200)
    assert bars[0][0] == 50.0
    assert "200 rows read; about 80 more requests" in bars[0][1]


def test_forecasts_go_to_whoever_shows_progress_with_the_sources_name() -> None:
    told: list[tuple[str, str, int]] = []
    progress = Progress(foretold=lambda source, stream, what: told.append((source, stream, what.rows)))
    forecasts = progress.forecasts_of("shop")
    assert forecasts
    forecasts("orders", left(7))
    assert told == [("shop", "orders", 7)]
    assert Progress().forecasts_of("shop") is None
