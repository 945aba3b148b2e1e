"""The Query API: one answer, or the pages of profiles, at the pace that the project has for it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Endpoint
from millstream.sources.parallel import in_order
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, MalformedAnswerError, RefusedError
from millstream.state.http import Pacer, RateLimit

if TYPE_CHECKING:
    from millstream.sources.mixpanel.settings import MixpanelSettings
    from millstream.sources.pull import Pull

ENGAGE = "engage"
COHORTS = "cohorts/list"
_CHANGED = "the API may have changed: update the connector, or check the base_url of the connection."

Profiles = list[Mapping[str, Any]]
Form = Mapping[str, Any]


class ForgottenError(IncompleteError):
    """Mixpanel no longer knows a query whose pages are being read."""


@dataclass(frozen=True)
class Found:
    """What the first page of a query says: its rows, how many there are in all, and under which name it is kept."""

    rows: Profiles
    session_id: str
    total: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return math.ceil(self.total / self.page_size)


class Queries:
    """Asks the Query API."""

    def __init__(self, settings: MixpanelSettings) -> None:
        self._settings = settings
        self._pace = Pacer(
            RateLimit(requests=settings.queries_per_hour, seconds=3600.0, concurrency=settings.queries_at_once)
        )

    def ask(self, pull: Pull, path: str, form: Form | None = None) -> Any:
        """The parsed answer; nothing of it changes anything at Mixpanel."""
        with self._pace:
            answer = pull.client.post(
                self._settings.query_url(path), params=dict(self._settings.project), data=dict(form or {})
            )
        return answer.json()

    def look(self, pull: Pull) -> None:
        """See whether profiles may be read."""
        self.ask(pull, ENGAGE, {"output_properties": json.dumps(["$email"])})

    def first(self, pull: Pull, form: Form) -> Found:
        """The first page of a query of profiles."""
        answer = self._engage(pull, form)
        total, size = _count(answer, "total", least=0), _count(answer, "page_size", least=1)
        return Found(_rows(answer), str(answer.get("session_id")), total, size)

    def rest(self, pull: Pull, form: Form, session_id: str, pages: range) -> Iterator[tuple[int, Profiles]]:
        """Further pages by number, several at once.

        Raises:
            ForgottenError: Mixpanel keeps a query for a while only.
        """
        answers = in_order(
            lambda page: self._engage(pull, {**form, "session_id": session_id, "page": page}),
            pages,
            at_once=self._settings.queries_at_once,
        )
        with closing(answers):  # type: ignore[type-var]
            for page, answer in answers:
                yield page, _rows(answer)

    def everything(self, pull: Pull, form: Form) -> Iterator[Profiles]:
        """All pages of a query that is small enough to be read in one go.

        Raises:
            IncompleteError: Fewer came than were announced.
        """
        found = self.first(pull, form)
        read = len(found.rows)
        yield found.rows
        for _, rows in self.rest(pull, form, found.session_id, range(1, found.pages)):
            read += len(rows)
            yield rows
        if read < found.total:
            raise IncompleteError(f"Mixpanel announced {found.total} profiles and {read} came.", remedy="run again.")

    def _engage(self, pull: Pull, form: Form) -> Mapping[str, Any]:
        try:
            found = self.ask(pull, ENGAGE, form)
        except RefusedError as error:
            if "session_id" in form and "uncached" in str(error.body):
                raise ForgottenError(
                    "Mixpanel has forgotten the query before its last page was read.",
                    remedy="run again: profiles are read from the first page.",
                ) from error
            raise
        if not isinstance(found, dict):
            raise MalformedAnswerError("Mixpanel answered without an object to a query of profiles.", remedy=_CHANGED)
        return found


def _rows(answer: Mapping[str, Any]) -> Profiles:
    return records_at(answer, Endpoint(path=ENGAGE, records="results", method="POST"))


def _count(answer: Mapping[str, Any], name: str, *, least: int) -> int:
    value = answer.get(name)
    if isinstance(value, int) and value >= least:
        return value
    raise MalformedAnswerError(f"A page of profiles has no {name!r}.", remedy=_CHANGED)
