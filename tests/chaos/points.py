"""Points at which runs are stopped, bad days at the vendors, and the clean runs after them."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from millstream.sandbox.mailchimp.account import Mailchimp
from tests.chaos.judge import Judge
from tests.chaos.runs import Ended
from tests.chaos.world import Desired, World

CLEAN_RUNS = 2
"""So many clean runs bring every vendor in step: the first settles what the dead left, and learns what was refused."""

Fault = tuple[str, dict[str, object]]
FAULTS: tuple[Fault, ...] = (
    ("rate_limited", {"share": 0.3, "seconds": 0.03}),
    ("rate_limited", {"share": 0.2, "seconds": 0.01, "policy": "bare"}),
    ("server_error", {"share": 0.2, "status": 500}),
    ("server_error", {"share": 0.2, "status": 502, "when": "after"}),
    ("server_error", {"share": 0.1, "status": 503}),
    ("reset", {"share": 0.15, "when": "before"}),
    ("reset", {"share": 0.15, "when": "after"}),
    ("slow", {"share": 0.3, "seconds": 0.05, "when": "before"}),
    ("slow", {"share": 0.3, "seconds": 0.05, "when": "after"}),
    ("truncated", {"share": 0.1}),
    ("refuse_rows", {"share": 0.05, "seed": 5}),
    ("refuse_rows", {"share": 0.05, "seed": 6, "whole_batch": True}),
)


@dataclass
class Chaos:
    """Stops runs of a world, again and again.

    Attributes:
        world: The world.
        chance: Where all luck comes from.
        always: Faults of every day.
        ended: How often runs ended with each code.
        stopped: How often a signal came in time.
        rounds: Clean ends that were compared.
    """

    world: World
    chance: random.Random
    always: Sequence[Fault] = ()
    judge: Judge = field(init=False)
    ended: Counter[int] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    _usual: float = 0.5

    def __post_init__(self) -> None:
        self.judge = Judge(self.world)

    def point(self, number: int) -> None:
        """One run of some syncs on a good or a bad day, stopped somewhere or not at all."""
        chance, world = self.chance, self.world
        if chance.random() < 0.8:
            world.change(chance)
        faults = self._bad_day()
        mailchimp = world.sandbox.systems["mailchimp"]
        assert isinstance(mailchimp, Mailchimp)
        mailchimp.batches.seconds = chance.choice((0.0, 0.05, 0.3))
        some = chance.sample(list(world.syncs), chance.choice((1, 1, 2, 3)))
        stop = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        kind = chance.choice(("time", "request", "write", "write"))
        if kind == "time":
            how = f"after {(after := chance.uniform(0.0, 1.2 * self._usual)):.3f} s"
            ended = world.activate(*some, stop=stop, after=after)
        else:
            # At a write, it dies after the vendor has done it and before it hears so.
            how = f"at {kind} {(nth := chance.randint(1, (8 if kind == 'request' else 3) * len(some)))}"
            world.witness.act_when(
                lambda seen: (seen.requests if kind == "request" else seen.writes) >= nth,
                lambda: world.runs.signal_now(stop),
            )
            ended = world.activate(*some)
            world.witness.do_not_act()
        world.let_settle()
        told = f"point {number}, {stop.name} {how}, {', '.join(some)}, {faults}"
        self._note(told, ended, stop)

    def _bad_day(self) -> list[Fault]:
        self.world.behave()
        chosen = [*self.always, *self.chance.sample(FAULTS, self.chance.choice((0, 1, 2, 3)))]
        for kind, facts in chosen:
            for system in ("hubspot", "mailchimp"):
                order = {"seed": self.chance.randint(1, 1000), **facts}
                if system == "hubspot" and kind == "rate_limited":
                    order.pop("policy", None)
                self.world.order(system, kind, **order)
        return chosen

    def _note(self, told: str, ended: Ended, stop: signal.Signals | None) -> None:
        self.ended[ended.code] += 1
        if stop and ended.stopped:
            self.stopped[stop.name] += 1
        if not ended.stopped and stop:
            self._usual = 0.8 * self._usual + 0.2 * ended.seconds
        # A signal may come too late; and before a run has begun to send, SIGTERM simply ends it.
        if ended.code not in {0, 1, *([-stop] if stop and ended.stopped else [])}:
            self.judge.problems.append(f"{told}: ended with {ended.code}: {ended.output[-2000:]}")
        self.judge.look(told, ended, killed=ended.code < 0)

    def converge(self, number: int) -> None:
        """The vendors behave, and after some clean runs all is as it should be."""
        world = self.world
        world.behave()
        for clean in range(CLEAN_RUNS):
            ended = world.activate()
            self.make_due()  # what the run before it found refused when it settled
            self._note(f"clean run {clean} after point {number}", ended, None)
        if ended.code:
            self.judge.problems.append(
                f"after point {number}: clean runs end with {ended.code}: {ended.output[-3000:]}"
            )
        self._have_nothing_to_do(number)
        self.judge.problems += [
            f"after point {number}: {problem}" for sync in world.syncs.values() for problem in differences(world, sync)
        ]
        self.rounds += 1

    def _have_nothing_to_do(self, number: int) -> None:
        """Run once more: nobody is asked anything."""
        ended = self.world.activate()
        asked, sent = self.world.witness.requests, self.world.witness.take()
        if ended.code or asked:
            said = ended.output.rpartition("}")[2]
            self.judge.problems.append(
                f"after point {number}: a run with nothing to do asks {asked} times: {sent} {said}"
            )

    def told(self) -> str:
        """How far it is."""
        judge = self.judge
        return (
            f"{dict(self.stopped)} in time, exit codes {dict(self.ended)}, {judge.in_flight} rows in flight, "
            f"{judge.uncertain} uncertain, {judge.sent_twice} sent twice, {self.rounds} clean ends, "
            f"problems: {judge.problems}"
        )

    def make_due(self) -> None:
        """Let every refused row be tried again now."""
        with closing(sqlite3.connect(self.world.journal)) as journal, journal:
            journal.execute("UPDATE rejected SET next_try_at = '2020-01-01 00:00:00' WHERE status = 'rejected'")


def differences(world: World, sync: Desired) -> list[str]:
    """What a vendor holds otherwise than it should."""
    found = []
    if sync.mode != "remove":
        people = world.people_of(sync)
        found += [
            f"{person} has {people.get(person)} instead of {fields}"
            for person, fields in sync.now.items()
            if people.get(person) != fields
        ]
    if sync.audience:
        members, now = world.members_of(sync), set(sync.now)
        least, most = {
            "mirror": (now, now),
            "add": (now, sync.ever),
            "remove": (set(sync.everybody) - sync.ever, set(sync.everybody) - now),
        }[sync.mode]
        found += [f"{person} is missing in {sync.audience}" for person in sorted(least - members)]
        found += [f"{person} is still in {sync.audience}" for person in sorted(members - most)]
    return [f"{sync.name}: {problem}" for problem in found]
