"""A plan's file is read piece by piece: what is kept of it meanwhile does not grow with its rows."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from millstream.destinations.contract import Destination, DestinationSettings
from millstream.destinations.sending.plan_rows import PlanRows
from millstream.destinations.sync import Sync
from tests.destinations.memory import Memory, MemoryDestination

_GROUP = 2_000


def _most_kept(path: Path, groups: int) -> int:
    """Most bytes that Arrow has between two batches of a plan of so many row groups."""
    columns = {
        "number": pa.array(range(groups * _GROUP), pa.int32()),
        "operation": ["add"] * groups * _GROUP,
        "match_value": [f"reader-{number}@box.example" for number in range(groups * _GROUP)],
        "external_id": pa.nulls(groups * _GROUP, pa.string()),
        "fields": ["{}"] * groups * _GROUP,
        "field_hashes": ["{}"] * groups * _GROUP,
        "known_hashes": pa.nulls(groups * _GROUP, pa.string()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=_GROUP)
    del columns
    sync = Sync(destination="memory", table="raw.people", into="VIP", consent="not_needed")
    plan = PlanRows(path, sync, cast(Destination[DestinationSettings], MemoryDestination(Memory())))
    before = pa.total_allocated_bytes()
    kept: list[int] = [pa.total_allocated_bytes() - before for _ in plan.batches()]
    return max(kept)


def test_what_is_kept_of_a_plan_while_it_is_sent_does_not_grow_with_it(tmp_path: Path) -> None:
    few = _most_kept(tmp_path / "few.parquet", groups=2)
    assert 0 < _most_kept(tmp_path / "many.parquet", groups=20) < 1.5 * few
