"""The project files that Segment's page shows do what it says; the warehouse's on tables like Segment's."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from millstream.flows.project import Project, load_project
from millstream.flows.steps import Workspace, ingest, resolve

PAGE = Path(__file__).parents[2] / "docs" / "sources" / "segment.md"
SAMPLES = re.findall(r"^( *)```yaml\n(.*?)^ *```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
WHOLE = [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in SAMPLES if "connections:" in text]
[PROFILES] = [text for _, text in SAMPLES if "segment_profiles:" in text]

COMMON = "id TEXT, received_at DATETIME, uuid_ts DATETIME, user_id TEXT, anonymous_id TEXT, timestamp DATETIME"
TIMES = "'2026-03-01 10:00:00.000000', '2026-03-01 11:00:00.000000'"
AT = "'2026-03-01 09:00:00.000000'"
TABLES = f"""
CREATE TABLE users (
    id TEXT, received_at DATETIME, uuid_ts DATETIME, email TEXT, first_name TEXT, last_name TEXT, plan TEXT
);
INSERT INTO users VALUES ('u-1', {TIMES}, 'ana@box.example', 'Ana', 'Lima', 'pro');
CREATE TABLE identifies ({COMMON}, email TEXT);
INSERT INTO identifies VALUES ('i-1', {TIMES}, 'u-1', 'a-1', {AT}, 'ana@box.example');
CREATE TABLE tracks ({COMMON}, event TEXT, event_text TEXT);
INSERT INTO tracks VALUES ('t-1', {TIMES}, 'u-1', 'a-1', {AT}, 'signed_up', 'Signed Up');
INSERT INTO tracks VALUES ('t-2', {TIMES}, 'u-1', 'a-1', {AT}, 'order_completed', 'Order Completed');
CREATE TABLE order_completed ({COMMON}, revenue DOUBLE, currency TEXT, order_id TEXT);
INSERT INTO order_completed VALUES ('t-2', {TIMES}, 'u-1', 'a-1', {AT}, 59.9, 'EUR', 'o-1');
CREATE TABLE pages ({COMMON}, name TEXT, url TEXT, path TEXT, title TEXT, referrer TEXT);
INSERT INTO pages VALUES ('p-1', {TIMES}, NULL, 'a-2', {AT}, 'Home', 'https://shop.example.com/', '/', 'Shop', '');
CREATE TABLE aliases (id TEXT, received_at DATETIME, uuid_ts DATETIME, user_id TEXT, previous_id TEXT);
INSERT INTO aliases VALUES ('al-1', {TIMES}, 'u-1', 'a-2');
CREATE TABLE user_identifiers (canonical_segment_id TEXT, type TEXT, value TEXT, seq INTEGER, received_at DATETIME);
INSERT INTO user_identifiers VALUES
    ('s-1', 'user_id', 'u-1', 1, {AT}), ('s-1', 'email', 'ana@work.box.example', 2, {AT});
"""


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in re.findall(r"env: (\w+)", PAGE.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "a-secret-of-some-length")
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path}/warehouse.db")


def project(folder: Path, text: str) -> Project:
    path = folder / "millstream.yaml"
    path.write_text(f"name: shop\n{text}", encoding="utf-8")
    loaded = load_project(path)
    loaded.require(sources=loaded.sources)
    return loaded


@pytest.mark.parametrize("text", WHOLE)
def test_every_project_file_of_the_page_is_good(tmp_path: Path, text: str) -> None:
    assert [loaded.streams() for loaded in map(project(tmp_path, text).source, project(tmp_path, text).sources)]


def test_the_warehouse_is_read_with_its_people_and_events(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as warehouse:
        warehouse.executescript(TABLES)
    [text] = [one for one in WHOLE if "web.users" in one]
    text = re.sub(r"\b(web|profiles)\.", "main.", text + PROFILES)
    workspace = Workspace.open(project(tmp_path, text))
    assert [str(error) for error in ingest(workspace, "segment_warehouse").errors] == []
    again = ingest(workspace, "segment_warehouse")
    assert {one.stream: one.rows for one in again.streams}["identifies"] <= 1, "only the lookback is read again"
    report = resolve(workspace, run_id="run-1")
    assert (report.profiles, report.unplanned_events) == (1, 0)
    with workspace.store.open() as connection:
        events = connection.execute("SELECT name, value, currency FROM customers.events ORDER BY 1").fetchall()
        found = connection.execute("SELECT DISTINCT kind, value FROM customers.identifiers ORDER BY ALL").fetchall()
        traits = connection.execute("SELECT first_name, plan FROM customers.profiles").fetchall()
    assert events == [("Order Completed", 59.9, "EUR"), ("Page Viewed", None, None), ("Signed Up", None, None)]
    assert {kind for kind, _ in found} == {"anonymous_id", "email", "segment_id", "user_id"}
    assert traits == [("Ana", "pro")]
