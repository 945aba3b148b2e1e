"""Excel and OpenDocument sheets. A workbook is read whole: its formats cannot be read a row at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from millstream.sources.files.formats.batches import ROWS_A_BATCH, Batch
from millstream.sources.files.settings import FileStream
from millstream.sources.from_project import column_names
from millstream.sources.typed_values import as_text
from millstream.state.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet


def read_spreadsheet(file: BinaryIO, how: FileStream, after: int) -> Iterator[Batch]:
    """Rows of one sheet.

    Raises:
        SchemaError: It is no workbook, or lacks the sheet.
    """
    rows = enumerate(_sheet(file, how).to_python(skip_empty_area=False), 1)
    for _ in range(how.skip_lines):
        next(rows, None)
    header = list(how.header) or [as_text(cell) for cell in next(rows, (0, []))[1]]
    while header and not header[-1].strip():
        header.pop()
    names, after = column_names(header), max(after, 0)
    cells = ((line, row) for line, row in rows if line > after and any(cell != "" for cell in row))
    while names and (some := list(islice(cells, ROWS_A_BATCH))):
        yield Batch([line for line, _ in some], _columns(names, [row for _, row in some]), some[-1][0])


def _columns(names: list[str], rows: list[list[Any]]) -> dict[str, list[Any]]:
    def cell(row: list[Any], place: int) -> Any:
        return row[place] if place < len(row) and row[place] != "" else None

    return {name: [cell(row, place) for row in rows] for place, name in enumerate(names)}


def _sheet(file: BinaryIO, how: FileStream) -> CalamineSheet:
    try:
        from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound
    except ImportError as error:
        raise ConfigurationError(
            "Reading spreadsheets needs the package python-calamine.",
            remedy="install it: pip install 'millstream[excel]'.",
        ) from error
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(file.read()))
    except (CalamineError, OSError, ValueError) as error:
        raise SchemaError(
            f"It is no spreadsheet that can be read: {error}",
            remedy="save it anew as .xlsx without a password, or set the stream's `format`.",
        ) from error
    try:
        return workbook.get_sheet_by_name(how.sheet) if how.sheet else workbook.get_sheet_by_index(0)
    except (WorksheetNotFound, IndexError) as error:
        raise SchemaError(
            f"The workbook has no sheet {how.sheet!r}.",
            allowed=workbook.sheet_names,
            remedy="set the stream's `sheet`.",
        ) from error
