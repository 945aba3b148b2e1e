"""Finding contacts, many with one search.

A new contact may be missing from searches for some minutes: whoever is not found may be there all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.http import Http
from millstream.state.vendors.intercom import LARGEST_PAGE, MOST_FILTERS

_SEARCH = "/contacts/search"
_OPT_OUTS = {
    "unsubscribed_from_emails": "unsubscribed",
    "marked_email_as_spam": "marked_as_spam",
    "has_hard_bounced": "bounced",
}


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A contact, as far as it matters whom a row means.

    Attributes:
        id: Intercom's id.
        external_id: The workspace's own id; users may have one.
        email: Address, in lower case.
        is_user: Whether it is a user; a lead else.
        opt_out: Why it may not get mail; None: it may.
        created_at: When it was made, in seconds since 1970.
    """

    id: str
    external_id: str | None
    email: str | None
    is_user: bool
    opt_out: str | None
    created_at: int


@dataclass(frozen=True)
class Found:
    """Contacts that a look-up found.

    Attributes:
        match_key: The field by which rows mean them.
        by_external_id: Those with an id of the workspace's own.
        by_email: Those with an address, which several may have.
    """

    match_key: str
    by_external_id: dict[str, Contact] = field(default_factory=dict)
    by_email: dict[str, list[Contact]] = field(default_factory=dict)

    def take(self, contact: Contact) -> None:
        """Keep one."""
        if contact.external_id:
            self.by_external_id[contact.external_id] = contact
        if contact.email:
            self.by_email.setdefault(contact.email, []).append(contact)

    def all_of(self, row: DeliveryRow) -> list[Contact]:
        """The contacts that a row means, the likeliest first.

        Several may have one address: users come before leads, and whoever was there first before others.
        """
        value = value_of(row, self.match_key)
        if self.match_key == "external_id":
            return [self.by_external_id[value]] if value in self.by_external_id else []
        return sorted(self.by_email.get(value, ()), key=lambda one: (not one.is_user, one.created_at, one.id))

    def opt_out_of_another(self, row: DeliveryRow, own: str | None) -> str | None:
        """Why the address that a row brings may get no mail, where another contact says so than the row's own."""
        email = _address(row.fields.get("email"))
        having = self.by_email.get(email, []) if email else []
        if any(one.id == own for one in having):
            return None
        return next((one.opt_out for one in having if one.opt_out), None)


class Directory:
    """Looks contacts up.

    Args:
        http: HTTP for the workspace.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def of(self, rows: Sequence[DeliveryRow], match_key: str, *, addresses: bool = False) -> Found:
        """Contacts of those rows that come without an id; with ``addresses`` also whoever has their new address."""
        wanted = dict.fromkeys((match_key, value_of(row, match_key)) for row in rows if row.external_id is None)
        if addresses and match_key != "email":
            emails = (_address(row.fields.get("email")) for row in rows)
            wanted |= dict.fromkeys(("email", email) for email in emails if email)
        filters = [{"field": name, "operator": "=", "value": value} for name, value in wanted]
        found = Found(match_key)
        for start in range(0, len(filters), MOST_FILTERS):
            for told in self.search({"operator": "OR", "value": filters[start : start + MOST_FILTERS]}):
                found.take(told)
        return found

    def search(self, query: Mapping[str, Any]) -> Iterator[Contact]:
        """All contacts that a query finds."""
        pagination: dict[str, Any] = {"per_page": LARGEST_PAGE}
        while True:
            page = self._http.query(_SEARCH, {"query": query, "pagination": pagination})
            yield from map(_contact, page["data"])
            after = ((page.get("pages") or {}).get("next") or {}).get("starting_after")
            if not after or after == pagination.get("starting_after"):
                return
            pagination = {"per_page": LARGEST_PAGE, "starting_after": after}


def value_of(row: DeliveryRow, match_key: str) -> str:
    """A row's match value as Intercom has it: addresses are in lower case, ids are as they are."""
    value = row.match_value.strip()
    return value.lower() if match_key == "email" else value


def _address(value: object) -> str | None:
    return str(value).strip().lower() or None if value is not None else None


def _contact(told: Mapping[str, Any]) -> Contact:
    return Contact(
        id=str(told["id"]),
        external_id=str(told["external_id"]) if told.get("external_id") else None,
        email=_address(told.get("email")),
        is_user=told.get("role") == "user",
        opt_out=next((code for name, code in _OPT_OUTS.items() if told.get(name)), None),
        created_at=int(told.get("created_at") or 0),
    )
