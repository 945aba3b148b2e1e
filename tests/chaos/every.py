"""One project with a sync to every destination, all of which have bad days together."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import md5
from pathlib import Path
from typing import Any

import yaml

from millstream.destinations.testing.stand_in import StandIn
from millstream.sandbox import Sandbox
from millstream.state.store.duckdb import DuckDBStore
from tests.chaos.points import Chaos, Fault
from tests.chaos.runs import Runs
from tests.chaos.vendors import LATER, Vendor, vendors
from tests.chaos.witness import Witness
from tests.chaos.world import Desired, World
from tests.contract.destinations.ground import quick_jobs
from tests.sftp_server import SftpServer, sftp_server

PEOPLE = 12
FREE = frozenset({"subscribed", "never_subscribed", "not_specified", "none", "opted_in"})
"""Ways to stand with a vendor. Of each other one somebody is wanted, too: nothing may change how they stand."""

FAULTS: tuple[Fault, ...] = (
    ("rate_limited", {"share": 0.3, "seconds": 0}),
    ("server_error", {"share": 0.2, "status": 500}),
    ("server_error", {"share": 0.2, "status": 502, "when": "after"}),
    ("reset", {"share": 0.15, "when": "before"}),
    ("reset", {"share": 0.15, "when": "after"}),
    ("slow", {"share": 0.3, "seconds": 0.05, "when": "after"}),
    ("truncated", {"share": 0.1}),
    ("refuse_rows", {"share": 0.1, "seed": 5}),
)


@dataclass
class Kept(Desired):
    """A mirror sync to one vendor.

    Attributes:
        vendor: The vendor.
        opted_out: People of the company who may not be addressed there, and are wanted nevertheless.
    """

    vendor: Vendor = field(kw_only=True)
    opted_out: tuple[str, ...] = ()

    @property
    def system(self) -> str:
        """The sandbox's name of the vendor."""
        return self.vendor.system

    @cached_property
    def everybody(self) -> list[str]:
        """All whom it may come to want."""
        return [self.vendor.person(number) for number in range(PEOPLE)]

    def change(self, chance: random.Random, value: Callable[[], str] | None) -> None:
        """As ever, and on some days far more."""
        for _ in range(chance.choice((1, 1, 3)) if value else 1):
            super().change(chance, value)


@dataclass
class EveryWorld(World):
    """The world, with a stand-in for each vendor.

    Attributes:
        files: The server that files go to.
        stand_ins: Read what vendors hold, by sync.
        standings: How people stood before the first run, by sync.
    """

    files: SftpServer = field(kw_only=True)
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    standings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Also those who opted out, with the values of somebody else."""
        rows = super().rows()
        for sync in self.kept():
            first, second = next(iter(sync.now.values()), ("Ann", "Bob"))
            rows += [(sync.name, person, first, second) for person in sync.opted_out]
        return rows

    def kept(self) -> list[Kept]:
        """All syncs."""
        return [sync for sync in self.syncs.values() if isinstance(sync, Kept)]

    def people_of(self, sync: Desired) -> dict[str, tuple[str, str]]:
        """Who of a sync's people are at the vendor, with both fields; as wanted where its state does not tell."""
        assert isinstance(sync, Kept)
        known = self.stand_ins[sync.name].fields()
        if known is None:
            return sync.now
        first, second = sync.vendor.fields
        mine = set(sync.everybody)
        return {
            person: (str(fields.get(first, "")), str(fields.get(second, "")))
            for person, fields in known.items()
            if person in mine
        }

    def members_of(self, sync: Desired) -> set[str]:
        """Who is in a sync's audience, as the vendor tells."""
        assert isinstance(sync, Kept)
        members = self.stand_ins[sync.name].members(self._audience_id(sync))
        if members is None and sync.system in {"hubspot", "mailchimp"}:
            members = {member.lower() for member in super().members_of(sync)}
        elif members is None:
            destination = sync.vendor.contract.make(self.sandbox)
            members = set(destination.read_back(self._audience_id(sync)))
        return members - set(sync.opted_out)

    def behave(self) -> None:
        """Take all faults back."""
        super().behave()
        self.files.behave()
        quick_jobs(self.sandbox)

    def _audience_id(self, sync: Kept) -> str:
        query = "SELECT audience_id FROM plans WHERE sync = ? AND audience_id IS NOT NULL ORDER BY made_at DESC"
        with closing(sqlite3.connect(self.journal)) as journal:
            found = journal.execute(query, [sync.name]).fetchone()
        assert found, f"{sync.name} never got so far as to have an audience"
        audience_id: str = found[0]
        return audience_id


class EveryChaos(Chaos):
    """Stops runs of all syncs at once, wherever one of the vendors just is."""

    world: EveryWorld

    def point(self, number: int) -> None:
        """One run of all syncs on a bad day, stopped somewhere."""
        chance, world = self.chance, self.world
        world.change(chance)
        faults = self._bad_day()
        syncs = chance.sample(sorted(world.syncs), len(world.syncs))
        stop = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        victim = world.syncs[chance.choice(syncs)].system
        if chance.random() < 0.3 or victim == "files":
            how = f"after {(after := chance.uniform(0.0, 1.1 * self._usual)):.3f} s"
            ended = world.activate(*syncs, stop=stop, after=after)
        else:
            how = f"at request {(nth := chance.randint(1, 10))} to {victim}"
            world.witness.act_when(lambda seen: seen.of_each[victim] >= nth, lambda: world.runs.signal_now(stop))
            ended = world.activate(*syncs)
            world.witness.do_not_act()
        world.let_settle()
        self._note(f"point {number}, {stop.name} {how}, {faults}", ended, stop)

    def _bad_day(self) -> list[Fault]:
        """Each vendor has faults of its own choosing."""
        chance, world = self.chance, self.world
        world.behave()
        chosen: list[Fault] = []
        for sync in world.kept():
            if sync.system == "files":
                world.files.failures, world.files.lost_answers = chance.randint(0, 2), chance.randint(0, 1)
                continue
            for kind, facts in chance.sample(FAULTS, chance.choice((0, 1, 2))):
                order = {"seed": chance.randint(1, 1000), **facts}
                if (sync.system, kind) == ("salesforce", "rate_limited"):
                    order["policy"] = "concurrent"  # the limit of 24 hours would end the sync
                world.order(sync.system, kind, **order)
                chosen.append((f"{sync.system}: {kind}", facts))
        for system, part in LATER.items():
            getattr(world.sandbox.systems[system], part).seconds = chance.choice((0.0, 0.05, 0.3))
        return chosen

    def converge(self, number: int) -> None:
        """The vendors behave, and after some clean runs all is as it should be."""
        super().converge(number)
        found = [*self._journal(), *self._acknowledged(), *self._standings()]
        self.judge.problems += [f"after point {number}: {problem}" for problem in found]

    def _have_nothing_to_do(self, number: int) -> None:
        """Nor is a file written."""
        written = _paths(self.world.files.folder)
        super()._have_nothing_to_do(number)
        if more := _paths(self.world.files.folder) - written:
            self.judge.problems.append(f"after point {number}: a run with nothing to do writes {more}")

    def _journal(self) -> list[str]:
        """Plans that are open, and so their batches."""
        with closing(sqlite3.connect(self.world.journal)) as journal:
            plans = journal.execute("SELECT sync, status FROM plans WHERE status <> 'settled'").fetchall()
        return [f"{sync}: a plan is {status}" for sync, status in plans]

    def _acknowledged(self) -> list[str]:
        """Who counts as a member otherwise than is wanted."""
        with DuckDBStore(self.world.store).open() as store:
            rows = store.execute("SELECT sync, match_value FROM delivery.acknowledged WHERE present").fetchall()
        found = []
        for sync in self.world.kept():
            known = {person for name, person in rows if name == sync.name} - set(sync.opted_out)
            if known != set(sync.now):
                found.append(f"{sync.name}: acknowledged otherwise: {sorted(known ^ set(sync.now))}")
        return found

    def _standings(self) -> list[str]:
        """Who stands otherwise than before the first run."""
        found = []
        for sync in self.world.kept():
            now = self.world.stand_ins[sync.name].standings()
            before = self.world.standings[sync.name]
            found += [
                f"{sync.name}: {who} was {was} and is {now.get(who)}"
                for who, was in before.items()
                if now.get(who) != was
            ]
        return found


def _paths(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@contextmanager
def every_world(folder: Path, runs: Runs, *, more: bool) -> Iterator[EveryWorld]:
    """A world with a mirror sync to each destination; with ``more`` also to those of other settings and keys."""
    (folder / ".millstream").mkdir(parents=True)
    (folder / "files").mkdir()
    with (
        sftp_server(folder / "files") as files,
        Sandbox(people=60, seed=3, today=datetime.now(UTC).date(), limits=False) as sandbox,
    ):
        syncs = {name: Kept(name, name, "mirror", vendor=vendor) for name, vendor in vendors(more=more).items()}
        (folder / "millstream.yaml").write_text(yaml.safe_dump(_project(sandbox, files, syncs, runs.secrets)))
        witness = sandbox.environment.log = Witness(
            {md5(person.encode()).hexdigest(): person for person in syncs["mailchimp"].everybody}
        )
        stand_ins = {name: sync.vendor.stand_in(sandbox, files, sync.everybody) for name, sync in syncs.items()}
        standings = {name: dict(stand_in.standings()) for name, stand_in in stand_ins.items()}
        for name, sync in syncs.items():
            sync.now = dict.fromkeys(sync.everybody, ("Ann", "Bob"))
            sync.opted_out = _opted_out(sandbox, sync.vendor, standings[name])
        yield EveryWorld(
            sandbox, folder, dict(syncs), witness, runs, files=files, stand_ins=stand_ins, standings=standings
        )


def _opted_out(sandbox: Sandbox, vendor: Vendor, standings: Mapping[str, str]) -> tuple[str, ...]:
    """One of each way to stand that keeps us from writing mail; vendors refuse to choose between people alike."""
    system = sandbox.systems.get(vendor.system)
    state: Mapping[str, Any] = system.state() if system else {}
    named = Counter(value for one in state.get("people", ()) for value in one["match"].values())
    free = FREE | vendor.contract.archived
    found = {standing: who for who, standing in standings.items() if standing.lower() not in free and named[who] <= 1}
    return tuple(sorted(found.values()))


def _project(
    sandbox: Sandbox, files: SftpServer, syncs: Mapping[str, Kept], secrets: dict[str, str]
) -> dict[str, object]:
    connections = {
        name: {"system": sync.system, **sync.vendor.settings(sandbox, files, secrets)} for name, sync in syncs.items()
    }
    return {
        "name": "every_destination",
        "store": "duckdb:///.millstream/store.duckdb",
        "journal": "sqlite:///.millstream/journal.sqlite",
        "connections": connections,
        "destinations": {name: {"connection": name} for name in syncs},
        "syncs": {name: _definition(sync) for name, sync in syncs.items()},
    }


def _definition(sync: Kept) -> dict[str, Any]:
    first, second = sync.vendor.fields
    return {
        "destination": sync.name,
        "sql": f"SELECT email, first_value, second_value FROM crm.wanted WHERE sync = '{sync.name}'",
        "mode": "mirror",
        "into": sync.audience,
        "match": {sync.vendor.match_key: "email"},
        "fields": {first: "first_value", second: "second_value"},
        "consent": "not_needed",
        "guards": {"largest_removal_share": 1.0, "allow_empty": True, "largest_size_change": None},
    }
