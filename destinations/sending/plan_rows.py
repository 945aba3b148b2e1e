"""A plan's file as batches of rows, ready for the connector."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millstream.destinations.contract import DeliveryRow, Destination, DestinationSettings, FieldValue, Outcome
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rendering import Renderer
from millstream.destinations.sending.sizes import Rows, of_fitting_size
from millstream.destinations.sync import Sync

AnyDestination = Destination[DestinationSettings]
_HASHES = ("field_hashes", "known_hashes")
_COLUMNS = ("number", "match_value", "external_id", "fields", *_HASHES)


@dataclass(slots=True)
class Batch:
    """Rows of one operation that go out together.

    Attributes:
        operation: What is done with them.
        rows: What is sent.
        misfits: Rows that do not fit their fields, by number, with the outcome they get without being sent.
        as_job: Whether the vendor gets them as a job.
    """

    operation: Operation
    rows: list[DeliveryRow]
    misfits: dict[int, Outcome]
    as_job: bool


class PlanRows:
    """The rows of one plan.

    Args:
        path: The plan's file.
        sync: What is sent.
        destination: Where to.
    """

    def __init__(self, path: Path, sync: Sync, destination: AnyDestination) -> None:
        self._path = path
        self._sync = sync
        self._destination = destination
        self._replaces = sync.mode is SyncMode.REPLACE
        self._renderer = Renderer(destination.fields, sync.mappings(), destination.custom_field_type)
        self._cleared: Mapping[str, FieldValue] = (
            dict.fromkeys(sync.fields) if sync.leaving is Leaving.CLEAR_FIELDS else {}
        )

    def batches(self) -> Iterator[Batch]:
        """All rows, in batches of the size that the vendor takes for their operation.

        Jobs come last: nobody who has to be taken out should wait for one to end.
        """
        totals = self._totals()
        as_jobs = {
            operation
            for operation, total in totals.items()
            if operation in self._destination.jobs and total >= self._destination.job_from
            if not self._replaces
        }
        for operation in sorted(totals, key=lambda operation: operation in as_jobs):
            as_job = operation in as_jobs
            size = self._destination.job_size if as_job else self._size(operation)
            for rows, misfits in self._sized(operation, size, as_job=as_job):
                yield Batch(operation, rows, misfits, as_job)

    def _sized(self, operation: Operation, size: int, *, as_job: bool) -> Iterator[Rows]:
        slices = (self._rows(operation, columns) for columns in _slices(self._path, operation, size))
        weighed = self._destination.largest_request is not None or self._destination.largest_row is not None
        if not weighed:
            return slices
        return of_fitting_size(slices, self._destination, size, as_job=as_job)

    def numbers(self, *, out: bool) -> list[int]:
        """Numbers of all rows that are taken out, or of all others."""
        table = pq.read_table(self._path, columns=["number", "operation"])
        is_out = pc.equal(table["operation"], Operation.REMOVE.value)
        numbers: list[int] = table.filter(is_out if out else pc.invert(is_out))["number"].to_pylist()
        return numbers

    def of_numbers(self, operation: Operation, numbers: Collection[int]) -> list[DeliveryRow]:
        """The rows with these numbers, in their order: for jobs that an earlier run submitted."""
        wanted = pa.array(sorted(numbers), pa.int32())
        with pq.ParquetFile(self._path) as plan:
            tables = [
                pa.Table.from_batches([batch]).filter(pc.is_in(batch["number"], wanted))
                for batch in plan.iter_batches(columns=list(_COLUMNS))
            ]
        return self._rows(operation, _as_lists(pa.concat_tables(tables)))[0]

    def _totals(self) -> dict[Operation, int]:
        operations = pq.read_table(self._path, columns=["operation"])["operation"]
        counted = {entry["values"]: entry["counts"] for entry in pc.value_counts(operations).to_pylist()}
        return {operation: counted[operation.value] for operation in Operation if operation.value in counted}

    def _size(self, operation: Operation) -> int:
        if operation is Operation.REMOVE and self._sync.leaving is Leaving.LEAVE_AUDIENCE:
            return self._destination.membership_batch_size
        return self._destination.batch_size

    def _rows(self, operation: Operation, columns: Mapping[str, Sequence[Any]]) -> Rows:
        rows: list[DeliveryRow] = []
        misfits: dict[int, Outcome] = {}
        fields = repeat(self._cleared) if operation is Operation.REMOVE else self._rendered(columns)
        people = zip(columns["number"], columns["match_value"], columns["external_id"], strict=True)
        for (number, match_value, external_id), rendered in zip(people, fields, strict=False):
            if isinstance(rendered, Outcome):
                misfits[number] = rendered
            else:
                rows.append(
                    DeliveryRow(number=number, match_value=match_value, fields=rendered, external_id=external_id)
                )
        return rows, misfits

    def _rendered(self, columns: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, FieldValue] | Outcome]:
        """The fields of each row as they are sent, or why they are not; read as one document, which is faster."""
        render = self._renderer.render
        whole = self._destination.whole_rows or self._replaces
        values = orjson.loads(f"[{','.join(columns['fields'])}]")
        for fields, hashes, known in zip(values, columns["field_hashes"], columns["known_hashes"], strict=True):
            yield render(fields, unchanged=_unchanged(hashes, known)) if known and not whole else render(fields)


def _unchanged(hashes: str, known: str) -> frozenset[str]:
    """Fields whose value is as acknowledged."""
    before = orjson.loads(known)
    return frozenset(name for name, value in orjson.loads(hashes).items() if name in before and before[name] == value)


def _slices(path: Path, operation: Operation, size: int) -> Iterator[dict[str, list[Any]]]:
    """Columns of the operation's rows, up to ``size`` of them at a time."""
    rest: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    columns = ["operation", *_COLUMNS]
    with pq.ParquetFile(path) as plan:
        groups = range(plan.num_row_groups)
        # One at a time: a reader of several keeps something of each until the last of them is read.
        for batch in chain.from_iterable(plan.iter_batches(max(10_000, size), [group], columns) for group in groups):
            table = pa.Table.from_batches([batch])
            lists = _as_lists(table.filter(pc.equal(table["operation"], operation.value)))
            rest = {name: rest[name] + lists[name] for name in _COLUMNS}
            rows = len(rest["number"])
            for start in range(0, rows - size + 1, size):
                yield {name: rest[name][start : start + size] for name in _COLUMNS}
            rest = {name: rest[name][rows - rows % size :] for name in _COLUMNS}
    if rest["number"]:
        yield rest


def _as_lists(table: pa.Table) -> dict[str, list[Any]]:
    """Columns as lists; by way of numpy, which is several times as fast as value by value.

    Hashes of fields are long, and of use only beside those that are known already.
    """
    nothing_known = table["known_hashes"].null_count == len(table)
    lists = {} if not nothing_known else dict.fromkeys(_HASHES, [None] * len(table))
    return {name: lists.get(name) or table[name].to_numpy(zero_copy_only=False).tolist() for name in _COLUMNS}
