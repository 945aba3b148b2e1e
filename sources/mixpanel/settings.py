"""What a project says about its Mixpanel project."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, model_validator

from millstream.sources.contract import SourceSettings
from millstream.sources.from_project import ConsentSettings, Kind, column_name
from millstream.state.zones import ZoneName

Region = Literal["us", "eu", "in"]

_EXPORT_HOSTS: Mapping[Region, str] = {"us": "data", "eu": "data-eu", "in": "data-in"}
_QUERY_HOSTS: Mapping[Region, str] = {"us": "mixpanel.com", "eu": "eu.mixpanel.com", "in": "in.mixpanel.com"}


class MixpanelSettings(SourceSettings):
    """A service account, the project's region and clock, and which properties say who a person is."""

    base_url: str = Field(
        default="",
        description="Root of both APIs in place of the region's hosts: a proxy or the sandbox. Left out: Mixpanel.",
    )
    region: Region = Field(default="us", description="Where the project's data lives: us, eu or in.")
    project_id: int = Field(description="Number of the project, in its settings.")
    workspace_id: int | None = Field(default=None, description="Number of a data view, if only its data is to be read.")
    username: str = Field(description="User name of the service account, `....mp-service-account`.")
    secret: SecretStr = Field(description="Secret of the service account.")
    timezone: ZoneName = Field(
        default="UTC",
        description="Time zone of exports: UTC for projects made since 2023, else the project's, as Europe/Berlin.",
    )
    initial_days: int = Field(
        default=30, ge=1, description="Days of events read at first, today included, where there is no start_date."
    )
    lookback_days: int = Field(
        default=5, ge=0, le=60, description="Days of events read again: phones send late, and identities are merged."
    )
    days_a_request: int = Field(
        default=1,
        ge=1,
        le=31,
        description="Days of events in one export; more let a small project's history in sooner.",
    )
    exports_at_once: int = Field(default=4, ge=1, le=100, description="Exports read side by side.")
    requests_per_second: int = Field(default=3, ge=1, description="The project's limit of any second.")
    exports_per_hour: int = Field(default=60, ge=1, description="The project's limit of raw exports.")
    queries_at_once: int = Field(default=4, ge=1, le=5, description="Pages of profiles read side by side.")
    queries_per_hour: int = Field(default=60, ge=1, description="The project's limit of the Query API.")
    events: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Events to read, by Mixpanel's names; all when left out."
    )
    event_names: Mapping[str, str] = Field(
        default_factory=dict, description="Mixpanel's event names and what they are called here; case is ignored."
    )
    revenue: str | None = Field(default="revenue", description="Event property with an amount, if any.")
    currency: str | None = Field(default="currency", description="Event property with the amount's currency, if any.")
    id_merge: Literal["simplified", "original"] = Field(
        default="simplified", description="How the project merges identities: see its settings at Mixpanel."
    )
    user_id: Kind | None = Field(
        default="user_id",
        description="Identifier kind of the id given to `identify`: user_id, email, or another; none: it names nobody.",
    )
    devices: bool = Field(default=True, description="Whether a device id joins what was done on it.")
    event_identifiers: Mapping[str, Kind] = Field(
        default={"$email": "email"}, description="Event property to identifier kind."
    )
    identifiers: Mapping[str, Kind] = Field(
        default={"$email": "email", "$phone": "phone"}, description="Profile property to identifier kind."
    )
    traits: Mapping[str, Kind] = Field(default_factory=dict, description="Profile property to trait.")
    consents: Mapping[str, ConsentSettings] = Field(
        default_factory=dict, description="Profile property that says whether a person may be addressed."
    )
    profiles_whole_every_days: int = Field(
        default=7, ge=1, description="Days between readings of all profiles, which find those that were deleted."
    )
    cohorts: tuple[str, ...] = Field(
        default=(), description="Cohorts whose members are read, by name or number; each costs queries."
    )

    @model_validator(mode="after")
    def _columns_apart(self) -> Self:
        for properties in (tuple(self.event_identifiers), self.profile_properties):
            names = [property_column(name) for name in properties]
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"two properties have the same column {twice[0]!r}: leave one of them out")
        return self

    @property
    def export_url(self) -> str:
        """Where raw events are exported."""
        root = self.base_url.rstrip("/") or f"https://{_EXPORT_HOSTS[self.region]}.mixpanel.com"
        return f"{root}/api/2.0/export"

    def query_url(self, path: str) -> str:
        """A path of the Query API."""
        root = self.base_url.rstrip("/") or f"https://{_QUERY_HOSTS[self.region]}"
        return f"{root}/api/query/{path}"

    @property
    def project(self) -> Mapping[str, int]:
        """The query parameters of every request."""
        view = {} if self.workspace_id is None else {"workspace_id": self.workspace_id}
        return {"project_id": self.project_id, **view}

    @property
    def clock(self) -> tzinfo:
        """The clock by which the project counts its days."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    def day_of(self, moment: datetime) -> date:
        """The project's day of a moment."""
        return moment.astimezone(self.clock).date()

    @property
    def profile_properties(self) -> tuple[str, ...]:
        """Every profile property that the settings name, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits, *self.consents)))


def property_column(name: str) -> str:
    """The column of a property that the settings name."""
    return f"property_{column_name(name)}"
