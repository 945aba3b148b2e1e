"""Who asked: events of tickets name the ticket and who changed it, mostly staff, but not the person it is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from millstream.sources.contract import Endpoint
from millstream.sources.pull import records_at

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

MOST_REMEMBERED = 200_000
_TICKETS_A_REQUEST = 100
_MANY = Endpoint(path="api/v2/tickets/show_many.json", records="tickets")


class Requesters:
    """Requesters by ticket: of the tickets just read, of those stored before, else of those the vendor is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, pull: Pull, tickets: Iterable[Mapping[str, Any]]) -> None:
        """Remember who asked in these tickets; of very many, the latest, since the others are stored by then."""
        self._remember((str(one.get("id")), one.get("requester_id")) for one in tickets)
        if pull.stored is not None:
            while len(self._known) > MOST_REMEMBERED:
                del self._known[next(iter(self._known))]

    def find(self, pull: Pull, ticket_ids: Collection[str]) -> Mapping[str, str]:
        """The requesters of tickets; those of scrubbed tickets are missing."""
        unknown = sorted({one for one in ticket_ids if one not in self._known})
        found = {one: self._known[one] for one in ticket_ids if one in self._known}
        found |= _given(_stored(pull, unknown))
        unknown = [one for one in unknown if one not in found]
        return found | _given(_asked(pull, unknown))

    def _remember(self, pairs: Iterable[tuple[str, Any]]) -> None:
        for ticket, requester in pairs:
            self._known.pop(ticket, None)
            if requester is not None:
                self._known[ticket] = str(requester)


def _given(pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    return {str(ticket): str(requester) for ticket, requester in pairs if requester is not None}


def _stored(pull: Pull, ticket_ids: list[str]) -> Iterator[tuple[Any, Any]]:
    if pull.stored is None or not ticket_ids:
        return
    for table in pull.stored.rows_of_keys("tickets", pa.table({"id": ticket_ids})):
        yield from zip(table["id"].to_pylist(), table["requester_id"].to_pylist(), strict=True)


def _asked(pull: Pull, ticket_ids: list[str]) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(ticket_ids), _TICKETS_A_REQUEST):
        ids = ",".join(ticket_ids[start : start + _TICKETS_A_REQUEST])
        for ticket in records_at(pull.get(_MANY.path, {"ids": ids}), _MANY):
            yield ticket.get("id"), ticket.get("requester_id")
