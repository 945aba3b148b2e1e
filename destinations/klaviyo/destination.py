"""The destination: how Klaviyo's endpoints are used.

Nobody's consent is ever changed: neither imports nor lists touch it, and the endpoints that do are not called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlsplit

import orjson
from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    JobProgress,
    Member,
    Outcome,
    accepted,
    rejected,
)
from millstream.destinations.http import Http
from millstream.destinations.klaviyo.addresses import held_back
from millstream.destinations.klaviyo.answers import problem_of
from millstream.destinations.klaviyo.api import ACCOUNT, LARGE, LARGEST_PAGE, Api, Endpoint
from millstream.destinations.klaviyo.imports import Imports, JobId
from millstream.destinations.klaviyo.lists import Lists
from millstream.destinations.klaviyo.profiles import (
    FOUND_AT_ONCE,
    Profiles,
    check_names,
    cleared_by_hand,
    malformed,
    not_there,
    resource,
)
from millstream.destinations.klaviyo.settings import KlaviyoSettings
from millstream.destinations.modes import Leaving, Operation, Status, SyncMode
from millstream.destinations.rows import in_order, last_of_each, send_each
from millstream.state.errors import MillstreamError
from millstream.state.http import Answer


class Klaviyo(Destination[KlaviyoSettings]):
    """Profiles of a Klaviyo account, and its lists."""

    name = "klaviyo"
    title = "Klaviyo"
    docs_url = "https://developers.klaviyo.com/en/reference/api_overview"
    api_version = "2026-07-15"
    Settings = KlaviyoSettings
    rate_limit = LARGE
    match_keys = ("email", "phone_number", "external_id")
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="email", description="E-mail address."),
        DestinationField(name="phone_number", description="Phone number as +14155550100."),
        DestinationField(name="external_id", description="Your own id of the person."),
        DestinationField(name="first_name", description="First name."),
        DestinationField(name="last_name", description="Last name."),
        DestinationField(name="organization", description="Company."),
        DestinationField(name="title", description="Job title."),
        DestinationField(name="locale", description="Language and country, such as en-US."),
        DestinationField(name="image", description="URL of a picture."),
        DestinationField(name="location.address1", description="Street address."),
        DestinationField(name="location.address2", description="Second line of the address."),
        DestinationField(name="location.city", description="City."),
        DestinationField(name="location.region", description="State or region."),
        DestinationField(name="location.country", description="Country."),
        DestinationField(name="location.zip", description="Postal code."),
        DestinationField(name="location.timezone", description="Time zone, such as Europe/Berlin."),
        DestinationField(name="location.latitude", type="number", description="Latitude."),
        DestinationField(name="location.longitude", type="number", description="Longitude."),
        DestinationField(name="location.ip", description="IP address."),
    )
    custom_fields = True
    custom_field_type = None
    consent_fields = ("subscriptions*", "$consent*", "$email_consent*", "$sms_consent*", "sms_consent*")
    batch_size = 100
    membership_batch_size = 1000
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS, Leaving.DELETE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "Klaviyo deletes the profile with its history and its consent, and does not bring it back.",
    }
    # A job takes some seconds at least, and the vendor asks that few people go one by one: a hundred of them, at most
    # 75 a second, are done sooner than a job; of more, a job takes three requests for up to 10,000.
    jobs = frozenset({Operation.ADD, Operation.UPDATE})
    job_from = 100
    job_size = 10_000
    job_requests = 2
    one_by_one = frozenset({Operation.ADD, Operation.UPDATE, Leaving.CLEAR_FIELDS, Leaving.DELETE})
    largest_request = 4_900_000
    largest_row = 99_000

    def auth(self) -> AuthBase:
        """A private key, or access tokens of an OAuth app; all endpoints share them."""
        return self._auth

    def probe(self) -> None:
        """Read the account's name."""
        self._api.call(ACCOUNT)

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """None: properties are made by being written. Names that Klaviyo keeps for itself stop the sync."""
        check_names(names)
        return []

    def ensure_audience(self, audience: str) -> str:
        """The id of the list."""
        return self._lists.ensure(audience)

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change people, one by one."""
        held = held_back(self._profiles, last_of_each(rows), match_key)
        return self._one_by_one(rows, lambda row: held.get(row.key) or self._profiles.put(row, match_key))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change people who are there, one by one."""
        ids = self._profiles.ids_of(last_of_each(rows), match_key)
        held = held_back(self._profiles, last_of_each(rows), match_key)

        def change(row: DeliveryRow) -> Outcome:
            if outcome := held.get(row.key):
                return outcome
            profile_id = ids.get(row.key)
            return self._profiles.change(row, profile_id, match_key) if profile_id else not_there()

        return self._one_by_one(rows, change)

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put people into a list, by profile id."""
        latest = last_of_each(rows)
        ids = self._profiles.ids_of(latest, match_key)
        gone = self._lists.add(audience_id, list(ids.values()))
        outcomes = {key: accepted(profile_id) for key, profile_id in ids.items() if profile_id not in gone}
        absent = rejected("record_missing", "Klaviyo has no profile for the person, so nobody to put into the list.")
        return in_order(rows, {row.key: outcomes.get(row.key, absent) for row in latest})

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of a list; who is not there any more counts as out, and nobody's consent changes."""
        latest = last_of_each(rows)
        ids = self._profiles.ids_of(latest, match_key)
        gone = self._lists.take_out(audience_id, list(ids.values()))
        if gone:
            # Merged into another profile, which has the address and the membership now.
            merged = [row.match_value for row in latest if ids.get(row.key) in gone]
            self._lists.take_out(audience_id, list(self._profiles.ids_by(match_key, merged).values()))
        return in_order(rows, {row.key: accepted(ids.get(row.key)) for row in latest})

    def submit_job(
        self,
        operation: Operation,
        rows: Sequence[DeliveryRow],
        *,
        match_key: str,
        audience_id: str | None,
        creates: bool,
        label: str,
    ) -> str:
        """Hand people over as one bulk import, which also puts them into the list when they are added.

        Klaviyo keeps no name of ours with a job. One that is posted twice, because its answer was lost, writes the same
        twice.
        """
        latest = last_of_each(rows)
        ids = None if creates else self._profiles.ids_of(latest, match_key)
        held = held_back(self._profiles, latest, match_key)
        left_out: dict[int, Outcome] = {}
        profiles: dict[int, Mapping[str, object]] = {}
        for place, row in enumerate(latest):
            if bad := malformed(row, match_key) or held.get(row.key):
                left_out[place] = bad
            elif ids is None:
                profiles[place] = resource(row, {match_key: row.match_value}, clears=False)
            elif profile_id := ids.get(row.key):
                profiles[place] = resource(row, {}, clears=False) | {"id": profile_id}
            else:
                left_out[place] = not_there()
        list_id = audience_id if operation is Operation.ADD else None
        job = JobId(id=None, match_key=match_key, left_out=left_out)
        return str(self._imports.submit(profiles, job, list_id=list_id, names=[row.match_value for row in latest]))

    def poll_job(self, job_id: str) -> JobProgress:
        """How far the job is."""
        return self._imports.progress(JobId.parse(job_id))

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """What became of each row; fields that are to be emptied, which an import passes over, are emptied now."""
        job, latest = JobId.parse(job_id), last_of_each(rows)
        outcomes = dict(zip((row.key for row in latest), self._imports.outcomes(job, latest), strict=True))
        clearing = [
            replace(row, fields=cleared)
            for row in latest
            if (cleared := cleared_by_hand(row)) and outcomes[row.key].status is Status.ACCEPTED
        ]

        def clear(row: DeliveryRow) -> Outcome:
            if row.external_id:
                return self._profiles.change(row, row.external_id, job.match_key)
            return self._profiles.put(row, job.match_key)

        full = self._profiles.to_be_cleared(clearing, job.match_key)
        return in_order(rows, outcomes | send_each(full, clear, workers=self.rate_limit.concurrency))

    def row_bytes(self, row: DeliveryRow) -> int:
        """The bytes of a row as a profile in an import."""
        return len(orjson.dumps(resource(row, {"phone_number": row.match_value}, clears=False))) + 1

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """As every destination; many at once, ids of who comes by a job are read, and who is deleted is looked up."""
        requests = super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        if operation is Operation.ADD and rows >= self.job_from and self.settings.job_ids:
            return requests + -(-rows // LARGEST_PAGE)
        looks_up = operation is Operation.REMOVE and leaving is Leaving.DELETE
        return requests + -(-rows // FOUND_AT_ONCE) if looks_up else requests

    def read_back(self, audience_id: str) -> Iterator[str]:
        """E-mail addresses of a list's members; of those without one another identifier."""
        for member in self._lists.members(audience_id):
            yield member.match_values[0] if member.match_values else str(member.external_id)

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """A list's members by profile id and by all their identifiers."""
        return self._lists.members(audience_id)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Have profiles deleted, with everything about them; Klaviyo does it a while later."""
        ids = self._profiles.ids_by(match_key, [row.match_value for row in last_of_each(rows)])
        return self._one_by_one(rows, lambda row: self._profiles.erase(row, match_key, ids.get(row.key)))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The vendor's words, and which of its 400s and 404s are about single rows."""
        return problem_of(answer)

    def _one_by_one(self, rows: Sequence[DeliveryRow], send: Callable[[DeliveryRow], Outcome]) -> list[Outcome]:
        return in_order(rows, send_each(last_of_each(rows), send, workers=self.rate_limit.concurrency))

    def _http_of(self, endpoint: Endpoint) -> Http:
        return self.open_http(
            endpoint.part,
            base_url=self.settings.base_url,
            auth=self.auth(),
            limit=endpoint.limit,
            classify=self.classify,
        )

    @cached_property
    def _auth(self) -> AuthBase:
        root = urlsplit(self.settings.base_url)
        path = root.path.rstrip("/").removesuffix("/api")
        return self.settings.credential(f"{root.scheme}://{root.netloc}{path}/oauth/token")

    @cached_property
    def _api(self) -> Api:
        return Api(self._http_of, self.settings.revision)

    @cached_property
    def _profiles(self) -> Profiles:
        return Profiles(self._api)

    @cached_property
    def _lists(self) -> Lists:
        return Lists(self._api, self._profiles)

    @cached_property
    def _imports(self) -> Imports:
        return Imports(self._api, self._profiles, reads_ids=self.settings.job_ids)
