"""Delivery after merges and unmerges: destinations let go of ids that no longer are, and take them back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millstream.destinations.delivery import Delivery
from millstream.destinations.sync import Guards, Sync
from millstream.state.audiences.rules import Audience
from millstream.state.audiences.select import select_audiences
from millstream.state.identity import IdentityRules, decisions, resolve
from millstream.state.ledger.journal import Journal
from millstream.state.model.tables import create_tables
from millstream.state.profiles.golden import build_profiles
from millstream.state.profiles.rules import SurvivorshipRules
from millstream.state.store import Store
from tests.destinations.memory import Memory, MemoryDestination
from tests.engines import Engine

EVERYONE = {"everyone": Audience.model_validate({"rule": {"identifier": "email"}})}
START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ("ana", "ben", "cem")


class Shop:
    """Three people in a store, each of one record, in one audience; and destinations that hold it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.journal = Journal("sqlite:///journal.sqlite", root=folder)
        self.now = START
        self.memory: dict[str, Memory] = {}
        with self.store.transaction() as connection:
            create_tables(connection)
            for day, name in enumerate(PEOPLE):
                record = f"crm.contacts:{name}"
                at = START + timedelta(days=day)
                connection.execute(
                    "INSERT INTO customers.records VALUES (?, 'crm', 'contacts', ?, ?, FALSE, ?)",
                    [record, name, at, at],
                )
                connection.execute(
                    "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
                    "VALUES (?, 'email', ?, ?, TRUE, ?)",
                    [record, *[f"{name}@box.example"] * 3],
                )
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        self.now += timedelta(days=1)
        run = f"run-{self.now:%d}"
        with self.store.transaction() as connection:
            resolve(connection, IdentityRules(), run_id=run, now=self.now)
            build_profiles(connection, SurvivorshipRules(), now=self.now)
            select_audiences(connection, EVERYONE, run_id=run, as_of=self.now)

    def profile(self, name: str) -> str:
        with self.store.open() as connection:
            row = connection.execute(
                "SELECT profile_id FROM customers.members WHERE record_id = ?", [f"crm.contacts:{name}"]
            ).fetchone()
        assert row
        return str(row[0])

    def merge(self, one: str, other: str) -> None:
        with self.store.transaction() as connection:
            decisions.merge(connection, [one, other], reason="", made_by="test", now=self.now)
        self.bring_up_to_date()

    def unmerge(self, alias: str) -> None:
        with self.store.transaction() as connection:
            decisions.unmerge(connection, alias, reason="", made_by="test", now=self.now)
        self.bring_up_to_date()

    def delivery(self, mode: str, *, into: str | None = "Everyone", key: str = "external_id") -> Delivery:
        column = {"external_id": "profile_id", "email": "email"}[key]
        memory = self.memory.setdefault(f"{mode}-{key}", Memory())
        facts = {
            "destination": "memory",
            "audience": "everyone",
            "mode": mode,
            "into": into,
            "match": {key: column},
            "fields": {"NAME": "email"},
            "consent": "not_needed",
            "guards": Guards(largest_removal_share=1.0),
        }
        return Delivery(
            name=f"{mode}-{key}",
            sync=Sync.model_validate(facts),
            destination=lambda: MemoryDestination(memory),
            store=self.store,
            journal=self.journal,
            plans=self.folder / "plans",
        )

    def acknowledged(self, sync: str) -> set[str]:
        with self.store.open() as connection:
            rows = connection.execute(
                "SELECT match_value FROM delivery.acknowledged WHERE sync = ? AND present", [sync]
            ).fetchall()
        return {str(value) for (value,) in rows}


@pytest.fixture
def shop(tmp_path: Path, engine: Engine) -> Iterator[Shop]:
    with engine.store(tmp_path) as store:
        made = Shop(tmp_path, store)
        yield made
        made.journal.close()


@pytest.mark.parametrize("mode", ["mirror", "add", "upsert"])
def test_the_id_that_was_merged_away_is_taken_out_and_comes_back_with_an_unmerge(shop: Shop, mode: str) -> None:
    ana, ben, cem = map(shop.profile, PEOPLE)
    delivery = shop.delivery(mode)
    memory = shop.memory[delivery.name]
    assert delivery.activate("first").accepted == 3
    assert memory.members == shop.acknowledged(delivery.name) == {ana, ben, cem}

    shop.merge(ana, ben)
    report = delivery.activate("second")
    assert (report.planned.removes, report.planned.adds) == (1, 0)
    assert memory.members == shop.acknowledged(delivery.name) == {ana, cem}

    shop.unmerge(ben)
    assert shop.profile("ben") == ben
    report = delivery.activate("third")
    assert (report.planned.adds, report.planned.removes) == (1, 0)
    assert memory.members == shop.acknowledged(delivery.name) == {ana, ben, cem}
    assert delivery.activate("fourth").planned.operations == 0


def test_a_merged_person_keeps_one_address_in_a_mirror(shop: Shop) -> None:
    delivery = shop.delivery("mirror", key="email")
    delivery.activate("first")
    memory = shop.memory[delivery.name]
    shop.merge(shop.profile("ana"), shop.profile("ben"))
    delivery.activate("second")
    assert memory.members == {"ben@box.example", "cem@box.example"}, "the address that was seen last"
    shop.unmerge(decided_away(shop))
    delivery.activate("third")
    assert memory.members == {f"{name}@box.example" for name in PEOPLE}


def decided_away(shop: Shop) -> str:
    with shop.store.open() as connection:
        row = connection.execute("SELECT alias_id FROM customers.profile_aliases").fetchone()
    assert row
    return str(row[0])


def test_nobody_is_taken_out_by_a_mode_that_never_does_while_the_survivor_is_not_there(shop: Shop) -> None:
    ana, ben, cem = map(shop.profile, PEOPLE)
    delivery = shop.delivery("add")
    delivery.activate("first")
    shop.merge(ana, ben)
    with shop.store.open() as connection:
        connection.execute("UPDATE customers.memberships SET left_at = now() WHERE profile_id = ?", [ana])
    assert delivery.activate("second").planned.operations == 0
    assert shop.memory[delivery.name].members == {ana, ben, cem}


def test_a_sync_without_an_audience_says_which_ids_it_leaves_behind(shop: Shop) -> None:
    delivery = shop.delivery("upsert", into=None)
    delivery.activate("first")
    shop.merge(shop.profile("ana"), shop.profile("ben"))
    planned = delivery.plan("second").plan
    assert (planned.removes, planned.merged_away) == (0, 1)
    assert delivery.activate("second").ok


def test_merges_of_many_people_are_guarded_like_other_removals(shop: Shop) -> None:
    delivery = shop.delivery("add")
    delivery.activate("first")
    guards = Guards(largest_removal_share=0.1, removals_always_allowed=0)
    delivery.sync = delivery.sync.model_copy(update={"guards": guards})
    shop.merge(shop.profile("ana"), shop.profile("ben"))
    report = delivery.activate("second")
    assert report.status == "stopped"
    assert "1 of 3 people would be taken out" in str(report.error)
