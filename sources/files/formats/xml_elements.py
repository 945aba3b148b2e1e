"""XML, an element a row, read as it streams by. Entities are refused, so that a small file cannot unfold to a huge one.

The tags below a row's element become columns, those below them too (``address_city``), and attributes likewise. What
stands several times is a JSON list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from millstream.sources.files.formats.batches import Batch, BrokenRow, batches_of_rows
from millstream.sources.files.settings import FileStream
from millstream.sources.from_project import column_name
from millstream.state.errors import SchemaError

_BYTES_A_READ = 256 * 1024


def read_xml(file: BinaryIO, how: FileStream, after: int) -> Iterator[Batch]:
    """Rows of an XML file.

    Raises:
        SchemaError: It is not well formed, or declares entities.
    """
    return batches_of_rows(_rows(file, how.row or "", after))


def _rows(file: BinaryIO, row: str, after: int) -> Iterator[tuple[int, dict[str, Any] | BrokenRow]]:
    collector = _Collector(row)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: collector.start(name, attributes, parser.CurrentLineNumber)
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.text
    parser.EntityDeclHandler = _refuse_entity
    while True:
        data = file.read(_BYTES_A_READ)
        try:
            parser.Parse(data, not data)
        except expat.ExpatError as error:
            if (
                not collector.began
                and not data
                and error.code == expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]
            ):
                return
            raise SchemaError(
                f"It is not well-formed XML: line {error.lineno}: {expat.ErrorString(error.code)}.",
                remedy="have it written anew; the rows before that line were read.",
            ) from error
        yield from ((line, found) for line, found in collector.rows if line > after)
        collector.rows.clear()
        if not data:
            return


def _refuse_entity(name: str, *_: object) -> None:
    raise SchemaError(
        f"It declares the entity {name!r}; such files can unfold to any size, and are not read.",
        remedy="have it written without a document type that declares entities.",
    )


class _Collector:
    """Gathers the text below each row's element."""

    def __init__(self, row: str) -> None:
        self._row = row
        self._depth = 0
        self._path: list[str] = []
        self._texts: list[list[str]] = []
        self._found: dict[str, Any] = {}
        self._line = 0
        self.began = False
        self.rows: list[tuple[int, dict[str, Any]]] = []

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.began = True
        local = name.rpartition(" ")[2]
        if not self._texts and local != self._row:
            return
        if self._texts:
            self._path.append(local)
        else:
            # Rows that begin on one line are numbered on from it: the number tells them apart.
            self._found, self._line = {}, max(line, self._line + 1)
        self._texts.append([])
        for attribute, value in attributes.items():
            self._add([*self._path, attribute.rpartition(" ")[2]], value)

    def text(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def end(self, _: str) -> None:
        if not self._texts:
            return
        text = "".join(self._texts.pop()).strip()
        if self._texts:
            if text:
                self._add(self._path, text)
            self._path.pop()
            return
        if text:
            self._add([self._row], text)
        self.rows.append((self._line, self._found))

    def _add(self, path: list[str], value: str) -> None:
        name = column_name("_".join(path)) or "column"
        known = self._found.get(name)
        if known is None:
            self._found[name] = value
        else:
            self._found[name] = [*known, value] if isinstance(known, list) else [known, value]
