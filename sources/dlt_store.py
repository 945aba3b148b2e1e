"""The store as dlt loads into it: which of its destinations, which files, and what an engine cannot keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from millstream.sources.contract import Stream
from millstream.state.store import DuckDBStore, PostgresStore, Store

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.destination import Destination, DestinationCapabilitiesContext, TLoaderFileFormat
    from dlt.common.normalizers.naming import NamingConvention
    from dlt.extract import DltSource

_NUL = "\x00"
_NUL_IN_JSON = "\\u0000"


def dlt_destination(store: Store) -> Destination[Any, Any]:
    """The destination for a pipeline into the store."""
    import dlt

    if isinstance(store, PostgresStore):
        return _asked_once(dlt.destinations.postgres(store.whole_url()))
    assert isinstance(store, DuckDBStore)
    store.path.parent.mkdir(parents=True, exist_ok=True)
    return _asked_once(dlt.destinations.duckdb(str(store.path)))


def _asked_once(destination: Destination[Any, Any]) -> Destination[Any, Any]:
    """The destination, which works out once what it is capable of.

    dlt asks some thirty times a pull, and each time reads the configuration of all of it from every place there is.
    """
    known: dict[type[NamingConvention] | None, DestinationCapabilitiesContext] = {}
    work_out = destination.capabilities

    def capabilities(config: Any = None, naming: NamingConvention | None = None) -> DestinationCapabilitiesContext:
        if config is not None:
            return work_out(config, naming)
        kind = None if naming is None else type(naming)
        if kind not in known:
            known[kind] = work_out(None, naming)
        return known[kind].copy()

    destination.capabilities = capabilities  # type: ignore[method-assign]
    return destination


def file_format(store: Store) -> TLoaderFileFormat:
    """What Arrow tables are written as for the load: what the engine reads fastest."""
    return "csv" if isinstance(store, PostgresStore) else "parquet"


def fit_to_store(source: DltSource, streams: Iterable[Stream], store: Store) -> DltSource:
    """Take out of a source's tables what the store's engine cannot keep: in PostgreSQL's text, the NUL character."""
    if isinstance(store, PostgresStore):
        kinds = {stream.name: {column.name: column.type for column in stream.columns} for stream in streams}
        for name, resource in source.resources.items():
            resource.add_map(_without_nul_of(kinds.get(name, {})))
    return source


def _without_nul_of(kinds: Mapping[str, str]) -> Callable[[pa.Table], pa.Table]:
    """With one argument, since dlt gives a second one to whatever takes it."""
    return lambda table: without_nul(table, kinds)


def without_nul(table: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """The table without NUL characters in its texts, and in the texts of its JSON documents.

    Args:
        table: A page.
        kinds: Types of its columns, by name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, field in enumerate(table.schema):
        if not pa.types.is_string(field.type):
            continue
        is_json = kinds.get(field.name) == "json"
        mark = _NUL_IN_JSON if is_json else _NUL
        if not pc.any(pc.match_substring(table[index], mark)).as_py():
            continue
        if is_json:
            kept = pa.chunked_array([[_json_without_nul(text) for text in table[index].to_pylist()]], pa.string())
        else:
            kept = pc.replace_substring(table[index], _NUL, "")
        table = table.set_column(index, field, kept)
    return table


def _json_without_nul(text: str | None) -> str | None:
    if text is None or _NUL_IN_JSON not in text:
        return text
    return orjson.dumps(_value_without_nul(orjson.loads(text))).decode()


def _value_without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, "")
    if isinstance(value, list):
        return [_value_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {name.replace(_NUL, ""): _value_without_nul(item) for name, item in value.items()}
    return value
