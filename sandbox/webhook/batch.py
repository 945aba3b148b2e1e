"""The body of a delivery: one batch of records, all of one operation."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LARGEST_BATCH = 1_000
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")

Named = Annotated[str, Field(min_length=1, max_length=200)]
Operation = Literal["upsert", "remove", "delete"]
Key = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str]


class Strict(BaseModel):
    """Takes what is named here and nothing else."""

    model_config = ConfigDict(extra="forbid")


class Audience(Strict):
    """The audience whose members the records are."""

    id: Named
    name: Named


class Record(Strict):
    """One person. `key` is a value, or one value with its name: `{"email": "ana@box.example"}`."""

    row_id: Named | int
    key: str | Annotated[Key, Field(min_length=1, max_length=1)]
    fields: dict[Named, str | int | float | bool | None]
    operation: Operation

    @property
    def match(self) -> tuple[str, str]:
        """Name and value of the key; a bare value is an e-mail address if there is an @ in it."""
        if isinstance(self.key, str):
            name, value = ("email" if "@" in self.key else "id"), self.key
        else:
            ((name, value),) = self.key.items()
        return name, value.lower() if name == "email" else value

    @property
    def problem(self) -> str | None:
        """What is wrong with this person alone."""
        name, value = self.match
        if name == "email" and not EMAIL.fullmatch(value):
            return "the key is not an e-mail address"
        if not value or value != value.strip():
            return "the key is empty, or has spaces around it"
        return None


class Batch(Strict):
    """What one request brings."""

    sync_id: Named
    run_id: Named
    batch_id: Named | int
    sent_at: str
    destination: Named
    operation: Operation
    audience: Audience | None = None
    records: Annotated[list[Record], Field(min_length=1, max_length=LARGEST_BATCH)]

    @field_validator("sent_at")
    @classmethod
    def _a_moment(cls, value: str) -> str:
        if datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("a time with its zone")
        return value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Batch:
        if any(record.operation != self.operation for record in self.records):
            raise ValueError(f"all records of this batch are to {self.operation}")
        if self.operation == "remove" and self.audience is None:
            raise ValueError("people are removed from an audience, and none is named")
        most = Counter(record.row_id for record in self.records).most_common(1)
        if most[0][1] > 1:
            raise ValueError(f"row_id {most[0][0]} is there twice")
        return self
