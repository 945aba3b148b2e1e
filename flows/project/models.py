"""What a project file may say, as pydantic models; the JSON Schema for editors is made from them."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from millstream.destinations.rules import DeliveryRules
from millstream.destinations.sync import Sync
from millstream.flows.project.alerts import AlertRules
from millstream.flows.project.report import ReportRules
from millstream.state.audiences.rules import Audience
from millstream.state.identity.rules import IdentityRules
from millstream.state.measurement.rules import MeasurementRules
from millstream.state.model.currency import CurrencyRules
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.names import NAME_PATTERN
from millstream.state.profiles.rules import SurvivorshipRules
from millstream.state.quality.rules import QualityRules
from millstream.state.store.time_limits import SECONDS
from millstream.state.traits.rules import TraitRules
from millstream.state.zones import ZoneName

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=60)]
FlowName = Literal[
    "pipeline",
    "ingest",
    "resolve",
    "describe",
    "select",
    "activate",
    "measure",
    "audit",
    "reconcile",
    "watch",
    "report",
]
ParameterValue = str | int | float | bool | None | list[str]
FROM_ENVIRONMENT = ("store", "journal")
STORE_URL = r"^(duckdb:///|postgres(ql(\+psycopg2)?)?://).+"
JOURNAL_URL = r"^(sqlite:///|postgres(ql(\+psycopg2)?)?://).+"


class Connection(BaseModel):
    """An account at a vendor, shared by the sources and destinations that use it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    system: str = Field(description="The vendor, by the name of its connector; see `millstream connectors`.")


class SourceEntry(BaseModel):
    """A source: a connection, and what to pull from it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    connection: str = Field(description="Name of one of the connections.")


class DestinationEntry(BaseModel):
    """A destination: a connection, and where in it to write."""

    model_config = ConfigDict(extra="allow", frozen=True)

    connection: str = Field(description="Name of one of the connections.")


class Schedule(BaseModel):
    """When a flow runs by itself; `millstream deploy` hands it to Prefect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flow: FlowName = Field(description="The flow to run.")
    cron: str = Field(description="When, as five cron fields in quotes: '0 * * * *' is every hour.")
    timezone: ZoneName = Field(default="UTC", description="Time zone of the cron line, as Europe/Berlin.")
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        description="The flow's parameters: `source` for ingest, `sync` for activate, and so on.",
    )

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        if len(value.split()) != 5:
            raise ValueError(f"a cron line has five fields (minute hour day month weekday), and {value!r} has not")
        try:
            CronSim(value, datetime(2025, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"{value!r} is no cron line: {error}") from error
        return value


class ProjectFile(BaseSettings):
    """A Millstream project: where data come from, who is who, which audiences there are, where they go."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="MILLSTREAM_", env_ignore_empty=True)

    name: Name = Field(description="Name of the project; deployments and artifacts carry it.")
    store: str = Field(
        default="duckdb:///.millstream/store.duckdb",
        json_schema_extra={"pattern": STORE_URL},
        description="The database with everything known about customers: duckdb:///path/to/file.duckdb or "
        "postgresql://user@host/database. MILLSTREAM_STORE overrides it.",
    )
    journal: str = Field(
        default="sqlite:///.millstream/journal.sqlite",
        json_schema_extra={"pattern": JOURNAL_URL},
        description="The database of runs, batches and outcomes: sqlite:///path/to/file.sqlite or "
        "postgresql://user@host/database. MILLSTREAM_JOURNAL overrides it.",
    )
    sql_seconds: int = Field(
        default=SECONDS,
        ge=1,
        description="Seconds that SQL of the project's own may take: that of an audience, a trait set, a figure, a "
        "sync. What takes longer is stopped and named.",
    )
    connections: dict[Name, Connection] = Field(
        default_factory=dict, description="Accounts at vendors, with their credentials by reference."
    )
    sources: dict[Name, SourceEntry] = Field(
        default_factory=dict, description="What is pulled; raw tables are raw_<name>.<stream>."
    )
    destinations: dict[Name, DestinationEntry] = Field(default_factory=dict, description="What is kept in step.")
    identity: IdentityRules = Field(
        default_factory=IdentityRules, description="Which identifiers join records to one person."
    )
    survivorship: SurvivorshipRules = Field(
        default_factory=SurvivorshipRules, description="Which value a profile shows where records differ."
    )
    tracking_plan: TrackingPlan = Field(
        default_factory=TrackingPlan, description="Canonical event names, and what events must carry."
    )
    currency: CurrencyRules | None = Field(
        default=None, description="The currency in which values are added up, and the rates of others."
    )
    traits: TraitRules = Field(
        default_factory=TraitRules, description="What the computed traits need to know of the business."
    )
    audiences: dict[Name, Audience] = Field(default_factory=dict, description="Groups of people, by rules.")
    syncs: dict[Name, Sync] = Field(default_factory=dict, description="Which audience goes where, and how.")
    delivery: DeliveryRules = Field(
        default_factory=DeliveryRules, description="What holds for every sync: holdouts, priority lists, retention."
    )
    measurement: MeasurementRules = Field(
        default_factory=MeasurementRules, description="Key figures, cohorts, funnels, journeys, and experiments."
    )
    quality: QualityRules = Field(
        default_factory=QualityRules, description="Which data are good enough, and who looks after them."
    )
    schedules: dict[Name, Schedule] = Field(default_factory=dict, description="When flows run by themselves.")
    alerts: AlertRules | None = Field(default=None, description="What is told to whom when something goes wrong.")
    report: ReportRules = Field(default_factory=ReportRules, description="The page that `millstream report` writes.")

    @field_validator("store")
    @classmethod
    def _known_engine(cls, value: str) -> str:
        # A message of the pattern's own would repeat the URL, and with it a password.
        if not re.match(STORE_URL, value):
            raise ValueError(_should_begin("store", "duckdb:///"))
        return value

    @field_validator("journal")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not re.match(JOURNAL_URL, value):
            raise ValueError(_should_begin("journal", "sqlite:///"))
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, for the databases only; then what was given, which is the file's content."""
        return _Databases(settings_cls), init_settings


def _should_begin(database: str, file: str) -> str:
    """What is wrong with a database's URL, which may come from the environment."""
    variable = f"MILLSTREAM_{database.upper()}"
    said = f"{variable}, which counts instead," if os.environ.get(variable) else f"the {database}'s URL"
    return f"{said} should begin with {file} or postgresql://, and say where it is"


class _Databases(EnvSettingsSource):
    """MILLSTREAM_STORE and MILLSTREAM_JOURNAL; a stray MILLSTREAM_NAME does not rename a project."""

    def __call__(self) -> dict[str, str]:
        found = {}
        for name in FROM_ENVIRONMENT:
            value, _, _ = self.get_field_value(self.settings_cls.model_fields[name], name)
            if value is not None:
                found[name] = value
        return found
