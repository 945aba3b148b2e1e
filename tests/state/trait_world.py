"""A small world for tests of computed traits: people told row by row, resolved, and described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from millstream.state.profiles import SurvivorshipRules, build_profiles
from millstream.state.sql import quoted
from millstream.state.traits.compute import describe
from millstream.state.traits.contract import TraitSet
from millstream.state.traits.files import read_sql
from millstream.state.traits.registry import trait_sets
from millstream.state.traits.report import DescribeReport
from millstream.state.traits.rules import TraitRules
from tests.state.conftest import Customers

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
"""The time at which worlds are described, a Monday."""
DAY = timedelta(days=1)


@dataclass
class TraitWorld:
    """People of a store. ``person`` makes one, ``did`` tells what they did; then ``computed``."""

    customers: Customers
    rules: TraitRules = field(default_factory=TraitRules)
    now: datetime = NOW
    root: Path | None = None
    runs: int = 0

    def person(self, name: str, *identifiers: tuple[str, str], source: str = "app", **traits: Any) -> str:
        """A record of its own person, known by their name; traits may be text, numbers, booleans, dates or times."""
        record = self.customers.record(f"{source}.users:{name}", ("user_id", name), *identifiers)
        for trait, value in traits.items():
            self.customers.trait(record, trait, value, _kind(value))
        return record

    def did(
        self,
        name: str,
        event: str,
        *,
        ago: timedelta = DAY,
        value: float | None = None,
        channel: str | None = None,
        campaign: str | None = None,
        source: str = "app",
        **properties: Any,
    ) -> None:
        """An event of a person, so long before now; negative is after now."""
        self.customers.event(
            f"{source}.users:{name}",
            event,
            self.now - ago,
            value=value,
            channel=channel,
            campaign=campaign,
            **properties,
        )

    def bought(self, name: str, value: float | None = 10.0, *, ago: timedelta = DAY, **properties: Any) -> None:
        """An order of a person."""
        self.did(name, "Order Completed", ago=ago, value=value, **properties)

    def resolve(self) -> None:
        """Profiles of what was told."""
        self.customers.resolve()
        build_profiles(self.customers.connection, SurvivorshipRules(), now=self.now)

    def describe(self, sets: Sequence[TraitSet] | None = None, *, full: bool = False) -> DescribeReport:
        """Resolve, and compute sets; all of the project when left out."""
        self.resolve()
        self.runs += 1
        sets = trait_sets(self.rules, root=self.root) if sets is None else sets
        connection = self.customers.connection
        return describe(connection, sets, self.rules, run_id=f"describe-{self.runs}", now=self.now, full=full)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.customers.rows(sql, *values)

    def names(self) -> dict[str, str]:
        """Profile ids by the names of the people."""
        found = self.rows("SELECT record_id, profile_id FROM customers.members")
        return {str(record).rpartition(":")[2]: str(profile) for record, profile in found}

    def values(self, *traits: str) -> dict[str, tuple[Any, ...]]:
        """What people show of some traits, by their names."""
        people = {profile: name for name, profile in self.names().items()}
        columns = ", ".join(quoted(trait) for trait in traits)
        return {
            people[profile]: tuple(rest)
            for profile, *rest in self.rows(f"SELECT profile_id, {columns} FROM customers.people")
        }


def computed(world: TraitWorld, set_name: str) -> dict[str, dict[str, Any]]:
    """The traits that a set computes in a world, by profile id, then by trait.

    People without a row of the set are not in it. ``world.names()`` tells whose profile id it is.
    """
    sets = _with_what_it_builds_on(trait_sets(world.rules, root=world.root), set_name)
    report = world.describe(sets, full=True)
    for one in report.sets:
        assert one.status in ("computed", "nothing to learn"), f"{one.name}: {one.status}: {one.message}"
    cursor = world.customers.connection.execute(f"SELECT * FROM traits.{quoted(set_name)}")
    names = [column[0] for column in cursor.description or ()]
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in cursor.fetchall()}


def sql_set(
    select: str, *, name: str = "tried", inputs: Sequence[str] = ("events",), more: str = "", **traits: str
) -> TraitSet:
    """A set of an SQL file; traits are given as in its header: ``orders="type: number, at_least: 0"``."""
    declared = "\n".join(f"  {trait}: {{description: One., {said}}}" for trait, said in traits.items())
    header = f"description: Tried.\ninputs: [{', '.join(inputs)}]\n{more}\ntraits:\n{declared}"
    return read_sql(f"/*\n{header}\n*/\n{select}", name=name, label=f"traits/{name}.sql")


def _with_what_it_builds_on(sets: Sequence[TraitSet], name: str) -> list[TraitSet]:
    by_name = {one.name: one for one in sets}
    wanted, found = [name], set[str]()
    while wanted:
        one = by_name[wanted.pop()]
        found.add(one.name)
        wanted += [other.removesuffix("_traits") for other in one.inputs if other.endswith("_traits")]
    return [one for one in sets if one.name in found]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, datetime):
        return "timestamp"
    return "date" if hasattr(value, "isoformat") else "text"
