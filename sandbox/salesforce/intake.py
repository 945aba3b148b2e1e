"""A record as it was sent: names become fields, values what stands in a record, external ids of others their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Value
from millstream.sandbox.salesforce.values import NULL_CELL, RowRefused, from_cell, from_json

Given = dict[Field, Value]


def read_json(records: Records, sobject: Sobject, record: Mapping[str, object]) -> Given:
    """A record of JSON.

    Raises:
        ApiError: A value is of a type that cannot be read, which refuses the whole request.
        RowRefused: A field is not there, or does not take the value.
    """
    given: Given = {}
    for name, value in record.items():
        if name == "attributes":
            continue
        field = sobject.field(name)
        if field is not None:
            given[field] = from_json(field, value)
            continue
        reference = _reference(sobject, name)
        if reference is None or not isinstance(value, dict):
            raise no_such_column(sobject, name)
        inner = {key: one for key, one in value.items() if key != "attributes"}
        if len(inner) != 1:
            text = f"Exactly one external id of {name} is needed"
            raise RowRefused("INVALID_FIELD", text, [name])
        [(key, wanted)] = inner.items()
        given[reference] = _looked_up(records, reference, key, str(wanted))
    return given


def columns_of(records: Records, sobject: Sobject, header: Sequence[str]) -> list[tuple[Field, str]] | str:
    """The fields that a header of CSV names, each with the external id that leads there; or the name that is wrong."""
    found = []
    for name in header:
        outer, dot, inner = name.partition(".")
        field = _reference(sobject, outer) if dot else sobject.field(name)
        if field is None or (dot and _target(records, field, inner) is None):
            return name
        found.append((field, inner))
    return found


def read_cells(records: Records, columns: Sequence[tuple[Field, str]], cells: Sequence[str]) -> Given:
    """A line of CSV; an empty cell leaves its field as it is.

    Raises:
        RowRefused: A field does not take the value.
    """
    given: Given = {}
    for (field, key), cell in zip(columns, cells, strict=True):
        if cell == "":
            continue
        is_key = key and cell != NULL_CELL
        given[field] = _looked_up(records, field, key, cell) if is_key else from_cell(field, cell)
    return given


def no_such_column(sobject: Sobject, name: str) -> RowRefused:
    """A field that is not there, or that the user may not see."""
    return RowRefused("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}", [name])


def _reference(sobject: Sobject, name: str) -> Field | None:
    return next((one for one in sobject.fields if one.relationship.lower() == name.lower() != ""), None)


def _target(records: Records, reference: Field, key: str) -> tuple[Sobject, Field] | None:
    """The object with such an external id that a reference may lead to."""
    for name in reference.target.split("/"):
        sobject = records.schema.find(name)
        field = None if sobject is None else sobject.field(key)
        if sobject is not None and field is not None and field.external:
            return sobject, field
    return None


def _looked_up(records: Records, reference: Field, key: str, wanted: str) -> str:
    target = _target(records, reference, key)
    if target is None:
        raise RowRefused("INVALID_FIELD", f"No external id '{key}' on {reference.relationship}", [key])
    sobject, field = target
    found = records.with_value(sobject.name, field.name, wanted)
    if len(found) != 1:
        text = f"Foreign key external ID: {wanted} not found for field {field.name} in entity {sobject.name}"
        raise RowRefused("INVALID_FIELD", text)
    return str(found[0]["Id"])
