"""``millstream check`` tries the place where Splink compares, and says what is wrong with it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from millstream.state.identity.linkage.engine import Engine
from tests.flows.calling import call, call_json
from tests.flows.conftest import Write
from tests.postgres import Server

SOURCE = """
connections:
  disk: {system: files, url: ., settle_seconds: 0}
sources:
  shop:
    connection: disk
    streams:
      people:
        files: people.csv
        primary_key: [no]
        people: {identifiers: {mail: email}, traits: {name: first_name}}
"""


def linkage(ok: bool) -> dict[str, Any]:
    (one,) = [one for one in call_json("check", ok=ok)["checks"] if one["kind"] == "linkage"]
    return dict(one)


@pytest.fixture
def closed_port() -> int:
    """A port of the loopback interface on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def project(backend: str, url: str | None = None) -> str:
    place = f", url: {url}" if url else ""
    return f"identity:\n  linkage: {{enabled: true, backend: {backend}{place}}}\n"


def test_duckdb_needs_nothing(write: Write) -> None:
    write(project("duckdb"))
    assert linkage(ok=True) | {"remedy": None} == {
        "name": "linkage", "kind": "linkage", "ok": True, "problem": None, "detail": "", "remedy": None,
    }  # fmt: skip


def test_of_linkage_that_is_off_nothing_is_told(write: Write) -> None:
    write("identity:\n  linkage: {enabled: false, backend: postgres}\n")
    assert not [one for one in call_json("check")["checks"] if one["kind"] == "linkage"]


def test_postgres_is_tried(write: Write, postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project("postgres", "{env: LINKAGE_URL}"))
    assert linkage(ok=False)["detail"] != "", "the variable is not set"
    with postgres_server.database() as url:
        monkeypatch.setenv("LINKAGE_URL", url)
        assert linkage(ok=True)["ok"] is True
    gone = linkage(ok=False)
    assert gone["problem"] == "other"
    assert "does not exist" in gone["detail"]


def test_a_role_that_may_not_make_a_schema_is_told(
    write: Write, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project("postgres", "{env: LINKAGE_URL}"))
    with postgres_server.database() as url:
        connection = psycopg2.connect(url)
        connection.autocommit = True
        role = f"reader_{url.rsplit('_', 1)[1]}"
        connection.cursor().execute(f"CREATE ROLE {role} LOGIN PASSWORD 'sesame'")
        try:
            scheme, _, rest = url.partition("://")
            monkeypatch.setenv("LINKAGE_URL", f"{scheme}://{role}:sesame@{rest.rpartition('@')[2]}")
            told = linkage(ok=False)
        finally:
            connection.cursor().execute(f"DROP ROLE {role}")
            connection.close()
    assert told["problem"] == "permission"
    assert "permission denied" in told["detail"]
    assert "sesame" not in str(told)


def test_who_does_not_answer_and_what_cannot_be_read_is_told_without_the_password(
    write: Write, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project("postgres", "{env: LINKAGE_URL}"))
    for url, problem, said in (
        (f"postgresql://ana:sesame@127.0.0.1:{closed_port}/db", "network", "refused"),
        ("postgresql://ana:sesame@127.0.0.1:sesame/db", "other", "cannot be read"),
        ("mysql+nothing://ana:sesame@127.0.0.1/db", "other", "cannot be read"),
        ("sesame", "other", "cannot be read"),
    ):
        monkeypatch.setenv("LINKAGE_URL", url)
        told = linkage(ok=False)
        assert told["problem"] == problem, url
        assert said in told["detail"].lower(), url
        assert "sesame" not in str(told), url


def test_a_backend_that_needs_a_url_says_so(write: Write) -> None:
    write(project("postgres"))
    assert linkage(ok=False)["detail"] == "The backend 'postgres' needs a URL."


@pytest.mark.parametrize("scheme", ["spark", "sc"])
def test_a_master_of_spark_that_does_not_answer_is_told_at_once(write: Write, closed_port: int, scheme: str) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed (extra linkage-spark)")
    write(project("spark", f"'{scheme}://127.0.0.1:{closed_port}'"))
    told = linkage(ok=False)
    assert told["problem"] == "network"
    assert f"127.0.0.1:{closed_port}" in told["detail"]


def test_without_pyspark_the_extra_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    write(project("spark", "'local[1]'"))
    told = linkage(ok=False)
    assert "millstream[linkage-spark]" in told["remedy"]
    assert call("check").exit_code == 1


def test_a_run_that_splink_fails_in_changes_nobody_and_can_be_run_again(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people.csv").write_text("no,mail,name\n1,ann@box.example,Ann\n2,bo@box.example,Bo\n")
    write(SOURCE + project("duckdb"))
    assert call("ingest").exit_code == 0
    with monkeypatch.context() as broken:
        broken.setattr(Engine, "_table", lambda _: pa.table({"unique_id": pa.array([0, 0])}))
        failed = call("resolve")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("error: identity.linkage: Splink failed on duckdb (BinderException)")
    assert call_json("status")["profiles"] == 0
    assert call_json("resolve")["resolved"]["profiles"] == 2
