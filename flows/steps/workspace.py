"""The workspace of a step: the project with its two databases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.state.store import Store

if TYPE_CHECKING:
    from millstream.destinations.delivery import Delivery
    from millstream.destinations.registry import AnyDestination
    from millstream.flows.project import Project
    from millstream.state.ledger.journal import Journal


@dataclass
class Workspace:
    """Everything a step needs: the project and its two databases."""

    project: Project
    store: Store
    journal: Journal

    @classmethod
    def open(cls, project: Project) -> Workspace:
        """Open the project's databases; the store's file is opened only while a step works on it."""
        from millstream.state.ledger.journal import Journal

        store = Store.from_url(project.store, root=project.root)
        return cls(project, store, Journal(project.journal, root=project.root))

    @property
    def work(self) -> Path:
        """Folder for plans and dlt's working files."""
        return self.project.work_folder

    def destination(self, name: str) -> AnyDestination:
        """A destination that keeps its vendor's limits together with all who use this journal."""
        destination = self.project.destination(name)
        destination.share(self.journal.budgets)
        return destination

    def delivery(self, sync: str) -> Delivery:
        """The delivery of one sync."""
        from millstream.destinations.delivery import Delivery

        definition = self.project.sync(sync)
        return Delivery(
            name=sync,
            sync=definition,
            destination=lambda: self.destination(definition.destination),
            store=self.store,
            journal=self.journal,
            plans=self.work / "plans",
            rules=self.project.delivery,
            sql_seconds=self.project.sql_seconds,
        )
