"""Settings of the Adobe Analytics source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from millstream.sources.contract import DeclaredSettings, SourceSettings
from millstream.state.zones import known_zone

API = "https://analytics.adobe.io"
TOKEN_URL = "https://ims-na1.adobelogin.com/ims/token/v3"  # noqa: S105 - an address
USUAL_SCOPE = "openid,AdobeID,additional_info.projectedProductContext"
CATALOGUES = ("dimensions", "metrics", "segments")
OWN_COLUMNS = ("row_key", "rsid", "date", "day_starts_at", "is_low_traffic", "names_nobody", "deleted")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Report(DeclaredSettings):
    """A report to read day by day; it becomes a stream of its name."""

    name: Name = Field(description="Name of the stream and of its table.")
    dimensions: tuple[str, ...] = Field(
        default=(),
        description="Ids of dimensions, as page or evar5; each further one breaks down the items of the one before, "
        "which costs a request an item. None: the day's totals.",
    )
    metrics: tuple[str, ...] = Field(min_length=1, description="Ids of metrics, as visits, event1 or cm300000000_1.")
    segments: tuple[str, ...] = Field(default=(), description="Ids of segments that all count.")
    columns: Mapping[str, Name] = Field(
        default_factory=dict, description="Dimension or metric to the column's name, as {evar5: customer_id}."
    )
    most_items: int | None = Field(
        default=1000,
        ge=1,
        description="How many items of a day are broken down, those with most of the first metric; null: all. The "
        "items of the last dimension are always all read.",
    )
    identifiers: Mapping[str, str] = Field(
        default_factory=dict, description="Dimension that holds ids of people, to identifier kind: {evar5: user_id}."
    )
    traits: Mapping[str, str] = Field(default_factory=dict, description="Dimension to trait; needs identifiers.")
    event: str | None = Field(
        default=None, description="Name of an event for each row, on its day, with the metrics; needs identifiers."
    )
    value: str | None = Field(default=None, description="The metric that is the event's value.")

    @field_validator("dimensions", "metrics", mode="after")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Ids may be given as the API writes them, with what kind they are."""
        return tuple(re.sub(r"^(variables|metrics)/", "", one) for one in value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = {*self.columns, *self.identifiers, *self.traits} - {*self.dimensions, *self.metrics}
        if named:
            raise ValueError(f"{sorted(named)[0]!r} is no dimension or metric of report {self.name!r}")
        if set(self.identifiers) - set(self.dimensions) or set(self.traits) - set(self.dimensions):
            raise ValueError(f"report {self.name!r}: identifiers and traits are dimensions")
        if not self.identifiers and (self.traits or self.event):
            raise ValueError(f"report {self.name!r}: traits and an event need identifiers, to say whose they are")
        if self.value is not None and (self.event is None or self.value not in self.metrics):
            raise ValueError(f"report {self.name!r}: value is one of the metrics, and needs an event")
        columns = [column for name in (*self.dimensions, *self.metrics) for column in self._columns_of(name)]
        doubles = sorted({one for one in (*columns, *OWN_COLUMNS) if (*columns, *OWN_COLUMNS).count(one) > 1})
        if doubles:
            raise ValueError(f"report {self.name!r} has two columns named {doubles[0]!r}: name one with `columns`")
        return self

    def column(self, name: str) -> str:
        """The column of a dimension or metric."""
        return self.columns.get(name) or re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")

    def item_column(self, dimension: str) -> str:
        """The column with the id of a dimension's item."""
        return f"{self.column(dimension)}_item_id"

    def person_column(self, dimension: str) -> str:
        """The column with a dimension's value where it names somebody."""
        return f"{self.column(dimension)}_named"

    def _columns_of(self, name: str) -> tuple[str, ...]:
        if name in self.metrics:
            return (self.column(name),)
        named = (self.person_column(name),) if name in self.identifiers else ()
        return (self.column(name), self.item_column(name), *named)


DEFAULT_REPORTS = (
    Report(name="traffic", metrics=("visits", "visitors", "pageviews", "orders", "revenue")),
    Report(
        name="traffic_by_channel",
        dimensions=("marketingchannel",),
        metrics=("visits", "visitors", "orders", "revenue"),
    ),
    Report(name="pages", dimensions=("page",), metrics=("pageviews", "visits")),
)


class AdobeAnalyticsSettings(SourceSettings):
    """What the source needs: a report suite, an OAuth server-to-server credential, and which reports to read."""

    base_url: str = Field(default=API, description="Root of the API, a proxy or the sandbox.")
    token_url: str = Field(default=TOKEN_URL, description="Adobe's token endpoint.")
    client_id: str = Field(description="Client id of the project in Adobe's Developer Console.")
    client_secret: SecretStr = Field(description="Its client secret.")
    scope: str = Field(default=USUAL_SCOPE, description="Scopes, as the project's credential lists them.")
    global_company_id: str | None = Field(
        default=None, description="Id of the company; left out: the only one that the credential sees."
    )
    rsid: str = Field(description="Id of the report suite, or of a virtual one.")
    timezone: str | None = Field(default=None, description="Its time zone, as Europe/Berlin; left out: Adobe is asked.")
    reports: tuple[Report, ...] = Field(
        default=DEFAULT_REPORTS, description="Reports to read by day; each becomes a stream."
    )
    lookback_days: int = Field(
        default=3,
        ge=0,
        description="Days read again on each pull: hits arrive late; give 7 where apps send them when back online.",
    )
    first_days: int = Field(default=30, ge=1, description="Days the first pull reads where there is no start_date.")
    page_size: int = Field(default=5000, ge=1, le=50_000, description="Rows a request; Adobe gives up after a minute.")
    requests_per_minute: int = Field(
        default=120, ge=10, description="Requests of this credential, of all programs; Adobe refuses more."
    )
    requests_at_once: int = Field(default=4, ge=1, le=20, description="Requests in flight at once.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return known_zone(value) if value else value

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        names = [report.name for report in self.reports] + list(CATALOGUES)
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"a report's name is taken: {doubles[0]}")
        return self
