"""A file and its manifest, written together: the rows are collected on this machine, then both are handed over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, PlanFacts, accepted, rejected
from millstream.destinations.files.manifests import Kind, Manifest, Verb, WrittenFile
from millstream.destinations.files.naming import MANIFEST, dates, fill, id_of, safe_name
from millstream.destinations.files.place import Place
from millstream.destinations.files.settings import FilesSettings
from millstream.destinations.files.values import Cell, MisfitError, cell_of
from millstream.destinations.files.writing import Writer, ending_of, writing

OPERATION = "_operation"
"""The column of files of changes that says what each row is for."""
NOBODYS = "_people"
"""Stands for the audience in names where rows are about people as such."""
_NO_SYNC = "none"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a file is to hold.

    Attributes:
        kind: Everybody, or changes.
        operation: What the rows are for.
        audience: The audience; None where the rows are about people as such.
        match_key: The column by which people are known.
        plan: What is being sent; None outside of a delivery.
        label: Stands for the plan outside of a delivery, where everybody is handed over.
    """

    kind: Kind
    operation: Verb
    audience: str | None
    match_key: str
    plan: PlanFacts | None
    label: str | None = None

    @classmethod
    def of_changes(cls, operation: Verb, audience: str | None, match_key: str, plan: PlanFacts | None) -> Bundle:
        """A file of changes."""
        return cls(kind="changes", operation=operation, audience=audience, match_key=match_key, plan=plan)

    @classmethod
    def of_everybody(cls, audience: str, match_key: str, plan: PlanFacts | None, label: str) -> Bundle:
        """A file with everybody."""
        return cls(kind="full", operation="full", audience=audience, match_key=match_key, plan=plan, label=label)

    def columns(self, seen: Sequence[str]) -> tuple[str, ...]:
        """The file's columns: those that the sync fills, or else those that its rows have."""
        fields = self.plan.fields if self.plan else seen
        first = (OPERATION,) if self.kind == "changes" else ()
        return (*first, self.match_key, *(name for name in fields if name not in (OPERATION, self.match_key)))

    def id(self, sha256: str) -> str:
        """A name for the file that is the same when it is written again."""
        plan = self.plan.plan if self.plan else self.label
        content = sha256 if self.kind == "changes" else ""
        return id_of(plan or "", self.operation, self.audience or "", content)


class Draft:
    """The rows of a bundle, collected on this machine.

    Args:
        path: Where.
        bundle: What they are for.
        settings: How they are written.

    Attributes:
        columns: The file's columns, once the first rows have come.
        rows: Rows that were written.
    """

    def __init__(self, path: Path, bundle: Bundle, settings: FilesSettings) -> None:
        self.path = path
        self.bundle = bundle
        self.columns: tuple[str, ...] = ()
        self.rows = 0
        self._settings = settings
        self._open = ExitStack()
        self._writer: Writer | None = None

    def __enter__(self) -> Draft:
        """Give itself."""
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def begin(self, rows: Iterable[DeliveryRow]) -> Writer:
        """The writer; the first rows say what columns there are, where no plan does."""
        if self._writer is None:
            seen = dict.fromkeys(name for row in rows for name in row.fields)
            self.columns = self.bundle.columns(tuple(seen))
            self._writer = self._open.enter_context(writing(self.path, self._settings, self.columns))
        return self._writer

    def add(self, match_value: str, fields: Mapping[str, FieldValue]) -> Outcome:
        """Write a row; one that does not fit is rejected, and leaves nothing behind."""
        row: dict[str, Cell] = {OPERATION: self.bundle.operation} if self.bundle.kind == "changes" else {}
        row[self.bundle.match_key] = match_value
        try:
            for name, value in fields.items():
                if name not in row:
                    row[name] = cell_of(name, value, self._settings.types)
            self.begin(()).add(row)
        except MisfitError as error:
            return rejected(error.code, str(error))
        self.rows += 1
        return accepted()

    def end(self) -> None:
        """Have all of it in the file."""
        self.begin(())
        self._open.close()


class Bundles:
    """Writes bundles to a place.

    Args:
        place: Where to.
        settings: How.
    """

    def __init__(self, place: Place, settings: FilesSettings) -> None:
        self._place = place
        self._settings = settings

    @contextmanager
    def begin(self, bundle: Bundle) -> Iterator[Draft]:
        """A draft to be filled; what is in it when the context ends is written, and then its manifest."""
        with TemporaryDirectory() as folder, Draft(Path(folder, "rows"), bundle, self._settings) as draft:
            yield draft
            draft.end()
            if draft.rows or bundle.kind == "full":
                self._hand_over(draft)

    def example(self, bundle: Bundle) -> str:
        """What a file would be called, but for its id."""
        return self._name(bundle, "{id}")

    def rewrite(self, name: str, manifest: Manifest, content: bytes, rows: int) -> None:
        """Write the file of a manifest with other content, and the manifest after it.

        The old manifest stays until then: without one nobody would find the file again, neither who reads nor the next
        try, if this process dies in between.
        """
        [file] = manifest.files
        changed = WrittenFile(name=file.name, rows=rows, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        self._place.put_bytes(content, beside(name, file.name))
        self._place.put_bytes(replace(manifest, files=(changed,)).as_json(), name)

    def _hand_over(self, draft: Draft) -> None:
        with draft.path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        name = self._name(draft.bundle, draft.bundle.id(sha256))
        file = WrittenFile(
            name=name.rpartition("/")[2], rows=draft.rows, bytes=draft.path.stat().st_size, sha256=sha256
        )
        # Without its manifest the file counts for nothing, so that nobody takes the new one for the old one.
        self._place.remove(name + MANIFEST)
        self._place.put(draft.path, name)
        self._place.put_bytes(self._manifest(draft, file).as_json(), name + MANIFEST)

    def _name(self, bundle: Bundle, file_id: str) -> str:
        settings = self._settings
        values = {
            "audience": safe_name(bundle.audience) if bundle.audience is not None else NOBODYS,
            "sync": safe_name(bundle.plan.sync) if bundle.plan else _NO_SYNC,
            "operation": bundle.operation,
            "id": file_id,
            **dates(bundle.plan.made_at if bundle.plan else datetime.now(UTC)),
        }
        template = settings.full_template if bundle.kind == "full" else settings.path
        return fill(template, values) + ending_of(settings)

    def _manifest(self, draft: Draft, file: WrittenFile) -> Manifest:
        bundle, settings = draft.bundle, self._settings
        return Manifest(
            kind=bundle.kind,
            operation=bundle.operation,
            audience=bundle.audience,
            sync=bundle.plan.sync if bundle.plan else None,
            plan=bundle.plan.plan if bundle.plan else None,
            written_at=datetime.now(UTC),
            match_key=bundle.match_key,
            columns=draft.columns,
            hashed=tuple(name for name in draft.columns if name in settings.hashed),
            format=settings.format,
            encoding=settings.encoding,
            delimiter=settings.delimiter,
            compression=settings.compression,
            files=(file,),
        )


def beside(manifest: str, name: str) -> str:
    """A file in the folder of a manifest."""
    folder = manifest.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name
