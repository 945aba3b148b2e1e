"""The tests of the contract suite."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from millstream.sources.check import check_source
from millstream.sources.contract import Source, Stream, TableSource
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pages import PULLED_AT
from millstream.sources.pull import Window
from millstream.state.http import Retries
from millstream.state.model.declarations import People
from millstream.state.sql import identifier, quoted
from millstream.state.store import Connection, DuckDBStore, column_types

from millstream.sources.testing.stand_in import StandIn  # isort: skip

AnySource = Source[Any]
MakeSource = Callable[..., AnySource]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COLUMN_NAME = re.compile(r"_?[a-z][a-z0-9_]*")
_SECRET_NAME = re.compile(r"(^|_)(key|token|secret|password)$")
_CATEGORIES = {"analytics", "crm", "survey", "support", "messaging", "commerce", "other"}
_QUICK = Retries(attempts=4, first_wait=0.01, longest_wait=0.05)


class Pulled:
    """A store of its own, into which a source is pulled.

    Attributes:
        store: The store.
        first: What the first pull into it brought, where the test began with one.
        first_requests: How many requests that took, where somebody counted.
    """

    first: IngestReport
    first_requests: int = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store = DuckDBStore(folder / "store.duckdb")

    def pull(self, source: AnySource, **options: Any) -> IngestReport:
        """Ingest the source once."""
        pull = SourcePull(source, retries=_QUICK, **options)
        return ingest(pull, self.store, name=source.name, pipelines=self._folder / "dlt")

    def rows(self, source: AnySource, stream: str) -> list[tuple[Any, ...]]:
        """The stored rows of a stream by key, without the time of the pull; none if it was never loaded."""
        with self.store.open() as connection:
            return _rows(connection, f"raw_{source.name}", stream)

    def everything(self, source: AnySource) -> dict[str, list[tuple[Any, ...]]]:
        """The stored rows of every stream."""
        with self.store.open() as connection:
            streams = [stream.name for stream in source.selected_streams()]
            return {stream: _rows(connection, f"raw_{source.name}", stream) for stream in streams}


class FirstPull:
    """A source that was pulled once: each test that begins with that is given a copy of the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pulled: Pulled | None = None

    def copied(self, source: AnySource, folder: Path, stand_in: StandIn) -> Pulled:
        """A store of the test's own, as the first pull left it."""
        if self._pulled is None:
            pulled = Pulled(self._folder)
            pulled.first = pulled.pull(source)
            pulled.first_requests = stand_in.requests_seen()
            self._pulled = pulled
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)
        copy = Pulled(folder)
        copy.first, copy.first_requests = self._pulled.first, self._pulled.first_requests
        return copy


class DeclaredContract:
    """What is tested of every source, with an API or without one; a subclass gives the fixture that raises here."""

    @pytest.fixture
    def make(self) -> MakeSource:
        """Makes the connector against the stand-in; takes changes of its settings."""
        raise NotImplementedError("give a fixture 'make'")

    @pytest.fixture
    def source(self, make: MakeSource) -> AnySource:
        """The connector."""
        return make()

    @pytest.fixture
    def pulled(self, tmp_path: Path) -> Pulled:
        """An empty store."""
        return Pulled(tmp_path)

    @pytest.fixture
    def begun(self, source: AnySource, pulled: Pulled) -> Pulled:
        """A store into which the connector was pulled once."""
        pulled.first = pulled.pull(source)
        return pulled

    # What is declared

    def test_it_is_named_for_the_project_file_and_for_people(self, source: AnySource) -> None:
        assert _NAME.fullmatch(source.name)
        assert source.title
        assert source.api_version
        assert source.category in _CATEGORIES
        assert source.docs_url.startswith("https://")

    def test_its_settings_are_described_and_secrets_are_secret(self, source: AnySource) -> None:
        for name, field in source.Settings.model_fields.items():
            assert field.description, f"setting {name} has no description"
            if _SECRET_NAME.search(name):
                assert "SecretStr" in str(field.annotation), f"setting {name} shows its secret"
        shown = repr(source.settings)
        secrets = [value for _, value in source.settings if isinstance(value, SecretStr)]
        assert not [secret for secret in secrets if secret.get_secret_value() in shown]

    def test_its_streams_hold_together(self, source: AnySource) -> None:
        seen: set[str] = set()
        for stream in source.streams():
            assert _NAME.fullmatch(stream.name)
            assert stream.name not in seen
            assert stream.follows is None or stream.follows in seen, f"{stream.name} follows a stream read before it"
            assert stream.description
            seen.add(stream.name)
            _check_columns(stream, named_later=isinstance(source, TableSource))

    # What it does

    def test_a_first_pull_brings_every_stream_whole(self, source: AnySource, begun: Pulled) -> None:
        report = begun.first
        assert [str(error) for error in report.errors] == []
        assert {stream.stream for stream in report.streams} == {s.name for s in source.selected_streams()}
        assert all(stream.loaded == stream.distinct for stream in report.streams)
        assert report.rows > 0


class SourceContract(DeclaredContract):
    """Tests of one source with an API; a subclass gives the fixtures that raise here.

    Attributes:
        wrong_credential: Settings that make the credential a wrong one.
        renews_tokens: Whether the credential given by ``make`` can be renewed when a token expires.
        odd_field: A stream, and a vendor field of its records that must not go missing unnoticed.
        stumbles_every: Which of the requests fail in the test of faults; more seldom for a vendor that punishes them.
    """

    wrong_credential: ClassVar[Mapping[str, Any]] = {}
    renews_tokens: ClassVar[bool] = False
    odd_field: ClassVar[tuple[str, str] | None] = None
    stumbles_every: ClassVar[int] = 4

    @pytest.fixture
    def stand_in(self) -> StandIn:
        """The control of the stand-in."""
        raise NotImplementedError("give a fixture 'stand_in'")

    @pytest.fixture
    def steered(self, stand_in: StandIn) -> Iterator[StandIn]:
        """The stand-in, which behaves before and after the test."""
        stand_in.clear()
        yield stand_in
        stand_in.clear()

    @pytest.fixture(scope="class")
    @classmethod
    def first_pull(cls, tmp_path_factory: pytest.TempPathFactory) -> FirstPull:
        """The first pull, made once for all tests of the class: the stand-in tells each of them the same."""
        return FirstPull(tmp_path_factory.mktemp("first_pull"))

    @pytest.fixture
    def begun(self, make: MakeSource, first_pull: FirstPull, tmp_path: Path, steered: StandIn) -> Pulled:
        """A store of the test's own, into which the connector was pulled once."""
        begun = first_pull.copied(make(), tmp_path / "begun", steered)
        steered.clear()
        return begun

    def test_a_second_pull_changes_nothing_and_reads_less(
        self, make: MakeSource, begun: Pulled, steered: StandIn
    ) -> None:
        before = begun.everything(make())
        second = begun.pull(make())
        assert [str(error) for error in second.errors] == []
        assert second.rows <= begun.first.rows
        assert steered.requests_seen() <= begun.first_requests
        assert begun.everything(make()) == before

    def test_faults_on_the_way_change_nothing_in_the_end(
        self, make: MakeSource, begun: Pulled, pulled: Pulled, steered: StandIn
    ) -> None:
        steered.throttle(times=1, seconds=1)
        steered.stumble(every=self.stumbles_every)
        report = pulled.pull(make())
        steered.clear()
        assert [str(error) for error in report.errors] == []
        assert pulled.everything(make()) == begun.everything(make())

    def test_a_backfill_leaves_the_place_alone(self, make: MakeSource, begun: Pulled) -> None:
        before = begun.everything(make())
        end = datetime.now(UTC)
        report = begun.pull(make(), window=Window(end - timedelta(days=20), end))
        assert [str(error) for error in report.errors] == []
        assert begun.everything(make()) == before
        cursors = {stream.stream: stream.cursor for stream in begun.first.streams}
        assert {s.stream: s.cursor or cursors[s.stream] for s in begun.pull(make()).streams} == cursors

    def test_an_empty_account_loses_nothing(self, make: MakeSource, begun: Pulled, steered: StandIn) -> None:
        before = begun.everything(make())
        steered.forget_everything()
        begun.pull(make(), full=True)
        steered.clear()
        assert {name: rows for name, rows in begun.everything(make()).items() if not rows and before[name]} == {}

    def test_a_web_page_instead_of_an_answer_is_named_and_loses_nothing(
        self, make: MakeSource, begun: Pulled, steered: StandIn
    ) -> None:
        source = make()
        before = begun.everything(source)
        steered.speak_html()
        report = begun.pull(make())
        steered.clear()
        assert not report.ok
        assert all(source.name in str(error) for error in report.errors)
        assert any("JSON" in str(error) or "token" in str(error) for error in report.errors)
        assert begun.everything(source) == before

    def test_a_renamed_or_missing_field_is_named_and_loses_nothing(
        self, make: MakeSource, begun: Pulled, steered: StandIn
    ) -> None:
        if self.odd_field is None:
            return
        stream, field = self.odd_field
        source = make(streams=(stream,))
        before = begun.rows(source, stream)
        assert before
        for renamed in (True, False):
            if renamed:
                steered.rename(field, f"{field}_v2")
            else:
                steered.drop(field)
            report = begun.pull(make(streams=(stream,)), full=True)
            steered.clear()
            assert not report.ok
            assert all(f"{source.name}.{stream}" in str(error) for error in report.errors)
            assert all("What to do" in str(error) for error in report.errors)
            assert begun.rows(source, stream) == before

    def test_an_expired_token_is_renewed_in_the_middle(
        self, make: MakeSource, pulled: Pulled, steered: StandIn
    ) -> None:
        if not self.renews_tokens:
            return
        steered.expire_token()
        assert [str(error) for error in pulled.pull(make()).errors] == []

    def test_a_good_credential_checks_out(self, source: AnySource) -> None:
        assert [result for result in check_source(source, name=source.name) if not result.ok] == []

    def test_a_wrong_credential_is_told_from_no_network(self, make: MakeSource, steered: StandIn) -> None:
        (result,) = check_source(make(**self.wrong_credential), name="it")
        assert (result.ok, result.problem) == (False, "credentials")
        assert result.remedy
        assert steered.requests_seen() <= 3
        for value in self.wrong_credential.values():
            assert str(value) not in result.detail
        (result,) = check_source(make(base_url="http://127.0.0.1:9"), name="it")
        assert (result.ok, result.problem) == (False, "network")


def _rows(connection: Connection, schema: str, stream: str) -> list[tuple[Any, ...]]:
    columns = [name for name in column_types(connection, schema, stream) if name != PULLED_AT]
    if not columns:
        return []
    names = ", ".join(quoted(name) for name in columns)
    return connection.execute(f"SELECT {names} FROM {identifier(f'{schema}.{stream}')} ORDER BY {names}").fetchall()


def _check_columns(stream: Stream, *, named_later: bool) -> None:
    """The columns hold together; those of a table may be known only once it is read, beside the declared ones."""
    columns = {column.name: column for column in stream.columns}
    assert len(columns) == len(stream.columns), f"{stream.name}: a column is declared twice"
    assert all(_COLUMN_NAME.fullmatch(name) for name in columns), stream.name
    assert stream.primary_key, f"{stream.name} has no key"
    for key in stream.primary_key:
        if named_later and key not in columns:
            continue
        assert key in columns, f"{stream.name}: key {key} is no column"
        assert columns[key].required, f"{stream.name}: key {key} is not required"
    if stream.cursor:
        assert columns[stream.cursor.column].type in ("timestamp", "date"), stream.name
    if stream.people and not named_later:
        missing = [name for name in _columns_named(stream.people) if name not in columns]
        assert not missing, f"{stream.name}: people are declared by columns that are not there: {missing}"


def _columns_named(people: People) -> list[str]:
    from millstream.state.model.incoming import columns_said

    return columns_said(people)
