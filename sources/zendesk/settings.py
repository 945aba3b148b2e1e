"""What a project says about its Zendesk account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.sources.contract import SourceSettings
from millstream.state.http import BasicAuth, TokenOrOAuthSettings, client_credentials_auth, refresh_token_auth
from millstream.state.project_root import at_project_root

if TYPE_CHECKING:
    from requests.auth import AuthBase

TOKEN_PATH = "oauth/tokens"  # noqa: S105 - a path
_FIELD_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class ZendeskSettings(TokenOrOAuthSettings, SourceSettings):
    """Settings of a Zendesk connection: an API token with its user's address, an access token, or an OAuth client."""

    base_url: str = Field(description="Root of the account: https://<subdomain>.zendesk.com.")
    email: str | None = Field(default=None, description="Address of the admin whom the API token speaks for.")
    api_token: SecretStr | None = Field(default=None, description="API token of the account.")
    access_token: SecretStr | None = Field(default=None, description="OAuth access token, if it does not expire.")
    refresh_token: SecretStr | None = Field(
        default=None,
        description="OAuth: the first refresh token. Each use replaces it, so give refresh_token_file too. Left out: "
        "tokens are fetched by client credentials.",
    )
    refresh_token_file: str | None = Field(
        default=None,
        description="OAuth: file in which the newest refresh token is kept from run to run, readable by its owner "
        "only; a relative path starts at the project file's folder. Who shares the credential shares the file.",
    )
    external_id: str | None = Field(
        default=None,
        description="Identifier kind of a user's external id, for instance `user_id`; none: it names nobody.",
    )
    identifiers: Mapping[str, str] = Field(
        default_factory=dict, description="User field (by key) to identifier kind, as {loyalty_no: loyalty_id}."
    )
    traits: Mapping[str, str] = Field(default_factory=dict, description="User field (by key) to trait.")
    identities: Literal["sideloaded", "asked", "left_out"] = Field(
        default="sideloaded",
        description="Where users' further addresses and numbers come from: sideloaded with the export; asked, one "
        "request a user, where the account does not send them along; or left_out.",
    )
    staff: bool = Field(default=False, description="Whether agents and admins count as people, too.")
    texts: bool = Field(
        default=False,
        description="Whether to keep what people wrote: descriptions and comments, which may say anything.",
    )
    ratings_lookback_days: int = Field(
        default=30, ge=0, le=365, description="Days of satisfaction ratings read again: an offered one is given later."
    )
    page_size: int = Field(default=1000, ge=1, le=1000, description="Rows a request of an export.")
    exports_per_minute: int = Field(
        default=10,
        ge=1,
        description="Requests to exports, of all programs of the account; 30 with the high volume add-on.",
    )
    requests_per_minute: int = Field(
        default=200, ge=1, description="Requests in all, by the account's plan: 200, 400, 700, or 2500 with the add-on."
    )

    def credential(self, vendors_token_url: str) -> AuthBase:
        """The credential, as something that signs requests.

        Args:
            vendors_token_url: Where tokens are fetched if the settings name no other place.
        """
        if self.email is not None and self.api_token is not None:
            return BasicAuth(f"{self.email}/token", self.api_token)
        if self.access_token is not None:
            return super().credential(vendors_token_url)
        assert self.client_id is not None
        assert self.client_secret is not None
        url = self.token_url or vendors_token_url
        if self.refresh_token is None:
            return client_credentials_auth(url, self.client_id, self.client_secret, scope="read")
        kept_in = Path(self.refresh_token_file) if self.refresh_token_file else None
        return refresh_token_auth(url, self.client_id, self.client_secret, self.refresh_token, kept_in=kept_in)

    @field_validator("refresh_token_file")
    @classmethod
    def _from_the_project(cls, value: str | None, info: ValidationInfo) -> str | None:
        return at_project_root(value, info) if value else None

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        basic = (self.email, self.api_token)
        client = (self.client_id, self.client_secret)
        given = [any(basic), self.access_token is not None, any((*client, self.refresh_token))]
        whole = all(basic) or self.access_token is not None or all(client)
        if given.count(True) != 1 or not whole:
            raise ValueError("give email and api_token, or access_token, or client_id and client_secret")
        if self.refresh_token_file is not None and self.refresh_token is None:
            raise ValueError("refresh_token_file keeps the refresh token that follows the first one: give that too")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        wrong = [key for key in self.user_fields if not _FIELD_KEY.fullmatch(key)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not the key of a user field; Zendesk shows it beside the field's name")
        return self

    @cached_property
    def user_fields(self) -> tuple[str, ...]:
        """Every user field that the settings name, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits)))
