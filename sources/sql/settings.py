"""Settings of the source ``sql``: which database, and which of its tables."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.sources.contract import ColumnType, DeclaredSettings
from millstream.sources.from_project import ColumnName, DeletedSettings, StreamName, StreamSettings
from millstream.state.project_root import at_project_root
from millstream.state.zones import ZoneName

_SQLITE = "sqlite:///"


class TableStream(StreamSettings):
    """A table, a view or a query."""

    table: str | None = Field(
        default=None, min_length=1, description="The table or view: customers, or shop.customers."
    )
    query: str | None = Field(default=None, min_length=1, description="A SELECT, where one table does not say it all.")
    primary_key: tuple[ColumnName, ...] = Field(min_length=1, description="Columns that make a row unique.")
    columns: Mapping[ColumnName, ColumnType] = Field(
        default_factory=dict, description="Types of columns, where the database's own are not wanted."
    )
    leave_out: tuple[ColumnName, ...] = Field(default=(), description="Columns that are not read.")
    cursor: ColumnName | None = Field(
        default=None,
        description="Column that grows when a row changes: a time, or a number that counts. Left out: read whole.",
    )
    lookback_minutes: float = Field(
        default=5.0, ge=0, description="How long before the last time read the next pull starts, for late commits."
    )
    lookback_count: int = Field(
        default=100, ge=0, description="How far before the last number read the next pull starts, for late commits."
    )
    deleted: ColumnName | DeletedSettings | None = Field(
        default=None,
        description="Which rows are deleted: a column that is true or false or the time of it, or {column, values}.",
    )
    compare_keys: bool = Field(
        default=False, description="Find deleted rows by reading all keys and comparing them with the stored ones."
    )

    def given_types(self) -> Mapping[str, ColumnType]:
        """Columns whose type the project file says."""
        return self.columns

    @property
    def tells_deleted(self) -> bool:
        """Whether rows of this stream can be marked as deleted."""
        return self.deleted is not None or self.compare_keys

    @model_validator(mode="after")
    def _one_of_them(self) -> TableStream:
        if (self.table is None) == (self.query is None):
            raise ValueError("a stream reads either a `table` or a `query`")
        kept_out = [name for name in (*self.primary_key, self.cursor, *self.columns_needed()) if name in self.leave_out]
        if kept_out:
            raise ValueError(f"column {kept_out[0]!r} is needed and cannot be left out")
        return self


class SqlSettings(DeclaredSettings):
    """One database."""

    url: str | None = Field(
        default=None,
        description="SQLAlchemy URL without the password: postgresql+psycopg2://reader@host/shop, sqlite:///till.db.",
    )
    password: SecretStr | None = Field(default=None, description="The user's password.")
    secret_url: SecretStr | None = Field(default=None, description="Instead of url: the whole URL with its password.")
    options: Mapping[str, str | int | bool] = Field(
        default_factory=dict, description="More for the driver's connect(), as sslmode or connect_timeout."
    )
    timezone: ZoneName = Field(default="UTC", description="Time zone of times that name none, as Europe/Berlin.")
    chunk_rows: int = Field(default=10_000, ge=1, description="Rows fetched at a time.")
    streams: Mapping[StreamName, TableStream] = Field(
        min_length=1, description="Tables by name, each with its key, cursor, and what it says of people."
    )

    @field_validator("url")
    @classmethod
    def _from_the_project(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if ":" in value.partition("://")[2].rpartition("@")[0].rpartition("/")[2]:
            raise ValueError("a password does not stand in `url`: give it as `password`, or the whole as `secret_url`")
        if value.startswith(_SQLITE) and ":memory:" not in value and value != _SQLITE:
            return _SQLITE + at_project_root(value.removeprefix(_SQLITE), info)
        return value

    @model_validator(mode="after")
    def _one_url(self) -> SqlSettings:
        if (self.url is None) == (self.secret_url is None):
            raise ValueError("name the database by either `url` or `secret_url`")
        return self
