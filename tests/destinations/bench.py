"""A store with a table of people, and a sync of it into a ``Memory``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from millstream.destinations.delivery import Delivery
from millstream.destinations.modes import SyncMode
from millstream.destinations.planning import PlanReport
from millstream.destinations.rules import DeliveryRules
from millstream.destinations.sync import Guards, Sync
from millstream.destinations.sync_report import SyncReport
from millstream.state.ledger.journal import Journal
from millstream.state.store import Store
from tests.destinations.memory import Killed, Memory, MemoryDestination

PEOPLE = [f"p{number}@box.example" for number in range(12)]
OPEN = Guards(largest_removal_share=1.0, allow_empty=True)


class Bench:
    """A store with a table of people, and a sync of it into a ``Memory``."""

    connector: type[MemoryDestination] = MemoryDestination

    def __init__(
        self, store: Store, folder: Path, *, rules: Mapping[str, object] | None = None, **changes: Any
    ) -> None:
        self.memory = Memory()
        self.store = store
        self.journal = Journal("sqlite:///journal.sqlite", root=folder)
        facts: dict[str, object] = {
            "destination": "memory",
            "table": "crm.wanted",
            "mode": SyncMode.MIRROR,
            "into": "Everyone",
            "fields": {"NAME": "name"},
            "consent": "not_needed",
            "guards": OPEN,
        }
        self.delivery = Delivery(
            name="sync",
            sync=Sync.model_validate({**facts, **changes}),
            destination=lambda: self.connector(self.memory),
            store=self.store,
            journal=self.journal,
            plans=folder / "plans",
            rules=DeliveryRules.model_validate(rules or {}),
        )

    def want(self, people: Mapping[str, str]) -> None:
        with self.store.open() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
            connection.execute("CREATE OR REPLACE TABLE crm.wanted (email TEXT, name TEXT, profile_id TEXT)")
            if people:
                connection.executemany(
                    "INSERT INTO crm.wanted VALUES (?, ?, ?)",
                    [(email, name, f"profile-{email}") for email, name in people.items()],
                )

    def execute(self, *statements: str) -> None:
        """Change the store."""
        with self.store.open() as connection:
            for statement in statements:
                connection.execute(statement)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        with self.store.open() as connection:
            return connection.execute(query).fetchall()

    def grant(self, *people: str) -> None:
        """Have these people, and no others, consent to e-mail."""
        self.execute(
            "CREATE SCHEMA IF NOT EXISTS customers",
            "CREATE OR REPLACE TABLE customers.profile_consents"
            " (profile_id TEXT, channel TEXT, topic TEXT, status TEXT)",
            *(
                f"INSERT INTO customers.profile_consents VALUES ('profile-{one}', 'email', 'marketing', 'granted')"
                for one in people
            ),
        )

    def run(self, **options: bool) -> SyncReport:
        return self.delivery.activate("run", **options)

    def planned(self, **options: bool) -> PlanReport:
        """The plan of a run."""
        report = self.run(**options)
        assert report.planned is not None
        return report.planned

    def killed(self, call: int, *, after_work: bool) -> None:
        """A run whose process is gone at its nth call; its lease goes with it."""
        self.memory.calls, self.memory.calls_to_kill, self.memory.kill_after_work = 0, call, after_work
        with suppress(Killed):
            self.delivery.activate("run")
        self.memory.calls_to_kill = None


MakeBench = Callable[..., AbstractContextManager[Bench]]
