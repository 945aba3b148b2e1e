"""Jobs (Marketo: bulk imports): a file of leads handed over at once, and files of those that failed or were warned of.

What an empty cell means for a lead that is there is not documented, so there is none in a file: a job's file holds
those rows that fill the same fields, and the rest goes the ordinary way once the file is done.
"""

from __future__ import annotations

import csv
import io
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from millstream.destinations.contract import DeliveryRow, FieldValue
from millstream.destinations.http import Http, Upload
from millstream.destinations.rows import text_value
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import RefusedError, UnavailableError
from millstream.state.vendors.marketo import code_of

_FULL = frozenset({"1016", "1019"})
"""Codes that say the queue of imports is full, or that another import into the list is under way."""
_DONE, _FAILED = "Complete", "Failed"
_TRIES = 10
_WAIT = 60.0
"""Seconds between two tries to hand over a file."""
_LOOK = 10.0
"""Seconds between two looks whether the import before has ended."""

Typed = Callable[[Mapping[str, FieldValue]], Mapping[str, FieldValue]]
"""Values as the types of their fields want them."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """A job, as its id tells it to whoever asks after it.

    Attributes:
        match_key: The sync's.
        list_id: The list that the leads go into.
        creates: Whether leads that are not there are created.
        lookup: Field by which the file's leads are found; None: nothing went as a file.
        columns: The other fields of the file.
        rows: How many rows the file has.
        batch: Marketo's id of the import.
    """

    match_key: str
    list_id: str | None
    creates: bool
    lookup: str | None = None
    columns: tuple[str, ...] = ()
    rows: int = 0
    batch: str | None = None

    @classmethod
    def parse(cls, text: str) -> Import:
        """What ``str`` gave."""
        facts = orjson.loads(text)
        return cls(**{**facts, "columns": tuple(facts["columns"])})

    def __str__(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    def holds(self, row: DeliveryRow, key_field: str) -> bool:
        """Whether the file has the row."""
        return self.lookup is not None and _shape(row, key_field, creates=self.creates) == (self.lookup, self.columns)


def plan_import(
    rows: Sequence[DeliveryRow], key_field: str, *, match_key: str, list_id: str | None, creates: bool
) -> Import:
    """The import of these rows: its file is for the most that fill the same fields."""
    found = (_shape(row, key_field, creates=creates) for row in rows)
    shapes = Counter(shape for shape in found if shape is not None)
    job = Import(match_key=match_key, list_id=list_id, creates=creates)
    if not shapes:
        return job
    (lookup, columns), count = shapes.most_common(1)[0]
    return replace(job, lookup=lookup, columns=columns, rows=count)


def _shape(row: DeliveryRow, key_field: str, *, creates: bool) -> tuple[str, tuple[str, ...]] | None:
    """How a row would be found and which fields it fills; None for one that cannot go in a file."""
    fields = {name: value for name, value in row.fields.items() if name != key_field}
    # The text NULL clears a field, by what others report; and who gets another address is looked at first.
    moves = key_field != "email" and "email" in fields
    if moves or any(text_value(value).strip().lower() in ("", "null") for value in fields.values()):
        return None
    if not (creates or row.external_id):
        return None
    return "id" if row.external_id else key_field, tuple(sorted(fields))


class Imports:
    """The imports of an instance.

    Args:
        http: The engine's HTTP for the instance.
        partition_name: Lead partition that people are created in.
    """

    def __init__(self, http: Http, partition_name: str | None) -> None:
        self._http = http
        self._partition = partition_name
        # Marketo takes one import at a time into a list.
        self._turns: dict[str | None, threading.Lock] = defaultdict(threading.Lock)
        self._latest: dict[str, str] = {}

    def submit(self, job: Import, rows: Sequence[DeliveryRow], typed: Typed) -> str:
        """Hand over the rows of a job's file, and give Marketo's id of the import.

        Raises:
            UnavailableError: There is no room for the file.
            UnknownOutcomeError: There was no answer, and Marketo has no way to look for the import.
        """
        query = {"format": "csv", "lookupField": str(job.lookup)}
        if job.list_id:
            query["listId"] = job.list_id
        if self._partition and job.lookup != "id":
            query["partitionName"] = self._partition
        file = Upload(content=_file(job, rows, typed), media_type="text/csv", part="file", file_name="leads.csv")
        if job.list_id is None:
            return self._hand_over(file, query)
        with self._turns[job.list_id]:
            self._await_earlier(job.list_id)
            batch = self._hand_over(file, query)
            self._latest[job.list_id] = batch
            return batch

    def status(self, batch: str) -> Mapping[str, Any]:
        """How far an import is.

        Raises:
            RefusedError: Marketo no longer knows it.
        """
        found: Mapping[str, Any] = self._http.get(f"/bulk/v1/leads/batch/{batch}.json")["result"][0]
        return found

    def reasons(self, batch: str, kind: Literal["failures", "warnings"], lookup: str) -> dict[str, str]:
        """Why rows failed or were warned of, by the value that their leads were to be found by."""
        content = self._http.read(f"/bulk/v1/leads/batch/{batch}/{kind}.json")
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        header = next(lines, [])
        if lookup not in header:
            return {}
        at = header.index(lookup)
        return {key_of(line[at]): line[-1] for line in lines if len(line) > at}

    def _hand_over(self, file: Upload, query: Mapping[str, str]) -> str:
        for _ in range(_TRIES):
            try:
                answer = self._http.post("/bulk/v1/leads.json", file, params=query, replay=False)
            except RefusedError as error:
                if code_of(error) not in _FULL:
                    raise
                sleep_unless_stopped(_WAIT)
            else:
                return str(answer["result"][0]["batchId"])
        raise UnavailableError("Marketo has no room for another import, or one into this list is under way.")

    def _await_earlier(self, list_id: str) -> None:
        earlier = self._latest.get(list_id)
        while earlier is not None and not has_ended(self.status(earlier)):
            sleep_unless_stopped(_LOOK)


def has_ended(status: Mapping[str, Any]) -> bool:
    """Whether an import is done, or failed as a whole."""
    return status.get("status") in (_DONE, _FAILED)


def has_failed(status: Mapping[str, Any]) -> bool:
    """Whether an import failed as a whole: nothing is told of its rows."""
    return status.get("status") == _FAILED


def key_of(value: str) -> str:
    """A value that leads are found by, as it is the same in our file and in Marketo's."""
    return value.strip().casefold()


def value_in_file(job: Import, row: DeliveryRow) -> str:
    """By what a row's lead is found."""
    return str(row.external_id) if job.lookup == "id" else row.match_value


def _file(job: Import, rows: Sequence[DeliveryRow], typed: Typed) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([job.lookup, *job.columns])
    for row in rows:
        values = typed(row.fields)
        lines.writerow([value_in_file(job, row), *(text_value(values[name]) for name in job.columns)])
    return text.getvalue().encode()
