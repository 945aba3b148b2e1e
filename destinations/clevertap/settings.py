"""What a project says about its CleverTap project, and how requests are signed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from requests import PreparedRequest
from requests.auth import AuthBase

from millstream.destinations.contract import DestinationSettings

Region = Literal["eu1", "in1", "us1", "sg1", "aps3", "mec1"]


class CleverTapSettings(DestinationSettings):
    """Settings of a CleverTap connection."""

    base_url: str = Field(default="", description="Root of the API; from the region when left out.")
    region: Region = Field(
        default="eu1",
        description="Region of the account, as its dashboard's address names it: Europe, India, United States, "
        "Singapore, Indonesia, United Arab Emirates.",
    )
    account_id: str = Field(min_length=1, description="Project ID (account id).")
    passcode: SecretStr = Field(description="A passcode of the project.")
    audience_prefix: str = Field(
        default="Audience ", description="What the profile property of an audience begins with, before its name."
    )
    clear_with: Literal["delete", "empty"] = Field(
        default="delete",
        description="What clears a property: the operator $delete, which takes it away, or an empty text.",
    )
    check_before_removal: bool = Field(
        default=True,
        description="Look people up, a request each, before they are taken out of an audience. Otherwise somebody who "
        "was deleted in CleverTap comes back as an empty profile.",
    )
    list_owner: str = Field(default="Millstream", description="Mode replace: who a custom list was made by.")
    list_email: str | None = Field(
        default=None, description="Mode replace: the address that CleverTap tells when a custom list is done."
    )

    @property
    def root(self) -> str:
        """The base URL, or the one of the region."""
        return self.base_url or f"https://{self.region}.api.clevertap.com"


class PasscodeAuth(AuthBase):
    """CleverTap's two headers."""

    def __init__(self, account_id: str, passcode: SecretStr) -> None:
        self._account_id = account_id
        self._passcode = passcode

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["X-CleverTap-Account-Id"] = self._account_id
        request.headers["X-CleverTap-Passcode"] = self._passcode.get_secret_value()
        return request
