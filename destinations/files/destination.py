"""The destination: files with everybody, or with changes, each followed by a manifest.

A file counts once its manifest is there, which is written last. Names follow from the plan and the rows, so that what
is written again takes its own place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    HashRule,
    Outcome,
    rejected,
)
from millstream.destinations.fields import USUAL_KEYS
from millstream.destinations.files.bundles import Bundle, Bundles, Draft, beside
from millstream.destinations.files.manifests import Manifest
from millstream.destinations.files.naming import MANIFEST, folder_of, safe_name
from millstream.destinations.files.place import Place
from millstream.destinations.files.reading import match_values, without
from millstream.destinations.files.settings import FilesSettings
from millstream.destinations.files.values import HASHES
from millstream.destinations.http import Recorded, Unsigned
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.state.errors import FatalError, NotFoundError
from millstream.state.http import RateLimit

_PROBE = "_millstream_probe"
_FILES_A_BATCH = 2
"""The file and its manifest."""
_ROWS_SHOWN = 2


class Files(Destination[FilesSettings]):
    """One folder, bucket or server."""

    name = "files"
    title = "Files (CSV, JSON Lines, Parquet)"
    docs_url = "https://filesystem-spec.readthedocs.io/"
    api_version = "fsspec"
    Settings = FilesSettings
    rate_limit = RateLimit(requests=1_000, seconds=1.0, concurrency=1)
    match_keys = USUAL_KEYS
    modes = frozenset({SyncMode.MIRROR, SyncMode.ADD, SyncMode.REMOVE, SyncMode.REPLACE})
    fields: tuple[DestinationField, ...] = ()
    custom_fields = True
    batch_size = 50_000
    membership_batch_size = 50_000
    idempotent = frozenset(Operation)
    read_back_modes = frozenset({SyncMode.REPLACE})
    one_by_one: ClassVar[frozenset[Operation | Leaving]] = frozenset()
    audience_only = True
    whole_rows = True

    def __init__(self, settings: FilesSettings) -> None:
        super().__init__(settings)
        columns = sorted({*settings.types, *settings.hashed})
        self.fields = tuple(
            DestinationField(name=name, type=settings.types.get(name, "text"), hashed=self._hash_of(name))
            for name in columns
        )
        self.batch_size = self.membership_batch_size = settings.rows_per_file

    def auth(self) -> AuthBase:
        """Nothing is signed: files are not written by HTTP of ours."""
        return Unsigned()

    @property
    def calls(self) -> int:
        """Files written, manifests too, and tries."""
        return self._place.writes

    @property
    def can_read_back(self) -> bool:
        """Not where the match key may be hashed: nobody can tell who is meant."""
        return not set(self.settings.hashed) & set(self.match_keys)

    def probe(self) -> None:
        """Write a small file, and take it away."""
        self._place.put_bytes(b"", _PROBE)
        self._place.remove(_PROBE)

    def ensure_audience(self, audience: str) -> str:
        """Its name. Whether the place answers is seen before there are rows; folders are made with the first file."""
        self._place.check()
        return audience

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """A file of people who are in the audience, with all their fields."""
        return self._write(Bundle.of_changes("upsert", audience_id, match_key, self.plan), [rows])

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """A file of people who left the audience."""
        return self._write(Bundle.of_changes("remove", audience_id, match_key, self.plan), [rows])

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        """A file with everybody."""
        return self._write(Bundle.of_everybody(audience_id, match_key, self.plan, label), batches)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of all files that lie there, and write a file of who is to be deleted by those who read."""
        gone = {value for row in rows for value in self._names_of(row, match_key)}
        for name, manifest in self._manifests(""):
            if manifest.match_key == match_key and manifest.operation != "delete":
                self._rewrite(name, manifest, gone)
        return self._write(Bundle.of_changes("delete", None, match_key, self.plan), [rows])

    def read_back(self, audience_id: str) -> Iterator[str]:
        """Match values of the sync's latest file, where that has everybody.

        Raises:
            FatalError: It has changes only, or there is none: somebody may have taken it.
        """
        name, manifest = self._latest(audience_id) or ("", None)
        if manifest is None or manifest.kind != "full":
            holds = "holds changes only" if manifest else "is not there"
            raise FatalError(
                f"The latest file of audience {audience_id} {holds}: who is in it cannot be read back.",
                remedy="use mode replace, whose files hold everybody, and leave the latest where it is.",
            )
        if manifest.match_key in manifest.hashed:
            raise FatalError(f"The latest file of audience {audience_id} holds hashes: nobody can tell who is meant.")
        for file in manifest.files:
            yield from match_values(self._place.get(beside(name, file.name)), manifest)

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """Files that are written: each batch is one with its manifest."""
        batches = super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        return batches * _FILES_A_BATCH

    def _write(self, bundle: Bundle, batches: Iterable[Sequence[DeliveryRow]]) -> list[Outcome]:
        """Write rows and the manifest after them; one outcome for each row, in order."""
        outcomes: list[Outcome] = []
        with self._bundles.begin(bundle) as draft:
            for rows in batches:
                if self._rehearses:
                    raise self._rehearsed(bundle, rows)
                draft.begin(rows)
                outcomes += in_order(rows, {row.key: self._add(draft, row) for row in last_of_each(rows)})
        return outcomes

    def _add(self, draft: Draft, row: DeliveryRow) -> Outcome:
        match_key = draft.bundle.match_key
        match_value = self._written_as(row, match_key)
        if not match_value:
            return rejected("not_of_its_kind", f"The value of {match_key} is none that can be hashed.")
        return draft.add(match_value, row.fields)

    def _rehearsed(self, bundle: Bundle, rows: Sequence[DeliveryRow]) -> Recorded:
        shown = [{bundle.match_key: self._written_as(row, bundle.match_key), **row.fields} for row in rows]
        name = self._bundles.example(bundle)
        return Recorded("PUT", self._place.url(name), (), {"rows": shown[:_ROWS_SHOWN], "then": name + MANIFEST})

    def _written_as(self, row: DeliveryRow, match_key: str) -> str | None:
        rule = self._hash_of(match_key)
        return rule(row.match_value) if rule else row.match_value

    def _names_of(self, row: DeliveryRow, match_key: str) -> Iterator[str]:
        """All that a person may be called in files: as they are, and by every hash that may have been set."""
        yield row.match_value
        for rule in HASHES.values():
            if (hashed := rule(row.match_value)) is not None:
                yield hashed

    def _hash_of(self, name: str) -> HashRule | None:
        kind = self.settings.hashed.get(name)
        return HASHES[kind] if kind else None

    def _latest(self, audience: str) -> tuple[str, Manifest] | None:
        known = {"audience": safe_name(audience)}
        folders = {folder_of(template, known) for template in (self.settings.path, self.settings.full_template)}
        found = {name: manifest for folder in folders for name, manifest in self._manifests(folder)}
        syncs = {self.plan.sync} if self.plan else {manifest.sync for manifest in found.values()}
        ours = [item for item in found.items() if item[1].audience == audience and item[1].sync in syncs]
        return max(ours, key=lambda item: item[1].written_at, default=None)

    def _manifests(self, folder: str) -> Iterator[tuple[str, Manifest]]:
        for name in self._place.names(folder, MANIFEST):
            try:
                yield name, Manifest.parse(self._place.get(name), name)
            except NotFoundError:
                continue  # taken away since it was listed

    def _rewrite(self, name: str, manifest: Manifest, gone: set[str]) -> None:
        """Write the file of a manifest again without some people, if one of them is in it."""
        [file] = manifest.files
        try:
            content = self._place.get(beside(name, file.name))
        except NotFoundError:
            return  # taken by who reads it
        # One that is not as its manifest says was being rewritten when an earlier try died.
        half_done = hashlib.sha256(content).hexdigest() != file.sha256
        if half_done or not gone.isdisjoint(match_values(content, manifest)):
            left, rows = without(content, manifest, gone)
            self._bundles.rewrite(name, manifest, left, rows)

    @cached_property
    def _place(self) -> Place:
        return Place(self.settings.access)

    @cached_property
    def _bundles(self) -> Bundles:
        return Bundles(self._place, self.settings)
