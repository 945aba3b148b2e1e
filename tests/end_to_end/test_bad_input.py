"""Answers that are not as they should be: one clear message each, and what was loaded before is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from millstream.flows import steps
from millstream.sources.ingest import IngestReport
from tests.end_to_end.test_faults import HASTY
from tests.end_to_end.world import SECRETS, World, demo_world

SOURCES = ("hubspot", "ga4", "surveymonkey")
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project that has pulled everything once."""
    with demo_world(tmp_path_factory.mktemp("bad"), people=120) as world:
        for source in SOURCES:
            assert ingest(world, source).ok
        yield world


@pytest.fixture
def world(loaded: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The same, with retries that give up soon, and a sandbox that behaves again after the test."""
    monkeypatch.setattr("millstream.state.http.session.Retries", HASTY)
    project = loaded.folder / "millstream.yaml"
    text = project.read_text()
    yield loaded
    loaded.behave()
    project.write_text(text)


@dataclass(frozen=True)
class Bad:
    """A way in which a vendor's answers go wrong.

    Attributes:
        source: Whose answers.
        fault: Kind and facts of the fault.
        stream: The stream that suffers.
        says: What its message must name.
        path: Only requests to such paths.
    """

    source: str
    stream: str
    fault: dict[str, Any]
    says: str
    path: str | None = None


MALFORMED = {"kind": "truncated"}
WEB_PAGE = {"kind": "html"}
CASES = [
    Bad("hubspot", "contacts", MALFORMED, "not valid JSON", "objects/contacts"),
    Bad("ga4", "audiences", MALFORMED, "not valid JSON", "v1alpha"),
    Bad("surveymonkey", "contacts", MALFORMED, "not valid JSON", "contacts"),
    Bad("hubspot", "owners", WEB_PAGE, "text/html", "owners"),
    Bad("hubspot", "contacts", {"kind": "drop_field", "field": "id"}, "'id' is missing", "objects/contacts"),
    Bad("surveymonkey", "contacts", {"kind": "drop_field", "field": "id"}, "'id' is missing", "contacts"),
    Bad(
        "hubspot",
        "contacts",
        {"kind": "rename_field", "from": "lifecyclestage", "to": "stage_of_life"},
        "lifecycle_stage stood in none",
    ),
    Bad("surveymonkey", "surveys", {"kind": "rename_field", "from": "response_count", "to": "count"}, "response_count"),
    Bad("ga4", "audiences", {"kind": "rename_field", "from": "displayName", "to": "title"}, "display_name", "v1alpha"),
    Bad("hubspot", "owners", {"kind": "empty"}, "empty", "owners"),
    Bad("ga4", "audiences", {"kind": "empty"}, "empty", "v1alpha"),
]


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: f"{bad.source}.{bad.stream} {bad.fault['kind']}")
def test_a_bad_answer_is_named_and_loses_nothing(world: World, bad: Bad) -> None:
    before = stored(world, bad.source)
    world.order(bad.source, **bad.fault, **({"path": bad.path} if bad.path else {}))
    report = ingest(world, bad.source, full=True)
    assert not report.ok
    told = {stream.stream: str(stream.error) for stream in report.streams if stream.error}
    message = told[bad.stream]
    assert message.startswith(f"{bad.source}.{bad.stream}: ")
    assert bad.says in message
    assert "What to do: " in message
    assert_nobody(world, " ".join(told.values()))
    assert stored(world, bad.source) == before


@pytest.mark.parametrize("source", SOURCES)
def test_a_wrong_credential_is_said_once_and_asked_for_once(
    world: World, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored(world, source)
    for name in SECRETS:
        monkeypatch.setenv(name, "a-wrong-secret")
    world.count_anew()
    report = ingest(world, source)
    (message,) = [str(error) for error in report.errors]
    assert message.startswith(f"{source}.")
    assert "credential" in message or "token" in message
    assert "What to do: " in message
    assert "a-wrong-secret" not in message
    assert sum(entry["count"] for entry in world.requests_seen()[source]) <= 2
    assert stored(world, source) == before


@pytest.mark.parametrize("source", SOURCES)
def test_no_network_is_said_once(world: World, source: str) -> None:
    before = stored(world, source)
    project = world.folder / "millstream.yaml"
    project.write_text(project.read_text().replace(world.sandbox.url, "http://127.0.0.1:9"))
    report = ingest(world, source)
    (message,) = [str(error) for error in report.errors]
    assert message.startswith(f"{source}.")
    assert "check the network" in message
    assert {stream.status for stream in report.streams} == {"failed"}
    assert stored(world, source) == before


def test_after_all_that_everything_is_pulled_as_before(world: World) -> None:
    before = {source: stored(world, source) for source in SOURCES}
    for source in SOURCES:
        report = ingest(world, source)
        assert [str(error) for error in report.errors] == []
    assert {source: stored(world, source) for source in SOURCES} == before


def test_a_first_run_in_which_nothing_can_be_read_ends_with_messages(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demo_world(tmp_path_factory.mktemp("dead"), people=120) as world:
        monkeypatch.setattr("millstream.state.http.session.Retries", HASTY)
        for source in SOURCES:
            world.order(source, "html")
        report = world.run()
        assert not report.ok
        assert {str(error).split(".")[0] for error in report.errors} == set(SOURCES)
        assert {sync.sync: (sync.ok, sync.requests) for sync in report.activated} == {
            sync.sync: (True, 0) for sync in report.activated
        }
        assert "mailchimp" not in world.requests_seen()


def ingest(world: World, source: str, *, full: bool = False) -> IngestReport:
    """Pull one source once."""
    workspace = world.open()
    try:
        return steps.ingest(workspace, source, full=full)
    finally:
        workspace.journal.close()


def stored(world: World, source: str) -> Rows:
    """The raw rows of a source, without the time of the pull."""
    chosen = "COLUMNS(name -> name NOT IN ('_pulled_at', '_dlt_load_id', '_dlt_id'))"
    with world.asking() as ask:
        tables = ask(
            "SELECT table_name FROM duckdb_tables() "
            f"WHERE schema_name = 'raw_{source}' AND NOT starts_with(table_name, '_dlt')"
        )
        return {
            table: ask(f'SELECT {chosen} FROM "raw_{source}"."{table}" ORDER BY ALL') for (table,) in sorted(tables)
        }


def assert_nobody(world: World, text: str) -> None:
    """Nobody's address or number stands in the text."""
    for person in world.truth():
        for value in (*person["emails"], *person["phones"]):
            assert value.lower() not in text.lower(), f"{person['person_id']} can be read"
