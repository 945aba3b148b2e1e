"""Who stays: nobody is taken out under a name that somebody who stays has, too.

Match values change while people do not: who has a new address at a vendor is the same person there, under the same
id. And advertising systems know people by hashes of which a household may share one. To take out the old address by
that id, or the one who left by that hash, would take out somebody who is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.modes import REFUSED, UNCERTAIN, Leaving, Operation, SyncMode
from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.sync import Sync
from millstream.state.ledger.journal import Journal
from millstream.state.ledger.outcomes import Outcomes
from millstream.state.sql import literal
from millstream.state.store import Store, column_types, parquet_rows, read_batches

_Known = tuple[str, str | None]
"""A match value, and the vendor's id or the identifiers kept in its place."""


@dataclass(frozen=True, kw_only=True)
class Staying:
    """Names of people who leave that people who stay have, too.

    Attributes:
        store: Knows who was acknowledged.
        journal: Knows which ids the vendor gave since.
        name: Name of the sync.
        sync: What it is.
        plan_id: The plan.
        path: Its file.
    """

    store: Store
    journal: Journal
    name: str
    sync: Sync
    plan_id: str
    path: Path

    def names(self, destination: AnyDestination, unwanted: Sequence[DeliveryRow] = ()) -> frozenset[str]:
        """The names, as the destination knows people; to be asked for when all are put in who come without a job.

        Args:
            destination: The connector.
            unwanted: Rows that put somebody in, and whose people leave for all that.

        Raises:
            StoreLockedError: The store cannot be looked at: who stays is not known, so nobody may be taken out.
        """
        if self.sync.mode is SyncMode.REMOVE:
            return frozenset()  # nobody is put in by it
        match_key, leaving = self.sync.match_key, set[str]()
        gone = ((row.match_value, row.external_id) for row in unwanted)
        for match_value, external_id in chain(self._planned(out=True), gone):
            leaving.update(destination.known_as(match_value, external_id, match_key=match_key))
        if not leaving:
            return frozenset()
        # Where the vendor gives ids, only those are read who share one with somebody who leaves.
        ids = None if destination.codes("known_as") else pa.array(sorted(leaving), pa.string())
        numbers = frozenset(row.number for row in unwanted)
        # Filled while those are read who were put in: what was kept of them before is void.
        anew = [pa.array(sorted(numbers), pa.int32())]
        shared: set[str] = set()
        put_in, planned = self._put_in(ids, anew, numbers), self._planned(out=False, ids=ids, but=anew)
        for match_value, external_id in chain(put_in, planned, self._acknowledged(ids)):
            shared.update(leaving.intersection(destination.stays_as(match_value, external_id, match_key=match_key)))
        return frozenset(shared)

    def _planned(self, *, out: bool, ids: pa.Array | None = None, but: Sequence[pa.Array] = ()) -> Iterator[_Known]:
        """Rows of the plan that are taken out, or all others; those aside whose numbers are in ``but``."""
        aside = pa.chunked_array(list(but), pa.int32())
        with pq.ParquetFile(self.path) as plan:
            for batch in plan.iter_batches(columns=["number", "operation", "match_value", "external_id"]):
                is_out = pc.equal(batch["operation"], Operation.REMOVE.value)
                rows = batch.filter(is_out if out else pc.invert(is_out))
                if ids is not None:
                    rows = rows.filter(pc.is_in(rows["external_id"], ids))
                if but:
                    rows = rows.filter(pc.invert(pc.is_in(rows["number"], aside)))
                yield from _known(rows)

    def _put_in(self, ids: pa.Array | None, anew: list[pa.Array], unwanted: frozenset[int]) -> Iterator[_Known]:
        """Rows of the plan to which the vendor gave an id, and which it did not refuse after that.

        Their numbers go into ``anew`` batch by batch, as they are read.
        """
        planned = pq.read_table(self.path, columns=["number", "match_value"]).sort_by("number")
        refused = set(unwanted)
        for outcomes in self._outcomes():
            refused |= {
                row for row, status in zip(outcomes.numbers, outcomes.statuses, strict=True) if status in REFUSED
            }
            given = pa.array(outcomes.external_ids, pa.string())
            wanted = pc.is_valid(given) if ids is None else pc.is_in(given, ids)
            numbers = pa.array(outcomes.numbers, pa.int32()).filter(wanted)
            match_values = planned["match_value"].take(numbers).to_pylist()
            answers = zip(numbers.to_pylist(), match_values, given.filter(wanted).to_pylist(), strict=True)
            put_in = [answer for answer in answers if answer[0] not in refused]
            anew.append(pa.array([row for row, _, _ in put_in], pa.int32()))
            yield from ((match_value, given_id) for _, match_value, given_id in put_in)

    def _outcomes(self) -> Iterator[Outcomes]:
        """Outcomes of those who are put in, the newest first."""
        for batch in self.journal.batches_of(self.plan_id, newest_first=True):
            if batch.outcomes is not None and batch.operation not in (Operation.REMOVE, Operation.WITHDRAW):
                yield batch.outcomes

    def undecided(self) -> frozenset[int]:
        """Numbers of rows whose people come under another match value, and nobody knows yet under which id.

        Their job has not begun, or their request got no answer. They may be whom the vendor has under the id that
        leaves: nobody is archived, deleted or emptied by it before that is known.
        """
        if self.sync.mode is SyncMode.REMOVE or self.sync.leaving is Leaving.LEAVE_AUDIENCE:
            return frozenset()
        renamed = self._renamed()
        unknown = {coming for _, coming in renamed}
        for outcomes in self._outcomes() if unknown else ():
            answers = zip(outcomes.numbers, outcomes.statuses, outcomes.external_ids, strict=True)
            unknown -= {row for row, status, given_id in answers if given_id or status not in UNCERTAIN}
        return frozenset(gone for gone, coming in renamed if coming in unknown)

    def _renamed(self) -> list[tuple[int, int]]:
        """Numbers of rows that are taken out, each with one that puts the same person in without an id.

        Where no id is known of who is taken out, the vendor looks for the old match value: until it has the new one, it
        finds the one who comes.
        """
        with self.store.rehearsal() as connection:
            planned = parquet_rows(connection, "planned", self.path)
            person, joins = "gone.profile_id", ""
            if column_types(connection, "customers", "profile_aliases"):
                person = "coalesce(alias.profile_id, gone.profile_id)"
                joins = "LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = gone.profile_id"
            out = literal(Operation.REMOVE.value)
            rows = connection.execute(
                f"""
                SELECT gone.number, coming.number FROM {planned} AS gone {joins}
                JOIN {planned} AS coming ON coming.profile_id = {person}
                WHERE gone.operation = {out} AND coming.operation <> {out} AND coming.external_id IS NULL
                """
            ).fetchall()
        return [(int(gone), int(coming)) for gone, coming in rows]

    def _acknowledged(self, ids: pa.Array | None) -> Iterator[_Known]:
        """People whom the vendor has, and whom the plan does not take out, or says anything of where all are read."""
        with self.store.rehearsal() as connection:
            planned = parquet_rows(connection, "planned", self.path)
            gone = f"SELECT {{}} FROM {planned} AS planned"
            if ids is not None:
                gone += f" WHERE operation = {literal(Operation.REMOVE.value)}"
            same = "" if ids is None else f"AND external_id IN ({gone.format('external_id')})"
            query = f"""
                SELECT match_value, external_id FROM delivery.acknowledged
                WHERE sync = {literal(self.name)} AND present IS NOT FALSE {same}
                    AND match_value NOT IN ({gone.format("match_value")})"""
            for batch in read_batches(connection, query):
                yield from _known(batch)


def _known(batch: pa.RecordBatch) -> Iterator[_Known]:
    return zip(batch["match_value"].to_pylist(), batch["external_id"].to_pylist(), strict=True)
