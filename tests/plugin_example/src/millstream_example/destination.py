"""The smallest destination: it mirrors a list of e-mail addresses with one field."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, SecretStr
from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    DestinationSettings,
    Outcome,
    accepted,
)
from millstream.destinations.modes import Operation, SyncMode
from millstream.state.http import BearerAuth, RateLimit


class ExampleSettings(DestinationSettings):
    base_url: str = Field(default="https://api.example.com", description="Root of the API.")
    token: SecretStr = Field(description="The account's token.")
    list_id: str = Field(description="The list to keep.")


class Example(Destination[ExampleSettings]):
    name = "example"
    title = "Example"
    docs_url = "https://example.com/docs"
    api_version = "2"
    Settings = ExampleSettings
    rate_limit = RateLimit(requests=10, seconds=1)
    match_keys = ("email",)
    modes = frozenset({SyncMode.MIRROR, SyncMode.ADD})
    fields = (DestinationField(name="city", description="City."),)
    batch_size = 100
    membership_batch_size = 100
    idempotent = frozenset(Operation)

    def auth(self) -> AuthBase:
        return BearerAuth(self.settings.token)

    def probe(self) -> None:
        self.http.get(f"/lists/{self.settings.list_id}")

    def ensure_audience(self, audience: str) -> str:
        return audience

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        return [accepted() for _ in rows]

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        return [accepted() for _ in rows]

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        return [accepted() for _ in rows]
