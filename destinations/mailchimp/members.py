"""People of one list, one request each."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from millstream.destinations.contract import DeliveryRow, Outcome, accepted
from millstream.destinations.http import Http
from millstream.destinations.mailchimp.answers import member_id, not_on_list, outcome_of, refusal_of
from millstream.destinations.mailchimp.jobs import Request
from millstream.destinations.mailchimp.settings import MailchimpSettings
from millstream.destinations.rows import text_values
from millstream.state.errors import NotFoundError, RefusedError

LENIENT: Mapping[str, str] = {"skip_merge_validation": "true"}
"""Required merge fields bind the vendor's own forms; a sync that maps only some of them must not fail on the rest."""

_STAYS = ("unsubscribed", "cleaned", "archived")
_NOT_ALLOWED = 405


class Members:
    """The people of the list that the settings name.

    Args:
        http: The engine's HTTP for the account.
        settings: Names the list, and the status of people who are new to it.

    Attributes:
        list_path: The list's path.
    """

    def __init__(self, http: Http, settings: MailchimpSettings) -> None:
        self._http = http
        self._settings = settings
        self.list_path = f"/lists/{quote(settings.list_id, safe='')}"

    def put(self, row: DeliveryRow) -> Outcome:
        """Create or change one person; the status of someone who is there stays."""
        return self._write(self.writing(row, creates=True))

    def patch(self, row: DeliveryRow) -> Outcome:
        """Change one person who is there."""
        return self._write(self.writing(row, creates=False))

    def writing(self, row: DeliveryRow, *, creates: bool) -> Request:
        """The request that changes one person, for itself or as an operation of a job."""
        body: dict[str, object] = {"merge_fields": text_values(row.fields)}
        if creates:
            body = fields_of(row) | {"status_if_new": self._settings.new_member_status}
        return Request(
            number=row.number,
            method="PUT" if creates else "PATCH",
            path=self._path(row),
            params=LENIENT,
            body=body,
            email=row.match_value,
        )

    def archive(self, row: DeliveryRow) -> Outcome:
        """Archive one person. An archived person's status is hidden, so whoever left stays as having left.

        Else someone who unsubscribed, and comes back into the audience later, would be taken for new.
        """
        try:
            if self._http.get(self._path(row), {"fields": "id,status"})["status"] not in _STAYS:
                self._http.request("DELETE", self._path(row))
        except NotFoundError:
            self.require_list()
        except RefusedError as error:
            # Archived by someone else between the two requests.
            if error.status != _NOT_ALLOWED:
                return refusal_of(error, row.match_value)
        return accepted(row.external_id)

    def erase(self, row: DeliveryRow) -> Outcome:
        """Delete one person for good."""
        try:
            self._http.post(f"{self._path(row)}/actions/delete-permanent")
        except NotFoundError:
            self.require_list()
        except RefusedError as error:
            return refusal_of(error, row.match_value)
        return accepted(row.external_id)

    def tags(self, row: DeliveryRow) -> set[str] | None:
        """Ids of a person's tags; None for someone who is not on the list."""
        try:
            member = self._http.get(self._path(row), {"fields": "id,status,tags"})
        except NotFoundError:
            self.require_list()
            return None
        return {str(tag["id"]) for tag in member.get("tags") or ()}

    def require_list(self) -> None:
        """Tell a missing person from a missing list: both are 404.

        Raises:
            NotFoundError: The account has no such list.
        """
        try:
            self._http.get(self.list_path, {"fields": "id,name"})
        except NotFoundError as error:
            raise NotFoundError(
                f"The account has no list {self._settings.list_id!r}.",
                where="mailchimp",
                remedy="set list_id to the audience id that Mailchimp shows in the audience's settings.",
            ) from error

    def _write(self, request: Request) -> Outcome:
        try:
            return outcome_of(
                self._http.request(request.method, request.path, body=request.body, params=request.params)
            )
        except NotFoundError:
            self.require_list()
            return not_on_list()
        except RefusedError as error:
            return refusal_of(error, request.email)

    def _path(self, row: DeliveryRow) -> str:
        return f"{self.list_path}/members/{member_id(row.key)}"


def fields_of(row: DeliveryRow) -> dict[str, object]:
    """The address and the merge fields of a row as Mailchimp takes them."""
    fields = {"merge_fields": text_values(row.fields)} if row.fields else {}
    return {"email_address": row.match_value, **fields}
