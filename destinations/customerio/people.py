"""People of the workspace: written in batches by the Track API, looked up by the App API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.customerio.answers import outcomes_of, refused_alone
from millstream.destinations.http import Http
from millstream.destinations.rows import moment_of, unix_seconds
from millstream.state.errors import RefusedError

LOOK_UP_SIZE = 100
"""People in one look-up: the vendor names no limit, and this is how many its other look-ups take."""

_BATCH = "/api/v2/batch"
_SEARCH = "/v1/customers"


class People:
    """The people of one workspace.

    Args:
        track: HTTP for the Track API.
        app: HTTP for the App API.
    """

    def __init__(self, track: Http, app: Http) -> None:
        self._track = track
        self._app = app

    def identify(self, rows: Sequence[DeliveryRow], match_key: str, *, creates: bool) -> dict[str, Outcome]:
        """Create people or change them; without ``creates`` whoever is not there stays so."""
        extra = {} if creates else {"_update": True}
        return self._send(
            rows,
            [
                {**_person(row, match_key, "identify"), "attributes": _attributes(row, match_key) | extra}
                for row in rows
            ],
        )

    def act(self, action: str, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, Outcome]:
        """Do to people what needs no attributes: ``delete`` or ``suppress``."""
        return self._send(rows, [_person(row, match_key, action) for row in rows])

    def there(self, rows: Sequence[DeliveryRow], match_key: str) -> set[str]:
        """Keys of the rows whose people the workspace has."""
        found: set[str] = set()
        for start in range(0, len(rows), LOOK_UP_SIZE):
            chunk = rows[start : start + LOOK_UP_SIZE]
            known = {identifier_of(row, match_key): row.key for row in chunk}
            conditions = [{"attribute": {"field": match_key, "operator": "eq", "value": value}} for value in known]
            answer = self._app.post(_SEARCH, {"filter": {"or": conditions}}, params={"limit": 1000})
            names = (_name_of(person, match_key) for person in answer.get("identifiers") or ())
            found |= {known[name] for name in names if name in known}
        return found

    def _send(self, rows: Sequence[DeliveryRow], batch: Sequence[Mapping[str, object]]) -> dict[str, Outcome]:
        if not rows:
            return {}
        try:
            return outcomes_of(self._track.post(_BATCH, {"batch": batch}), rows)
        except RefusedError as error:
            if len(rows) > 1:
                raise
            return {rows[0].key: refused_alone(error, rows[0])}


def identifier_of(row: DeliveryRow, match_key: str) -> str:
    """A row's match value as Customer.io has it: addresses are the same in upper and lower case, ids are not."""
    value = row.match_value.strip()
    return value.lower() if match_key == "email" else value


def _name_of(person: Mapping[str, Any], match_key: str) -> str:
    name = str(person.get(match_key) or "")
    return name.lower() if match_key == "email" else name


def _person(row: DeliveryRow, match_key: str, action: str) -> dict[str, object]:
    return {"type": "person", "identifiers": {match_key: identifier_of(row, match_key)}, "action": action}


def _attributes(row: DeliveryRow, match_key: str) -> dict[str, FieldValue]:
    """The fields of a row; by whom a person is found is no attribute, and never emptied."""
    return {name: _value(name, value) for name, value in row.fields.items() if name != match_key}


def _value(name: str, value: FieldValue) -> FieldValue:
    """A value as Customer.io takes it: moments are seconds since 1970, and an empty text takes an attribute away."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    if name == "created_at":
        # A moment of a source's own is as it is where it is none, for Customer.io to say what it thinks.
        seconds = unix_seconds(value)
        return value if seconds is None else seconds
    moment = moment_of(value)
    return int(moment.timestamp()) if moment else value
