"""People as records of one object: found, upserted, changed and deleted, up to 200 in a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.http import Http
from millstream.destinations.salesforce.answers import (
    Result,
    is_gone,
    missing_fields_of,
    outcome_of,
    results_of,
)
from millstream.destinations.salesforce.fields import JsonValue, SObjectField, SObjectFields
from millstream.destinations.salesforce.settings import SalesforceSettings
from millstream.destinations.salesforce.soql import Record, lists_of, records, text_literal

MOST_RECORDS = 200
"""Records in one request of a collection."""

Values = Mapping[str, JsonValue]
_NAMES = frozenset({"LastName", "Company"})
"""Fields without which Salesforce makes nobody, and for which the settings' placeholder may stand."""


class Records:
    """The people of an organization.

    Args:
        http: The engine's HTTP for the organization.
        root: Path of the API.
        settings: Say what people are, and by which field they are found.
        fields: The fields of their object.
    """

    def __init__(self, http: Http, root: str, settings: SalesforceSettings, fields: SObjectFields) -> None:
        self.http = http
        self.root = root
        self.fields = fields
        self.api_name = fields.api_name
        self._settings = settings
        self._collections = f"{root}/composite/sobjects"

    @cached_property
    def external_id(self) -> SObjectField:
        """The field that people are found by."""
        return self.fields.external_id(self._settings.external_id_field)

    def key(self, row: DeliveryRow) -> str:
        """What two rows of one person share."""
        return self.external_id.key(row.match_value)

    def latest(self, rows: Iterable[DeliveryRow]) -> dict[str, DeliveryRow]:
        """The last row of each person, by key: who comes twice in a request is refused both times."""
        return {self.key(row): row for row in rows}

    def in_order(self, rows: Iterable[DeliveryRow], outcomes: Mapping[str, Outcome]) -> list[Outcome]:
        """One outcome for each row, by key."""
        return [outcomes[self.key(row)] for row in rows]

    def values(self, row: DeliveryRow) -> dict[str, JsonValue] | Outcome:
        """A row's fields as Salesforce takes them, or the outcome of one that does not fit.

        Raises:
            ConfigurationError: A field is not there, or not to be written.
        """
        made: dict[str, JsonValue] = {}
        for name, value in row.fields.items():
            field = self.fields.writable(name)
            try:
                made[field.name] = field.json_value(value)
            except ValueError:
                return rejected("invalid_value", f"{field.name} is a field of type {field.type}; the value is none.")
            if made[field.name] is None and field.name in _NAMES:
                made[field.name] = self._settings.placeholder
        return made

    def all_values(self, rows: Iterable[DeliveryRow]) -> tuple[dict[str, Values], dict[str, Outcome]]:
        """Values of many rows by key, and the outcomes of those that do not fit."""
        fitting: dict[str, Values] = {}
        misfits: dict[str, Outcome] = {}
        for key, row in self.latest(rows).items():
            values = self.values(row)
            if isinstance(values, Outcome):
                misfits[key] = values
            else:
                fitting[key] = values
        return fitting, misfits

    def lacks_name(self, row: DeliveryRow, result: Result) -> bool:
        """Whether somebody is new and lacks nothing but a name, and something may stand for it."""
        missing = missing_fields_of(result)
        may_stand = self._settings.placeholder is not None and row.external_id is None
        return may_stand and bool(missing) and missing <= _NAMES

    def outcome(self, row: DeliveryRow, result: Result) -> Outcome:
        """What the result of an upsert means.

        Who was there has a name. If it is missing now, the record was deleted, and what changed is not enough to make
        it again.
        """
        if row.external_id and missing_fields_of(result) & (_NAMES - set(row.fields)):
            return rejected(
                "record_missing", "The record was deleted, and the fields that changed do not make a new one."
            )
        return outcome_of(result, row.match_value)

    def upsert(self, rows: Iterable[DeliveryRow], *, also: Mapping[str, Values] | None = None) -> dict[str, Outcome]:
        """Create or change people by their external id.

        Args:
            rows: At most ``MOST_RECORDS``.
            also: Values by key that are written with the rows' own.
        """
        latest = self.latest(rows)
        fitting, outcomes = self.all_values(latest.values())
        bodies = {key: {**values, **(also or {}).get(key, {})} for key, values in fitting.items()}
        results = self._upsert(latest, bodies)
        nameless = {key: result for key, result in results.items() if self.lacks_name(latest[key], result)}
        results |= self._upsert(latest, self._with_placeholders(bodies, nameless))
        return outcomes | {key: self.outcome(latest[key], result) for key, result in results.items()}

    def change(
        self, rows: Iterable[DeliveryRow], bodies: Mapping[str, Values], *, ids: Mapping[str, str] | None = None
    ) -> dict[str, Outcome]:
        """Write values into records that are there; nobody is created.

        A record that is known by its id may have been merged into another or deleted: it is looked up once more by its
        external id.

        Args:
            rows: Whose records.
            bodies: Values by key; who has none is left alone.
            ids: Record ids by key, where they were looked up already.
        """
        latest = {key: row for key, row in self.latest(rows).items() if key in bodies}
        outcomes: dict[str, Outcome] = {}
        if ids is None:
            ids, outcomes = self.ids_of(list(latest.values()))
        ids = {key: ids[key] for key in latest if key in ids}
        results = self._update(ids, bodies)
        stale = [latest[key] for key, result in results.items() if latest[key].external_id and is_gone(result)]
        if stale:
            ids, missing = self.looked_up(stale)
            results = {key: result for key, result in results.items() if key not in missing}
            results |= self._update(ids, bodies)
            outcomes |= missing
        return outcomes | {key: outcome_of(result, latest[key].match_value) for key, result in results.items()}

    def delete(self, rows: Iterable[DeliveryRow]) -> dict[str, Outcome]:
        """Delete people: the record that is known, and all that have the external id."""
        latest = self.latest(rows)
        ids: dict[str, str] = {row.external_id: key for key, row in latest.items() if row.external_id}
        for record in self.find(list(latest.values())):
            ids[str(record["Id"])] = self.external_id.key(record[self.external_id.name])
        outcomes = {key: accepted(row.external_id) for key, row in latest.items()}
        for record_id, result in self.delete_ids(list(ids)).items():
            if not (result.get("success") or is_gone(result)):
                outcomes[ids[record_id]] = outcome_of(result, latest[ids[record_id]].match_value)
        return outcomes

    def delete_ids(self, ids: Sequence[str]) -> dict[str, Result]:
        """Delete records of any object, and give what became of each."""
        results: dict[str, Result] = {}
        for some in in_pieces(ids, MOST_RECORDS):
            query = {"ids": ",".join(some), "allOrNone": "false"}
            answer = self.http.request("DELETE", self._collections, params=query)
            results |= dict(zip(some, results_of(answer, len(some)), strict=True))
        return results

    def insert(self, bodies: Sequence[Mapping[str, object]], api_name: str) -> Sequence[Result]:
        """Make records of an object, one result for each."""
        return self._send("POST", self._collections, bodies, api_name) if bodies else ()

    def ids_of(self, rows: Sequence[DeliveryRow]) -> tuple[dict[str, str], dict[str, Outcome]]:
        """Record ids by key, looked up where they are not known; and the outcomes of those who are not there."""
        latest = self.latest(rows)
        known = {key: row.external_id for key, row in latest.items() if row.external_id}
        found, missing = self.looked_up([row for row in latest.values() if not row.external_id])
        return known | found, missing

    def looked_up(self, rows: Sequence[DeliveryRow]) -> tuple[dict[str, str], dict[str, Outcome]]:
        """The same, of people whose record is not known."""
        ids: dict[str, list[str]] = {}
        for record in self.find(rows):
            ids.setdefault(self.external_id.key(record[self.external_id.name]), []).append(str(record["Id"]))
        outcomes: dict[str, Outcome] = {}
        for key in map(self.key, rows):
            if key not in ids:
                outcomes[key] = rejected("not_found", f"Salesforce has no {self.api_name} with this external id.")
            elif len(ids[key]) > 1:
                outcomes[key] = rejected("several_found", f"{len(ids[key])} records have this external id.")
        return {key: found[0] for key, found in ids.items() if key not in outcomes}, outcomes

    def find(self, rows: Iterable[DeliveryRow], *more: str) -> Iterator[Record]:
        """Records with the rows' external ids: ``Id``, that field, and more."""
        literals = []
        for row in rows:
            try:
                literals.append(self.external_id.literal(row.match_value))
            except ValueError:
                continue  # no number, so nobody has it
        yield from self._select(self.external_id.name, literals, more)

    def find_ids(self, ids: Iterable[str], *more: str) -> Iterator[Record]:
        """Records with these ids, as far as they are there."""
        yield from self._select("Id", [text_literal(one) for one in ids], more)

    def where(self, condition: str) -> Iterator[Record]:
        """``Id`` and external id of all records for which a condition holds."""
        yield from records(
            self.http, self.root, f"SELECT Id, {self.external_id.name} FROM {self.api_name} WHERE {condition}"
        )

    def _select(self, by: str, literals: Sequence[str], more: Sequence[str]) -> Iterator[Record]:
        columns = ", ".join(("Id", self.external_id.name, *more))
        for one in lists_of(literals):
            yield from records(self.http, self.root, f"SELECT {columns} FROM {self.api_name} WHERE {by} IN {one}")

    def _upsert(self, latest: Mapping[str, DeliveryRow], bodies: Mapping[str, Values]) -> dict[str, Result]:
        if not bodies:
            return {}
        name = self.external_id.name
        sent = [{name: self._match_value(latest[key]), **values} for key, values in bodies.items()]
        results = self._send("PATCH", f"{self._collections}/{self.api_name}/{name}", sent, self.api_name)
        return dict(zip(bodies, results, strict=True))

    def _update(self, ids: Mapping[str, str], bodies: Mapping[str, Values]) -> dict[str, Result]:
        """Results by key; where two people have become one record, the last one's values are sent."""
        if not ids:
            return {}
        sent = {record_id: {"id": record_id, **bodies[key]} for key, record_id in ids.items()}
        results = self._send("PATCH", self._collections, list(sent.values()), self.api_name)
        of_id = dict(zip(sent, results, strict=True))
        return {key: of_id[record_id] for key, record_id in ids.items()}

    def _send(self, method: str, path: str, bodies: Sequence[Mapping[str, object]], api_name: str) -> Sequence[Result]:
        body = {"allOrNone": False, "records": [{"attributes": {"type": api_name}, **one} for one in bodies]}
        answer = self.http.request(method, path, body=body, headers=self._headers)
        return results_of(answer, len(bodies))

    def _with_placeholders(
        self, bodies: Mapping[str, Values], nameless: Mapping[str, Result]
    ) -> dict[str, dict[str, JsonValue]]:
        """People who lack a name, with what stands for one."""
        return {
            key: {**bodies[key], **dict.fromkeys(missing_fields_of(result), self._settings.placeholder)}
            for key, result in nameless.items()
        }

    def _match_value(self, row: DeliveryRow) -> JsonValue:
        try:
            return self.external_id.json_value(row.match_value.strip())
        except ValueError:
            return row.match_value

    @cached_property
    def _headers(self) -> dict[str, str]:
        headers = {} if self._settings.assignment_rules else {"Sforce-Auto-Assign": "FALSE"}
        if self._settings.allow_duplicates:
            headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        return headers


def in_pieces(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The values, at most so many at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
