"""Sources that yield tables: what the engine does with them, on each engine of the store and under plain dlt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millstream.sources.contract import Column, DeclaredSettings, Stream, TableSource
from millstream.sources.dlt_source import SourcePull
from millstream.sources.files import Files, FilesSettings
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pull import Pull
from millstream.sources.sql import Sql, SqlSettings
from millstream.state.errors import SchemaError
from millstream.state.store import DuckDBStore, Store
from tests.engines import Engine
from tests.sources.loading import loads

ID = Column("id", "bigint", required=True)


class Shelf(TableSource[DeclaredSettings]):
    """One stream of whatever tables a test gives."""

    name = "shelf"
    title = "Shelf"
    category = "other"
    docs_url = "https://shelf.example.com"
    api_version = "1"
    Settings = DeclaredSettings

    def __init__(self, *tables: pa.Table | list[dict[str, Any]], **facts: Any) -> None:
        super().__init__(DeclaredSettings())
        self._tables = tables
        self._facts = {"columns": (ID,), "resumable": True, **facts}

    def streams(self) -> tuple[Stream, ...]:
        return (Stream(name="things", description="", primary_key=("id",), read=self._read, **self._facts),)

    def _read(self, pull: Pull) -> Iterator[pa.Table | list[dict[str, Any]]]:
        for number, table in enumerate(self._tables):
            if number < pull.state.get("done", 0):
                continue
            pull.state["done"] = number + 1
            if isinstance(table, Exception):
                raise table
            yield table
        pull.warn("that was all")

    def probe(self, pull: Pull) -> None:
        """Nothing to ask."""


def pull(folder: Path, source: TableSource[Any], store: Store | None = None, **options: Any) -> IngestReport:
    store = store or DuckDBStore(folder / "store.duckdb")
    return ingest(SourcePull(source, **options), store, name="shelf", pipelines=folder / "dlt")


def rows(store: Store, columns: str = "*", table: str = "things") -> list[tuple[Any, ...]]:
    with store.open() as connection:
        return connection.execute(f"SELECT {columns} FROM raw_shelf.{table} ORDER BY id").fetchall()


def test_columns_that_are_not_declared_are_stored_as_they_come(tmp_path: Path) -> None:
    first, second = pa.table({"id": [1], "name": ["Ana"]}), pa.table({"id": [2], "size": [1.5], "name": ["Bo"]})
    assert pull(tmp_path, Shelf(first, second)).ok
    store = DuckDBStore(tmp_path / "store.duckdb")
    assert rows(store, "id, name, size") == [(1, "Ana", None), (2, "Bo", 1.5)]


def test_declared_columns_take_their_type(tmp_path: Path) -> None:
    assert pull(tmp_path, Shelf(pa.table({"id": ["7"]}), columns=(ID, Column("note", optional=True)))).ok
    assert rows(DuckDBStore(tmp_path / "store.duckdb"), "id, note") == [(7, None)]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"no": [1]}), "There is no column 'id'. Allowed: no."),
        (pa.table({"id": [1, None]}), "1 of 2 rows have no value in 'id'"),
        (pa.table({"id": ["x"]}), "Column 'id' is string and does not fit int64"),
    ],
)
def test_a_table_that_is_not_as_declared_is_named(tmp_path: Path, table: pa.Table, said: str) -> None:
    [error] = pull(tmp_path, Shelf(table)).errors
    assert said in str(error)


def test_what_a_reader_warns_of_stands_in_the_report_once(tmp_path: Path) -> None:
    [report] = pull(tmp_path, Shelf(*(pa.table({"id": [n]}) for n in range(3))), part_rows=1).streams
    assert (report.rows, report.loaded, report.status) == (3, 3, "complete")
    assert report.as_json()["warnings"] == ["that was all"]


def test_what_was_read_before_an_error_is_not_read_again(tmp_path: Path) -> None:
    broken = Shelf(pa.table({"id": [1]}), SchemaError("torn"), pa.table({"id": [3]}))
    assert [one.status for one in pull(tmp_path, broken).streams] == ["failed"]
    report = pull(tmp_path, Shelf(pa.table({"id": [1]}), pa.table({"id": [2]}), pa.table({"id": [3]})))
    assert report.rows == 2, "the torn one is tried again, and what follows"


def test_a_key_that_comes_again_in_a_later_part_of_the_first_load_is_one_row(tmp_path: Path) -> None:
    words = [["a", "b", "b2"], ["c"], ["a2", "c2", "c3", "d"]]
    parts = [[{"id": ord(word[0]), "word": word} for word in part] for part in words]
    source = Shelf(*parts, columns=(ID, Column("word")))
    store = DuckDBStore(tmp_path / "store.duckdb")
    one = SourcePull(source, part_rows=1)
    report = ingest(one, store, name="shelf", pipelines=tmp_path / "dlt")
    assert report.ok
    assert one.appended == frozenset({"things"}), "to the last part, since none of them had a table to merge with"
    assert [word for (word,) in rows(store, "word")] == ["a2", "b2", "c3", "d"]
    assert [(stream.rows, stream.loaded) for stream in report.streams] == [(8, 6)]
    assert not list(tmp_path.rglob("first_loads.json"))
    assert pull(tmp_path, Shelf([], [], [], [{"id": ord("b"), "word": "b3"}], columns=(ID, Column("word")))).ok
    assert [word for (word,) in rows(store, "word")] == ["a2", "b3", "c3", "d"]


def test_a_reader_that_cannot_go_on_is_loaded_in_one_piece(tmp_path: Path) -> None:
    source = Shelf(pa.table({"id": [1]}), [{"id": 2}], pa.table({"id": [3]}), resumable=False)
    [report] = pull(tmp_path, source, part_rows=1).streams
    assert (report.rows, report.loaded, report.status) == (3, 3, "complete")


def test_it_is_an_ordinary_dlt_source(tmp_path: Path) -> None:
    plain = loads(tmp_path, "shelf")
    plain.run(Shelf(pa.table({"id": [1]}), pa.table({"id": [2]})), part_rows=1)
    assert plain.sql("SELECT id FROM things ORDER BY id") == [(1,), (2,)]


def test_rows_that_are_gone_are_marked_in_any_store(engine: Engine, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    stream = {
        "files": "*.csv",
        "primary_key": ["id"],
        "columns": {"born": "date", "met": "timestamp"},
        "replace": "file",
    }
    settings = FilesSettings.model_validate({"url": str(exports), "settle_seconds": 0, "streams": {"things": stream}})
    with engine.store(tmp_path) as store:
        for content in ("a,1980-02-01,2026-01-01 10:00\nb,,\nc\n", "b,,\n"):
            (exports / "a.csv").write_text(f"id,born,met\n{content}")
            assert pull(tmp_path, Files(settings), store).errors == []
        found = rows(store, "id, CAST(born AS TEXT), _deleted")
        assert found == [("a", "1980-02-01", True), ("b", None, False)]
        assert rows(store, "line, resolved", "quarantine") == [(4, True)]


def test_keys_are_compared_in_any_store(engine: Engine, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE things (id TEXT, day DATE, price NUMERIC(10, 2), PRIMARY KEY (id, day))")
        database.execute("INSERT INTO things VALUES ('a', '2026-01-01', 1.5), ('b', '2026-01-01', 2)")
        database.commit()
        stream = {"table": "things", "primary_key": ["id", "day"], "compare_keys": True}
        settings = SqlSettings.model_validate({"url": f"sqlite:///{tmp_path}/shop.db", "streams": {"things": stream}})
        with engine.store(tmp_path) as store:
            assert pull(tmp_path, Sql(settings), store).errors == []
            database.execute("DELETE FROM things WHERE id = 'a'")
            database.commit()
            assert pull(tmp_path, Sql(settings), store).errors == []
            assert rows(store, "id, CAST(price AS TEXT), _deleted") == [("a", "1.50", True), ("b", "2.00", False)]
