"""Who was invited: e-mail addresses of recipients, for responses that carry only a recipient's id."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.surveymonkey.paging import listing
from millstream.state.errors import NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.surveymonkey.places import Budget

log = logging.getLogger(__name__)

RECIPIENTS_A_REQUEST = 100
NOBODY = ("", "0", "None")
"""What ``recipient_id`` holds where there was no invitation."""


class Recipients:
    """Addresses by collector and recipient.

    They are remembered for the time of a pull only: dlt's state is no place for addresses of people, which an
    erasure would not find there. A response is read once, so that little is asked twice.
    """

    def __init__(self) -> None:
        self._emails: dict[tuple[str, str], str | None] = {}
        self._listed: set[str] = set()
        self._denied = False

    def find(self, pull: Pull, budget: Budget, wanted: Iterable[tuple[str, str]]) -> None:
        """Look up recipients, given as (collector, recipient), that are not known yet.

        Several of one collector are looked up in its list, as long as that takes fewer requests than one each.
        """
        by_collector: dict[str, list[str]] = {}
        for collector, recipient in wanted:
            if (collector, recipient) not in self._emails:
                by_collector.setdefault(collector, []).append(recipient)
        for collector, recipients in by_collector.items():
            if self._denied:
                return
            try:
                self._find_in(pull, budget, collector, recipients)
            except PermissionDeniedError as error:
                self._denied = True
                log.warning("surveymonkey: responses by invitation stay without an e-mail: %s", error)

    def email(self, collector: str, recipient: str) -> str | None:
        """The recipient's address, if it was found."""
        return self._emails.get((collector, recipient))

    def _find_in(self, pull: Pull, budget: Budget, collector: str, recipients: list[str]) -> None:
        missing = set(recipients)
        if len(missing) > 1 and collector not in self._listed:
            missing -= self._list(pull, budget, collector, missing)
        for recipient in sorted(missing):
            budget.spend(len(missing))
            try:
                found = pull.get(f"collectors/{collector}/recipients/{recipient}")
            except NotFoundError:
                found = {}
            self._emails[collector, recipient] = found.get("email") or None

    def _list(self, pull: Pull, budget: Budget, collector: str, missing: set[str]) -> set[str]:
        """Read the collector's list while it is cheaper than single requests; returns whom it had."""
        params: Mapping[str, Any] | None = {"per_page": RECIPIENTS_A_REQUEST}
        found: set[str] = set()
        seen = 0
        while params is not None:
            budget.spend(1)
            page = listing(pull, f"collectors/{collector}/recipients", params)
            for recipient in page.rows:
                recipient_id = str(recipient.get("id"))
                self._emails[collector, recipient_id] = recipient.get("email") or None
                found.add(recipient_id)
            seen += len(page.rows)
            left = len(missing - found)
            more_pages = -(-(page.total - seen) // RECIPIENTS_A_REQUEST)
            if not left or more_pages > left:
                break
            params = page.next if page.rows else None
        else:
            self._listed.add(collector)
        return found
