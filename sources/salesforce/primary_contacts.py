"""Whose an opportunity is: the primary contact of its contact roles, which are records of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from millstream.sources.contract import Page, Row
from millstream.sources.salesforce.activity import CONTACT_ROLES, shape_opportunity
from millstream.sources.salesforce.objects import SObject, is_true
from millstream.sources.salesforce.query import Query, by_ids, paged
from millstream.sources.salesforce.reading import query_for, read_records
from millstream.sources.salesforce.sweep import vanished
from millstream.state.errors import IncompleteError, PermissionDeniedError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.org import Org

MOST_REMEMBERED = 500_000


class PrimaryContacts:
    """Contact roles by opportunity: of the roles just read, else of those stored before.

    Attributes:
        standing: How the stream of the roles does in this pull: `unread`, `reading`, `read` or `broken_off`.
    """

    def __init__(self) -> None:
        self.standing = "unread"
        self._roles: dict[str, dict[str, tuple[str, bool]]] = {}
        self._since: datetime | None = None
        self._changed: set[str] = set()

    def following(self, pull: Pull, pages: Iterable[Page]) -> Iterator[Page]:
        """The pages of the stream of the roles, which are remembered on their way."""
        self.standing = "reading"
        try:
            for page in pages:
                self.learn(pull, page)
                self._since = pull.since
                if pull.since is not None:
                    self._changed.update(_opportunities(page))
                yield page
            self.standing = "read"
        finally:
            if self.standing == "reading":
                self.standing = "broken_off"

    def learn(self, pull: Pull, rows: Iterable[Row]) -> None:
        """Remember roles; of very many the latest, since the others are stored by then."""
        for row in rows:
            self._roles.setdefault(str(row.get("opportunity_id")), {})[str(row["id"])] = _standing(row)
        if pull.stored is not None:
            while len(self._roles) > MOST_REMEMBERED:
                del self._roles[next(iter(self._roles))]

    def changed(self, since: datetime) -> set[str] | None:
        """Opportunities with a role that changed since then, if the stream of the roles has read that far back."""
        known = self.standing == "read" and self._since is not None and self._since <= since
        return self._changed if known else None

    def find(self, pull: Pull, opportunities: Collection[str]) -> Mapping[str, str]:
        """The primary contact of each opportunity that has one; of several, the one of the oldest role."""
        roles: dict[str, dict[str, tuple[str, bool]]] = {one: {} for one in opportunities}
        for row in _stored(pull, sorted(roles)):
            roles[str(row["opportunity_id"])][str(row["id"])] = _standing(row)
        for one in roles:
            roles[one] |= self._roles.get(one, {})
        return {one: contact for one, known in roles.items() if (contact := _primary(known))}


def _opportunities(rows: Iterable[Row]) -> set[str]:
    return {str(row["opportunity_id"]) for row in rows if row.get("opportunity_id")}


def _standing(row: Mapping[str, Any]) -> tuple[str, bool]:
    """A role's contact, and whether it is the primary one."""
    gone = is_true(row.get("deleted")) or row.get("contact_id") is None
    return ("", False) if gone else (str(row["contact_id"]), is_true(row.get("is_primary")))


def _primary(roles: Mapping[str, tuple[str, bool]]) -> str | None:
    return next((contact for _, (contact, primary) in sorted(roles.items()) if primary and contact), None)


def _stored(pull: Pull, opportunities: list[str]) -> Iterator[Mapping[str, Any]]:
    if pull.stored is None or not opportunities:
        return
    for table in pull.stored.rows_of_keys("opportunity_contact_roles", pa.table({"opportunity_id": opportunities})):
        yield from table.to_pylist()


def read_opportunities(pull: Pull, org: Org, known: SObject, contacts: PrimaryContacts) -> Iterator[Page]:
    """Pages of opportunities as rows: those that changed, and those whose contact roles did.

    Raises:
        IncompleteError: The roles could not be read before the first opportunities.
    """
    query = query_for(pull, org, known)
    asked, seen = frozenset(query.fields), set[str]()

    def shaped(page: Sequence[Mapping[str, Any]]) -> Page:
        rows = [known.row(record, asked) for record in page]
        found = contacts.find(pull, {str(row.get("id")) for row in rows})
        return [shape_opportunity(row, found.get(str(row.get("id"))), org.settings) for row in rows]

    begun = org.begun.pop(known.api_name, None)
    if begun is not None and query.since is None:
        pull.state["job"] = begun  # kept while waiting, so that whoever kills the pull does not lose it
    yield from _until_the_roles_are_read(pull, contacts, is_first=query.since is None)
    changed = _changed_roles(pull, org, contacts, query)
    for page in read_records(pull, org, query):
        seen.update(str(record.get("Id")) for record in page)
        yield shaped(page)
    for page in by_ids(pull, org, query, sorted(changed - seen)):
        yield shaped(page)
    for table in vanished(pull, org, query.described, mark="deleted"):
        rows = [known.gone(row, pull.pulled_at) for row in table.to_pylist()]
        yield [shape_opportunity(row, row.get("contact_id"), org.settings) for row in rows]


def _until_the_roles_are_read(pull: Pull, contacts: PrimaryContacts, *, is_first: bool) -> Iterator[Page]:
    """Wishes to load what was read, as long as the roles are still being read in parts."""
    while pull.stored is not None and contacts.standing == "reading":
        yield pull.until_loaded()
    if is_first and contacts.standing == "broken_off":
        raise IncompleteError(
            "The contact roles were not read to their end, so opportunities would stand there without their contacts.",
            remedy="see what became of the stream opportunity_contact_roles and run again; or leave it out of "
            "`streams`, and opportunities name nobody.",
        )


def _changed_roles(pull: Pull, org: Org, contacts: PrimaryContacts, query: Query) -> set[str]:
    """Opportunities whose contacts changed since they were last read, whatever the place of the roles' stream."""
    if query.since is None or pull.is_backfill:
        return set()
    known = contacts.changed(query.since)
    if known is not None:
        return known
    roles = CONTACT_ROLES
    try:
        asked = query_for(pull, org, roles)
    except PermissionDeniedError:
        return set()
    changed: set[str] = set()
    for page in paged(pull, org, replace(asked, since=query.since), at_most=None):
        rows = [roles.row(record, frozenset(asked.fields)) for record in page]
        contacts.learn(pull, rows)
        changed |= _opportunities(rows)
    return changed
