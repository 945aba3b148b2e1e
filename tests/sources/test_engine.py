"""The engine of sources: pages to tables, what is kept of a pull that ends early, and what a load must prove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.auth import AuthBase

from millstream.sources import dlt_source
from millstream.sources.contract import Column, ColumnType, Cursor, Source, SourceSettings, Stream
from millstream.sources.dlt_source import CHUNK_ROWS, SourcePull
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pages import PageReader
from millstream.sources.pull import Pull, Window
from millstream.state.errors import (
    AuthenticationError,
    FatalError,
    IncompleteError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    SchemaError,
    UnavailableError,
    UnreachableError,
)
from millstream.state.http import RateLimit
from millstream.state.store import Connection, DuckDBStore, Store
from tests.engines import Engine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Pages = Sequence[list[dict[str, Any]] | MillstreamError]


def at(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC)


def thing(number: int, day: int = 1, **more: object) -> dict[str, Any]:
    return {"id": number, "changed_at": at(day).isoformat(), **more}


# Pages to tables


def reader_of(*columns: Column, key: tuple[str, ...] = ()) -> PageReader:
    return PageReader(Stream(name="things", description="", primary_key=key, columns=columns, read=iter), NOON)


@pytest.mark.parametrize(
    ("kind", "given_value", "stored"),
    [
        ("text", "as it is ", "as it is "),
        ("text", "", ""),
        ("text", 12, "12"),
        ("text", True, "true"),
        ("bigint", "12", 12),
        ("bigint", "", None),
        ("double", "1.5", 1.5),
        ("bool", "True", True),
        ("bool", "0", False),
        ("timestamp", "2026-03-01T14:00:00+02:00", NOON),
        ("timestamp", "2026-03-01T12:00:00", NOON),
        ("timestamp", "2026-03-01T12:00:00Z", NOON),
        ("timestamp", int(NOON.timestamp()), NOON),
        ("timestamp", int(NOON.timestamp() * 1000), NOON),
        ("timestamp", str(int(NOON.timestamp() * 1000)), NOON),
        ("timestamp", "", None),
        ("date", "2026-03-01", date(2026, 3, 1)),
        ("date", "2026-03-01T12:00:00Z", date(2026, 3, 1)),
        ("json", {"b": [1, None]}, '{"b":[1,null]}'),
        ("json", "text", '"text"'),
    ],
)
def test_values_take_the_declared_type(kind: ColumnType, given_value: object, stored: object) -> None:
    table = reader_of(Column("value", kind)).table([{"value": given_value}, {"value": None}])
    assert table["value"].to_pylist() == [stored, None]


@pytest.mark.parametrize("kind", ["bigint", "double", "bool", "timestamp", "date"])
def test_a_value_that_does_not_fit_is_named_without_the_person(kind: ColumnType) -> None:
    with pytest.raises(SchemaError) as raised:
        reader_of(Column("score", kind)).table([{"score": None}, {"score": "ana.li@box.example"}])
    assert "'score'" in str(raised.value)
    assert kind in str(raised.value)
    assert "ana.li" not in str(raised.value)
    assert "What to do" in str(raised.value)


def test_a_required_value_that_is_missing_is_named() -> None:
    with pytest.raises(SchemaError, match=r"'id' is missing in 2 of 3 rows"):
        reader_of(Column("id", required=True)).table([{"id": "1"}, {"id": None}, {}])


def test_a_column_that_stands_nowhere_is_named_with_what_stands_there_instead() -> None:
    reader = reader_of(Column("id"), Column("phone"), Column("note", optional=True))
    reader.table([{"id": "1", "phone_number": "x"}])
    assert reader.lacks_columns
    with pytest.raises(SchemaError, match=r"Column phone stood in none of 1 rows; unknown names seen: phone_number"):
        reader.check_complete()


def test_a_column_that_stands_in_a_later_page_is_there() -> None:
    reader = reader_of(Column("id"), Column("phone"))
    reader.table([{"id": "1"}])
    reader.table([{"id": "2", "phone": None}])
    assert not reader.lacks_columns
    reader.check_complete()


def test_no_rows_lack_nothing() -> None:
    reader_of(Column("id")).check_complete()


@settings(max_examples=40)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "a|"])), max_size=6), max_size=4))
def test_keys_are_counted_once_each(pages: list[list[tuple[int, str]]]) -> None:
    reader = reader_of(Column("n", "bigint", required=True), Column("t", required=True), key=("n", "t"))
    for page in pages:
        reader.table([{"n": number, "t": text} for number, text in page])
    assert reader.distinct_keys() == len({key for page in pages for key in page})


# A source that reads what a test tells it to


class Key(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Shop(Source[SourceSettings]):
    """Streams of whatever pages and errors a test gives."""

    name = "shop"
    title = "Shop"
    category = "other"
    docs_url = "https://shop.example.com"
    api_version = "1"
    Settings = SourceSettings
    rate_limit = RateLimit(requests=100, seconds=1.0)

    def __init__(self, *given_streams: Stream) -> None:
        super().__init__(SourceSettings(base_url="http://127.0.0.1:9"))
        self._given = given_streams

    def auth(self) -> AuthBase:
        return Key()

    def streams(self) -> tuple[Stream, ...]:
        return self._given

    def probe(self, pull: Pull) -> None:
        """Nothing to ask."""


COLUMNS = (
    Column("id", "bigint", required=True),
    Column("changed_at", "timestamp"),
    Column("name", optional=True),
)


@dataclass
class Told:
    """What a stream's reader was given, each time it was called."""

    since: list[datetime | None]
    notes: list[dict[str, Any]]


def stream(pages: Pages, told: Told | None = None, **facts: Any) -> Stream:
    """A stream of these pages; an error among them is raised where it stands."""

    def read(pull: Pull) -> Iterator[list[dict[str, Any]]]:
        if told is not None:
            told.since.append(pull.since)
            told.notes.append(dict(pull.state))
        pull.state["pulls"] = pull.state.get("pulls", 0) + 1
        for page in pages:
            if isinstance(page, MillstreamError):
                raise page
            yield page

    declared = {"name": "things", "description": "", "primary_key": ("id",), "columns": COLUMNS, **facts}
    return Stream(read=read, **declared)


CURSOR = Cursor(column="changed_at")
ORDERED = Cursor(column="changed_at", ordered=True)


@dataclass
class Bench:
    """A store, and a folder for dlt."""

    store: Store
    folder: Path

    def pull(self, *streams: Stream, **options: Any) -> IngestReport:
        return ingest(SourcePull(Shop(*streams), **options), self.store, name="shop", pipelines=self.folder / "dlt")

    def since(self, **facts: Any) -> datetime | None:
        """Where the next pull of a stream would start."""
        told = Told([], [])
        self.pull(stream([], told, **facts))
        return told.since[0]

    def ids(self, table: str = "things") -> list[int]:
        return [number for (number,) in self.sql(f"SELECT id FROM raw_shop.{table} ORDER BY id")]

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with self.store.open() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Iterator[Bench]:
    with engine.store(tmp_path) as store:
        yield Bench(store, tmp_path)


# The place of a stream


def test_a_whole_pull_moves_the_place(bench: Bench) -> None:
    report = bench.pull(stream([[thing(1, 3), thing(2, 5)], [thing(3, 4)]], cursor=CURSOR))
    assert report.ok
    assert (report.streams[0].rows, report.streams[0].loaded) == (3, 3)
    assert bench.since(cursor=CURSOR) == at(5)


def test_the_lookback_is_taken_off_the_place(bench: Bench) -> None:
    bench.pull(stream([[thing(1, 5)]], cursor=CURSOR))
    assert bench.since(cursor=Cursor(column="changed_at", lookback=timedelta(days=2))) == at(3)


def test_a_place_never_moves_back(bench: Bench) -> None:
    bench.pull(stream([[thing(1, 5)]], cursor=CURSOR))
    bench.pull(stream([[thing(2, 2)]], cursor=CURSOR))
    assert bench.since(cursor=CURSOR) == at(5)


def test_a_row_from_the_future_does_not_take_the_place_there(bench: Bench) -> None:
    bench.pull(stream([[thing(1, 5)]], cursor=CURSOR), pulled_at=at(4))
    assert bench.since(cursor=CURSOR) == at(4)


@pytest.mark.parametrize("cursor", [CURSOR, ORDERED], ids=["unordered", "ordered"])
def test_a_failed_pull_keeps_its_rows_and_leaves_the_place(bench: Bench, cursor: Cursor) -> None:
    bench.pull(stream([[thing(1, 2)]], cursor=cursor))
    report = bench.pull(stream([[thing(2, 5)], UnavailableError("no more")], cursor=cursor))
    assert [(one.status, one.rows, one.loaded) for one in report.streams] == [("failed", 1, 1)]
    assert bench.ids() == [1, 2]
    assert bench.since(cursor=cursor) == at(2)


@pytest.mark.parametrize(("cursor", "kept"), [(CURSOR, at(2)), (ORDERED, at(5))], ids=["unordered", "ordered"])
def test_a_budget_that_ends_keeps_the_place_only_of_ordered_rows(bench: Bench, cursor: Cursor, kept: datetime) -> None:
    bench.pull(stream([[thing(1, 2)]], cursor=cursor))
    report = bench.pull(stream([[thing(2, 5)], QuotaExhaustedError("used up")], cursor=cursor))
    assert [(one.status, one.rows) for one in report.streams] == [("partial", 1)]
    assert not report.ok
    assert bench.ids() == [1, 2]
    assert bench.since(cursor=cursor) == kept


def test_fewer_rows_than_announced_fail_and_leave_the_place(bench: Bench) -> None:
    def read(pull: Pull) -> Iterator[list[dict[str, Any]]]:
        pull.expect(3)
        yield [thing(1, 5)]
        pull.expect(1)

    promised = Stream(name="things", description="", primary_key=("id",), columns=COLUMNS, cursor=CURSOR, read=read)
    report = bench.pull(promised)
    assert isinstance(report.errors[0], IncompleteError)
    assert "announced 4 rows and 1 arrived" in str(report.errors[0])
    assert bench.since(cursor=CURSOR) is None


def test_full_reads_from_the_start_and_moves_the_place(bench: Bench) -> None:
    bench.pull(stream([[thing(1, 2)]], cursor=CURSOR))
    told = Told([], [])
    bench.pull(stream([[thing(1, 2), thing(2, 7)]], told, cursor=CURSOR), full=True)
    assert (told.since, told.notes) == ([None], [{}])
    assert bench.since(cursor=CURSOR) == at(7)


def test_a_backfill_leaves_place_and_notes_alone(bench: Bench) -> None:
    bench.pull(stream([[thing(1, 5)]], cursor=CURSOR))
    told = Told([], [])
    report = bench.pull(
        stream([[thing(2, 20)]], told, cursor=CURSOR), window=Window.of_days(date(2026, 3, 2), date(2026, 3, 3))
    )
    assert report.ok
    assert (told.since, told.notes) == ([at(2)], [{}])
    assert bench.ids() == [1, 2]
    after = Told([], [])
    bench.pull(stream([], after, cursor=CURSOR))
    assert (after.since, after.notes) == ([at(5)], [{"pulls": 1}])


def test_a_mistake_in_a_readers_own_code_is_told_with_its_place(bench: Bench) -> None:
    bench.pull(stream([[thing(1)]]))

    def read(pull: Pull) -> Iterator[list[dict[str, Any]]]:
        yield [thing(2)]
        pull.stately()  # type: ignore[attr-defined]

    mistaken = Stream(name="things", description="", primary_key=("id",), columns=COLUMNS, read=read)
    with pytest.raises(FatalError, match=r"Unexpected AttributeError in tests\.sources\.test_engine, line \d+") as told:
        bench.pull(mistaken)
    assert told.value.where == "shop.things"
    assert bench.ids() == [1]


# A reader's notes


@pytest.mark.parametrize(
    ("error", "kept"), [(None, 2), (QuotaExhaustedError("used up"), 2), (UnavailableError("no more"), 1)]
)
def test_notes_are_kept_with_the_rows_they_are_about(bench: Bench, error: MillstreamError | None, kept: int) -> None:
    bench.pull(stream([[thing(1)]]))
    bench.pull(stream([[thing(2)], *([error] if error else [])]))
    told = Told([], [])
    bench.pull(stream([], told))
    assert told.notes == [{"pulls": kept}]


# Streams beside each other


@pytest.mark.parametrize(
    ("error", "kept"), [(None, at(5)), (UnavailableError("no more"), None), (QuotaExhaustedError("used up"), None)]
)
def test_a_stream_that_follows_holds_the_others_place(
    bench: Bench, error: MillstreamError | None, kept: datetime | None
) -> None:
    leader = stream([[thing(1, 5)]], cursor=CURSOR)
    bench.pull(leader, stream([[thing(7)], *([error] if error else [])], name="details", follows="things"))
    assert bench.ids() == [1]
    assert bench.since(cursor=CURSOR) == kept


def test_a_missing_scope_skips_only_its_stream(bench: Bench) -> None:
    report = bench.pull(stream([PermissionDeniedError("lists.read is missing")], name="lists"), stream([[thing(1)]]))
    assert {one.stream: one.status for one in report.streams} == {"lists": "skipped", "things": "complete"}
    assert str(report.errors[0]).startswith("shop.lists: ")


@pytest.mark.parametrize("error", [AuthenticationError("no"), UnreachableError("nobody there")])
def test_what_concerns_the_whole_source_is_said_once(bench: Bench, error: MillstreamError) -> None:
    bench.pull(stream([[thing(1)]], name="catalogue", disposition="replace"), stream([[thing(1, 2)]], cursor=CURSOR))
    told = Told([], [])
    report = bench.pull(
        stream([error], name="first"),
        stream([[thing(2)]], told, name="catalogue", disposition="replace"),
        stream([[thing(2, 9)]], told, cursor=CURSOR),
    )
    assert told.since == [], "streams after it were asked as well"
    assert [str(one) for one in report.errors] == [str(error)]
    assert [one.status for one in report.streams] == ["failed"] * 3
    assert (bench.ids("catalogue"), bench.ids()) == ([1], [1])
    assert bench.since(cursor=CURSOR) == at(2)


# Catalogues, which are replaced


def test_a_catalogue_is_replaced_whole(bench: Bench) -> None:
    bench.pull(stream([[thing(1), thing(2)]], disposition="replace"))
    assert bench.pull(stream([[thing(3)]], disposition="replace")).ok
    assert bench.ids() == [3]


@pytest.mark.parametrize("error", [UnavailableError("no more"), PermissionDeniedError("scope"), None])
def test_a_catalogue_that_was_not_read_whole_stays_as_it_was(bench: Bench, error: MillstreamError | None) -> None:
    bench.pull(stream([[thing(1), thing(2)]], disposition="replace"))
    pages: Pages = [] if error is None else [[thing(3)] * CHUNK_ROWS, error]
    report = bench.pull(stream(pages, disposition="replace"))
    assert not report.ok
    assert "What to do" in str(report.errors[0]) or error
    assert bench.ids() == [1, 2]
    assert bench.pull(stream([[thing(4)]], disposition="replace")).ok
    assert bench.ids() == [4]


def test_an_empty_catalogue_can_be_accepted(bench: Bench) -> None:
    bench.pull(stream([[thing(1)]], disposition="replace"))
    assert bench.pull(stream([], disposition="replace"), accept_empty=True).ok
    assert bench.ids() == []


def test_rows_that_lack_a_column_do_not_replace_good_ones(bench: Bench) -> None:
    columns = (Column("id", "bigint", required=True), Column("name"))
    bench.pull(stream([[{"id": 1, "name": "Ana"}]], columns=columns))
    report = bench.pull(stream([[{"id": 1, "title": "Ana"}]], columns=columns))
    assert "Column name stood in none of 1 rows; unknown names seen: title" in str(report.errors[0])
    assert bench.sql("SELECT id, name FROM raw_shop.things") == [(1, "Ana")]


# Loading


def test_the_later_row_of_a_key_wins(bench: Bench) -> None:
    report = bench.pull(stream([[thing(1, name="old")], [thing(1, name="new"), thing(2)]]))
    assert (report.streams[0].rows, report.streams[0].distinct, report.streams[0].loaded) == (3, 2, 2)
    assert bench.sql("SELECT name FROM raw_shop.things WHERE id = 1") == [("new",)]


def test_the_later_row_of_a_key_wins_over_tables_of_one_load(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlt_source, "CHUNK_ROWS", 1)
    pages = [[thing(number % 3, name=f"{number}")] for number in range(30)]
    report = bench.pull(stream(pages))
    assert (report.streams[0].rows, report.streams[0].loaded) == (30, 3)
    assert bench.sql("SELECT name FROM raw_shop.things ORDER BY id") == [("27",), ("28",), ("29",)]


def test_a_key_that_comes_twice_in_a_catalogue_is_one_row(bench: Bench) -> None:
    report = bench.pull(stream([[thing(1, name="old")], [thing(1, name="new"), thing(2)]], disposition="replace"))
    assert [str(error) for error in report.errors] == []
    assert bench.sql("SELECT id, name FROM raw_shop.things ORDER BY id") == [(1, "new"), (2, None)]


def test_what_a_first_load_that_died_left_twice_is_there_once_after_the_next(tmp_path: Path) -> None:
    bench = Bench(DuckDBStore(tmp_path / "store.duckdb"), tmp_path)
    bench.pull(stream([[thing(1), thing(2)]]))
    with bench.store.open() as connection:
        connection.execute("INSERT INTO raw_shop.things SELECT * FROM raw_shop.things WHERE id = 2")
    note = tmp_path / "dlt" / "shop" / "first_loads.json"
    note.write_text('["things"]')
    bench.pull(stream([[thing(3)]]))
    assert bench.ids() == [1, 2, 3]
    assert not note.exists()


def test_a_row_that_did_not_arrive_fails_the_stream(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pull(stream([[thing(1)]]))
    opened = bench.store.open

    @contextmanager
    def forgetful() -> Iterator[Connection]:
        with opened() as connection:
            connection.execute("DELETE FROM raw_shop.things WHERE id = 2")
            yield connection

    monkeypatch.setattr(bench.store, "open", forgetful)
    report = bench.pull(stream([[thing(1), thing(2)]]))
    assert [(one.status, one.distinct, one.loaded) for one in report.streams] == [("failed", 2, 1)]
    assert "shop.things: 2 rows were read and 1 are in the store" in str(report.errors[0])


class Died(BaseException):
    """As a kill: no handler takes it for an error of its own."""


@pytest.mark.parametrize("step", ["normalize", "load"])
def test_what_a_dead_run_had_read_is_loaded_before_anything_is_read_anew(
    bench: Bench, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Died

    bench.pull(stream([[thing(1, 2)]], cursor=CURSOR))
    with monkeypatch.context() as patch:
        patch.setattr(dlt.Pipeline, step, die)
        with pytest.raises(Died):
            bench.pull(stream([[thing(2, 5)]], cursor=CURSOR))
    assert bench.ids() == [1]
    told = Told([], [])
    report = bench.pull(stream([[thing(3, 6)]], told, cursor=CURSOR))
    assert report.ok
    assert bench.ids() == [1, 2, 3]
    assert told.since == [at(5)], "the dead run's rows are there, so its place counts"


def test_a_pull_that_died_while_reading_is_read_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlt_source, "CHUNK_ROWS", 2)

    def read(pull: Pull) -> Iterator[list[dict[str, Any]]]:
        yield [thing(2, 5)] * 2
        raise Died

    bench.pull(stream([[thing(1, 2)]], cursor=CURSOR))
    dying = Stream(name="things", description="", primary_key=("id",), columns=COLUMNS, cursor=CURSOR, read=read)
    with pytest.raises(Died):
        bench.pull(dying)
    told = Told([], [])
    assert bench.pull(stream([[thing(2, 5)]], told, cursor=CURSOR)).ok
    assert told.since == [at(2)]
    assert bench.ids() == [1, 2]


def test_progress_is_told_by_stream(bench: Bench) -> None:
    seen: list[tuple[str, int]] = []
    bench.pull(
        stream([[thing(number) for number in range(CHUNK_ROWS + 1)], [thing(9_999)]]),
        progress=lambda name, rows: seen.append((name, rows)),
    )
    assert seen == [("things", CHUNK_ROWS + 1), ("things", CHUNK_ROWS + 2)]


def test_it_is_an_ordinary_dlt_source(tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "ordinary",
        destination=dlt.destinations.duckdb(str(tmp_path / "ordinary.duckdb")),
        dataset_name="raw",
        pipelines_dir=str(tmp_path / "dlt"),
    )
    for rows in ([thing(1), thing(2)], [thing(2, 4)]):
        pipeline.run(SourcePull(Shop(stream([rows], cursor=CURSOR))).dlt_source(), loader_file_format="parquet")
    with pipeline.sql_client() as client:
        assert client.execute_sql("SELECT id, CAST(changed_at AS DATE) FROM things ORDER BY id") == [
            (1, date(2026, 3, 1)),
            (2, date(2026, 3, 4)),
        ]
