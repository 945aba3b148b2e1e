"""A project that sends the same few people to every registered destination, with the settings of their contracts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from millstream.destinations.registry import DESTINATIONS
from millstream.destinations.testing.ground import AnyDestination
from millstream.sandbox import Sandbox
from tests.contract.destinations.all_contracts import as_a_project_says
from tests.contract.destinations.test_snapshots import connected

COLUMNS = ("customer_id", "first_name", "last_name", "email", "phone")
_FILLED_BY = {
    r"firstname|fname|fn|givenname|name": "first_name",
    r"lastname|lname|ln|familyname": "last_name",
    r"phone|phonenumber|mobilephone": "phone",
    r"email": "email",
    r"externid": "customer_id",
}
_INTO = "Newcomers"


@dataclass
class EveryDestination:
    """The project.

    Attributes:
        folder: Where it is.
        sandbox: All vendors.
        environment: Its secrets, by the variables that the project file names.
    """

    folder: Path
    sandbox: Sandbox
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        document: dict[str, Any] = {
            "name": "leaks",
            "store": "duckdb:///.millstream/store.duckdb",
            "journal": "sqlite:///.millstream/journal.sqlite",
            "connections": {},
            "destinations": {},
            "syncs": {},
        }
        for name in DESTINATIONS.names():
            destination = connected(name, self.sandbox, self.folder / "out")
            said = as_a_project_says(destination.settings, prefix=f"LEAK_{name}", secrets=self.environment)
            document["connections"][name] = {"system": name, **said}
            document["destinations"][name] = {"connection": name}
            document["syncs"][name] = _sync(destination)
        # JSON is YAML, too.
        (self.folder / "millstream.yaml").write_text(json.dumps(document, indent=2), encoding="utf-8")

    @property
    def work(self) -> Path:
        """Where the store, the journal and plans are."""
        return self.folder / ".millstream"

    def want(self, people: Sequence[Sequence[str]]) -> None:
        """Have these people in the store's table."""
        self.work.mkdir(exist_ok=True)
        with duckdb.connect(str(self.work / "store.duckdb")) as store:
            columns = ", ".join(f"{name} TEXT" for name in COLUMNS)
            store.execute(f"CREATE SCHEMA IF NOT EXISTS shop; CREATE OR REPLACE TABLE shop.people ({columns})")
            store.executemany(f"INSERT INTO shop.people VALUES ({', '.join('?' * len(COLUMNS))})", people)


def _sync(destination: AnyDestination) -> dict[str, object]:
    key = destination.match_keys[0]
    names = [one.name for one in destination.fields if one.name != key] or ["first_name", "last_name", "phone"]
    return {
        "table": "shop.people",
        "destination": destination.name,
        "into": _INTO,
        "match": {key: _column(key) or "customer_id"},
        "fields": {name: column for name in names if (column := _column(name))},
        "consent": "not_needed",
    }


def _column(field_name: str) -> str | None:
    """The column that fills a field."""
    plain = re.sub(r"[^a-z]", "", field_name.lower())
    return next((column for pattern, column in _FILLED_BY.items() if re.fullmatch(pattern, plain)), None)
