"""All operations of a destination, one after the other, and the requests that each makes: what a snapshot holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from millstream.destinations.contract import DeliveryRow, DestinationField, Outcome, PlanFacts
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.testing.ground import AnyDestination
from millstream.state.errors import MillstreamError, RefusedError
from tests.contract.destinations.recording import Recorder
from tests.contract.destinations.samples import sample_match_value, sample_people

AUDIENCE = "Snapshot"
PLAN = PlanFacts(sync="snapshot", plan="plan-1", made_at=datetime(2020, 2, 29, tzinfo=UTC), fields=())
CUSTOM_FIELDS = {"mailchimp": "SNAPSHOT", "salesforce": "Snapshot__c"}
"""The custom field, where the vendor's names follow rules of their own."""
BARE = {"hubspot", "mailchimp"}
"""Vendors whose stand-ins begin with less than a usual account has."""
_MOST_SECONDS = 20.0


class Walk:
    """Goes through the operations of a destination in the order in which a person meets them.

    Args:
        destination: The connector, against a stand-in that nobody else writes to.
        recorder: Sees its requests.
        folder: Where it writes files, if it writes any.
    """

    def __init__(self, destination: AnyDestination, recorder: Recorder, folder: Path) -> None:
        self._destination = destination
        self._recorder = recorder
        self._folder = folder
        self._key = destination.match_keys[0]
        self._told: list[dict[str, Any]] = []
        self._files: set[Path] = set()

    def all(self) -> list[dict[str, Any]]:
        """What each operation sent, and what became of its rows."""
        destination = self._destination
        prepare(destination)
        with self._recorder.recording():
            self._do("probe", destination.probe)
            rows = self._people()
            audience = str(self._do("ensure_audience", lambda: destination.ensure_audience(AUDIENCE)))
            if audience != AUDIENCE:
                self._recorder.name(audience, "audience")
            members = self._write(audience, rows)
            self._membership(audience, members)
            self._by_other_keys(audience)
            for operation in sorted(destination.jobs):
                self._do(f"job to {operation}", partial(self._job, operation, audience, members))
            self._leave(audience, members)
        return self._told

    def _people(self) -> list[DeliveryRow]:
        """Rows with the fields that the account has; those it lacks are of another kind of account."""
        destination = self._destination
        fields = destination.fields
        if destination.custom_fields:
            fields = (*fields, DestinationField(name=CUSTOM_FIELDS.get(destination.name, "snapshot_custom")))
        missing = self._do("missing_fields", lambda: destination.missing_fields(sorted(one.name for one in fields)))
        assert isinstance(missing, list)
        if destination.codes("create_field"):
            made = fields[-1].name
            self._do("create_field", lambda: destination.create_field(made, "text"))
            missing = [name for name in missing if name != made]
        has = tuple(field for field in fields if field.name not in missing)
        destination.plan = replace(PLAN, fields=tuple(field.name for field in has if field.name != self._key))
        return sample_people(has, self._key, destination.custom_field_type)

    def _write(self, audience: str, rows: list[DeliveryRow]) -> list[DeliveryRow]:
        """Write fields in each way that there is; gives the rows with the ids that the vendor gave."""
        destination, members = self._destination, rows
        if not destination.audience_only:
            members = self._with_ids(rows, self._do("upsert", lambda: destination.upsert(rows, match_key=self._key)))
        if destination.adds_at_once:
            self._do("upsert_into", lambda: destination.upsert_into(audience, members, match_key=self._key))
        if SyncMode.UPDATE in destination.modes:
            self._do("update", lambda: destination.update(members, match_key=self._key))
        return members

    def _membership(self, audience: str, members: Sequence[DeliveryRow]) -> None:
        destination = self._destination
        self._do("add_members", lambda: destination.add_members(audience, members, match_key=self._key))
        if SyncMode.REPLACE in destination.modes:
            replaced = partial(destination.replace_members, audience, [members], match_key=self._key, label="plan-1")
            self._do("replace_members", replaced)
        if destination.can_read_back:
            self._do("read_back", lambda: len(list(destination.read_members(audience))))

    def _by_other_keys(self, audience: str) -> None:
        """One person by each other match key."""
        destination = self._destination
        write: Callable[..., object] = destination.upsert
        if destination.audience_only:
            write = partial(destination.add_members, audience)
        for key in destination.match_keys[1:]:
            row = DeliveryRow(number=1, match_value=sample_match_value(key, 4), fields={})
            self._do(f"by {key}", partial(write, [row], match_key=key))

    def _job(self, operation: Operation, audience: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        destination = self._destination
        adds = operation is Operation.ADD
        job = destination.submit_job(
            operation,
            rows,
            match_key=self._key,
            audience_id=audience if adds else None,
            creates=adds,
            label=f"plan-1-{operation}",
        )
        self._recorder.name(job, "job")
        ends = time.monotonic() + _MOST_SECONDS
        while not destination.poll_job(job).done:
            assert time.monotonic() < ends, "the job does not end"
            time.sleep(0.02)
        return destination.job_outcomes(job, operation, rows)

    def _leave(self, audience: str, members: Sequence[DeliveryRow]) -> None:
        """Take people out: of the audience, then, each for itself, to the archive and for good."""
        destination = self._destination
        self._do("remove_members", lambda: destination.remove_members(audience, members, match_key=self._key))
        if Leaving.ARCHIVE in destination.leavings:
            self._do("archive", lambda: destination.archive(members[:1], match_key=self._key))
        if destination.codes("erase"):
            self._do("erase", lambda: destination.erase(members[1:2], match_key=self._key))

    def _with_ids(self, rows: Sequence[DeliveryRow], outcomes: object) -> list[DeliveryRow]:
        assert isinstance(outcomes, list), self._told[-1]
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.external_id != row.match_value:
                self._recorder.name(outcome.external_id, f"person {row.number}")
        return [replace_id(row, outcome.external_id) for row, outcome in zip(rows, outcomes, strict=True)]

    def _do(self, what: str, work: Callable[[], object]) -> object:
        told: dict[str, Any] = {"operation": what}
        given: object = None
        try:
            given = work()
        except MillstreamError as error:
            told["raises"] = self._recorder.masked(f"{type(error).__name__}: {error.what}")
        told["requests"] = self._recorder.taken()
        if files := self._new_files():
            told["files"] = self._recorder.masked(files)
        if isinstance(given, list) and given and isinstance(given[0], Outcome):
            told["outcomes"] = [outcome.status + (f" {outcome.code}" if outcome.code else "") for outcome in given]
        self._told.append(told)
        return given

    def _new_files(self) -> dict[str, Any]:
        """Files that were written since the last call, by name: a document of JSON, or the lines of others."""
        found = sorted(path for path in self._folder.rglob("*") if path.is_file())
        new, self._files = [path for path in found if path not in self._files], set(found)
        texts = {path: path.read_text(encoding="utf-8") for path in new}
        return {
            str(path.relative_to(self._folder)): json.loads(text) if path.suffix == ".json" else text.splitlines()
            for path, text in texts.items()
        }


def replace_id(row: DeliveryRow, external_id: str | None) -> DeliveryRow:
    """The row with the id that the vendor gave."""
    return DeliveryRow(number=row.number, match_value=row.match_value, fields=row.fields, external_id=external_id)


def prepare(destination: AnyDestination) -> None:
    """Make the declared fields that every account of a vendor may have, and a fresh stand-in has not."""
    if destination.name in BARE:
        owner = type(destination)(destination.settings)
        for field in destination.fields:
            with suppress(RefusedError):  # it is there
                owner.create_field(field.name, "text")
