"""Settings of Segment: who may send, what messages say of people, and the Profile API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from millstream.sources.contract import SourceSettings
from millstream.sources.from_project import Kind, TraitSettings, column_name
from millstream.sources.receiving import ReceiverSettings
from millstream.sources.segment.webhooks import WebhookSettings

PROFILES_URL = "https://profiles.segment.com"
EVENT_DAYS = 14
"""How long the Profile API has events."""


class ConsentCategory(BaseModel):
    """What a category of the consent object allows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Literal["email", "sms", "push", "phone", "post", "ads"] = Field(description="Where people are addressed.")
    topic: str = Field(default="marketing", description="What the consent is for.")


class SegmentSettings(SourceSettings, ReceiverSettings):
    """What is sent to us, and one space of the Profile API."""

    base_url: str = Field(
        default=PROFILES_URL,
        description="Root of the Profile API: the vendor's, in the EU https://profiles.euw1.segment.com, a proxy or "
        "the sandbox.",
    )
    write_keys: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Keys with which messages may be sent, by a name for whom each was given to."
    )
    webhooks: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")], WebhookSettings] = Field(
        default_factory=dict, description="Webhooks by name, which is the end of their address: /webhooks/<name>."
    )
    message_kb: int = Field(default=32, ge=1, description="Largest message.")
    traits: Mapping[str, Kind | TraitSettings] = Field(
        default_factory=dict,
        description="More traits of identify calls that are wanted as such: the name there, and ours, or {name, type}.",
    )
    identifiers: Mapping[str, Kind] = Field(
        default_factory=dict, description="Traits that name a person: the name there, and the kind of identifier."
    )
    user_id_kind: Kind = Field(
        default="user_id", description="The kind of identifier that userId is, where it is another system's."
    )
    previous_ids: Literal["guess", "anonymous_id", "user_id"] = Field(
        default="guess",
        description="What previousId of alias calls is; guess: an anonymous id where it is a UUID, else a user's.",
    )
    consents: Mapping[str, ConsentCategory] = Field(
        default_factory=dict,
        description="Categories of the consent object (context.consent.categoryPreferences): {channel, topic}.",
    )
    profile_token: SecretStr | None = Field(default=None, description="Profile API: the space's access token.")
    profile_space: str | None = Field(default=None, description="Profile API: the space's id.")
    profile_ids: tuple[str, ...] = Field(
        default=(),
        description="Profile API: profiles to ask for beside those of received messages, as user_id:u-42.",
    )
    profile_refresh_days: float = Field(
        default=7, ge=0, description="Profile API: how old a profile may be before it is asked for again."
    )
    profiles_a_pull: int = Field(
        default=20_000, ge=1, description="Profile API: most profiles asked for in one pull; the next goes on."
    )
    profile_events: bool = Field(
        default=False,
        description="Profile API: read what profiles did in the last 14 days; not beside events that are received.",
    )
    requests_per_second: int = Field(default=100, ge=1, description="Profile API: the space's limit.")

    @property
    def has_profiles(self) -> bool:
        """Whether the Profile API is asked."""
        return self.profile_token is not None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.profile_token is None) != (self.profile_space is None):
            raise ValueError("the Profile API needs both `profile_token` and `profile_space`")
        if self.profile_events and self.profile_refresh_days >= EVENT_DAYS:
            raise ValueError(f"events are there for {EVENT_DAYS} days: set `profile_refresh_days` to less")
        if wrong := [one for one in self.profile_ids if not all(one.partition(":"))]:
            raise ValueError(f"{wrong[0]!r} is no profile: write its id type before it, as user_id:u-42")
        for what, names in (("trait", {**self.traits, **self.identifiers}), ("category", self.consents)):
            columns = [column_name(name) for name in names]
            if not all(columns) or len(set(columns)) < len(columns):
                raise ValueError(f"each {what} needs letters or digits that tell it from the others: {[*names]}")
        return self
