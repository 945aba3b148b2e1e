"""The destination: batches of people as JSON, posted to an address of one's own.

There is no vendor, so the contract is ours; docs/destinations/webhook.md is for whoever writes the receiver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import DeliveryRow, Destination, DestinationField, Outcome, rejected
from millstream.destinations.fields import USUAL_KEYS
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, masked
from millstream.destinations.webhook.answers import outcomes_of, problem_of
from millstream.destinations.webhook.batches import ENVELOPE_BYTES, Batch, Verb, record_bytes
from millstream.destinations.webhook.settings import WebhookSettings
from millstream.destinations.webhook.signing import Credentials
from millstream.state.errors import MillstreamError, RefusedError
from millstream.state.http import Answer, Caution, RateLimit

_ANSWER_BYTES = 65_536
_RESULT_BYTES = 512
"""Of one row in an answer's results."""


class Webhook(Destination[WebhookSettings]):
    """A receiver of one's own."""

    name = "webhook"
    title = "Webhook"
    docs_url = "https://docs.stripe.com/webhooks/signature"  # our contract; the signature is of this scheme
    api_version = "1"
    Settings = WebhookSettings
    rate_limit = RateLimit(requests=10, seconds=1.0, concurrency=4)
    match_keys = USUAL_KEYS
    modes = frozenset({SyncMode.MIRROR, SyncMode.ADD, SyncMode.REMOVE})
    fields: tuple[DestinationField, ...] = ()
    custom_fields = True
    custom_field_type = None
    batch_size = 1_000
    membership_batch_size = 1_000
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.DELETE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "The receiver is told to delete the person, in whatever other audiences they are.",
    }
    one_by_one = frozenset()
    audience_only = True
    whole_rows = True

    def __init__(self, settings: WebhookSettings) -> None:
        super().__init__(settings)
        self.batch_size = self.membership_batch_size = settings.records_per_request
        self.largest_request = self.largest_row = settings.bytes_per_request - ENVELOPE_BYTES

    def auth(self) -> AuthBase:
        """The signature, and whatever else the receiver asks for."""
        return Credentials(self.settings)

    def pace(self) -> RateLimit:
        """The pace that the settings give."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    @property
    def http(self) -> Http:
        """The engine's HTTP, with care: the address may be anybody's."""
        caution = Caution(
            public_only=not self.settings.allow_private_networks,
            most_bytes=_ANSWER_BYTES + _RESULT_BYTES * self.settings.records_per_request,
        )
        return self.open_http(
            "",
            base_url=self.settings.base_url,
            auth=self.auth(),
            limit=self.pace(),
            classify=self.classify,
            caution=caution,
        )

    def probe(self) -> None:
        """Ask for the address without posting: also a receiver that takes nothing but posts shows that it is there."""
        with suppress(RefusedError):
            self.http.answer("GET", self.settings.base_url, headers={"Accept": "*/*"})

    def ensure_audience(self, audience: str) -> str:
        """Its name: the receiver knows audiences by it. Who may not post is told before there are rows."""
        self.probe()
        return audience

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tell who is in the audience, with all fields."""
        return self._post("upsert", audience_id, rows, match_key)

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tell who left the audience."""
        return self._post("remove", audience_id, rows, match_key)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tell who is to be deleted."""
        return self._post("delete", None, rows, match_key)

    def row_bytes(self, row: DeliveryRow) -> int:
        """About the bytes of its record."""
        return record_bytes(row)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """What 404, 405, 409 and 410 mean for an address that people are posted to."""
        return problem_of(answer)

    def _post(
        self, operation: Verb, audience: str | None, rows: Sequence[DeliveryRow], match_key: str
    ) -> list[Outcome]:
        if not rows:
            return []
        batch = Batch(
            plan=self.plan, operation=operation, audience=audience, match_key=match_key, rows=last_of_each(rows)
        )
        body = batch.body(self.name)
        headers = {"Accept": "*/*", "Idempotency-Key": str(body["batch_id"])}
        try:
            answer = self.http.answer("POST", self.settings.base_url, body=body, headers=headers)
        except RefusedError as error:
            if len(rows) > 1:
                raise
            return [rejected(str(error.status), masked(error.what, rows[0].match_value))]
        return in_order(rows, outcomes_of(answer, batch))
