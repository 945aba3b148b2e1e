"""A sandbox that outlives all runs, a project of syncs over one table, and what the vendors should hold of it."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import requests
import yaml

from millstream.sandbox import Sandbox
from millstream.state.store.duckdb import DuckDBStore
from tests.chaos.runs import SECRETS, Ended, Runs
from tests.chaos.witness import Witness

PEOPLE = 18
LIST = "a1b2c3d4e5"
NAMES = ("Ann", "Bob", "Cy", "Dee")
FIELDS = {"hubspot": ("firstname", "city"), "once": ("firstname", "city"), "mailchimp": ("FNAME", "LNAME")}
MODES = ("mirror", "upsert", "add", "remove", "update")


@dataclass
class Desired:
    """One sync, and what was wanted of it.

    Attributes:
        name: The sync.
        destination: Where to.
        mode: What it does.
        now: Who is wanted, with both fields.
        ever: Who was wanted at any time.
    """

    name: str
    destination: str
    mode: str
    now: dict[str, tuple[str, str]] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)
    _before: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """The sandbox's name of the vendor."""
        return "mailchimp" if self.destination == "mailchimp" else "hubspot"

    @property
    def audience(self) -> str | None:
        """The list or tag it keeps."""
        return f"Of {self.name}" if self.mode in {"mirror", "add", "remove"} else None

    @property
    def everybody(self) -> list[str]:
        """All whom it may come to want."""
        return [f"p{number:02}.{self.name}@box.example" for number in range(PEOPLE)]

    def change(self, chance: random.Random, value: Callable[[], str] | None) -> None:
        """Some come, some go, some change; or all is as before the last change, which is what a lost write shows in."""
        before, self._before = self._before, dict(self.now)
        if value is None:
            self.now = before
            return
        for person in self.everybody:
            luck = chance.random()
            if luck < 0.2:
                if self.now.pop(person, None) is None:
                    self.now[person] = (value(), value())
            elif luck < 0.4 and person in self.now:
                self.now[person] = (value(), self.now[person][1])
        self.ever |= set(self.now)


@dataclass
class World:
    """All of it."""

    sandbox: Sandbox
    folder: Path
    syncs: dict[str, Desired]
    witness: Witness
    runs: Runs
    never_the_same: bool = False
    _values: Iterator[int] = field(default_factory=count)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.folder / ".millstream" / "journal.sqlite"

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.folder / ".millstream" / "store.duckdb"

    def change(self, chance: random.Random) -> None:
        """Change what is wanted, to few values and often back; or to values that never were."""

        def value() -> str:
            return f"Value {next(self._values)}" if self.never_the_same else chance.choice(NAMES)

        goes_back = not self.never_the_same and chance.random() < 0.4
        for sync in self.syncs.values():
            sync.change(chance, None if goes_back else value)
        self.write()

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Sync, person and both values of everybody who is wanted."""
        return [
            (sync.name, person, first, second)
            for sync in self.syncs.values()
            for person, (first, second) in sync.now.items()
        ]

    def write(self) -> None:
        """Put what is wanted into the store."""
        rows = self.rows()
        with DuckDBStore(self.store).open() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
            connection.execute(
                "CREATE OR REPLACE TABLE crm.wanted (sync TEXT, email TEXT, first_value TEXT, second_value TEXT)"
            )
            if rows:
                marks = ", ".join(["(?, ?, ?, ?)"] * len(rows))
                connection.execute(f"INSERT INTO crm.wanted VALUES {marks}", [value for row in rows for value in row])

    def order(self, system: str, kind: str, **facts: Any) -> None:
        """Order a fault."""
        body = {"system": system, "kind": kind, **facts}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()

    def behave(self) -> None:
        """Take all faults back."""
        self.sandbox.environment.faults.clear()

    def let_settle(self) -> None:
        """Wait until the vendors have worked off all that was sent to them: nobody can call that back."""
        requests.get(f"{self.sandbox.url}/_sandbox/health", timeout=10)  # whoever came before is accepted now
        until = time.monotonic() + 20
        while not self.sandbox.is_idle:
            assert time.monotonic() < until
            time.sleep(0.005)

    def activate(self, *syncs: str, **options: Any) -> Ended:
        """``millstream activate``; options as ``Runs.run`` takes them."""
        return self.runs.run("activate", *syncs, "--project", str(self.folder), "--json", **options)

    def people_of(self, sync: Desired) -> dict[str, tuple[str, str]]:
        """Who of a sync's people are at the vendor, with both fields."""
        state = self.sandbox.systems[sync.system].state()
        first, second = FIELDS[sync.destination]
        if sync.system == "mailchimp":
            found = {one["email_address"]: one["merge_fields"] for one in _rows(state, "members")}
        else:
            found = {one["properties"].get("email"): one["properties"] for one in _rows(state, "contacts")}
        mine = set(sync.everybody)
        return {
            person: (fields.get(first, ""), fields.get(second, ""))
            for person, fields in found.items()
            if person in mine
        }

    def members_of(self, sync: Desired) -> set[str]:
        """Who is in a sync's list or has its tag."""
        state = self.sandbox.systems[sync.system].state()
        if sync.system == "mailchimp":
            return {one["email_address"] for one in _rows(state, "members") if sync.audience in one["tags"]}
        # Of the company's own people the state tells what was changed.
        emails = {one["id"]: one["properties"].get("email") for one in _rows(state, "contacts")}
        lists = (one for one in _rows(state, "lists") if one["name"] == sync.audience)
        return {emails[record_id] for one in lists for record_id in one["recordIds"] if emails[record_id]}


def _rows(state: Mapping[str, object], name: str) -> list[dict[str, Any]]:
    rows = state[name]
    assert isinstance(rows, list)
    return rows


def _project(sandbox: Sandbox, syncs: Mapping[str, Desired]) -> dict[str, object]:
    hubspot: dict[str, object] = {
        "base_url": f"{sandbox.url}/hubspot",
        "access_token": {"env": "CHAOS_TOKEN"},
        "requests_per_10_seconds": 100_000,
    }
    mailchimp: dict[str, object] = {
        "base_url": f"{sandbox.url}/mailchimp/3.0",
        "api_key": {"env": "CHAOS_KEY"},
        "list_id": LIST,
    }
    destinations = {sync.destination for sync in syncs.values()}
    settings = {"hubspot": hubspot, "once": hubspot, "mailchimp": mailchimp}
    return {
        "name": "chaos",
        "store": "duckdb:///.millstream/store.duckdb",
        "journal": "sqlite:///.millstream/journal.sqlite",
        "connections": {name: {"system": name, **settings[name]} for name in sorted(destinations)},
        "destinations": {name: {"connection": name} for name in sorted(destinations)},
        "syncs": {sync.name: _definition(sync) for sync in syncs.values()},
    }


def _definition(sync: Desired) -> dict[str, object]:
    first, second = FIELDS[sync.destination]
    columns = "email, first_value, second_value"
    return {
        "destination": sync.destination,
        "sql": f"SELECT {columns} FROM crm.wanted WHERE sync = '{sync.name}'",
        "mode": sync.mode,
        **({"into": sync.audience} if sync.audience else {}),
        "fields": {first: "first_value", second: "second_value"},
        "consent": "not_needed",
        "guards": {"largest_removal_share": 1.0, "allow_empty": True, "largest_size_change": None},
    }


@contextmanager
def chaos_world(
    folder: Path, runs: Runs, destinations: tuple[str, ...], modes: tuple[str, ...] = MODES
) -> Iterator[World]:
    """A world with a sync of each mode to each destination."""
    syncs = {
        name: Desired(name, destination, mode)
        for destination in destinations
        for mode in modes
        for name in [f"{destination}_{mode}"]
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".millstream").mkdir(exist_ok=True)
    addresses = {
        hashlib.md5(person.encode()).hexdigest(): person for sync in syncs.values() for person in sync.everybody
    }
    today = datetime.now(UTC).date()
    with Sandbox(people=20, seed=3, today=today, limits=False) as sandbox:
        witness = sandbox.environment.log = Witness(addresses)
        (folder / "millstream.yaml").write_text(yaml.safe_dump(_project(sandbox, syncs)))
        world = World(sandbox, folder, syncs, witness, runs)
        for sync in syncs.values():
            _fill(world, sync)
        witness.take()
        yield world


def _fill(world: World, sync: Desired) -> None:
    """Modes that put nobody in need people who are there: ``update`` in the account, ``remove`` in the list as well."""
    if sync.mode not in {"update", "remove"}:
        return
    url = f"{world.sandbox.url}/{sync.system}"
    if sync.system == "mailchimp":
        post = _Poster(f"{url}/3.0/lists/{LIST}", auth=("x", SECRETS["CHAOS_KEY"]))
        post("", {"members": [{"email_address": person, "status": "transactional"} for person in sync.everybody]})
        if sync.audience:
            post("/segments", {"name": sync.audience, "static_segment": sync.everybody})
        return
    post = _Poster(url, headers={"Authorization": f"Bearer {SECRETS['CHAOS_TOKEN']}"})
    rows = [{"id": person, "idProperty": "email", "properties": {"email": person}} for person in sync.everybody]
    made = post("/crm/v3/objects/contacts/batch/upsert", {"inputs": rows})["results"]
    if sync.audience:
        body = {"name": sync.audience, "objectTypeId": "0-1", "processingType": "MANUAL"}
        list_id = post("/crm/v3/lists", body)["list"]["listId"]
        post(f"/crm/v3/lists/{list_id}/memberships/add", [one["id"] for one in made], method="PUT")


class _Poster:
    def __init__(self, url: str, **options: Any) -> None:
        self._url, self._options = url, options

    def __call__(self, path: str, body: object, *, method: str = "POST") -> Any:
        answer = requests.request(method, self._url + path, json=body, timeout=10, **self._options)
        answer.raise_for_status()
        return answer.json() if answer.content else None
