"""Files: what is odd about each format, and what becomes of files that change, vanish, or are half written."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import openpyxl  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from millstream.sources.dlt_source import SourcePull
from millstream.sources.files import Files, FilesSettings
from millstream.sources.files.formats import batches
from millstream.sources.files.place import FoundFile, Place
from millstream.sources.from_project import column_name, column_names
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pull import Window
from millstream.sources.stream_report import StreamReport
from millstream.state.errors import AuthenticationError, ConfigurationError, PermissionDeniedError, UnreachableError
from millstream.state.model.declarations import Identifier
from millstream.state.store import DuckDBStore

BOUGHT = {
    "record": "subject",
    "identifiers": {"no": "user_id"},
    "events": [{"name": "B", "at": "t", "value": "total"}],
}
CUSTOMERS = {"files": "*.csv", "primary_key": ["No"]}


@dataclass
class Folder:
    """A folder of files that is pulled into a store."""

    path: Path
    reports: dict[str, StreamReport] = field(default_factory=dict)

    @property
    def store(self) -> DuckDBStore:
        return DuckDBStore(self.path / "store.duckdb")

    def write(self, name: str, content: str | bytes, *, age: float = 60.0) -> Path:
        file = self.path / "exports" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        moment = datetime.now(UTC).timestamp() - age
        os.utime(file, (moment, moment))
        return file

    def source(self, stream: Mapping[str, Any], **settings: Any) -> Files:
        facts = {"url": str(self.path / "exports"), "settle_seconds": 0, **settings}
        return Files(FilesSettings(**facts, streams={"people": {**CUSTOMERS, **stream}}))

    def pull(self, stream: Mapping[str, Any] | None = None, **settings: Any) -> IngestReport:
        options = settings.pop("options", {})
        pull = SourcePull(self.source(stream or {}, **settings), **options)
        report = ingest(pull, self.store, name="tills", pipelines=self.path / "dlt")
        self.reports = {one.stream: one for one in report.streams}
        return report

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with self.store.open() as connection:
            connection.execute("USE raw_tills")
            return connection.execute(query).fetchall()

    def people(self, columns: str = "no, name") -> list[tuple[Any, ...]]:
        return self.sql(f"SELECT {columns} FROM people ORDER BY no")

    def broken(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT line, reason FROM quarantine WHERE NOT resolved ORDER BY line")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "exports").mkdir()
    return Folder(tmp_path)


# Names


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("E-Mail", "e_mail"),
        ("customerNo", "customer_no"),
        ("  Straße / Nr. ", "strasse_nr"),
        ("Prénom", "prenom"),
        ("2024 total", "c_2024_total"),
        ("_id", "id"),
        ("ID", "id"),
        ("€", ""),
    ],
)
def test_headers_become_plain_names(header: str, name: str) -> None:
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    assert column_name(header) == name
    assert not name or NamingConvention().normalize_identifier(name) == name


def test_columns_without_a_name_and_those_named_twice_are_numbered() -> None:
    assert column_names(["No", "", "no", "NO", "€"]) == ["no", "column_2", "no_2", "no_3", "column_5"]


# Csv


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_the_header_has(folder: Folder, delimiter: str) -> None:
    folder.write("a.csv", f"No{delimiter}Name\n1{delimiter}Ana\n")
    assert folder.pull().ok
    assert folder.people() == [("1", "Ana")]


@pytest.mark.parametrize(
    ("content", "stream"),
    [
        ("\ufeffNo,Name\n1,Größe\n".encode(), {}),
        ("No,Name\r\n1,Größe\r\n".encode("latin-1"), {"encoding": "latin-1"}),
        ("No,Name\n1,Größe\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("No,Name,\n1,Größe,\n".encode(), {}),
        ("made by till\n\nNo,Name\n1,Größe\n".encode(), {"skip_lines": 2}),
        ("1,Größe\n".encode(), {"header": ["No", "Name"]}),
        ("No|Name\n1|'Größe'\n".encode(), {"quote": "'"}),
    ],
    ids=["bom", "latin-1", "utf-16", "delimiter at the end", "lines above", "no header", "quote"],
)
def test_csv_comes_in_many_kinds(folder: Folder, content: bytes, stream: dict[str, Any]) -> None:
    folder.write("a.csv", content)
    report = folder.pull(stream)
    assert report.errors == []
    assert folder.people() == [("1", "Größe")]
    assert folder.reports["people"].broken == 0


def test_broken_rows_are_set_aside_with_their_line(folder: Folder) -> None:
    rows = [
        b"No,Name,Points",
        b'1,"Ana\nLi",1',
        b"2,Bo",
        b"3,Cy,x",
        b"",
        b"4,Dee,4,5",
        b"5,\xff\xfe,5",
        b",Eve,6",
        b"6,Fay,6",
    ]
    folder.write("a.csv", b"\n".join(rows))
    report = folder.pull({"columns": {"Points": "bigint"}})
    assert report.ok
    assert folder.people("no, name, points") == [("1", "Ana\nLi", 1), ("6", "Fay", 6)]
    assert folder.broken() == [
        (4, "has 2 fields, and the header has 3"),
        (5, "points is no bigint"),
        (7, "has 4 fields, and the header has 3"),
        (8, "holds bytes that are no text in this encoding"),
        (9, "has no no, which is part of the key"),
    ]
    assert folder.reports["people"].broken == 5
    assert folder.reports["people"].warnings == ["a.csv: 5 broken rows, see the table quarantine."]


def test_a_quote_that_never_closes_breaks_one_row(folder: Folder) -> None:
    folder.write("a.csv", 'No,Name\n1,"Ana\n2,Bo\n3,Cy\n')
    folder.pull()
    assert folder.people() == [("2", "Bo"), ("3", "Cy")]
    assert [line for line, _ in folder.broken()] == [2]


def test_the_text_of_a_broken_row_is_kept_only_when_asked_for(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\nana@box.example\n")
    folder.pull()
    [(text, digest)] = folder.sql("SELECT text, text_sha256 FROM quarantine")
    assert text is None
    assert len(digest) == 64
    folder.pull(keep_broken_text=True, options={"full": True})
    assert folder.sql("SELECT text FROM quarantine") == [("ana@box.example",)]


def test_a_mended_file_resolves_its_broken_rows(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1\n")
    folder.pull()
    folder.write("a.csv", "No,Name\n1,Ana\n", age=30)
    folder.pull()
    assert folder.sql("SELECT line, resolved FROM quarantine") == [(2, True)]


def test_a_file_with_too_many_broken_rows_is_refused(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n" + "1\n" * 5)
    folder.write("b.csv", "No,Name\n7,Gil\n")
    report = folder.pull(most_broken_rows=3)
    assert [str(error) for error in report.errors] == [
        "tills.people: a.csv: More than 3 rows are broken; one is line 2, which has 1 fields, and the header has 2. "
        "What to do: compare the file with the stream's delimiter, encoding and column types, or raise "
        "most_broken_rows."
    ]
    assert folder.people() == [("7", "Gil")]
    assert folder.pull(most_broken_rows=9).ok


@pytest.mark.parametrize("content", ["", "\n\n", "No,Name\n", "\ufeff"])
def test_files_without_rows_are_no_error(folder: Folder, content: str) -> None:
    folder.write("a.csv", content)
    report = folder.pull()
    assert (report.ok, report.rows) == (True, 0)
    folder.write("b.csv", "No,Name\n1,Ana\n")
    assert folder.pull().rows == 1


def test_numbers_and_times_are_read_as_they_are_written(folder: Folder) -> None:
    folder.write("a.csv", "No;Total;Zeit;Born;Vip\n1;1.234,50;31.12.2025 23:30;01.02.1980;yes\n2;;;;\n")
    stream = {
        "decimal": ",",
        "columns": {
            "Total": "double",
            "Zeit": {"type": "timestamp", "format": "%d.%m.%Y %H:%M"},
            "Born": {"type": "date", "format": "%d.%m.%Y"},
            "Vip": "bool",
        },
    }
    folder.pull(stream, timezone="Europe/Berlin")
    moment = datetime(2025, 12, 31, 22, 30, tzinfo=UTC)
    assert folder.people("no, total, zeit, born, vip") == [
        ("1", 1234.5, moment, date(1980, 2, 1), True),
        ("2", None, None, None, None),
    ]


def test_words_that_mean_nothing_are_nothing(folder: Folder) -> None:
    folder.write("a.csv", "No,Name,Total\n1,NULL,-\n")
    folder.pull({"missing": ["NULL", "-"], "columns": {"Total": "double"}})
    assert folder.people("no, name, total") == [("1", None, None)]


def test_a_header_in_another_encoding_is_named(folder: Folder) -> None:
    folder.write("a.csv", "No,Größe\n1,2\n".encode("cp1252"))
    [error] = folder.pull().errors
    assert "a.csv: The header is not utf-8 text" in str(error)
    assert "cp1252" in str(error)


def test_a_column_that_is_needed_and_not_there_is_named(folder: Folder) -> None:
    folder.write("a.csv", "No,Mail\n1,ana@box.example\n")
    [error] = folder.pull({"people": {"identifiers": {"E-Mail": "email"}}}).errors
    assert str(error).startswith(
        "tills.people: a.csv: There is no column 'e_mail'. Allowed: no, mail. What to do: did you mean 'mail'?"
    )


def test_a_new_column_is_added(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1,Ana\n")
    folder.pull()
    folder.write("b.csv", "No,City,Name\n2,Bern,Bo\n")
    assert folder.pull().ok
    assert folder.people("no, name, city") == [("1", "Ana", None), ("2", "Bo", "Bern")]


# Other formats


def test_json_lines_keep_nested_values_as_json(folder: Folder) -> None:
    lines = ['{"No": 1, "name": "Ana", "tags": ["a"], "vip": true}', "", "[1]", "{oops", '{"no": "2", "more": 1.5}']
    folder.write("a.jsonl", "\ufeff" + "\n".join(lines))
    assert folder.pull({"files": "*.jsonl"}).ok
    assert folder.people("no, name, tags, vip, more") == [
        ("1", "Ana", '["a"]', "true", None),
        ("2", None, None, None, "1.5"),
    ]
    assert [line for line, _ in folder.broken()] == [3, 4]
    assert folder.broken()[0][1] == "is a JSON list and not an object"


def test_a_field_that_no_line_has_is_warned_of(folder: Folder) -> None:
    folder.write("a.jsonl", '{"no": 1}\n')
    folder.pull({"files": "*.jsonl", "people": {"identifiers": {"mail": "email"}}})
    assert folder.reports["people"].warnings == ["a.jsonl: no row has mail."]


def test_parquet_brings_its_own_types(folder: Folder) -> None:
    table = pa.table(
        {
            "No": [1, 2],
            "Name": pa.array(["Ana", "Bo"]).dictionary_encode(),
            "Zeit": pa.array([datetime(2026, 7, 1, 12), None], pa.timestamp("ns")),
            "Lines": [[{"sku": "a"}], []],
            "Photo": [b"x", b"y"],
            "Nothing": pa.nulls(2),
        }
    )
    pq.write_table(table, folder.path / "exports" / "a.parquet")
    assert folder.pull({"files": "*.parquet"}, timezone="Europe/Berlin").ok
    moment = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert folder.people("no, name, zeit, lines, _line") == [
        ("1", "Ana", moment, '[{"sku":"a"}]', 1),
        ("2", "Bo", None, "[]", 2),
    ]
    assert folder.reports["people"].warnings == ["a.parquet: columns that hold bytes are not stored: photo."]


def test_xml_rows_are_elements(folder: Folder) -> None:
    folder.write(
        "a.xml",
        """<?xml version="1.0"?>
        <export xmlns="urn:till" made="today">
          <customer no="1"><name>Ana &amp; Li</name><address><city>Bern</city></address>
          <tag>a</tag><tag>b</tag></customer>
          <customer no="2"><name/></customer>
          <other no="3"/>
        </export>""",
    )
    assert folder.pull({"files": "*.xml", "row": "customer"}).ok
    assert folder.people("no, name, address_city, tag, _line") == [
        ("1", "Ana & Li", "Bern", '["a","b"]', 3),
        ("2", None, None, None, 5),
    ]


def test_xml_without_line_breaks_keeps_every_row(folder: Folder) -> None:
    rows = "".join(f'<customer no="{n}"><name>p{n}</name></customer>' for n in range(1, 5))
    folder.write("a.xml", f"<x>{rows}\n<customer no='5'/></x>")
    stream = {"files": "*.xml", "row": "customer", "primary_key": [], "columns": {"no": "bigint"}}
    assert folder.pull(stream).ok
    assert folder.people("no, _line") == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]


def test_xml_without_line_breaks_goes_on_in_the_middle(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from millstream.sources.files.formats import READERS
    from millstream.sources.files.settings import FileStream

    monkeypatch.setattr(batches, "ROWS_A_BATCH", 3)
    rows = b"".join(b"<r><no>%d</no></r>" % number for number in range(10))
    how = FileStream(files="a.xml", row="r")
    first = next(READERS["xml"](io.BytesIO(b"<x>" + rows + b"</x>"), how, 0))
    rest = list(READERS["xml"](io.BytesIO(b"<x>" + rows + b"</x>"), how, first.last_line))
    read = [value for batch in (first, *rest) for value in batch.columns["no"]]
    assert read == [str(number) for number in range(10)]


def test_xml_that_could_unfold_is_refused(folder: Folder) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    folder.write("a.xml", f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x><customer no="&l9;"/></x>')
    [error] = folder.pull({"files": "*.xml", "row": "customer"}).errors
    assert "declares the entity 'l0'" in str(error)


def test_xml_cut_short_keeps_what_stands_before(folder: Folder) -> None:
    folder.write("a.xml", "<x>\n<customer><no>1</no></customer>\n<customer><no>")
    [error] = folder.pull({"files": "*.xml", "row": "customer"}).errors
    assert "a.xml: It is not well-formed XML: line 3" in str(error)


def test_spreadsheets_are_read_by_sheet(folder: Folder) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Kunden")
    for row in [["Kundenliste"], ["No", "Name", "Born", "Points"], [1, "Ana", date(1980, 2, 1), 1.5], [], [2, None]]:
        sheet.append(row)
    book.save(folder.path / "exports" / "a.xlsx")
    stream = {"files": "*.xlsx", "sheet": "Kunden", "skip_lines": 1, "columns": {"Born": "date", "Points": "double"}}
    assert folder.pull(stream).ok
    assert folder.people("no, name, born, points, _line") == [
        ("1", "Ana", date(1980, 2, 1), 1.5, 3),
        ("2", None, None, None, 5),
    ]
    folder.write("~$a.xlsx", b"a lock of Excel")
    assert folder.pull({**stream, "sheet": "Kundn"}, options={"full": True}).errors[0].allowed == ("Sheet", "Kunden")


@pytest.mark.parametrize(("name", "stream"), [("a.parquet", {}), ("a.xlsx", {}), ("a.csv.gz", {}), ("a.csv.zip", {})])
def test_a_file_that_is_something_else_is_named(folder: Folder, name: str, stream: dict[str, Any]) -> None:
    folder.write(name, b"<html>404</html>")
    [error] = folder.pull({"files": "a.*", "format": name.split(".")[1], **stream} | _format(name)).errors
    assert name in str(error)
    assert "What to do" in str(error)


def _format(name: str) -> dict[str, str]:
    return {"format": "excel"} if name.endswith("xlsx") else {}


def test_compressed_files_and_archives_are_unpacked(folder: Folder) -> None:
    folder.write("a.csv.gz", gzip.compress(b"No,Name\n1,Ana\n"))
    with zipfile.ZipFile(folder.path / "exports" / "b.csv.zip", "w") as archive:
        archive.writestr("one.csv", "No,Name\n2,Bo\n")
        archive.writestr("deep/two.csv", "No,Name\n3,Cy\n4\n")
        archive.writestr("__MACOSX/one.csv", "x")
    assert folder.pull({"files": "*.csv.*", "format": "csv"}).ok
    assert folder.people("no, _file") == [
        ("1", "a.csv.gz"),
        ("2", "b.csv.zip/one.csv"),
        ("3", "b.csv.zip/deep/two.csv"),
    ]
    assert folder.broken() == [(3, "deep/two.csv: has 1 fields, and the header has 2")]


def write_archive(folder: Folder, age: float, **members: str) -> None:
    path = folder.write("all.zip", b"", age=age)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    moment = datetime.now(UTC).timestamp() - age
    os.utime(path, (moment, moment))


def test_files_of_one_archive_are_told_apart(folder: Folder) -> None:
    write_archive(folder, 60, one="No,Name\n1,Ana\n2\n", two="No,Name\n3,Cy\n4\n")
    stream = {"files": "*.zip", "format": "csv", "primary_key": []}
    assert folder.pull(stream).ok
    assert folder.people("no, _file, _line") == [("1", "all.zip/one.csv", 2), ("3", "all.zip/two.csv", 2)]
    assert [line for line, _ in folder.broken()] == [3, 3]


def test_rows_that_a_store_has_under_an_archive_s_own_name_stay_there(folder: Folder) -> None:
    """As they were once all stored: under the names of the archive's files, too, they would count twice."""
    stream = {"files": "*.zip", "format": "csv", "primary_key": []}
    write_archive(folder, 90, one="No,Name\n1,Ana\n")
    folder.pull(stream)
    folder.sql("UPDATE people SET _file = 'all.zip'")
    write_archive(folder, 60, one="No,Name\n1,Ana\n2,Bo\n", two="No,Name\n3,Cy\n")
    assert folder.pull(stream).ok
    rows = [("1", "all.zip", 2), ("2", "all.zip", 3), ("3", "all.zip/two.csv", 2)]
    assert folder.people("no, _file, _line") == rows
    assert folder.pull(stream, options={"full": True}).ok
    assert folder.people("no, _file, _line") == rows


def test_a_pull_that_goes_on_in_an_archive_leaves_none_of_its_files_out(folder: Folder) -> None:
    """An archive's files stand in any order in it."""
    write_archive(folder, 60, b="No,Name\n1,Ana\n", a="No,Name\n2\n3\n", c="No,Name\n4,Cy\n")
    stream = {"files": "*.zip", "format": "csv"}
    for _ in range(2):
        [error] = folder.pull(stream, most_broken_rows=1).errors
        assert "More than 1 rows are broken" in str(error)
    folder.pull(stream)
    assert folder.people() == [("1", "Ana"), ("4", "Cy")]
    assert len(folder.broken()) == 2


def test_an_archive_with_a_password_keeps_no_other_file_from_being_read(folder: Folder) -> None:
    write_archive(folder, 90, one="No,Name\n1,Ana\n")
    locked = bytearray((folder.path / "exports" / "all.zip").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + flags] |= 1
    folder.write("all.zip", bytes(locked), age=90)
    folder.write("b.csv.zip", b"", age=60)
    with zipfile.ZipFile(folder.path / "exports" / "b.csv.zip", "w") as archive:
        archive.writestr("two.csv", "No,Name\n2,Bo\n")
    [error] = folder.pull({"files": "*.zip", "format": "csv"}).errors
    assert "all.zip" in str(error)
    assert "without a password" in str(error.remedy)
    assert folder.people() == [("2", "Bo")]


def test_rows_that_a_changed_archive_no_longer_has_are_marked(folder: Folder) -> None:
    write_archive(folder, 90, one="No,Name\n1,Ana\n2,Bo\n", two="No,Name\n3,Cy\n")
    stream = {"files": "*.zip", "format": "csv", "replace": "file", "vanished": "delete"}
    folder.pull(stream)
    write_archive(folder, 60, one="No,Name\n1,Ana\n")
    assert folder.pull(stream).ok
    assert folder.people("no, _deleted") == [("1", False), ("2", True), ("3", True)]
    (folder.path / "exports" / "all.zip").unlink()
    folder.pull(stream)
    assert folder.people("no, _deleted") == [("1", True), ("2", True), ("3", True)]


# Which files


@pytest.mark.parametrize("name", ['Künden "neu" 2026.csv', "50%20 #1?.csv", "a[1]*{b}.csv", "über uns [alt]/it's.csv"])
def test_files_and_folders_may_be_called_as_people_call_them(folder: Folder, name: str) -> None:
    folder.write(name, "No,Name\n1,Ana\n")
    folder.pull({"files": "**/*.csv"})
    assert folder.people() == [("1", "Ana")]
    above, _, last = f"exports/{name}".rpartition("/")
    place = Place(folder.source({}, url=str(folder.path / above)).settings)
    assert [found.path for found in place.listing("*.csv")] == [last]


def test_only_new_and_changed_files_are_read(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1,Ana\n", age=90)
    folder.write("b.csv", "No,Name\n2,Bo\n", age=80)
    assert folder.pull().rows == 2
    assert folder.pull().rows == 0
    folder.write("b.csv", "No,Name\n2,Bob\n3,Cy\n", age=70)
    assert folder.pull().rows == 2
    assert folder.people() == [("1", "Ana"), ("2", "Bob"), ("3", "Cy")]


def test_of_rows_with_one_key_the_file_changed_last_counts(folder: Folder) -> None:
    folder.write("b.csv", "No,Name\n1,old\n", age=90)
    folder.write("a.csv", "No,Name\n1,new\n1,newest\n", age=10)
    assert folder.pull().ok
    assert folder.people() == [("1", "newest")]


def test_rows_without_a_key_are_known_by_file_and_line(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1,Ana\n1,Ana\n")
    folder.pull({"primary_key": []})
    assert folder.people("no, _file, _line") == [("1", "a.csv", 2), ("1", "a.csv", 3)]


def test_rows_that_a_changed_file_no_longer_has_are_marked(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1,Ana\n2,Bo\n", age=90)
    folder.write("b.csv", "No,Name\n9,Zoe\n", age=80)
    folder.pull({"replace": "file"})
    folder.write("a.csv", "No,Name\n2,Bob\n", age=70)
    report = folder.pull({"replace": "file"})
    assert report.ok
    assert folder.people("no, name, _deleted") == [("1", "Ana", True), ("2", "Bob", False), ("9", "Zoe", False)]
    folder.write("a.csv", "No,Name\n1,Ana\n2,Bob\n", age=60)
    folder.pull({"replace": "file"})
    assert folder.people("no, _deleted") == [("1", False), ("2", False), ("9", False)]


def test_rows_of_a_file_that_is_gone_stay_or_are_marked(folder: Folder) -> None:
    file = folder.write("a.csv", "No,Name\n1,Ana\n")
    folder.pull({"vanished": "delete"})
    file.unlink()
    folder.pull({"vanished": "keep", "replace": "file"})
    assert folder.people("no, _deleted") == [("1", False)]
    folder.pull({"vanished": "delete"})
    assert folder.people("no, _deleted") == [("1", True)]


def test_a_column_can_say_what_is_deleted(folder: Folder) -> None:
    folder.write("a.csv", "No,Name,State,Gone\n1,Ana,active,no\n2,Bo,LEFT,yes\n3,Cy,,\n")
    folder.pull({"deleted": {"column": "State", "values": ["left"]}})
    assert folder.people("no, _deleted") == [("1", False), ("2", True), ("3", False)]
    folder.pull({"deleted": "Gone"}, options={"full": True})
    assert folder.people("no, _deleted") == [("1", False), ("2", True), ("3", False)]


def test_the_same_content_under_another_name_is_read_once(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1,Ana\n", age=90)
    folder.write("copy.csv", "No,Name\n1,Ana\n", age=80)
    assert folder.pull({"primary_key": []}).rows == 1
    assert folder.reports["people"].warnings == ["copy.csv has the same content as a.csv: it was not read twice."]
    assert folder.pull({"primary_key": []}).rows == 0
    folder.write("a.csv", "No,Name\n1,Ana\n", age=5)
    assert folder.pull({"primary_key": []}).rows == 0, "only its date is another"


def test_a_young_file_is_waited_for(folder: Folder) -> None:
    folder.write("a.csv", "No,Name\n1,Ana\n", age=0)
    started = datetime.now(UTC)
    assert folder.pull(settle_seconds=0.4).rows == 1
    assert datetime.now(UTC) - started > timedelta(seconds=0.3)


def test_a_file_that_is_still_growing_is_left_to_the_next_pull(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder.write("a.csv", "No,Name\n1,Ana\n", age=0)

    def grow(place: Place, found: FoundFile) -> FoundFile:
        with file.open("a") as more:
            more.write("2,Bo\n")
        return next(one for one in place.listing("*.csv") if one.path == found.path)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "look_again", grow)
        assert folder.pull(settle_seconds=2).rows == 0
        assert "a.csv is still being written" in folder.reports["people"].warnings[0]
        folder.pull()
        assert "a.csv was changed while it was read" in folder.reports["people"].warnings[0]
    assert folder.pull().rows == 3


def test_a_backfill_reads_the_files_of_its_days(folder: Folder) -> None:
    folder.write("old.csv", "No,Name\n1,Ana\n", age=86_400 * 10)
    folder.write("new.csv", "No,Name\n2,Bo\n")
    folder.pull()
    end = datetime.now(UTC)
    assert folder.pull(options={"window": Window(end - timedelta(days=2), end)}).rows == 1
    assert folder.pull().rows == 0


def test_no_file_yet_is_a_warning(folder: Folder) -> None:
    assert folder.pull().ok
    assert folder.reports["people"].warnings == ["no file matches *.csv."]


def test_a_bucket_is_read_like_a_folder(folder: Folder) -> None:
    bucket = fsspec.filesystem("memory")
    bucket.pipe("/shop/2026/a.csv", b"No,Name\n1,Ana\n")
    bucket.pipe("/shop/2026/b.csv", b"No,Name\n2,Bo\n3\n")
    try:
        assert folder.pull({"files": "**/*.csv"}, url="memory://shop").ok
        assert folder.people("no, _file") == [("1", "2026/a.csv"), ("2", "2026/b.csv")]
        assert folder.pull({"files": "**/*.csv"}, url="memory://shop").rows == 0
        [error] = folder.pull(url="memory://elsewhere").errors
        assert "There is no folder memory://elsewhere" in str(error)
    finally:
        bucket.rm("/shop", recursive=True)


# A run that is killed

_KILLED = """
import os, sys
from pathlib import Path
from millstream.sources.dlt_source import SourcePull
from millstream.sources.files import Files, FilesSettings
from millstream.sources.files.formats import delimited
from millstream.sources.ingest import ingest
from millstream.state.store import DuckDBStore

delimited.ROWS_A_BATCH = 20
folder = Path(sys.argv[1])
stream = {"files": "*.csv", "primary_key": ["No"]}
source = Files(FilesSettings(url=str(folder / "exports"), settle_seconds=0, streams={"people": stream}))
die = lambda stream, rows: os._exit(9) if rows > 130 else None
ingest(SourcePull(source, part_rows=40, progress=die), DuckDBStore(folder / "store.duckdb"), name="tills",
       pipelines=folder / "dlt")
"""


def test_a_killed_process_goes_on_in_the_middle_of_the_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f'{n},"p{n}\nx"\n' if n != 150 else "150\n" for n in range(200))
    folder.write("a.csv", "No,Name\n" + rows)
    died = subprocess.run([sys.executable, "-c", _KILLED, str(folder.path)], capture_output=True, check=False)
    assert died.returncode == 9, died.stderr.decode()
    assert folder.sql("SELECT count(*) FROM people") == [(120,)]
    assert folder.pull().rows == 199 - 120 + 1
    assert folder.sql("SELECT count(*), count(DISTINCT no) FROM people") == [(199, 199)]
    assert [line for line, _ in folder.broken()] == [302]


def test_every_format_goes_on_after_a_line(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from millstream.sources.files.formats import READERS
    from millstream.sources.files.settings import FileStream

    monkeypatch.setattr(batches, "ROWS_A_BATCH", 3)
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in [["No"], *([n] for n in range(10))]:
        book.active.append(row)
    book.save(folder.path / "exports" / "a.xlsx")
    pq.write_table(pa.table({"No": range(10)}), folder.path / "exports" / "a.parquet", row_group_size=4)
    folder.write("a.csv", "No\n" + "".join(f"{n}\n" for n in range(10)))
    folder.write("a.jsonl", "".join(f'{{"no": {n}}}\n' for n in range(10)))
    folder.write("a.xml", "<x>" + "".join(f"<r><no>{n}</no></r>\n" for n in range(10)) + "</x>")
    for name, after in {"csv": 5, "jsonl": 4, "parquet": 4, "xml": 4, "xlsx": 5}.items():
        how = FileStream(files=f"a.{name}", row="r")
        with (folder.path / "exports" / f"a.{name}").open("rb") as file:
            found = list(READERS[how.written_as](file, how, after))
        lines = [line for batch in found for line in batch.lines]
        assert lines == list(range(after + 1, after + 7)), name


# People


def test_the_project_file_says_what_the_rows_say_of_people(folder: Folder) -> None:
    source = folder.source(
        {
            "replace": "file",
            "constants": {"currency": "EUR"},
            "people": {
                "identifiers": {"E-Mail": "email", "Tel": {"kind": "phone", "split": ";", "merges": False}},
                "traits": {"Vorname": "first_name", "Punkte": {"name": "points", "type": "number"}},
                "consents": {"News": {"channel": "email", "statuses": {"JA": "granted"}}},
                "events": [
                    {
                        "name": "Bought",
                        "at": "Zeit",
                        "value": "Summe",
                        "currency": "currency",
                        "when": {"column": "Art", "values": ["Kauf"]},
                    }
                ],
                "observed_at": "Zeit",
            },
        }
    )
    stream = source.streams()[0]
    assert stream.people is not None
    assert stream.people.deleted == "_deleted"
    assert [(one.kind, one.column, one.merges) for one in stream.people.identifiers] == [
        ("email", "e_mail", True),
        ("phone", "tel", False),
    ]
    assert dict(stream.people.consents[0].statuses) == {"ja": "granted"}
    assert stream.people.events[0].when == ("art", ("kauf",))
    types = {column.name: column.type for column in stream.columns}
    assert (types["zeit"], types["summe"], types["punkte"], types["e_mail"]) == (
        "timestamp",
        "double",
        "double",
        "text",
    )


def test_an_address_may_stand_in_several_columns(folder: Folder) -> None:
    said = {"Straße": {"kind": "address", "with": ["PLZ", "Ort"]}, "no": "user_id"}
    stream = folder.source({"people": {"identifiers": said}}).streams()[0]
    assert stream.people is not None
    address, _ = stream.people.identifiers
    assert address == Identifier(kind="address", columns=("strasse", "plz", "ort"))
    assert {"strasse", "plz", "ort"} <= {column.name for column in stream.columns}


# Settings


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ({"files": "a.dat"}, "does not say a format"),
        ({"files": "../a.csv"}, "leaves the folder"),
        ({"files": "/etc/a.csv"}, "leaves the folder"),
        ({"files": "a.xml"}, "xml needs `row`"),
        ({"encoding": "utf-9"}, "there is no encoding"),
        ({"columns": {"€": "text"}}, "is no column's name"),
        ({"columns": {"total": "text"}, "people": BOUGHT}, "needs double or bigint"),
        ({"people": {"identifiers": {"no": "user_id"}, "events": [{"at": "t"}]}}, "either name"),
        ({"people": {"record": "subject", "identifiers": {"a": "email"}, "traits": {"b": "c"}}}, "no traits"),
        ({"people": {"identifiers": {}}}, "at least 1"),
    ],
)
def test_a_wrong_declaration_is_refused_at_once(folder: Folder, stream: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        folder.source(stream)


def test_relative_folders_start_at_the_project_file(tmp_path: Path) -> None:
    given = {"url": "exports", "streams": {"people": CUSTOMERS}}
    made = FilesSettings.model_validate(given, context={"root": tmp_path})
    assert made.url == str(tmp_path / "exports")
    assert FilesSettings.model_validate({**given, "url": "s3://x/y"}, context={"root": tmp_path}).url == "s3://x/y"


# What goes wrong at the place


@pytest.fixture
def place(folder: Folder) -> Place:
    return Place(folder.source({}).settings)


class NoCredentialsError(Exception):
    """As botocore's."""


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (NoCredentialsError("Unable to locate credentials"), AuthenticationError),
        (PermissionError("Access Denied"), PermissionDeniedError),
        (OSError("An error occurred (SignatureDoesNotMatch)"), AuthenticationError),
        (ConnectionRefusedError("refused"), UnreachableError),
    ],
)
def test_errors_of_file_systems_become_ours(
    place: Place, monkeypatch: pytest.MonkeyPatch, raised: Exception, ours: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise raised

    monkeypatch.setattr(place._files, "exists", fail)
    with pytest.raises(ours):
        place.check()


def test_a_place_that_cannot_be_read_is_a_matter_of_settings(folder: Folder) -> None:
    with pytest.raises(ConfigurationError, match="There are no files at ftp://"):
        Place(folder.source({}, url="ftp://x/y").settings).check()
