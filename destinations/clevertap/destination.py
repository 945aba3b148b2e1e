"""The destination: how CleverTap's endpoints are used.

Membership is a property of the profile: true for members, false for those who left. It goes with the fields, in one
record. What people consented to is in properties too (``MSG-email`` and others), which no sync writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from requests.auth import AuthBase

from millstream.destinations.clevertap.answers import not_there, outcomes_of, problem_of
from millstream.destinations.clevertap.custom_list import can_list, replace_list
from millstream.destinations.clevertap.records import (
    IDENTITY_KEYS,
    check_names,
    profile_of,
    record,
    too_long,
)
from millstream.destinations.clevertap.settings import CleverTapSettings, PasscodeAuth
from millstream.destinations.contract import (
    NOT_THERE,
    DeliveryRow,
    Destination,
    DestinationField,
    Outcome,
    accepted,
    accepted_async,
    rejected,
)
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, Status, SyncMode
from millstream.destinations.rows import in_order, last_of_each, masked, send_each
from millstream.state.errors import ConfigurationError, MillstreamError, NotFoundError, RefusedError
from millstream.state.http import Answer, RateLimit

_NOBODY = "millstream-check"
_ERASED_AT_ONCE = 100
_REFUSED = "look_up_refused"
_LOOK_UPS = 3
"""At once. CleverTap says so for most of its APIs; for uploads it is 15."""


class CleverTap(Destination[CleverTapSettings]):
    """User profiles of a CleverTap project."""

    name = "clevertap"
    title = "CleverTap"
    docs_url = "https://developer.clevertap.com/docs/api-overview"
    api_version = "1"
    Settings = CleverTapSettings
    # Nothing but the number of requests at once is limited: 15 for all who upload to an account.
    rate_limit = RateLimit(requests=1000, seconds=1.0, concurrency=10, connections=15)
    match_keys = tuple(IDENTITY_KEYS)
    modes = frozenset(SyncMode)
    fields = (
        DestinationField(name="Name", description="Name."),
        DestinationField(name="Email", description="E-mail address."),
        DestinationField(name="Phone", description="Phone number as +14155550100."),
        DestinationField(name="Gender", description="M or F; male and female are translated."),
        DestinationField(name="DOB", type="date", description="Date of birth."),
        DestinationField(name="Age", type="number", description="Age in years."),
        DestinationField(name="Employed", description="Y or N, or a boolean."),
        DestinationField(name="Married", description="Y or N, or a boolean."),
        DestinationField(name="Education", description="School, College or Graduate."),
        DestinationField(name="Tz", description="Time zone, such as Europe/Berlin."),
        DestinationField(name="Photo", description="URL of a picture."),
    )
    custom_fields = True
    custom_field_type = None
    consent_fields = ("MSG-*",)
    batch_size = 1000
    membership_batch_size = 1000
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS, Leaving.DELETE})
    one_by_one: ClassVar[frozenset[Operation | Leaving]] = frozenset()
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "CleverTap deletes the profile with its history, and with what the person opted out of.",
    }

    def __init__(self, settings: CleverTapSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.root}))

    def auth(self) -> AuthBase:
        """Account id and passcode."""
        return PasscodeAuth(self.settings.account_id, self.settings.passcode)

    def probe(self) -> None:
        """Look for a profile that nobody has; that there is none is a good answer."""
        with suppress(RefusedError):
            self._profile("identity", _NOBODY)

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """None: properties are made by being written. Names that cannot be one stop the sync."""
        check_names(names)
        return []

    def audience_field(self, audience: str) -> str:
        """The property that members have."""
        return f"{self.settings.audience_prefix}{audience}"

    def ensure_audience(self, audience: str) -> str:
        """The property that members have; it is made by being written. The credential is tried here, with a look-up."""
        name = self.audience_field(audience)
        check_names([name])
        self.probe()
        return name

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change profiles."""
        return self._upload(rows, match_key, {}, reached=True)

    def upsert_into(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change profiles, and set the audience's property with it."""
        return self._upload(rows, match_key, {audience_id: True}, reached=True)

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change profiles that are there. An upload creates whoever is not, so people are looked up before."""
        latest = last_of_each(rows)
        found = self._looked_up(latest, match_key)
        there = [row for row in latest if _is_there(found[row.key])]
        return in_order(rows, found | self._by_key(there, match_key, {}))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Set the audience's property."""
        return self._upload(_without_fields(rows), match_key, {audience_id: True})

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Say by the audience's property that people are out; who is not there is out, and is not created for it."""
        leavers = _without_fields(last_of_each(rows))
        outcomes = {row.key: accepted(row.external_id) for row in leavers}
        if self.settings.check_before_removal:
            found = self._looked_up(leavers, match_key)
            # Where a look-up was refused nobody knows, and rather an empty profile than a member who stays.
            doubtful = {key for key, one in found.items() if one.code == _REFUSED}
            leavers = [row for row in leavers if row.key in doubtful or _is_there(found[row.key])]
            outcomes |= {key: one for key, one in found.items() if one.status is Status.RETRY_LATER}
        return in_order(rows, outcomes | self._by_key(leavers, match_key, {audience_id: False}))

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        """Write everybody's fields, then hand over the custom list of the audience's name, which holds exactly them."""
        key_name, email = IDENTITY_KEYS[match_key], self.settings.list_email
        if email is None or not can_list(key_name):
            raise ConfigurationError(
                "Mode replace keeps a custom list, for which something is missing.",
                where="clevertap",
                remedy="give the connection list_email, and match people by identity, email or objectId.",
            )
        outcomes: list[Outcome] = []
        members: dict[str, None] = {}
        for rows in batches:
            written = self._upload(rows, match_key, {}, reached=True)
            outcomes += [accepted_async() if one.status is Status.ACCEPTED else one for one in written]
            # Whoever could not be written this time stays what they are, but is wanted in the list.
            members |= {
                row.match_value: None
                for row, outcome in zip(rows, written, strict=True)
                if outcome.status is not Status.REJECTED
            }
        replace_list(
            self.http,
            audience_id,
            members,
            key_name=key_name,
            owner=self.settings.list_owner,
            email=email,
            label=label,
        )
        return outcomes

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete profiles with all that is known of them; who is not there counts as deleted."""
        latest = last_of_each(rows)
        key_name = IDENTITY_KEYS[match_key]
        outcomes = {row.key: accepted(row.external_id) for row in latest}
        values = {row.key: row.match_value for row in latest}
        if key_name in ("FBID", "GPID"):
            # The endpoint does not know them.
            found = self._looked_up(latest, match_key)
            outcomes |= {key: one for key, one in found.items() if one.code not in (None, *NOT_THERE)}
            values = {key: str(one.external_id) for key, one in found.items() if _is_there(one)}
        gone = [row for row in latest if row.key in values]
        named = "identity" if key_name == "identity" else "guid"
        for start in range(0, len(gone), _ERASED_AT_ONCE):
            rows_of_one = gone[start : start + _ERASED_AT_ONCE]
            ids = [values[row.key] for row in rows_of_one]
            answer = self.http.post("/1/delete/profiles.json", {named: ids}) or {}
            outcomes |= outcomes_of(answer, rows_of_one, named)
        return in_order(rows, outcomes)

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """As every destination; who leaves is looked up, and deleted a hundred at a time."""
        if operation is not Operation.REMOVE:
            return super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        batches = -(-rows // self.batch_size)
        requests = batches + (rows if self.settings.check_before_removal else 0) if in_audience else 0
        if leaving is Leaving.CLEAR_FIELDS:
            return requests + rows + batches
        return requests + -(-rows // _ERASED_AT_ONCE) if leaving is Leaving.DELETE else requests

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Refusals, also those under status 200, in the vendor's words."""
        return problem_of(answer)

    @property
    def _look_ups(self) -> Http:
        limit = RateLimit(requests=1000, seconds=1.0, concurrency=_LOOK_UPS)
        return self.open_http(
            "look-ups", base_url=self.settings.base_url, auth=self.auth(), limit=limit, classify=self.classify
        )

    def _upload(
        self, rows: Sequence[DeliveryRow], match_key: str, besides: Mapping[str, object], *, reached: bool = False
    ) -> list[Outcome]:
        return in_order(rows, self._by_key(last_of_each(rows), match_key, besides, reached=reached))

    def _by_key(
        self, rows: Sequence[DeliveryRow], match_key: str, besides: Mapping[str, object], *, reached: bool = False
    ) -> dict[str, Outcome]:
        """Upload people, each once.

        Args:
            rows: Who.
            match_key: What the match values are.
            besides: Properties that all of them get.
            reached: Whether who is known by an address is to be reached at it.
        """
        refused = {row.key: outcome for row in rows if (outcome := too_long(row))}
        sent = [row for row in rows if row.key not in refused]
        if not sent:
            return refused
        with_address = reached and match_key == "email"
        records = [
            record(
                row,
                match_key,
                {
                    **({"Email": row.match_value} if with_address else {}),
                    **profile_of(row.fields, self._cleared),
                    **besides,
                },
            )
            for row in sent
        ]
        answer = self.http.post("/1/upload", {"d": records})
        return refused | outcomes_of(answer, sent, IDENTITY_KEYS[match_key])

    @property
    def _cleared(self) -> object:
        return {"$delete": 1} if self.settings.clear_with == "delete" else ""

    def _looked_up(self, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, Outcome]:
        """Outcomes of look-ups by key: accepted with the vendor's id, or not found."""

        def look(row: DeliveryRow) -> Outcome:
            try:
                found = self._profile(IDENTITY_KEYS[match_key], row.match_value)
            except RefusedError as error:
                return rejected(_REFUSED, masked(error.what, row.match_value))
            return accepted(str(found["objectId"])) if found.get("objectId") else not_there()

        return send_each(rows, look, workers=_LOOK_UPS)

    def _profile(self, name: str, value: str) -> Mapping[str, Any]:
        """What CleverTap has of somebody; nothing where there is nobody."""
        try:
            answer = self._look_ups.get("/1/profile.json", {name: value})
        except NotFoundError:
            return {}
        found: Mapping[str, Any] = answer.get("record") or {}
        return found


def _is_there(outcome: Outcome) -> bool:
    return outcome.status is Status.ACCEPTED


def _without_fields(rows: Iterable[DeliveryRow]) -> list[DeliveryRow]:
    return [
        DeliveryRow(number=row.number, match_value=row.match_value, fields={}, external_id=row.external_id)
        for row in rows
    ]
