"""What a project says about the Braze workspace it writes to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from millstream.destinations.contract import DestinationSettings

Instance = Literal[
    "US-01",
    "US-02",
    "US-03",
    "US-04",
    "US-05",
    "US-06",
    "US-07",
    "US-08",
    "US-10",
    "EU-01",
    "EU-02",
    "AU-01",
    "ID-01",
    "JP-01",
    "KR-01",
]
AudienceKind = Literal["flag", "list", "subscription_group", "cohort"]

_ODD_HOSTS = {
    "US-10": "rest.us-10.braze.com",
    "EU-01": "rest.fra-01.braze.eu",
    "EU-02": "rest.fra-02.braze.eu",
}


class BrazeSettings(DestinationSettings):
    """Settings of a Braze connection."""

    base_url: str = Field(default="", description="Root of the API, where it is another than the instance's.")
    instance: Instance | None = Field(
        default=None, description="The instance of the account, as the address of its dashboard tells."
    )
    api_key: SecretStr = Field(description="REST API key of the workspace, with the permissions that the docs list.")
    audience_kind: AudienceKind = Field(
        default="flag",
        description="What a sync's audience is: flag, a custom attribute of its name that is true; list, an element "
        "of the custom attribute that audience_attribute names; subscription_group, one that exists, by its id: being "
        "in it is being subscribed, and nobody is taken out; cohort, for partners of Braze.",
    )
    audience_attribute: str = Field(
        default="audiences", min_length=1, description="Array of texts that holds people's audiences, for kind list."
    )
    alias_label: str = Field(default="", description="Label of the aliases that match key user_alias finds people by.")
    change_known_email: bool = Field(
        default=False,
        description="Whether the address of somebody who has another one in Braze is changed. A workspace may take a "
        "changed address for a wish to be mailed again. Never for somebody who unsubscribed.",
    )
    check_new_addresses: bool = Field(
        default=True,
        description="Whether an address is looked up among those that unsubscribed before a new profile gets it, by a "
        "request each. Needed where Resubscribe users when they update their email is on in Braze.",
    )
    segments: dict[str, str] = Field(
        default_factory=dict,
        description="Ids of segments that filter on an audience, by the audience's name: an audience that has one here "
        "can be read back.",
    )
    requests_per_3_seconds: int = Field(
        default=250,
        ge=1,
        description="Pace of writes: Braze takes 3,000 in three seconds from most workspaces, and less by contract "
        "where it bills monthly active users.",
    )
    exports_per_minute: int = Field(
        default=250, ge=1, description="Pace of look-ups: 250 a minute, or 2,500 for accounts older than August 2024."
    )
    cohort_delay_seconds: float = Field(
        default=300.0,
        ge=0,
        description="Seconds between the fields of somebody new and the cohort, which passes over people it does not "
        "know yet; Braze advises five minutes.",
    )
    partner: str | None = Field(default=None, description="Name of the partner in the paths of cohorts.")
    partner_api_key: SecretStr | None = Field(default=None, description="The partner's API key, for cohorts.")
    data_import_key: SecretStr | None = Field(
        default=None, description="The workspace's data import key for the partner, for cohorts."
    )

    @model_validator(mode="after")
    def _whole(self) -> BrazeSettings:
        if not (self.base_url or self.instance):
            raise ValueError("give instance, or base_url")
        if self.audience_kind == "cohort" and not (self.partner and self.partner_api_key and self.data_import_key):
            raise ValueError("cohorts need partner, partner_api_key and data_import_key")
        return self

    @property
    def root(self) -> str:
        """The API's root."""
        if self.base_url or self.instance is None:
            return self.base_url
        place, number = self.instance.split("-")
        host = f"rest.{'iad' if place == 'US' else place.lower()}-{number}.braze.com"
        return f"https://{_ODD_HOSTS.get(self.instance, host)}"
