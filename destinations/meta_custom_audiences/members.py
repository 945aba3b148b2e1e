"""Rows as Meta takes them: a table of hashed cells under the keys that a batch has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from millstream.destinations.contract import DeliveryRow, Outcome, rejected
from millstream.destinations.kept_identifiers import Identifier, current_in, identifiers_in, kept, name_of
from millstream.destinations.meta_custom_audiences.keys import Key
from millstream.destinations.rows import text_value

_OPTIONS = "DATA_PROCESSING_OPTIONS"
_SINGLE = {"EMAIL": "EMAIL_SHA256", "PHONE": "PHONE_SHA256", "MADID": "MOBILE_ADVERTISER_ID", "EXTERN_ID": "EXTERN_ID"}
"""What the keys that can stand alone are called where they do."""
Row = TypeVar("Row")
Cells = Mapping[str, str]
"""Cells of a row by column; a key that the person does not have is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody as Meta is to know them.

    Attributes:
        key: Of the row.
        match: Cell of the match key.
        cells: All cells.
        external_id: What is kept to take the person out again.
    """

    key: str
    match: str
    cells: Cells
    external_id: str | None


class Members:
    """Makes cells of rows.

    Args:
        keys: Meta's keys by the field that fills them.
    """

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = keys
        self._lasting = frozenset(key.column for key in keys.values() if key.finds_alone)
        self.order = [key.column for key in keys.values()]

    def person(self, row: DeliveryRow, match_key: str, *, anew: bool = False) -> Person | Outcome:
        """A row as a person, or the outcome of one that Meta could not find anybody by.

        Args:
            row: The row.
            match_key: The field of its match value.
            anew: Whether what was kept of the person is void, because the audience is replaced.
        """
        key = self._keys[match_key]
        match = key.rule(row.match_value)
        if match is None:
            return rejected("invalid_match_value", f"The match value is none that {key.column} can be: not sent.")
        cells = {key.column: match}
        for name, value in row.fields.items():
            # A value that is hashed already stays as it is; nothing leaves that has not been through its rule.
            if name != match_key and value not in (None, "") and (cell := self._keys[name].rule(text_value(value))):
                cells[self._keys[name].column] = cell
        others: list[Identifier] = [one for one in cells.items() if one[0] != key.column]
        known = kept(others, None if anew else row.external_id, lasting=self._lasting)
        return Person(key=row.key, match=match, cells=cells, external_id=known)

    def names(self, match_value: str, external_id: str | None, match_key: str) -> list[str]:
        """Everything by which somebody is found without any other key."""
        known = self._known(match_value, external_id, match_key)
        return [name_of(one) for one in known if one[0] in self._lasting]

    def current_names(self, match_value: str, external_id: str | None, match_key: str) -> list[str]:
        """The same of what the person was put in with last."""
        known = self._current(match_value, external_id, match_key)
        return [name_of(one) for one in known if one[0] in self._lasting]

    def leaving(self, row: DeliveryRow, match_key: str, staying: Collection[str] = ()) -> list[dict[str, str]]:
        """All rows of cells by which somebody is taken out: as they were put in last, then by what they had earlier.

        Args:
            row: The row.
            match_key: The field of its match value.
            staying: Names of people who stay; what they are found by is left out.
        """
        now = self._current(row.match_value, row.external_id, match_key)
        theirs = [one for one in now if name_of(one) not in staying]
        latest = dict(reversed(theirs))  # of a column, the match value
        if len(theirs) < len(now) and self._lasting.isdisjoint(latest):
            latest = {}  # a name and a city alone are those of the one who stays, too
        earlier = [
            {column: cell}
            for column, cell in self._known(row.match_value, row.external_id, match_key)
            if column in self._lasting and latest.get(column) != cell and name_of((column, cell)) not in staying
        ]
        return [one for one in (latest, *earlier) if one]

    def _known(self, match_value: str, external_id: str | None, match_key: str) -> list[Identifier]:
        return self._match(match_value, match_key) + identifiers_in(external_id)

    def _current(self, match_value: str, external_id: str | None, match_key: str) -> list[Identifier]:
        return self._match(match_value, match_key) + current_in(external_id)

    def _match(self, match_value: str, match_key: str) -> list[Identifier]:
        key = self._keys[match_key]
        cell = key.rule(match_value)
        return [(key.column, cell)] if cell else []

    def payload(
        self, rows: Sequence[Cells], *, single: bool = False, limited_data_use: bool = False
    ) -> dict[str, object]:
        """Schema and data of a request.

        Args:
            rows: At least one.
            single: Whether the audience was made with a single key, so takes a schema that is no list.
            limited_data_use: Whether each row says so.
        """
        present = {column for row in rows for column in row}
        schema = [column for column in self.order if column in present]
        if single and len(schema) == 1:
            return {"schema": _SINGLE[schema[0]], "data": [row[schema[0]] for row in rows]}
        data: list[list[object]] = [[row.get(column, "") for column in schema] for row in rows]
        if limited_data_use:
            return {"schema": [*schema, _OPTIONS], "data": [[*cells, ["LDU"]] for cells in data]}
        return {"schema": schema, "data": data}


def pieces(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Rows in pieces of this size."""
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
