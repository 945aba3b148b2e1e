"""The destination: how Braze's endpoints are used.

Everything about a person goes with ``/users/track``, their audience too. No request sets a subscription state, but for
subscription groups where the project takes them as audiences; and no address is written that could set one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from requests.auth import AuthBase

from millstream.destinations.braze.answers import faults_by_place, problem_of, taken
from millstream.destinations.braze.attributes import CONSENT, EMAIL, STANDARD, check_names, rendered
from millstream.destinations.braze.audiences import Audience
from millstream.destinations.braze.cohorts import MOST_MEMBERS, Cohorts, id_of
from millstream.destinations.braze.groups import GroupStates
from millstream.destinations.braze.profiles import MOST_IDS, Profile, Profiles
from millstream.destinations.braze.segments import members_of
from millstream.destinations.braze.settings import BrazeSettings
from millstream.destinations.contract import DeliveryRow, Destination, Member, Outcome, rejected
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.state.errors import ConfigurationError, MillstreamError, RefusedError
from millstream.state.http import Answer, BearerAuth, RateLimit

_TRACK_SIZE = 75
_ABSENT = rejected("not_found", "Braze has no profile with this id.")


class Braze(Destination[BrazeSettings]):
    """Profiles of one Braze workspace."""

    name = "braze"
    title = "Braze"
    docs_url = "https://www.braze.com/docs/api/home"
    api_version = "REST"
    Settings = BrazeSettings
    # Of /users/track. What the headers count may be another window, so only what is left of it is heeded.
    rate_limit = RateLimit(
        requests=250,
        seconds=3.0,
        concurrency=8,
        remaining="X-RateLimit-Remaining",
        reset="X-RateLimit-Reset",
    )
    match_keys = ("external_id", "user_alias", "email")
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = STANDARD
    custom_fields = True
    custom_field_type = None
    consent_fields = CONSENT
    batch_size = _TRACK_SIZE
    membership_batch_size = _TRACK_SIZE
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS, Leaving.DELETE})
    one_by_one = frozenset[Operation | Leaving]()
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "Braze deletes the profile for good, and with it that the person unsubscribed.",
    }

    def __init__(self, settings: BrazeSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.root}))
        if settings.audience_kind == "cohort":
            self.membership_batch_size = MOST_MEMBERS
            self.enrolment_delay = settings.cohort_delay_seconds

    @property
    def adds_at_once(self) -> bool:
        """Whether the audience is part of the profile's attributes; a cohort is not."""
        return self.settings.audience_kind != "cohort"

    def auth(self) -> AuthBase:
        """The workspace's key."""
        return BearerAuth(self.settings.api_key)

    def pace(self) -> RateLimit:
        """The pace of writes that the settings give."""
        return replace(self.rate_limit, requests=self.settings.requests_per_3_seconds)

    def probe(self) -> None:
        """Read the first segments."""
        self._reads.get("/segments/list", {"page": 0})

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """None: Braze makes custom attributes when they come first. Names that cannot be are refused."""
        check_names(names, self.settings.audience_attribute if self.settings.audience_kind == "list" else None)
        return []

    def audience_field(self, audience: str) -> str | None:
        """The flag, or the attribute that holds all audiences."""
        fields = {"flag": audience, "list": self.settings.audience_attribute}
        return fields.get(self.settings.audience_kind)

    def ensure_audience(self, audience: str) -> str:
        """The id of the audience. Only cohorts are made: attributes need not be, and groups cannot be by API."""
        kind = self.settings.audience_kind
        if kind == "cohort":
            return str(Audience(kind, self._cohorts.ensure(audience)))
        found = Audience(kind, audience)
        found.check()
        if kind == "subscription_group":
            self._groups.require(audience)
        else:
            # Nothing else would tell a wrong key before the first people are written.
            self.probe()
        return str(found)

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create profiles or change their attributes."""
        return in_order(rows, self._write(last_of_each(rows), match_key, creates=True))

    def upsert_into(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """The same, with what puts them into the audience."""
        return in_order(rows, self._write_into(audience_id, last_of_each(rows), match_key, creates=True))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change attributes of profiles that are there: looked up where it is not known, and never made."""
        outcomes, there = self._there(rows, match_key)
        return in_order(rows, outcomes | self._write(there, match_key, creates=False))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put profiles that are there into the audience."""
        outcomes, there = self._there(rows, match_key)
        audience = Audience.parse(audience_id)
        if audience.kind == "cohort":
            if there:
                self._cohorts.change(audience.name, there, match_key, leave=False)
            return in_order(rows, outcomes | {row.key: taken(row.match_value) for row in there})
        bare = [_bare(row) for row in there]
        return in_order(rows, outcomes | self._write_into(audience_id, bare, match_key, creates=False))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take profiles out of the audience; who is not there is not made.

        Of a subscription group nobody can be taken other than by unsubscribing them, so nobody is.
        """
        audience, latest = Audience.parse(audience_id), last_of_each(rows)
        if audience.kind == "subscription_group":
            reason = "Out of a subscription group means unsubscribed: use another audience_kind, or mode add."
            return [rejected("stays_in_group", reason, fault="configuration")] * len(rows)
        if audience.kind == "cohort":
            self._cohorts.change(audience.name, latest, match_key, leave=True)
            return in_order(rows, {row.key: taken(row.match_value) for row in latest})
        out = audience.going_out(self.settings.audience_attribute)
        return in_order(rows, self._track([(row, out) for row in latest], match_key, creates=False))

    @property
    def can_read_back(self) -> bool:
        """Whether the project names segments that show who is in audiences."""
        return bool(self.settings.segments)

    def read_back(self, audience_id: str) -> Iterator[str]:
        """One name of each member, the external id where there is one."""
        return (member.match_values[0] for member in self.read_members(audience_id) if member.match_values)

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """Members of an audience by all their names, from the export of its segment."""
        name = Audience.parse(audience_id).name
        found = [segment for one, segment in self.settings.segments.items() if name in (one, id_of(one))]
        if not found:
            raise ConfigurationError(
                f"No segment is named for the audience {name!r}, so it cannot be read back.",
                where="braze",
                remedy="make a segment that filters on it in Braze, and give its id in 'segments'.",
            )
        return members_of(self._reads, found[0], alias_label=self.settings.alias_label)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete profiles for good; by an address, all that have it."""
        latest = last_of_each(rows)
        if match_key == "email":
            found = self._profiles.find(latest, match_key)
            ids: list[object] = [profile.braze_id for profiles in found.values() for profile in profiles]
        else:
            ids = [self._identity(row, match_key)[match_key] for row in latest]
        name = {"external_id": "external_ids", "user_alias": "user_aliases", "email": "braze_ids"}[match_key]
        for start in range(0, len(ids), MOST_IDS):
            self._deletions.post("/users/delete", {name: ids[start : start + MOST_IDS]})
        return in_order(rows, {row.key: taken(row.match_value) for row in latest})

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Missing permissions, unknown keys, and fatal errors under a good status."""
        return problem_of(answer)

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """As every destination; with look-ups where addresses are written."""
        if operation is Operation.REMOVE and leaving is not Leaving.LEAVE_AUDIENCE:
            out = -(-rows // self.membership_batch_size) if in_audience else 0
            return out + -(-rows // (MOST_IDS if leaving is Leaving.DELETE else self.batch_size))
        requests = super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        addresses = operation is Operation.ADD and self.plan is not None and EMAIL in self.plan.fields
        return requests + (-(-rows // MOST_IDS) if addresses else 0)

    def _write_into(
        self, audience_id: str, rows: Sequence[DeliveryRow], match_key: str, *, creates: bool
    ) -> dict[str, Outcome]:
        audience = Audience.parse(audience_id)
        kept_out: dict[str, Outcome] = {}
        if audience.kind == "subscription_group":
            kept_out = self._groups.kept_out(audience.name, rows, match_key)
        welcome = [row for row in rows if row.key not in kept_out]
        coming_in = audience.coming_in(self.settings.audience_attribute)
        return kept_out | self._write(welcome, match_key, creates=creates, more=coming_in)

    def _write(
        self,
        rows: Sequence[DeliveryRow],
        match_key: str,
        *,
        creates: bool,
        more: Mapping[str, object] | None = None,
    ) -> dict[str, Outcome]:
        """Write fields, and what else is part of everybody's attributes."""
        with_email = [row for row in rows if EMAIL in row.fields]
        if with_email and match_key != "email":
            rows = self._profiles.rows_without_danger(rows, self._profiles.find(with_email, match_key))
        kept_out = self._profiles.kept_out(rows) if creates and match_key == EMAIL else {}
        given = [(row, {**rendered(row.fields), **(more or {})}) for row in rows if row.key not in kept_out]
        return kept_out | self._track(given, match_key, creates=creates)

    def _track(
        self, given: Sequence[tuple[DeliveryRow, Mapping[str, object]]], match_key: str, *, creates: bool
    ) -> dict[str, Outcome]:
        """Send attributes; rows that a refusal of the whole names stand aside, and the others go once more."""
        # Somebody who is there and of whom nothing changed is not worth a request.
        sent = [(row, attributes) for row, attributes in given if attributes or row.external_id is None]
        outcomes = {row.key: taken(row.match_value) for row, _ in given}
        if not sent:
            return outcomes
        rows = [row for row, _ in sent]
        objects = [
            {**attributes, **self._identity(row, match_key), "_update_existing_only": not creates}
            for row, attributes in sent
        ]
        try:
            faults = faults_by_place(self.http.post("/users/track", {"attributes": objects}), rows)
        except RefusedError as error:
            faults = faults_by_place(error.body if isinstance(error.body, dict) else {}, rows)
            if not faults:
                raise
            others = [one for place, one in enumerate(sent) if place not in faults]
            outcomes |= self._track(others, match_key, creates=creates)
        return outcomes | {rows[place].key: fault for place, fault in faults.items()}

    def _there(self, rows: Sequence[DeliveryRow], match_key: str) -> tuple[dict[str, Outcome], list[DeliveryRow]]:
        """Outcomes of people whom Braze does not have, and the others."""
        latest = last_of_each(rows)
        unknown = [row for row in latest if row.external_id is None]
        found: Mapping[str, Sequence[Profile]] = self._profiles.find(unknown, match_key) if unknown else {}
        there = [row for row in latest if row.external_id is not None or row.key in found]
        return {row.key: _ABSENT for row in unknown if row.key not in found}, there

    def _identity(self, row: DeliveryRow, match_key: str) -> dict[str, Any]:
        if match_key == "user_alias":
            return {match_key: {"alias_name": row.match_value, "alias_label": self.settings.alias_label}}
        return {match_key: row.match_value}

    def _part(self, part: str, requests: int, seconds: float) -> Http:
        limit = replace(self.rate_limit, requests=requests, seconds=seconds)
        return self.open_http(
            part, base_url=self.settings.base_url, auth=self.auth(), limit=limit, classify=self.classify
        )

    @property
    def _reads(self) -> Http:
        """For what shares the workspace's general limit of 250,000 requests an hour, taken as it comes in a minute."""
        return self._part("reads", 4_000, 60.0)

    @property
    def _deletions(self) -> Http:
        return self._part("deletions", 20_000, 60.0)

    @cached_property
    def _profiles(self) -> Profiles:
        return Profiles(self._part("exports", self.settings.exports_per_minute, 60.0), self._reads, self.settings)

    @cached_property
    def _groups(self) -> GroupStates:
        return GroupStates(self._reads)

    @cached_property
    def _cohorts(self) -> Cohorts:
        return Cohorts(self._reads, self.settings)


def _bare(row: DeliveryRow) -> DeliveryRow:
    return DeliveryRow(number=row.number, match_value=row.match_value, fields={}, external_id=row.external_id)
