"""What a project says about its Shift4Shop store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr

from millstream.sources.contract import SourceSettings
from millstream.sources.from_project import Kind
from millstream.state.zones import ZoneName

CustomerField = Literal["AdditionalField1", "AdditionalField2", "AdditionalField3", "AdditionalField4", "BillingTaxID"]


class Shift4ShopSettings(SourceSettings):
    """The store, the app's keys for it, its clock, and what its statuses mean."""

    base_url: str = Field(
        default="https://apirest.3dcart.com/3dCartWebAPI/v1", description="Root of the API, with its version."
    )
    secure_url: str = Field(
        description="The store's secure URL, as https://<store>.3dcartstores.com; it chooses the store."
    )
    private_key: SecretStr = Field(description="Private key of the app, from the developer portal.")
    token: SecretStr = Field(description="Token that the store gave the app when its owner authorised it.")
    time_zone: ZoneName = Field(
        default="America/New_York", description="The store's time zone: the API's times are its clock's, without one."
    )
    currency: str | None = Field(
        default=None, description="The store's currency as an ISO 4217 code; the API does not say it."
    )
    cancelled_statuses: tuple[int, ...] = Field(default=(5,), description="Ids of order statuses that mean cancelled.")
    unfinished_statuses: tuple[int, ...] = Field(
        default=(7,), description="Ids of order statuses of orders that were begun and never placed."
    )
    refund_types: tuple[str, ...] = Field(
        default=("refund", "credit"), description="Types of transactions that give money back; case is ignored."
    )
    identifiers: Mapping[CustomerField, Kind] = Field(
        default_factory=dict,
        description="Additional fields of customers that name a person, and the identifier's kind, "
        "as {AdditionalField1: user_id}.",
    )
    traits: Mapping[CustomerField, Kind] = Field(
        default_factory=dict, description="Additional fields of customers that are traits, and the trait's name."
    )
    mail_list_off: Literal["denied", "unknown"] = Field(
        default="denied",
        description="What it means for marketing by e-mail that a customer is not on the mailing list.",
    )
    overlap_hours: float = Field(
        default=24.0, ge=0, description="Hours read again by each pull, for changes that show late."
    )
    sweep_days: int | None = Field(
        default=7,
        ge=1,
        description="Every so many days all customers are read, to notice deleted ones; null: never.",
    )
    page_size: int = Field(default=200, ge=1, le=300, description="Rows a request.")
    requests_per_second: int = Field(default=2, ge=1, description="The store's limit.")

    @property
    def zone(self) -> ZoneInfo:
        """The store's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def customer_fields(self) -> tuple[CustomerField, ...]:
        """Every additional field that the settings name, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits)))
