"""The destination: how Vero's endpoints are used.

Vero can be written to and not be read. It drops an identify call whose data it had minutes before, also where other
data came in between: so users who are known to be there are changed by ``edit``, which it never drops, and an identify
call that it says it dropped is followed by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    FieldValue,
    Outcome,
    accepted,
    accepted_async,
)
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, rfc3339, send_each
from millstream.destinations.vero.answers import NOT_FOUND, problem_of, refusal_of, was_dropped
from millstream.destinations.vero.settings import VeroSettings
from millstream.destinations.vero.token import TokenInBody
from millstream.state.errors import ConfigurationError, MillstreamError, RefusedError
from millstream.state.http import Answer, RateLimit

_BESIDE_DATA = ("email", "phone_number")
"""Fields that an identify call takes beside the properties."""

_NO_PROPERTIES = frozenset({"auth_token", "channels", "id"})
_UNSUBSCRIBES = "unsubscribed"
"""A tag with a meaning: whoever gets it is unsubscribed from everything."""


class Vero(Destination[VeroSettings]):
    """Users of a Vero project, and their tags."""

    name = "vero"
    title = "Vero"
    docs_url = "https://help.getvero.com/track-api-reference"
    api_version = "v2"
    Settings = VeroSettings
    rate_limit = RateLimit(requests=10, seconds=1.0, concurrency=4, adaptive=True)
    match_keys = ("id",)
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="email", max_length=254, description="E-mail address."),
        DestinationField(name="phone_number", description="Phone number, as +14155552671."),
        DestinationField(name="first_name", description="First name."),
        DestinationField(name="last_name", description="Last name."),
        DestinationField(name="language", description="Language; Vero's own scripts may write it, too."),
        DestinationField(name="timezone", description="Time zone; Vero's own scripts may write it, too."),
    )
    custom_fields = True
    custom_field_type = None
    consent_fields = ("unsubscribed", "subscribed", "resubscribed")
    batch_size = 50
    membership_batch_size = 50
    idempotent = frozenset(Operation)
    # Not deletion: Vero knows no opt-out of somebody deleted, so whoever comes back would be subscribed again.
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS})
    one_by_one: ClassVar[frozenset[Operation | Leaving]] = frozenset({*Operation, *Leaving})

    def auth(self) -> AuthBase:
        """The token, in the body."""
        return TokenInBody(self.settings.auth_token)

    def pace(self) -> RateLimit:
        """The pace to begin with, as the settings give it."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def probe(self) -> None:
        """Make a request that Vero looks at the token of, and can carry out nothing of: it names no user."""
        try:
            self.http.request("PUT", "/users/edit", body={})
        except RefusedError as error:
            if error.status == NOT_FOUND:
                raise

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """None: properties appear on first use.

        Raises:
            ConfigurationError: One is no property.
        """
        if taken := sorted(_NO_PROPERTIES.intersection(names)):
            raise ConfigurationError(
                f"{taken[0]!r} is no property of a user at Vero.", where="vero", remedy="take it out of the fields."
            )
        return []

    def ensure_audience(self, audience: str) -> str:
        """The tag itself: tags appear on first use.

        Raises:
            ConfigurationError: The tag would unsubscribe whoever gets it.
        """
        if audience.strip().casefold() == _UNSUBSCRIBES:
            raise ConfigurationError(
                f"Vero's tag {audience!r} unsubscribes whoever gets it; it is no audience.",
                where="vero",
                remedy="give the sync another name in 'into'.",
            )
        return audience

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create users, or change them where they were acknowledged before."""
        return self._each(rows, self._write)

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change users who are there. Vero takes changes of strangers without a word, and creates nobody."""
        return self._each(rows, self._edit)

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put the tag on users."""
        return self._each(rows, lambda row: self._tag(row, "add", audience_id))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take the tag off; who is not there any more counts as out."""
        return self._each(rows, lambda row: self._tag(row, "remove", audience_id), gone_is_done=True)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete users with their history."""
        return self._each(rows, self._delete, gone_is_done=True)

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """One for each row, and one more for a tag that comes or goes beside it."""
        both = operation is Operation.ADD or (operation is Operation.REMOVE and leaving is not Leaving.LEAVE_AUDIENCE)
        return rows * (2 if both and in_audience else 1)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Vero's words without the token."""
        return problem_of(answer, self.settings.auth_token.get_secret_value())

    def _each(
        self, rows: Sequence[DeliveryRow], send: Callable[[DeliveryRow], Outcome], *, gone_is_done: bool = False
    ) -> list[Outcome]:
        def one(row: DeliveryRow) -> Outcome:
            try:
                return send(row)
            except RefusedError as error:
                if gone_is_done and error.status == NOT_FOUND:
                    return accepted(row.external_id)
                return refusal_of(error, row.match_value)

        return in_order(rows, send_each(last_of_each(rows), one, workers=self.rate_limit.concurrency))

    def _write(self, row: DeliveryRow) -> Outcome:
        if row.external_id is not None:
            self._edit(row)
            # Said of whoever is there; of somebody who was deleted in Vero since, it says the same and does nothing.
            return accepted_async(row.external_id)
        values = _values(row)
        beside = {name: values[name] for name in _BESIDE_DATA if values.get(name) is not None}
        data = {name: value for name, value in values.items() if name not in _BESIDE_DATA}
        body = {"id": row.match_value, **beside, **({"data": data} if data else {})}
        if was_dropped(self.http.post("/users/track", body)):
            self._edit(row)
        return accepted(row.match_value)

    def _edit(self, row: DeliveryRow) -> Outcome:
        if row.fields:
            self.http.request("PUT", "/users/edit", body={"id": _id_of(row), "changes": _values(row)})
        return accepted_async()

    def _tag(self, row: DeliveryRow, action: str, tag: str) -> Outcome:
        self.http.request("PUT", "/users/tags/edit", body={"id": _id_of(row), action: [tag]})
        return accepted_async() if action == "add" else accepted(row.external_id)

    def _delete(self, row: DeliveryRow) -> Outcome:
        self.http.post("/users/delete", {"id": _id_of(row)})
        return accepted(row.external_id)


def _id_of(row: DeliveryRow) -> str:
    return row.external_id or row.match_value


def _values(row: DeliveryRow) -> Mapping[str, FieldValue]:
    """Properties as Vero takes them: moments as ISO 8601 has them, null to clear."""
    return {name: rfc3339(value) if isinstance(value, str) else value for name, value in row.fields.items()}
