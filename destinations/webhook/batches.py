"""What is posted: the records of one batch, and the names by which a repeated one is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import orjson

from millstream.destinations.contract import DeliveryRow, PlanFacts

Verb = Literal["upsert", "remove", "delete"]

NO_PLAN = "none"
"""Stands for sync and plan where rows are sent outside of a delivery, as for an erasure."""

ENVELOPE_BYTES = 2_000
"""Room for all of a body but its records."""
_RECORD_BYTES = 160
"""Of a record beside its key and its fields."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows that one request is about.

    Attributes:
        plan: What is being sent; None outside of a delivery.
        operation: What is to be done with the people.
        audience: Name of the audience; None where it is about people as such.
        match_key: What the match values are.
        rows: One row a person.
    """

    plan: PlanFacts | None
    operation: Verb
    audience: str | None
    match_key: str
    rows: Sequence[DeliveryRow]

    @property
    def sync(self) -> str:
        """Name of the sync."""
        return self.plan.sync if self.plan else NO_PLAN

    @property
    def plan_id(self) -> str:
        """The plan."""
        return self.plan.plan if self.plan else NO_PLAN

    def row_id(self, row: DeliveryRow) -> str:
        """A name for a row that is the same whenever it is sent for the same plan."""
        named = "\0".join((self.plan_id, self.operation, self.audience or "", row.key))
        return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def body(self, destination: str) -> dict[str, object]:
        """The body; all of it but ``sent_at`` follows from the plan and the rows."""
        content: dict[str, object] = {
            "sync_id": self.sync,
            "run_id": self.plan_id,
            "destination": destination,
            "operation": self.operation,
            "audience": None if self.audience is None else {"id": self.audience, "name": self.audience},
            "records": [
                {
                    "row_id": self.row_id(row),
                    "key": {self.match_key: row.match_value},
                    "fields": dict(row.fields),
                    "operation": self.operation,
                }
                for row in self.rows
            ],
        }
        name = hashlib.sha256(orjson.dumps(content)).hexdigest()[:32]
        return {"batch_id": name, "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds"), **content}


def record_bytes(row: DeliveryRow) -> int:
    """About how many bytes a record takes."""
    return len(orjson.dumps(row.fields)) + len(orjson.dumps(row.match_value)) + _RECORD_BYTES
