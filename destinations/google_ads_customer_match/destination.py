"""The destination: how the Data Manager API's endpoints are used.

People are there as members of user lists only, and nobody can be read back. Names, addresses and numbers leave hashed;
country and postal code, which Google does not take hashed, leave as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from requests.auth import AuthBase

from millstream.destinations.contract import DeliveryRow, Destination, Outcome, accepted_async
from millstream.destinations.google_ads_customer_match.answers import faulty_members, problem_of
from millstream.destinations.google_ads_customer_match.members import CONSENTS, Members, Message, Person, fields_of
from millstream.destinations.google_ads_customer_match.settings import SCOPE, GoogleAdsCustomerMatchSettings
from millstream.destinations.google_ads_customer_match.user_lists import UserLists
from millstream.destinations.kept_identifiers import name_of
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import ConfigurationError, MillstreamError, RefusedError
from millstream.state.http import Answer, RateLimit

log = logging.getLogger(__name__)

_MOST_MEMBERS = 10_000
_MOST_LISTS = 10
_CLOCK_SECONDS = 2.0
"""By which the time in an answer may be late: it is told in whole seconds, and some servers look only once in one."""
_MOST_ROUNDS = 5
"""Times that a request is made without the members that Google points to; after that it is halved."""


class GoogleAdsCustomerMatch(Destination[GoogleAdsCustomerMatchSettings]):
    """User lists of one Google Ads account."""

    name = "google_ads_customer_match"
    title = "Google Ads Customer Match"
    docs_url = "https://developers.google.com/data-manager/api"
    api_version = "v1"
    Settings = GoogleAdsCustomerMatchSettings
    rate_limit = RateLimit(requests=300, seconds=60.0, concurrency=4, daily=100_000)
    match_keys = ("email", "phone")
    modes = frozenset({SyncMode.MIRROR, SyncMode.ADD, SyncMode.REMOVE, SyncMode.REPLACE})
    fields = fields_of(None)
    batch_size = _MOST_MEMBERS
    membership_batch_size = _MOST_MEMBERS
    idempotent = frozenset(Operation)
    one_by_one = frozenset()
    audience_only = True
    whole_rows = True

    def __init__(self, settings: GoogleAdsCustomerMatchSettings) -> None:
        super().__init__(settings)
        self.fields = fields_of(settings.phone_country)
        self._members = Members(settings)

    def auth(self) -> AuthBase:
        """Access tokens of the service account or of the user."""
        return self.settings.credential(SCOPE)

    def probe(self) -> None:
        """Read one user list."""
        self._lists.probe()

    def ensure_audience(self, audience: str) -> str:
        """The id of the user list with this name. Consent that each person gives has to be mapped."""
        mapped = self.plan.fields if self.plan else tuple(CONSENTS)
        missing = [name for name in CONSENTS if getattr(self.settings, name) == "by_person" and name not in mapped]
        if missing:
            raise ConfigurationError(
                f"The connection says {missing[0]}: by_person, and the sync has no field {missing[0]}.",
                where=f"sync {self.plan.sync}" if self.plan else None,
                remedy=f"map {missing[0]} to what says whether the person consented: granted or denied, true or false.",
            )
        return self._lists.ensure(audience)

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Hand over people by all their identifiers, but for those who have not consented."""
        return in_order(rows, self._ingest(audience_id, last_of_each(rows), match_key))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out by all the identifiers that they were ever put in with, and that nobody has who stays."""
        latest = last_of_each(rows)
        self._take_out([audience_id], latest, match_key, staying=self.staying)
        return in_order(rows, {row.key: accepted_async(row.external_id) for row in latest})

    def known_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        """All identifiers by which somebody is found."""
        return [name_of(one) for one in self._members.known(match_value, external_id, match_key)]

    def stays_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        """All identifiers that the person was put in with last."""
        return [name_of(one) for one in self._members.current(match_value, external_id, match_key)]

    def kept_as(self, row: DeliveryRow, *, match_key: str) -> str | None:
        """All identifiers that the row has besides its match value, and former ones."""
        person = self._members.person(row, match_key)
        return person.external_id if isinstance(person, Person) else None

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        """Hand over everybody, then have all removed who were handed over last before that."""
        before = self._moment(audience_id)
        outcomes: list[Outcome] = []
        for batch in batches:
            outcomes += in_order(batch, self._ingest(audience_id, last_of_each(batch), match_key))
        if outcomes and all(outcome.status is Status.REJECTED for outcome in outcomes):
            # A wrong mapping must not empty the list.
            raise ConfigurationError(
                f"None of {len(outcomes):,} rows was taken: {outcomes[0].reason}",
                remedy="check the sync's match; nobody was taken out.",
            )
        places = [self.settings.destination(audience_id)]
        body = {"destinations": places, "removeAsOfTime": before.isoformat().replace("+00:00", "Z")}
        self.http.post("v1/audienceMembers:removeAll", body)
        return outcomes

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of all user lists of the account that hold contact data, whoever put them in."""
        latest = last_of_each(rows)
        lists = self._lists.of_contact_data()
        for start in range(0, len(lists), _MOST_LISTS):
            self._take_out(lists[start : start + _MOST_LISTS], latest, match_key)
        return in_order(rows, {row.key: accepted_async(row.external_id) for row in latest})

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The reasons and limits in Google's error details."""
        return problem_of(answer)

    def _ingest(self, list_id: str, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, Outcome]:
        """Outcomes by key; members that Google points to are rejected, and all others sent again without them."""
        outcomes: dict[str, Outcome] = {}
        people: list[Person] = []
        for row in rows:
            person = self._members.person(row, match_key)
            if isinstance(person, Person):
                people.append(person)
            else:
                outcomes[row.key] = person
        for left in reversed(range(_MOST_ROUNDS)):
            if not people:
                break
            try:
                answer = self._post("ingest", [list_id], [one.message for one in people])
            except RefusedError as error:
                faulty = faulty_members(error)
                if not faulty or not left:
                    raise
                outcomes |= {people[place].key: bad for place, bad in faulty.items() if place < len(people)}
                people = [one for place, one in enumerate(people) if place not in faulty]
                continue
            reason = f"Google works on it as request {answer.get('requestId')}."
            outcomes |= {one.key: accepted_async(one.external_id, reason=reason) for one in people}
            break
        return outcomes

    def _take_out(
        self, list_ids: Sequence[str], rows: Sequence[DeliveryRow], match_key: str, *, staying: Collection[str] = ()
    ) -> None:
        members = [member for row in rows for member in self._members.leaving(row, match_key, staying)]
        for start in range(0, len(members), _MOST_MEMBERS):
            self._post("remove", list_ids, members[start : start + _MOST_MEMBERS])

    def _post(self, verb: str, list_ids: Sequence[str], members: Sequence[Message]) -> Mapping[str, Any]:
        body: dict[str, object] = {
            "destinations": [self.settings.destination(list_id) for list_id in list_ids],
            "audienceMembers": members,
            "encoding": "HEX",
        }
        if verb == "ingest":
            terms = {"customerMatchTermsOfServiceStatus": self.settings.customer_match_terms.upper()}
            body |= {**self._members.consent, "termsOfService": terms}
        answer: Mapping[str, Any] = self.http.post(f"v1/audienceMembers:{verb}", body)
        if warnings := answer.get("fieldWarnings"):
            log.warning("google_ads_customer_match: Google warns of %d fields.", len(warnings))
        return answer

    def _moment(self, list_id: str) -> datetime:
        """A moment by Google's clock: what was handed over so far was before it, and what is from now on is not."""
        answer = self.http.answer("GET", f"{self._lists.path}/{list_id}", headers=self.settings.headers())
        told = answer.headers.get("Date")
        sleep_unless_stopped(_CLOCK_SECONDS)
        then = parsedate_to_datetime(told).astimezone(UTC) if told else datetime.now(UTC)
        return then + timedelta(seconds=_CLOCK_SECONDS)

    @cached_property
    def _lists(self) -> UserLists:
        return UserLists(self.http, self.settings)
