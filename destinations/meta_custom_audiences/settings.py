"""What a project says about its ad account."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal
from urllib.parse import urlencode

from pydantic import Field, SecretStr, field_validator
from requests import PreparedRequest
from requests.auth import AuthBase

from millstream.destinations.contract import DestinationSettings
from millstream.destinations.hashing import PhoneCountry
from millstream.state.http import BearerAuth

PROOF = "appsecret_proof"
MOST_ROWS = 10_000
"""Rows of data that Meta takes in one request."""


class MetaCustomAudiencesSettings(DestinationSettings):
    """Settings of a connection to one ad account."""

    base_url: str = Field(default="https://graph.facebook.com", description="Root of the Graph API, without a version.")
    version: str = Field(
        default="v25.0",
        pattern=r"^v\d+\.\d+$",
        description="Version of the API that is spoken; Meta ends each some two years after it came out.",
    )
    ad_account_id: str = Field(pattern=r"^(act_)?\d+$", description="The ad account, with or without `act_`.")
    access_token: SecretStr = Field(
        description="Token of a system user with the permission `ads_management` on the ad account."
    )
    app_secret: SecretStr | None = Field(
        default=None,
        description="Secret of the app that the token belongs to; proves requests, where the app asks for that.",
    )
    customer_file_source: Literal["USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"] = (
        Field(
            default="USER_PROVIDED_ONLY",
            description="Where people's data comes from, as Meta wants to know of each new audience: from them, from "
            "partners, or from both.",
        )
    )
    phone_country: PhoneCountry | None = Field(
        default=None, description="ISO code of the country whose numbers are meant where one has no calling code."
    )
    rows_per_request: int = Field(
        default=MOST_ROWS, ge=1, le=MOST_ROWS, description="Most people in one request; Meta takes 10,000."
    )
    limited_data_use: bool = Field(
        default=False, description="Send people with Limited Data Use (LDU); Meta works out which states' rules apply."
    )

    @field_validator("ad_account_id", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Accept a bare number, as YAML reads one."""
        return str(value) if isinstance(value, int) else value

    @property
    def account(self) -> str:
        """The ad account as paths have it."""
        return f"act_{self.ad_account_id.removeprefix('act_')}"


class ProvenToken(AuthBase):
    """A token, and the proof that who sends it knows the app's secret, too.

    Args:
        token: The access token.
        app_secret: The app's secret; None: no proof.
    """

    def __init__(self, token: SecretStr, app_secret: SecretStr | None) -> None:
        self._bearer = BearerAuth(token)
        self._proof: str | None = None
        if app_secret is not None:
            key, message = app_secret.get_secret_value().encode(), token.get_secret_value().encode()
            self._proof = hmac.new(key, message, hashlib.sha256).hexdigest()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request; also one that is signed already stays right."""
        if self._proof and f"{PROOF}=" not in (request.url or ""):
            request.prepare_url(request.url, urlencode({PROOF: self._proof}))
        self._bearer(request)
        return request
