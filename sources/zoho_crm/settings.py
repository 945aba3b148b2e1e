"""What a project says about its Zoho CRM account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from millstream.sources.contract import SourceSettings
from millstream.state.model.declarations import TraitType

DataCenter = Literal["us", "eu", "in", "au", "jp", "cn", "ca", "sa"]


class Hosts(NamedTuple):
    """Where a data centre answers: its API, and its tokens."""

    api: str
    accounts: str


DATA_CENTERS: Mapping[DataCenter, Hosts] = {
    "us": Hosts("https://www.zohoapis.com", "https://accounts.zoho.com"),
    "eu": Hosts("https://www.zohoapis.eu", "https://accounts.zoho.eu"),
    "in": Hosts("https://www.zohoapis.in", "https://accounts.zoho.in"),
    "au": Hosts("https://www.zohoapis.com.au", "https://accounts.zoho.com.au"),
    "jp": Hosts("https://www.zohoapis.jp", "https://accounts.zoho.jp"),
    "cn": Hosts("https://www.zohoapis.com.cn", "https://accounts.zoho.com.cn"),
    "ca": Hosts("https://www.zohoapis.ca", "https://accounts.zohocloud.ca"),
    "sa": Hosts("https://www.zohoapis.sa", "https://accounts.zoho.sa"),
}
TOKEN_PATH = "oauth/v2/token"  # noqa: S105 - a path
_API_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class ExtraTrait(BaseModel):
    """A trait kept from a field, where it is not text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The trait's name in the project.")
    type: TraitType = Field(default="text", description="How to read the field's value.")


class ZohoCrmSettings(SourceSettings):
    """Settings of a Zoho CRM connection: an OAuth client with the refresh token of a user."""

    data_center: DataCenter = Field(default="us", description="Where the account lives: the end of its address.")
    base_url: str = Field(
        default="", description="Root of the API; that of the data centre when left out. A proxy, or the sandbox."
    )
    client_id: str = Field(description="OAuth: id of the self client, or of another one.")
    client_secret: SecretStr = Field(description="OAuth: its secret.")
    refresh_token: SecretStr = Field(description="OAuth: refresh token of a user who may see all records.")
    token_url: str | None = Field(
        default=None, description="OAuth: the token endpoint; that of the data centre when left out."
    )
    identifiers: Mapping[str, str] = Field(
        default_factory=dict,
        description="Field of contacts and leads (by API name) to identifier kind, as {Customer_ID: user_id}.",
    )
    traits: Mapping[str, str | ExtraTrait] = Field(
        default_factory=dict,
        description="Field of contacts and leads (by API name) to trait: a name, or {name: ..., type: number}.",
    )
    won_stages: tuple[str, ...] = Field(default=("Closed Won",), description="Stages of deals that mean won.")
    lost_stages: tuple[str, ...] = Field(
        default=("Closed Lost", "Closed-Lost to Competition"), description="Stages of deals that mean lost."
    )
    currency: str | None = Field(
        default=None, description="Currency (ISO 4217) of deals that name none, as in accounts with one currency."
    )
    first_load: Literal["bulk", "list"] = Field(
        default="bulk",
        description="How the first pull reads: bulk, 200,000 rows a job; or list, 200 rows a request, where the "
        "edition or the scopes lack the Bulk API.",
    )
    poll_seconds: float = Field(
        default=3.0, gt=0, le=60, description="Wait before the first look at a bulk job; later ones take longer."
    )
    patience_minutes: float = Field(
        default=60, ge=0, description="How long a run waits for a bulk job. The next run goes on waiting for the same."
    )
    lookback_minutes: int = Field(
        default=5, ge=0, description="Minutes before the place that are read again, for records that come late."
    )
    credits_per_day: int = Field(
        default=5_000,
        ge=1,
        description="Requests a day that this source may make: 5,000 is all that the free edition has; paid editions "
        "have 50,000 and more, for all programs together.",
    )

    @model_validator(mode="before")
    @classmethod
    def _root_of_the_data_center(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("base_url"):
            hosts = DATA_CENTERS.get(given.get("data_center", "us"))
            return {**given, "base_url": hosts.api if hosts else ""}
        return given

    @model_validator(mode="after")
    def _known_names(self) -> ZohoCrmSettings:
        wrong = [name for name in self.custom_fields if not _API_NAME.fullmatch(name)]
        if wrong:
            raise ValueError(
                f"{wrong[0]!r} is not the API name of a field; Zoho shows it under Setup > Developer Hub > APIs > API "
                "names"
            )
        return self

    @property
    def custom_fields(self) -> tuple[str, ...]:
        """Every field that the settings name, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits)))
