"""Contacts, one request each, and what is read about many of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millstream.destinations.activecampaign.answers import refusal_of
from millstream.destinations.activecampaign.audiences import Audiences
from millstream.destinations.activecampaign.custom_fields import CustomFields
from millstream.destinations.activecampaign.paging import LARGEST_PAGE, pages
from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.http import Http
from millstream.state.errors import NotFoundError, RefusedError

NOT_FOUND = rejected("not_found", "ActiveCampaign has no contact with this address.")
_GONE = rejected("record_missing", "ActiveCampaign no longer has the contact with the id we know.")


class People:
    """The account's contacts.

    Args:
        http: The engine's HTTP for the account.
        fields: Its custom fields.
        audiences: Its tags.
    """

    def __init__(self, http: Http, fields: CustomFields, audiences: Audiences) -> None:
        self._http = http
        self._fields = fields
        self._audiences = audiences

    def write(self, row: DeliveryRow) -> Outcome:
        """Create or change a contact by its address; lists and subscriptions stay."""
        body = {"email": row.match_value, **self._fields.in_contact(row.fields)}
        try:
            return accepted(str(self._http.post("/contact/sync", {"contact": body})["contact"]["id"]))
        except RefusedError as error:
            return refusal_of(error, row.match_value)

    def change(self, row: DeliveryRow) -> Outcome:
        """Change a contact that is there."""
        body = {"contact": self._fields.in_contact(row.fields)}
        for number in self._numbers(row):
            try:
                self._http.request("PUT", f"/contacts/{number}", body=body)
            except NotFoundError:
                continue
            except RefusedError as error:
                return refusal_of(error, row.match_value)
            return accepted(number)
        return NOT_FOUND

    def tag(self, row: DeliveryRow, tag: str) -> Outcome:
        """Put a tag on a contact; on one who has it, nothing changes."""
        number = row.external_id or self.number_of(row)
        if number is None:
            return NOT_FOUND
        try:
            self._http.post("/contactTags", {"contactTag": {"contact": number, "tag": tag}})
        except NotFoundError:
            self._audiences.require_tag(tag)
            return _GONE
        except RefusedError as error:
            return refusal_of(error, row.match_value)
        return accepted(number)

    def untag(self, row: DeliveryRow, tag: str) -> Outcome:
        """Take a tag off a contact; who does not have it, or is not there, is without."""
        for number in self._numbers(row):
            try:
                links = list(pages(self._http, f"/contacts/{number}/contactTags", "contactTags"))
            except NotFoundError:
                continue
            for link in links:
                if str(link["tag"]) == tag:
                    self._delete(f"/contactTags/{link['id']}")
            break
        return accepted(row.external_id)

    def erase(self, row: DeliveryRow) -> Outcome:
        """Delete a contact; who is not there counts as deleted."""
        for number in self._numbers(row):
            if self._delete(f"/contacts/{number}"):
                break
        return accepted(row.external_id)

    def number_of(self, row: DeliveryRow) -> str | None:
        """The contact's number, by its address."""
        found = self._http.get("/contacts", {"email": row.match_value})["contacts"]
        return next((str(one["id"]) for one in found if _email_of(one) == row.key), None)

    def by_number(self, numbers: Sequence[str], *, include: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Pages of contacts with these numbers, as many as are there, with what is included."""
        also = {"include": include} if include else {}
        for start in range(0, len(numbers), LARGEST_PAGE):
            some = list(numbers[start : start + LARGEST_PAGE])
            yield self._http.get("/contacts", {"ids[]": some, "limit": LARGEST_PAGE, **also})

    def emails(self, numbers: Sequence[str]) -> dict[str, str]:
        """Numbers by address, of those contacts that are there."""
        return {_email_of(one): str(one["id"]) for page in self.by_number(numbers) for one in page["contacts"]}

    def list_statuses(self, numbers: Sequence[str], list_number: str) -> dict[str, str]:
        """How contacts stand with a list, by their numbers; who was never on it is left out."""
        found: dict[str, str] = {}
        for page in self.by_number(numbers, include="contactLists"):
            links = page.get("contactLists")
            if links is None:
                # Not told along with the contacts: asked for each.
                links = [
                    link
                    for one in page["contacts"]
                    for link in pages(self._http, f"/contacts/{one['id']}/contactLists", "contactLists")
                ]
            found |= {str(link["contact"]): str(link["status"]) for link in links if str(link["list"]) == list_number}
        return found

    def _numbers(self, row: DeliveryRow) -> Iterator[str]:
        """The number that was acknowledged, then the one that the address has by now, if that is another."""
        if row.external_id:
            yield row.external_id
        found = self.number_of(row)
        if found is not None and found != row.external_id:
            yield found

    def _delete(self, path: str) -> bool:
        try:
            self._http.request("DELETE", path)
        except NotFoundError:
            return False
        return True


def _email_of(contact: Mapping[str, Any]) -> str:
    return str(contact["email"]).strip().lower()
