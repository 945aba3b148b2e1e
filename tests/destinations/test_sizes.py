"""Batches and jobs keep what a vendor takes in bytes; some take more in a job than in a request."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from millstream.destinations.contract import Destination, DestinationSettings
from millstream.destinations.marketo import Marketo
from millstream.destinations.segment import Segment, SegmentSettings
from millstream.destinations.sending.plan_rows import PlanRows
from millstream.destinations.sending.sizes import of_fitting_size
from millstream.destinations.sync import Sync
from tests.destinations.marketo_world import row, settings


def test_a_job_may_be_larger_than_a_request() -> None:
    marketo = Marketo(settings())
    rows = [row(f"p{number}@box.example", number, note="x" * 30_000) for number in range(400)]
    destination = cast(Destination[DestinationSettings], marketo)
    batches = list(of_fitting_size([(rows, {})], destination, marketo.batch_size))
    jobs = list(of_fitting_size([(rows, {})], destination, marketo.job_size, as_job=True))
    assert [sum(map(marketo.row_bytes, batch)) < 1_000_000 for batch, _ in batches] == [True] * len(batches)
    assert [sum(map(marketo.row_bytes, job)) < 10_000_000 for job, _ in jobs] == [True] * len(jobs)
    assert (len(batches), len(jobs)) == (13, 2)


def test_a_plan_cuts_its_jobs_by_what_a_job_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marketo, "job_from", 100)
    rows = [
        {
            "number": number,
            "operation": "add",
            "match_value": f"p{number}@box.example",
            "external_id": None,
            "fields": orjson.dumps({"note": "x" * 30_000}).decode(),
            "field_hashes": "{}",
            "known_hashes": None,
        }
        for number in range(100)
    ]
    schema = pa.schema([(name, pa.int32() if name == "number" else pa.string()) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "plan.parquet")
    sync = Sync(destination="marketo", table="raw.people", into="VIP", fields={"note": "note"}, consent="not_needed")
    destination = cast(Destination[DestinationSettings], Marketo(settings()))
    (batch,) = (one for one in PlanRows(tmp_path / "plan.parquet", sync, destination).batches() if one.rows)
    assert (batch.as_job, len(batch.rows)) == (True, 100)


def test_those_who_leave_are_cut_by_bytes_too(tmp_path: Path) -> None:
    rows = [
        {
            "number": number,
            "operation": "remove",
            "match_value": f"user-{number}",
            "external_id": None,
            "fields": "{}",
            "field_hashes": "{}",
            "known_hashes": None,
        }
        for number in range(1250)
    ]
    schema = pa.schema([(name, pa.int32() if name == "number" else pa.string()) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "plan.parquet")
    sync = Sync(destination="segment", table="raw.people", into="VIP", match={"user_id": "id"}, consent="not_needed")
    segment = Segment(SegmentSettings(write_key=SecretStr("key")))
    plan = PlanRows(tmp_path / "plan.parquet", sync, cast(Destination[DestinationSettings], segment))
    batches = [batch.rows for batch in plan.batches()]
    assert sum(map(len, batches)) == 1250
    assert all(sum(map(segment.row_bytes, batch)) <= 490_000 for batch in batches)
