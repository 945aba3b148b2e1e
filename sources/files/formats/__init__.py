"""Formats of files: each reader yields batches of rows with their line numbers, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from millstream.sources.files.formats.batches import Batch, BrokenRow
from millstream.sources.files.formats.delimited import read_delimited
from millstream.sources.files.formats.json_lines import read_json_lines
from millstream.sources.files.formats.parquet_groups import read_parquet
from millstream.sources.files.formats.spreadsheets import read_spreadsheet
from millstream.sources.files.formats.xml_elements import read_xml
from millstream.sources.files.settings import FileFormat, FileStream

ReadFile = Callable[[BinaryIO, FileStream, int], Iterator[Batch]]
"""Reads an open file as a stream says, from after a line on."""

READERS: dict[FileFormat, ReadFile] = {
    "csv": read_delimited,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "xml": read_xml,
    "excel": read_spreadsheet,
}

__all__ = ["READERS", "Batch", "BrokenRow"]
