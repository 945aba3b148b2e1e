"""The search endpoint's filters, over arrays where they speak of ids and times, else over single records."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.hubspot.bodies import Filter, FilterGroup, Search, Sort
from millstream.sandbox.hubspot.errors import invalid
from millstream.sandbox.hubspot.properties import Property
from millstream.sandbox.hubspot.tables import Arrays, Record, Table

MAX_RESULTS = 10_000
_COMPARISONS: dict[str, Callable[[NDArray[np.int64], int], NDArray[np.bool_]]] = {
    "EQ": lambda column, value: column == value,
    "NEQ": lambda column, value: column != value,
    "LT": lambda column, value: column < value,
    "LTE": lambda column, value: column <= value,
    "GT": lambda column, value: column > value,
    "GTE": lambda column, value: column >= value,
}
_SEARCHED_BY_QUERY = ("email", "firstname", "lastname", "phone", "company", "name", "domain", "dealname")


def search(table: Table, definitions: dict[str, Property], order: Search) -> NDArray[np.int64]:
    """Ids of all live records that match, in the order asked for (by id when none is)."""
    for group in order.filter_groups:
        for one in group.filters:
            _check(one, definitions)
    ids = _matching(table, order)
    if order.query:
        ids = _kept(table, ids, _mentions(order.query))
    return _sorted(table, definitions, ids, order.sorts[0]) if order.sorts else ids


def _matching(table: Table, order: Search) -> NDArray[np.int64]:
    if sum(len(group.filters) for group in order.filter_groups) > 25:
        raise invalid("a search may have 25 filters at most", code="TOO_MANY_FILTERS")
    groups = order.filter_groups or [FilterGroup(filters=[])]
    found = [_group(table, group) for group in groups]
    ids = found[0] if len(found) == 1 else np.unique(np.concatenate(found))
    gone = np.fromiter(table.gone_ids(), dtype=np.int64)
    return ids[~np.isin(ids, gone)] if len(gone) else ids


def _group(table: Table, group: FilterGroup) -> NDArray[np.int64]:
    first, later = _selected(table, group, table.arrays), _selected(table, group, table.later_arrays())
    return np.concatenate([first, later]) if len(later) else first


def _selected(table: Table, group: FilterGroup, arrays: Arrays) -> NDArray[np.int64]:
    ids, created, modified = arrays
    columns = {"hs_object_id": ids, "createdate": created, table.modified_property: modified}
    mask: NDArray[np.bool_] | None = None
    rest = []
    for one in group.filters:
        if one.property_name in columns and one.operator in {*_COMPARISONS, "BETWEEN"}:
            hit = _mask(columns[one.property_name], one)
            mask = hit if mask is None else mask & hit
        else:
            rest.append(one)
    matching = ids if mask is None else ids[mask]
    if rest:
        matching = _kept(table, matching, lambda record: all(_holds(one, record) for one in rest))
    return matching


def _mask(column: NDArray[np.int64], one: Filter) -> NDArray[np.bool_]:
    value = _number(one.value)
    if one.operator == "BETWEEN":
        return (column >= value) & (column <= _number(one.high_value))
    return _COMPARISONS[one.operator](column, value)


def _number(value: str | int | None) -> int:
    """A number, or a moment as milliseconds or in ISO 8601."""
    text = str(value)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"{text} is neither a number nor a date", code="INVALID_FILTER_VALUE") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _check(one: Filter, definitions: dict[str, Property]) -> None:
    if one.property_name not in definitions:
        raise invalid(f"there was a problem with the request: unknown property {one.property_name}")
    lists, none = {"IN", "NOT_IN"}, {"HAS_PROPERTY", "NOT_HAS_PROPERTY"}
    if one.operator in lists and not one.values:
        raise invalid(f"{one.operator} needs `values`", code="MISSING_VALUES", where="values")
    if one.operator == "BETWEEN" and (one.value is None or one.high_value is None):
        raise invalid("BETWEEN needs `value` and `highValue`", code="MISSING_VALUES", where="highValue")
    if one.operator not in lists | none and one.value is None:
        raise invalid(f"{one.operator} needs `value`", code="MISSING_VALUES", where="value")


def _kept(table: Table, ids: NDArray[np.int64], wanted: Callable[[Record], bool]) -> NDArray[np.int64]:
    kept = []
    for record_id in ids.tolist():
        record = table.read(record_id)
        if record is not None and wanted(record):
            kept.append(record_id)
    return np.asarray(kept, dtype=np.int64)


def _holds(one: Filter, record: Record) -> bool:
    value = record.properties.get(one.property_name)
    wanted = str(one.value).lower()
    operator = one.operator
    if operator == "HAS_PROPERTY":
        return value is not None
    if operator in {"NOT_HAS_PROPERTY"}:
        return value is None
    if operator in {"NEQ", "NOT_IN", "NOT_CONTAINS_TOKEN"}:
        # The vendor's negative operators also find records without a value.
        return value is None or not _positive(operator, value.lower(), wanted, one)
    return value is not None and _positive(operator, value.lower(), wanted, one)


def _positive(operator: str, value: str, wanted: str, one: Filter) -> bool:
    if operator in {"IN", "NOT_IN"}:
        return value in {choice.lower() for choice in one.values or ()}
    if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"}:
        pattern = re.escape(wanted).replace(r"\*", ".*")
        return re.search(rf"(?:^|\W){pattern}(?:$|\W)", value) is not None
    if operator in {"EQ", "NEQ"}:
        return value == wanted or _comparable(value) == _comparable(wanted)
    low = _comparable(wanted)
    this = _comparable(value)
    if isinstance(this, str) or isinstance(low, str):
        this, low = str(value), wanted
        high: float | str = str(one.high_value).lower()
    else:
        high = _comparable(str(one.high_value))
    return _compare(operator, this, low, high)


def _compare(operator: str, this: float | str, low: float | str, high: float | str) -> bool:
    def key(value: float | str) -> tuple[float, str]:
        return (value, "") if isinstance(value, (int, float)) else (0.0, value)

    return {
        "LT": key(this) < key(low),
        "LTE": key(this) <= key(low),
        "GT": key(this) > key(low),
        "GTE": key(this) >= key(low),
        "BETWEEN": key(low) <= key(this) <= key(high),
    }[operator]


def _comparable(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        pass
    if re.match(r"\d{4}-\d{2}-\d{2}", value):
        return float(_number(value.upper()))
    return value


def _mentions(query: str) -> Callable[[Record], bool]:
    words = query.lower().split()

    def wanted(record: Record) -> bool:
        text = " ".join(record.properties.get(name) or "" for name in _SEARCHED_BY_QUERY).lower()
        return all(word in text for word in words)

    return wanted


def _sorted(
    table: Table, definitions: dict[str, Property], ids: NDArray[np.int64], sort: Sort | str
) -> NDArray[np.int64]:
    if isinstance(sort, str):
        direction = "DESCENDING" if sort.startswith("-") else "ASCENDING"
        sort = Sort(property_name=sort.lstrip("-"), direction=direction)
    if sort.property_name not in definitions:
        raise invalid(f"there was a problem with the request: unknown property {sort.property_name}")
    descending = sort.direction == "DESCENDING"
    if sort.property_name == "hs_object_id":
        return ids[::-1] if descending else ids
    times = {"createdate": 1, table.modified_property: 2}
    if sort.property_name in times:
        return _sorted_by_time(table, ids, times[sort.property_name], descending)
    keys = []
    for record_id in ids.tolist():
        record = table.read(record_id)
        value = "" if record is None else record.properties.get(sort.property_name) or ""
        comparable = _comparable(value)
        keys.append((comparable, "") if isinstance(comparable, float) else (0.0, comparable))
    order = sorted(range(len(ids)), key=keys.__getitem__, reverse=descending)
    return ids[np.asarray(order, dtype=np.int64)]


def _sorted_by_time(table: Table, ids: NDArray[np.int64], column: int, descending: bool) -> NDArray[np.int64]:
    arrays, later = table.arrays, table.later_arrays()
    split = int(np.searchsorted(ids, later[0][0])) if len(later[0]) else len(ids)
    keys = np.concatenate(
        [
            arrays[column][np.searchsorted(arrays[0], ids[:split])],
            later[column][np.searchsorted(later[0], ids[split:])],
        ]
    )
    return ids[np.argsort(-keys if descending else keys, kind="stable")]
