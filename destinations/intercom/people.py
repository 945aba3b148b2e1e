"""Contacts, one request each.

Somebody is changed by Intercom's id of them. Who has none yet is created; where Intercom says that they are there
already, it says by which id, and they are changed by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, retry_later, suppressed
from millstream.destinations.http import Http
from millstream.destinations.intercom.answers import (
    ARCHIVED,
    BLOCKED,
    CONFLICT,
    NOT_FOUND,
    OTHER_PERSON,
    STRANGER,
    contact_in_the_way,
    is_archived,
    refusal_of,
)
from millstream.destinations.intercom.attributes import Attributes
from millstream.destinations.intercom.directory import Directory, Found, value_of
from millstream.destinations.intercom.settings import IntercomSettings
from millstream.state.errors import NotFoundError, RefusedError, UnknownOutcomeError

_BY_ID = "external_id"


class People:
    """The contacts of one workspace, as the rows of one batch mean them.

    Args:
        http: HTTP for the workspace.
        attributes: Its attributes.
        directory: Looks contacts up.
        settings: What the connection says.
        found: Contacts of the batch that were looked up before.
    """

    def __init__(
        self,
        http: Http,
        attributes: Attributes,
        directory: Directory,
        settings: IntercomSettings,
        found: Found,
    ) -> None:
        self._http = http
        self._attributes = attributes
        self._directory = directory
        self._settings = settings
        self._found = found
        self._match_key = found.match_key

    def write(self, row: DeliveryRow) -> Outcome:
        """Change a contact, or create it."""
        return self._change(row) or self._create(row)

    def change(self, row: DeliveryRow) -> Outcome:
        """Change a contact that is there."""
        return self._change(row) or STRANGER

    def tag(self, row: DeliveryRow, tag: str) -> Outcome:
        """Put a tag on a contact; on one who has it, nothing changes."""
        for contact in self._ids(row):
            try:
                self._http.post(f"/contacts/{contact}/tags", {"id": tag})
            except RefusedError as error:
                if error.status != NOT_FOUND:
                    return refusal_of(error, row)
                self._require_tag(tag)
                continue
            return accepted(contact)
        return STRANGER

    def untag(self, row: DeliveryRow, tag: str) -> Outcome:
        """Take a tag off a contact; who does not have it, or is not there, is without."""
        return self._done(row, lambda contact: self._http.request("DELETE", f"/contacts/{contact}/tags/{tag}"))

    def archive(self, row: DeliveryRow) -> Outcome:
        """Put a contact into the archive; who is not there counts as archived."""
        return self._done(row, lambda contact: self._http.post(f"/contacts/{contact}/archive"))

    def erase(self, row: DeliveryRow) -> Outcome:
        """Delete a contact for good, and every other that the match value means."""
        contacts = [row.external_id] if row.external_id else []
        contacts += [one.id for one in self._found.all_of(row)]
        for contact in dict.fromkeys(contacts):
            try:
                self._http.request("DELETE", f"/contacts/{contact}")
            except RefusedError as error:
                if error.status != NOT_FOUND:
                    return refusal_of(error, row)
        return accepted(row.external_id)

    def _ids(self, row: DeliveryRow) -> Iterator[str]:
        """The id that was acknowledged; then the one that the match value has by now, if that is another."""
        found = self._found
        if row.external_id:
            yield row.external_id
            # It is asked for only now: the contact is gone, or became part of another.
            without = DeliveryRow(number=row.number, match_value=row.match_value, fields={})
            found = self._directory.of([without], self._match_key)
        yield from (one.id for one in found.all_of(row)[:1] if one.id != row.external_id)

    def _done(self, row: DeliveryRow, act: Callable[[str], object]) -> Outcome:
        for contact in self._ids(row):
            try:
                act(contact)
            except RefusedError as error:
                if error.status == NOT_FOUND:
                    continue
                return refusal_of(error, row)
            break
        return accepted(row.external_id)

    def _change(self, row: DeliveryRow) -> Outcome | None:
        """Change a contact by its id; None: there is none."""
        for contact in self._ids(row):
            if opt_out := self._found.opt_out_of_another(row, contact):
                return _may_not_get_mail(opt_out)
            if (outcome := self._put(contact, row)) is not None:
                return outcome
        return None

    def _put(self, contact: str, row: DeliveryRow, **more: str) -> Outcome | None:
        """Change a contact; None: it is not there."""
        fields = {name: value for name, value in row.fields.items() if name != self._match_key}
        body = {**self._attributes.in_contact(fields), **more}
        if not body:
            return accepted(contact)
        try:
            self._http.request("PUT", f"/contacts/{contact}", body=body)
        except RefusedError as error:
            return None if error.status == NOT_FOUND else refusal_of(error, row)
        return accepted(contact)

    def _create(self, row: DeliveryRow) -> Outcome:
        if opt_out := self._found.opt_out_of_another(row, None):
            return _may_not_get_mail(opt_out)
        role = "user" if self._match_key == _BY_ID else self._settings.new_contacts
        fields = {name: value for name, value in row.fields.items() if value is not None}
        named = {self._match_key: value_of(row, self._match_key)}
        body = {"role": role, **self._attributes.in_contact(fields), **named}
        try:
            # Two leads may have one address: a second request would make a second lead.
            made = self._http.post("/contacts", body, replay=role == "user")
        except UnknownOutcomeError as error:
            return retry_later("unanswered", f"{error.what} The next run looks whether the lead is there.")
        except RefusedError as error:
            if error.status == NOT_FOUND:
                raise NotFoundError(error.what, remedy="check base_url.") from error
            return self._take_over(error, row) if error.status == CONFLICT else refusal_of(error, row)
        return accepted(str(made["id"]))

    def _take_over(self, error: RefusedError, row: DeliveryRow) -> Outcome:
        """Change the contact that is in the way of creating one, if it is the same person."""
        contact = contact_in_the_way(error)
        if contact is None:
            return refusal_of(error, row)
        if not is_archived(error) and (outcome := self._adopt(contact, row)) is not None:
            return outcome
        if not self._settings.bring_back_archived:
            return ARCHIVED
        # Archived once more it stays what it is, and the answer tells whose it is.
        held = self._at(contact, "POST", "/archive")
        if held is not None and self._is_another(held, row):
            return OTHER_PERSON
        if held is None or self._at(contact, "POST", "/unarchive") is None:
            return BLOCKED
        return self._adopt(contact, row) or BLOCKED

    def _adopt(self, contact: str, row: DeliveryRow) -> Outcome | None:
        """Change a contact whose id Intercom told; None: it is there, and cannot be changed."""
        if self._match_key != _BY_ID:
            return self._put(contact, row)
        if (held := self._at(contact, "GET", "")) is None:
            return None
        if self._is_another(held, row):
            return OTHER_PERSON
        claimed = {} if held.get(_BY_ID) else {_BY_ID: value_of(row, _BY_ID)}
        return self._put(contact, row, **claimed)

    def _is_another(self, held: dict[str, Any], row: DeliveryRow) -> bool:
        external_id = held.get(_BY_ID)
        return self._match_key == _BY_ID and bool(external_id) and external_id != value_of(row, _BY_ID)

    def _at(self, contact: str, method: str, path: str) -> dict[str, Any] | None:
        """What Intercom says of a contact; None: it is not there."""
        try:
            told: dict[str, Any] = self._http.request(method, f"/contacts/{contact}{path}")
        except RefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return told

    def _require_tag(self, tag: str) -> None:
        """Make sure that it is the contact that is gone, and not the tag.

        Raises:
            NotFoundError: It is the tag.
        """
        try:
            self._http.get(f"/tags/{tag}")
        except RefusedError as error:
            remedy = "somebody deleted it: run again, and it is made anew."
            raise NotFoundError("Intercom no longer has the tag of the sync.", remedy=remedy) from error


def _may_not_get_mail(opt_out: str) -> Outcome:
    reason = "Another contact with this e-mail address may not get mail; this one could."
    return suppressed(opt_out, reason)
