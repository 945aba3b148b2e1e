"""The destination: how HubSpot's endpoints are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    Outcome,
    accepted,
    rejected,
)
from millstream.destinations.hubspot.answers import BatchOutcomes, problem_of
from millstream.destinations.hubspot.settings import HubSpotSettings
from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, match_of, send_each, text_values
from millstream.state.errors import (
    ConfigurationError,
    MalformedAnswerError,
    MillstreamError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer, RateLimit
from millstream.state.http.pacing import retry_after

_CONTACTS = "/crm/v3/objects/contacts"
_LISTS = "/crm/v3/lists"
_CONTACT_TYPE = "0-1"
_READ_SIZE = 100
_MIGRATING = 477
"""HubSpot's own status: the account is being moved between data centres."""

_CONSENT_FIELDS = ("hs_email_optout", "hs_marketable_status", "hs_legal_basis")
"""Consent and billing of a contact: never a sync's to write."""


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
    modes = frozenset(SyncMode)
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
    batch_size = 100
    membership_batch_size = 1000
    idempotent = frozenset(Operation)

    def auth(self) -> AuthBase:
        """A fixed token, or access tokens of an OAuth app."""
        return self.settings.credential(f"{self.settings.base_url.rstrip('/')}/oauth/v1/token")

    def pace(self) -> RateLimit:
        """The pace that the settings give; plans differ in how many requests they allow."""
        return replace(self.rate_limit, requests=self.settings.requests_per_10_seconds)

    def probe(self) -> None:
        """Read one contact."""
        self.http.get(_CONTACTS, {"limit": 1})

    def ensure_audience(self, audience: str) -> str:
        """The id of the static list."""
        found = self._find_list(audience)
        if found is None:
            body = {"name": audience, "objectTypeId": _CONTACT_TYPE, "processingType": "MANUAL"}
            try:
                found = self.http.post(_LISTS, body)["list"]
            except RefusedError:
                # Names are unique: refused when another process, or a request whose answer was lost, made it, or
                # when the look-up by name did not find it: a slash in a path does not come through everywhere.
                found = self._search_list(audience)
                if found is None:
                    raise
        if found.get("processingType") == "DYNAMIC":
            raise ConfigurationError(
                f"HubSpot's list {audience!r} is dynamic: it fills itself, nobody can be put into it.",
                where=self.name,
                remedy="give the sync another name in 'into', or rename the list in HubSpot.",
            )
        return str(found["listId"])

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change contacts by e-mail address.

        A contact that is there and has no field to change is only looked up: writing it would count as a change of
        the contact, which the next pull would bring back as news.
        """
        _check_fields(rows)
        latest = last_of_each(rows)
        absent, there = self._with_record_ids([row for row in latest if not row.fields], match_key)
        sent = [(row, row.match_value) for row in latest if row.fields or match_of(row) in absent]
        outcomes = {match_of(row): accepted(record_id) for row, record_id in there}
        return in_order(rows, outcomes | self._write("upsert", sent, match_key))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change contacts that are there.

        They are looked up first and written by record id, because HubSpot's batch update does not take the e-mail
        address as a unique property in every account.
        """
        _check_fields(rows)
        outcomes, sent = self._with_record_ids(last_of_each(rows), match_key)
        return in_order(rows, outcomes | self._write("update", sent, None))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Put contacts into a static list, by record id."""
        outcomes, sent = self._with_record_ids(last_of_each(rows), "email")
        missing = self._change_list(audience_id, "add", sent)
        gone = rejected("record_missing", "HubSpot no longer has the contact with the record id we know.")
        for row, record_id in sent:
            outcomes[match_of(row)] = gone if record_id in missing else accepted(record_id)
        return in_order(rows, outcomes)

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Take contacts out of a static list; who is not there any more counts as out."""
        latest = last_of_each(rows)
        _, sent = self._with_record_ids(latest, "email")
        self._change_list(audience_id, "remove", sent)
        ids = {match_of(row): record_id for row, record_id in sent}
        return in_order(rows, {match_of(row): accepted(ids.get(match_of(row))) for row in latest})

    def read_back(self, audience_id: str) -> Iterator[str]:
        """E-mail addresses of a list's members; the record id of a contact without one."""
        for record_ids in _chunks(list(self._member_ids(audience_id)), _READ_SIZE):
            emails = {str(found["id"]): _email_of(found) for found in self._read(record_ids, None)}
            yield from (emails.get(record_id) or record_id for record_id in record_ids)

    def erase(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Delete contacts for good. HubSpot also blocks an address that it does not know from being added."""
        return in_order(rows, send_each(last_of_each(rows), self._erase, workers=self.rate_limit.concurrency))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Daily quota, missing scopes, mistakes in the mapping, and HubSpot's own status 477."""
        if answer.status_code == _MIGRATING:
            return UnavailableError("The HubSpot account is being migrated.", retry_after=retry_after(answer.headers))
        if answer.status_code not in {400, 403, 429}:
            return None
        try:
            body = answer.json()
        except MalformedAnswerError:
            return None
        return problem_of(answer.status_code, body) if isinstance(body, dict) else None

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
        unknown = [match_of(row) for row in rows if row.external_id is None]
        record_ids: dict[str, str] = {}
        for emails in _chunks(unknown, _READ_SIZE):
            for found in self._read(emails, match_key):
                record_ids.update(dict.fromkeys(_emails_of(found), str(found["id"])))
        sent, outcomes = [], {}
        for row in rows:
            record_id = row.external_id or record_ids.get(match_of(row))
            if record_id is None:
                outcomes[match_of(row)] = rejected("not_found", "HubSpot has no contact with this address.")
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

    def _change_list(self, audience_id: str, action: str, sent: Sequence[tuple[DeliveryRow, str]]) -> set[str]:
        """Add to or remove from a list, and give the record ids that HubSpot does not have."""
        if not sent:
            return set()
        path = f"{_LISTS}/{audience_id}/memberships/{action}"
        answer = self.http.request("PUT", path, body=list(dict.fromkeys(record_id for _, record_id in sent)))
        return {str(record_id) for record_id in (answer or {}).get("recordIdsMissing") or ()}

    def _find_list(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer = self.http.get(f"{_LISTS}/object-type-id/{_CONTACT_TYPE}/name/{quote(name, safe='')}")
        except NotFoundError:
            return None
        found: Mapping[str, Any] = answer["list"]
        return found

    def _search_list(self, name: str) -> Mapping[str, Any] | None:
        offset = 0
        while True:
            answer = self.http.post(f"{_LISTS}/search", {"query": name, "count": 500, "offset": offset})
            lists: Sequence[Mapping[str, Any]] = answer["lists"]
            contact_lists = (one for one in lists if one.get("objectTypeId", _CONTACT_TYPE) == _CONTACT_TYPE)
            found = next((one for one in contact_lists if str(one["name"]).casefold() == name.casefold()), None)
            if found is not None or not answer.get("hasMore"):
                return found
            offset = int(answer["offset"])

    def _member_ids(self, audience_id: str) -> Iterator[str]:
        after: str | None = None
        while True:
            query = {"limit": 250} | ({"after": after} if after else {})
            answer = self.http.get(f"{_LISTS}/{audience_id}/memberships", query)
            yield from (str(member["recordId"]) for member in answer["results"])
            after = ((answer.get("paging") or {}).get("next") or {}).get("after")
            if not after:
                return

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


def _check_fields(rows: Sequence[DeliveryRow]) -> None:
    for name in sorted(set().union(*(row.fields for row in rows))):
        if name.startswith(_CONSENT_FIELDS):
            raise ConfigurationError(
                f"{name!r} carries consent or billing at HubSpot; a sync does not write it.",
                where="hubspot",
                remedy="take it out of the sync's fields.",
            )


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
