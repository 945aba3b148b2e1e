"""The pages of a stream put together to portions, each of which becomes one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from time import monotonic
from typing import TYPE_CHECKING, Any

from millstream.sources.pages import PageReader
from millstream.sources.pull import Pull
from millstream.state.errors import MillstreamError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_SECONDS = 2.0

Portion = tuple["list[Any] | pa.Table", Mapping[str, Any]]
"""Rows, and of a resumable stream the reader's notes as they were with them."""


def in_chunks(pages: Iterable[list[Any] | pa.Table], pull: Pull, *, most: int) -> Iterator[Portion]:
    """Pages put together to some thousand rows: dlt's cost is by table, not by row. Tables stay as they are.

    An error comes after the rows read before it, so that a pull that a budget ends keeps them.
    """
    chunk: list[Any] = []
    notes: Mapping[str, Any] = {}
    begun = monotonic()
    try:
        for page in pages:
            if not isinstance(page, list):
                if chunk:
                    yield chunk, notes
                chunk, notes, begun = [], _notes_of(pull), monotonic()
                yield page, notes
                continue
            chunk.extend(page)
            notes = _notes_of(pull)
            asked = pull.wants_load or pull.wants_table
            if asked or len(chunk) >= most or monotonic() - begun >= CHUNK_SECONDS:
                pull.wants_table = False
                yield chunk, notes
                chunk, begun = [], monotonic()
    except MillstreamError as error:
        if chunk:
            yield chunk, notes
        raise error
    if chunk:
        yield chunk, notes


def as_table(reader: PageReader, rows: list[Any]) -> pa.Table:
    """The rows as their stream shapes them."""
    stream = reader.stream
    if stream.shape_columns:
        return reader.table_of_columns(stream.shape_columns(rows))
    return reader.table([stream.shape(row) for row in rows] if stream.shape else rows)


def _notes_of(pull: Pull) -> Mapping[str, Any]:
    return deepcopy(dict(pull.state)) if pull.stream.resumable else {}
