"""The lists of records: what changed since a moment, in the order of its change, and what was deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from requests import Request

from millstream.sources.contract import Endpoint
from millstream.sources.pull import records_at
from millstream.sources.zoho_crm.modules import MODIFIED, Module
from millstream.state.errors import IncompleteError, SchemaError
from millstream.state.http import VendorSession

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

ROWS_A_PAGE = 200
FIELDS_A_REQUEST = 50
IDS_A_REQUEST = 100
ROWS_BY_NUMBER = 2_000
"""So far pages may be asked for by number; beyond it only the token leads on."""

_EMPTY = (204, 304)
_SECOND = timedelta(seconds=1)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """A page of changed records, and the moment up to which all have come; None: nobody can say yet."""

    records: list[Record]
    reached: datetime | None


def ask(pull: Pull, path: str, params: Mapping[str, Any], since: datetime | None = None) -> Any:
    """The parsed answer of a GET, or None where there is nothing, or nothing new since a moment."""
    session = pull.client.session
    assert isinstance(session, VendorSession)
    headers = {"If-Modified-Since": since.astimezone(UTC).isoformat(timespec="seconds")} if since else {}
    url = f"{pull.client.base_url.rstrip('/')}/{path}"
    prepared = session.prepare_request(Request("GET", url, params=dict(params), headers=headers))
    answer = session.deliver(prepared, replay=True)
    return None if answer.status_code in _EMPTY else answer.json()


def changed(
    pull: Pull, module: Module, names: Sequence[str], since: datetime | None, *, converted: str | None = None
) -> Iterator[Changes]:
    """Pages of records changed since a moment, the one that changed first before the others.

    Each page is asked for by the time in which the last one ended, not by its number: whoever changes a record
    meanwhile moves it to the end, and all after it up. Only within one second the numbers and tokens lead on.

    Raises:
        IncompleteError: There is more, and the vendor does not say where.
    """
    first, *others = _groups(names)
    params: dict[str, Any] = {"fields": ",".join(first), "per_page": ROWS_A_PAGE}
    params |= {"sort_by": MODIFIED, "sort_order": "asc"} | ({"converted": converted} if converted else {})
    place: Mapping[str, Any] = {}
    used: set[str] = set()
    in_order, highest = True, since
    while True:
        body = ask(pull, module.path, {**params, **place}, since)
        if body is None:
            return
        records = _completed(pull, module, records_at(body, Endpoint(path=module.path, records="data")), others)
        moments = [modified(record) for record in records]
        in_order = in_order and moments == sorted(moments)
        highest = max([*moments, highest] if highest else moments, default=None)
        more = says_more(body.get("info"), module.path)
        yield Changes(records, highest if in_order or not more else None)
        if not more:
            return
        onward = moments[-1] - _SECOND if moments and in_order else None
        if onward and (since is None or onward > since):
            since, place = onward, {}
        else:
            place = _next_place(body["info"], place, used, module.path)


def deleted(pull: Pull, module: Module, since: datetime | None) -> Iterator[list[Record]]:
    """Pages of the deleted records, those that are gone for good too, of which nothing but the id is left."""
    path = f"{module.path}/deleted"
    number = 0
    while True:
        number += 1
        body = ask(pull, path, {"type": "all", "per_page": ROWS_A_PAGE, "page": number}, since)
        if body is None:
            return
        yield records_at(body, Endpoint(path=path, records="data"))
        if not says_more(body.get("info"), path):
            return


def existing_fields(pull: Pull, module: str) -> frozenset[str]:
    """API names of the fields that a module has in this account."""
    path = "crm/v8/settings/fields"
    body = ask(pull, path, {"module": module})
    return frozenset(str(one.get("api_name")) for one in records_at(body, Endpoint(path=path, records="fields")))


def count(pull: Pull, module: Module) -> int:
    """How many records a module has."""
    body = ask(pull, f"{module.path}/actions/count", {})
    return int(body.get("count") or 0) if isinstance(body, dict) else 0


def modified(record: Record) -> datetime:
    """When a record changed.

    Raises:
        SchemaError: It does not say so.
    """
    return _moment(record, MODIFIED)


def deleted_at(record: Record) -> datetime:
    """When a record was deleted.

    Raises:
        SchemaError: It does not say so.
    """
    return _moment(record, "deleted_time")


def says_more(info: Any, path: str) -> bool:
    """Whether there are more pages.

    Raises:
        SchemaError: The answer does not say so.
    """
    more = info.get("more_records") if isinstance(info, dict) else None
    if not isinstance(more, bool):
        raise SchemaError(
            f"The answer of {path} does not say whether there are more_records.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        )
    return more


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Names in groups that fit a request; the first has the time of change."""
    rest = [name for name in names if name != MODIFIED]
    size = FIELDS_A_REQUEST - 1
    groups = [rest[start : start + size] for start in range(0, len(rest), size)] or [[]]
    groups[0] = [MODIFIED, *groups[0]]
    return groups


def _completed(pull: Pull, module: Module, records: list[Record], groups: Sequence[Sequence[str]]) -> list[Record]:
    """Records with the fields that did not fit into their list's request."""
    whole = {str(record.get("id")): dict(record) for record in records}
    ids = list(whole)
    for group in groups:
        for start in range(0, len(ids), IDS_A_REQUEST):
            some = ids[start : start + IDS_A_REQUEST]
            params: dict[str, Any] = {"fields": ",".join(group), "ids": ",".join(some), "per_page": ROWS_A_PAGE}
            if module.hides_converted:
                params["converted"] = "both"
            body = ask(pull, module.path, params)
            for found in records_at(body, Endpoint(path=module.path, records="data")) if body else ():
                whole[str(found.get("id"))] |= found
    return list(whole.values()) if groups else records


def _next_place(info: Mapping[str, Any], place: Mapping[str, Any], used: set[str], path: str) -> Mapping[str, Any]:
    token = info.get("next_page_token")
    if token and token not in used:
        used.add(token)
        return {"page_token": token}
    number = int(place.get("page", 1)) + 1
    if token or "page_token" in place or number * ROWS_A_PAGE > ROWS_BY_NUMBER:
        raise IncompleteError(
            f"Zoho says that there is more at {path} and not where.", remedy="run again; what was read so far is kept."
        )
    return {"page": number}


def _moment(record: Record, name: str) -> datetime:
    try:
        return datetime.fromisoformat(str(record.get(name)))
    except ValueError as error:
        raise SchemaError(
            f"A record has no readable {name!r}.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        ) from error
