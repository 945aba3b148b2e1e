"""Files that were written, read again: who is in them, and the same without somebody."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from millstream.destinations.files.manifests import Manifest
from millstream.destinations.files.writing import packed, unpacked
from millstream.state.errors import SchemaError


def match_values(content: bytes, manifest: Manifest) -> list[str]:
    """Match values of a file's rows, in order.

    Raises:
        SchemaError: The file is not what its manifest says.
    """
    if manifest.format == "parquet":
        table = pq.read_table(pa.BufferReader(content), columns=[manifest.match_key])
        values: list[str] = table[manifest.match_key].to_pylist()
        return values
    return [value for _, value in _records(content, manifest) if value is not None]


def without(content: bytes, manifest: Manifest, gone: Container[str]) -> tuple[bytes, int]:
    """The file without the rows of some people, all others as they are; and how many rows are left.

    Args:
        content: The file.
        manifest: What it is.
        gone: Match values of those who are to go.
    """
    if manifest.format == "parquet":
        table = pq.read_table(pa.BufferReader(content))
        stay = [value not in gone for value in table[manifest.match_key].to_pylist()]
        kept = table.filter(pa.array(stay, pa.bool_()))
        sink = pa.BufferOutputStream()
        pq.write_table(kept, sink, compression=manifest.compression)
        return sink.getvalue().to_pybytes(), kept.num_rows
    records = list(_records(content, manifest))
    left = [text for text, value in records if value is None or value not in gone]
    heads = sum(value is None for _, value in records)
    text = "".join(left)
    return packed(text.encode(manifest.encoding), manifest.compression), len(left) - heads


def _records(content: bytes, manifest: Manifest) -> Iterator[tuple[str, str | None]]:
    """The text of each record, as it is, with its match value; the header has none."""
    try:
        text = unpacked(content, manifest.compression).decode(manifest.encoding)
        if manifest.format == "jsonl":
            for line in text.split("\n")[:-1]:
                yield f"{line}\n", str(orjson.loads(line)[manifest.match_key])
            return
        at = manifest.columns.index(manifest.match_key)
        for number, (record, cells) in enumerate(csv_records(text, manifest.delimiter)):
            yield record, cells[at] if number else None
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise SchemaError(
            f"A file is not what its manifest says ({type(error).__name__}).", remedy="take both away; see the docs."
        ) from error


def csv_records(text: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Records of a CSV text: each as it stands there, and its cells.

    Raises:
        ValueError: A quote does not close.
    """
    divides = re.escape(delimiter)
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"|([^"{divides}\r\n]*))({divides}|\r\n|\n|\r|\Z)')
    begin = place = 0
    cells: list[str] = []
    while place < len(text):
        found = cell.match(text, place)
        if found is None:
            raise ValueError("a quote does not close")
        quoted, plain, ended = found.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        place = found.end()
        if ended != delimiter:
            yield text[begin:place], cells
            begin, cells = place, []
