"""What a project says about its Qualtrics brand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from requests import PreparedRequest
from requests.auth import AuthBase

from millstream.sources.contract import SourceSettings
from millstream.sources.from_project import Kind, column_name
from millstream.state.http import client_credentials_auth

API = "/API/v3"
SCOPES = "read:surveys read:survey_responses read:directories read:directory_contacts read:users"


class QualtricsSettings(SourceSettings):
    """A credential, the data centre, and which answers and embedded data say who a person is."""

    base_url: str = Field(
        description="Root of the API: https://<data centre>.qualtrics.com; /API/v3 is added where it is missing."
    )
    api_token: SecretStr | None = Field(default=None, description="API token of a user; it may read what the user may.")
    client_id: str | None = Field(default=None, description="OAuth: id of a client with the client-credentials grant.")
    client_secret: SecretStr | None = Field(default=None, description="OAuth: the client's secret.")
    scope: str = Field(
        default=SCOPES, description="OAuth: the scopes to ask for; the client must have been given them."
    )
    token_url: str | None = Field(
        default=None, description="OAuth: the token endpoint; the data centre's own when left out."
    )
    surveys: tuple[str, ...] | None = Field(default=None, description="Ids of the surveys to read; all when left out.")
    directories: tuple[str, ...] | None = Field(
        default=None, description="Ids of the directories (POOL_...) whose contacts are read; all when left out."
    )
    external_reference: Kind | None = Field(
        default=None,
        description="Identifier kind of the external data reference of contacts and responses, for instance "
        "`user_id`; none: it names nobody.",
    )
    identifiers: Mapping[str, Kind] = Field(
        default_factory=dict,
        description="Embedded data of responses and contacts, or questions (export tag or id), that name a person, and "
        "the identifier's kind, as {crm_id: hubspot_contact_id}.",
    )
    traits: Mapping[str, Kind] = Field(
        default_factory=dict, description="Embedded data, or questions (export tag or id), and the trait's name."
    )
    continuation: bool = Field(
        default=False,
        description="Whether to go on by the vendor's continuation tokens, not by the time of the last change.",
    )
    continuation_days: float = Field(
        default=6.0, gt=0, description="Days after which a continuation token is not used any more."
    )
    lookback_minutes: int = Field(
        default=60, ge=0, description="Minutes read again by each pull: a response may be recorded late."
    )
    sweep_days: int | None = Field(
        default=30,
        ge=1,
        description="Every so many days each survey is exported whole, to notice deleted responses; null: never.",
    )
    inactive_hours: float = Field(
        default=24.0, ge=0, description="Hours after which a survey that is not active is looked at again."
    )
    contacts_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours after which all contacts are listed again: the vendor has no list of changes.",
    )
    exports_at_once: int = Field(default=4, ge=1, le=20, description="Exports in the making at once.")
    exports_per_minute: int = Field(default=15, ge=1, description="Exports started a minute, of the whole brand.")
    requests_per_minute: int = Field(default=500, ge=1, description="Requests this source makes a minute.")
    poll_seconds: float = Field(
        default=2.0, gt=0, le=60, description="Seconds between the first looks at an export; later ones are longer."
    )
    export_wait_minutes: float = Field(
        default=60.0, gt=0, description="Minutes to wait for exports; the next pull goes on with them."
    )

    @property
    def root(self) -> str:
        """The data centre's address."""
        return self.base_url.removesuffix(API)

    def credential(self) -> AuthBase:
        """The credential, as something that signs requests."""
        if self.api_token is not None:
            return ApiTokenAuth(self.api_token)
        assert self.client_id is not None
        assert self.client_secret is not None
        url = self.token_url or f"{self.root}/oauth2/token"
        return client_credentials_auth(url, self.client_id, self.client_secret, scope=self.scope, basic=True)

    @field_validator("base_url")
    @classmethod
    def _whole(cls, value: str) -> str:
        plain = value.rstrip("/")
        return plain if plain.endswith(API) else plain + API

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        client = (self.client_id, self.client_secret)
        if any(client) == (self.api_token is not None) or any(client) != all(client):
            raise ValueError("give api_token, or client_id and client_secret")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for what, names in (("identifiers", [*self.identifiers]), ("traits", [*self.traits])):
            columns = [column_name(name) for name in names]
            if not all(columns) or len(set(columns)) < len(columns):
                raise ValueError(f"{what}: each name needs letters or digits that tell it from the others: {names}")
        return self


class ApiTokenAuth(AuthBase):
    """The header of Qualtrics's own for API tokens."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["X-API-TOKEN"] = self._token.get_secret_value()
        return request
