"""What a project says about its Customer.io workspace."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from millstream.destinations.contract import DestinationSettings

_HOST_SUFFIX = {"us": "", "eu": "-eu"}


class CustomerIoSettings(DestinationSettings):
    """Settings of a Customer.io connection: two APIs, each with a key of its own."""

    region: Literal["us", "eu"] = Field(
        default="us", description="Region of the account; keys of one region are unknown in the other."
    )
    site_id: str = Field(min_length=1, description="Site id of the Track API, the user name beside its key.")
    track_api_key: SecretStr = Field(description="Key of the Track API, which writes people and memberships.")
    app_api_key: SecretStr = Field(
        description="Key of the App API, which finds and makes segments, and reads people and members."
    )
    erase_by: Literal["delete", "suppress"] = Field(
        default="delete",
        description="How people are erased: delete removes the profile, and a later write makes a new one; suppress "
        "also has Customer.io ignore their identifiers from then on.",
    )
    seconds_before_membership: float = Field(
        default=10.0,
        ge=0,
        le=600,
        description="Seconds between writing people and putting them into a segment: Customer.io works off what it "
        "took some time later, and passes over whom it does not know yet.",
    )
    requests_per_second: int = Field(
        default=90, ge=1, description="Pace of the Track API; 100 is what Customer.io calls fair use."
    )
    base_url: str = Field(default="", description="Root of the Track API; the region's host when left out.")
    app_base_url: str = Field(default="", description="Root of the App API; the region's host when left out.")

    @property
    def track_root(self) -> str:
        """Where the Track API is."""
        return self.base_url or f"https://track{_HOST_SUFFIX[self.region]}.customer.io"

    @property
    def app_root(self) -> str:
        """Where the App API is."""
        return self.app_base_url or f"https://api{_HOST_SUFFIX[self.region]}.customer.io"
