"""The destination: how Meta's endpoints are used.

People are there as members of audiences only, and nobody can be read back. No value leaves that is not hashed, other
than advertising ids and ids of the operator's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from requests.auth import AuthBase

from millstream.destinations.contract import DeliveryRow, Destination, Outcome, accepted_async
from millstream.destinations.meta_custom_audiences.answers import (
    outcomes_of,
    problem_of,
    seconds_to_regain,
    unread,
    usage,
)
from millstream.destinations.meta_custom_audiences.audiences import Audiences
from millstream.destinations.meta_custom_audiences.keys import keys_of
from millstream.destinations.meta_custom_audiences.members import Members, Person, pieces
from millstream.destinations.meta_custom_audiences.replacement import Replacement
from millstream.destinations.meta_custom_audiences.settings import MOST_ROWS, MetaCustomAudiencesSettings, ProvenToken
from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.state.errors import MillstreamError
from millstream.state.http import Answer, RateLimit

_SLOW_FROM = 75.0
"""Percent of the hour's budget from which on requests are spread."""
_LONGEST_PAUSE = 60.0


class MetaCustomAudiences(Destination[MetaCustomAudiencesSettings]):
    """Customer-list audiences of one ad account."""

    name = "meta_custom_audiences"
    title = "Meta Custom Audiences"
    docs_url = "https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences"
    api_version = "v25.0"
    Settings = MetaCustomAudiencesSettings
    # The hour's budget depends on the app and the account, and comes in headers that `classify` reads; besides, Meta
    # takes some hundred changes a second of an account.
    rate_limit = RateLimit(requests=20, seconds=1.0, concurrency=4)
    match_keys = ("email", "phone", "extern_id", "madid")
    modes = frozenset({SyncMode.MIRROR, SyncMode.ADD, SyncMode.REMOVE, SyncMode.REPLACE})
    fields = tuple(key.field(name) for name, key in keys_of(None).items())
    batch_size = MOST_ROWS
    membership_batch_size = MOST_ROWS
    idempotent = frozenset(Operation)
    one_by_one = frozenset()
    audience_only = True
    whole_rows = True

    def __init__(self, settings: MetaCustomAudiencesSettings) -> None:
        super().__init__(settings)
        keys = keys_of(settings.phone_country)
        self.fields = tuple(key.field(name) for name, key in keys.items())
        self.batch_size = self.membership_batch_size = settings.rows_per_request
        self._members = Members(keys)

    def auth(self) -> AuthBase:
        """The token, with the proof of the app's secret where there is one."""
        return ProvenToken(self.settings.access_token, self.settings.app_secret)

    def probe(self) -> None:
        """Read the ad account's name and state."""
        self.http.get(f"{self.settings.version}/{self.settings.account}", {"fields": "name,account_status"})

    def ensure_audience(self, audience: str) -> str:
        """The id of the customer-list audience with this name."""
        columns = 1 + len(self.plan.fields if self.plan else ()) + self.settings.limited_data_use
        return self._audiences.ensure(audience, keys=columns)

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Hand over people by all their keys."""
        people: list[Person] = []
        outcomes: dict[str, Outcome] = {}
        for row in last_of_each(rows):
            person = self._members.person(row, match_key)
            if isinstance(person, Person):
                people.append(person)
            else:
                outcomes[row.key] = person
        if people:
            cells = [one.cells for one in people]
            limited, single = self.settings.limited_data_use, self._is_of_one_key(audience_id)
            payload = self._members.payload(cells, single=single, limited_data_use=limited)
            outcomes |= outcomes_of(self._change("POST", f"{audience_id}/users", payload), people)
        return in_order(rows, outcomes)

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out by all the keys that they were ever put in with, and that nobody has who stays."""
        single = self._is_of_one_key(audience_id)
        return self._take_out(f"{audience_id}/users", rows, match_key, single=single, staying=self.staying)

    def known_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        """All keys by which somebody is found."""
        return self._members.names(match_value, external_id, match_key)

    def stays_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        """All keys that the person was put in with last."""
        return self._members.current_names(match_value, external_id, match_key)

    def kept_as(self, row: DeliveryRow, *, match_key: str) -> str | None:
        """All keys that the row has besides its match value, and former ones."""
        person = self._members.person(row, match_key)
        return person.external_id if isinstance(person, Person) else None

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        """Replace everybody, in one session of uploads."""
        path = f"{self.settings.version}/{audience_id}/usersreplace"
        session = Replacement(
            self.http,
            path,
            self._members,
            label=label,
            single=self._is_of_one_key(audience_id),
            limited_data_use=self.settings.limited_data_use,
        )
        return session.run(batches, match_key)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of all audiences of the ad account, whoever put them in."""
        return self._take_out(f"{self.settings.account}/usersofanyaudience", rows, match_key)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Meta's own errors; and its usage headers, over which all slow down in time."""
        problem = problem_of(answer, account=self.settings.account)
        if problem is None and (pause := _pause(answer.headers)):
            self.http.pacer.pause(pause)
        return problem

    def _is_of_one_key(self, audience_id: str) -> bool:
        return audience_id in self._audiences.of_one_key

    def _take_out(
        self,
        path: str,
        rows: Sequence[DeliveryRow],
        match_key: str,
        *,
        single: bool = False,
        staying: Collection[str] = (),
    ) -> list[Outcome]:
        outcomes = {row.key: accepted_async(row.external_id) for row in last_of_each(rows)}
        leaving = [
            (row.key, cells) for row in last_of_each(rows) for cells in self._members.leaving(row, match_key, staying)
        ]
        for piece in pieces(leaving, self.settings.rows_per_request):
            table = [cells for _, cells in piece]
            answer = self._change("DELETE", path, self._members.payload(table, single=single))
            # Who was not read may be in still, and stays known as somebody to take out.
            outcomes |= {piece[place][0]: outcome for place, outcome in unread(answer, table).items()}
        return in_order(rows, outcomes)

    def _change(self, method: str, path: str, payload: Mapping[str, object]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.http.request(
            method, f"{self.settings.version}/{path}", body={"payload": payload}
        )
        return answer

    @cached_property
    def _audiences(self) -> Audiences:
        return Audiences(self.http, self.settings)


def _pause(headers: Mapping[str, str]) -> float:
    """Seconds to let nothing through, from what an answer says of the budget."""
    if (asked := seconds_to_regain(headers)) is not None:
        return asked
    over = usage(headers) - _SLOW_FROM
    return min(1.0, over / (100.0 - _SLOW_FROM)) * _LONGEST_PAUSE if over > 0 else 0.0
