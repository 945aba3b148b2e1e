"""Settings of the Google Analytics 4 source."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from millstream.sources.contract import SourceSettings
from millstream.state.vendors.google import GoogleCredential

DATA_API = "https://analyticsdata.googleapis.com"
ADMIN_API = "https://analyticsadmin.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
FIXED_STREAMS = ("audiences", "audience_users")


class Report(BaseModel):
    """A report to read day by day; it becomes a stream of its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="Name of the stream and of its table."
    )
    dimensions: tuple[str, ...] = Field(
        description="API names of dimensions, `customEvent:<parameter>` too; `date` is added when missing."
    )
    metrics: tuple[str, ...] = Field(min_length=1, description="API names of metrics.")

    @property
    def all_dimensions(self) -> tuple[str, ...]:
        """The dimensions, ``date`` among them."""
        return self.dimensions if "date" in self.dimensions else ("date", *self.dimensions)


DEFAULT_REPORTS = (
    Report(
        name="traffic_by_channel",
        dimensions=("sessionDefaultChannelGroup",),
        metrics=("sessions", "engagedSessions", "totalUsers", "newUsers", "keyEvents", "totalRevenue"),
    ),
    Report(
        name="pages",
        dimensions=("pagePath",),
        metrics=("screenPageViews", "activeUsers", "userEngagementDuration"),
    ),
    Report(name="events", dimensions=("eventName",), metrics=("eventCount", "totalUsers")),
)


class GoogleAnalytics4Settings(GoogleCredential, SourceSettings):
    """What the source needs: a property, a credential, and which reports and audiences to read."""

    base_url: str = Field(default=DATA_API, description="Root of the Data API, a proxy or the sandbox.")
    admin_base_url: str | None = Field(
        default=None,
        description="Root of the Admin API, which lists audiences; left out: Google's, or base_url if that is another.",
    )
    property_id: str = Field(pattern=r"^\d+$", description="The property's numeric id, not the G-... measurement id.")
    reports: tuple[Report, ...] = Field(
        default=DEFAULT_REPORTS, description="Reports to read by day; each becomes a stream."
    )
    lookback_days: int = Field(
        default=3, ge=0, description="Days read again on each pull: Google's figures still change for that long."
    )
    currency_code: str | None = Field(
        default=None, pattern=r"^[A-Z]{3}$", description="Currency of amounts; left out: the property's own."
    )
    audiences: tuple[str, ...] | None = Field(
        default=None, description="Names (or ids) of the audiences whose members are exported; left out: all."
    )
    audience_dimensions: tuple[str, ...] = Field(
        default=("deviceId", "userId"), min_length=1, description="What an audience export says of a member."
    )
    export_wait_minutes: float = Field(
        default=20.0, ge=0, description="How long a pull waits for audience exports; the next one goes on with them."
    )
    export_poll_seconds: float = Field(
        default=15.0, gt=0, description="Longest pause between two looks at an audience export."
    )

    @field_validator("property_id", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Accept a bare number, as YAML reads one."""
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [report.name for report in self.reports] + list(FIXED_STREAMS)
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"a report's name is taken: {doubles[0]}")
        return self

    @property
    def property_name(self) -> str:
        """The property's resource name."""
        return f"properties/{self.property_id}"

    @property
    def admin_root(self) -> str:
        """Root of the Admin API."""
        if self.admin_base_url:
            return self.admin_base_url.rstrip("/")
        is_google = urlsplit(self.base_url).hostname == urlsplit(DATA_API).hostname
        return ADMIN_API if is_google else self.base_url.rstrip("/")
