"""Finding the records that a statement asks for: by arrays where these know the field, else row by row."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from millstream.sandbox.salesforce.ids import number_of, record_id
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row, Value
from millstream.sandbox.salesforce.soql import Condition, Group, Literal, Statement
from millstream.sandbox.salesforce.tables import Flags, Longs, Table


def find(records: Records, statement: Statement, *, all_rows: bool) -> list[int]:
    """The places of the records asked for, in the order asked for."""
    name, table = statement.sobject.name, records.table(statement.sobject.name)
    kept = np.ones(len(table), np.bool_) if all_rows else ~(table.deleted | table.archived)
    left: list[Condition | Group] = []
    for part in _ands(statement.where):
        quick = _mask(table, statement.sobject, part) if isinstance(part, Condition) else None
        if quick is None:
            left.append(part)
            possible = _possible(records, statement.sobject, part)
            kept = kept if possible is None else kept & possible
        else:
            kept &= quick
    places: list[int] = np.flatnonzero(kept).tolist()
    if left:
        places = [place for place in places if all(_holds(part, records.row(name, place)) for part in left)]
    places = _ordered(records, statement, places)
    return places if statement.limit is None else places[: statement.limit]


def _ordered(records: Records, statement: Statement, places: list[int]) -> list[int]:
    names = [(field.name, downwards) for field, downwards, _ in statement.order]
    # The tables stand in this order already.
    if names in ([], [("SystemModstamp", False)], [("SystemModstamp", False), ("Id", False)]):
        return places
    rows = {place: records.row(statement.sobject.name, place) for place in places}
    for field, downwards, nothing_last in reversed(statement.order):
        known = [place for place in places if rows[place][field.name] is not None]
        unknown = [place for place in places if rows[place][field.name] is None]
        known.sort(key=_sort_key(rows, field.name), reverse=downwards)
        places = known + unknown if nothing_last else unknown + known
    return places


def _sort_key(rows: dict[int, Row], name: str) -> Callable[[int], tuple[float, str]]:
    def key(place: int) -> tuple[float, str]:
        value = rows[place][name]
        return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))

    return key


def _possible(records: Records, sobject: Sobject, part: Condition | Group) -> Flags | None:
    """Which records it is worth looking at."""
    if isinstance(part, Group) or part.sign not in ("=", "IN"):
        return None
    values = [_id(part, value) for value in part.values]
    texts = [value for value in values if isinstance(value, str)]
    return records.possible(sobject, part.field, texts) if len(texts) == len(values) else None


def _ands(where: Condition | Group | None) -> tuple[Condition | Group, ...]:
    if where is None:
        return ()
    return where.parts if isinstance(where, Group) and where.word == "AND" else (where,)


def _mask(table: Table, sobject: Sobject, condition: Condition) -> Flags | None:
    """Which records a condition holds for, where the arrays can tell."""
    name = condition.field.name
    if name == "Id":
        numbers = [number_of(sobject.prefix, str(value)) for value in condition.values]
        if condition.sign in ("IN", "NOT IN"):
            listed = np.asarray([number for number in numbers if number is not None], dtype=np.int64)
            return np.isin(table.number, listed, invert=condition.sign == "NOT IN")
        return None if numbers[0] is None else _compare(table.number, condition.sign, numbers[0])
    value = condition.values[0]
    if name == "IsDeleted" and isinstance(value, bool):
        return _compare(table.deleted.astype(np.int64), condition.sign, int(value))
    columns = {"SystemModstamp": table.stamp, "CreatedDate": table.created}
    if name in columns and isinstance(value, float):
        return _compare(columns[name], condition.sign, value)
    return None


def _compare(column: Longs, sign: str, value: float) -> Flags | None:
    signs: dict[str, Callable[[], Flags]] = {
        "=": lambda: column == value,
        "!=": lambda: column != value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
    }
    return signs[sign]() if sign in signs else None


def _holds(part: Condition | Group, row: Row) -> bool:
    if isinstance(part, Group):
        inner = [_holds(one, row) for one in part.parts]
        return not inner[0] if part.word == "NOT" else all(inner) if part.word == "AND" else any(inner)
    return _is(row[part.field.name], part)


def _is(found: Value, condition: Condition) -> bool:
    values = [_id(condition, value) for value in condition.values]
    if condition.sign in ("IN", "NOT IN"):
        return any(_equal(found, value, condition) for value in values) is (condition.sign == "IN")
    if condition.sign in ("INCLUDES", "EXCLUDES"):
        chosen = set(str(found or "").lower().split(";"))
        has = any(set(str(value).lower().split(";")) <= chosen for value in values)
        return has is (condition.sign == "INCLUDES")
    value = values[0]
    if condition.sign in ("=", "!="):
        return _equal(found, value, condition) is (condition.sign == "=")
    if found is None or value is None or isinstance(found, dict):
        return False
    if condition.sign == "LIKE":
        pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in str(value))
        return re.fullmatch(pattern, str(found), re.IGNORECASE | re.DOTALL) is not None
    left, right = (found, value) if isinstance(value, str) else (float(found), float(value))
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[condition.sign]  # type: ignore[operator]


def _id(condition: Condition, value: Literal) -> Literal:
    """An id of 15 characters as the one of 18 that stands in the record."""
    if condition.field.type in ("id", "reference") and isinstance(value, str) and len(value) == 15:
        number = number_of(value[:3], value)
        return value if number is None else record_id(value[:3], number)
    return value


def _equal(found: Value, value: Literal, condition: Condition) -> bool:
    """Texts are compared whatever their case, ids are not."""
    if isinstance(found, str) and isinstance(value, str) and condition.field.type not in ("id", "reference"):
        return found.lower() == value.lower()
    return found == value
