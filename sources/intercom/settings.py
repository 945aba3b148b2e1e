"""What a project says about its Intercom workspace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from millstream.sources.contract import DeclaredSettings, SourceSettings
from millstream.state.vendors.intercom import IntercomWorkspace


class Subscription(DeclaredSettings):
    """What a subscription type of the workspace is in our words."""

    topic: str = Field(description="Consent topic.")
    channel: Literal["email", "sms"] = Field(default="email", description="Channel of its messages.")


class IntercomSettings(IntercomWorkspace, SourceSettings):
    """Settings of an Intercom connection: one workspace."""

    version: str = Field(
        default="2.16", pattern=r"^\d+\.\d+$", description="Version of the API; merges and deletes need 2.16."
    )
    external_id: str | None = Field(
        default="user_id", description="Identifier kind of a user's external id; null: it names nobody."
    )
    identifiers: Mapping[str, str] = Field(
        default_factory=dict, description="Custom attribute to identifier kind, as {browser_id: cookie_id}."
    )
    traits: Mapping[str, str] = Field(default_factory=dict, description="Custom attribute to trait.")
    subscriptions: Mapping[str, str | Subscription] = Field(
        default_factory=dict,
        description="Subscription type (by id) to consent topic, or {topic, channel}. Costs a request a changed "
        "contact; none asks for none.",
    )
    texts: bool = Field(default=False, description="Whether to keep what people wrote: subjects, messages and remarks.")
    lookback_minutes: int = Field(
        default=60, ge=0, description="Minutes read again: the vendor's search finds a new contact some minutes late."
    )
    sweep_days: int | None = Field(
        default=7,
        ge=1,
        description="Every so many days all contacts are read, to notice deleted and archived ones; null: never.",
    )
    events_of: Literal["changed", "all"] = Field(
        default="changed",
        description="Whose data events are asked for after the first pull, a request a contact: of contacts that "
        "changed, or of all each time.",
    )
    events_lookback_days: int = Field(
        default=7, ge=0, le=90, description="Days of a contact's events read again: some are sent late."
    )
    requests_per_minute: int = Field(
        default=1000,
        ge=6,
        description="Requests this source makes, of the 10,000 an app and 25,000 a workspace may.",
    )
    requests_at_once: int = Field(default=8, ge=1, le=50, description="Requests in flight at once.")

    def subscription(self, type_id: str) -> Subscription:
        """A subscription type in our words."""
        found = self.subscriptions[type_id]
        return Subscription(topic=found) if isinstance(found, str) else found

    @property
    def attributes(self) -> tuple[str, ...]:
        """Every custom attribute that the settings name, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits)))


def attribute_column(name: str) -> str:
    """The column of a custom attribute."""
    return "attribute_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def subscription_column(type_id: str) -> str:
    """The column of a subscription type."""
    return "subscription_" + re.sub(r"[^a-z0-9]+", "_", type_id.lower()).strip("_")
