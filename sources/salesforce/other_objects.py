"""Objects that the settings name: read with all their fields, as typed as Salesforce describes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from millstream.sources.contract import Column, ColumnType, Stream
from millstream.sources.from_project import DELETED, column_name, column_names
from millstream.sources.salesforce.objects import is_true
from millstream.sources.salesforce.reading import query_of, read_records
from millstream.sources.salesforce.sweep import vanished
from millstream.sources.typed_values import Format, typed

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.org import Org
    from millstream.sources.salesforce.settings import ObjectSettings

_ALWAYS = ("IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp")
_TYPES: dict[str, ColumnType] = {
    "boolean": "bool",
    "int": "bigint",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "date": "date",
    "datetime": "timestamp",
}


def stream_name(api_name: str, settings: ObjectSettings) -> str:
    """The name of an object's stream: `Order__c` becomes `order_c` unless the settings say otherwise."""
    return settings.stream or column_name(api_name)


def object_stream(api_name: str, settings: ObjectSettings, org: Org, *, scope: str) -> Stream:
    """The stream of an object."""
    declared = (*settings.declared_columns(("id",), otherwise="text"), Column(DELETED, "bool", optional=True))

    def read(pull: Pull) -> Iterator[list[Any] | pa.Table]:
        return read_object(pull, org, api_name, settings)

    return Stream(
        name=stream_name(api_name, settings),
        description=settings.description or f"A record of the object {api_name}.",
        primary_key=("id",),
        columns=declared,
        read=read,
        resumable=True,
        people=settings.people.people(deleted=True) if settings.people else None,
        scope=scope,
    )


def read_object(pull: Pull, org: Org, api_name: str, settings: ObjectSettings) -> Iterator[list[Any] | pa.Table]:
    """Pages of an object as tables."""
    described = org.describe(pull, api_name)
    wanted = described.types if settings.fields is None else dict.fromkeys(("Id", *_ALWAYS, *settings.fields))
    query = query_of(pull, org, described, wanted)
    names = column_names(list(query.fields))
    _warn_of_absent(pull, api_name, settings, described.types, names)
    needed = settings.types()
    kinds = [
        needed.get(name) or _TYPES.get(described.types[field], "text")
        for name, field in zip(names, query.fields, strict=True)
    ]
    misfits: Counter[str] = Counter()
    for page in read_records(pull, org, query):
        if not page:
            yield []  # may be the wish to have what was read so far stored
            continue
        columns: dict[str, pa.Array] = {}
        for name, kind, field in zip(names, kinds, query.fields, strict=True):
            columns[name], wrong = typed([record.get(field) for record in page], Format(kind))
            misfits[f"{field} (no {kind})"] += len(wrong)
        columns |= {name: pa.array([value] * len(page), pa.string()) for name, value in settings.constants.items()}
        columns[DELETED] = pa.array([is_true(record.get("IsDeleted")) for record in page], pa.bool_())
        yield pa.table(columns)
    for what, count in (+misfits).items():
        pull.warn(f"{count} values of {what} of {api_name} were left empty: name another field, or another type.")
    for table in vanished(pull, org, described, mark=DELETED):
        place = table.column_names.index(DELETED)
        yield table.set_column(place, DELETED, pa.array([True] * len(table), pa.bool_()))


def _warn_of_absent(
    pull: Pull, api_name: str, settings: ObjectSettings, types: Mapping[str, str], names: Collection[str]
) -> None:
    """Say which of the named fields, or of the columns with people in them, are not there."""
    here = {*names, *settings.constants, DELETED}
    absent = [field for field in settings.fields or () if field not in types]
    absent += [name for name in settings.columns_needed() if name not in here and name not in map(column_name, absent)]
    if absent:
        pull.warn(
            f"Salesforce shows no {', '.join(absent)} of {api_name} to this user: check the names, and that the user "
            "may read the fields. Nothing of them is known here."
        )
