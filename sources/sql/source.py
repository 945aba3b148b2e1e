"""Any database that SQLAlchemy has a dialect for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Stream, TableSource
from millstream.sources.from_project import DELETED
from millstream.sources.sql.database import Database
from millstream.sources.sql.reader import TableReader
from millstream.sources.sql.settings import SqlSettings, TableStream

if TYPE_CHECKING:
    from millstream.sources.pull import Pull


class Sql(TableSource[SqlSettings]):
    """Tables, views and queries of one database."""

    name = "sql"
    title = "SQL databases"
    category = "other"
    docs_url = "https://dlthub.com/docs/dlt-ecosystem/verified-sources/sql_database/"
    api_version = "SQLAlchemy 2.0"
    Settings = SqlSettings

    def __init__(self, settings: SqlSettings) -> None:
        super().__init__(settings)
        self._database = Database(settings)

    def streams(self) -> tuple[Stream, ...]:
        """The tables that the project file declares."""
        return tuple(self._stream(name, how) for name, how in self.settings.streams.items())

    def _stream(self, name: str, how: TableStream) -> Stream:
        deleted = (Column(DELETED, "bool", optional=True),) if how.tells_deleted else ()
        return Stream(
            name=name,
            description=how.description or (f"A row of {how.table}." if how.table else "A row of the query."),
            primary_key=how.primary_key,
            columns=(*how.declared_columns(how.primary_key), *deleted),
            read=TableReader(name=name, how=how, settings=self.settings, database=self._database),
            resumable=True,
            people=how.people.people(deleted=how.tells_deleted) if how.people else None,
        )

    def probe(self, pull: Pull) -> None:
        """Ask the database something, and see that the tables are there."""
        self._database.check()
