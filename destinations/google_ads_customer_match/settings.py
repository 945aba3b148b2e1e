"""What a project says about its Google Ads account."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from millstream.destinations.contract import DestinationSettings
from millstream.destinations.hashing import PhoneCountry
from millstream.state.vendors.google import GoogleCredential

SCOPE = "https://www.googleapis.com/auth/datamanager"

AccountType = Literal["GOOGLE_ADS", "DATA_PARTNER"]
Granted = Literal["granted", "by_person"]
_ID = r"^\d{3}-?\d{3}-?\d{4}$"


class GoogleAdsCustomerMatchSettings(GoogleCredential, DestinationSettings):
    """Settings of a connection to one Google Ads account: a service account, or a user who allowed an OAuth client."""

    base_url: str = Field(
        default="https://datamanager.googleapis.com", description="Root of the Data Manager API, without a version."
    )
    customer_id: str = Field(pattern=_ID, description="The Google Ads account whose user lists are kept.")
    login_customer_id: str | None = Field(
        default=None,
        pattern=r"^[\d-]+$",
        description="The account that the credential belongs to, where it is another: a manager, or a data partner.",
    )
    login_account_type: AccountType = Field(default="GOOGLE_ADS", description="Kind of the account of the credential.")
    linked_customer_id: str | None = Field(
        default=None, pattern=_ID, description="Data partners: the account through which they reach `customer_id`."
    )
    ad_user_data: Granted = Field(
        description="Whether everybody who is sent has consented to their data going to Google for ads (`granted`), or "
        "a field of that name says so of each (`by_person`)."
    )
    ad_personalization: Granted = Field(
        description="The same for personalised ads; Google wants both for people in the European Economic Area."
    )
    customer_match_terms: Literal["accepted"] = Field(
        description="That the account has accepted Google's terms for Customer Match; told with each request."
    )
    membership_days: int | None = Field(
        default=None,
        ge=1,
        le=540,
        description="Days that people stay in lists made by us after they were sent last; left out: 540.",
    )
    phone_country: PhoneCountry | None = Field(
        default=None, description="ISO code of the country whose numbers are meant where one has no calling code."
    )

    @field_validator("customer_id", "login_customer_id", "linked_customer_id", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Accept a bare number, as YAML reads one."""
        return str(value) if isinstance(value, int) else value

    @field_validator("customer_id", "login_customer_id", "linked_customer_id")
    @classmethod
    def _without_dashes(cls, value: str | None) -> str | None:
        return value.replace("-", "") if value else value

    @property
    def account(self) -> str:
        """Resource name of the account."""
        return f"accountTypes/GOOGLE_ADS/accounts/{self.customer_id}"

    def headers(self) -> dict[str, str]:
        """Headers that say through which accounts user lists are reached."""
        headers = {}
        if self.login_customer_id:
            headers["login-account"] = f"accountTypes/{self.login_account_type}/accounts/{self.login_customer_id}"
        if self.linked_customer_id:
            headers["linked-account"] = f"accountTypes/GOOGLE_ADS/accounts/{self.linked_customer_id}"
        return headers

    def destination(self, list_id: str) -> dict[str, object]:
        """A user list as a place that members are sent to, with the accounts on the way."""
        place: dict[str, object] = {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": self.customer_id},
            "productDestinationId": list_id,
        }
        if self.login_customer_id:
            place["loginAccount"] = {"accountType": self.login_account_type, "accountId": self.login_customer_id}
        if self.linked_customer_id:
            place["linkedAccount"] = {"accountType": "GOOGLE_ADS", "accountId": self.linked_customer_id}
        return place
