"""Reading CRM objects: whole by the list API, then what changed by search, then what was archived.

Search answers at most 10,000 records a query and its index is not ordered by a date that moves while it is read.
So each request is a query of its own: changed since the cursor, with an id above the last one read, by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import count
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Columns, ColumnType, Cursor, Endpoint, Row
from millstream.sources.hubspot.stretches import ALONE, NotByIdError, SideBySide, cursor_of, goes_by_id
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, SchemaError

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator

    from millstream.sources.pull import Pull
    from millstream.state.http import Pacer

OBJECTS_PATH = "crm/v3/objects"
LIST_LIMIT = 100
SEARCH_LIMIT = 200
LONGEST_PROPERTY_LIST = 6_000
"""Characters of a property list that still fit a URL; longer ones go in the body of a search."""

SEARCH_LAG = timedelta(minutes=15)
"""Search finds a changed record only after a while, so each pull reads that much again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_RECORD = (("id", "id"), ("created_at", "createdAt"), ("deleted", "archived"))


@dataclass(frozen=True, kw_only=True)
class Property:
    """A property of an object, and the column that keeps it."""

    name: str
    column: str
    description: str = ""
    type: ColumnType = "text"
    optional: bool = False

    def as_column(self) -> Column:
        """The column's declaration."""
        return Column(self.column, self.type, self.description, optional=self.optional)


@dataclass(frozen=True, kw_only=True)
class CrmObject:
    """A type of CRM object.

    Attributes:
        type: Name in paths.
        modified: Property with the time of the last change, by which search filters.
        properties: What is asked for beside ``modified``.
        associations: Types of objects whose ids are read with it.
    """

    type: str
    modified: str
    properties: tuple[Property, ...]
    associations: tuple[str, ...] = ()

    @cached_property
    def _columns_of(self) -> tuple[tuple[str, str], ...]:
        return tuple((p.name, p.column) for p in self.properties)

    @property
    def cursor(self) -> Cursor:
        """How a stream of this object is read incrementally."""
        return Cursor(column="modified_at", lookback=SEARCH_LAG)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that ``shape`` fills."""
        return (
            Column("id", description="HubSpot's record id.", required=True),
            *(p.as_column() for p in self.properties),
            Column("created_at", "timestamp", "When the record was made."),
            Column("modified_at", "timestamp", "When it last changed."),
            Column("archived_at", "timestamp", "When it was deleted.", optional=True),
            Column("deleted", "bool", "Whether it is deleted; HubSpot keeps it for 90 days."),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the properties to ask for."""
        return tuple(dict.fromkeys((self.modified, *(p.name for p in self.properties))))

    def shape(self, record: Mapping[str, Any]) -> Row:
        """A record as a row; a property that the answer lacks stays out, so that a renamed one is noticed."""
        values: Mapping[str, Any] = record.get("properties") or {}
        row: Row = {column: values[name] for name, column in self._columns_of if name in values}
        if self.modified in values:
            row["modified_at"] = values[self.modified] or record.get("updatedAt")
        for column, name in _OF_RECORD:
            if name in record:
                row[column] = record[name]
        if record.get("archived"):
            row["archived_at"] = record.get("archivedAt")
        return row

    def shape_columns(self, records: Sequence[Mapping[str, Any]]) -> Columns:
        """The same of many records, by column: of long lists, in half the time."""
        values: list[Mapping[str, Any]] = [record.get("properties") or {} for record in records]
        columns: Columns = {
            column: [one.get(name) for one in values]
            for name, column in self._columns_of
            if any(name in one for one in values)
        }
        changed, updated = self.modified, "updatedAt"
        if any(changed in one for one in values):
            columns["modified_at"] = [
                (one[changed] or record.get(updated)) if changed in one else None
                for one, record in zip(values, records, strict=True)
            ]
        for column, name in _OF_RECORD:
            if any(name in record for record in records):
                columns[column] = [record.get(name) for record in records]
        archived = [record.get("archivedAt") if record.get("archived") else None for record in records]
        return {**columns, "archived_at": archived}


def by_after() -> BasePaginator:
    """Paging by ``paging.next.after``, which is left out on the last page."""
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

    return JSONResponseCursorPaginator(cursor_path="paging.next.after", cursor_param="after")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, as HubSpot's filters want them."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def read_object(pull: Pull, crm: CrmObject, searches: Pacer, *, at_once: int = 1) -> Iterator[list[Row]]:
    """Pages of records: all of them, or those changed in the pull's window; then the deleted ones.

    Args:
        pull: What to read.
        crm: The type of object.
        searches: Keeps the pace of searches.
        at_once: Requests in flight at once, where all are read.
    """
    whole = pull.since is None and pull.until is None
    if whole and len(",".join(crm.names)) <= LONGEST_PROPERTY_LIST:
        yield from listed(pull, crm) if at_once == 1 else listed_side_by_side(pull, crm, searches, at_once)
    else:
        yield from searched(pull, crm, searches)
    for page in listed(pull, crm, archived=True):
        yield [{**record, "archived": True} for record in page if _newly_archived(record, pull)]


def listed(pull: Pull, crm: CrmObject, *, archived: bool = False) -> Iterator[list[Row]]:
    """Pages of the list API, by id."""
    return pull.pages(_list_endpoint(crm, archived=archived))


def listed_side_by_side(pull: Pull, crm: CrmObject, searches: Pacer, at_once: int) -> Iterator[list[Row]]:
    """Pages of the list API: the first ones by id, the others from several places at once."""
    endpoint = _list_endpoint(crm)

    def ask(after: str | None) -> Mapping[str, Any]:
        body: Mapping[str, Any] = pull.get(endpoint.path, {**endpoint.params, **({"after": after} if after else {})})
        return body

    after: str | None = None
    for number in count(1):
        body = ask(after)
        rows, after = records_at(body, endpoint), cursor_of(body)
        yield rows
        if after is None:
            return
        if number == ALONE and goes_by_id(rows, after):
            reader = SideBySide(ask, partial(records_at, endpoint=endpoint), at_once=at_once)
            try:
                yield from reader.read(after, _highest_id(pull, crm, searches))
            except NotByIdError:
                continue  # as a chain, from where it was left
            return


def _highest_id(pull: Pull, crm: CrmObject, searches: Pacer) -> int:
    """The highest id that search knows, which lags behind."""
    endpoint = Endpoint(path=f"{OBJECTS_PATH}/{crm.type}/search", records="results", method="POST")
    order = {"propertyName": "hs_object_id", "direction": "DESCENDING"}
    with searches:
        body = pull.post(endpoint.path, {"sorts": [order], "properties": ["hs_object_id"], "limit": 1})
    return max((_id(record) for record in records_at(body, endpoint)), default=0)


def _list_endpoint(crm: CrmObject, *, archived: bool = False) -> Endpoint:
    names = crm.names
    if len(",".join(names)) > LONGEST_PROPERTY_LIST:
        names = _as_many_as_fit(names)
    params: dict[str, Any] = {"limit": LIST_LIMIT, "properties": ",".join(names)}
    if archived:
        params["archived"] = "true"
    if crm.associations:
        params["associations"] = ",".join(crm.associations)
    return Endpoint(path=f"{OBJECTS_PATH}/{crm.type}", records="results", params=params, paging=by_after)


def searched(pull: Pull, crm: CrmObject, searches: Pacer) -> Iterator[list[Row]]:
    """Pages of records changed in the pull's window, by id.

    Raises:
        IncompleteError: The last page holds fewer records than it counts.
    """
    endpoint = Endpoint(path=f"{OBJECTS_PATH}/{crm.type}/search", records="results", method="POST")
    last_id = 0
    while True:
        with searches:
            body = pull.post(endpoint.path, _query(crm, pull, last_id))
        page = records_at(body, endpoint)
        yield page
        if not cursor_of(body):
            if int(body.get("total") or 0) > len(page):
                raise _cut_short(f"the last page of a search says {body['total']} records and has {len(page)}")
            return
        highest = max((_id(record) for record in page), default=0)
        if highest <= last_id:
            raise _cut_short(f"a search says that there is more after id {last_id} and does not give it")
        last_id = highest


def _query(crm: CrmObject, pull: Pull, last_id: int) -> dict[str, Any]:
    filters = [{"propertyName": "hs_object_id", "operator": "GT", "value": str(last_id)}]
    if pull.since:
        filters.append(_filter(crm.modified, "GTE", pull.since))
    if pull.until:
        filters.append(_filter(crm.modified, "LT", pull.until))
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": list(crm.names),
        "limit": SEARCH_LIMIT,
    }


def _filter(name: str, operator: str, moment: datetime) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(milliseconds(moment))}


def must(record: Mapping[str, Any], *path: str) -> str:
    """A value without which a record cannot be read, as text.

    Raises:
        SchemaError: The record lacks it.
    """
    value: Any = record
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        raise SchemaError(
            f"A record has no {'.'.join(path)!r}.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        )
    return str(value)


def _id(record: Mapping[str, Any]) -> int:
    value = must(record, "id")
    if not value.isdigit():
        raise SchemaError(
            f"A record's id {value[:20]!r} is not a number, and searches are paged by it.",
            remedy="the API may have changed: update the connector.",
        )
    return int(value)


def _cut_short(what: str) -> IncompleteError:
    return IncompleteError(
        f"Records are missing: {what}.",
        remedy="run again; the stream's place was not moved, so that nothing is missed.",
    )


def _newly_archived(record: Mapping[str, Any], pull: Pull) -> bool:
    """Whether a deleted record is news: those deleted before the window were loaded by an earlier pull."""
    at = record.get("archivedAt")
    try:
        moment = datetime.fromisoformat(str(at))
    except ValueError:
        return True
    return (pull.since is None or moment >= pull.since) and (pull.until is None or moment < pull.until)


def _as_many_as_fit(names: Sequence[str]) -> tuple[str, ...]:
    """The first names that fit a URL; the connector's own come first. Only deleted records miss the rest."""
    kept: list[str] = []
    length = 0
    for name in names:
        length += len(name) + 1
        if length > LONGEST_PROPERTY_LIST:
            break
        kept.append(name)
    return tuple(kept)
