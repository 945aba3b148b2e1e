"""Parquet: types come with the file; a line is the row's number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from millstream.sources.files.formats.batches import ROWS_A_BATCH, Batch
from millstream.sources.files.settings import FileStream
from millstream.sources.from_project import column_names
from millstream.state.errors import SchemaError


def read_parquet(file: BinaryIO, _how: FileStream, after: int) -> Iterator[Batch]:
    """Rows of a Parquet file, a batch at a time.

    Raises:
        SchemaError: It is no Parquet file, or damaged.
    """
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file)
        groups, done = _groups_after(parquet.metadata, after)
        for batch in parquet.iter_batches(batch_size=ROWS_A_BATCH, row_groups=groups):
            begin, done = done, done + len(batch)
            if done <= after:
                continue
            table = pa.Table.from_batches([batch]).slice(max(after - begin, 0))
            table = table.rename_columns(column_names(table.column_names))
            yield Batch(list(range(done - len(table) + 1, done + 1)), table, done)
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(
            f"It is no Parquet file that can be read: {str(error)[:200]}",
            remedy="check how it was written, or set the stream's `format`.",
        ) from error


def _groups_after(metadata: pa.parquet.FileMetaData, after: int) -> tuple[list[int], int]:
    """The row groups with rows after a number, and how many rows stand before them."""
    begin = 0
    for number in range(metadata.num_row_groups):
        rows = metadata.row_group(number).num_rows
        if begin + rows > after:
            return list(range(number, metadata.num_row_groups)), begin
        begin += rows
    return [], begin
