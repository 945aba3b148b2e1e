"""Files in a folder, a bucket or on a server: exports of systems without an API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Stream, TableSource
from millstream.sources.files.place import Place
from millstream.sources.files.quarantine import Quarantine
from millstream.sources.files.reader import FileReader
from millstream.sources.files.settings import FilesSettings, FileStream
from millstream.sources.files.tables import FILE, LINE, VERSION
from millstream.sources.from_project import DELETED

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

_OF_THE_FILE = (
    Column(FILE, required=True, description="The file the row was last read from."),
    Column(LINE, "bigint", required=True, description="Its line there."),
    Column(VERSION, required=True, description="Time of change and size of the file."),
)


class Files(TableSource[FilesSettings]):
    """CSV, JSON Lines, Parquet, XML and Excel files."""

    name = "files"
    title = "Files (CSV, JSON Lines, Parquet, XML, Excel)"
    category = "other"
    docs_url = "https://dlthub.com/docs/dlt-ecosystem/verified-sources/filesystem/"
    api_version = "fsspec"
    Settings = FilesSettings

    def __init__(self, settings: FilesSettings) -> None:
        super().__init__(settings)
        self._place = Place(settings)
        self._quarantine = Quarantine(settings.keep_broken_text)

    def streams(self) -> tuple[Stream, ...]:
        """The tables that the project file declares, and that of broken rows."""
        declared = [self._stream(name, how) for name, how in self.settings.streams.items()]
        return (*declared, self._quarantine.stream())

    def _stream(self, name: str, how: FileStream) -> Stream:
        primary_key = how.primary_key or (FILE, LINE)
        own = tuple(
            column
            for column in how.declared_columns(how.primary_key, otherwise="text")
            if column.name not in (FILE, LINE, VERSION)
        )
        deleted = (Column(DELETED, "bool", optional=True),) if how.tells_deleted else ()
        return Stream(
            name=name,
            description=how.description or f"A row of {how.files}.",
            primary_key=primary_key,
            columns=(*own, *deleted, *_OF_THE_FILE),
            read=FileReader(
                name=name,
                how=how,
                primary_key=primary_key,
                settings=self.settings,
                place=self._place,
                quarantine=self._quarantine,
            ),
            resumable=True,
            people=how.people.people(deleted=how.tells_deleted) if how.people else None,
        )

    def probe(self, pull: Pull) -> None:
        """Look at the folder."""
        self._place.check()
