"""What ingest keeps on each engine of the store: the same values, and nothing of another store's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from millstream.sources.contract import Column, Cursor
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import ingest
from millstream.sources.stored import StoredRows
from millstream.state.store import DuckDBStore, Store, column_types
from tests.engines import Engine
from tests.sources.test_engine import Shop, Told, stream

COLUMNS = (
    Column("id", "bigint", required=True),
    Column("changed_at", "timestamp", required=True),
    Column("name"),
    Column("score", "double"),
    Column("vip", "bool"),
    Column("born", "date"),
    Column("details", "json"),
)
ODD = 'Zoë "Z" O\'Hara,\n\\N\t€ \\u0000 '


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[Store]:
    with engine.store(tmp_path) as store:
        yield store


def pulled(store: Store, folder: Path, *rows: dict[str, Any]) -> list[datetime | None]:
    """Pull rows into a store; gives where the stream was to start."""
    told = Told([], [])
    people = stream([list(rows)], told, name="people", columns=COLUMNS, cursor=Cursor(column="changed_at"))
    report = ingest(SourcePull(Shop(people)), store, name="shop", pipelines=folder / "dlt")
    assert [str(error) for error in report.errors] == []
    assert report.ok
    return told.since


def person(number: int, day: int = 1, **more: object) -> dict[str, Any]:
    empty = {"name": None, "score": None, "vip": None, "born": None, "details": None}
    return {"id": number, "changed_at": f"2026-03-{day:02}T12:00:00.125Z", **empty, **more}


def stored(store: Store) -> list[tuple[Any, ...]]:
    names = "id, changed_at, name, score, vip, born, details"
    with store.open() as connection:
        rows = connection.execute(f"SELECT {names} FROM raw_shop.people ORDER BY id").fetchall()
    return [(*row[:-1], None if row[-1] is None else json.loads(row[-1])) for row in rows]


def test_every_kind_of_value_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    details = {"tags": ["a", {"b": None}], "text": ODD, "number": 1.5}
    whole = person(1, name=ODD, score=0.1, vip=True, born="1999-02-28", details=details)
    pulled(store, tmp_path, whole, person(2))
    at = datetime(2026, 3, 1, 12, 0, 0, 125_000, tzinfo=UTC)
    assert stored(store) == [
        (1, at, ODD, 0.1, True, date(1999, 2, 28), details),
        (2, at, None, None, None, None, None),
    ]
    with store.open() as connection:
        types = column_types(connection, "raw_shop", "people")
    assert {name: types[name] for name in ("id", "changed_at", "name", "score", "vip", "born", "details")} == {
        "id": "BIGINT",
        "changed_at": "TIMESTAMPTZ",
        "name": "TEXT",
        "score": "DOUBLE",
        "vip": "BOOLEAN",
        "born": "DATE",
        "details": "JSON",
    }


def test_another_store_is_filled_from_the_start(store: Store, tmp_path: Path) -> None:
    pulled(store, tmp_path, person(1))
    other = DuckDBStore(tmp_path / "other.duckdb")
    assert pulled(other, tmp_path, person(1)) == [None]
    assert [row[0] for row in stored(other)] == [1]
    pulled(store, tmp_path, person(2, 2))
    assert [row[0] for row in stored(store)] == [1, 2]


def test_a_character_that_postgresql_cannot_keep_is_left_out_there(postgres_engine: Engine, tmp_path: Path) -> None:
    said = "a\x00b\\u0000"
    with postgres_engine.store(tmp_path) as store:
        pulled(store, tmp_path, person(1, name=said, details={said: [said, 1, None]}), person(2, name="x"))
        kept = "ab\\u0000"
        assert [row[2] for row in stored(store)] == [kept, "x"]
        assert stored(store)[0][-1] == {kept: [kept, 1, None]}


def test_rows_are_found_by_what_their_text_begins_with(store: Store, tmp_path: Path) -> None:
    names = ("all.zip/one.csv", "all.zip", "ALL.ZIP/one.csv", "all_zip/one.csv", None)
    pulled(store, tmp_path, *(person(number, name=name, vip=True) for number, name in enumerate(names)))
    stored = StoredRows(store, "shop")
    assert stored.rows("people", columns=("id",), begins={"name": "all.zip/"})["id"].to_pylist() == [0]
    assert len(stored.rows("people", unequal={"vip": True}, begins={"name": "all"})) == 0
