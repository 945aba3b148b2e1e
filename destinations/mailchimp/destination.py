"""The destination: how Mailchimp's endpoints are used.

Nobody's status is ever changed. New people come in with ``new_member_status`` through a batch that leaves everyone
alone who is on the list already; those are then changed one by one without a status. So there is no moment between
reading a status and writing it in which someone who unsubscribes could be subscribed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
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
from millstream.destinations.mailchimp.answers import (
    id_of,
    member_id,
    outcome_of,
    refusal,
    refusal_of,
    segment_faults,
)
from millstream.destinations.mailchimp.settings import MailchimpSettings
from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, match_of, send_each, text_values
from millstream.state.errors import (
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    RefusedError,
)
from millstream.state.http import Answer, BasicAuth, RateLimit
from millstream.state.vendors.mailchimp import what_403_means

_MERGE_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,9}")
_LENIENT = {"skip_merge_validation": "true"}
"""Required merge fields bind the vendor's own forms; a sync that maps only some of them must not fail on the rest."""


class Mailchimp(Destination[MailchimpSettings]):
    """One audience (list) of a Mailchimp account."""

    name = "mailchimp"
    title = "Mailchimp"
    docs_url = "https://mailchimp.com/developer/marketing/api/"
    api_version = "3.0"
    Settings = MailchimpSettings
    # The vendor limits connections, not requests a second: 10 for all apps of a user, so one stays free.
    rate_limit = RateLimit(requests=1000, seconds=1.0, concurrency=9)
    match_keys = ("email",)
    modes = frozenset(SyncMode)
    fields = (
        DestinationField(name="FNAME", description="First name."),
        DestinationField(name="LNAME", description="Last name."),
        DestinationField(name="PHONE", description="Phone number."),
        DestinationField(name="BIRTHDAY", description="Birthday as MM/DD."),
        DestinationField(name="COMPANY", description="Company."),
    )
    custom_fields = True
    batch_size = 500
    membership_batch_size = 500
    idempotent = frozenset(Operation)

    def __init__(self, settings: MailchimpSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.root}))
        self._list = f"/lists/{quote(settings.list_id, safe='')}"

    def auth(self) -> AuthBase:
        """HTTP Basic with any user name."""
        return BasicAuth("millstream", self.settings.api_key)

    def probe(self) -> None:
        """Read the list's name."""
        self._require_list()

    def ensure_audience(self, audience: str) -> str:
        """The id of the tag (a static segment); tag names are the same in upper and lower case."""
        found = self._find_tag(audience)
        if found is None:
            try:
                made = self.http.post(f"{self._list}/segments", {"name": audience, "static_segment": []})
            except RefusedError:
                # Refused because the name is taken: another process made it first, or the search lags behind.
                found = self._find_segment(audience)
                if found is None:
                    raise
                return found
            return str(made["id"])
        return found

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create those who are new to the list; change the merge fields of the others one by one."""
        self._check_fields(rows)
        latest = last_of_each(rows)
        outcomes = self._create([row for row in latest if row.external_id is None])
        others = [row for row in latest if match_of(row) not in outcomes]
        return in_order(rows, outcomes | send_each(others, self._put, workers=self.rate_limit.concurrency))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change merge fields of those who are on the list."""
        self._check_fields(rows)
        latest = last_of_each(rows)
        return in_order(rows, send_each(latest, self._patch, workers=self.rate_limit.concurrency))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Tag people who are on the list."""
        answer = self._change_tag(audience_id, "members_to_add", rows)
        done = {str(member["email_address"]).lower() for member in answer.get("members_added") or ()}
        faults = segment_faults(answer)

        def check(row: DeliveryRow) -> Outcome:
            # The vendor passes over people who are not on the list, and may do so with those who have the tag.
            tags = self._tags(row)
            if tags is None:
                return rejected("not_on_list", "The person is not on the list, so cannot be tagged.")
            if audience_id in tags:
                return accepted(member_id(match_of(row)))
            return rejected("not_tagged", faults.get(match_of(row), "Mailchimp did not add the tag."))

        latest = last_of_each(rows)
        outcomes = {key: accepted(member_id(key)) for key in map(match_of, latest) if key in done}
        doubtful = [row for row in latest if match_of(row) not in done]
        return in_order(rows, outcomes | send_each(doubtful, check, workers=self.rate_limit.concurrency))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Take the tag off; status and list membership stay."""
        answer = self._change_tag(audience_id, "members_to_remove", rows)
        faults = segment_faults(answer)

        def check(row: DeliveryRow) -> Outcome:
            if audience_id in (self._tags(row) or ()):
                return rejected("still_tagged", faults[match_of(row)])
            return accepted(row.external_id)

        latest = last_of_each(rows)
        outcomes = {match_of(row): accepted(row.external_id) for row in latest}
        doubtful = [row for row in latest if match_of(row) in faults]
        return in_order(rows, outcomes | send_each(doubtful, check, workers=self.rate_limit.concurrency))

    def read_back(self, audience_id: str) -> Iterator[str]:
        """E-mail addresses of everyone with the tag, whatever their status."""
        everyone = {f"include_{status}": "true" for status in ("unsubscribed", "cleaned", "transactional")}
        fields = "members.email_address,total_items"
        path = f"{self._list}/segments/{audience_id}/members"
        for member in self._pages(path, "members", {**everyone, "fields": fields}):
            yield str(member["email_address"]).lower()

    def erase(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Delete people for good; Mailchimp takes their addresses back only through its own forms."""
        return in_order(rows, send_each(last_of_each(rows), self._erase, workers=self.rate_limit.concurrency))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """A 403 without a JSON body is a throttle under load; some 403 mean the key."""
        return what_403_means(answer)

    def _create(self, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes of new people and of faulty rows; who is on the list already has none."""
        if not rows:
            return {}
        status = self.settings.new_member_status
        members = [_member_body(row) | {"status": status} for row in rows]
        answer = self.http.post(self._list, {"members": members, "update_existing": False}, params=_LENIENT)
        outcomes = {
            str(member["email_address"]).lower(): outcome_of(member)
            for part in ("new_members", "updated_members")
            for member in answer.get(part) or ()
        }
        for fault in answer.get("errors") or ():
            if fault.get("error_code") != "ERROR_CONTACT_EXISTS":
                text = " ".join(filter(None, (fault.get("error"), fault.get("field_message"))))
                code = str(fault.get("error_code") or "refused").lower()
                email = str(fault.get("email_address", "")).lower()
                outcomes[email] = refusal(code, text, email)
        return outcomes

    def _put(self, row: DeliveryRow) -> Outcome:
        body = _member_body(row) | {"status_if_new": self.settings.new_member_status}
        try:
            return outcome_of(self.http.request("PUT", self._member(row), body=body, params=_LENIENT))
        except RefusedError as error:
            return refusal_of(error, row.match_value)

    def _patch(self, row: DeliveryRow) -> Outcome:
        body = {"merge_fields": text_values(row.fields)}
        try:
            return outcome_of(self.http.request("PATCH", self._member(row), body=body, params=_LENIENT))
        except NotFoundError:
            self._require_list()
            return rejected("not_on_list", "The person is not on the list, and this mode creates nobody.")
        except RefusedError as error:
            return refusal_of(error, row.match_value)

    def _erase(self, row: DeliveryRow) -> Outcome:
        try:
            self.http.post(f"{self._member(row)}/actions/delete-permanent")
        except NotFoundError:
            self._require_list()
        except RefusedError as error:
            return refusal_of(error, row.match_value)
        return accepted(row.external_id)

    def _change_tag(self, audience_id: str, part: str, rows: Sequence[DeliveryRow]) -> Mapping[str, Any]:
        emails = [row.match_value for row in last_of_each(rows)]
        answer: Mapping[str, Any] = self.http.post(f"{self._list}/segments/{audience_id}", {part: emails})
        return answer

    def _tags(self, row: DeliveryRow) -> set[str] | None:
        """Ids of a person's tags; None for someone who is not on the list."""
        try:
            member = self.http.get(self._member(row), {"fields": "id,status,tags"})
        except NotFoundError:
            self._require_list()
            return None
        return {str(tag["id"]) for tag in member.get("tags") or ()}

    def _find_tag(self, name: str) -> str | None:
        answer = self.http.get(f"{self._list}/tag-search", {"name": name})
        return id_of(name, answer.get("tags") or ())

    def _find_segment(self, name: str) -> str | None:
        query = {"type": "static", "fields": "segments.id,segments.name,total_items"}
        return id_of(name, self._pages(f"{self._list}/segments", "segments", query))

    def _pages(self, path: str, records: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        offset = 0
        while True:
            answer = self.http.get(path, {**query, "count": 1000, "offset": offset})
            found = answer.get(records) or ()
            yield from found
            offset += len(found)
            if not found or offset >= int(answer["total_items"]):
                return

    def _member(self, row: DeliveryRow) -> str:
        return f"{self._list}/members/{member_id(match_of(row))}"

    def _require_list(self) -> None:
        """Tell a missing person from a missing list: both are 404."""
        try:
            self.http.get(self._list, {"fields": "id,name"})
        except NotFoundError as error:
            raise NotFoundError(
                f"The account has no list {self.settings.list_id!r}.",
                where=self.name,
                remedy="set list_id to the audience id that Mailchimp shows in the audience's settings.",
            ) from error

    @cached_property
    def _merge_fields(self) -> dict[str, str]:
        """Types of the list's merge fields by tag."""
        query = {"fields": "merge_fields.tag,merge_fields.type,total_items"}
        found = self._pages(f"{self._list}/merge-fields", "merge_fields", query)
        return {str(field["tag"]): str(field.get("type", "text")) for field in found}

    def _check_fields(self, rows: Sequence[DeliveryRow]) -> None:
        """Stop on a merge tag that the list does not have: the vendor would drop its values in silence."""
        for tag in sorted(set().union(*(row.fields for row in rows))):
            if not _MERGE_TAG.fullmatch(tag):
                raise ConfigurationError(
                    f"{tag!r} is no merge tag (upper-case letters, digits, underscores; at most 10).",
                    where=self.name,
                )
            if tag not in self._merge_fields:
                raise ConfigurationError(
                    f"The list has no merge field {tag!r}.",
                    where=self.name,
                    allowed=sorted(self._merge_fields),
                    remedy="create it in the audience's settings, or map another.",
                )
            if self._merge_fields[tag] == "address":
                raise ConfigurationError(
                    f"Merge field {tag!r} is an address of several parts, which a sync cannot fill.",
                    where=self.name,
                    remedy="map the parts to text fields.",
                )


def _member_body(row: DeliveryRow) -> dict[str, object]:
    fields = {"merge_fields": text_values(row.fields)} if row.fields else {}
    return {"email_address": row.match_value, **fields}
