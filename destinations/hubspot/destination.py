"""The destination: how HubSpot's endpoints are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    FieldType,
    Member,
    Outcome,
    accepted,
    rejected,
)
from millstream.destinations.hubspot.answers import BatchOutcomes, problem_of
from millstream.destinations.hubspot.lists import Lists
from millstream.destinations.hubspot.properties import Properties
from millstream.destinations.hubspot.settings import HubSpotSettings
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, send_each, text_values
from millstream.state.errors import (
    MillstreamError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer, RateLimit
from millstream.state.http.pacing import retry_after

_CONTACTS = "/crm/v3/objects/contacts"
_READ_SIZE = 100
_MIGRATING = 477
"""HubSpot's own status: the account is being moved between data centres."""


class HubSpot(Destination[HubSpotSettings]):
    """Contacts of a HubSpot account, and its static contact lists."""

    name = "hubspot"
    title = "HubSpot"
    docs_url = "https://developers.hubspot.com/docs/api-reference/overview"
    api_version = "v3"
    Settings = HubSpotSettings
    # 190 in 10 s on Professional and Enterprise. Cheaper accounts are held back by the header, which counts down.
    rate_limit = RateLimit(
        requests=180,
        seconds=10.0,
        concurrency=4,
        remaining="X-HubSpot-RateLimit-Remaining",
        daily_remaining="X-HubSpot-RateLimit-Daily-Remaining",
    )
    match_keys = ("email",)
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="firstname", description="First name."),
        DestinationField(name="lastname", description="Last name."),
        DestinationField(name="phone", description="Phone number."),
        DestinationField(name="mobilephone", description="Mobile phone number."),
        DestinationField(name="company", description="Company name."),
        DestinationField(name="jobtitle", description="Job title."),
        DestinationField(name="website", description="Website URL."),
        DestinationField(name="address", description="Street address."),
        DestinationField(name="zip", description="Postal code."),
        DestinationField(name="city", description="City."),
        DestinationField(name="state", description="State or region."),
        DestinationField(name="country", description="Country."),
        DestinationField(name="lifecyclestage", description="Lifecycle stage, by internal value."),
    )
    custom_fields = True
    consent_fields = ("hs_email_optout*", "hs_marketable_status*", "hs_legal_basis*")
    batch_size = 100
    membership_batch_size = 1000
    idempotent = frozenset(Operation)
    leavings = frozenset(Leaving)
    one_by_one = frozenset({Leaving.DELETE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.ARCHIVE: "HubSpot deletes a contact, with its history, 90 days after it was moved to the bin.",
        Leaving.DELETE: "HubSpot deletes the contact with its history at once, and never takes the address back.",
    }

    def auth(self) -> AuthBase:
        """A fixed token, or access tokens of an OAuth app."""
        return self.settings.credential(f"{self.settings.base_url.rstrip('/')}/oauth/v1/token")

    def pace(self) -> RateLimit:
        """The pace that the settings give; plans differ in how many requests they allow."""
        return replace(self.rate_limit, requests=self.settings.requests_per_10_seconds)

    def probe(self) -> None:
        """Read one contact."""
        self.http.get(_CONTACTS, {"limit": 1})

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Properties that contacts do not have; every account has the declared ones, so those are not looked for."""
        declared = {field.name for field in self.fields}
        custom = [name for name in names if name not in declared]
        return self._properties.missing(custom) if custom else []

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a property of contacts."""
        self._properties.create(name, field_type)

    def ensure_audience(self, audience: str) -> str:
        """The id of the static list."""
        return self._lists.ensure(audience)

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change contacts by e-mail address.

        A contact that is there and has no field to change is only looked up: writing it would count as a change of
        the contact, which the next pull would bring back as news.
        """
        latest = last_of_each(rows)
        absent, there = self._with_record_ids([row for row in latest if not row.fields], match_key)
        sent = [(row, row.match_value) for row in latest if row.fields or row.key in absent]
        outcomes = {row.key: accepted(record_id) for row, record_id in there}
        return in_order(rows, outcomes | self._write("upsert", sent, match_key))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change contacts that are there.

        They are looked up first and written by record id, because HubSpot's batch update does not take the e-mail
        address as a unique property in every account.
        """
        outcomes, sent = self._with_record_ids(last_of_each(rows), match_key)
        return in_order(rows, outcomes | self._write("update", sent, None))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put contacts into a static list, by record id."""
        outcomes, sent = self._with_record_ids(last_of_each(rows), match_key)
        missing = self._lists.change(audience_id, "add", [record_id for _, record_id in sent])
        gone = rejected("record_missing", "HubSpot no longer has the contact with the record id we know.")
        for row, record_id in sent:
            outcomes[row.key] = gone if record_id in missing else accepted(record_id)
        return in_order(rows, outcomes)

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take contacts out of a static list; who is not there any more counts as out."""
        latest = last_of_each(rows)
        _, sent = self._with_record_ids(latest, match_key)
        self._lists.change(audience_id, "remove", [record_id for _, record_id in sent])
        ids = {row.key: record_id for row, record_id in sent}
        return in_order(rows, {row.key: accepted(ids.get(row.key)) for row in latest})

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Move contacts to the bin, by record id; opt-outs belong to the address and stay."""
        latest = last_of_each(rows)
        _, sent = self._with_record_ids(latest, match_key)
        for chunk in _chunks([record_id for _, record_id in sent], self.batch_size):
            self.http.post(f"{_CONTACTS}/batch/archive", {"inputs": [{"id": record_id} for record_id in chunk]})
        return in_order(rows, {row.key: accepted(row.external_id) for row in latest})

    def read_back(self, audience_id: str) -> Iterator[str]:
        """E-mail addresses of a list's members; the record id of a contact without one."""
        for record_ids in _chunks(list(self._lists.members(audience_id)), _READ_SIZE):
            emails = {str(found["id"]): _email_of(found) for found in self._read(record_ids, None)}
            yield from (emails.get(record_id) or record_id for record_id in record_ids)

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """A list's members by record id and by all their addresses, those of contacts merged into them too."""
        for record_ids in _chunks(list(self._lists.members(audience_id)), _READ_SIZE):
            emails = {str(found["id"]): tuple(_emails_of(found)) for found in self._read(record_ids, None)}
            yield from (Member(emails.get(record_id, ()), record_id) for record_id in record_ids)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete contacts for good. HubSpot also blocks an address that it does not know from being added."""
        return in_order(rows, send_each(last_of_each(rows), self._erase, workers=self.rate_limit.concurrency))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Daily quota, missing scopes, mistakes in the mapping, and HubSpot's own status 477."""
        if answer.status_code == _MIGRATING:
            return UnavailableError("The HubSpot account is being migrated.", retry_after=retry_after(answer.headers))
        if answer.status_code not in {400, 403, 429}:
            return None
        body = answer.said()
        return problem_of(answer.status_code, body) if isinstance(body, dict) else None

    @cached_property
    def _properties(self) -> Properties:
        return Properties(self.http)

    @cached_property
    def _lists(self) -> Lists:
        return Lists(self.http)

    def _write(
        self, action: str, sent: Sequence[tuple[DeliveryRow, str]], id_property: str | None
    ) -> dict[str, Outcome]:
        if not sent:
            return {}
        by = {"idProperty": id_property} if id_property else {}
        inputs = [
            {
                "id": sent_id,
                **by,
                "objectWriteTraceId": str(row.number),
                "properties": text_values(row.fields),
            }
            for row, sent_id in sent
        ]
        return BatchOutcomes(sent).read(self.http.post(f"{_CONTACTS}/batch/{action}", {"inputs": inputs}))

    def _with_record_ids(
        self, rows: Sequence[DeliveryRow], match_key: str
    ) -> tuple[dict[str, Outcome], list[tuple[DeliveryRow, str]]]:
        """Rows with their record ids, and the outcomes of those whom HubSpot does not have."""
        unknown = [row.key for row in rows if row.external_id is None]
        record_ids: dict[str, str] = {}
        for emails in _chunks(unknown, _READ_SIZE):
            for found in self._read(emails, match_key):
                record_ids.update(dict.fromkeys(_emails_of(found), str(found["id"])))
        sent, outcomes = [], {}
        for row in rows:
            record_id = row.external_id or record_ids.get(row.key)
            if record_id is None:
                outcomes[row.key] = rejected("not_found", "HubSpot has no contact with this address.")
            else:
                sent.append((row, record_id))
        return outcomes, sent

    def _read(self, ids: Sequence[str], id_property: str | None) -> Sequence[Mapping[str, Any]]:
        """Contacts by record id or by e-mail address; those that are not there are left out."""
        body: dict[str, object] = {
            "properties": ["email", "hs_additional_emails"],
            "propertiesWithHistory": [],
            "inputs": [{"id": one} for one in ids],
        }
        if id_property:
            body["idProperty"] = id_property
        results: Sequence[Mapping[str, Any]] = self.http.post(f"{_CONTACTS}/batch/read", body)["results"]
        return results

    def _erase(self, row: DeliveryRow) -> Outcome:
        by_email = {"objectId": row.match_value, "idProperty": "email"}
        body = {"objectId": row.external_id} if row.external_id else by_email
        try:
            try:
                self.http.post(f"{_CONTACTS}/gdpr-delete", body)
            except NotFoundError:
                # Merged into another contact or deleted meanwhile: the address may still be there.
                self.http.post(f"{_CONTACTS}/gdpr-delete", by_email)
        except RefusedError as error:
            return rejected("not_erased", error.what)
        return accepted(row.external_id)


def _email_of(contact: Mapping[str, Any]) -> str | None:
    email = (contact.get("properties") or {}).get("email")
    return str(email).lower() if email else None


def _emails_of(contact: Mapping[str, Any]) -> list[str]:
    more = str((contact.get("properties") or {}).get("hs_additional_emails") or "")
    emails = [_email_of(contact), *(part.strip().lower() for part in more.split(";"))]
    return [email for email in emails if email]


def _chunks(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
