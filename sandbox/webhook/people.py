"""What the receiver knows because it was told: people, their fields and their audiences."""

from __future__ import annotations

from dataclasses import dataclass, field

from millstream.sandbox.system import JsonObject
from millstream.sandbox.webhook.batch import Audience, Batch, Record


@dataclass(slots=True)
class Known:
    """One person."""

    fields: dict[str, object] = field(default_factory=dict)
    audiences: set[str] = field(default_factory=set)


class People:
    """Everybody, by name and value of their key."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Known] = {}
        self._audiences: dict[str, str] = {}

    def take(self, batch: Batch, record: Record) -> None:
        """Do what a record asks for; doing it again changes nothing."""
        if batch.audience is not None:
            self._audiences[batch.audience.id] = batch.audience.name
        if record.operation == "upsert":
            self._upsert(record, batch.audience)
        elif record.operation == "delete":
            self._known.pop(record.match, None)
        elif record.match in self._known and batch.audience is not None:
            self._write(self._known[record.match], record)
            self._known[record.match].audiences.discard(batch.audience.id)

    def _upsert(self, record: Record, audience: Audience | None) -> None:
        person = self._known.setdefault(record.match, Known())
        self._write(person, record)
        if audience is not None:
            person.audiences.add(audience.id)

    @staticmethod
    def _write(person: Known, record: Record) -> None:
        for name, value in record.fields.items():
            if value is None:
                person.fields.pop(name, None)
            else:
                person.fields[name] = value

    def state(self) -> JsonObject:
        """Everything, for tests."""
        return {
            "people": [
                {
                    "match": {name: value},
                    "id": None,
                    "standing": "",
                    "fields": person.fields,
                    "audiences": sorted(person.audiences),
                    "written": True,
                }
                for (name, value), person in self._known.items()
            ],
            "audiences": self._audiences,
        }
