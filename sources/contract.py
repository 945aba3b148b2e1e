"""What a source declares. The engine (``dlt_source.py``) does the rest: HTTP, paging, retry, state, loading.

A connector is a class with facts about a vendor, and functions for what is odd about it::

    class Example(Source[ExampleSettings]):
        name = "example"
        ...
        def streams(self) -> tuple[Stream, ...]:
            return (Stream(name="people", primary_key=("id",), columns=..., endpoint=Endpoint(...)),)

What has no API (files, databases) is a ``TableSource``: its streams' readers yield Arrow tables.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from requests.auth import AuthBase

from millstream.state.errors import MillstreamError
from millstream.state.http import Answer, RateLimit
from millstream.state.model.declarations import People

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.sources.helpers.rest_client.paginators import BasePaginator
    from requests import PreparedRequest

    from millstream.sources.pull import Pull

Row = dict[str, Any]
"""One record as a connector shapes it: declared columns by name; nested values stay Python lists and dicts."""

Page = list[Row]
Columns = dict[str, Sequence[Any]]
"""Rows by column: the values of each, in the rows' order. A column that no row has is left out."""

ColumnType = Literal["text", "bigint", "double", "bool", "timestamp", "date", "json"]


@dataclass(frozen=True)
class Column:
    """A column of a stream.

    Attributes:
        name: Name in the store, in snake_case.
        type: ``timestamp`` is UTC with microseconds: the connector may leave ISO 8601 text or epoch milliseconds
            (an int) in the row. ``json`` holds any nested value as JSON text. Numbers may be text.
        description: What it holds.
        required: A row without a value breaks the pull, with a clear message.
        optional: The vendor may leave it out of every row. A column that is neither required nor optional must
            stand, even as null, in at least one row of a pull: so a renamed column is noticed.
    """

    name: str
    type: ColumnType = "text"
    description: str = ""
    required: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """How a stream is read incrementally.

    Attributes:
        column: A timestamp or date column; the highest value seen is kept in dlt's state.
        lookback: How far before the kept value the next pull starts, for late and re-opened rows.
        ordered: Rows come in ascending order of the column, so that a pull that ends early may keep its place.
    """

    column: str
    lookback: timedelta = timedelta(0)
    ordered: bool = False


def single_page() -> BasePaginator:
    """The paginator of an endpoint that answers everything at once."""
    from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator

    return SinglePagePaginator()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A paged endpoint of a vendor's API.

    Attributes:
        path: Relative to the connection's base URL.
        records: Dotted path of the list of records in the answer.
        params: Query parameters of the first request.
        body: JSON body of the request, for POST.
        paging: Makes the dlt paginator.
        may_lack_records: The vendor leaves the list out when it is empty.
    """

    path: str
    records: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    paging: Callable[[], BasePaginator] = single_page
    may_lack_records: bool = False


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One table of a source.

    Attributes:
        name: Table name; the raw table is ``raw_<source>.<name>``.
        description: What one row is.
        primary_key: Columns that make a row unique; they must be required columns.
        columns: Every column; of a stream whose reader yields tables, those that must be there and of which type.
        cursor: How it is read incrementally; None reads it whole each time.
        disposition: ``merge`` by primary key, or ``replace`` the table (small catalogues only).
        endpoint: Where rows come from, if one endpoint says it all; else ``read``.
        read: Yields pages of vendor rows for a pull, where the vendor is odd; or Arrow tables, whose columns
            beyond the declared ones are stored as they are.
        resumable: The reader brings ``pull.state`` in step with a page or table before it yields it. A pull may
            then be loaded in parts while it is read, and one that was killed goes on after the last part.
        shape: Turns one vendor row into a row of the declared columns; None keeps it as it is.
        shape_columns: Turns many vendor rows into declared columns, in place of ``shape``: much quicker, where a stream
            is long. The vendor rows are its own to change.
        people: What the rows say about people.
        scope: The vendor's name of the permission that the stream needs.
        follows: A stream whose rows decide what this one reads; if this one fails, the other's cursor stays.
    """

    name: str
    description: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    cursor: Cursor | None = None
    disposition: Literal["merge", "replace"] = "merge"
    endpoint: Endpoint | None = None
    read: Callable[[Pull], Iterable[list[Any] | pa.Table]] | None = None
    resumable: bool = False
    shape: Callable[[Any], Row] | None = None
    shape_columns: Callable[[list[Any]], Columns] | None = None
    people: People | None = None
    scope: str | None = None
    follows: str | None = None

    def __post_init__(self) -> None:
        if (self.endpoint is None) == (self.read is None):
            raise ValueError(f"stream {self.name}: exactly one of endpoint and read")


class DeclaredSettings(BaseModel):
    """What settings of any source are: each field described, secrets as ``SecretStr``, nothing unknown among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(DeclaredSettings):
    """Settings every source with an API has. Connectors add their own fields."""

    base_url: str = Field(description="Root of the API: the vendor, a regional host, a proxy or the sandbox.")
    streams: tuple[str, ...] | None = Field(default=None, description="Streams to pull; all when left out.")
    start_date: date | None = Field(
        default=None,
        description="First day to read where a stream is read by day; the connector's default else.",
    )
    requests_per_day: int | None = Field(
        default=None,
        ge=1,
        description="Most requests a day (UTC), of all runs together, where the vendor does not count them itself; "
        "left out: the vendor's own limit.",
    )


SettingsT = TypeVar("SettingsT", bound=DeclaredSettings, covariant=True)  # noqa: PLC0105


class Source(ABC, Generic[SettingsT]):
    """A system to pull from. One instance serves one pull; it may keep notes between its streams.

    Class attributes:
        name: Name in the project file and of the entry point.
        title: The vendor's name for people.
        category: ``analytics``, ``crm``, ``survey``, ``support``, ``messaging``, ``commerce``, ``other``.
        docs_url: The vendor's API documentation.
        api_version: The version spoken.
        Settings: The settings model.
        rate_limit: The vendor's limits and the headers that carry them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    category: ClassVar[str]
    docs_url: ClassVar[str]
    api_version: ClassVar[str]
    Settings: ClassVar[type[DeclaredSettings]]
    rate_limit: ClassVar[RateLimit]

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    @abstractmethod
    def auth(self) -> AuthBase:
        """The credential, as something that signs requests."""

    @abstractmethod
    def streams(self) -> tuple[Stream, ...]:
        """All streams, in the order in which they are read."""

    @abstractmethod
    def probe(self, pull: Pull) -> None:
        """Make one cheap request that needs the credential; raise what the session raises."""

    def pace(self) -> RateLimit:
        """The limits to keep; a connector whose limits depend on the account's plan takes them from its settings."""
        return self.rate_limit

    def probe_stream(self, pull: Pull) -> None:
        """Make one cheap request that needs the stream's scope; streams without a scope are not probed.

        The default reads the first page of the stream's endpoint.
        """
        for _ in pull.pages():
            return

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The connector's own reading of an answer: errors under status 200, statuses with an odd meaning.

        Returns:
            The error, or None to leave it to the usual meaning of the HTTP status.
        """
        return None

    def selected_streams(self) -> tuple[Stream, ...]:
        """The streams that the settings ask for.

        Raises:
            ConfigurationError: A name that the source does not have.
        """
        from millstream.state.errors import ConfigurationError

        streams = {stream.name: stream for stream in self.streams()}
        wanted = self.settings.streams if isinstance(self.settings, SourceSettings) else None
        if wanted is None:
            return tuple(streams.values())
        unknown = [name for name in wanted if name not in streams]
        if unknown:
            raise ConfigurationError(f"Unknown stream {unknown[0]!r}.", where=f"source {self.name}", allowed=streams)
        return tuple(stream for name, stream in streams.items() if name in wanted)


class TableSource(Source[SettingsT]):
    """A source without an HTTP API, such as files or a database: its readers yield Arrow tables.

    Its streams come from its settings, so that the project file says which there are.
    """

    rate_limit = RateLimit(requests=1_000, seconds=1.0)

    def auth(self) -> AuthBase:
        """Nothing is asked over HTTP, so nothing is signed."""
        return _Unsigned()


class _Unsigned(AuthBase):
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


def iter_rows(pages: Iterable[Page]) -> Iterator[Row]:
    """Rows of pages, one after the other."""
    for page in pages:
        yield from page
