"""What a project says about its HubSpot account."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from millstream.sources.contract import SourceSettings
from millstream.state.http import TokenOrOAuthSettings
from millstream.state.model.declarations import TraitType

_PROPERTY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class ExtraTrait(BaseModel):
    """A trait kept from a contact property, where it is not text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The trait's name in the project.")
    type: TraitType = Field(default="text", description="How to read the property's text.")


class HubSpotSettings(TokenOrOAuthSettings, SourceSettings):
    """Settings of a HubSpot connection: an access token, or an OAuth app's three values."""

    base_url: str = Field(
        default="https://api.hubapi.com", description="Root of the API; one host serves all accounts."
    )
    access_token: SecretStr | None = Field(
        default=None, description="Access token of a private app or a service key (starts with `pat-`)."
    )
    properties: tuple[str, ...] = Field(default=(), description="More contact properties to ask for, by internal name.")
    identifiers: Mapping[str, str] = Field(
        default_factory=dict,
        description="Contact property to identifier kind, for instance `customer_id: user_id`.",
    )
    traits: Mapping[str, str | ExtraTrait] = Field(
        default_factory=dict,
        description="Contact property to trait: a name, or `{name: ..., type: number}`.",
    )
    email_topics: Mapping[str, str] = Field(
        default_factory=dict,
        description="Subscription type (name or id) to consent topic; `marketing` for types not listed.",
    )
    lists: tuple[str, ...] | None = Field(
        default=None,
        description="Contact lists (name or id) whose members are read; all when left out.",
    )
    won_stages: tuple[str, ...] = Field(
        default=("closedwon",),
        description="Deal stages that mean won, where a deal does not say so itself.",
    )
    lost_stages: tuple[str, ...] = Field(
        default=("closedlost",),
        description="Deal stages that mean lost, where a deal does not say so itself.",
    )
    email_events_lookback_days: int = Field(
        default=1, ge=0, le=30, description="Days of e-mail events read again, since some arrive late."
    )
    requests_per_second: int = Field(
        default=9,
        ge=1,
        description="Pace of requests, averaged over ten seconds; 18 suits Professional and Enterprise accounts.",
    )
    searches_per_second: int = Field(default=4, ge=1, description="Pace of searches, which are limited apart.")
    requests_at_once: int = Field(
        default=4, ge=1, le=20, description="Requests in flight at once: a first load reads long lists so."
    )

    @property
    def extra_properties(self) -> tuple[str, ...]:
        """Every contact property that the settings name, once."""
        return tuple(dict.fromkeys((*self.properties, *self.identifiers, *self.traits)))

    @model_validator(mode="after")
    def _known_names(self) -> HubSpotSettings:
        wrong = [name for name in self.extra_properties if not _PROPERTY_NAME.fullmatch(name)]
        if wrong:
            raise ValueError(
                f"{wrong[0]!r} is not an internal property name (letters, digits and underscores; "
                "HubSpot shows it beside the label of a property)"
            )
        wanted = self.streams
        if wanted and "subscription_statuses" in wanted and "contacts" not in wanted:
            raise ValueError("stream subscription_statuses asks for the contacts just read: add contacts")
        return self
