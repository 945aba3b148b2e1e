"""Random histories: whatever happens, identity is what a naive reading of the rules says, under the ids promised.

``MILLSTREAM_HISTORIES`` says how many histories are tried; ``make check`` tries ten thousand.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from millstream.state.errors import ConfigurationError
from millstream.state.identity import IdentityRules, KindRule, decisions
from millstream.state.identity.rules import HouseholdRule
from millstream.state.identity.tables import create_identity_tables
from tests.state.conftest import START, Customers, open_customers
from tests.state.identity_promises import Change, check_households, check_ids, hold, parts_of
from tests.state.identity_reference import Known, Outcome, most_borne, read, work_out

pytestmark = [
    pytest.mark.slow,
    # What Hypothesis says of a rule that it draws again, with all that the rule may be given.
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

TOWNS = 10
"""So many histories run side by side in one store, so that each run of resolve serves them all. They share no record
and no joining value: none may notice another."""
HISTORIES = int(os.environ.get("MILLSTREAM_HISTORIES", "100"))

RULES = IdentityRules(
    kinds={
        "user_id": KindRule(priority=10, max_values=1, max_records=6, blocked=("guest *",)),
        "email": KindRule(priority=20, max_values=2, max_records=5, blocked=("info#@*",)),
        "phone": KindRule(priority=30, max_values=None, agree_on="first_name", household=True, max_records=6),
        "card": KindRule(priority=40, max_records=2),
        "device_id": KindRule(priority=90, max_values=1, window_days=10, max_records=6),
        "address": KindRule(merges=False, household=True, max_records=6),
        "cookie": KindRule(merges=False),
    },
    household=HouseholdRule(max_profiles=3),
)
"""All that rules can say, about few values, so that they meet often."""

LAX = IdentityRules(
    kinds={
        "user_id": KindRule(max_values=2),
        "email": KindRule(max_values=3, blocked=()),
        "phone": KindRule(max_values=1, agree_on=None, household=False),
        "card": KindRule(priority=0),
    }
)
STRICT = IdentityRules(
    kinds={
        "user_id": KindRule(priority=60, max_values=1, blocked=()),
        "email": KindRule(max_values=1, max_records=3),
        "phone": KindRule(priority=30, max_values=1, agree_on="first_name", max_records=4),
        "device_id": KindRule(priority=5, max_values=2, window_days=6),
        "card": KindRule(max_records=3, household=True, agree_on="first_name"),
        "address": KindRule(merges=True, household=True, max_values=1),
    },
    other=KindRule(max_values=1),
    household=HouseholdRule(max_profiles=2),
)

RECORDS = [("crm.contacts", n) for n in range(5)] + [("web.visits", n) for n in range(4)]
VALUES = [
    ("user_id", "u1-{}"), ("user_id", "u2-{}"), ("user_id", "guest {}"), ("email", "a@{}.com"), ("email", "b@{}.com"),
    ("email", "c@{}.com"), ("email", "info1@{}.com"), ("phone", "+2{}"), ("card", "k1-{}"), ("device_id", "d1-{}"),
    ("device_id", "d2-{}"), ("cookie", "c1-{}"), ("vendor_id", "crm:7-{}"), ("vendor_id", "web:none"),
]  # fmt: skip
HOME, PHONE = ("address", "home {}"), ("phone", "+1{}")
NAMES = ["", "Ann", "ÁNN", "Ann-Marie", "A.", "B", "Bob", "Bea", "-"]
DAYS = [0, 4, 8, 12, 16]
"""No two of them are as far apart as a window is long, so that its edge is nobody's concern."""

_records = st.sampled_from(RECORDS)
# Few values a record, so that chains come about; and often one home or one phone.
_values = st.tuples(
    st.lists(st.sampled_from(VALUES), max_size=4, unique=True), st.sampled_from([[], [HOME], [PHONE], [HOME, PHONE]])
).map(lambda both: both[0] + both[1])
_names = st.sampled_from(NAMES)
_days = st.sampled_from(DAYS)
_picks = st.integers(0, 11)
_write = st.tuples(st.just("write"), _records, _values, _names, _days, st.sampled_from([True, True, True, False]))
_acts = st.one_of(
    _write,
    _write,
    st.tuples(st.just("rename"), _picks, _names),
    st.tuples(st.just("redate"), _picks, _days),
    st.tuples(st.just("delete"), _picks, st.booleans()),
    st.tuples(st.just("link"), _picks, _picks),
    st.tuples(st.just("withdraw"), _picks),
    st.tuples(st.just("revoke"), _picks),
)
_decisions = st.one_of(
    st.none(),
    st.tuples(st.just("merge"), _picks, _picks),
    st.tuples(st.just("unmerge_alias"), _picks, st.booleans()),
    st.tuples(st.just("unmerge_records"), _picks, st.integers(1, 3)),
)
_upheavals = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.tuples(st.just("lose_source"), st.sampled_from(["crm", "web"]), st.booleans()),
    st.tuples(st.just("change_rules"), st.sampled_from([RULES, LAX, STRICT])),
)
_everywhere = {"min_size": TOWNS, "max_size": TOWNS}

Check = Callable[[Outcome], None]


class Histories(RuleBasedStateMachine):
    """A store to which things happen in any order; each resolution is held against reference and promises."""

    def __init__(self) -> None:
        super().__init__()
        self.customers = open_customers()
        self.connection = self.customers.connection
        self.customers.rules = RULES
        create_identity_tables(self.connection)
        self.held = self.before = hold(self.customers.rows)
        self.had: dict[str, frozenset[str]] = {}
        self.records: list[dict[str, bool]] = [{} for _ in range(TOWNS)]
        self.links: list[list[tuple[str, str, str]]] = [[] for _ in range(TOWNS)]
        self.order = random.Random(0)
        self.resolved_at = self.customers.now
        self.pending, self.sound = False, True

    def teardown(self) -> None:
        if self.sound:
            self.resolve_and_check()
            self.check_rebuild_changes_nothing()
            if self.order.randrange(3) == 0:
                self.check_order_of_arrival()
        self.connection.close()

    # What may happen

    @initialize(
        towns=st.lists(st.lists(_write, min_size=2, max_size=9), **_everywhere), order=st.randoms(use_true_random=False)
    )
    def begin(self, towns: list[list[tuple]], order: random.Random) -> None:
        self.order = order
        self.connection.execute("BEGIN")
        for town, writes in enumerate(towns):
            for write in writes:
                self.act(town, *write)
        self.connection.execute("COMMIT")
        self.resolve_and_check()

    @rule(
        towns=st.lists(st.lists(_acts, max_size=3), **_everywhere),
        everywhere=_upheavals,
        then=st.sampled_from(["resolve", "resolve", "resolve", "rebuild", "wait"]),
    )
    def happen(self, towns: list[list[tuple]], everywhere: tuple | None, then: str) -> None:
        self.connection.execute("BEGIN")
        for town, acts in enumerate(towns):
            for act in acts:
                self.act(town, *act)
        if everywhere:
            getattr(self, everywhere[0])(*everywhere[1:])
            self.pending = True
        self.connection.execute("COMMIT")
        if then != "wait":
            self.resolve_and_check(full=then == "rebuild")

    @rule(acts=st.lists(_decisions, **_everywhere))
    def decide(self, acts: list[tuple | None]) -> None:
        self.resolve_and_check()
        checks = [getattr(self, act[0])(town, *act[1:]) for town, act in enumerate(acts) if act]
        outcome = self.resolve_and_check()
        for check in checks:
            if check:
                check(outcome)

    # How it happens

    def act(self, town: int, name: str, *how: object) -> None:
        getattr(self, name)(town, *how)
        self.pending = True

    def write(self, town: int, record: tuple, bears: list[tuple], *facts: object) -> None:
        record_id = f"{record[0]}:{town}-{record[1]}"
        values = [(kind, value.format(town)) for kind, value in bears]
        name, day, merges = facts
        self.customers.record(record_id, *values, merges=merges, observed_at=START + timedelta(days=day))
        self.records[town][record_id] = True
        self.name(record_id, name)

    def rename(self, town: int, pick: int, name: str) -> None:
        if record_id := self.one_of(self.records[town], pick):
            self.name(record_id, name)

    def name(self, record_id: str, name: str) -> None:
        self.connection.execute("DELETE FROM customers.traits WHERE record_id = ?", [record_id])
        if name:
            self.customers.trait(record_id, "first_name", name)
        self.customers.touch(record_id)

    def redate(self, town: int, pick: int, day: int) -> None:
        if record_id := self.one_of(self.records[town], pick):
            at = START + timedelta(days=day)
            self.connection.execute("UPDATE customers.records SET observed_at = ? WHERE record_id = ?", [at, record_id])
            self.customers.touch(record_id)

    def delete(self, town: int, pick: int | str, deleted: bool) -> None:
        record_id = pick if isinstance(pick, str) else self.one_of(self.records[town], pick)
        if record_id and deleted:
            self.customers.delete(record_id)
            self.records[town][record_id] = False
        elif record_id:
            self.customers.erase(record_id)
            del self.records[town][record_id]

    def lose_source(self, source: str, deleted: bool) -> None:
        for town in range(TOWNS):
            for record_id in [one for one in self.records[town] if one.startswith(source)]:
                self.delete(town, record_id, deleted)

    def change_rules(self, rules: IdentityRules) -> None:
        self.customers.rules = rules

    def link(self, town: int, pick: int, other: int) -> None:
        living = [record_id for record_id, there in self.records[town].items() if there]
        a, b = self.one_of(living, pick), self.one_of(living, other)
        if a and b and a < b:
            link_id, status = f"link-{town}-{self.customers.tick().timestamp()}", "accepted" if pick % 2 else "merged"
            self.links[town].append((link_id, a, b))
            self.connection.execute(
                "INSERT INTO customers.links VALUES (?, ?, ?, 0.99, 9, '[]', ?, NULL, 'run', ?)",
                [link_id, a, b, status, self.customers.now],
            )
            self.connection.execute("INSERT INTO customers.rejoin VALUES (?), (?)", [a, b])

    def withdraw(self, town: int, pick: int) -> None:
        if self.links[town]:
            link_id, a, b = self.links[town].pop(pick % len(self.links[town]))
            self.connection.execute("UPDATE customers.links SET status = 'withdrawn' WHERE link_id = ?", [link_id])
            self.connection.execute("INSERT INTO customers.rejoin VALUES (?), (?)", [a, b])

    def revoke(self, town: int, pick: int) -> None:
        in_force = self.customers.rows(
            "SELECT DISTINCT decision_id, record_id FROM customers.identity_decisions WHERE revoked_at IS NULL"
        )
        if decision_id := self.one_of({one for one, record_id in in_force if f":{town}-" in record_id}, pick):
            decisions.revoke(self.connection, decision_id, now=self.customers.tick())

    # What people decide, and what has to come of it

    def merge(self, town: int, pick: int, other: int) -> Check | None:
        profiles = self.profiles_of(town)
        chosen = sorted({self.one_of(profiles, pick), self.one_of(profiles, other)} - {None})
        if len(chosen) < 2:
            return None
        together = profiles[chosen[0]] | profiles[chosen[1]]
        known = read(self.customers.rows)
        if self.allowed(lambda now: decisions.merge(self.connection, chosen, reason="r", made_by="me", now=now)):
            return lambda outcome: self.assert_together(outcome, together)
        wanted = replace(known, merges={**known.merges, "wanted": together})
        profiles_then = work_out(wanted, self.customers.rules).profiles
        assert not any(together <= profile for profile in profiles_then), "a merge was refused for no reason"
        return None

    @staticmethod
    def assert_together(outcome: Outcome, together: frozenset[str]) -> None:
        assert any(together <= profile for profile in outcome.profiles), f"a merge by hand of {together} did not hold"

    def unmerge_alias(self, town: int, pick: int, named: bool) -> Check | None:
        profiles = self.profiles_of(town)
        alias = self.one_of((one for one, stands_for in self.held.aliases.items() if stands_for in profiles), pick)
        if not alias:
            return None
        profile_id = self.held.aliases[alias]
        came = self.held.brought.get(alias, frozenset()) & profiles[profile_id]
        if self.unmerge(profile_id if named else alias, came, profiles[profile_id], alias if named else None):
            self.check_named(alias, profiles[profile_id] - came)
            return lambda _: self.assert_came_back(alias, came, profile_id)
        return None

    def assert_came_back(self, alias: str, came: frozenset[str], left: str) -> None:
        """It is there again, or stands for somebody else who was there before, to whom its records went."""
        if alias in self.held.profile.values():
            return
        gone_to = {self.held.profile[record_id] for record_id in came}
        others = set(self.before.profile.values()) - {left}
        assert self.held.aliases[alias] in gone_to <= others, f"{alias} was unmerged and did not come back"

    def unmerge_records(self, town: int, pick: int, size: int) -> Check | None:
        profiles = self.profiles_of(town)
        if profile_id := self.one_of(profiles, pick):
            self.unmerge(profile_id, frozenset(sorted(profiles[profile_id])[:size]), profiles[profile_id], None)
        return None

    def check_named(self, alias: str, others: frozenset[str]) -> None:
        """Opposite to what an id brought along is whom the survivor had then; all others, where none of these is left.

        What came later is free to go where it belongs.
        """
        opposite = {record_id for record_id, side in self.last_unmerge().items() if side == "a"}
        assert opposite
        assert opposite <= others
        if alias in self.had:
            assert opposite == (self.had[alias] & others or others)

    def last_unmerge(self) -> Mapping[str, str]:
        ((newest, _), *_) = self.customers.rows(
            """
            SELECT decision_id, made_at FROM customers.identity_decisions WHERE decision = 'unmerge'
            ORDER BY made_at DESC LIMIT 1
            """
        )
        return read(self.customers.rows).unmerges[newest]

    def unmerge(self, profile: str, side: frozenset[str], whole: frozenset[str], other: str | None) -> bool:
        """Part these records of a profile from its others; they have to be named where no merged-away id is."""
        named = None if other or profile not in self.held.profile.values() else sorted(side)
        allowed = self.allowed(
            lambda now: decisions.unmerge(
                self.connection, profile, from_profile=other, records=named, reason="r", made_by="me", now=now
            )
        )
        assert allowed == (side not in (frozenset(), whole)), f"unmerge of {side} from {whole}"
        if allowed:
            parts = parts_of(self.last_unmerge())
            assert parts["b"] == side
            assert not named or parts["a"] == whole - side
        return allowed

    def allowed(self, decide: Callable) -> bool:
        """Write a decision down; whether it may be. What may not leaves nothing behind."""
        self.connection.execute("BEGIN")
        try:
            decide(self.customers.tick())
        except ConfigurationError:
            self.connection.execute("ROLLBACK")
            return False
        self.connection.execute("COMMIT")
        self.pending = True
        return True

    def profiles_of(self, town: int) -> dict[str, frozenset[str]]:
        return parts_of({r: profile_id for r, profile_id in self.held.profile.items() if f":{town}-" in r})

    @staticmethod
    def one_of(found, pick: int) -> str | None:
        """One of what was found; the same in the same history."""
        ordered = sorted(found)
        return ordered[pick % len(ordered)] if ordered else None

    # What must be so then

    def resolve_and_check(self, *, full: bool = False) -> Outcome:
        known = read(self.customers.rows)
        outcome = work_out(known, self.customers.rules)
        if not self.pending:
            return outcome
        self.sound = False
        taken_apart = self.taken_apart()
        self.connection.execute("BEGIN")
        report = self.customers.resolve(full=full)
        self.connection.execute("COMMIT")
        self.resolved_at = self.customers.now
        self.before, self.held = self.held, hold(self.customers.rows)
        self.note_merges()
        self.check_outcome(outcome)
        assert (report.records, report.profiles) == (len(self.held.profile), len(outcome.profiles))
        assert (report.households, report.refused) == (len(outcome.households), len(outcome.refused_joins))
        self.check_limits(known, outcome)
        check_ids(self.before, self.held, self.changes("profile"), taken_apart)
        check_households(self.before, self.held, self.changes("household"))
        self.pending, self.sound = False, True
        return outcome

    def note_merges(self) -> None:
        """Whom the survivor of each merge had then and has had ever since; not where it was merged away itself."""
        was, now = parts_of(self.before.profile), parts_of(self.held.profile)
        had = {}
        for alias, survivor in self.held.aliases.items():
            if alias not in self.before.aliases:
                had[alias] = was[survivor] & now[survivor]
            elif alias in self.had and survivor == self.before.aliases[alias]:
                had[alias] = self.had[alias] & now[survivor]
        self.had = had

    def check_outcome(self, outcome: Outcome) -> None:
        """Every table that follows from what is known says what the reference says."""
        rows = self.customers.rows
        assert set(parts_of(self.held.profile).values()) == outcome.profiles
        for table, columns in {
            "blocked_values": "kind, value, records",
            "shared_values": "kind, value, trait, records, groups",
            "shared_bearers": "record_id, kind, value",
            "refused_joins": "record_id, kind, value",
        }.items():
            found = rows(f"SELECT {columns} FROM customers.{table}")
            assert set(found) == getattr(outcome, table), table
            assert len(found) == len(set(found)), f"{table}: something is there twice"
        contested = dict(rows("SELECT record_id, component FROM customers.contested"))
        assert set(parts_of(contested).values()) == outcome.contested
        members = parts_of(self.held.profile)
        homes = parts_of(self.held.household).values()
        assert {frozenset(members[profile_id] for profile_id in home) for home in homes} == outcome.households

    def check_limits(self, known: Known, outcome: Outcome) -> None:
        """No profile bears more than a limit allows, unless one record alone does."""
        for limit in outcome.limits:
            for members in parts_of(self.held.profile).values():
                alone = max(most_borne(limit, [record_id], known.observed_at) for record_id in members)
                assert most_borne(limit, members, known.observed_at) <= max(limit.most, alone), limit.reason

    def check_rebuild_changes_nothing(self) -> None:
        """Looking at everything comes to the same members, ids and households."""
        self.sound = False
        self.connection.execute("BEGIN")
        report = self.customers.resolve(full=True)
        found = hold(self.customers.rows)
        self.connection.execute("ROLLBACK")
        assert found == self.held
        assert (report.new, report.merged, report.split, report.removed, report.changed_profiles) == (0, 0, 0, 0, 0)
        self.sound = True

    def check_order_of_arrival(self) -> None:
        """The same things in another order and in other portions make the same people."""
        other = open_customers()
        create_identity_tables(other.connection)
        other.rules = self.customers.rules
        for table in ("identity_decisions", "links"):
            insert(other, table, self.customers.rows(f"SELECT * FROM customers.{table}"))
        of_record: dict[str, list[tuple[str, tuple]]] = defaultdict(list)
        for table in ("identifiers", "traits"):
            for row in self.customers.rows(f"SELECT * FROM customers.{table}"):
                of_record[row[0]].append((table, row))
        records = self.customers.rows("SELECT * FROM customers.records ORDER BY record_id")
        self.order.shuffle(records)
        half = self.order.randint(0, len(records))
        for portion in (records[:half], records[half:]):
            other.connection.execute("BEGIN")
            for record in portion:
                insert(other, "records", [(*record[:-1], other.tick())])
                self.order.shuffle(of_record[record[0]])
                for table, row in of_record[record[0]]:
                    insert(other, table, [row])
            other.resolve()
            other.connection.execute("COMMIT")
        assert other.partition() == self.customers.partition()
        other.connection.close()

    def taken_apart(self) -> dict[str, set[str]]:
        """The profiles that people no longer want to be one, and whom they named: an unmerge knows best."""
        sides: dict[tuple[bool, str, str], dict[str, str]] = defaultdict(dict)
        for decision, decision_id, record_id, side in self.customers.rows(
            """
            SELECT decision, decision_id, record_id, side FROM customers.identity_decisions
            WHERE CASE decision WHEN 'unmerge' THEN revoked_at IS NULL ELSE revoked_at > ? END
            """,
            self.resolved_at,
        ):
            if profile_id := self.held.profile.get(record_id):
                sides[decision == "unmerge", decision_id, profile_id][record_id] = side
        apart: dict[bool, dict[str, set[str]]] = {True: defaultdict(set), False: defaultdict(set)}
        for (unmerged, _, profile_id), named in sides.items():
            if len(set(named.values())) == 2:
                apart[unmerged][profile_id] |= named.keys()
        return apart[False] | apart[True]

    def changes(self, what: str) -> list[Change]:
        query = f"SELECT change, {what}_id, other_id FROM customers.{what}_history WHERE run_id = ?"
        return [Change(*row) for row in self.customers.rows(query, f"run-{self.customers.runs}")]


def insert(customers: Customers, table: str, rows: Sequence[tuple]) -> None:
    """Put rows of one store into another."""
    for row in rows:
        marks = ", ".join("?" * len(row))
        customers.connection.execute(f"INSERT INTO customers.{table} VALUES ({marks})", list(row))


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=-(-HISTORIES // TOWNS),
    stateful_step_count=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
