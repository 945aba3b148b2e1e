"""Reads the files of one stream: only new or changed ones, and on where a run before was killed.

Notes, kept with the loaded rows:

- ``files``: path, and version and checksum of each file that was read whole
- ``reading``: the file being read, its version, the last line read, and when it was begun
- ``sweep``: files whose older rows are still to be marked as deleted, with the version that stays
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

import pyarrow as pa

from millstream.sources.files.formats import READERS, BrokenRow
from millstream.sources.files.place import ARCHIVE, FoundFile, Place
from millstream.sources.files.quarantine import Quarantine
from millstream.sources.files.settings import FilesSettings, FileStream
from millstream.sources.files.tables import FILE, LINE, VERSION, TableMaker
from millstream.sources.from_project import DELETED
from millstream.state.amounts import counted
from millstream.state.errors import AuthenticationError, MillstreamError, SchemaError, UnreachableError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

Portion: TypeAlias = list[Any] | pa.Table


@dataclass(frozen=True, kw_only=True)
class FileReader:
    """The reader of one stream.

    Attributes:
        name: Name of the stream.
        how: Which files, and how they are written.
        primary_key: Columns that make a row unique.
        settings: Of the source.
        place: Where the files are.
        quarantine: Where broken rows go.
    """

    name: str
    how: FileStream
    primary_key: tuple[str, ...]
    settings: FilesSettings
    place: Place
    quarantine: Quarantine

    def __call__(self, pull: Pull) -> Iterator[Portion]:
        """Tables of the files that are new or have changed."""
        self.quarantine.reading.add(self.name)
        try:
            yield from self._read(pull)
        finally:
            self.quarantine.reading.discard(self.name)

    def _read(self, pull: Pull) -> Iterator[Portion]:
        yield from self._sweep(pull)
        found = self.place.listing(self.how.files)
        known = pull.state.setdefault("files", {})
        if not found and not known:
            pull.warn(f"no file matches {self.how.files}.")
        self._notice_vanished(pull, {file.path for file in found})
        failed: list[tuple[FoundFile, MillstreamError]] = []
        for file in self._settled(pull, self._wanted(pull, found)):
            try:
                yield from self._read_file(pull, file)
            except (AuthenticationError, UnreachableError):
                raise
            except MillstreamError as error:
                failed.append((file, error))
        if pull.state.get("sweep") and pull.stored is not None:
            yield pull.until_loaded()
            yield from self._sweep(pull)
        if failed:
            file, first = failed[0]
            more = f" ({len(failed)} files could not be read.)" if len(failed) > 1 else ""
            first.what = f"{file.path}: {first.what}{more}"
            raise first

    # -- which files -------------------------------------------------------------------------------------------

    def _wanted(self, pull: Pull, found: list[FoundFile]) -> list[FoundFile]:
        """Files that are new or have changed; those of the window in a backfill."""
        if pull.since is not None and pull.until is not None:
            return [file for file in found if pull.since <= file.modified < pull.until]
        known = pull.state["files"]
        pull.since = max((datetime.fromisoformat(version.split()[0]) for version, _ in known.values()), default=None)
        return [file for file in found if file.path not in known or known[file.path][0] != file.version]

    def _settled(self, pull: Pull, wanted: list[FoundFile]) -> Iterator[FoundFile]:
        """The files that nobody is writing to any more: young ones are waited for, and looked at again."""
        calm = timedelta(seconds=self.settings.settle_seconds)
        now = datetime.now(UTC)
        young = [file for file in wanted if now - calm < file.modified <= now]
        yield from (file for file in wanted if file not in young)
        if young:
            pull.wait(max(0.0, (max(file.modified for file in young) + calm - now).total_seconds()))
        for file in young:
            if self.place.look_again(file) == file:
                yield file
            else:
                pull.warn(f"{file.path} is still being written: it is left to the next pull.")

    def _notice_vanished(self, pull: Pull, paths: set[str]) -> None:
        gone = [path for path in pull.state["files"] if path not in paths]
        if self.how.vanished == "delete" and not pull.is_backfill:
            for path in gone:
                pull.state.setdefault("sweep", {})[path] = ""
                del pull.state["files"][path]

    def _copy_of(self, pull: Pull, file: FoundFile, checksum: str | None) -> str | None:
        """A file with the same content that was read already, which may be this one under another date."""
        if checksum is None or pull.is_backfill:
            return None
        known = pull.state["files"]
        same = [path for path, (_, other) in known.items() if other == checksum]
        return file.path if file.path in same else next(iter(same), None)

    # -- one file ----------------------------------------------------------------------------------------------

    def _read_file(self, pull: Pull, file: FoundFile) -> Iterator[Portion]:
        state = pull.state
        checksum = self.place.checksum(file)
        copied = self._copy_of(pull, file, checksum)
        if copied is not None:
            if copied != file.path:
                self._leave_to_sweep(pull, file)
                pull.warn(f"{file.path} has the same content as {copied}: it was not read twice.")
            state["files"][file.path] = [file.version, checksum]
            return
        begun = self._begin(pull, file)
        awaited, name = begun["part"], self._name_of_first(pull, file)
        with self.place.parts(file) as parts:
            for part, content in parts:
                if awaited in ("", part):
                    yield from self._read_part(pull, file, part, content, begun["line"] if awaited else 0, name=name)
                    awaited = ""
                name = None
        now = self.place.look_again(file)
        state.pop("reading", None)
        if now is not None and now != file:
            pull.warn(f"{file.path} was changed while it was read: the next pull reads it again.")
            return
        self._leave_to_sweep(pull, file)
        state["files"][file.path] = [file.version, checksum]
        self.quarantine.read_whole(self.name, file.path, datetime.fromisoformat(begun["at"]))
        yield []

    def _begin(self, pull: Pull, file: FoundFile) -> dict[str, Any]:
        """Where to read on, if this version of the file was begun by a run that was killed; else its beginning."""
        begun: dict[str, Any] = pull.state.get("reading") or {}
        if (begun.get("file"), begun.get("version")) != (file.path, file.version):
            begun = {
                "file": file.path,
                "version": file.version,
                "part": "",
                "line": 0,
                "at": datetime.now(UTC).isoformat(),
            }
        pull.state["reading"] = begun
        return dict(begun)

    def _name_of_first(self, pull: Pull, file: FoundFile) -> str | None:
        """What rows of the first file in an archive name, if not that: the archive, where a store has them so.

        Rows once named only the archive. Under another name, which is part of their key, they would be there twice.
        """
        if pull.stored is None or FILE not in self.primary_key or not file.path.lower().endswith(ARCHIVE):
            return None
        return file.path if len(pull.stored.rows(self.name, columns=(LINE,), equal={FILE: file.path})) else None

    def _read_part(
        self, pull: Pull, file: FoundFile, part: str, content: Any, after: int, *, name: str | None
    ) -> Iterator[Portion]:
        maker = TableMaker(self.how, self.primary_key, ZoneInfo(self.settings.timezone), name or part, file.version)
        inside = part.removeprefix(file.path).lstrip("/")
        broken_here, rows = 0, 0
        for batch in READERS[self.how.written_as](content, self.how, after):
            table, broken = maker.table(batch)
            rows += len(batch.lines)
            broken_here += len(broken)
            for row in broken:
                reason = f"{inside}: {row.reason}" if inside else row.reason
                pull.broken += 1
                self.quarantine.add(
                    self.name, file.path, BrokenRow(row.line, reason, row.text), datetime.now(UTC), part=part
                )
            if broken_here > self.settings.most_broken_rows:
                raise _too_many(self.settings.most_broken_rows, broken[0])
            pull.state["reading"] |= {"part": part, "line": batch.last_line}
            if len(table) or not after:
                yield table
        if broken_here:
            pull.warn(f"{part}: {counted(broken_here, 'broken row')}, see the table quarantine.")
        if maker.left_out:
            pull.warn(f"{part}: columns that hold bytes are not stored: {', '.join(sorted(maker.left_out))}.")
        if rows and not after and maker.never_seen():
            pull.warn(f"{part}: no row has {', '.join(maker.never_seen())}.")

    # -- rows that are gone ------------------------------------------------------------------------------------

    def _leave_to_sweep(self, pull: Pull, file: FoundFile) -> None:
        if self.how.replace == "file" and not pull.is_backfill and file.path in pull.state["files"]:
            pull.state.setdefault("sweep", {})[file.path] = file.version

    def _sweep(self, pull: Pull) -> Iterator[Portion]:
        """Mark what only an older version of a file had, now that the newer one is in the store."""
        if pull.stored is None:
            return
        for path, version in list(pull.state.get("sweep", {}).items()):
            older: dict[str, Any] = {"unequal": {VERSION: version}}
            found = [pull.stored.rows(self.name, equal={FILE: path, DELETED: False}, **older)]
            if path.lower().endswith(ARCHIVE):
                found.append(pull.stored.rows(self.name, equal={DELETED: False}, begins={FILE: f"{path}/"}, **older))
            del pull.state["sweep"][path]
            if some := [table for table in found if len(table)]:
                gone = pa.concat_tables(some)
                marked = pa.array([True] * len(gone), pa.bool_())
                yield gone.set_column(gone.column_names.index(DELETED), DELETED, marked)


def _too_many(most: int, first: BrokenRow) -> SchemaError:
    return SchemaError(
        f"More than {most} rows are broken; one is line {first.line}, which {first.reason}.",
        remedy="compare the file with the stream's delimiter, encoding and column types, or raise most_broken_rows.",
    )
