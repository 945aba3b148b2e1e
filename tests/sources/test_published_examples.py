"""The connectors against their vendors' own example answers, as published.

The answers are not ours to hand on. Without the folder that holds them (``MILLSTREAM_PUBLISHED_EXAMPLES``, see
docs/sources/published-examples.md) only the list of them is tested.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import responses

from millstream.sources.pull import Window
from millstream.sources.registry import SOURCES
from tests.sources.loading import loads
from tests.sources.published import FOLDER, MANIFEST, UNPUBLISHED, Example
from tests.sources.published_accounts import Account, make_source

DOCS = Path(__file__).parents[2] / "docs" / "sources" / "published-examples.md"
VENDORS = ("hubspot", "ga4", "surveymonkey")


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_stream_has_an_example_or_a_reason_for_none(vendor: str) -> None:
    streams = {stream.name for stream in make_source(vendor).streams()}
    shown = {example.stream for example in MANIFEST if example.vendor == vendor}
    missing = {stream for of, stream in UNPUBLISHED if of == vendor}
    assert shown | missing == streams
    assert not shown & missing


@pytest.mark.parametrize("example", MANIFEST, ids=str)
def test_an_example_names_a_column_that_its_stream_declares(example: Example) -> None:
    stream = next(one for one in make_source(example.vendor).streams() if one.name == example.stream)
    assert not example.records or example.column in {column.name for column in stream.columns}


def test_the_list_is_of_registered_sources_and_documented() -> None:
    assert {example.vendor for example in MANIFEST} == set(VENDORS) <= set(SOURCES.names())
    told = DOCS.read_text()
    assert [str(one) for one in MANIFEST if f"`{one.vendor}/{one.file}.json`" not in told] == []


if FOLDER is not None:

    @pytest.mark.parametrize("example", MANIFEST, ids=str)
    def test_a_published_answer_arrives_whole(example: Example, tmp_path: Path) -> None:
        assert FOLDER is not None
        store = loads(tmp_path, example.vendor)
        before = {"subscription_statuses": ("contacts",)}.get(example.stream, ())
        source = make_source(example.vendor, streams=(*before, example.stream))
        window = Window.of_days(date(2014, 1, 1), datetime.now(UTC).date()) if example.window else None
        with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
            account = Account(vendor, example, FOLDER)
            reports = store.run(source, window=window)
        keys = example.keys(FOLDER)
        assert account.served == 1
        assert [str(report.error) for report in reports.values() if report.error] == []
        assert reports[example.stream].status == "complete"
        assert len(keys) == example.records
        found = store.sql(f"SELECT DISTINCT CAST({example.column} AS VARCHAR) FROM {example.stream}") if keys else []
        assert set(keys) <= {value for (value,) in found}
