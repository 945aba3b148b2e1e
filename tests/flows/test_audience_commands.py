"""`millstream audiences` and `millstream select --dry-run`, on a store that is filled by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from millstream.flows.project import load_project
from millstream.flows.steps import Workspace, select
from tests.flows.calling import call, call_json, documented_keys
from tests.state.audience_world import AudienceWorld

PROJECT = """
name: shop
connections:
  hubspot: {system: hubspot, access_token: {env: NOBODY_NEEDS_IT}}
destinations:
  hubspot: {connection: hubspot}
audiences:
  many:
    description: Who came often.
    rule: {trait: visits, at_least: 5}
  most:
    rule: {all: [{audience: many}, {trait: visits, at_least: 8}]}
  few:
    sql: SELECT profile_id FROM customers.people WHERE visits < 3
syncs:
  visitors:
    destination: hubspot
    audience: many
    consent: not_needed
    holdout: true
    guards: {removals_always_allowed: 0, allow_empty: true}
  top:
    destination: hubspot
    audience: most
    mode: upsert
    consent: {channel: email}
    enabled: false
  by_sql:
    destination: hubspot
    sql: SELECT p.* FROM customers.people p JOIN customers.memberships m USING (profile_id) WHERE m.audience = 'few'
    mode: upsert
    consent: not_needed
delivery:
  audience_holdouts: {many: 0.0000001}
  priorities: {letters: [most, many]}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose store knows nine people with one to nine visits; its audiences were computed once."""
    monkeypatch.chdir(tmp_path)
    return make_shop(tmp_path)


def make_shop(folder: Path) -> Path:
    """The project with its store, in an empty folder."""
    (folder / "millstream.yaml").write_text(PROJECT)
    workspace = Workspace.open(load_project(folder))
    with workspace.store.transaction() as connection:
        world = AudienceWorld(connection)
        world.have_traits(visits="DOUBLE")
        for number in range(1, 10):
            world.person(f"p_{number}", visits=number, email=f"{number}@box.example")
    select(workspace, run_id="first")
    return folder


def change(shop: Path, old: str, new: str) -> None:
    path = shop / "millstream.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def acknowledged(shop: Path, sync: str, people: int) -> None:
    """Have a vendor have taken so many people."""
    from millstream.state.ledger.acknowledged import create_tables

    with Workspace.open(load_project(shop)).store.transaction() as connection:
        create_tables(connection)
        for number in range(people):
            connection.execute(
                "INSERT INTO delivery.acknowledged (sync, match_value, profile_id, payload_hash, present, "
                "acknowledged_at, plan_id) VALUES (?, ?, ?, 'hash', TRUE, now(), 'plan')",
                [sync, f"{9 - number}@box.example", f"p_{9 - number}"],
            )


def test_a_dry_run_tells_who_moves_and_what_the_syncs_would_send(shop: Path) -> None:
    acknowledged(shop, "visitors", 5)
    change(shop, "at_least: 5", "at_least: 7")
    found = call_json("select", "--dry-run", "--sample", "1")

    audiences = {one["audience"]: one for one in found["audiences"]}
    assert {name: (one["change"], one["before"], one["after"]) for name, one in audiences.items()} == {
        "many": ("changed", 5, 3), "most": ("builds on", 2, 2), "few": ("unchanged", 2, 2),
    }  # fmt: skip
    assert audiences["many"]["by_rules"] == {"entered": 0, "left": 2}
    assert audiences["many"]["movers"] == [{"profile_id": "p_5", "enters": False, "by": "rules"}]
    assert [one["sync"] for one in found["syncs"]] == ["visitors", "by_sql"]
    visitors = found["syncs"][0]
    assert (visitors["sync"], visitors["mode"], visitors["on_leave"]) == ("visitors", "mirror", "leave_audience")
    assert (visitors["enter"], visitors["leave"], visitors["removes"]) == (0, 2, 4), "and two that come first elsewhere"
    assert (visitors["earlier"], visitors["holdouts"], visitors["held"]["priority"]) == (
        ["most"], {"audience many": 1e-7}, 2,
    )  # fmt: skip
    assert visitors["guards"] == ["4 of 5 people would be taken out; at most 30% are allowed in one run."]
    assert set(found) == documented_keys("select --dry-run")


def test_syncs_that_read_memberships_by_sql_or_are_off_are_named(shop: Path) -> None:
    change(shop, "at_least: 8", "at_least: 6")
    syncs = {one["sync"]: one for one in call_json("select", "--dry-run")["syncs"]}
    assert "reads the memberships by itself" in syncs["by_sql"]["problem"]
    assert not syncs["top"]["enabled"]
    assert syncs["top"]["held"] == {"consent": 4}
    assert syncs["visitors"]["held"]["priority"] == 4, "a priority list reaches the syncs of later audiences"

    shown = call("select", "--dry-run").output
    assert re.search(r"most +changed +2 +4 +2 +0 +\+2 -0 +\+0 -0", shown)
    assert "top (off)" in shown
    assert "2 more stay as they are." in shown


def test_a_dry_run_writes_nothing_and_needs_no_vendor(shop: Path) -> None:
    change(shop, "at_least: 5", "at_least: 1")
    before = call_json("audiences")
    assert "@box.example" not in call("select", "--dry-run", "--sample", "9").output
    assert call_json("audiences") == before
    assert not list(shop.rglob("*.parquet"))


def test_a_dry_run_of_one_audience_says_who_follows(shop: Path) -> None:
    change(shop, "at_least: 5", "at_least: 9")
    found = call_json("select", "many", "--dry-run")
    assert [one["audience"] for one in found["audiences"]] == ["many"]
    assert found["left_out"] == ["most"]
    assert "most build on these" in call("select", "many", "--dry-run").output


def test_a_wrong_rule_is_one_error_with_a_guess(shop: Path) -> None:
    change(shop, "{trait: visits, at_least: 5}", "{trait: vists, at_least: 5}")
    result = call("select", "--dry-run")
    assert result.exit_code == 2
    assert "audiences.many" in result.stderr
    assert "visits" in result.stderr
    assert call("select", "--dry-run", "nobody").exit_code == 2


def test_audiences_are_shown_with_sizes_changes_syncs_overlap_and_what_is_ready_made(shop: Path) -> None:
    with Workspace.open(load_project(shop)).store.transaction() as connection:
        connection.execute("UPDATE customers.profiles SET visits = 6 WHERE profile_id = 'p_1'")
    assert call("select").exit_code == 0
    found = call_json("audiences")

    many, most, few = found["audiences"]
    assert (many["size"], many["change"], many["entered"], many["left"], many["share"]) == (6, 1, 1, 0, 6 / 9)
    assert (many["syncs"], many["priorities"], many["holdout"]) == (["visitors"], ["letters"], 1e-7)
    assert (many["kind"], few["kind"], most["builds_on"]) == ("rule", "sql", ["many"])
    assert [one["size"] for one in many["history"]] == [5, 6]
    assert found["overlap"] == {"audiences": ["many", "most", "few"], "both": [[6, 2, 0], [2, 2, 0], [0, 0, 1]]}
    assert {"power_users", "promoters"} <= {one["name"] for one in found["ready_made"]}
    assert set(found) == documented_keys("audiences")

    shown = call("audiences", "--overlap", "--history", "5", "--ready-made").output
    assert re.search(r"many +6 +66\.7% +\+1 +1 +0 .* visitors +Who came often\.", shown)
    assert re.search(r"most +2 \(100%\) +2", shown)
    assert "power_users" in shown
    assert call_json("audiences", "few")["audiences"][0]["name"] == "few"
    assert call("audiences", "nobody").exit_code == 2


def test_audiences_of_a_store_that_knows_nobody_are_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "millstream.yaml").write_text(PROJECT)
    found = call_json("audiences")
    assert (found["people"], found["audiences"][0]["size"], found["audiences"][0]["as_of"]) == (0, 0, None)
    assert "never" in call("audiences").output


def test_an_audience_taken_out_of_the_project_is_shown_as_left(shop: Path) -> None:
    text = (shop / "millstream.yaml").read_text()
    start, end = text.index("  few:"), text.index("syncs:")
    (shop / "millstream.yaml").write_text(text[:start] + text[end:])
    (gone,) = [one for one in call_json("select")["selected"] if one["removed"]]
    assert (gone["name"], gone["left"]) == ("few", 2)
    assert call_json("select")["selected"][-1]["name"] == "most"
