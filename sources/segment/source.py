"""Segment: its calls, sent to us; its webhooks and those of other vendors; its Profile API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.sources.contract import Page, Row, Source, Stream
from millstream.sources.receiving import (
    Incoming,
    ReceiverSettings,
    Receives,
    RefusedRequestError,
    SpoolReader,
    Taken,
)
from millstream.sources.segment import profiles, rows, streams
from millstream.sources.segment.settings import SegmentSettings
from millstream.sources.segment.tracking import REJECTED, Senders, call_of, parsed, take_calls, taken_of
from millstream.sources.segment.users import UserReader
from millstream.sources.segment.webhooks import WebhookSettings, check_signature, deliveries
from millstream.state.errors import ConfigurationError, MillstreamError
from millstream.state.http import Answer, RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull

_WEBHOOKS = "/webhooks/"
_LAST = "rejected"
"""The stream that is read last of those of received messages, and so knows what all have loaded."""

Shape = Callable[[dict[str, Any]], list[Row]]


class Segment(Source[SegmentSettings], Receives):
    """Segment, in its stead or behind it."""

    name = "segment"
    title = "Segment"
    category = "analytics"
    docs_url = "https://www.twilio.com/docs/segment"
    api_version = "v1"
    Settings = SegmentSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=100, seconds=1.0, concurrency=profiles.AT_ONCE)
    too_large: ClassVar[int] = 400

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__(settings)
        self._senders = Senders(settings.write_keys)
        self._profiles = profiles.ProfileReader(settings)
        received = [stream.name for stream in self._received() if self._is_selected(stream.name)]
        self._last = _LAST if _LAST in received else (received or [""])[-1]
        self._spool = SpoolReader(settings, received)

    def _is_selected(self, stream: str) -> bool:
        return self.settings.streams is None or stream in self.settings.streams

    # -- what is read ------------------------------------------------------------------------------------------

    def auth(self) -> AuthBase:
        """The space's token for the Profile API; nothing else is asked."""
        return profiles.SpaceAuth(self.settings.profile_token)

    def pace(self) -> RateLimit:
        """The space's limit a second."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def streams(self) -> tuple[Stream, ...]:
        """What was received, and then the profiles of those it was about."""
        return (*self._received(), *(self._profiles.streams() if self.settings.has_profiles else ()))

    def _received(self) -> tuple[Stream, ...]:
        settings = self.settings
        alias_row = partial(rows.alias_row, previous_ids=settings.previous_ids)
        return (
            streams.identifies(self._read("identify", rows.identify_row), settings),
            streams.users(self._read_users, settings),
            streams.tracks(self._read("track", rows.track_row), settings),
            streams.pages(self._read("page", rows.page_row), settings),
            streams.screens(self._read("screen", rows.screen_row), settings),
            streams.groups(self._read("group", rows.group_row), settings),
            streams.aliases(self._read("alias", alias_row), settings),
            streams.webhooks(self._read("webhook", rows.webhook_row)),
            streams.rejected(self._read(REJECTED, rows.rejected_row)),
        )

    def _read(self, kind: str, shape: Shape) -> Callable[[Pull], Iterator[Page]]:
        def read(pull: Pull) -> Iterator[Page]:
            yield from self._spool.pages(pull, (kind,), shape)
            yield from self._finish(pull)

        return read

    def _read_users(self, pull: Pull) -> Iterator[Page]:
        yield from UserReader(self.settings, self._spool).read(pull)
        yield from self._finish(pull)

    def _finish(self, pull: Pull) -> Iterator[Page]:
        if pull.stream.name == self._last:
            yield from self._spool.remove_loaded(pull)

    def probe(self, pull: Pull) -> None:
        """Look for the spool, and ask the Profile API for somebody it does not know."""
        if self.settings.write_keys or self.settings.webhooks or not self.settings.has_profiles:
            self._spool.check()
        if self.settings.has_profiles:
            self._profiles.probe(pull)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The Profile API's words."""
        return profiles.error_of(answer)

    # -- what is received --------------------------------------------------------------------------------------

    @property
    def reception(self) -> ReceiverSettings:
        """The settings of the receiver."""
        return self.settings

    def check_reception(self) -> None:
        """See that there is a write key or a webhook."""
        if not (self.settings.write_keys or self.settings.webhooks):
            raise ConfigurationError(
                "Nobody could send anything: there is no write key, and no webhook.",
                where=f"source {self.name}",
                remedy="set `write_keys`, as {web: {env: SEGMENT_WRITE_KEY}}, or `webhooks`.",
            )

    def take(self, request: Incoming) -> Taken:
        """See who sent a request, and what in it is to be kept."""
        if request.path.startswith(_WEBHOOKS):
            return self._take_webhook(request.path.removeprefix(_WEBHOOKS).rstrip("/"), request)
        call = call_of(request.path)
        if call is None:
            raise RefusedRequestError(404, "Calls go to /v1/<call>, webhooks to /webhooks/<name>.")
        body = parsed(request.body)
        via = self._senders.name_of(request.headers, body)
        return take_calls(call, body, via=via, received_at=request.received_at, message_kb=self.settings.message_kb)

    def _take_webhook(self, name: str, request: Incoming) -> Taken:
        how: WebhookSettings | None = self.settings.webhooks.get(name)
        if how is None:
            raise RefusedRequestError(404, "There is no such webhook.")
        check_signature(how, request)
        found = tuple(deliveries(name, how, request))
        if how.contains == "anything":
            return Taken(found)
        received = {"received_at": request.received_at.isoformat(), "via": f"webhook:{name}", "passed_on": True}
        return taken_of([one.record["body"] for one in found], received, self.settings.message_kb)
