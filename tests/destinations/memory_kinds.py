"""Kinds of vendors that ``MemoryDestination`` is not: one request for all, members only, whole replacements, sizes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

from millstream.destinations.contract import DeliveryRow, DestinationField, FieldType, Outcome, accepted
from millstream.destinations.hashing import email_address, sha256_of
from millstream.destinations.kept_identifiers import current_in, identifiers_in, kept
from millstream.destinations.modes import Leaving, SyncMode
from tests.destinations.memory import MemoryDestination


class MemoryTogether(MemoryDestination):
    """Takes fields and membership with one request."""

    def upsert_into(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        outcomes = self.upsert(rows, match_key=match_key)
        taken = [row.match_value for row, outcome in zip(rows, outcomes, strict=True) if outcome.status == "accepted"]
        self.memory.members.update(taken)
        return outcomes

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        raise AssertionError("memberships go with the fields")


class MemoryOfMembers(MemoryDestination):
    """Knows people as members only, and not by name."""

    audience_only = True
    whole_rows = True
    modes = frozenset({SyncMode.MIRROR, SyncMode.ADD, SyncMode.REMOVE})
    leavings = frozenset({Leaving.LEAVE_AUDIENCE})
    fields: ClassVar[tuple[DestinationField, ...]] = (
        DestinationField(name="NAME", hashed=sha256_of(str.lower)),
        DestinationField(name="EMAIL", hashed=sha256_of(email_address)),
    )
    custom_fields = False

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        raise AssertionError("there are members only")

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        def work() -> None:
            self.memory.sent += [(row.match_value, dict(row.fields)) for row in rows]
            self.memory.members.update(row.match_value for row in rows)

        self.memory.step(work)
        return [accepted() for _ in rows]


class MemoryReplaced(MemoryDestination):
    """Takes everybody at once."""

    modes = frozenset({SyncMode.REPLACE})

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        rows = [row for batch in batches for row in batch]

        def work() -> None:
            self.memory.sent += [(row.match_value, dict(row.fields)) for row in rows]
            self.memory.members = {row.match_value for row in rows}
            self.memory.people = {row.match_value: dict(row.fields) for row in rows}

        self.memory.step(work)
        return [accepted() for _ in rows]


class MemoryOfBytes(MemoryDestination):
    """Takes as many rows as 1,000 bytes hold, and no row above 400."""

    batch_size = 100
    membership_batch_size = 100
    largest_request = 1_000
    largest_row = 400
    fields: ClassVar[tuple[DestinationField, ...]] = ()
    batches: ClassVar[list[int]] = []

    def row_bytes(self, row: DeliveryRow) -> int:
        return len(str(row.fields["NAME"]))

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.batches.append(sum(map(self.row_bytes, rows)))
        return super().upsert(rows, match_key=match_key)


class MemoryWithSchema(MemoryDestination):
    """Knows its fields, and makes new ones."""

    known: ClassVar[dict[str, FieldType]] = {}

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.known]

    def create_field(self, name: str, field_type: FieldType) -> None:
        self.known[name] = field_type


class Hashes(MemoryDestination):
    """Knows people by their name as well, which a household may share."""

    audience_only = True

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        kept = {row.match_value: str(row.fields.get("NAME", "")) for row in rows}
        self.memory.step(lambda: self.memory.members.update({*kept, *kept.values()}))
        return [accepted(f"[{kept[row.match_value]}]") for row in rows]

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        names = {name for row in rows for name in self.known_as(row.match_value, row.external_id, match_key=match_key)}
        self.memory.step(lambda: self.memory.members.difference_update(names - self.staying))
        return [accepted() for _ in rows]

    def known_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        return [match_value, *([external_id.strip("[]")] if external_id else [])]


class Keeping(Hashes):
    """Keeps the names that people had before, too."""

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        names = {row.match_value: str(row.fields["NAME"]) for row in rows}
        self.memory.step(lambda: self.memory.members.update({*names, *names.values()}))
        return [accepted(self.kept_as(row, match_key=match_key)) for row in rows]

    def kept_as(self, row: DeliveryRow, *, match_key: str) -> str | None:
        return kept([("NAME", str(row.fields["NAME"]))], row.external_id, lasting=["NAME"])

    def known_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        return [match_value, *(name for _, name in identifiers_in(external_id))]

    def stays_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        return [match_value, *(name for _, name in current_in(external_id))]
